/* python/arguments.c -- dtypes, shapes and axes as arguments, and elements as Python numbers. */
#include "python/numpy_api.h"

#include <string.h>

static PyObject *descriptors[DTYPE_COUNT]; /* numpy.dtype objects, made when first asked for */

PyObject *
dtype_object(DType dtype)
{
    if (descriptors[dtype] == NULL) {
        static const int numbers[DTYPE_COUNT] = {
            [DT_bool] = NPY_BOOL,       [DT_i8] = NPY_INT8,     [DT_i16] = NPY_INT16,
            [DT_i32] = NPY_INT32,       [DT_i64] = NPY_INT64,   [DT_u8] = NPY_UINT8,
            [DT_u16] = NPY_UINT16,      [DT_u32] = NPY_UINT32,  [DT_u64] = NPY_UINT64,
            [DT_f32] = NPY_FLOAT32,     [DT_f64] = NPY_FLOAT64, [DT_c64] = NPY_COMPLEX64,
            [DT_c128] = NPY_COMPLEX128,
        };
        descriptors[dtype] = (PyObject *)PyArray_DescrFromType(numbers[dtype]);
    }
    return descriptors[dtype];
}

int
convert_dtype(PyObject *object, DType *out)
{
    if (object == (PyObject *)&PyFloat_Type) {
        *out = DT_f64;
        return 0;
    }
    PyArray_Descr *descr = NULL;
    if (PyArray_DescrCheck(object)) {
        descr = (PyArray_Descr *)Py_NewRef(object);
    }
    else if (PyArray_DescrConverter(object, &descr) != NPY_SUCCEED) {
        return -1;
    }
    *out = numpy_dtype(descr);
    const int status = *out == DTYPE_COUNT ? numpy_refuse_dtype(descr) : 0;
    Py_DECREF(descr);
    return status;
}

int
convert_dtype_converter(PyObject *object, void *out)
{
    if (object == Py_None) {
        *(DType *)out = DTYPE_COUNT;
        return 1;
    }
    return convert_dtype(object, out) == 0;
}

/* An integer by __index__, as NumPy takes sizes and axes: no floats, OverflowError beyond. */
static int
convert_index(PyObject *object, int64_t *out)
{
    if (PyLong_CheckExact(object)) {
        *out = PyLong_AsLongLong(object);
    }
    else {
        PyObject *index = PyNumber_Index(object);
        if (index == NULL) {
            return -1;
        }
        *out = PyLong_AsLongLong(index);
        Py_DECREF(index);
    }
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

int
convert_shape(PyObject *object, int64_t *shape)
{
    if (PyLong_Check(object) || !PySequence_Check(object) || array_object_check(object)) {
        if (object == Py_None || PyFloat_Check(object) || PyIndex_Check(object) == 0) {
            PyErr_Format(PyExc_TypeError,
                         "expected a sequence of integers or a single integer, got %.200R", object);
            return -1;
        }
        if (convert_index(object, shape) == 0) {
            return 1;
        }
        if (!array_object_check(object)) {
            return -1;
        }
        PyErr_Clear(); /* a 1-d array of sizes */
    }
    PyObject *items = PySequence_Fast(object, "expected a sequence of integers or a single integer");
    if (items == NULL) {
        return -1;
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
    int status = (int)n;
    if (n > ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError,
                     "maximum supported dimension for an ndarray is currently %d, found %zd",
                     ARRAY_MAX_NDIM, n);
        status = -1;
    }
    for (Py_ssize_t i = 0; i < n && status >= 0; i++) {
        if (convert_index(PySequence_Fast_GET_ITEM(items, i), &shape[i]) < 0) {
            status = -1;
        }
    }
    Py_DECREF(items);
    return status;
}

static int
convert_axis(PyObject *object, int ndim, int *axis)
{
    int64_t value;
    if (convert_index(object, &value) < 0) {
        return -1;
    }
    return axis_normalise(value, ndim, axis) == STATUS_OK ? 0 : error_raise_int();
}

/* Insert into a sorted list; ValueError when it is there. */
static int
add_axis(int *axes, int *naxes, int axis)
{
    int at = *naxes;
    while (at > 0 && axes[at - 1] >= axis) {
        if (axes[at - 1] == axis) {
            PyErr_SetString(PyExc_ValueError, "duplicate value in 'axis'");
            return -1;
        }
        at--;
    }
    memmove(axes + at + 1, axes + at, (size_t)(*naxes - at) * sizeof *axes);
    axes[at] = axis;
    ++*naxes;
    return 0;
}

int
convert_axes(PyObject *object, int ndim, int *axes, int *naxes)
{
    if (object == NULL || object == Py_None) {
        *naxes = -1;
        return 0;
    }
    *naxes = 0;
    if (!PyTuple_Check(object) && !PyList_Check(object)) {
        *naxes = 1;
        return convert_axis(object, ndim, axes);
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    for (Py_ssize_t i = 0; i < n; i++) {
        int axis;
        if (convert_axis(PySequence_Fast_GET_ITEM(object, i), ndim, &axis) < 0 ||
            add_axis(axes, naxes, axis) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
convert_item(const Array *concrete, int64_t offset_bytes)
{
    const char *data = storage_map_host(concrete->storage, MAP_READ);
    if (data == NULL) {
        return error_raise();
    }
    data += concrete->offset + offset_bytes;
#define ITEM(ctype, make)                                                                          \
    {                                                                                              \
        ctype v;                                                                                   \
        memcpy(&v, data, sizeof v);                                                                \
        return make;                                                                               \
    }
    switch ((DType)concrete->dtype) {
    case DT_bool: ITEM(uint8_t, PyBool_FromLong(v))
    case DT_i8: ITEM(int8_t, PyLong_FromLong(v))
    case DT_i16: ITEM(int16_t, PyLong_FromLong(v))
    case DT_i32: ITEM(int32_t, PyLong_FromLong(v))
    case DT_i64: ITEM(int64_t, PyLong_FromLongLong(v))
    case DT_u8: ITEM(uint8_t, PyLong_FromLong(v))
    case DT_u16: ITEM(uint16_t, PyLong_FromLong(v))
    case DT_u32: ITEM(uint32_t, PyLong_FromUnsignedLong(v))
    case DT_u64: ITEM(uint64_t, PyLong_FromUnsignedLongLong(v))
    case DT_f32: ITEM(float, PyFloat_FromDouble((double)v))
    case DT_f64: ITEM(double, PyFloat_FromDouble(v))
    case DT_c64: {
        float v[2];
        memcpy(v, data, sizeof v);
        return PyComplex_FromDoubles((double)v[0], (double)v[1]);
    }
    case DT_c128: {
        double v[2];
        memcpy(v, data, sizeof v);
        return PyComplex_FromDoubles(v[0], v[1]);
    }
    case DTYPE_COUNT: break;
    }
#undef ITEM
    Py_UNREACHABLE();
}
