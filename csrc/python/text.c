/* python/text.c -- repr, str and format of arrays, by NumPy's printing of the same memory. */
#include "python/object.h"

/* A NumPy view (or, from another device, a copy) of the elements; looking is always allowed. */
static PyObject *
printable(Array *array)
{
    Array *value = graph_evaluate(array);
    if (value == NULL) {
        return error_raise();
    }
    Device *device = value->storage->device;
    if (!device->host_memory && value->size > 0) {
        Array *packed = graph_copy(value);
        Array *host = packed == NULL
                          ? NULL
                          : array_new(device_cpu(), value->dtype, value->ndim, value->shape);
        if (host != NULL &&
            device->to_host(device, array_data(host), packed->storage->data + packed->offset,
                            host->storage->size) != STATUS_OK) {
            array_release(host);
            host = NULL;
        }
        array_release(packed);
        array_release(value);
        value = host;
        if (value == NULL) {
            return error_raise();
        }
    }
    PyObject *view = convert_to_numpy(value);
    array_release(value);
    return view;
}

PyObject *
array_repr(PyObject *self)
{
    PyObject *view = printable(object_array(self));
    if (view == NULL) {
        return NULL;
    }
    PyObject *text = PyObject_Repr(view);
    Py_DECREF(view);
    return text;
}

PyObject *
array_str(PyObject *self)
{
    PyObject *view = printable(object_array(self));
    if (view == NULL) {
        return NULL;
    }
    PyObject *text = PyObject_Str(view);
    Py_DECREF(view);
    return text;
}

PyObject *
array_format(PyObject *self, PyObject *spec)
{
    PyObject *view = printable(object_array(self));
    if (view == NULL) {
        return NULL;
    }
    PyObject *text = PyObject_Format(view, spec);
    Py_DECREF(view);
    return text;
}
