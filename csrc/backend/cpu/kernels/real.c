/* backend/cpu/kernels/real.c -- the rows on float32 and float64. */
/* variants: KT=f32,f64 ISA */
#include "backend/cpu/kernels/kernel.h"
#include "backend/cpu/kernels/real_rows.h"
#include "ops/read_avx512.h"

typedef PASTE(value, KT) V;

#if HAS_AVX512
#include "backend/cpu/kernels/real_avx512.h"
#define kernel_has_vectors kernel_has_vectors
#endif

#define T KT

#define OUT_RULE_SAME V
#define OUT_RULE_BOOL uint8_t
#define OUT_RULE_PARTS V
#define OUT_RULE_COMPLEX __typeof__(PASTE(make_complex, KT)(0, 0))
#define OUT_RULE_U8 uint8_t
#define OUT_RULE_I32 int32_t

#define IF_CLASS_ALL(...) __VA_ARGS__
#define IF_CLASS_NUMBER(...) __VA_ARGS__
#define IF_CLASS_REAL(...) __VA_ARGS__
#define IF_CLASS_REALNUM(...) __VA_ARGS__
#define IF_CLASS_INEXACT(...) __VA_ARGS__
#define IF_CLASS_FLOAT(...) __VA_ARGS__
#define IF_CLASS_INTEGER(...)
#define IF_CLASS_BITS(...)
#define IF_CLASS_SPECIAL(...)

/* Straight lines that are right up to a limit (tails.def): a block with a larger argument in
 * it goes element by element. `op` is a constant, so that other rows keep nothing of this. */
SCALAR bool
kernel_has_tail(OpCode op)
{
    switch (op) {
#define TAIL(name, limit_f64, limit_f32) case OP_##name:
#include "ops/tails.def"
#undef TAIL
        return true;
    default:
        return false;
    }
}

SCALAR bool
kernel_any_in_tail(OpCode op, const V *xs, int64_t n)
{
    int any = 0;
    switch (op) {
#define TAIL(name, limit_f64, limit_f32)                                                           \
    case OP_##name:                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            any |= PASTE(name##_in_tail, KT)(xs[i]);                                               \
        }                                                                                          \
        break;
#include "ops/tails.def"
#undef TAIL
    default:
        break;
    }
    return any != 0;
}

SCALAR V
kernel_in_tail(OpCode op, V x)
{
    switch (op) {
#define TAIL(name, limit_f64, limit_f32)                                                           \
    case OP_##name:                                                                                \
        return PASTE(name##_any, KT)(x);
#include "ops/tails.def"
#undef TAIL
    default:
        return x;
    }
}

/* The powers that NumPy, too, does without a logarithm, when one exponent serves all elements;
 * with pow's values where the square root has others: of -0 and -infinity. */
SCALAR bool
kernel_short_power(OpCode op, V *out, const V *xs, V y, int64_t n)
{
#define LOOP(e)                                                                                    \
    do {                                                                                           \
        KERNEL_LOOP(i, n)                                                                          \
        {                                                                                          \
            const V x = xs[i];                                                                     \
            out[i] = (e);                                                                          \
        }                                                                                          \
        return true;                                                                               \
    } while (0)
    if (op != OP_power && op != OP_float_power) {
        return false;
    }
    if (y == 2) {
        LOOP(x * x);
    }
    if (y == 3) {
        LOOP(x * x * x);
    }
    if (y == 1) {
        LOOP(x);
    }
    if (y == -1) {
        LOOP(1 / x);
    }
    if (y == (V)0.5) {
        LOOP(x == -(V)INFINITY ? (V)INFINITY : PASTE(sqrt, KT)(x + 0));
    }
    if (y == (V)-0.5) {
        LOOP(x == -(V)INFINITY ? (V)0 : 1 / PASTE(sqrt, KT)(x + 0));
    }
    return false;
#undef LOOP
}
#define kernel_short_power kernel_short_power

/* Plans contract into fma where the machine has it: worth a loop for each choice of uniform
 * inputs. */
#define kernel_has_uniform3 (HAS_FMA != 0)

static void
ldexp_kernel(void *out, const void *const *in, int64_t n, unsigned uniform)
{
    const V *const xs = in[0];
    const int64_t *const ys = in[1];
    V *const os = out;
    if (uniform != 0) {
        kernel_spread(ldexp_kernel, out, sizeof(V), in, (uint8_t[]){sizeof(V), sizeof(int64_t)}, 2,
                      n, uniform);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        os[i] = PASTE(ldexp, KT)(xs[i], ys[i]);
    }
}

#define KERNEL_EXTRA_ENTRIES [OP_ldexp] = ldexp_kernel,
#include "backend/cpu/kernels/kernel_rows.h"
