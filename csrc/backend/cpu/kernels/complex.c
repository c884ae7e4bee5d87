/* backend/cpu/kernels/complex.c -- the rows on complex64 and complex128. */
/* variants: KT=c64,c128 ISA */
#include "backend/cpu/kernels/kernel.h"
#include "ops/complex.h"
#include "ops/row_words.h"

#define PART_c64 float
#define PART_c128 double

#define T KT
typedef PASTE(value, KT) V;
typedef PASTE(PART, KT) Part;

SCALAR V
PASTE(positive, KT)(V z)
{
    return z;
}

SCALAR V
PASTE(conjugate, KT)(V z)
{
    return PASTE(conj, KT)(z);
}

SCALAR V
PASTE(clip, KT)(V x, V y, V z)
{
    return PASTE(minimum, KT)(PASTE(maximum, KT)(x, y), z);
}

SCALAR V
PASTE(share, KT)(V x, V y, V z)
{
    const bool less = PASTE(lt, KT)(x, y);
    const Part weight = PASTE(eq, KT)(x, y) ? (Part)0.5 : (Part)1;
    return (V){less ? 0 : weight * z.re, less ? 0 : weight * z.im};
}

SCALAR V
PASTE(mul0, KT)(V x, V y)
{
    const V product = PASTE(mul, KT)(x, y);
    const bool zero = (x.re == 0) & (x.im == 0);
    return (V){zero ? 0 : product.re, zero ? 0 : product.im};
}

/* exp alone is a straight line with a limit (that of sin, for the imaginary part) */
#define kernel_has_tail(op) ((op) == OP_exp)
#define kernel_any_in_tail(op, xs, n) exp_any_in_tail(xs, n)
#define kernel_in_tail(op, x) PASTE(exp_any, KT)(x)

SCALAR bool
exp_any_in_tail(const V *xs, int64_t n)
{
    int any = 0;
    for (int64_t i = 0; i < n; i++) {
        any |= PASTE(exp_in_tail, KT)(xs[i]);
    }
    return any != 0;
}

#define OUT_RULE_SAME V
#define OUT_RULE_BOOL uint8_t
#define OUT_RULE_PARTS Part

#define IF_CLASS_ALL(...) __VA_ARGS__
#define IF_CLASS_NUMBER(...) __VA_ARGS__
#define IF_CLASS_REAL(...)
#define IF_CLASS_REALNUM(...)
#define IF_CLASS_INEXACT(...) __VA_ARGS__
#define IF_CLASS_FLOAT(...)
#define IF_CLASS_INTEGER(...)
#define IF_CLASS_BITS(...)
#define IF_CLASS_SPECIAL(...)

#define KERNEL_EXTRA_ENTRIES
#include "backend/cpu/kernels/kernel_rows.h"
