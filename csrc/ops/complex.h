/* complex.h -- every scalar function on complex128 and complex64: <op>_c128, <op>_c64.
 *
 * Values are pairs {re, im}, as they lie in memory, so that loops over arrays vectorise. The
 * special values are those of C99's Annex G where NumPy has them. `exp` is a straight line up
 * to the limit of sin (tails.def) for the imaginary part; exp_any_* has no limit.
 */
#ifndef OPS_COMPLEX_H
#define OPS_COMPLEX_H

/* before <complex.h>, whose I and complex are not used */
#include <complex.h>
#undef I
#undef complex

#include "ops/functions.h"

#define REAL(name) PASTE(name, T)
#define COMPLEX(name) PASTE(name, TC)

#define T f64
#define TC c128
#define PART double
#define LIBM(name) name
#include "ops/constants_f64.def"
#include "ops/complex.def"
#undef T
#undef TC
#undef PART
#undef LIBM

#define T f32
#define TC c64
#define PART float
#define LIBM(name) name##f
#include "ops/constants_f32.def"
#include "ops/complex.def"
#undef T
#undef TC
#undef PART
#undef LIBM

#endif
