/* python/host.h -- primitives that Python functions carry out. */
#ifndef PYARR_PYTHON_HOST_H
#define PYARR_PYTHON_HOST_H

#include "python/pyarr.h"

/* Adds register_host(name, function) and sets the hook that runs what was registered. */
int module_add_host(PyObject *module);

#endif
