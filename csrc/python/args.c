/* python/args.c -- binding the arguments of vectorcall functions to parameter names. */
#include "python/args.h"

#include <string.h>

static PyObject *no_value; /* numpy._NoValue, or None's pointer before it was looked up */

static int
load_no_value(void)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (numpy == NULL) {
        return -1;
    }
    no_value = PyObject_GetAttrString(numpy, "_NoValue");
    Py_DECREF(numpy);
    return no_value == NULL ? -1 : 0;
}

static int
find_name(const Signature *s, PyObject *name)
{
    for (int i = 0; i < s->n; i++) {
        if (PyUnicode_CompareWithASCIIString(name, s->names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int
bind_keyword(const Signature *s, PyObject *name, PyObject *value, PyObject **out)
{
    const int at = find_name(s, name);
    if (at < 0) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", s->function,
                     name);
        return -1;
    }
    if (out[at] != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", s->function,
                     s->names[at]);
        return -1;
    }
    if (no_value == NULL && load_no_value() < 0) {
        return -1;
    }
    if (value != no_value) {
        out[at] = value;
    }
    return 0;
}

int
args_bind(const Signature *s, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          PyObject **out)
{
    if (nargs > s->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional argument%s (%zd given)",
                     s->function, s->positional, s->positional == 1 ? "" : "s", nargs);
        return -1;
    }
    for (int i = 0; i < s->n; i++) {
        out[i] = i < nargs ? args[i] : NULL;
    }
    const Py_ssize_t nkeywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < nkeywords; i++) {
        if (bind_keyword(s, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], out) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < s->required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %d)",
                         s->function, s->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}

int
args_bool(PyObject *object, bool fallback, bool *out)
{
    if (object == NULL || object == Py_None) {
        *out = fallback;
        return 0;
    }
    const int truth = PyObject_IsTrue(object);
    *out = truth > 0;
    return truth < 0 ? -1 : 0;
}

int
args_int64(PyObject *object, int64_t fallback, int64_t *out)
{
    if (object == NULL) {
        *out = fallback;
        return 0;
    }
    const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    *out = value;
    return value == -1 && PyErr_Occurred() ? -1 : 0;
}

int
args_dtype(PyObject *object, DType *out)
{
    *out = DTYPE_COUNT;
    if (object == NULL || object == Py_None) {
        return 0;
    }
    return convert_dtype_converter(object, out) ? 0 : -1;
}

Device *
args_device(PyObject *object)
{
    if (object == NULL || object == Py_None) {
        return device_default();
    }
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "device must be a name such as \"cpu\", not %.100s",
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    const char *name = PyUnicode_AsUTF8(object);
    if (name == NULL) {
        return NULL;
    }
    Device *device = device_find(name);
    if (device == NULL) {
        error_raise();
    }
    return device;
}

int
args_order(PyObject *object, char fallback, char *out)
{
    *out = fallback;
    if (object == NULL || object == Py_None) {
        return 0;
    }
    if (PyUnicode_Check(object) && PyUnicode_GET_LENGTH(object) >= 1) {
        const Py_UCS4 letter = Py_UNICODE_TOUPPER(PyUnicode_READ_CHAR(object, 0));
        if (letter == 'C' || letter == 'F' || letter == 'A' || letter == 'K') {
            *out = (char)letter;
            return 0;
        }
        PyErr_Format(PyExc_ValueError, "order must be one of 'C', 'F', 'A', or 'K' (got '%U')",
                     object);
        return -1;
    }
    PyErr_Format(PyExc_TypeError, "order must be str, not %.100s", Py_TYPE(object)->tp_name);
    return -1;
}

int
args_casting(PyObject *object, char *out)
{
    static const char *const words[] = {"no", "equiv", "safe", "same_kind", "unsafe"};
    static const char letters[] = {'n', 'e', 's', 'k', 'u'};
    if (object == NULL || object == Py_None) {
        return 0;
    }
    for (int i = 0; PyUnicode_Check(object) && i < 5; i++) {
        if (PyUnicode_CompareWithASCIIString(object, words[i]) == 0) {
            *out = letters[i];
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "casting must be one of 'no', 'equiv', 'safe', 'same_kind', or 'unsafe' (got %R)",
                 object);
    return -1;
}

int
args_axis(PyObject *object, int ndim, int *out)
{
    int64_t axis = 0;
    if (args_int64(object, 0, &axis) < 0) {
        return -1;
    }
    return axis_normalise(axis, ndim, out) == STATUS_OK ? 0 : error_raise_int();
}

PyObject *
args_call_python(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static PyObject *methods;
    if (methods == NULL) {
        methods = PyImport_ImportModule("pyarr._methods");
        if (methods == NULL) {
            return NULL;
        }
    }
    PyObject *function = PyObject_GetAttrString(methods, name);
    if (function == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(function, args, (size_t)nargs, kwnames);
    Py_DECREF(function);
    return result;
}

int
args_sizes(PyObject *const *args, Py_ssize_t nargs, int64_t *out)
{
    if (nargs == 1 && !PyLong_Check(args[0])) {
        return convert_shape(args[0], out);
    }
    if (nargs > ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError,
                     "maximum supported dimension for an ndarray is currently %d, found %zd",
                     ARRAY_MAX_NDIM, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (args_int64(args[i], 0, &out[i]) < 0) {
            return -1;
        }
    }
    return (int)nargs;
}
