/* backend/cpu/argreduce.c -- argmin and argmax: the first of the extremes, NaN first of all. */
#include "backend/cpu/access.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/reduce.h"
#include "base/pool.h"

#include <string.h>

enum { TASK_ELEMENTS = 16384, MAX_SIZE = 16, LONG_BLOCK = 4096, POLL_BLOCKS = 256 };

typedef struct ArgReduce {
    const ReduceKernels *kernels;
    BlockKernel equal, isnan;
    BlockKernel better; /* less or greater */
    char *data;
    Access reduced, kept;
    int64_t count;
    int64_t *out;
} ArgReduce;

static bool
test(BlockKernel kernel, const void *a, const void *b)
{
    uint8_t result = 0;
    kernel(&result, (const void *[]){a, b}, 1, 0);
    return result != 0;
}

/* Index of the first value equal to `best` (to NaN when that is NaN). */
static int64_t
find(const ArgReduce *r, const char *values, int64_t n, int size, const void *best, bool nan)
{
    uint8_t hits[ACCESS_BLOCK];
    for (int64_t at = 0; at < n; at += ACCESS_BLOCK) {
        const int64_t count = n - at < ACCESS_BLOCK ? n - at : ACCESS_BLOCK;
        const void *in[2] = {values + at * size, best};
        if (nan) {
            r->isnan(hits, in, count, 0);
        } else {
            r->equal(hits, in, count, 2);
        }
        const uint8_t *hit = memchr(hits, 1, (size_t)count);
        if (hit != NULL) {
            return at + (hit - hits);
        }
    }
    return 0;
}

/* Extremes block by block; a block is searched only when it beats all before it. */
static int64_t
arg_one(const ArgReduce *r, const Access *from)
{
    _Alignas(64) char scratch[ACCESS_BLOCK_BYTES], filled[ACCESS_BLOCK_BYTES];
    char best[MAX_SIZE], here[MAX_SIZE];
    int64_t index = 0;
    const int64_t step = from->contiguous ? LONG_BLOCK : ACCESS_BLOCK;
    for (int64_t at = 0; at < r->count; at += step) {
        const int64_t n = r->count - at < step ? r->count - at : step;
        if (at / step % POLL_BLOCKS == POLL_BLOCKS - 1 && pool_interrupted()) {
            return 0;
        }
        bool uniform = false;
        const void *values = from->contiguous ? from->data + at * from->size
                                              : access_load(from, at, n, scratch, &uniform);
        if (uniform) {
            cpu_fill(filled, values, from->size, n);
            values = filled;
        }
        r->kernels->chunk(values, n, here);
        const bool nan = test(r->isnan, here, here);
        if (at == 0 || nan || test(r->better, here, best)) {
            memcpy(best, here, (size_t)from->size);
            index = at + find(r, values, n, from->size, best, nan);
        }
        if (nan) {
            break;
        }
    }
    return index;
}

static void
arg_results(void *ctx, int64_t begin, int64_t end, int thread)
{
    const ArgReduce *r = ctx;
    Access from = r->reduced;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        from.data = r->data + access_offset(&r->kept, i);
        r->out[i] = arg_one(r, &from);
    }
}

static Status
arg_reduce(const Call *call, ReduceOp op)
{
    const Operand *in = &call->in[0];
    const OpCode better = op == REDUCE_MIN ? OP_less : OP_greater;
    ArgReduce r = {.kernels = cpu_reduce_kernels(op, in->dtype),
                   .equal = cpu_row_kernel(OP_equal, in->dtype),
                   .isnan = cpu_row_kernel(OP_isnan, in->dtype),
                   .better = cpu_row_kernel(better, in->dtype),
                   .data = in->data,
                   .count = 1,
                   .out = (int64_t *)(void *)call->out.data};
    int kept[ARRAY_MAX_NDIM], reduced[ARRAY_MAX_NDIM];
    int nkept = 0, nreduced = 0;
    int64_t results = 1;
    for (int axis = 0; axis < in->ndim; axis++) {
        bool is_reduced = false;
        for (int64_t i = 0; i < call->params[1]; i++) {
            is_reduced = is_reduced || call->params[2 + i] == axis;
        }
        if (is_reduced) {
            reduced[nreduced++] = axis;
            r.count *= in->shape[axis];
        } else {
            kept[nkept++] = axis;
            results *= in->shape[axis];
        }
    }
    if (results == 0 || r.count == 0) {
        return STATUS_OK;
    }
    access_init(&r.reduced, in, nreduced, reduced);
    access_init(&r.kept, in, nkept, kept);
    if (!r.kept.aligned) {
        r.reduced.aligned = r.reduced.contiguous = r.reduced.uniform = false;
    }
    return pool_run(results, TASK_ELEMENTS / r.count + 1, arg_results, &r);
}

Status
cpu_argmin(const Call *call)
{
    return arg_reduce(call, REDUCE_MIN);
}

Status
cpu_argmax(const Call *call)
{
    return arg_reduce(call, REDUCE_MAX);
}
