/* backend/cpu/kernels/boolean.c -- the rows on bool: bytes that are 0 or 1. */
/* variants: KT=b8 ISA */
#include "backend/cpu/kernels/kernel.h"
#include "ops/read_c.h"
#include "ops/row_words.h"

#define T KT
typedef uint8_t V;
#undef CONST
#define CONST(c) ((V)(c))

#define DEFINE1(name) SCALAR V PASTE(name, KT)(V x)
#define DEFINE2(name) SCALAR V PASTE(name, KT)(V x, V y)

DEFINE2(add) { return x | y; }
DEFINE2(mul) { return x & y; }
DEFINE1(abs) { return x; }
DEFINE1(real) { return x; }
DEFINE1(imag) { return (V)(x & 0); }
DEFINE1(floor) { return x; }
DEFINE1(ceil) { return x; }
DEFINE1(trunc) { return x; }
DEFINE2(lt) { return (V)(x < y); }
DEFINE2(le) { return x <= y; }
DEFINE2(gt) { return x > y; }
DEFINE2(ge) { return x >= y; }
DEFINE2(eq) { return x == y; }
DEFINE2(ne) { return x != y; }
DEFINE1(isfinite) { return x <= 1; }
DEFINE1(isinf) { return x > 1; }
DEFINE1(isnan) { return x > 1; }
DEFINE2(maximum) { return x | y; }
DEFINE2(minimum) { return x & y; }
DEFINE2(fmax) { return x | y; }
DEFINE2(fmin) { return x & y; }
DEFINE2(bitwise_and) { return x & y; }
DEFINE2(bitwise_or) { return x | y; }
DEFINE2(bitwise_xor) { return x ^ y; }
DEFINE1(invert) { return x ^ 1; }

SCALAR V
clip_b8(V x, V y, V z)
{
    return (x | y) & z;
}

#define kernel_has_tail(op) false
#define kernel_any_in_tail(op, xs, n) false
#define kernel_in_tail(op, x) (x)

#define OUT_RULE_SAME V
#define OUT_RULE_BOOL V
#define OUT_RULE_PARTS V

#define IF_CLASS_ALL(...) __VA_ARGS__
#define IF_CLASS_NUMBER(...)
#define IF_CLASS_REAL(...) __VA_ARGS__
#define IF_CLASS_REALNUM(...)
#define IF_CLASS_INEXACT(...)
#define IF_CLASS_FLOAT(...)
#define IF_CLASS_INTEGER(...)
#define IF_CLASS_BITS(...) __VA_ARGS__
#define IF_CLASS_SPECIAL(...)

#define KERNEL_EXTRA_ENTRIES
#include "backend/cpu/kernels/kernel_rows.h"
