/* backend/cpu/selection.c -- index arrays: bounds, and the places they address. */
#include "backend/cpu/selection.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/iterate.h"
#include "base/pool.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum { CHECK_GRAIN = 64 * 1024 }; /* indices that one thread looks at at once */

typedef struct Bounds {
    const Operand *index;
    const Iterate *it;
    int64_t size;
    int64_t bad; /* the first that is outside, by find_run */
    bool found;
    atomic_bool outside;
} Bounds;

static void
check_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    Bounds *bounds = ctx;
    uint64_t outside = 0; /* its sign tells: no branch in the loop, nearly always all are fine */
    const int64_t size = bounds->size;
    const uint64_t low = (uint64_t)size, high = (uint64_t)size - 1;
    if (strides[0] == (int64_t)sizeof(int64_t)) {
        const uint64_t *index = (const uint64_t *)data[0];
        for (int64_t i = 0; i < n; i++) {
            outside |= (index[i] + low) | (high - index[i]);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            const uint64_t at = *(const uint64_t *)(data[0] + i * strides[0]);
            outside |= (at + low) | (high - at);
        }
    }
    if (outside >> 63 != 0) {
        atomic_store(&bounds->outside, true);
    }
}

static void
find_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    Bounds *bounds = ctx;
    for (int64_t i = 0; !bounds->found && i < n; i++) {
        const int64_t at = *(const int64_t *)(data[0] + i * strides[0]);
        if (at < -bounds->size || at >= bounds->size) {
            bounds->bad = at;
            bounds->found = true;
        }
    }
}

static void
check_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    Bounds *bounds = ctx;
    (void)thread;
    iterate_run(bounds->it, &bounds->index->data, begin, end, check_run, bounds);
}

Status
index_check(const Operand *index, int axis, int64_t size)
{
    Iterate it;
    Bounds bounds = {.index = index, .it = &it, .size = size};
    assert(index->dtype == DT_i64);
    iterate_init(&it, index->ndim, index->shape, 1, &index->strides, ITERATE_C_ORDER);
    if (pool_run(it.size, CHECK_GRAIN, check_part, &bounds) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (!atomic_load(&bounds.outside)) {
        return STATUS_OK;
    }
    iterate_run(&it, &index->data, 0, it.size, find_run, &bounds);
    return err_set(ERR_INDEX, "index %jd is out of bounds for axis %d with size %jd",
                   (intmax_t)bounds.bad, axis, (intmax_t)size);
}

void
selection_init(Selection *s, const Operand *target, const Operand *index, int k, int axis)
{
    assert(0 <= axis && axis + k <= target->ndim);
    s->k = k;
    s->axis = axis;
    s->index = index;
    s->n = k == 0 ? 1 : operand_size(&index[0]);
    s->sizes = target->shape + axis;
    s->strides = target->strides + axis;
    s->outer = 1;
    for (int a = 0; a < axis; a++) {
        s->outer *= target->shape[a];
    }
    s->inner = (Operand){target->data, target->dtype, target->ndim - axis - k,
                         target->shape + axis + k, target->strides + axis + k};
    s->inner_size = operand_size(&s->inner);
    s->inner_flat = operand_is_contiguous(&s->inner);
}

Status
selection_check(const Selection *s)
{
    for (int j = 0; j < s->k; j++) {
        if (index_check(&s->index[j], s->axis + j, s->sizes[j]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

Status
cpu_check_indices(const Call *call)
{
    const int first = op_first_index(call->op), axis = (int)call->params[0];
    if (call->op == OP_take_along || call->op == OP_put_along_add) {
        return index_check(&call->in[first], axis, call->in[0].shape[axis]);
    }
    Selection s;
    selection_init(&s, &call->in[0], &call->in[first], call->nin - first, axis);
    return selection_check(&s);
}

void
selection_offsets(const Selection *s, int64_t begin, int64_t end, int64_t *out)
{
    int64_t block[SELECTION_BLOCK];
    const int64_t n = end - begin;
    assert(n <= SELECTION_BLOCK);
    if (s->k == 0) {
        memset(out, 0, (size_t)n * sizeof *out);
    }
    for (int j = 0; j < s->k; j++) {
        const Operand *index = &s->index[j];
        const int64_t size = s->sizes[j], stride = s->strides[j];
        const int64_t *at = (const int64_t *)index->data + begin;
        if (!operand_is_contiguous(index)) {
            iterate_pack(index, begin, end, block);
            at = block;
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t place = (at[i] < 0 ? at[i] + size : at[i]) * stride;
            out[i] = j == 0 ? place : out[i] + place;
        }
    }
}

int64_t
selection_outer_offset(const Selection *s, const Operand *operand, int64_t o)
{
    int64_t offset = 0;
    for (int axis = s->axis - 1; axis >= 0; axis--) {
        offset += o % operand->shape[axis] * operand->strides[axis];
        o /= operand->shape[axis];
    }
    return offset;
}
