/* backend/cpu/kernels/reduce.h -- loops of reductions and scans, in the order of base/sums.h. */
#ifndef PYARR_BACKEND_CPU_KERNELS_REDUCE_H
#define PYARR_BACKEND_CPU_KERNELS_REDUCE_H

#include "backend/backend.h"
#include "base/sums.h"

typedef enum ReduceOp { REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX, REDUCE_COUNT } ReduceOp;

/* Columns that are reduced side by side: SUM_WIDTH accumulators for each stay in the cache. Of
 * at most SUM_FEW values the other accumulators, which hold 0 or 1, are left out. */
enum { REDUCE_COLUMNS = 64, SUM_FEW = 8 };

/*
 * For one operation and dtype, which is that of values and accumulators alike. An accumulator
 * is SUM_WIDTH elements; for columns SUM_WIDTH rows of `width` elements.
 */
typedef struct ReduceKernels {
    /* `count` elements: 0, 1, or for min and max *first */
    void (*start)(void *acc, int64_t count, const void *first);
    /* n values; only the last call for an accumulator may have an n that SUM_WIDTH does not
     * divide */
    void (*add)(void *acc, const void *x, int64_t n);
    void (*fold)(void *acc, void *out);
    /* start, add and fold: n >= 1 values, at most SUM_CHUNK */
    void (*chunk)(const void *x, int64_t n, void *out);
    /* rows first, first + 1, ... of a chunk, each `width` columns */
    void (*rows)(void *acc, const char *x, int64_t row_stride, int64_t nrows, int64_t width,
                 int64_t first);
    /* `count` rows of accumulators: SUM_WIDTH, or SUM_FEW where no more rows were added */
    void (*fold_rows)(void *acc, int64_t count, int64_t width, void *out);
    /* a[i] = a[i] joined with b[i] */
    void (*join)(void *a, const void *b, int64_t n);
    /* running results, starting from *carry, which is brought up to date; from the end on when
     * reverse */
    void (*scan)(void *out, const void *x, int64_t n, bool reverse, void *carry);
    /* add as a step of a block, whose result is the accumulator; the same of the products of two
     * inputs, each rounded, where the dtype has that. Of sums only; no input is uniform. */
    BlockKernel step, products_step;
} ReduceKernels;

/* NULL members where the dtype has no such loop (sums of narrow integers). */
const ReduceKernels *cpu_reduce_kernels(ReduceOp op, DType dtype);

/* `results` elements of each chunk, whose rows are so many bytes apart, into those of the first row,
 * as a binary tree. */
void cpu_merge_chunks(const ReduceKernels *kernels, char *parts, int64_t row, int64_t results,
                      int64_t chunks);

#endif
