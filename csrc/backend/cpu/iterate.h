/* backend/cpu/iterate.h -- loops over several strided operands of one shape.
 *
 *     Iterate it;
 *     iterate_init(&it, ndim, shape, 2, strides, ITERATE_REORDER);
 *     iterate_run(&it, data, 0, it.size, add_run, &ctx);
 *
 * Neighbouring axes that every operand walks in one stride are merged, axes of size 1 are
 * dropped, so an all-contiguous (or scalar) loop is one run. Nothing allocates or fails.
 */
#ifndef PYARR_BACKEND_CPU_ITERATE_H
#define PYARR_BACKEND_CPU_ITERATE_H

#include "backend/backend.h"

enum { ITERATE_MAX_OPERANDS = 128 };

enum IterateFlags {
    ITERATE_C_ORDER = 0,     /* elements are met in C order of `shape` */
    ITERATE_REORDER = 1 << 0 /* axes may be swapped and reversed: small strides innermost,
                              * operand 0 (pass the output there) decides first */
};

/* About 64 KiB, of which only the rows of existing axes are touched: lives on the stack. */
typedef struct Iterate {
    int ndim;      /* merged axes, at least 1; the last one is the run */
    int nop;
    int64_t size;  /* elements in all; 0 when any axis is empty */
    int64_t inner; /* elements in a run: shape[ndim - 1] */
    int64_t shape[ARRAY_MAX_NDIM];
    int64_t start[ITERATE_MAX_OPERANDS]; /* bytes to add to each pointer (reversed axes) */
    int64_t strides[ARRAY_MAX_NDIM][ITERATE_MAX_OPERANDS]; /* [axis][operand], bytes */
} Iterate;

/*
 * Prepare a loop over `shape` for `nop` (1..ITERATE_MAX_OPERANDS) operands; strides[k][axis]
 * in bytes, 0 where operand k repeats. strides[k] may be NULL: operand k is one element.
 */
void iterate_init(Iterate *it, int ndim, const int64_t *shape, int nop,
                  const int64_t *const *strides, unsigned flags);

/* One run: n elements, element i of operand k at data[k] + i * strides[k]. data[k] may be
 * changed by the function. */
typedef void (*IterateFn)(void *ctx, char **data, const int64_t *strides, int64_t n);

/*
 * Call fn for the runs that make up elements [begin, end) in the loop's own order; the first
 * and last run are cut. data[k] is operand k's first element. Ranges may run in parallel.
 */
void iterate_run(const Iterate *it, char *const *data, int64_t begin, int64_t end, IterateFn fn,
                 void *ctx);

/* True when the whole loop is one run in which operand k advances by `step` bytes. */
static inline bool
iterate_is_flat(const Iterate *it, int k, int64_t step)
{
    return it->ndim == 1 && it->strides[0][k] == step;
}

/*
 * Copy elements [begin, end), counted in C order of `operand`, into contiguous memory (pack)
 * or out of it (unpack). For blocks of programs whose inputs have short runs.
 */
void iterate_pack(const Operand *operand, int64_t begin, int64_t end, void *out);
void iterate_unpack(const Operand *operand, int64_t begin, int64_t end, const void *in);

/* Elements of an operand, and whether they lie in C order without gaps. */
int64_t operand_size(const Operand *operand);
bool operand_is_contiguous(const Operand *operand);

#endif
