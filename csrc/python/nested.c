/* python/nested.c -- sequences that hold pyarr arrays, joined so that derivatives flow. */
#include "python/nested.h"

#include "base/mem.h"

#include <string.h>

/* Arrays joined by one concatenate; longer lists are joined in a tree. */
enum { JOIN_WIDTH = 32 };

bool
nested_holds_arrays(PyObject *sequence, int depth)
{
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
    PyObject **items = PySequence_Fast_ITEMS(sequence);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (array_object_check(items[i])) {
            return true;
        }
        if (depth < ARRAY_MAX_NDIM && nested_is_sequence(items[i]) &&
            nested_holds_arrays(items[i], depth + 1)) {
            return true;
        }
    }
    return false;
}

static void
release_all(Array **arrays, Py_ssize_t n)
{
    arrays_release(arrays, n);
    mem_free(arrays, (size_t)n * sizeof *arrays);
}

/* Join n >= 1 arrays of one dtype along their first axis, in place, in groups. */
static Array *
join_all(Array **arrays, Py_ssize_t n)
{
    const int64_t axis = 0;
    while (n > 1) {
        Py_ssize_t out = 0;
        for (Py_ssize_t i = 0; i < n; i += JOIN_WIDTH) {
            const int count = (int)(n - i < JOIN_WIDTH ? n - i : JOIN_WIDTH);
            Array *joined = count == 1 ? array_retain(arrays[i])
                                       : graph_apply(OP_concatenate, arrays + i, count, &axis, 1);
            if (joined == NULL) {
                return NULL;
            }
            for (int k = 0; k < count; k++) {
                array_release(arrays[i + k]);
                arrays[i + k] = NULL;
            }
            arrays[out++] = joined;
        }
        n = out;
    }
    return array_retain(arrays[0]);
}

static void
refuse_ragged(int depth, Py_ssize_t n)
{
    PyErr_Format(PyExc_ValueError,
                 "setting an array element with a sequence. The requested array has an "
                 "inhomogeneous shape after %d dimensions. The detected shape was (%s%zd,) + "
                 "inhomogeneous part.",
                 depth + 1, depth > 0 ? "..., " : "", n);
}

/* One element of a sequence that holds arrays: with one more axis in front, strong. */
static Array *
convert_element(PyObject *item, int depth)
{
    Array *value = nested_element(item, depth + 1);
    if (value == NULL) {
        return NULL;
    }
    if (value->ndim >= ARRAY_MAX_NDIM) {
        array_release(value);
        PyErr_Format(PyExc_ValueError, "maximum supported dimension for an ndarray is "
                                       "currently %d, found %d",
                     ARRAY_MAX_NDIM, ARRAY_MAX_NDIM + 1);
        return NULL;
    }
    int64_t shape[ARRAY_MAX_NDIM] = {1};
    memcpy(shape + 1, value->shape, (size_t)value->ndim * sizeof *shape);
    Array *row = graph_reshape(value, value->ndim + 1, shape);
    array_release(value);
    return row != NULL ? row : (Array *)error_raise();
}

/* As numpy.array does it: the dtype that holds all leaves. */
static int
cast_all(Array **arrays, Py_ssize_t n)
{
    DType dtype = arrays[0]->dtype;
    for (Py_ssize_t i = 1; i < n; i++) {
        dtype = dtype_promote(dtype, arrays[i]->dtype);
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        Array *cast = graph_cast(arrays[i], dtype, false);
        if (cast == NULL) {
            return error_raise_int();
        }
        array_release(arrays[i]);
        arrays[i] = cast;
    }
    return 0;
}

Array *
nested_join(PyObject *sequence, int depth)
{
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
    Array **parts = mem_new_array(n, sizeof *parts);
    if (parts == NULL) {
        return (Array *)error_raise();
    }
    memset(parts, 0, (size_t)n * sizeof *parts);
    Array *result = NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        /* Conversion may run code that shortens a list. */
        if (i >= PySequence_Fast_GET_SIZE(sequence)) {
            PyErr_SetString(PyExc_RuntimeError, "list changed size while it was read");
            goto done;
        }
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(sequence, i));
        parts[i] = convert_element(item, depth);
        Py_DECREF(item);
        if (parts[i] == NULL) {
            goto done;
        }
        const bool fits = parts[i]->ndim == parts[0]->ndim &&
                          shape_equal(parts[0]->ndim, parts[i]->shape, parts[0]->shape);
        if (!fits) {
            refuse_ragged(depth, n);
            goto done;
        }
    }
    if (cast_all(parts, n) == 0) {
        result = join_all(parts, n);
        if (result == NULL) {
            error_raise();
        }
    }
done:
    release_all(parts, n);
    return result;
}
