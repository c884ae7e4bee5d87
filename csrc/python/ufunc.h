/* python/ufunc.h -- the object behind each ufunc, for its call and its methods. */
#ifndef PYARR_PYTHON_UFUNC_H
#define PYARR_PYTHON_UFUNC_H

#include "python/functions.h"

#define UFUNC_MAX_IN 3
#define UFUNC_MAX_OUT 2

typedef struct UfuncObject {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    const char *name;
    const char *doc;
    OpCode ops[UFUNC_MAX_OUT]; /* the row of each result */
    int nin, nout;
} UfuncObject;

static inline UfuncObject *
as_ufunc(PyObject *self)
{
    return (UfuncObject *)(void *)self;
}

/* ufunc.c */
/* The arguments as arrays; -1 with an exception and none held. */
int ufunc_inputs(const UfuncObject *u, PyObject *const *args, Array **in);
PyObject *ufunc_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                           PyObject *kwnames);

extern PyMethodDef ufunc_methods[]; /* ufunc_methods.c */

#endif
