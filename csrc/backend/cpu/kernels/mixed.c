/* backend/cpu/kernels/mixed.c -- comparisons of int64 with uint64, exact for all values. */
#include "backend/cpu/kernels/kernel.h"

#include "backend/cpu/cpu.h"

/* test(x, y) for x of int64 and y of uint64: negative numbers are below all others. */
#define MIXED(name, below, test)                                                                   \
    static void name##_mixed(void *out, const int64_t *xs, const uint64_t *ys, int64_t n,          \
                             unsigned uniform)                                                     \
    {                                                                                              \
        uint8_t *const os = out;                                                                   \
        const int64_t x_step = (uniform & 1) == 0, y_step = (uniform & 2) == 0;                    \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const int64_t x = xs[i * x_step];                                                      \
            const uint64_t y = ys[i * y_step];                                                     \
            os[i] = (x < 0) ? (below) : ((uint64_t)x test y);                                      \
        }                                                                                          \
    }                                                                                              \
    static void name##_signed_first(void *out, const void *const *in, int64_t n, unsigned uniform) \
    {                                                                                              \
        name##_mixed(out, in[0], in[1], n, uniform);                                               \
    }                                                                                              \
    static void name##_signed_last(void *out, const void *const *in, int64_t n, unsigned uniform)  \
    {                                                                                              \
        name##_mixed(out, in[1], in[0], n, (uniform >> 1 & 1) | (uniform << 1 & 2));               \
    }

MIXED(less, 1, <)
MIXED(less_equal, 1, <=)
MIXED(greater, 0, >)
MIXED(greater_equal, 0, >=)
MIXED(equal, 0, ==)
MIXED(not_equal, 1, !=)

/* With the signed input last the comparison is turned round. */
#define CHOOSE(name, turned) return first == DT_i64 ? name##_signed_first : turned##_signed_last

BlockKernel
cpu_mixed_kernel(OpCode op, DType first)
{
    switch (op) {
    case OP_less:
        CHOOSE(less, greater);
    case OP_less_equal:
        CHOOSE(less_equal, greater_equal);
    case OP_greater:
        CHOOSE(greater, less);
    case OP_greater_equal:
        CHOOSE(greater_equal, less_equal);
    case OP_equal:
        CHOOSE(equal, equal);
    default:
        CHOOSE(not_equal, not_equal);
    }
}
