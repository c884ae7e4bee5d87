/* backend/cpu/kernels/real_rows.h -- the rows on reals that functions.h does not have. */
#ifndef PYARR_BACKEND_CPU_KERNELS_REAL_ROWS_H
#define PYARR_BACKEND_CPU_KERNELS_REAL_ROWS_H

#include "ops/functions.h"
#include "ops/row_words.h"

/* Modified Bessel function I_n(x) for integral n, else NaN (bessel.c). */
double special_bessel_i(double n, double x);

#define REAL_ROWS(S, V, F)                                                                         \
    SCALAR V positive_##S(V x) { return x; }                                                       \
    SCALAR V fabs_##S(V x) { return abs_##S(x); }                                                  \
    /* minimum(maximum(x, y), z), in the form that compilers vectorise */                          \
    SCALAR V clip_##S(V x, V y, V z)                                                               \
    {                                                                                              \
        const V raised = x < y ? y : x;                                                            \
        const V lowered = z < raised ? z : raised;                                                 \
        const V low = y != y ? y : lowered;                                                        \
        return z != z ? z : low;                                                                   \
    }                                                                                              \
    SCALAR V share_##S(V x, V y, V z)                                                              \
    {                                                                                              \
        const V tied = x == y ? (V)0.5 * z : z;                                                    \
        return x < y ? (V)0 : tied;                                                                \
    }                                                                                              \
    SCALAR V mul0_##S(V x, V y)                                                                    \
    {                                                                                              \
        const V product = x * y;                                                                   \
        return x == 0 ? (V)0 : product;                                                            \
    }                                                                                              \
    SCALAR V degrees_##S(V x) { return x * (V)57.29577951308232; }                                 \
    SCALAR V rad2deg_##S(V x) { return x * (V)57.29577951308232; }                                 \
    SCALAR V radians_##S(V x) { return x * (V)0.017453292519943295; }                              \
    SCALAR V deg2rad_##S(V x) { return x * (V)0.017453292519943295; }                              \
    SCALAR V modf_integer_##S(V x) { return trunc_##S(x); }                                        \
    SCALAR V modf_fraction_##S(V x)                                                                \
    {                                                                                              \
        const V fraction = isinf_##S(x) ? (V)0 : x - trunc_##S(x);                                 \
        return copysign_##S(fraction, x);                                                          \
    }                                                                                              \
    static inline V frexp_mantissa_##S(V x)                                                        \
    {                                                                                              \
        int32_t exponent;                                                                          \
        return frexp_##S(x, &exponent);                                                            \
    }                                                                                              \
    static inline int32_t frexp_exponent_##S(V x)                                                  \
    {                                                                                              \
        int32_t exponent = 0;                                                                      \
        const V mantissa = frexp_##S(x, &exponent);                                                \
        return isfinite_##S(mantissa) ? exponent : 0;                                              \
    }                                                                                              \
    SCALAR V conjugate_##S(V x) { return x; }                                                      \
    SCALAR V real_##S(V x) { return x; }                                                           \
    SCALAR V imag_##S(V x)                                                                         \
    {                                                                                              \
        (void)x;                                                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    SCALAR V angle_##S(V x)                                                                        \
    {                                                                                              \
        const V turned = signbit_##S(x) ? (V)3.141592653589793 : (V)0;                             \
        return x != x ? x : turned;                                                                \
    }                                                                                              \
    SCALAR V abs2_##S(V x) { return x * x; }                                                       \
    SCALAR V _Complex make_complex_##S(V x, V y) { return __builtin_complex(x, y); }               \
    static inline V gamma_##S(V x) { return (V)tgamma(x); }                                        \
    static inline V xlog1py_##S(V x, V y)                                                          \
    {                                                                                              \
        const V product = x * log1p_##S(y);                                                        \
        return ((x == 0) & (y == y)) ? (V)0 : product;                                             \
    }                                                                                              \
    static inline V bessel_i_##S(V n, V x) { return (V)special_bessel_i(n, x); }

REAL_ROWS(f64, double, )
REAL_ROWS(f32, float, f)
#undef REAL_ROWS

#endif
