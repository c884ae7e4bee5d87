/* complex_loops.c -- loops over the complex functions, for tests/test_complex_functions.py. */
#include "ops/complex.h"

#define LOOP(name, Z, Out) \
    void loop_##name##_##Z(const value_##Z *restrict x, Out *restrict out, int64_t n); \
    void loop_##name##_##Z(const value_##Z *restrict x, Out *restrict out, int64_t n) \
    { \
        for (int64_t i = 0; i < n; i++) { \
            out[i] = name##_##Z(x[i]); \
        } \
    }
#define LOOP2_OF(name, Z, Out) \
    void loop_##name##_##Z(const value_##Z *restrict x, const value_##Z *restrict y, \
                           Out *restrict out, int64_t n); \
    void loop_##name##_##Z(const value_##Z *restrict x, const value_##Z *restrict y, \
                           Out *restrict out, int64_t n) \
    { \
        for (int64_t i = 0; i < n; i++) { \
            out[i] = name##_##Z(x[i], y[i]); \
        } \
    }
#define LOOP1(name) LOOP(name, c128, value_c128) LOOP(name, c64, value_c64)
#define LOOP1R(name) LOOP(name, c128, double) LOOP(name, c64, float)
#define LOOP1B(name) LOOP(name, c128, bool) LOOP(name, c64, bool)
#define LOOP2(name) LOOP2_OF(name, c128, value_c128) LOOP2_OF(name, c64, value_c64)
#define LOOP2B(name) LOOP2_OF(name, c128, bool) LOOP2_OF(name, c64, bool)

LOOP1(conj)
LOOP1(neg)
LOOP1(square)
LOOP1(reciprocal)
LOOP1(sign)
LOOP1(rint)
LOOP1(exp)
LOOP1(exp_any)
LOOP1(exp2)
LOOP1(expm1)
LOOP1(log)
LOOP1(log2)
LOOP1(log10)
LOOP1(log1p)
LOOP1(sqrt)
LOOP1(sin)
LOOP1(cos)
LOOP1(tan)
LOOP1(arcsin)
LOOP1(arccos)
LOOP1(arctan)
LOOP1(sinh)
LOOP1(cosh)
LOOP1(tanh)
LOOP1(arcsinh)
LOOP1(arccosh)
LOOP1(arctanh)
LOOP1(sinc)
LOOP1R(abs)
LOOP1R(abs2)
LOOP1R(angle)
LOOP1R(real)
LOOP1R(imag)
LOOP1B(isnan)
LOOP1B(isinf)
LOOP1B(isfinite)
LOOP2(add)
LOOP2(sub)
LOOP2(mul)
LOOP2(div)
LOOP2(pow)
LOOP2(maximum)
LOOP2(minimum)
LOOP2(fmax)
LOOP2(fmin)
LOOP2B(eq)
LOOP2B(ne)
LOOP2B(lt)
LOOP2B(le)
LOOP2B(gt)
LOOP2B(ge)
