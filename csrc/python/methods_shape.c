/* python/methods_shape.c -- methods of pyarr.ndarray that change its shape. */
#include "python/methods.h"

/* x in the order 'F': reshaped as the transpose of the transposed array. */
static Array *
reshape_fortran(Array *x, int ndim, const int64_t *shape)
{
    int64_t reversed[ARRAY_MAX_NDIM];
    for (int i = 0; i < ndim; i++) {
        reversed[i] = shape[ndim - 1 - i];
    }
    Array *turned = view_transpose(x, NULL);
    Array *shaped = turned == NULL ? NULL : graph_reshape(turned, ndim, reversed);
    Array *result = shaped == NULL ? NULL : view_transpose(shaped, NULL);
    array_release(turned);
    array_release(shaped);
    return result;
}

METHOD(reshape)
{
    static const Signature signature = {"reshape", 3, 0, 0, {"order", "copy", "shape"}};
    PyObject *v[ARGS_MAX];
    int64_t shape[ARRAY_MAX_NDIM];
    char order;
    if (args_bind(&signature, args + nargs, 0, kwnames, v) < 0 ||
        args_order(v[0], 'C', &order) < 0) {
        return NULL;
    }
    const int ndim = v[2] != NULL && nargs == 0 ? args_sizes(&v[2], 1, shape)
                                                : args_sizes(args, nargs, shape);
    if (ndim < 0) {
        return NULL;
    }
    Array *x = object_array(self);
    const bool never = v[1] == Py_False, always = v[1] == Py_True;
    Array *source = always ? graph_copy(x) : array_retain(x);
    if (source == NULL) {
        return error_raise();
    }
    Array *result = order_is_fortran(order, x) && order != 'K'
                        ? reshape_fortran(source, ndim, shape)
                        : graph_reshape(source, ndim, shape);
    array_release(source);
    if (never && result != NULL && result->storage != x->storage) {
        array_release(result);
        PyErr_SetString(PyExc_ValueError,
                        "Unable to avoid creating a copy while reshaping.");
        return NULL;
    }
    return wrap_shared(result, self);
}

/* 1-d, in an order; `copy` always. */
static PyObject *
flatten_as(PyObject *self, PyObject *order_object, bool copy)
{
    char order;
    if (args_order(order_object, 'C', &order) < 0) {
        return NULL;
    }
    Array *x = object_array(self);
    Array *turned = order_is_fortran(order, x) ? view_transpose(x, NULL) : array_retain(x);
    Array *flat = turned == NULL ? NULL : function_flat(turned);
    array_release(turned);
    if (copy && flat != NULL && flat->storage == x->storage) {
        Array *own = graph_copy(flat);
        array_release(flat);
        flat = own;
    }
    return wrap_shared(flat, self);
}

METHOD(ravel)
{
    static const Signature signature = {"ravel", 1, 0, 1, {"order"}};
    PyObject *v[ARGS_MAX];
    return args_bind(&signature, args, nargs, kwnames, v) < 0 ? NULL
                                                              : flatten_as(self, v[0], false);
}

METHOD(flatten)
{
    static const Signature signature = {"flatten", 1, 0, 1, {"order"}};
    PyObject *v[ARGS_MAX];
    return args_bind(&signature, args, nargs, kwnames, v) < 0 ? NULL
                                                              : flatten_as(self, v[0], true);
}

PyObject *
method_transpose(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Array *x = object_array(self);
    if (nargs == 0 || (nargs == 1 && args[0] == Py_None)) {
        return wrap_shared(view_transpose(x, NULL), self);
    }
    int64_t given[ARRAY_MAX_NDIM];
    int axes[ARRAY_MAX_NDIM];
    bool seen[ARRAY_MAX_NDIM] = {false};
    const int n = args_sizes(args, nargs, given);
    if (n < 0) {
        return NULL;
    }
    if (n != x->ndim) {
        PyErr_SetString(PyExc_ValueError, "axes don't match array");
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        if (axis_normalise(given[i], n, &axes[i]) != STATUS_OK) {
            return error_raise();
        }
        if (seen[axes[i]]) {
            PyErr_SetString(PyExc_ValueError, "repeated axis in transpose");
            return NULL;
        }
        seen[axes[i]] = true;
    }
    return wrap_shared(view_transpose(x, axes), self);
}

METHOD(swapaxes)
{
    static const Signature signature = {"swapaxes", 2, 2, 2, {"axis1", "axis2"}};
    PyObject *v[ARGS_MAX];
    Array *x = object_array(self);
    int a1, a2, axes[ARRAY_MAX_NDIM];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_axis(v[0], x->ndim, &a1) < 0 ||
        args_axis(v[1], x->ndim, &a2) < 0) {
        return NULL;
    }
    for (int i = 0; i < x->ndim; i++) {
        axes[i] = i == a1 ? a2 : i == a2 ? a1 : i;
    }
    return wrap_shared(view_transpose(x, axes), self);
}

METHOD(squeeze)
{
    static const Signature signature = {"squeeze", 1, 0, 1, {"axis"}};
    PyObject *v[ARGS_MAX];
    Array *x = object_array(self);
    int axes[ARRAY_MAX_NDIM], naxes;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 ||
        convert_axes(v[0] == NULL ? Py_None : v[0], x->ndim, axes, &naxes) < 0) {
        return NULL;
    }
    for (int i = 0; i < naxes; i++) {
        if (x->shape[axes[i]] != 1) {
            PyErr_SetString(PyExc_ValueError, "cannot select an axis to squeeze out which has "
                                              "size not equal to one");
            return NULL;
        }
    }
    return wrap_shared(view_squeeze(x, naxes, axes), self);
}

/* May memory that others see, or have borrowed, change its size? */
static int
check_resizable(const Array *x)
{
    const Storage *s = x->storage;
    if (s->foreign) {
        PyErr_SetString(PyExc_ValueError, "cannot resize this array: it does not own its data");
        return -1;
    }
    if (x->is_scalar || !array_is_contiguous(x) || x->readonly || graph_is_recorded(x)) {
        PyErr_SetString(PyExc_ValueError, "resize only works on single-segment arrays");
        return -1;
    }
    if (s->exports > 0 || s->exported || s->refcount > 1 || x->refcount > 1 ||
        array_bytes(x) != (int64_t)s->size) {
        PyErr_SetString(PyExc_ValueError,
                        "cannot resize an array that references or is referenced by another array "
                        "in this way: its memory is exported. Use the np.resize function");
        return -1;
    }
    return 0;
}

METHOD(resize)
{
    static const Signature signature = {"resize", 2, 0, 0, {"refcheck", "new_shape"}};
    PyObject *v[ARGS_MAX];
    int64_t shape[ARRAY_MAX_NDIM];
    if (args_bind(&signature, args + nargs, 0, kwnames, v) < 0) {
        return NULL;
    }
    const int ndim = v[1] != NULL && nargs == 0 ? args_sizes(&v[1], 1, shape)
                                                : args_sizes(args, nargs, shape);
    Array *x = object_array(self);
    if (ndim < 0 || check_resizable(x) < 0) {
        return NULL;
    }
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) {
            PyErr_SetString(PyExc_ValueError, "negative dimensions not allowed");
            return NULL;
        }
    }
    Array *resized = array_new_zeroed(x->storage->device, x->dtype, ndim, shape);
    if (resized == NULL) {
        return error_raise();
    }
    const int64_t keep = resized->size < x->size ? resized->size : x->size;
    Array *to = function_flat(resized), *from = function_flat(x);
    Array *head_to = to == NULL ? NULL : view_slice(to, 0, 0, 1, keep);
    Array *head_from = from == NULL ? NULL : view_slice(from, 0, 0, 1, keep);
    const bool done = head_to != NULL && head_from != NULL &&
                      graph_write(head_to, head_from) == STATUS_OK;
    array_release(to);
    array_release(from);
    array_release(head_to);
    array_release(head_from);
    if (!done) {
        array_release(resized);
        return error_raise();
    }
    ((ArrayObject *)self)->array = resized;
    array_release(x);
    Py_RETURN_NONE;
}
