/* python/functions.h -- functions of arrays with NumPy's signatures, each also a method. */
#ifndef PYARR_PYTHON_FUNCTIONS_H
#define PYARR_PYTHON_FUNCTIONS_H

#include "python/args.h"
#include "python/object.h"

/* How all of them are called (METH_FASTCALL | METH_KEYWORDS); `self` is not used. */
#define FUNCTION(name)                                                                             \
    PyObject *function_##name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,             \
                              PyObject *kwnames)

/* reduce.c */
FUNCTION(sum);
FUNCTION(prod);
FUNCTION(min);
FUNCTION(max);
FUNCTION(any);
FUNCTION(all);
FUNCTION(argmin);
FUNCTION(argmax);
FUNCTION(cumsum);
FUNCTION(cumprod);

/* What sum(a, axis, dtype, out, keepdims, initial, where) and its kin are asked; each may be
 * NULL. axis NULL means all axes. */
typedef struct ReduceArgs {
    PyObject *axis, *dtype, *out, *keepdims, *initial, *where;
} ReduceArgs;
PyObject *function_reduce(OpCode op, Array *x, const ReduceArgs *r);
/* 0, or -1 with ValueError where there is nothing to reduce and no result for that. */
int function_check_reduced(OpCode op, const Array *x, int naxes, const int *axes);
/* Along one axis (None: flattened): op is OP_cumsum or OP_cumprod. */
PyObject *function_scan(OpCode op, Array *x, PyObject *axis, PyObject *dtype, PyObject *out);

/* functions.c */
FUNCTION(matmul);
FUNCTION(dot);
FUNCTION(where);
FUNCTION(nonzero);
FUNCTION(take);
FUNCTION(diagonal);

/* logsumexp.c */
FUNCTION(logsumexp);

/* sorting.c */
FUNCTION(sort);
FUNCTION(argsort);
FUNCTION(searchsorted);

/* A fresh array of the CPU on the device named, or on that of new arrays (creation.c). Takes over
 * the reference; NULL passes. */
PyObject *creation_place(PyObject *object, PyObject *device);

/* join.c: concatenate, stack, broadcast_to */
int module_add_joining(PyObject *module);

/* numpy.matmul of two arrays; NULL with the error recorded. */
Array *function_apply_matmul(Array *a, Array *b);
/* Two arrays in their common dtype: new references in `out`, also on failure (then NULL). */
Status function_common(Array *const *in, Array **out);
/* The operands v[0] and v[1]: 0, or -1 with an exception and none held. */
int function_two(PyObject *const *v, Array **in);
/* Indices of the true elements, one row each: (count, ndim) int64. x is looked at. */
Array *function_nonzero_rows(Array *x);
/* x as C-order 1-d: a view where possible. */
Array *function_flat(Array *x);

#endif
