/* python/simplified.c -- what a plan would compute, for tests and for looking at it. */
#include "python/functions.h"

enum { ARRAYS_MAX = 64 };

static void
append_text(void *ctx, const char *text)
{
    PyObject *line = PyUnicode_FromString(text);
    if (line != NULL) {
        PyList_Append(ctx, line);
        Py_DECREF(line);
    }
}

static PyObject *
joined(PyObject *lines)
{
    PyObject *nothing = PyUnicode_FromString("");
    PyObject *text = nothing == NULL ? NULL : PyUnicode_Join(nothing, lines);
    Py_XDECREF(nothing);
    return text;
}

static PyObject *
core_simplified(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *sequence, *lines = NULL, *result = NULL;
    Array *in[ARRAYS_MAX] = {NULL}, *values[ARRAYS_MAX] = {NULL}, *guards = NULL;
    int hoist = 1;
    if (!PyArg_ParseTuple(args, "O!|p", &PyList_Type, &sequence, &hoist)) {
        return NULL;
    }
    const int n = (int)PyList_GET_SIZE(sequence);
    if (n > ARRAYS_MAX) {
        return PyErr_Format(PyExc_ValueError, "simplified: at most %d arrays", ARRAYS_MAX);
    }
    for (int i = 0; i < n; i++) {
        in[i] = convert_array(PyList_GET_ITEM(sequence, i));
        if (in[i] == NULL) {
            goto done;
        }
    }
    lines = PyList_New(0);
    if (lines == NULL) {
        goto done;
    }
    if (graph_simplified(in, n, hoist != 0, append_text, lines, values, &guards) != STATUS_OK) {
        error_raise();
        goto done;
    }
    PyObject *text = joined(lines), *list = list_wrap(values, n), *numbers = object_wrap(guards);
    guards = NULL;
    if (text != NULL && list != NULL && numbers != NULL) {
        result = PyTuple_Pack(3, text, list, numbers);
    }
    Py_XDECREF(text);
    Py_XDECREF(list);
    Py_XDECREF(numbers);
done:
    Py_XDECREF(lines);
    array_release(guards);
    for (int i = 0; i < n && i < ARRAYS_MAX; i++) {
        array_release(in[i]);
        array_release(values[i]);
    }
    return result;
}

static PyMethodDef functions[] = {
    {"simplified", core_simplified, METH_VARARGS,
     "simplified(arrays, hoist=True)\n--\n\nThe nodes that a plan for recorded arrays would "
     "compute, as text, what they give, and the numbers that guard moved factors."},
    {NULL, NULL, 0, NULL}};

int
module_add_simplified(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
