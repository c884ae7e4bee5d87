/* python/jit.h -- what the files of pyarr.jit share: the key of a call, and recordings. */
#ifndef PYARR_PYTHON_JIT_H
#define PYARR_PYTHON_JIT_H

#include "base/vec.h"
#include "graph/capture.h"
#include "python/kinds.h"

/* What of a call decides which recording serves it, and the arrays that the recording is given. */
typedef struct CallKey {
    VEC(uint64_t) words;      /* structure, dtypes, shapes, strides, settings */
    VEC(PyObject *) statics;  /* borrowed from the call: equal ones are needed */
    VEC(Array *) arrays;      /* owned */
    uint64_t hash;
    bool has_pyarr, has_numpy;
    bool is_recorded;         /* an array has a derivative already */
} CallKey;

/* -1 with an exception; to be finished in any case. */
int callkey_init(CallKey *key, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
void callkey_fini(CallKey *key);
/* Are these two the same argument that is no array? */
bool callkey_same_static(PyObject *a, PyObject *b);

/* pyarr._core.Recording: a plan and how its results are given back. */
typedef struct RecordingObject {
    PyObject_HEAD
    Capture *capture;
} RecordingObject;

extern PyTypeObject RecordingObject_Type;

#endif
