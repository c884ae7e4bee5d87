/* array/view.c -- arrays that share another array's bytes: indexing, axes, broadcasting. */
#include "array/view.h"
#include "array/header.h"

#include <assert.h>

/* A header of `ndim` axes over a's bytes from its first element; geometry to be filled in. */
static Array *
share(const Array *a, int ndim)
{
    Array *v = array_new_header((DType)a->dtype, ndim);
    if (v == NULL) {
        return NULL;
    }
    v->weak = a->weak;
    v->readonly = a->readonly || a->is_scalar || a->storage->readonly;
    v->offset = a->offset;
    v->size = a->size;
    v->storage = storage_retain(a->storage);
    return v;
}

static void
copy_axis(Array *v, int to, const Array *a, int from)
{
    v->shape[to] = a->shape[from];
    v->strides[to] = a->strides[from];
}

static void
count_elements(Array *v)
{
    v->size = 1;
    for (int axis = 0; axis < v->ndim; axis++) {
        v->size *= v->shape[axis];
    }
}

Array *
view_alias(const Array *a)
{
    Array *v = share(a, a->ndim);
    for (int axis = 0; v != NULL && axis < a->ndim; axis++) {
        copy_axis(v, axis, a, axis);
    }
    return v;
}

Array *
view_index(const Array *a, int axis, int64_t index)
{
    assert(0 <= axis && axis < a->ndim);
    const int64_t size = a->shape[axis];
    const int64_t at = index < 0 ? index + size : index;
    if (at < 0 || at >= size) {
        return err_null(ERR_INDEX, "index %jd is out of bounds for axis %d with size %jd",
                        (intmax_t)index, axis, (intmax_t)size);
    }
    Array *v = share(a, a->ndim - 1);
    if (v == NULL) {
        return NULL;
    }
    for (int k = 0; k < v->ndim; k++) {
        copy_axis(v, k, a, k < axis ? k : k + 1);
    }
    v->offset += at * a->strides[axis];
    v->size = a->size / size;
    return v;
}

Array *
view_slice(const Array *a, int axis, int64_t start, int64_t step, int64_t count)
{
    assert(0 <= axis && axis < a->ndim && count >= 0);
    assert(count == 0 || (0 <= start && start < a->shape[axis]));
    Array *v = view_alias(a);
    if (v == NULL) {
        return NULL;
    }
    v->shape[axis] = count;
    if (count > 0) {
        v->offset += start * a->strides[axis];
    }
    if (count > 1) { /* a step that is never made may be too long to multiply */
        v->strides[axis] = step * a->strides[axis];
    }
    count_elements(v);
    return v;
}

Array *
view_transpose(const Array *a, const int *axes)
{
    bool seen[ARRAY_MAX_NDIM] = {false};
    for (int k = 0; axes != NULL && k < a->ndim; k++) {
        assert(0 <= axes[k] && axes[k] < a->ndim);
        if (seen[axes[k]]) {
            return err_null(ERR_VALUE, "repeated axis in transpose");
        }
        seen[axes[k]] = true;
    }
    Array *v = share(a, a->ndim);
    for (int k = 0; v != NULL && k < a->ndim; k++) {
        copy_axis(v, k, a, axes == NULL ? a->ndim - 1 - k : axes[k]);
    }
    return v;
}

Array *
view_expand(const Array *a, int axis)
{
    assert(0 <= axis && axis <= a->ndim);
    Array *v = share(a, a->ndim + 1);
    if (v == NULL) {
        return NULL;
    }
    for (int k = 0; k < a->ndim; k++) {
        copy_axis(v, k < axis ? k : k + 1, a, k);
    }
    v->shape[axis] = 1;
    v->strides[axis] = 0;
    return v;
}

Array *
view_squeeze(const Array *a, int naxes, const int *axes)
{
    bool drop[ARRAY_MAX_NDIM] = {false};
    int ndim = 0;
    for (int k = 0; k < naxes; k++) {
        assert(0 <= axes[k] && axes[k] < a->ndim);
        if (a->shape[axes[k]] != 1) {
            return err_null(ERR_VALUE, "cannot select an axis to squeeze out which has size not "
                                       "equal to one");
        }
        drop[axes[k]] = true;
    }
    for (int axis = 0; axis < a->ndim; axis++) {
        drop[axis] = drop[axis] || (naxes < 0 && a->shape[axis] == 1);
        ndim += !drop[axis];
    }
    Array *v = share(a, ndim);
    if (v == NULL) {
        return NULL;
    }
    for (int axis = 0, k = 0; axis < a->ndim; axis++) {
        if (!drop[axis]) {
            copy_axis(v, k++, a, axis);
        }
    }
    return v;
}

Array *
view_broadcast(const Array *a, int ndim, const int64_t *shape)
{
    char from[200], to[200];
    const int extra = ndim - a->ndim;
    bool fits = extra >= 0;
    for (int k = 0; fits && k < a->ndim; k++) {
        fits = a->shape[k] == 1 || a->shape[k] == shape[extra + k];
    }
    if (!fits) {
        return err_null(ERR_SHAPE, "could not broadcast an array of shape %s to shape %s",
                        shape_text(a->ndim, a->shape, from, sizeof from),
                        shape_text(ndim, shape, to, sizeof to));
    }
    int64_t strides[ARRAY_MAX_NDIM];
    if (ndim <= ARRAY_MAX_NDIM && shape_strides(ndim, shape, 1, strides) < 0) {
        return NULL;
    }
    Array *v = share(a, ndim);
    if (v == NULL) {
        return NULL;
    }
    for (int k = 0; k < ndim; k++) {
        const bool repeats = k < extra || a->shape[k - extra] != shape[k];
        v->shape[k] = shape[k];
        v->strides[k] = repeats ? 0 : a->strides[k - extra];
    }
    v->readonly = true; /* elements may be shared: writing one would write several */
    count_elements(v);
    return v;
}

Array *
view_diagonal(const Array *a, int64_t offset, int axis1, int axis2)
{
    assert(0 <= axis1 && axis1 < a->ndim && 0 <= axis2 && axis2 < a->ndim);
    if (axis1 == axis2) {
        return err_null(ERR_VALUE, "axis1 and axis2 cannot be the same");
    }
    Array *v = share(a, a->ndim - 1);
    if (v == NULL) {
        return NULL;
    }
    int k = 0;
    for (int axis = 0; axis < a->ndim; axis++) {
        if (axis != axis1 && axis != axis2) {
            copy_axis(v, k++, a, axis);
        }
    }
    int64_t rows = a->shape[axis1];
    int64_t columns = a->shape[axis2];
    if (offset < 0) {
        rows = offset > -rows ? rows + offset : 0;
    } else {
        columns = offset < columns ? columns - offset : 0;
    }
    v->shape[k] = rows < columns ? rows : columns;
    v->strides[k] = a->strides[axis1] + a->strides[axis2];
    if (v->shape[k] > 0) {
        v->offset += offset >= 0 ? offset * a->strides[axis2] : -offset * a->strides[axis1];
    }
    count_elements(v);
    return v;
}

/* The parts of a complex array as an array of reals, `shift` bytes into each element. */
static Array *
view_part(const Array *a, int64_t shift)
{
    assert(dtype_is_complex((DType)a->dtype));
    Array *v = view_alias(a);
    if (v != NULL) {
        v->dtype = (uint8_t)dtype_real((DType)a->dtype);
        v->weak = WEAK_NONE;
        v->offset += a->size > 0 ? shift : 0;
    }
    return v;
}

Array *
view_real(const Array *a)
{
    return view_part(a, 0);
}

Array *
view_imag(const Array *a)
{
    return view_part(a, dtype_size((DType)a->dtype) / 2);
}

/* v itself, or NULL with ERR_VALUE and v released when elements would be misaligned. */
static Array *
check_aligned(Array *v)
{
    const int64_t size = dtype_size((DType)v->dtype);
    const int64_t align = dtype_is_complex((DType)v->dtype) ? size / 2 : size;
    bool aligned = ((int64_t)(uintptr_t)v->storage->data + v->offset) % align == 0;
    for (int axis = 0; axis < v->ndim; axis++) {
        aligned = aligned && (v->shape[axis] < 2 || v->strides[axis] % align == 0);
    }
    if (aligned || v->size == 0) {
        return v;
    }
    array_release(v);
    return err_null(ERR_VALUE, "view: the memory is not aligned for dtype %s; copy the array first",
                    dtype_info((DType)v->dtype)->name);
}

Array *
view_dtype(const Array *a, DType dtype)
{
    const int64_t from = dtype_size((DType)a->dtype);
    const int64_t to = dtype_size(dtype);
    const int last = a->ndim - 1;
    if (from != to) {
        if (a->ndim == 0) {
            return err_null(ERR_VALUE, "Changing the dtype of a 0d array is only supported if the "
                                       "itemsize is unchanged");
        }
        if (a->size > 0 && a->shape[last] != 1 && a->strides[last] != from) {
            return err_null(ERR_VALUE, "To change to a dtype of a different size, the last axis "
                                       "must be contiguous");
        }
        if (a->shape[last] * from % to != 0) {
            return err_null(ERR_VALUE,
                            "When changing to a %s dtype, its size must be a divisor of the %s",
                            to > from ? "larger" : "smaller",
                            to > from ? "total size in bytes of the last axis of the array."
                                      : "size of original dtype");
        }
    }
    Array *v = view_alias(a);
    if (v == NULL) {
        return NULL;
    }
    v->dtype = (uint8_t)dtype;
    v->weak = WEAK_NONE;
    if (from != to) {
        v->shape[last] = a->shape[last] * from / to;
        v->strides[last] = to;
        count_elements(v);
    }
    return check_aligned(v);
}
