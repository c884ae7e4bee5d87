/* function_loops.c -- loops over the scalar functions, for tests/test_functions.py to call. */
#include "ops/functions.h"

#define LOOP1_OF(name, S) \
    void loop_##name##_##S(const value_##S *restrict x, value_##S *restrict out, int64_t n); \
    void loop_##name##_##S(const value_##S *restrict x, value_##S *restrict out, int64_t n) \
    { \
        for (int64_t i = 0; i < n; i++) { \
            out[i] = name##_##S(x[i]); \
        } \
    } \
    void one_##name##_##S(const value_##S *x, value_##S *out); \
    void one_##name##_##S(const value_##S *x, value_##S *out) { *out = name##_##S(*x); }
#define LOOP2_OF(name, S) \
    void loop_##name##_##S(const value_##S *restrict x, const value_##S *restrict y, \
                           value_##S *restrict out, int64_t n); \
    void loop_##name##_##S(const value_##S *restrict x, const value_##S *restrict y, \
                           value_##S *restrict out, int64_t n) \
    { \
        for (int64_t i = 0; i < n; i++) { \
            out[i] = name##_##S(x[i], y[i]); \
        } \
    } \
    void one_##name##_##S(const value_##S *x, const value_##S *y, value_##S *out); \
    void one_##name##_##S(const value_##S *x, const value_##S *y, value_##S *out) \
    { \
        *out = name##_##S(*x, *y); \
    }
#define LOOP1(name) LOOP1_OF(name, f64) LOOP1_OF(name, f32)
#define LOOP2(name) LOOP2_OF(name, f64) LOOP2_OF(name, f32)

/* each of these must vectorise */
/* straight lines */
LOOP1(exp)
LOOP1(exp2)
LOOP1(expm1)
LOOP1(log)
LOOP1(log2)
LOOP1(log10)
LOOP1(log1p)
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
LOOP1(cbrt)
LOOP1(expit)
LOOP1(log_expit)
LOOP1(softplus)
LOOP1(logit)
LOOP1(sinc)
LOOP1(erf)
LOOP1(erfc)
LOOP1(sign)
LOOP1(rint)
LOOP2(pow)
LOOP2(arctan2)
LOOP2(hypot)
LOOP2(logaddexp)
LOOP2(logaddexp2)
LOOP2(xlogy)
LOOP2(maximum)
LOOP2(minimum)
LOOP2(fmax)
LOOP2(fmin)
LOOP2(heaviside)

/* calls */
LOOP1(sin_any)
LOOP1(cos_any)
LOOP1(tan_any)
LOOP1(spacing)
LOOP2(floor_divide)
LOOP2(remainder)
LOOP2(fmod)
LOOP2(nextafter)
LOOP1(lgamma)
LOOP1(digamma)
LOOP1(i0)
LOOP1(i1)
LOOP1(i1_ratio)
LOOP1(erfinv)
LOOP2(polygamma)
LOOP2(sinc_derivative)
