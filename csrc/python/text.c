/* python/text.c -- repr, str and format of arrays, by NumPy's printing of the same memory. */
#include "python/object.h"

/* A NumPy view (or, from another device, a copy) of the elements; looking is always allowed. */
static PyObject *
printable(Array *array)
{
    Device *device = array->storage->device;
    Array *value = graph_to_device(array, device->host_memory ? device : device_cpu());
    if (value == NULL) {
        return error_raise();
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
