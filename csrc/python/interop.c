/* python/interop.c -- conversion as methods of ndarray and functions of the module: __array__,
 * from_numpy, asnumpy, and the tables of what protocols.c, dlpack.c and pickle.c define. */
#include "python/numpy_api.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- __array__ ---- */

static PyObject *
refuse_device(const Array *array, const char *what)
{
    PyErr_Format(PyExc_TypeError, "%s: the array is on device %s; write x.to(\"cpu\") first", what,
                 array->storage->device->name);
    return NULL;
}

/* A NumPy array over x's elements. */
static PyObject *
export_numpy(Array *x, const char *what)
{
    if (!x->storage->device->host_memory) {
        return refuse_device(x, what);
    }
    Array *array = graph_export(x, what);
    if (array == NULL) {
        return error_raise();
    }
    PyObject *result = convert_to_numpy(array);
    array_release(array);
    return result;
}

/* numpy's copy: None if needed, False never, True always. -1 with an exception. */
static int
parse_copy(PyObject *copy)
{
    return copy == NULL || copy == Py_None ? 2 : PyObject_IsTrue(copy);
}

/* view as `descr` (NULL: as it is), copied as asked; steals view. */
static PyObject *
cast_numpy(PyObject *view, PyArray_Descr *descr, int copy)
{
    PyArrayObject *array = (PyArrayObject *)view;
    const bool same = descr == NULL || PyArray_EquivTypes(PyArray_DESCR(array), descr);
    if (same && copy != 1) {
        return view;
    }
    PyObject *result = NULL;
    if (copy == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "Unable to avoid copy while creating an array as requested.\n"
                        "If using `np.array(obj, copy=False)` replace it with "
                        "`np.asarray(obj)` to allow a copy when needed (no behavior change in "
                        "NumPy 1.x).");
    }
    else if (same) {
        result = PyArray_NewCopy(array, NPY_KEEPORDER);
    }
    else {
        Py_INCREF(descr);
        result = PyArray_CastToType(array, descr, 0);
    }
    Py_DECREF(view);
    return result;
}

/* __array__(dtype=None, copy=None) */
static PyObject *
array_protocol(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dtype", "copy", NULL};
    PyObject *dtype = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy)) {
        return NULL;
    }
    const int copies = parse_copy(copy);
    PyArray_Descr *descr = NULL;
    if (copies < 0 ||
        (dtype != Py_None && PyArray_DescrConverter(dtype, &descr) != NPY_SUCCEED)) {
        return NULL;
    }
    PyObject *view = export_numpy(object_array(self), "__array__ (conversion to a NumPy array)");
    PyObject *result = view == NULL ? NULL : cast_numpy(view, descr, copies);
    Py_XDECREF(descr);
    return result;
}

/* ---- __cuda_array_interface__ ---- */

static PyObject *
cuda_array_interface(PyObject *self, void *unused)
{
    (void)unused;
    if (strncmp(object_array(self)->storage->device->name, "cuda", 4) != 0) {
        PyErr_SetString(PyExc_AttributeError,
                        "__cuda_array_interface__: the array is not on a GPU");
        return NULL;
    }
    Array *array = graph_export(object_array(self), "__cuda_array_interface__");
    if (array == NULL) {
        return error_raise();
    }
    PyObject *result = NULL, *typestr = NULL;
    PyObject *shape = int_tuple(array->ndim, array->shape);
    PyObject *strides = int_tuple(array->ndim, array->strides);
    if (shape != NULL && strides != NULL &&
        (typestr = PyObject_GetAttrString(dtype_object(array->dtype), "str")) != NULL) {
        const bool readonly = array->is_scalar || !array_is_writable(array);
        const uintptr_t data = array->size > 0 ? (uintptr_t)(array->storage->data + array->offset)
                                               : 0;
        result = Py_BuildValue("{s:O,s:O,s:O,s:(KO),s:i,s:i}", "shape", shape, "strides", strides,
                               "typestr", typestr, "data", (unsigned long long)data,
                               readonly ? Py_True : Py_False, "version", 3, "stream", 1);
    }
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    Py_XDECREF(typestr);
    array_release(array);
    return result;
}

/* ---- functions of the module ---- */

static PyObject *
module_from_numpy(PyObject *module, PyObject *object)
{
    (void)module;
    Array *array = convert_from_numpy(object);
    return array == NULL ? NULL : object_wrap(array);
}

static PyObject *
module_asnumpy(PyObject *module, PyObject *object)
{
    (void)module;
    Array *array = convert_array(object);
    if (array == NULL) {
        return NULL;
    }
    PyObject *result = export_numpy(array, "asnumpy");
    array_release(array);
    return result;
}

static PyObject *
array_to_numpy(PyObject *self, PyObject *unused)
{
    (void)unused;
    return export_numpy(object_array(self), "numpy()");
}

/* ---- for tests ---- */

/* What is alive in the core, as a dict of numbers. */
static PyObject *
module_memory(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int64_t arrays, storages, nodes;
    graph_live(&arrays, &storages, &nodes);
    const MemStats stats = mem_stats();
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L}", "arrays", (long long)arrays, "storages",
                         (long long)storages, "nodes", (long long)nodes, "bytes",
                         (long long)stats.bytes_live, "blocks", (long long)stats.blocks_live,
                         "requests", (long long)stats.requests);
}

/* The n-th request for memory from now fails; gives what was still to come. */
static PyObject *
module_fail_alloc(PyObject *module, PyObject *number)
{
    (void)module;
    const long long n = PyLong_AsLongLong(number);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromLongLong(mem_fail_at(n));
}

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_VARARGS | METH_KEYWORDS

PyMethodDef array_interop_methods[] = {
    {"__array__", WITH_KEYWORDS(array_protocol),
     PyDoc_STR("__array__(dtype=None, copy=None)\n\n"
               "A numpy.ndarray that shares memory where it can.")},
    {"__array_ufunc__", WITH_KEYWORDS(array_ufunc_protocol),
     PyDoc_STR("NumPy's ufuncs applied to pyarr arrays.")},
    {"__array_function__", array_function_protocol, METH_VARARGS,
     PyDoc_STR("NumPy's functions applied to pyarr arrays.")},
    {"__array_namespace__", WITH_KEYWORDS(array_namespace_protocol),
     PyDoc_STR("__array_namespace__(*, api_version=None)\n\nThe module pyarr.")},
    {"__dlpack__", WITH_KEYWORDS(array_dlpack),
     PyDoc_STR("__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n\n"
               "A DLPack capsule over the memory.")},
    {"__dlpack_device__", array_dlpack_device, METH_NOARGS,
     PyDoc_STR("The (type, number) of the device in DLPack's terms.")},
    {"__reduce_ex__", array_reduce_ex, METH_O,
     PyDoc_STR("Pickling; protocol 5 passes the memory out of band.")},
    {"__copy__", array_copy_protocol, METH_NOARGS, PyDoc_STR("A copy of the elements.")},
    {"__deepcopy__", array_deepcopy_protocol, METH_O, PyDoc_STR("A copy of the elements.")},
    {"__sizeof__", array_sizeof, METH_NOARGS, PyDoc_STR("Bytes of the array and its memory.")},
    {"numpy", array_to_numpy, METH_NOARGS,
     PyDoc_STR("numpy()\n\nA numpy.ndarray that shares memory with this array.\n\n"
               "Raises TypeError when the array carries a derivative: write\n"
               "``x.detach().numpy()``.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef interop_getset[] = {
    {"__cuda_array_interface__", cuda_array_interface, NULL,
     PyDoc_STR("The memory in the CUDA array interface (version 3); GPU arrays only."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef module_functions[] = {
    {"from_numpy", module_from_numpy, METH_O,
     PyDoc_STR(
         "from_numpy(a, /)\n--\n\n"
         "The array `a`, a numpy.ndarray, as a pyarr array that shares its memory.\n\n"
         "A write on either side is seen on the other; read-only stays read-only. Foreign byte\n"
         "order and memory that is not aligned are copied.\n\n"
         "Raises TypeError for subclasses other than memmap (masked arrays, matrix, ...) and\n"
         "for dtypes that pyarr does not have.\n\n"
         ">>> import numpy, pyarr\n"
         ">>> a = numpy.zeros(3)\n"
         ">>> x = pyarr.from_numpy(a)\n"
         ">>> a[0] = 1.0\n"
         ">>> float(x[0])\n"
         "1.0\n")},
    {"asnumpy", module_asnumpy, METH_O,
     PyDoc_STR("asnumpy(x, /)\n--\n\n"
               "The array-like `x` as a numpy.ndarray that shares its memory where it can.\n\n"
               "Raises TypeError when x carries a derivative (write ``pyarr.detach(x)``) or is\n"
               "on a device that the CPU can't read (write ``x.to(\"cpu\")``).\n\n"
               ">>> import pyarr\n"
               ">>> pyarr.asnumpy(pyarr.arange(3))\n"
               "array([0, 1, 2])\n")},
    {"from_dlpack", WITH_KEYWORDS(module_from_dlpack),
     PyDoc_STR("from_dlpack(x, /, *, device=None, copy=None)\n--\n\n"
               "The array `x` of any library that has ``__dlpack__``, sharing its memory.\n\n"
               "Raises BufferError for devices and dtypes that are not supported.\n\n"
               ">>> import numpy, pyarr\n"
               ">>> pyarr.from_dlpack(numpy.arange(3.0)).shape\n"
               "(3,)\n")},
    {"_memory", module_memory, METH_NOARGS, PyDoc_STR("What is alive in the core.")},
    {"_fail_alloc", module_fail_alloc, METH_O,
     PyDoc_STR("Let the n-th request for memory fail; 0 switches it off.")},
    {"_rebuild", module_rebuild, METH_VARARGS, PyDoc_STR("What pickles call.")},
    {NULL, NULL, 0, NULL},
};

static int
add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (PyMethodDef *def = methods; def->ml_name != NULL; def++) {
        PyObject *descriptor = PyDescr_NewMethod(type, def);
        if (descriptor == NULL ||
            PyDict_SetItemString(type->tp_dict, def->ml_name, descriptor) < 0) {
            Py_XDECREF(descriptor);
            return -1;
        }
        Py_DECREF(descriptor);
    }
    return 0;
}

/* Types read only what they had when they were made ready: the rest is added here. */
static int
add_attributes(void)
{
    PyTypeObject *type = &ArrayObject_Type;
    for (PyGetSetDef *def = interop_getset; def->name != NULL; def++) {
        PyObject *descriptor = PyDescr_NewGetSet(type, def);
        if (descriptor == NULL ||
            PyDict_SetItemString(type->tp_dict, def->name, descriptor) < 0) {
            Py_XDECREF(descriptor);
            return -1;
        }
        Py_DECREF(descriptor);
    }
    if (add_methods(type, array_element_methods) < 0 ||
        add_methods(type, array_interop_methods) < 0) {
        return -1;
    }
    PyObject *priority = PyFloat_FromDouble(1000.0);
    const int status = priority == NULL
                           ? -1
                           : PyDict_SetItemString(type->tp_dict, "__array_priority__", priority);
    Py_XDECREF(priority);
    PyType_Modified(type);
    return status;
}

int
module_add_interop(PyObject *module)
{
    if (convert_init() < 0 || hooks_init() < 0 || add_attributes() < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, module_functions);
}
