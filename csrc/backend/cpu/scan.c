/* backend/cpu/scan.c -- cumsum and cumprod along an axis, forwards or backwards. */
#include "backend/cpu/access.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/reduce.h"
#include "base/pool.h"

#include <string.h>

enum { TASK_ELEMENTS = 16384, MAX_SIZE = 16, POLL_BLOCKS = 256 };

typedef struct Scan {
    const ReduceKernels *kernels;
    BlockKernel cast; /* NULL when the input has the result's dtype */
    const Operand *in;
    char *out;
    int size;
    bool reverse;
    int64_t length;  /* of the scanned axis */
    int64_t inner;   /* results side by side: elements after the axis */
    int64_t tiles;   /* of up to ACCESS_BLOCK of them */
    Access outer;    /* axes before the scanned one */
    Access along;    /* the scanned axis */
    Access after;    /* axes after it */
} Scan;

static const void *
load(const Scan *s, const Access *from, int64_t at, int64_t n, void *scratch, void *converted)
{
    bool uniform = false;
    const void *values = access_load(from, at, n, scratch, &uniform);
    if (s->cast != NULL) {
        s->cast(converted, &values, n, uniform);
        return converted;
    }
    if (uniform && n > 1) {
        cpu_fill(converted, values, s->size, n);
        return converted;
    }
    return values;
}

/* The scanned axis is the last one: runs of it, block by block. */
static void
scan_runs(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Scan *s = ctx;
    _Alignas(64) char scratch[ACCESS_BLOCK_BYTES], converted[ACCESS_BLOCK_BYTES];
    (void)thread;
    for (int64_t run = begin; run < end; run++) {
        char carry[MAX_SIZE];
        Access from = s->along;
        char *out = s->out + run * s->length * s->size;
        from.data = s->in->data + access_offset(&s->outer, run);
        s->kernels->start(carry, 1, NULL);
        for (int64_t done = 0; done < s->length; done += ACCESS_BLOCK) {
            if (done / ACCESS_BLOCK % POLL_BLOCKS == POLL_BLOCKS - 1 && pool_interrupted()) {
                return;
            }
            const int64_t n = s->length - done < ACCESS_BLOCK ? s->length - done : ACCESS_BLOCK;
            const int64_t at = s->reverse ? s->length - done - n : done;
            const void *values = load(s, &from, at, n, scratch, converted);
            s->kernels->scan(out + at * s->size, values, n, s->reverse, carry);
        }
    }
}

/* Rows are added to the row before them, a tile of columns at a time. */
static void
scan_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Scan *s = ctx;
    _Alignas(64) char scratch[ACCESS_BLOCK_BYTES], converted[ACCESS_BLOCK_BYTES];
    (void)thread;
    for (int64_t task = begin; task < end; task++) {
        const int64_t outer = task / s->tiles, column = task % s->tiles * ACCESS_BLOCK;
        const int64_t left = s->inner - column;
        const int64_t width = left < ACCESS_BLOCK ? left : ACCESS_BLOCK;
        char *base = s->in->data + access_offset(&s->outer, outer);
        char *out = s->out + (outer * s->length * s->inner + column) * s->size;
        char *before = NULL;
        for (int64_t i = 0; i < s->length; i++) {
            const int64_t at = s->reverse ? s->length - 1 - i : i;
            if (i % POLL_BLOCKS == POLL_BLOCKS - 1 && pool_interrupted()) {
                return;
            }
            Access from = s->after;
            from.data = base + access_offset(&s->along, at);
            char *row = out + at * s->inner * s->size;
            const void *values = load(s, &from, column, width, scratch, converted);
            if (before == NULL) {
                memcpy(row, values, (size_t)(width * s->size));
            } else {
                memcpy(row, before, (size_t)(width * s->size));
                s->kernels->join(row, values, width);
            }
            before = row;
        }
    }
}

static Status
scan(const Call *call, ReduceOp op)
{
    const Operand *in = &call->in[0];
    const DType dtype = call->out.dtype;
    const int axis = (int)(call->params[0] < 0 ? call->params[0] + in->ndim : call->params[0]);
    Scan s = {.kernels = cpu_reduce_kernels(op, dtype),
              .cast = in->dtype == dtype ? NULL : cpu_cast_kernel(in->dtype, dtype),
              .in = in,
              .out = call->out.data,
              .size = dtype_size(dtype),
              .reverse = call->params[1] != 0,
              .length = in->shape[axis],
              .inner = 1};
    int order[ARRAY_MAX_NDIM];
    int64_t outer = 1;
    for (int d = 0; d < in->ndim; d++) {
        order[d] = d;
        outer *= d < axis ? in->shape[d] : 1;
        s.inner *= d > axis ? in->shape[d] : 1;
    }
    if (outer * s.inner * s.length == 0) {
        return STATUS_OK;
    }
    access_init(&s.outer, in, axis, order);
    access_init(&s.along, in, 1, order + axis);
    access_init(&s.after, in, in->ndim - axis - 1, order + axis + 1);
    const bool aligned = s.outer.aligned && s.along.aligned && s.after.aligned;
    s.along.aligned = s.after.aligned = aligned;
    s.along.contiguous = s.along.contiguous && aligned;
    s.along.uniform = s.along.uniform && aligned;
    s.after.contiguous = s.after.contiguous && aligned;
    s.after.uniform = s.after.uniform && aligned;
    if (s.inner == 1) {
        return pool_run(outer, TASK_ELEMENTS / s.length + 1, scan_runs, &s);
    }
    s.tiles = (s.inner + ACCESS_BLOCK - 1) / ACCESS_BLOCK;
    const int64_t width = s.inner < ACCESS_BLOCK ? s.inner : ACCESS_BLOCK;
    return pool_run(outer * s.tiles, TASK_ELEMENTS / (s.length * width) + 1, scan_rows, &s);
}

Status
cpu_cumsum(const Call *call)
{
    return scan(call, REDUCE_SUM);
}

Status
cpu_cumprod(const Call *call)
{
    return scan(call, REDUCE_PROD);
}
