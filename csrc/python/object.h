/* python/object.h -- what the files of the ndarray type share among themselves. */
#ifndef PYARR_PYTHON_OBJECT_H
#define PYARR_PYTHON_OBJECT_H

#include "array/view.h"
#include "python/pyarr.h"

/* Wrap the result of a computation (stolen): a 0-d result is a scalar, and strong. */
PyObject *object_wrap_result(Array *result);
/* Wrap a view (stolen) of `of`'s memory, for .base. */
PyObject *object_wrap_view(Array *view, PyObject *of);
/* A 0-d array (stolen, may be NULL) marked as a scalar; a copy of it where it shares memory. */
Array *object_mark_scalar(Array *array);

/*
 * An operand of a function as an Array (new reference) or NULL with an exception: ndarray and
 * Python numbers at once, anything else by convert_array.
 */
Array *object_operand(PyObject *object);
/* OverflowError when a Python int does not fit an array's integer dtype. 0 / -1. */
int object_check_int(PyObject *integer, DType dtype);

/*
 * Store `result` (stolen, NULL passes on an error) where out= says: NULL or None gives it
 * back wrapped; an array (or 1-tuple of one) is written and returned. `name` is the function's.
 */
PyObject *object_store(PyObject *out, Array *result, const char *name, char casting);
/* Write into `dst` as an output of function `name`, with NumPy's checks. 0 / -1. */
int object_write_output(Array *dst, Array *result, const char *name, char casting);

/* The concrete value for float(), item(), ...; TypeError on active arrays naming `what`. */
Array *object_export_value(Array *array, const char *what);
/* The one element of a concrete or recorded array for printing and hashing, never refused. */
PyObject *object_item(Array *array);

/* number.c: a binary operator of any two objects; NotImplemented for foreign types. */
PyObject *number_binary(OpCode op, PyObject *left, PyObject *right);
/* Python ints among two operands that do not fit the other's dtype: OverflowError, or in[i]
 * replaced. 0 / -1. */
int number_fit(OpCode op, PyObject *const *objects, Array **in);

/* subscript.c, assign.c */
PyObject *subscript_get(PyObject *self, PyObject *key);
int subscript_set(PyObject *self, PyObject *key, PyObject *value);
/* dst[key] += value with repeats added up (numpy.add.at). */
int subscript_add(PyObject *self, PyObject *key, PyObject *value);

/* dst[...] = value for any Python value, with the checks of assignment. 0 / -1. */
int subscript_assign(Array *dst, PyObject *value);

/* numpy.exceptions.ComplexWarning, as casts to real give. 0, or -1 when it became an error. */
int object_warn_complex(void);

/* gradient.c: value_and_grad(f, argnum, args, kwargs, check), or NotImplemented where the call is
 * none of the common ones; nothing has run then. */
/* End a transform for the exception that is set or being handled, which stays; what a signal
 * handler raises meanwhile takes its place. */
void transform_give_up(struct Transform *t);
PyObject *core_value_and_grad(PyObject *module, PyObject *const *v, Py_ssize_t count);

/* text.c: __format__ */
PyObject *array_format(PyObject *self, PyObject *spec);

/* attributes.c: the type of x.flags, and x.shape = value */
extern PyTypeObject FlagsObject_Type;

#endif
