/* backend/cpu/kernels/kernel.h -- loops over contiguous elements, made from rows of ops.def.
 *
 * A source of kernels defines V, the type of its elements, OUT_<rule>, the type of results,
 * and IF_<class>(...), which keeps or drops the rows of a class, and expands KERNEL_ROWS.
 * The compiler vectorises the loops. An input may be the output itself, element for element:
 * hence KERNEL_LOOP, which says that iterations are independent.
 */
#ifndef PYARR_BACKEND_CPU_KERNELS_KERNEL_H
#define PYARR_BACKEND_CPU_KERNELS_KERNEL_H

#include "backend/backend.h"

#if defined(__clang__)
#define KERNEL_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define KERNEL_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* clang-format off */
#define KERNEL_LOOP(i, n) KERNEL_INDEPENDENT for (int64_t i = 0; i < (n); i++)
/* clang-format on */

/* Elements of a uniform input that are laid out at a time, and the largest element. */
enum { KERNEL_BLOCK = 512, KERNEL_MAX_SIZE = 16 };

/*
 * Runs a kernel that takes no uniform inputs on inputs some of which are: those are laid out
 * in a small block; when all are, the one result is copied.
 */
void kernel_spread(BlockKernel kernel, void *out, int out_size, const void *const *in,
                   const uint8_t *in_sizes, int nin, int64_t n, unsigned uniform);

/* Tables of one dtype and instruction set: row -> kernel, NULL where there is no such loop. */
#define KERNEL_TABLE_(dtype, isa) kernel_rows_##dtype##_##isa
#define KERNEL_TABLE(dtype, isa) KERNEL_TABLE_(dtype, isa)

#define KERNEL_ROW1(name, rule, forward)                                                           \
    static void name##_kernel(void *out, const void *const *in, int64_t n, unsigned uniform)       \
    {                                                                                              \
        typedef OUT_##rule Out;                                                                    \
        const V *const xs = in[0];                                                                 \
        Out *const os = out;                                                                       \
        if (uniform != 0) {                                                                        \
            kernel_spread(name##_kernel, out, sizeof(Out), in, (uint8_t[]){sizeof(V)}, 1, n,       \
                          uniform);                                                                \
            return;                                                                                \
        }                                                                                          \
        if (kernel_has_tail(OP_##name) && n > KERNEL_BLOCK) {                                      \
            for (int64_t at = 0; at < n; at += KERNEL_BLOCK) {                                     \
                const int64_t count = n - at < KERNEL_BLOCK ? n - at : KERNEL_BLOCK;               \
                name##_kernel(os + at, (const void *[]){xs + at}, count, 0);                       \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        if (kernel_has_tail(OP_##name) && kernel_any_in_tail(OP_##name, xs, n)) {                  \
            for (int64_t i = 0; i < n; i++) {                                                      \
                ((V *)out)[i] = kernel_in_tail(OP_##name, xs[i]);                                  \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        if (kernel_has_vectors(OP_##name)) {                                                       \
            kernel_vectors1(OP_##name, out, xs, n);                                                \
            return;                                                                                \
        }                                                                                          \
        KERNEL_LOOP(i, n)                                                                          \
        {                                                                                          \
            const V x = xs[i];                                                                     \
            os[i] = (forward);                                                                     \
        }                                                                                          \
    }

#define KERNEL_ROW2(name, rule, forward, flags)                                                    \
    static void name##_kernel(void *out, const void *const *in, int64_t n, unsigned uniform)       \
    {                                                                                              \
        typedef OUT_##rule Out;                                                                    \
        const V *const xs = in[0];                                                                 \
        const V *const ys = in[1];                                                                 \
        Out *const os = out;                                                                       \
        if (uniform == 2 && kernel_short_power(OP_##name, out, xs, ys[0], n)) {                    \
            return;                                                                                \
        }                                                                                          \
        if (uniform == 0 && kernel_has_vectors(OP_##name)) {                                       \
            kernel_vectors2(out, xs, ys, n);                                                       \
        } else if (uniform == 0) {                                                                 \
            KERNEL_LOOP(i, n)                                                                      \
            {                                                                                      \
                const V x = xs[i], y = ys[i];                                                      \
                os[i] = (forward);                                                                 \
            }                                                                                      \
        } else if (((flags) & FLAG_CHEAP) != 0 && uniform == 1) {                                  \
            const V x = xs[0];                                                                     \
            KERNEL_LOOP(i, n)                                                                      \
            {                                                                                      \
                const V y = ys[i];                                                                 \
                os[i] = (forward);                                                                 \
            }                                                                                      \
        } else if (((flags) & FLAG_CHEAP) != 0 && uniform == 2) {                                  \
            const V y = ys[0];                                                                     \
            KERNEL_LOOP(i, n)                                                                      \
            {                                                                                      \
                const V x = xs[i];                                                                 \
                os[i] = (forward);                                                                 \
            }                                                                                      \
        } else {                                                                                   \
            kernel_spread(name##_kernel, out, sizeof(Out), in,                                     \
                          (uint8_t[]){sizeof(V), sizeof(V)}, 2, n, uniform);                       \
        }                                                                                          \
    }

/* Rows of three inputs that have loops of their own for every choice of uniform ones. */
#define KERNEL_UNIFORM3(flags) (kernel_has_uniform3 && ((flags) & FLAG_CHEAP) != 0)

/* One loop of three inputs: each is `outside`, a uniform one, or `inside`. */
#define KERNEL_LOOP3(outside, inside, forward)                                                     \
    do {                                                                                           \
        outside;                                                                                   \
        KERNEL_LOOP(i, n)                                                                          \
        {                                                                                          \
            inside;                                                                                \
            os[i] = (forward);                                                                     \
        }                                                                                          \
    } while (0)

#define KERNEL_ROW3(name, rule, forward, flags)                                                    \
    static void name##_kernel(void *out, const void *const *in, int64_t n, unsigned uniform)       \
    {                                                                                              \
        typedef OUT_##rule Out;                                                                    \
        const V *const xs = in[0];                                                                 \
        const V *const ys = in[1];                                                                 \
        const V *const zs = in[2];                                                                 \
        Out *const os = out;                                                                       \
        if (uniform == 0) {                                                                        \
            KERNEL_LOOP3(, const V x = xs[i]; const V y = ys[i]; const V z = zs[i], forward);      \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 1) {                                       \
            KERNEL_LOOP3(const V x = xs[0], const V y = ys[i]; const V z = zs[i], forward);        \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 2) {                                       \
            KERNEL_LOOP3(const V y = ys[0], const V x = xs[i]; const V z = zs[i], forward);        \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 3) {                                       \
            KERNEL_LOOP3(const V x = xs[0]; const V y = ys[0], const V z = zs[i], forward);        \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 4) {                                       \
            KERNEL_LOOP3(const V z = zs[0], const V x = xs[i]; const V y = ys[i], forward);        \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 5) {                                       \
            KERNEL_LOOP3(const V x = xs[0]; const V z = zs[0], const V y = ys[i], forward);        \
        } else if (KERNEL_UNIFORM3(flags) && uniform == 6) {                                       \
            KERNEL_LOOP3(const V y = ys[0]; const V z = zs[0], const V x = xs[i], forward);        \
        } else {                                                                                   \
            kernel_spread(name##_kernel, out, sizeof(Out), in,                                     \
                          (uint8_t[]){sizeof(V), sizeof(V), sizeof(V)}, 3, n, uniform);            \
        }                                                                                          \
    }

/* Readings of ops.def: the kernels, and the table's entries. A source includes kernel_rows.h. */

#endif
