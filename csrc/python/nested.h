/* python/nested.h -- lists and tuples that hold pyarr arrays. */
#ifndef PYARR_PYTHON_NESTED_H
#define PYARR_PYTHON_NESTED_H

#include "python/pyarr.h"

static inline bool
nested_is_sequence(PyObject *object)
{
    return PyList_Check(object) || PyTuple_Check(object);
}

/* Does the nested sequence hold a pyarr array? Deeper than NumPy goes it is not looked at. */
bool nested_holds_arrays(PyObject *sequence, int depth);
/* The elements of a list or tuple as one array, one axis more than they have. */
Array *nested_join(PyObject *sequence, int depth);
/* One element, itself a sequence or anything array-like (convert.c). */
Array *nested_element(PyObject *object, int depth);

#endif
