/* python/pyarr.h -- shared declarations of the Python layer: the ndarray object, converters,
 * exceptions. The only headers of Python and NumPy are included here. */
#ifndef PYARR_PYTHON_PYARR_H
#define PYARR_PYTHON_PYARR_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "graph/graph.h"

/* pyarr.ndarray */
typedef struct ArrayObject {
    PyObject_HEAD
    Array *array;
    PyObject *base;     /* the array this is a view of, or NULL */
    PyObject *weakrefs;
} ArrayObject;

extern PyTypeObject ArrayObject_Type;
#define array_object_check_exact(o) Py_IS_TYPE(o, &ArrayObject_Type)
#define array_object_check(o) PyObject_TypeCheck(o, &ArrayObject_Type)
static inline Array *object_array(PyObject *o) { return ((ArrayObject *)o)->array; }

/* Wrap a new reference (stolen, also on failure). NULL array: raises the recorded error. */
PyObject *object_wrap(Array *array);
/* Raise the recorded error as NumPy's exception type; always returns NULL. */
PyObject *error_raise(void);
/* The same for functions that return int: -1. */
int error_raise_int(void);
/* An exception is set in the interpreter: note it as ERR_PYTHON for C callers. */
Status error_from_python(void);

/* ---- converters (convert.c); each returns a new reference or NULL with an exception ---- */
/* Anything array-like to an Array: exact ndarray, Python and NumPy scalars (Python ones weak),
 * NumPy arrays (shared memory), buffers, nested sequences also of traced scalars.
 * Raises TypeError with advice for what design section 4 refuses. */
Array *convert_array(PyObject *object);
/* As numpy.array(object, dtype, copy): dtype DTYPE_COUNT for none; copy -1 (if needed), 0, 1. */
Array *convert_array_full(PyObject *object, DType dtype, int copy);
/* Should a binary operator return NotImplemented for this operand? (its own __array_ufunc__,
 * __array_priority__ foreign types) */
bool convert_defers(PyObject *object);
/* A NumPy ndarray to an Array that shares its memory (one storage per foreign owner). */
Array *convert_from_numpy(PyObject *ndarray);
/* A NumPy ndarray that shares the memory of a concrete array (owner: the ndarray object). */
PyObject *convert_to_numpy(Array *concrete);
/* dtype arguments: numpy dtype, type, name, Python type. 0, or -1 with TypeError. */
int convert_dtype(PyObject *object, DType *out);
/* The same in the style of "O&": 1 ok, 0 error; None gives DTYPE_COUNT. */
int convert_dtype_converter(PyObject *object, void *out);
PyObject *dtype_object(DType dtype);                  /* borrowed numpy.dtype */
/* int or tuple of ints as a shape of at most ARRAY_MAX_NDIM; raises as NumPy. Negative numbers
 * pass (reshape wants its -1; array_new refuses the others). Returns ndim or -1. */
int convert_shape(PyObject *object, int64_t *shape);
/* None, int or tuple of ints as normalised, sorted axes (room for ARRAY_MAX_NDIM); naxes -1
 * for None. 0 / -1 with AxisError or ValueError. */
int convert_axes(PyObject *object, int ndim, int *axes, int *naxes);
/* The element of a concrete 0-d or size-1 array as a Python scalar. */
PyObject *convert_item(const Array *concrete, int64_t offset_bytes);

/* ---- start (both idempotent; module.c calls them first). 0 / -1 ---- */
int convert_init(void); /* NumPy's C API and the types that converters compare with */
int hooks_init(void);   /* the interpreter's side of base/hooks.h and base/poll.h */

/* ---- pieces of the type and the module, one file each ---- */
extern PyNumberMethods array_number_methods;     /* number.c */
extern PyMappingMethods array_mapping_methods;   /* subscript.c */
extern PySequenceMethods array_sequence_methods; /* subscript.c */
extern PyBufferProcs array_buffer_methods;       /* buffer.c */
extern PyMethodDef array_methods[];              /* methods.c */
extern PyMethodDef array_element_methods[];      /* elements.c */
extern PyMethodDef array_interop_methods[];      /* interop.c: __array__, dlpack, ufunc, pickle */
extern PyGetSetDef array_getset[];               /* attributes.c */
PyObject *array_repr(PyObject *self);            /* text.c */
PyObject *array_str(PyObject *self);
extern PyTypeObject UfuncObject_Type;            /* ufunc.c */
PyObject *ufunc_object(OpCode op);               /* borrowed, made at import */
PyObject *int_tuple(int64_t n, const int64_t *values);
/* A list of ndarray objects, None for NULL. What it wraps it takes out of `items`; after a failure
 * the rest stays with the caller. */
PyObject *list_wrap(Array **items, Py_ssize_t n);
/* What each file adds to the module; functions.c also what join.c has. */
int module_add_creation(PyObject *module);
int module_add_ranges(PyObject *module);
int module_add_functions(PyObject *module);
int module_add_table(PyObject *module);
int module_add_transforms(PyObject *module);
int module_add_plans(PyObject *module);
int module_add_jit(PyObject *module);
int module_add_explain(PyObject *module);
int module_add_simplified(PyObject *module);
int module_add_settings(PyObject *module);
int module_add_interop(PyObject *module);
int module_add_ufuncs(PyObject *module);
int module_add_programs(PyObject *module); /* program.c: for tests */

#endif
