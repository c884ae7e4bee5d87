/* backend/cpu/geometry.c -- reading and writing through a strided geometry, and joining.
 *
 * A geometry is [offset, ndim, shape..., strides...] in elements over C-contiguous memory. */
#include "backend/cpu/move.h"
#include "backend/cpu/iterate.h"

#include "base/mem.h"
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

typedef struct Geometry {
    Operand operand;
    int64_t strides[ARRAY_MAX_NDIM];
} Geometry;

/* The elements that `params` name in the contiguous memory at `data`. */
static void
geometry_read(Geometry *g, const int64_t *params, int nparams, char *data, DType dtype)
{
    const int64_t item = dtype_size(dtype);
    const int ndim = (int)params[1];
    assert(nparams == 2 + 2 * ndim && ndim <= ARRAY_MAX_NDIM);
    (void)nparams;
    for (int axis = 0; axis < ndim; axis++) {
        g->strides[axis] = params[2 + ndim + axis] * item;
    }
    g->operand = (Operand){data + params[0] * item, dtype, ndim, params + 2, g->strides};
    if (operand_size(&g->operand) == 0) {
        g->operand.data = data; /* the offset of no elements may point anywhere */
    }
}

Status
cpu_view(const Call *call)
{
    Geometry g;
    void *block;
    size_t size;
    char *data = cpu_contiguous(&call->in[0], &block, &size);
    if (data == NULL && size > 0) {
        return STATUS_ERROR;
    }
    geometry_read(&g, call->params, call->nparams, data, call->in[0].dtype);
    const Status status = cpu_move(&call->out, &g.operand);
    mem_free(block, size);
    return status;
}

static Status
copy_base(const Call *call)
{
    return call->out.data == call->in[0].data ? STATUS_OK : cpu_move(&call->out, &call->in[0]);
}

Status
cpu_assign(const Call *call)
{
    Geometry g;
    if (copy_base(call) != STATUS_OK) {
        return STATUS_ERROR;
    }
    geometry_read(&g, call->params, call->nparams, call->out.data, call->out.dtype);
    return cpu_move(&g.operand, &call->in[1]);
}

/* ---- adding ---- */

#define DTYPE(suffix, T, name, kind, format)                                                       \
    static void add_run_##suffix(char *out, int64_t out_step, const char *in, int64_t in_step,     \
                                 int64_t n)                                                        \
    {                                                                                              \
        if (out_step == (int64_t)sizeof(T) && in_step == (int64_t)sizeof(T) && kind != 'b') {      \
            T *restrict y = (T *)out;                                                              \
            const T *restrict x = (const T *)in;                                                   \
            for (int64_t i = 0; i < n; i++) {                                                      \
                y[i] = PLUS(T, y[i], x[i]);                                                        \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            T *y = (T *)(out + i * out_step);                                                      \
            const T x = *(const T *)(in + i * in_step);                                            \
            *y = kind == 'b' ? (T)(*y != 0 || x != 0) : PLUS(T, *y, x);                            \
        }                                                                                          \
    }
#include "array/dtypes.def"
#undef DTYPE

AddRun
cpu_add_run(DType dtype)
{
    static const AddRun runs[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) add_run_##suffix,
#include "array/dtypes.def"
#undef DTYPE
    };
    return runs[dtype];
}

typedef struct AddTask {
    Iterate it; /* operands: out, value */
    char *data[2];
    AddRun add;
} AddTask;

static void
add_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    ((const AddTask *)ctx)->add(data[0], strides[0], data[1], strides[1], n);
}

static void
add_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    AddTask *task = ctx;
    iterate_run(&task->it, task->data, begin, end, add_run, task);
}

/* Does every element of the geometry have its own place? Each stride, from the smallest up,
 * must step over everything that the smaller ones reach. */
static bool
is_injective(const Operand *g)
{
    int order[ARRAY_MAX_NDIM];
    int64_t reach = 0;
    int n = 0;
    for (int axis = 0; axis < g->ndim; axis++) {
        if (g->shape[axis] > 1) {
            int at = n++;
            for (; at > 0 && llabs(g->strides[order[at - 1]]) > llabs(g->strides[axis]); at--) {
                order[at] = order[at - 1];
            }
            order[at] = axis;
        }
    }
    for (int k = 0; k < n; k++) {
        const int64_t stride = llabs(g->strides[order[k]]);
        if (stride <= reach) {
            return false;
        }
        reach += stride * (g->shape[order[k]] - 1);
    }
    return true;
}

Status
cpu_assign_add(const Call *call)
{
    Geometry g;
    AddTask task;
    int64_t strides[ARRAY_MAX_NDIM];
    const Operand *value = &call->in[1];
    if (copy_base(call) != STATUS_OK) {
        return STATUS_ERROR;
    }
    geometry_read(&g, call->params, call->nparams, call->out.data, call->out.dtype);
    cpu_broadcast_strides(g.operand.ndim, value, strides);
    const bool free_order = is_injective(&g.operand);
    iterate_init(&task.it, g.operand.ndim, g.operand.shape, 2,
                 (const int64_t *[]){g.strides, strides},
                 free_order ? ITERATE_REORDER : ITERATE_C_ORDER);
    task.data[0] = g.operand.data;
    task.data[1] = value->data;
    task.add = cpu_add_run(call->out.dtype);
    if (task.it.size == 0) {
        return STATUS_OK;
    }
    /* Repeats are added in C order by one thread, so that the bits never change. */
    const int64_t grain = MOVE_GRAIN_BYTES / dtype_size(call->out.dtype);
    return free_order ? pool_run(task.it.size, grain, add_part, &task)
                      : pool_run_in_order(task.it.size, grain, add_part, &task);
}

Status
cpu_concatenate(const Call *call)
{
    const int axis = (int)call->params[0];
    Operand part = call->out;
    for (int k = 0; k < call->nin; k++) {
        const Operand *in = &call->in[k];
        part.shape = in->shape;
        if (cpu_move(&part, in) != STATUS_OK) {
            return STATUS_ERROR;
        }
        part.data += in->shape[axis] * call->out.strides[axis];
    }
    return STATUS_OK;
}
