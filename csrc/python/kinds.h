/* python/kinds.h -- results are given as what the arguments were. */
#ifndef PYARR_PYTHON_KINDS_H
#define PYARR_PYTHON_KINDS_H

#include "python/pyarr.h"

typedef enum Kind { KIND_PYTHON, KIND_NUMPY, KIND_PYARR } Kind;

/* A small array in C order that NumPy owns, copied. NULL without an exception when the ndarray is
 * anything else. */
Array *kind_take_numpy(PyObject *ndarray);
/* A result as the kind that was given; what an outer derivative needs stays pyarr's. Python's
 * kind is for single numbers. New reference, or NULL with an exception. */
PyObject *kind_give(Array *array, Kind kind);

#endif
