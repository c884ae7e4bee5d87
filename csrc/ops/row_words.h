/* ops/row_words.h -- the words of ops.def beyond vocabulary.h: rows that scalar functions do
 * not use. A word expands to its row's name in the reading's OP1, OP2 or OP3. */
#ifndef PYARR_OPS_ROW_WORDS_H
#define PYARR_OPS_ROW_WORDS_H

#include "ops/vocabulary.h"

/* y where m, else z: a row in derivatives, CHOOSE in kernels */
#ifndef WHERE
#define WHERE(m, x, y) SELECT(m, x, y)
#endif

#define POSITIVE(x) OP1(positive, x)
#define FABS(x) OP1(fabs, x)
#define CLIP(x, y, z) OP3(clip, x, y, z)
#define SHARE(x, y, z) OP3(share, x, y, z)
#define MUL0(x, y) OP2(mul0, x, y)

#define DEGREES(x) OP1(degrees, x)
#define RAD2DEG(x) OP1(rad2deg, x)
#define RADIANS(x) OP1(radians, x)
#define DEG2RAD(x) OP1(deg2rad, x)

#define GCD(x, y) OP2(gcd, x, y)
#define LCM(x, y) OP2(lcm, x, y)
#define BITWISE_AND(x, y) OP2(bitwise_and, x, y)
#define BITWISE_OR(x, y) OP2(bitwise_or, x, y)
#define BITWISE_XOR(x, y) OP2(bitwise_xor, x, y)
#define INVERT(x) OP1(invert, x)
#define LEFT_SHIFT(x, y) OP2(left_shift, x, y)
#define RIGHT_SHIFT(x, y) OP2(right_shift, x, y)
#define BITWISE_COUNT(x) OP1(bitwise_count, x)

#define SPACING(x) OP1(spacing, x)
#define MODF_FRACTION(x) OP1(modf_fraction, x)
#define MODF_INTEGER(x) OP1(modf_integer, x)
#define LDEXP(x, y) OP2(ldexp, x, y)
#define FREXP_MANTISSA(x) OP1(frexp_mantissa, x)
#define FREXP_EXPONENT(x) OP1(frexp_exponent, x)

#define CONJ(x) OP1(conjugate, x)
#define REALPART(x) OP1(real, x)
#define IMAGPART(x) OP1(imag, x)
#define ANGLE(x) OP1(angle, x)
#define ABS2(x) OP1(abs2, x)
#define MAKE_COMPLEX(x, y) OP2(make_complex, x, y)
#define EXP_REAL(x, y, z) OP3(exp_real, x, y, z)
#define EXP_IMAG(x, y, z) OP3(exp_imag, x, y, z)

#define GAMMA(x) OP1(gamma, x)
#define XLOG1PY(x, y) OP2(xlog1py, x, y)
#define BESSEL_I(n, x) OP2(bessel_i, n, x)

#endif
