/* array/shape.c -- arithmetic on shapes, strides and axes. */
#include "array/array.h"

#include "base/checked.h"

#include <stdio.h>
#include <string.h>

int64_t
shape_strides(int ndim, const int64_t *shape, int64_t itemsize, int64_t *strides)
{
    /* As NumPy, an axis of size 0 does not hide that the others are too big together. */
    int64_t bytes = itemsize;
    bool empty = false;
    for (int axis = ndim - 1; axis >= 0; axis--) {
        strides[axis] = bytes;
        if (shape[axis] < 0) {
            err_set(ERR_VALUE, "negative dimensions are not allowed");
            return -1;
        }
        if (shape[axis] == 0) {
            empty = true;
        } else if (!checked_mul_i64(bytes, shape[axis], &bytes)) {
            err_set(ERR_VALUE, "array is too big; `arr.size * arr.dtype.itemsize` is larger than "
                               "the maximum possible size.");
            return -1;
        }
    }
    if (empty) {
        for (int axis = 0; axis < ndim; axis++) {
            strides[axis] = 0;
        }
        return 0;
    }
    return bytes / itemsize;
}

/* Append one shape as broadcasting errors print it: "(2,3) ". */
static size_t
print_operand(char *text, size_t at, size_t size, int ndim, const int64_t *shape)
{
    const char *open = "(";
    for (int i = 0; i < ndim && at < size; i++) {
        at += (size_t)snprintf(text + at, size - at, "%s%jd", open, (intmax_t)shape[i]);
        open = ",";
    }
    if (at < size) {
        at += (size_t)snprintf(text + at, size - at, ndim == 0 ? "() " : ndim == 1 ? ",) " : ") ");
    }
    return at;
}

static Status
broadcast_error(int n, const int *ndims, const int64_t *const *shapes)
{
    char text[ERR_MESSAGE_SIZE - 80];
    size_t at = 0;
    for (int k = 0; k < n && at < sizeof text; k++) {
        at = print_operand(text, at, sizeof text, ndims[k], shapes[k]);
    }
    return err_set(ERR_SHAPE, "operands could not be broadcast together with shapes %s", text);
}

Status
shape_broadcast(int n, const int *ndims, const int64_t *const *shapes, int *out_ndim,
                int64_t *out_shape)
{
    int ndim = 0;
    for (int k = 0; k < n; k++) {
        ndim = ndims[k] > ndim ? ndims[k] : ndim;
    }
    for (int axis = 0; axis < ndim; axis++) {
        int64_t size = 1;
        for (int k = 0; k < n; k++) {
            const int at = axis - (ndim - ndims[k]);
            const int64_t s = at < 0 ? 1 : shapes[k][at];
            if (s != 1 && size != 1 && s != size) {
                return broadcast_error(n, ndims, shapes);
            }
            size = s != 1 ? s : size;
        }
        out_shape[axis] = size;
    }
    *out_ndim = ndim;
    return STATUS_OK;
}

const char *
shape_text(int ndim, const int64_t *shape, char *buffer, size_t size)
{
    size_t at = (size_t)snprintf(buffer, size, "(");
    for (int i = 0; i < ndim && at < size; i++) {
        at += (size_t)snprintf(buffer + at, size - at, i > 0 ? ", %jd" : "%jd", (intmax_t)shape[i]);
    }
    if (at < size) {
        snprintf(buffer + at, size - at, ndim == 1 ? ",)" : ")");
    }
    return buffer;
}

Status
axis_normalise(int64_t axis, int ndim, int *out)
{
    if (axis < -(int64_t)ndim || axis >= ndim) {
        return err_set(ERR_AXIS, "axis %jd is out of bounds for array of dimension %d",
                       (intmax_t)axis, ndim);
    }
    *out = (int)(axis < 0 ? axis + ndim : axis);
    return STATUS_OK;
}
