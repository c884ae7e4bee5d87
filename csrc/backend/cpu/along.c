/* backend/cpu/along.c -- take_along_axis and its transpose, one index per element. */
#include "backend/cpu/selection.h"
#include "backend/cpu/iterate.h"

#include "base/pool.h"

#include <string.h>

typedef struct Along {
    Iterate it; /* operands: the element's own place, the index, the indexed axis' start */
    char *data[3];
    int64_t size, step; /* of the indexed axis */
    int item;
    DType dtype;
} Along;

/* The loop over index's shape; `far` is the operand indexed along `axis`. */
static void
along_init(Along *along, const Operand *near, const Operand *index, const Operand *far, int axis)
{
    int64_t strides[ARRAY_MAX_NDIM];
    for (int a = 0; a < far->ndim; a++) {
        strides[a] = a == axis || far->shape[a] == 1 ? 0 : far->strides[a];
    }
    iterate_init(&along->it, index->ndim, index->shape, 3,
                 (const int64_t *[]){near->strides, index->strides, strides}, ITERATE_C_ORDER);
    along->data[0] = near->data;
    along->data[1] = index->data;
    along->data[2] = far->data;
    along->size = far->shape[axis];
    along->step = far->strides[axis];
    along->dtype = far->dtype;
    along->item = dtype_size(far->dtype);
}

static inline char *
far_place(const Along *along, char **data, const int64_t *strides, int64_t i)
{
    const int64_t at = *(const int64_t *)(data[1] + i * strides[1]);
    return data[2] + i * strides[2] + (at < 0 ? at + along->size : at) * along->step;
}

static inline void
take_items(const Along *along, char **data, const int64_t *strides, int64_t n, size_t item)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(data[0] + i * strides[0], far_place(along, data, strides, i), item);
    }
}

static void
take_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    const Along *along = ctx;
    switch (along->item) {
    case 1: take_items(along, data, strides, n, 1); break;
    case 2: take_items(along, data, strides, n, 2); break;
    case 4: take_items(along, data, strides, n, 4); break;
    case 8: take_items(along, data, strides, n, 8); break;
    default: take_items(along, data, strides, n, 16); break;
    }
}

static void
take_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    Along *along = ctx;
    iterate_run(&along->it, along->data, begin, end, take_run, along);
}

Status
cpu_take_along(const Call *call)
{
    Along along;
    const int axis = (int)call->params[0];
    const Operand *x = &call->in[0], *index = &call->in[1];
    if (index_check(index, axis, x->shape[axis]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    along_init(&along, &call->out, index, x, axis);
    if (along.it.size == 0) {
        return STATUS_OK;
    }
    return pool_run(along.it.size, MOVE_GRAIN_BYTES / (along.item + 16), take_part, &along);
}

#define DTYPE(suffix, T, name, kind, format)                                                       \
    static void put_run_##suffix(void *ctx, char **data, const int64_t *strides, int64_t n)        \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            T *y = (T *)far_place(ctx, data, strides, i);                                          \
            const T x = *(const T *)(data[0] + i * strides[0]);                                    \
            *y = kind == 'b' ? (T)(*y != 0 || x != 0) : PLUS(T, *y, x);                            \
        }                                                                                          \
    }
#include "array/dtypes.def"
#undef DTYPE

static const IterateFn put_runs[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) put_run_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

Status
cpu_put_along_add(const Call *call)
{
    Along along;
    const int axis = (int)call->params[0];
    const Operand *value = &call->in[1], *index = &call->in[2];
    if (index_check(index, axis, call->out.shape[axis]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (call->out.data != call->in[0].data && cpu_move(&call->out, &call->in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    along_init(&along, value, index, &call->out, axis);
    if (along.it.size > 0) { /* one thread: additions to one place keep their order */
        iterate_run(&along.it, along.data, 0, along.it.size, put_runs[along.dtype], &along);
    }
    return STATUS_OK;
}
