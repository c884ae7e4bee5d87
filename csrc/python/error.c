/* python/error.c -- the error record of the core as Python exceptions, and back. */
#include "python/pyarr.h"

#include <string.h>

/* Classes by kind, found when first raised, so that import stays cheap. */
static PyObject *classes[ERR_KIND_COUNT];

/* "package.module.Name", or a builtin without a dot; borrowed. */
static PyObject *
find_class(const char *name)
{
    const char *dot = strrchr(name, '.');
    PyObject *module = NULL;
    if (dot == NULL) {
        module = PyImport_ImportModule("builtins");
    }
    else {
        PyObject *path = PyUnicode_FromStringAndSize(name, dot - name);
        module = path == NULL ? NULL : PyImport_Import(path);
        Py_XDECREF(path);
    }
    if (module == NULL) {
        return NULL;
    }
    PyObject *found = PyObject_GetAttrString(module, dot == NULL ? name : dot + 1);
    Py_DECREF(module);
    return found;
}

static PyObject *
class_of(ErrKind kind)
{
    if (kind == ERR_NONE || kind == ERR_PYTHON) {
        return PyExc_SystemError;
    }
    if (classes[kind] == NULL) {
        classes[kind] = find_class(err_exception_name(kind));
        if (classes[kind] == NULL) {
            PyErr_Clear();
            return PyExc_RuntimeError;
        }
    }
    return classes[kind];
}

PyObject *
error_raise(void)
{
    const ErrKind kind = err_kind();
    const bool is_set = PyErr_Occurred() != NULL;
    /* A signal handler may have raised something of its own before the core noticed. */
    if (is_set && (kind == ERR_PYTHON || kind == ERR_NONE || kind == ERR_INTERRUPT)) {
        err_clear();
        return NULL;
    }
    if (is_set) {
        PyErr_Clear();
    }
    ErrRecord record;
    err_save(&record); /* finding the class may run code that fails itself */
    PyObject *class = class_of(kind);
    const char *message = record.message[0] != '\0' ? record.message
                          : kind == ERR_NONE        ? "pyarr: failure without an error"
                                                    : "";
    if (kind == ERR_INTERRUPT) {
        PyErr_SetNone(class);
    }
    else {
        PyErr_SetString(class, message);
    }
    err_clear();
    return NULL;
}

int
error_raise_int(void)
{
    error_raise();
    return -1;
}

Status
error_from_python(void)
{
    assert(PyErr_Occurred() != NULL);
    return err_set(ERR_PYTHON, "exception of the interpreter");
}
