/* python/kinds.c -- results are given as what the arguments were. */
#include "python/kinds.h"

#include "python/numpy_api.h"
#include "python/object.h"

#include <string.h>

enum { COPY_LIMIT = 64 * 1024 /* bytes that one thread copies at once */ };

Array *
kind_take_numpy(PyObject *object)
{
    PyArrayObject *source = (PyArrayObject *)object;
    int64_t shape[ARRAY_MAX_NDIM];
    const DType dtype = numpy_dtype(PyArray_DESCR(source));
    if (dtype == DTYPE_COUNT || !PyArray_ISCARRAY_RO(source) ||
        PyArray_NBYTES(source) > COPY_LIMIT) {
        return NULL;
    }
    for (int i = 0; i < PyArray_NDIM(source); i++) {
        shape[i] = PyArray_DIM(source, i);
    }
    Array *copy = array_new(device_cpu(), dtype, PyArray_NDIM(source), shape);
    if (copy != NULL && copy->size > 0) {
        memcpy(array_data(copy), PyArray_DATA(source), (size_t)PyArray_NBYTES(source));
    }
    return copy != NULL ? copy : (Array *)error_raise();
}

/* A copy in memory of NumPy's own; 0-d gives a scalar. */
static PyObject *
give_numpy(Array *array)
{
    Array *value = object_export_value(array, "conversion to a NumPy array");
    PyObject *result = NULL;
    if (value != NULL && value->ndim == 0) {
        result = PyArray_Scalar(array_data(value), (PyArray_Descr *)dtype_object(value->dtype),
                                NULL);
    } else if (value != NULL && array_bytes(value) <= COPY_LIMIT &&
               array_is_contiguous(value)) {
        PyArray_Descr *descr = (PyArray_Descr *)Py_NewRef(dtype_object(value->dtype));
        result = PyArray_NewFromDescr(&PyArray_Type, descr, value->ndim, (npy_intp *)value->shape,
                                      NULL, NULL, 0, NULL);
        if (result != NULL && value->size > 0) {
            memcpy(PyArray_DATA((PyArrayObject *)result), array_data(value),
                   (size_t)PyArray_NBYTES((PyArrayObject *)result));
        }
    } else if (value != NULL) {
        value->storage->exported = true;
        result = convert_to_numpy(value);
    }
    array_release(value);
    return result;
}

PyObject *
kind_give(Array *array, Kind kind)
{
    if (kind == KIND_PYARR || graph_is_active(array)) {
        return object_wrap(array_retain(array));
    }
    return kind == KIND_NUMPY ? give_numpy(array) : object_item(array);
}
