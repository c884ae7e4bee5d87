/* vocabulary.h -- the words in which op expressions and scalar functions are written.
 *
 * A text in these words has several readings. A reading defines, before the text is expanded,
 *   OP1(name, x) OP2(name, x, y) OP3(name, x, y, z)   an operation on values of the dtype
 *   CMP1(name, x) CMP2(name, x, y)                    a test, giving a mask
 *   MASK1(name, m) MASK2(name, m, n)                  logic on masks
 *   CHOOSE(m, x, y)                                   x where m, else y
 *   INT1(name, i) INT2(name, i, j)                    an operation on words: unsigned integers
 *                                                     as wide as the dtype, which wrap
 *   CONST(c) CONSTI(c)                                a literal value, a literal word
 *   AS_WORD(x) AS_VALUE(i)                            the same bits
 * and, for lists of functions (functions.def),
 *   FUNCTION1(name) FUNCTION2(name) FUNCTION3(name)   opens a function of x, of x and y, of
 *                                                     x, y and z
 *   PAIR1(name) PAIR2(name)                           the same with two results
 *   LET(v, e) LETI(v, e) LETM(v, e)                   names a value, a word, a mask
 *   LET_PAIR1(v, w, name, x) LET_PAIR2(v, w, name, x, y)   names both results of a pair
 *   FIRST2(name, x, y)                the first result of a pair
 *   RESULT(e) RESULT2(e, f)                           closes a function, a pair
 * and TABLE16(list, i), entry i modulo 16 of a list of sixteen constants.
 * Values are arguments and names only: a list has no branch and no loop.
 */
#ifndef OPS_VOCABULARY_H
#define OPS_VOCABULARY_H

/* constants */
#define K(c) CONST(c)
#define KI(c) CONSTI(c)

/* arithmetic */
#define ADD(x, y) OP2(add, x, y)
#define SUB(x, y) OP2(sub, x, y)
#define MUL(x, y) OP2(mul, x, y)
#define DIV(x, y) OP2(div, x, y)
#define NEG(x) OP1(neg, x)
#define ABS(x) OP1(abs, x)
#define SQRT(x) OP1(sqrt, x)
#define SQUARE(x) OP1(square, x)
#define RECIPROCAL(x) OP1(reciprocal, x)
#define SIGN(x) OP1(sign, x)
/* x * y + z: rounded once where the machine has the instruction, else twice */
#define FMA(x, y, z) OP3(fma, x, y, z)
/* x * y + z rounded as if once everywhere, at a price on machines without the instruction */
#define FMA_EXACT(x, y, z) OP3(fma_exact, x, y, z)

/* rounding to integral values */
#define ROUND(x) OP1(rint, x)
#define FLOOR(x) OP1(floor, x)
#define CEIL(x) OP1(ceil, x)
#define TRUNC(x) OP1(trunc, x)

/* two values */
#define MAXIMUM(x, y) OP2(maximum, x, y)
#define MINIMUM(x, y) OP2(minimum, x, y)
#define FMAX(x, y) OP2(fmax, x, y)
#define FMIN(x, y) OP2(fmin, x, y)
#define COPYSIGN(x, y) OP2(copysign, x, y)
#define FLOOR_DIVIDE(x, y) OP2(floor_divide, x, y)
#define REMAINDER(x, y) OP2(remainder, x, y)
#define FMOD(x, y) OP2(fmod, x, y)
#define NEXTAFTER(x, y) OP2(nextafter, x, y)
#define HEAVISIDE(x, y) OP2(heaviside, x, y)

/* tests and masks */
#define LT(x, y) CMP2(lt, x, y)
#define LE(x, y) CMP2(le, x, y)
#define GT(x, y) CMP2(gt, x, y)
#define GE(x, y) CMP2(ge, x, y)
#define EQ(x, y) CMP2(eq, x, y)
#define NE(x, y) CMP2(ne, x, y)
#define ISNAN(x) CMP1(isnan, x)
#define ISINF(x) CMP1(isinf, x)
#define ISFINITE(x) CMP1(isfinite, x)
#define SIGNBIT(x) CMP1(signbit, x)
#define NOT(m) MASK1(not, m)
#define AND(m, n) MASK2(and, m, n)
#define OR(m, n) MASK2(or, m, n)
#define XOR(m, n) MASK2(xor, m, n)
#define SELECT(m, x, y) CHOOSE(m, x, y)

/* words */
#define BITS(x) AS_WORD(x)
#define FLOATBITS(i) AS_VALUE(i)
#define IADD(i, j) INT2(iadd, i, j)
#define ISUB(i, j) INT2(isub, i, j)
#define IAND(i, j) INT2(iand, i, j)
#define IOR(i, j) INT2(ior, i, j)
#define IXOR(i, j) INT2(ixor, i, j)
#define ISHL(i, j) INT2(ishl, i, j)
#define ISHR(i, j) INT2(ishr, i, j) /* zeros come in */

/* functions of functions.def */
#define EXP(x) OP1(exp, x)
#define EXP2(x) OP1(exp2, x)
#define EXPM1(x) OP1(expm1, x)
#define LOG(x) OP1(log, x)
#define LOG2(x) OP1(log2, x)
#define LOG10(x) OP1(log10, x)
#define LOG1P(x) OP1(log1p, x)
#define SIN(x) OP1(sin, x)
#define COS(x) OP1(cos, x)
#define TAN(x) OP1(tan, x)
#define ARCSIN(x) OP1(arcsin, x)
#define ARCCOS(x) OP1(arccos, x)
#define ARCTAN(x) OP1(arctan, x)
#define ARCTAN2(y, x) OP2(arctan2, y, x)
#define SINH(x) OP1(sinh, x)
#define COSH(x) OP1(cosh, x)
#define TANH(x) OP1(tanh, x)
#define ARCSINH(x) OP1(arcsinh, x)
#define ARCCOSH(x) OP1(arccosh, x)
#define ARCTANH(x) OP1(arctanh, x)
#define CBRT(x) OP1(cbrt, x)
#define POW(x, y) OP2(pow, x, y)
#define HYPOT(x, y) OP2(hypot, x, y)
#define LOGADDEXP(x, y) OP2(logaddexp, x, y)
#define LOGADDEXP2(x, y) OP2(logaddexp2, x, y)
#define EXPIT(x) OP1(expit, x)
#define LOG_EXPIT(x) OP1(log_expit, x)
#define LOGIT(x) OP1(logit, x)
#define SOFTPLUS(x) OP1(softplus, x)
#define XLOGY(x, y) OP2(xlogy, x, y)
#define ERF(x) OP1(erf, x)
#define ERFC(x) OP1(erfc, x)
#define SINC(x) OP1(sinc, x)

/* functions of special.h: calls in every reading */
#define LGAMMA(x) OP1(lgamma, x)
#define DIGAMMA(x) OP1(digamma, x)
#define POLYGAMMA(n, x) OP2(polygamma, n, x)
#define I0(x) OP1(i0, x)
#define I1(x) OP1(i1, x)
#define SINC_DERIVATIVE(n, x) OP2(sinc_derivative, n, x)
#define ERFINV(x) OP1(erfinv, x)

/* Polynomials, lowest coefficient first; z and w = z^2 are names. POLY takes terms in pairs:
 * half the latency of Horner's rule for one more product. */
#define HORNER1(z, a, b) FMA(b, z, a)
#define HORNER2(z, a, ...) FMA(HORNER1(z, __VA_ARGS__), z, a)
#define HORNER3(z, a, ...) FMA(HORNER2(z, __VA_ARGS__), z, a)
#define HORNER4(z, a, ...) FMA(HORNER3(z, __VA_ARGS__), z, a)
#define HORNER5(z, a, ...) FMA(HORNER4(z, __VA_ARGS__), z, a)
#define HORNER6(z, a, ...) FMA(HORNER5(z, __VA_ARGS__), z, a)
#define HORNER7(z, a, ...) FMA(HORNER6(z, __VA_ARGS__), z, a)
#define POLY1(z, w, a, b) FMA(b, z, a)
#define POLY2(z, w, a, b, c) FMA(c, w, FMA(b, z, a))
#define POLY3(z, w, a, b, ...) FMA(POLY1(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY4(z, w, a, b, ...) FMA(POLY2(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY5(z, w, a, b, ...) FMA(POLY3(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY6(z, w, a, b, ...) FMA(POLY4(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY7(z, w, a, b, ...) FMA(POLY5(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY8(z, w, a, b, ...) FMA(POLY6(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY9(z, w, a, b, ...) FMA(POLY7(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY10(z, w, a, b, ...) FMA(POLY8(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY11(z, w, a, b, ...) FMA(POLY9(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY12(z, w, a, b, ...) FMA(POLY10(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY13(z, w, a, b, ...) FMA(POLY11(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY14(z, w, a, b, ...) FMA(POLY12(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY15(z, w, a, b, ...) FMA(POLY13(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY16(z, w, a, b, ...) FMA(POLY14(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY17(z, w, a, b, ...) FMA(POLY15(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY18(z, w, a, b, ...) FMA(POLY16(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY19(z, w, a, b, ...) FMA(POLY17(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY20(z, w, a, b, ...) FMA(POLY18(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY21(z, w, a, b, ...) FMA(POLY19(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY22(z, w, a, b, ...) FMA(POLY20(z, w, __VA_ARGS__), w, FMA(b, z, a))
#define POLY23(z, w, a, b, ...) FMA(POLY21(z, w, __VA_ARGS__), w, FMA(b, z, a))

#endif
