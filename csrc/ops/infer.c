/* ops/infer.c -- shape and dtype of a result: elementwise rows, reductions, scans, the rest. */
#include "ops/infer_shapes.h"

#include <string.h>

Status
infer_misuse(OpCode op)
{
    return err_set(ERR_VALUE, "%s: wrong number of inputs or parameters", op_info(op)->name);
}

static Status
infer_elementwise(OpCode op, const Spec *in, int nin, Spec *out)
{
    DType dtypes[3], in_dtypes[3], loop = DT_bool;
    Weak weak[3];
    int ndims[3];
    const int64_t *shapes[3];
    if (nin != op_info(op)->nin) {
        return infer_misuse(op);
    }
    for (int i = 0; i < nin; i++) {
        dtypes[i] = in[i].dtype;
        weak[i] = in[i].weak;
        ndims[i] = in[i].ndim;
        shapes[i] = in[i].shape;
    }
    DType dtype = DT_bool;
    if (op_resolve(op, dtypes, weak, nin, false, &loop, in_dtypes, &dtype) != STATUS_OK ||
        shape_broadcast(nin, ndims, shapes, &out->ndim, out->shape) != STATUS_OK) {
        return STATUS_ERROR;
    }
    out->dtype = dtype;
    return STATUS_OK;
}

/* sum, prod and their scans widen integers to 64 bits. */
static DType
widened(DType dtype)
{
    if (dtype >= DT_f32) {
        return dtype;
    }
    return dtype >= DT_u8 ? DT_u64 : DT_i64;
}

static DType
reduced_dtype(OpCode op, DType dtype)
{
    switch (op) {
    case OP_sum:
    case OP_prod:
        return widened(dtype);
    case OP_any:
    case OP_all:
        return DT_bool;
    case OP_argmin:
    case OP_argmax:
        return DT_i64;
    default:
        return dtype;
    }
}

/* A reduction without identity over nothing, while there are results to fill. */
static Status
check_identity(OpCode op, const Spec *in, const bool *reduced)
{
    bool empty = false;
    bool wanted = true;
    for (int i = 0; i < in->ndim; i++) {
        empty = empty || (reduced[i] && in->shape[i] == 0);
        wanted = wanted && (reduced[i] || in->shape[i] != 0);
    }
    if (!empty || !wanted) {
        return STATUS_OK;
    }
    switch (op) {
    case OP_reduce_min:
        return err_set(ERR_VALUE, "zero-size array to reduction operation minimum which has no "
                                  "identity");
    case OP_reduce_max:
        return err_set(ERR_VALUE, "zero-size array to reduction operation maximum which has no "
                                  "identity");
    case OP_argmin:
    case OP_argmax:
        return err_set(ERR_VALUE, "attempt to get %s of an empty sequence", op_info(op)->name);
    default:
        return STATUS_OK;
    }
}

static Status
infer_reduce(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nin != 1 || nparams < 2 || nparams != 2 + params[1]) {
        return infer_misuse(op);
    }
    const bool keepdims = params[0] != 0;
    bool reduced[ARRAY_MAX_NDIM] = {false};
    for (int64_t i = 0; i < params[1]; i++) {
        int axis = 0;
        if (axis_normalise(params[2 + i], in->ndim, &axis) != STATUS_OK) {
            return STATUS_ERROR;
        }
        if (reduced[axis]) {
            return err_set(ERR_VALUE, "duplicate value in 'axis'");
        }
        reduced[axis] = true;
    }
    if (check_identity(op, in, reduced) != STATUS_OK) {
        return STATUS_ERROR;
    }
    out->dtype = reduced_dtype(op, in->dtype);
    out->ndim = 0;
    for (int i = 0; i < in->ndim; i++) {
        if (!reduced[i]) {
            out->shape[out->ndim++] = in->shape[i];
        } else if (keepdims) {
            out->shape[out->ndim++] = 1;
        }
    }
    return STATUS_OK;
}

static void
same_as(const Spec *in, DType dtype, Spec *out)
{
    out->dtype = dtype;
    out->ndim = in->ndim;
    memcpy(out->shape, in->shape, (size_t)in->ndim * sizeof in->shape[0]);
}

/* cumsum, cumprod, sort, argsort: [axis, flag] and the shape of the input. */
static Status
infer_scan(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    int axis = 0;
    if (nin != 1 || nparams != 2) {
        return infer_misuse(op);
    }
    if (axis_normalise(params[0], in->ndim, &axis) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const bool scan = op == OP_cumsum || op == OP_cumprod;
    same_as(in, op == OP_argsort ? DT_i64 : scan ? widened(in->dtype) : in->dtype, out);
    return STATUS_OK;
}

static Status
infer_searchsorted(const Spec *in, int nin, int nparams, Spec *out)
{
    if (nin != 2 || nparams != 1) {
        return infer_misuse(OP_searchsorted);
    }
    if (in[0].ndim != 1) {
        return err_set(ERR_VALUE, "object of too small depth for desired array");
    }
    if (in[0].dtype != in[1].dtype) {
        return err_set(ERR_TYPE, "searchsorted: dtypes %s and %s must be equal",
                       dtype_info(in[0].dtype)->name, dtype_info(in[1].dtype)->name);
    }
    same_as(&in[1], DT_i64, out);
    return STATUS_OK;
}

static Status
infer_nonzero(const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nin != 1 || nparams != 1) {
        return infer_misuse(OP_nonzero);
    }
    out->dtype = DT_i64;
    out->ndim = 2;
    out->shape[0] = params[0];
    out->shape[1] = in->ndim;
    return STATUS_OK;
}

static Status
infer_host_call(const int64_t *params, int nparams, Spec *out)
{
    if (nparams < 3 || params[1] < 0 || params[1] >= DTYPE_COUNT || params[2] < 0 ||
        params[2] > ARRAY_MAX_NDIM || nparams != 3 + params[2]) {
        return infer_misuse(OP_host_call);
    }
    out->dtype = (DType)params[1];
    out->ndim = (int)params[2];
    memcpy(out->shape, params + 3, (size_t)out->ndim * sizeof out->shape[0]);
    return STATUS_OK;
}

static Status
infer_primitive(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    switch (op) {
    case OP_copy:
        if (nin != 1) {
            return infer_misuse(op);
        }
        same_as(in, in->dtype, out);
        return STATUS_OK;
    case OP_cast:
        if (nin != 1 || nparams != 1 || params[0] < 0 || params[0] >= DTYPE_COUNT) {
            return infer_misuse(op);
        }
        same_as(in, (DType)params[0], out);
        return STATUS_OK;
    case OP_sum:
    case OP_prod:
    case OP_reduce_min:
    case OP_reduce_max:
    case OP_any:
    case OP_all:
    case OP_argmin:
    case OP_argmax:
        return infer_reduce(op, in, nin, params, nparams, out);
    case OP_cumsum:
    case OP_cumprod:
    case OP_sort:
    case OP_argsort:
        return infer_scan(op, in, nin, params, nparams, out);
    case OP_searchsorted:
        return infer_searchsorted(in, nin, nparams, out);
    case OP_nonzero:
        return infer_nonzero(in, nin, params, nparams, out);
    case OP_host_call:
        return infer_host_call(params, nparams, out);
    case OP_view:
    case OP_assign:
    case OP_assign_add:
    case OP_concatenate:
    case OP_gather:
    case OP_scatter:
    case OP_scatter_add:
    case OP_take_along:
    case OP_put_along_add:
        return infer_move(op, in, nin, params, nparams, out);
    default:
        return infer_matrix(op, in, nin, params, nparams, out);
    }
}

Status
op_infer(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    Spec result; /* out may be one of the inputs */
    result.weak = WEAK_NONE;
    const Status status = op_is_elementwise(op)
                              ? infer_elementwise(op, in, nin, &result)
                              : infer_primitive(op, in, nin, params, nparams, &result);
    if (status != STATUS_OK) {
        return STATUS_ERROR;
    }
    out->dtype = result.dtype;
    out->weak = result.weak;
    out->ndim = result.ndim;
    memcpy(out->shape, result.shape, (size_t)result.ndim * sizeof result.shape[0]);
    return STATUS_OK;
}
