/* python/pickle.c -- pickling (protocol 5 out of band), copy.copy, copy.deepcopy, sizes. */
#include "python/numpy_api.h"

/* pyarr._core._rebuild, which pickles name; found when first needed. */
static PyObject *
rebuild_function(void)
{
    static PyObject *function;
    if (function == NULL) {
        PyObject *core = PyImport_ImportModule("pyarr._core");
        function = core == NULL ? NULL : PyObject_GetAttrString(core, "_rebuild");
        Py_XDECREF(core);
    }
    return function;
}

/* The elements in memory order: contiguous in C or, when *order is 'F', in Fortran order. */
static Array *
contiguous(Array *source, char *order)
{
    Array *array = graph_export(source, "pickle");
    if (array == NULL) {
        return (Array *)error_raise();
    }
    *order = 'C';
    if (array_is_contiguous(array)) {
        return array;
    }
    if (array_is_f_contiguous(array)) {
        *order = 'F';
        return array;
    }
    Array *copy = graph_copy(array);
    array_release(array);
    Array *concrete = copy == NULL ? NULL : graph_evaluate(copy);
    array_release(copy);
    return concrete != NULL ? concrete : (Array *)error_raise();
}

/* The bytes as an object: a PickleBuffer over the memory (protocol 5), or a bytes object. */
static PyObject *
element_bytes(Array *array, char order, int protocol)
{
    PyObject *view = convert_to_numpy(array);
    if (view == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (protocol >= 5) {
        result = PyPickleBuffer_FromObject(view);
    }
    else {
        result = PyArray_ToString((PyArrayObject *)view, order == 'F' ? NPY_FORTRANORDER
                                                                       : NPY_CORDER);
    }
    Py_DECREF(view);
    return result;
}

PyObject *
array_reduce_ex(PyObject *self, PyObject *protocol)
{
    const long number = PyLong_AsLong(protocol);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    char order;
    const bool is_scalar = object_array(self)->is_scalar;
    const Device *device = object_array(self)->storage->device;
    if (!device->host_memory) {
        PyErr_Format(PyExc_TypeError,
                     "pickle: the array is on device %s; write x.to(\"cpu\") first", device->name);
        return NULL;
    }
    Array *array = contiguous(object_array(self), &order);
    if (array == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *function = rebuild_function();
    PyObject *bytes = function == NULL ? NULL : element_bytes(array, order, (int)number);
    PyObject *shape = bytes == NULL ? NULL : PyTuple_New(array->ndim);
    for (int i = 0; shape != NULL && i < array->ndim; i++) {
        PyObject *size = PyLong_FromLongLong(array->shape[i]);
        if (size == NULL) {
            Py_CLEAR(shape);
            break;
        }
        PyTuple_SET_ITEM(shape, i, size);
    }
    if (shape != NULL) {
        PyObject *descr = PyObject_GetAttrString(dtype_object(array->dtype), "str");
        const char letter[2] = {order, '\0'};
        if (descr != NULL) {
            result = Py_BuildValue("O(OOOsO)", function, bytes, descr, shape, letter,
                                   is_scalar ? Py_True : Py_False);
        }
        Py_XDECREF(descr);
    }
    Py_XDECREF(shape);
    Py_XDECREF(bytes);
    array_release(array);
    return result;
}

/* The elements that `bytes` (any buffer) holds; the memory is shared where it can be. */
static Array *
array_from_bytes(PyObject *bytes, DType dtype, int ndim, const int64_t *shape, char order)
{
    int64_t strides[ARRAY_MAX_NDIM];
    const int64_t itemsize = dtype_size(dtype);
    const int64_t size = shape_strides(ndim, shape, itemsize, strides);
    if (size < 0) {
        return (Array *)error_raise();
    }
    if (order == 'F') {
        int64_t step = itemsize;
        for (int i = 0; i < ndim; i++) {
            strides[i] = step;
            step *= shape[i] > 0 ? shape[i] : 1;
        }
    }
    PyArray_Descr *descr = (PyArray_Descr *)Py_NewRef(dtype_object(dtype));
    PyObject *flat = PyArray_FromBuffer(bytes, descr, -1, 0);
    if (flat == NULL) {
        if (size != 0) {
            return NULL;
        }
        PyErr_Clear(); /* NumPy refuses empty buffers */
        Array *empty = array_new(device_cpu(), dtype, ndim, shape);
        return empty != NULL ? empty : (Array *)error_raise();
    }
    Array *array = NULL;
    if (PyArray_SIZE((PyArrayObject *)flat) != size) {
        PyErr_SetString(PyExc_ValueError, "pickle: the bytes do not fit the shape");
    }
    else {
        /* A bytes object belongs to the pickle; elements that are ours must be writable. */
        Array *line = PyBytes_Check(bytes) ? numpy_copy((PyArrayObject *)flat)
                                           : convert_from_numpy(flat);
        if (line != NULL) {
            array = array_new_view(line->storage, dtype, ndim, shape, strides, line->offset);
            if (array == NULL) {
                error_raise();
            }
            else {
                array->readonly = line->readonly;
            }
            array_release(line);
        }
    }
    Py_DECREF(flat);
    return array;
}

/* _rebuild(bytes, dtype, shape, order, is_scalar) */
PyObject *
module_rebuild(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *bytes, *name, *sizes;
    const char *order;
    int is_scalar;
    if (!PyArg_ParseTuple(args, "OOOsp:_rebuild", &bytes, &name, &sizes, &order, &is_scalar)) {
        return NULL;
    }
    DType dtype;
    int64_t shape[ARRAY_MAX_NDIM];
    const int ndim = convert_shape(sizes, shape);
    if (ndim < 0 || convert_dtype(name, &dtype) < 0) {
        return NULL;
    }
    Array *array = array_from_bytes(bytes, dtype, ndim, shape, order[0]);
    if (array == NULL) {
        return NULL;
    }
    if (is_scalar && ndim == 0) { /* scalars are copies */
        Array *scalar = array_new_scalar(dtype, WEAK_NONE, array_data(array));
        array_release(array);
        if (scalar != NULL) {
            scalar->is_scalar = true;
        }
        array = scalar;
    }
    return object_wrap(array);
}

PyObject *
array_copy_protocol(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (object_array(self)->is_scalar) {
        return Py_NewRef(self);
    }
    return object_wrap(graph_copy(object_array(self)));
}

PyObject *
array_deepcopy_protocol(PyObject *self, PyObject *memo)
{
    (void)memo;
    return array_copy_protocol(self, NULL);
}

PyObject *
array_sizeof(PyObject *self, PyObject *unused)
{
    (void)unused;
    const Array *array = object_array(self);
    size_t size = sizeof(ArrayObject) + sizeof(Array) + 2 * (size_t)array->ndim * sizeof(int64_t);
    const Storage *storage = array->storage;
    const size_t elements = (size_t)array->size * (size_t)dtype_size(array->dtype);
    if (!storage->foreign && elements >= storage->size) { /* not a part of another array */
        size += sizeof *storage + storage->size;
    }
    return PyLong_FromSize_t(size);
}
