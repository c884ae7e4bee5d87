/* special.h -- special functions that are calls: loops and branches, no straight line.
 *
 * Computed in float64; the float32 functions round its result once more.
 */
#ifndef OPS_SPECIAL_H
#define OPS_SPECIAL_H

#include "ops/read_c.h"

/* log |gamma(x)| */
double special_lgamma(double x);
/* derivative of lgamma; -inf at +0, inf at -0, NaN at the negative integers */
double special_digamma(double x);
/* n-th derivative of digamma for integral n in [0, 1e5], else NaN; inf or NaN at the poles */
double special_polygamma(double n, double x);
/* modified Bessel functions of the first kind of order 0 and 1 */
double special_i0(double x);
double special_i1(double x);
/* i1(x) / x, 1/2 at 0: with it, derivatives of i0 and i1 need no limit */
double special_i1_ratio(double x);
/* n-th derivative of NumPy's sinc(x) = sin(pi x) / (pi x), for integral n in
 * [0, 600], else NaN */
double special_sinc_derivative(double n, double x);
/* inverse of erf; infinite at -1 and 1, NaN beyond */
double special_erfinv(double x);

#define SPECIAL1(name) \
    static inline double name##_f64(double x) { return special_##name(x); } \
    static inline float name##_f32(float x) { return (float)special_##name(x); }
#define SPECIAL2(name) \
    static inline double name##_f64(double x, double y) { return special_##name(x, y); } \
    static inline float name##_f32(float x, float y) { return (float)special_##name(x, y); }
SPECIAL1(lgamma)
SPECIAL1(digamma)
SPECIAL1(i0)
SPECIAL1(i1)
SPECIAL1(i1_ratio)
SPECIAL1(erfinv)
SPECIAL2(polygamma)
SPECIAL2(sinc_derivative)
#undef SPECIAL1
#undef SPECIAL2

#endif
