/* ops/infer_move.c -- results of the primitives that move elements: views, assignment,
 * concatenation, gathers and scatters. */
#include "ops/infer_shapes.h"

#include <string.h>

enum { TEXT_SIZE = 128 };

static void
copy_spec(const Spec *in, Spec *out)
{
    out->dtype = in->dtype;
    out->ndim = in->ndim;
    memcpy(out->shape, in->shape, (size_t)in->ndim * sizeof in->shape[0]);
}

static bool
same_shape(const Spec *a, int ndim, const int64_t *shape)
{
    return a->ndim == ndim && shape_equal(ndim, a->shape, shape);
}

/* The geometry [offset, ndim, shape..., strides...] in params. */
static bool
geometry_is_whole(const int64_t *params, int nparams)
{
    return nparams >= 2 && params[1] >= 0 && params[1] <= ARRAY_MAX_NDIM &&
           nparams == 2 + 2 * params[1];
}

static Status
infer_view(const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nin != 1 || !geometry_is_whole(params, nparams)) {
        return infer_misuse(OP_view);
    }
    out->dtype = in->dtype;
    out->ndim = (int)params[1];
    memcpy(out->shape, params + 2, (size_t)out->ndim * sizeof out->shape[0]);
    return STATUS_OK;
}

static Status
infer_assign(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nin != 2 || !geometry_is_whole(params, nparams)) {
        return infer_misuse(op);
    }
    if (!same_shape(&in[1], (int)params[1], params + 2)) {
        char from[TEXT_SIZE], to[TEXT_SIZE];
        return err_set(ERR_SHAPE, "could not broadcast input array from shape %s into shape %s",
                       shape_text(in[1].ndim, in[1].shape, from, sizeof from),
                       shape_text((int)params[1], params + 2, to, sizeof to));
    }
    copy_spec(&in[0], out);
    return STATUS_OK;
}

static Status
infer_concatenate(const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nparams != 1) {
        return infer_misuse(OP_concatenate);
    }
    if (nin == 0) {
        return err_set(ERR_VALUE, "need at least one array to concatenate");
    }
    if (in[0].ndim == 0) {
        return err_set(ERR_VALUE, "zero-dimensional arrays cannot be concatenated");
    }
    int axis = 0;
    if (axis_normalise(params[0], in[0].ndim, &axis) != STATUS_OK) {
        return STATUS_ERROR;
    }
    copy_spec(&in[0], out);
    for (int i = 1; i < nin; i++) {
        if (in[i].ndim != in[0].ndim) {
            return err_set(ERR_SHAPE,
                           "all the input arrays must have same number of dimensions, but the "
                           "array at index 0 has %d dimension(s) and the array at index %d has "
                           "%d dimension(s)",
                           in[0].ndim, i, in[i].ndim);
        }
        for (int d = 0; d < in[0].ndim; d++) {
            if (d != axis && in[i].shape[d] != in[0].shape[d]) {
                return err_set(ERR_SHAPE,
                               "all the input array dimensions except for the concatenation axis "
                               "must match exactly, but along dimension %d, the array at index 0 "
                               "has size %jd and the array at index %d has size %jd",
                               d, (intmax_t)in[0].shape[d], i, (intmax_t)in[i].shape[d]);
            }
        }
        if (__builtin_add_overflow(out->shape[axis], in[i].shape[axis], &out->shape[axis])) {
            return err_set(ERR_VALUE, "array is too big");
        }
    }
    return STATUS_OK;
}

/* Shape of x[..., i0, ..., ik-1, ...] with the indices replacing k axes from `axis` on. */
static Status
gathered(OpCode op, const Spec *x, const Spec *index, int k, int64_t axis_param, Spec *out)
{
    int axis = 0;
    if (k < 1 || axis_normalise(axis_param, x->ndim, &axis) != STATUS_OK) {
        return k < 1 ? infer_misuse(op) : STATUS_ERROR;
    }
    if (axis + k > x->ndim) {
        return err_set(ERR_INDEX,
                       "too many indices for array: array is %d-dimensional, but %d were indexed",
                       x->ndim, axis + k);
    }
    for (int i = 0; i < k; i++) {
        if (!dtype_is_integer(index[i].dtype)) {
            return err_set(ERR_INDEX, "arrays used as indices must be of integer (or boolean) type");
        }
        if (!same_shape(&index[i], index[0].ndim, index[0].shape)) {
            char a[TEXT_SIZE], b[TEXT_SIZE];
            return err_set(ERR_INDEX,
                           "shape mismatch: indexing arrays could not be broadcast together with "
                           "shapes %s %s",
                           shape_text(index[0].ndim, index[0].shape, a, sizeof a),
                           shape_text(index[i].ndim, index[i].shape, b, sizeof b));
        }
    }
    if (x->ndim - k + index[0].ndim > ARRAY_MAX_NDIM) {
        return err_set(ERR_INDEX, "number of dimensions must be within [0, %d], indexing result "
                                  "would have %d",
                       ARRAY_MAX_NDIM, x->ndim - k + index[0].ndim);
    }
    out->dtype = x->dtype;
    out->ndim = 0;
    for (int d = 0; d < axis; d++) {
        out->shape[out->ndim++] = x->shape[d];
    }
    for (int d = 0; d < index[0].ndim; d++) {
        out->shape[out->ndim++] = index[0].shape[d];
    }
    for (int d = axis + k; d < x->ndim; d++) {
        out->shape[out->ndim++] = x->shape[d];
    }
    return STATUS_OK;
}

static Status
infer_scatter(OpCode op, const Spec *in, int nin, const int64_t *params, Spec *out)
{
    Spec place;
    if (gathered(op, &in[0], in + 2, nin - 2, params[0], &place) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (!same_shape(&in[1], place.ndim, place.shape)) {
        char value[TEXT_SIZE], result[TEXT_SIZE];
        return err_set(ERR_SHAPE,
                       "shape mismatch: value array of shape %s could not be broadcast to "
                       "indexing result of shape %s",
                       shape_text(in[1].ndim, in[1].shape, value, sizeof value),
                       shape_text(place.ndim, place.shape, result, sizeof result));
    }
    copy_spec(&in[0], out);
    return STATUS_OK;
}

/* take_along (x, index) and put_along_add (base, value, index): other axes must be equal. */
static Status
infer_along(OpCode op, const Spec *in, int nin, const int64_t *params, Spec *out)
{
    const Spec *index = &in[nin - 1];
    int axis = 0;
    if (nin != op_info(op)->nin) {
        return infer_misuse(op);
    }
    if (!dtype_is_integer(index->dtype)) {
        return err_set(ERR_INDEX, "`indices` must be an integer array");
    }
    if (index->ndim != in[0].ndim) {
        return err_set(ERR_VALUE, "`indices` and `arr` must have the same number of dimensions");
    }
    if (axis_normalise(params[0], in[0].ndim, &axis) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int d = 0; d < index->ndim; d++) {
        if (d != axis && index->shape[d] != in[0].shape[d]) {
            char a[TEXT_SIZE], b[TEXT_SIZE];
            return err_set(ERR_INDEX,
                           "shape mismatch: indexing arrays could not be broadcast together with "
                           "shapes %s %s",
                           shape_text(in[0].ndim, in[0].shape, a, sizeof a),
                           shape_text(index->ndim, index->shape, b, sizeof b));
        }
    }
    if (op == OP_put_along_add) {
        if (!same_shape(&in[1], index->ndim, index->shape)) {
            return err_set(ERR_SHAPE, "put_along_axis: values and indices differ in shape");
        }
        copy_spec(&in[0], out);
        return STATUS_OK;
    }
    copy_spec(index, out);
    out->dtype = in[0].dtype;
    return STATUS_OK;
}

Status
infer_move(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    switch (op) {
    case OP_view:
        return infer_view(in, nin, params, nparams, out);
    case OP_assign:
    case OP_assign_add:
        return infer_assign(op, in, nin, params, nparams, out);
    case OP_concatenate:
        return infer_concatenate(in, nin, params, nparams, out);
    default:
        break;
    }
    if (nparams != 1 || nin < 2) {
        return infer_misuse(op);
    }
    switch (op) {
    case OP_gather:
        return gathered(op, &in[0], in + 1, nin - 1, params[0], out);
    case OP_scatter:
    case OP_scatter_add:
        return infer_scatter(op, in, nin, params, out);
    default:
        return infer_along(op, in, nin, params, out);
    }
}
