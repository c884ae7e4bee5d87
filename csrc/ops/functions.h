/* functions.h -- every scalar function on float64 and float32, as C: <op>_f64, <op>_f32.
 *
 * The straight lines (functions.def) are right for all arguments except those named in
 * tails.def: there <op>_<dtype> serves loops that vectorise, and <op>_any_<dtype> adds the
 * call for large arguments.
 */
#ifndef OPS_FUNCTIONS_H
#define OPS_FUNCTIONS_H

#include "ops/read_c.h"

#define T f64
#include "ops/constants_f64.def"
#include "ops/functions.def"
#undef T

#define T f32
#include "ops/constants_f32.def"
#include "ops/functions.def"
#undef T

#define TAIL(name, limit_f64, limit_f32) \
    static inline double name##_tail_f64(double x) { return name(x); } \
    static inline float name##_tail_f32(float x) { return name##f(x); } \
    SCALAR bool name##_in_tail_f64(double x) { return __builtin_fabs(x) > limit_f64; } \
    SCALAR bool name##_in_tail_f32(float x) { return __builtin_fabsf(x) > limit_f32##f; } \
    static inline double name##_any_f64(double x) \
    { \
        return name##_in_tail_f64(x) ? name##_tail_f64(x) : name##_f64(x); \
    } \
    static inline float name##_any_f32(float x) \
    { \
        return name##_in_tail_f32(x) ? name##_tail_f32(x) : name##_f32(x); \
    }
#include "ops/tails.def"
#undef TAIL

#include "ops/special.h"

#endif
