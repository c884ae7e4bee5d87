/* python/numpy_api.h -- NumPy's C API for the few files that need it. Exactly one of them
 * defines PYARR_NUMPY_IMPORT and so holds the table of functions. */
#ifndef PYARR_PYTHON_NUMPY_API_H
#define PYARR_PYTHON_NUMPY_API_H

#include "python/pyarr.h"

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL pyarr_numpy_api
#ifndef PYARR_NUMPY_IMPORT
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

/* ---- foreign.c ---- */
/* DTYPE_COUNT for what pyarr does not hold; byte order is not looked at. */
DType numpy_dtype(const PyArray_Descr *descr);
/* Raise TypeError with advice for a dtype that pyarr does not hold. Returns -1. */
int numpy_refuse_dtype(PyArray_Descr *descr);
/* Is it numpy.ndarray itself or a memmap? Else -1 with TypeError and advice. */
int numpy_check_type(PyObject *ndarray);
/* convert_from_numpy, and whether the elements were copied (byte order, alignment). */
Array *numpy_share(PyArrayObject *source, bool *copied);
/* A copy in native byte order, whatever the source's type. */
Array *numpy_copy(PyArrayObject *source);
/* A capsule that keeps the storage alive and its memory where it is. */
PyObject *storage_capsule(Storage *storage);

/* ---- dlpack.c ---- */
/* As pyarr.from_dlpack(object): a new pyarr.ndarray or NULL. */
PyObject *convert_from_dlpack(PyObject *object);
/* The storage behind a capsule or the owner NumPy makes of one, if it is ours; borrowed. */
Storage *dlpack_own_storage(PyObject *capsule);
PyObject *array_dlpack(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *array_dlpack_device(PyObject *self, PyObject *unused);
PyObject *module_from_dlpack(PyObject *module, PyObject *args, PyObject *kwargs);

/* ---- protocols.c ---- */
PyObject *array_ufunc_protocol(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *array_function_protocol(PyObject *self, PyObject *args);
PyObject *array_namespace_protocol(PyObject *self, PyObject *args, PyObject *kwargs);

/* ---- pickle.c ---- */
PyObject *array_reduce_ex(PyObject *self, PyObject *protocol);
PyObject *array_copy_protocol(PyObject *self, PyObject *unused);
PyObject *array_deepcopy_protocol(PyObject *self, PyObject *memo);
PyObject *array_sizeof(PyObject *self, PyObject *unused);
PyObject *module_rebuild(PyObject *module, PyObject *args);

#endif
