/* python/methods.h -- what the files of the methods of pyarr.ndarray share. */
#ifndef PYARR_PYTHON_METHODS_H
#define PYARR_PYTHON_METHODS_H

#include "python/functions.h"

#define METHOD(name)                                                                               \
    PyObject *method_##name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,               \
                            PyObject *kwnames)

/* methods_shape.c */
METHOD(reshape);
METHOD(ravel);
METHOD(flatten);
METHOD(swapaxes);
METHOD(squeeze);
METHOD(resize);
PyObject *method_transpose(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* Does NumPy's order 'C', 'F', 'A' or 'K' mean Fortran's for x? */
static inline bool
order_is_fortran(char order, const Array *x)
{
    return order == 'F' || ((order == 'A' || order == 'K') && array_is_f_contiguous(x) &&
                            !array_is_contiguous(x));
}

/* A result that may share self's memory. Takes over `result`. */
static inline PyObject *
wrap_shared(Array *result, PyObject *self)
{
    if (result != NULL && result->storage == object_array(self)->storage) {
        return object_wrap_view(result, self);
    }
    return object_wrap(result);
}

#endif
