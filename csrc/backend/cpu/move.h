/* backend/cpu/move.h -- moving elements between geometries, for the files of this backend. */
#ifndef PYARR_BACKEND_CPU_MOVE_H
#define PYARR_BACKEND_CPU_MOVE_H

#include "backend/cpu/cpu.h"
#include "base/pool.h"

#include <string.h>

/* Bytes of work per thread below which waking the pool does not pay, or, where elements are looked
 * up one by one, handing them to a thread that is awake. */
enum { MOVE_GRAIN_BYTES = 512 * 1024, MOVE_GRAIN_AWAKE = 128 * 1024 };

static inline int64_t
move_index_grain(void)
{
    return pool_is_awake() ? MOVE_GRAIN_AWAKE : MOVE_GRAIN_BYTES;
}

/* Few bytes, often: what compilers make of a short copy of unknown size takes longer to begin. */
static inline void
cpu_copy_short(char *to, const char *from, int64_t bytes)
{
    int64_t at = 0;
    for (; at + 32 <= bytes; at += 32) {
        memcpy(to + at, from + at, 32);
    }
    for (; at + 8 <= bytes; at += 8) {
        memcpy(to + at, from + at, 8);
    }
    for (; at < bytes; at++) {
        to[at] = from[at];
    }
}

/*
 * out[...] = in[...], cast as NumPy's astype; in is broadcast to out's shape. Uses the pool
 * when large. The two must not overlap. Fails only on Ctrl-C.
 */
Status cpu_move(const Operand *out, const Operand *in);

/* The same with one item size: n elements, any strides. */
void cpu_copy_run(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n,
                  int item);

/* Integers wrap as NumPy's do, so they are added as unsigned ones. */
#define PLUS(T, a, b)                                                                              \
    _Generic((T)0,                                                                                 \
        float: (a) + (b),                                                                          \
        double: (a) + (b),                                                                         \
        float _Complex: (a) + (b),                                                                 \
        double _Complex: (a) + (b),                                                                \
        default: (T)((uint64_t)(a) + (uint64_t)(b)))

/* y[i * y_step] += x[i * x_step] for n elements; wraps for integers, `or` for bool. */
typedef void (*AddRun)(char *y, int64_t y_step, const char *x, int64_t x_step, int64_t n);
AddRun cpu_add_run(DType dtype);

/* in's strides seen through the axes of `shape`, 0 where it repeats. */
void cpu_broadcast_strides(int ndim, const Operand *in, int64_t *strides);

/* The elements of `in` in C order: in->data itself when they lie so, else a copy in memory that
 * *block (freed by the caller with mem_free and *size) names. NULL with the error set. */
char *cpu_contiguous(const Operand *in, void **block, size_t *size);

#endif
