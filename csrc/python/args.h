/* python/args.h -- binding the arguments of vectorcall functions to parameter names. */
#ifndef PYARR_PYTHON_ARGS_H
#define PYARR_PYTHON_ARGS_H

#include "python/pyarr.h"

#define ARGS_MAX 16

/* Parameters of a function: the first `required` must be given, those from `positional` on
 * are keyword-only. */
typedef struct Signature {
    const char *function;
    int n, required, positional;
    const char *names[ARGS_MAX];
} Signature;

/* Bind to `out` (borrowed, NULL where not given; n entries). -1 with TypeError worded as
 * Python words it. numpy's "no value" marker counts as not given. */
int args_bind(const Signature *signature, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames, PyObject **out);

/* A flag: `fallback` when NULL or None. -1 on error. */
int args_bool(PyObject *object, bool fallback, bool *out);
/* An integer by __index__; `fallback` when NULL. -1 on error. */
int args_int64(PyObject *object, int64_t fallback, int64_t *out);
/* None or missing -> DTYPE_COUNT. */
int args_dtype(PyObject *object, DType *out);
/* None or missing -> the default device; else a name. NULL on error. */
Device *args_device(PyObject *object);
/* NumPy's order= for copies: 'C', 'F', 'A', 'K' (missing: fallback). -1 on error. */
/* Sizes, axes or indices given as one tuple or as several ints. Their number, or -1. */
int args_sizes(PyObject *const *args, Py_ssize_t nargs, int64_t *out);
int args_order(PyObject *object, char fallback, char *out);
/* casting= as dtype_can_cast's letter. -1 on error. */
int args_casting(PyObject *object, char *out);
/* One axis that may count from the end. -1 on error. */
int args_axis(PyObject *object, int ndim, int *out);

/* Call pyarr._methods.<name>(args..., kw...), for what is written in Python. */
PyObject *args_call_python(const char *name, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames);

#endif
