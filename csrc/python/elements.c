/* python/elements.c -- elements of arrays as Python's numbers and lists. */
#include "python/functions.h"

/* Offset in bytes of an element from the start of `x`'s data, for item(*index). -1 on error. */
static int
item_offset(const Array *x, PyObject *const *args, Py_ssize_t nargs, int64_t *offset)
{
    int64_t at[ARRAY_MAX_NDIM];
    *offset = 0;
    if (nargs == 0) {
        if (x->size != 1) {
            PyErr_SetString(PyExc_ValueError,
                            "can only convert an array of size 1 to a Python scalar");
            return -1;
        }
        return 0;
    }
    const int n = args_sizes(args, nargs, at);
    if (n < 0) {
        return -1;
    }
    if (n == 1 && x->ndim != 1) { /* counts through all elements */
        int64_t flat = at[0] < 0 ? at[0] + x->size : at[0];
        if (flat < 0 || flat >= x->size) {
            PyErr_Format(PyExc_IndexError, "index %lld is out of bounds for size %lld",
                         (long long)at[0], (long long)x->size);
            return -1;
        }
        for (int d = x->ndim - 1; d >= 0; d--) {
            *offset += flat % x->shape[d] * x->strides[d];
            flat /= x->shape[d];
        }
        return 0;
    }
    if (n != x->ndim) {
        PyErr_SetString(PyExc_ValueError, "incorrect number of indices for array");
        return -1;
    }
    for (int d = 0; d < n; d++) {
        const int64_t index = at[d] < 0 ? at[d] + x->shape[d] : at[d];
        if (index < 0 || index >= x->shape[d]) {
            PyErr_Format(PyExc_IndexError,
                         "index %lld is out of bounds for axis %d with size %lld",
                         (long long)at[d], d, (long long)x->shape[d]);
            return -1;
        }
        *offset += index * x->strides[d];
    }
    return 0;
}

static PyObject *
element_item(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Array *value = object_export_value(object_array(self), "item()");
    if (value == NULL) {
        return NULL;
    }
    int64_t offset;
    PyObject *item = item_offset(value, args, nargs, &offset) < 0 ? NULL
                                                                  : convert_item(value, offset);
    array_release(value);
    return item;
}

static PyObject *
list_from(const Array *x, int axis, int64_t offset)
{
    if (axis == x->ndim) {
        return convert_item(x, offset);
    }
    PyObject *list = PyList_New(x->shape[axis]);
    for (int64_t i = 0; list != NULL && i < x->shape[axis]; i++) {
        PyObject *item = list_from(x, axis + 1, offset + i * x->strides[axis]);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static PyObject *
element_tolist(PyObject *self, PyObject *unused)
{
    (void)unused;
    Array *value = object_export_value(object_array(self), "tolist()");
    if (value == NULL) {
        return NULL;
    }
    PyObject *list = list_from(value, 0, 0);
    array_release(value);
    return list;
}

static PyObject *
element_complex(PyObject *self, PyObject *unused)
{
    (void)unused;
    Array *x = object_array(self);
    if (x->ndim != 0) {
        PyErr_SetString(PyExc_TypeError,
                        "only 0-dimensional arrays can be converted to Python scalars");
        return NULL;
    }
    Array *value = object_export_value(x, "complex()");
    PyObject *item = value == NULL ? NULL : convert_item(value, 0);
    array_release(value);
    if (item == NULL || PyComplex_CheckExact(item)) {
        return item;
    }
    const double real = PyFloat_AsDouble(item);
    Py_DECREF(item);
    return real == -1.0 && PyErr_Occurred() ? NULL : PyComplex_FromDoubles(real, 0);
}

PyMethodDef array_element_methods[] = {
    {"item", (PyCFunction)(void (*)(void))element_item, METH_FASTCALL,
     PyDoc_STR("item(*index)\n--\n\n"
               "One element as a Python number. TypeError on an active array.")},
    {"tolist", element_tolist, METH_NOARGS,
     PyDoc_STR("tolist()\n--\n\n"
               "The elements as nested lists of Python numbers. TypeError on an active array.")},
    {"__complex__", element_complex, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
