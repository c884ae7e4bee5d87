/* python/table.c -- the op table as Python sees it: its rows, and a call of any of them. */
#include "python/functions.h"

#include "backend/backend.h"

#include <string.h>

static const char *const class_words[] = {"all",     "number", "real",    "realnum", "inexact",
                                          "float",   "integer", "bits",    "special"};
static const char *const axes_words[] = {"elementwise", "view",   "assign", "reduce",
                                         "scan",        "matmul", "concat", "gather",
                                         "scatter",     "along",  "last2",  "opaque"};

static PyObject *
op_record(OpCode op)
{
    const OpInfo *info = op_info(op);
    const bool elementwise = op_is_elementwise(op);
    return Py_BuildValue(
        "{s:s,s:i,s:O,s:s,s:s,s:O,s:O,s:O,s:O,s:O,s:O,s:s}", "name", info->name, "nin",
        (int)info->nin, "elementwise", elementwise ? Py_True : Py_False, "class",
        elementwise ? class_words[info->cls] : "", "axes", axes_words[info->axis_map],
        "ufunc", info->flags & FLAG_UFUNC ? Py_True : Py_False, "differentiable",
        info->flags & FLAG_NONDIFF ? Py_False : Py_True, "linear",
        info->flags & FLAG_LINEAR ? Py_True : Py_False, "internal",
        info->flags & FLAG_INTERNAL ? Py_True : Py_False, "singular",
        info->flags & FLAG_SINGULAR ? Py_True : Py_False, "may_fail",
        info->flags & FLAG_MAY_FAIL ? Py_True : Py_False, "doc", info->doc);
}

static PyObject *
table_ops(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (int op = 0; list != NULL && op < OP_COUNT; op++) {
        PyObject *record = op_record((OpCode)op);
        if (record == NULL || PyList_Append(list, record) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(record);
    }
    return list;
}

/* A sequence of ints as primitive parameters. Their number, or -1. */
static int
take_params(PyObject *object, int64_t *params, int capacity)
{
    if (object == NULL || object == Py_None) {
        return 0;
    }
    PyObject *list = PySequence_Fast(object, "apply: params must be a sequence of ints");
    if (list == NULL) {
        return -1;
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(list);
    int status = n > capacity ? -1 : (int)n;
    if (n > capacity) {
        PyErr_SetString(PyExc_ValueError, "apply: too many params");
    }
    for (Py_ssize_t i = 0; status >= 0 && i < n; i++) {
        if (args_int64(PySequence_Fast_GET_ITEM(list, i), 0, &params[i]) < 0) {
            status = -1;
        }
    }
    Py_DECREF(list);
    return status;
}

static PyObject *
table_apply(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    enum { MAX_PARAMS = 3 * ARRAY_MAX_NDIM };
    (void)module;
    int64_t params[MAX_PARAMS];
    Array *in[CALL_MAX_INPUTS];
    PyObject *params_object = NULL;
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        if (PyTuple_GET_SIZE(kwnames) > 1 ||
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "params") != 0) {
            PyErr_SetString(PyExc_TypeError, "apply() has one keyword argument, params");
            return NULL;
        }
        params_object = args[nargs];
    }
    const char *name = nargs > 0 && PyUnicode_Check(args[0]) ? PyUnicode_AsUTF8(args[0]) : NULL;
    if (name == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "apply() needs the name of an op and its arrays");
        }
        return NULL;
    }
    const OpCode op = op_find(name);
    const int nin = (int)nargs - 1;
    if (op == OP_COUNT) {
        return PyErr_Format(PyExc_ValueError, "apply: there is no op '%s'", name);
    }
    if (nin > CALL_MAX_INPUTS || (op_info(op)->nin >= 0 && op_info(op)->nin != nin)) {
        return PyErr_Format(PyExc_TypeError, "apply: op '%s' takes %d arrays (%d given)", name,
                            (int)op_info(op)->nin, nin);
    }
    const int nparams = take_params(params_object, params, MAX_PARAMS);
    if (nparams < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    int taken = 0;
    for (; taken < nin; taken++) {
        in[taken] = object_operand(args[taken + 1]);
        if (in[taken] == NULL) {
            break;
        }
    }
    if (taken == nin) {
        result = object_wrap_result(graph_apply(op, in, nin, params, nparams));
    }
    arrays_release(in, taken);
    return result;
}

PyDoc_STRVAR(ops_doc, "ops()\n--\n\nThe rows of the op table: a list of dicts.\n\n"
                      ">>> from pyarr import _core\n"
                      ">>> [op[\"name\"] for op in _core.ops()][:2]\n"
                      "['add', 'subtract']\n");
PyDoc_STRVAR(apply_doc, "apply(name, *arrays, params=())\n--\n\n"
                        "Apply one op of the table, by its name.\n\n"
                        ">>> from pyarr import _core\n"
                        ">>> _core.apply(\"sum\", [1.0, 2.0], params=(0, 1, 0))\n"
                        "array(3.)\n");

static PyMethodDef functions[] = {
    {"ops", table_ops, METH_NOARGS, ops_doc},
    {"apply", (PyCFunction)(void (*)(void))table_apply, METH_FASTCALL | METH_KEYWORDS,
     apply_doc},
    {NULL, NULL, 0, NULL},
};

int
module_add_table(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
