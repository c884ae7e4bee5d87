/* backend/cpu/reduce.c -- sum, prod, min, max, any, all over any axes.
 *
 * The values that make one result are taken in the C order of the reduced axes and added in
 * the order of base/sums.h; so the bits depend on nothing else: not on strides, not on the
 * number of threads. Results whose inputs lie side by side are made together, as columns.
 */
#include "backend/cpu/access.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/reduce.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/pool.h"

#include <string.h>

enum { TASK_ELEMENTS = 32768, MAX_SIZE = 16 };

typedef struct Reduce {
    ReduceOp op;
    DType dtype;                  /* of accumulators and results */
    int size;                     /* bytes of it */
    const ReduceKernels *kernels;
    BlockKernel cast;             /* from the input's dtype, or NULL when it is the same */
    char *data;
    Access reduced;               /* the reduced axes; data is set for each result */
    Access kept;                  /* the others */
    int64_t count;                /* elements that make one result */
    int64_t chunks;               /* of SUM_CHUNK elements, at least 1 */
    int64_t results;
    int64_t columns;              /* length of the kept run that lies side by side */
    int64_t tiles;                /* tiles of that run */
    bool stops_early;             /* any, all */
    char *parts;                  /* chunks x results, or the output itself when one chunk */
} Reduce;

static bool
is_reduced(const Call *call, int axis)
{
    for (int64_t i = 0; i < call->params[1]; i++) {
        if (call->params[2 + i] == axis) {
            return true;
        }
    }
    return false;
}

/* Elements [at, at + n) of the reduced axes as contiguous accumulator values. */
static const void *
load(const Reduce *r, const Access *from, int64_t at, int64_t n, void *scratch, void *converted)
{
    bool uniform = false;
    const void *values = access_load(from, at, n, scratch, &uniform);
    if (r->cast != NULL) {
        r->cast(converted, &values, n, uniform);
        return converted;
    }
    if (uniform && n > 1) {
        cpu_fill(converted, values, r->size, n);
        return converted;
    }
    return values;
}

/* Is the result of any or all known whatever comes? */
static bool
is_decided(const Reduce *r, const uint8_t *acc)
{
    const uint8_t decisive = r->op == REDUCE_MAX;
    for (int k = 0; k < SUM_WIDTH; k++) {
        if (acc[k] == decisive) {
            return true;
        }
    }
    return false;
}

/* One chunk of one result. */
static void
reduce_chunk(const Reduce *r, const Access *from, int64_t begin, int64_t end, void *out)
{
    _Alignas(64) char scratch[ACCESS_BLOCK_BYTES], converted[ACCESS_BLOCK_BYTES];
    _Alignas(64) char acc[SUM_WIDTH * MAX_SIZE];
    if (from->contiguous && r->cast == NULL && !r->stops_early) {
        r->kernels->chunk(from->data + begin * from->size, end - begin, out);
        return;
    }
    if (from->contiguous && r->cast == NULL) {
        /* any: is there a 1; all: is there no 0 */
        const int decisive = r->op == REDUCE_MAX;
        const bool found = memchr(from->data + begin, decisive, (size_t)(end - begin)) != NULL;
        *(uint8_t *)out = (uint8_t)(found == decisive);
        return;
    }
    if (end - begin <= ACCESS_BLOCK) {
        r->kernels->chunk(load(r, from, begin, end - begin, scratch, converted), end - begin, out);
        return;
    }
    for (int64_t at = begin; at < end; at += ACCESS_BLOCK) {
        const int64_t n = end - at < ACCESS_BLOCK ? end - at : ACCESS_BLOCK;
        const void *values = load(r, from, at, n, scratch, converted);
        if (at == begin) {
            r->kernels->start(acc, SUM_WIDTH, values);
        }
        r->kernels->add(acc, values, n);
        if (r->stops_early && is_decided(r, (const uint8_t *)acc)) {
            break;
        }
    }
    r->kernels->fold(acc, out);
}

/* Where the values of a result begin. */
static inline char *
values_of(const Reduce *r, int64_t result)
{
    return r->data + (r->kept.ndim == 1 ? result * r->kept.strides[0]
                                        : access_offset(&r->kept, result));
}

/* Results of one chunk each, whose values lie side by side. */
static void
reduce_rows(const Reduce *r, int64_t begin, int64_t end)
{
    for (int64_t result = begin; result < end; result++) {
        r->kernels->chunk(values_of(r, result), r->count, r->parts + result * r->size);
    }
}

/* Tasks are (result, chunk). */
static void
reduce_inner(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Reduce *r = ctx;
    Access from = r->reduced;
    (void)thread;
    if (r->chunks == 1 && from.contiguous && r->cast == NULL && !r->stops_early) {
        reduce_rows(r, begin, end);
        return;
    }
    for (int64_t task = begin; task < end; task++) {
        const int64_t result = task / r->chunks, chunk = task % r->chunks;
        const int64_t first = chunk * SUM_CHUNK;
        const int64_t last = first + SUM_CHUNK < r->count ? first + SUM_CHUNK : r->count;
        from.data = values_of(r, result);
        reduce_chunk(r, &from, first, last, r->parts + (chunk * r->results + result) * r->size);
    }
}

/* A row of columns as contiguous accumulator values. */
static const char *
load_row(const Reduce *r, const Access *row, int64_t n, void *scratch, void *converted)
{
    return load(r, row, 0, n, scratch, converted);
}

/* One tile of columns, one chunk of rows. */
static void
reduce_tile(const Reduce *r, char *data, int64_t width, int64_t begin, int64_t end, void *out)
{
    _Alignas(64) char acc[SUM_WIDTH * REDUCE_COLUMNS * MAX_SIZE];
    _Alignas(64) char scratch[REDUCE_COLUMNS * MAX_SIZE], converted[REDUCE_COLUMNS * MAX_SIZE];
    const int last_kept = r->kept.ndim - 1;
    const int64_t column_stride = r->kept.strides[last_kept];
    const Operand operand = {.dtype = DT_bool, .ndim = 1, .shape = &width,
                             .strides = &column_stride};
    Access row;
    access_init(&row, &operand, 1, NULL);
    row.size = r->reduced.size;
    row.aligned = r->reduced.aligned && r->kept.aligned;
    row.contiguous = row.aligned && (row.ndim == 0 || column_stride == row.size);
    row.uniform = row.aligned && (row.ndim == 0 || column_stride == 0);
    const int last = r->reduced.ndim - 1;
    const int64_t run = last < 0 ? 1 : r->reduced.shape[last];
    const int64_t stride = last < 0 ? 0 : r->reduced.strides[last];
    const bool in_place = r->cast == NULL && row.contiguous;
    const int accumulators = end - begin <= SUM_FEW ? SUM_FEW : SUM_WIDTH;
    for (int64_t at = begin; at < end;) {
        const int64_t left = run - at % run;
        const int64_t rows = left < end - at ? left : end - at;
        char *from = data + access_offset(&r->reduced, at);
        for (int64_t i = 0; i < rows; i += in_place ? rows : 1) {
            row.data = from + i * stride;
            const char *values = load_row(r, &row, width, scratch, converted);
            if (at == begin && i == 0) {
                if (r->op >= REDUCE_MIN) {
                    for (int k = 0; k < accumulators; k++) {
                        memcpy(acc + k * width * r->size, values, (size_t)(width * r->size));
                    }
                } else {
                    r->kernels->start(acc, accumulators * width, NULL);
                }
            }
            r->kernels->rows(acc, values, stride, in_place ? rows : 1, width, at - begin + i);
        }
        at += rows;
    }
    r->kernels->fold_rows(acc, accumulators, width, out);
}

/* Tasks are (chunk, row of results, tile of its columns). */
static void
reduce_columns(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Reduce *r = ctx;
    const int64_t outer = r->results / r->columns;
    (void)thread;
    for (int64_t task = begin; task < end; task++) {
        const int64_t tile = task % r->tiles, rest = task / r->tiles;
        const int64_t result = rest % outer * r->columns + tile * REDUCE_COLUMNS;
        const int64_t chunk = rest / outer;
        const int64_t left = r->columns - tile * REDUCE_COLUMNS;
        const int64_t first = chunk * SUM_CHUNK;
        const int64_t last = first + SUM_CHUNK < r->count ? first + SUM_CHUNK : r->count;
        reduce_tile(r, r->data + access_offset(&r->kept, result),
                    left < REDUCE_COLUMNS ? left : REDUCE_COLUMNS, first, last,
                    r->parts + (chunk * r->results + result) * r->size);
    }
}

void
cpu_merge_chunks(const ReduceKernels *kernels, char *parts, int64_t row, int64_t results,
                 int64_t chunks)
{
    for (int64_t step = 1; step < chunks; step *= 2) {
        for (int64_t k = 0; k + step < chunks; k += 2 * step) {
            kernels->join(parts + k * row, parts + (k + step) * row, results);
        }
    }
}

/* The innermost axis of all by stride: is it kept? Then results are made as columns. */
static bool
prefers_columns(const Reduce *r)
{
    if (r->kept.ndim == 0 || r->reduced.ndim == 0 || r->stops_early) {
        return false;
    }
    const int64_t kept = r->kept.strides[r->kept.ndim - 1];
    const int64_t reduced = r->reduced.strides[r->reduced.ndim - 1];
    return (kept < 0 ? -kept : kept) < (reduced < 0 ? -reduced : reduced);
}

static Status
reduce_run(Reduce *r, char *out)
{
    const bool columns = prefers_columns(r);
    r->columns = columns ? r->kept.shape[r->kept.ndim - 1] : 1;
    r->tiles = (r->columns + REDUCE_COLUMNS - 1) / REDUCE_COLUMNS;
    int64_t bytes = 0;
    r->parts = out;
    if (r->chunks > 1) {
        if (!checked_mul_i64(r->chunks * r->size, r->results, &bytes)) {
            return err_set(ERR_MEMORY, "reduction: too many partial results");
        }
        r->parts = mem_new((size_t)bytes);
        if (r->parts == NULL) {
            return STATUS_ERROR;
        }
    }
    const int64_t each = r->count < SUM_CHUNK ? r->count : SUM_CHUNK;
    Status status;
    if (columns) {
        const int64_t width = r->columns < REDUCE_COLUMNS ? r->columns : REDUCE_COLUMNS;
        const int64_t tasks = r->results / r->columns * r->tiles * r->chunks;
        status = pool_run(tasks, TASK_ELEMENTS / (each * width) + 1, reduce_columns, r);
    } else {
        status = pool_run(r->results * r->chunks, TASK_ELEMENTS / each + 1, reduce_inner, r);
    }
    if (r->chunks > 1) {
        if (status == STATUS_OK) {
            cpu_merge_chunks(r->kernels, r->parts, r->results * r->size, r->results, r->chunks);
            memcpy(out, r->parts, (size_t)(r->results * r->size));
        }
        mem_free(r->parts, (size_t)bytes);
    }
    return status;
}

/* Nothing to reduce: every result is the identity. */
static void
fill_identity(const Call *call, int64_t results)
{
    const int64_t value = call->op == OP_prod || call->op == OP_all;
    char one[MAX_SIZE];
    const void *from = &value;
    cpu_cast_kernel(DT_i64, call->out.dtype)(one, &from, 1, 0);
    cpu_fill(call->out.data, one, dtype_size(call->out.dtype), results);
}

static Status
reduce(const Call *call, ReduceOp op, bool truth)
{
    const Operand *in = &call->in[0];
    Reduce r = {.op = op, .dtype = call->out.dtype, .size = dtype_size(call->out.dtype),
                .data = in->data, .count = 1, .results = 1, .stops_early = truth};
    int kept[ARRAY_MAX_NDIM], reduced[ARRAY_MAX_NDIM];
    int nkept = 0, nreduced = 0;
    for (int axis = 0; axis < in->ndim; axis++) {
        if (is_reduced(call, axis)) {
            reduced[nreduced++] = axis;
            r.count *= in->shape[axis];
        } else {
            kept[nkept++] = axis;
            r.results *= in->shape[axis];
        }
    }
    if (r.results == 0) {
        return STATUS_OK;
    }
    if (r.count == 0) {
        fill_identity(call, r.results);
        return STATUS_OK;
    }
    access_init(&r.reduced, in, nreduced, reduced);
    access_init(&r.kept, in, nkept, kept);
    if (!r.kept.aligned) {
        r.reduced.aligned = r.reduced.contiguous = r.reduced.uniform = false;
    }
    r.chunks = sums_chunks(r.count);
    r.kernels = cpu_reduce_kernels(op, r.dtype);
    r.cast = in->dtype == r.dtype ? NULL : cpu_cast_kernel(in->dtype, r.dtype);
    return reduce_run(&r, call->out.data);
}

Status
cpu_sum(const Call *call)
{
    return reduce(call, REDUCE_SUM, false);
}

Status
cpu_prod(const Call *call)
{
    return reduce(call, REDUCE_PROD, false);
}

Status
cpu_reduce_min(const Call *call)
{
    return reduce(call, REDUCE_MIN, false);
}

Status
cpu_reduce_max(const Call *call)
{
    return reduce(call, REDUCE_MAX, false);
}

Status
cpu_any(const Call *call)
{
    return reduce(call, REDUCE_MAX, true);
}

Status
cpu_all(const Call *call)
{
    return reduce(call, REDUCE_MIN, true);
}
