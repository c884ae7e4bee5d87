/* python/host.c -- primitives that Python functions carry out (Fourier transforms, functions of
 * the user): the registry and the call.
 *
 * A registered function is called as function(params, *arrays) with a tuple of ints and
 * read-only NumPy views of the inputs; it returns an array that can be cast to the result.
 */
#include "python/host.h"

#include "python/numpy_api.h"

#include "backend/backend.h"
#include "base/hooks.h"

static PyObject *functions[OP_COUNT];

/* The operand's memory as a NumPy array; the caller answers for its lifetime. */
static PyObject *
operand_view(const Operand *operand, bool writable)
{
    npy_intp shape[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    PyArray_Descr *descr = (PyArray_Descr *)dtype_object(operand->dtype);
    for (int i = 0; i < operand->ndim; i++) {
        shape[i] = (npy_intp)operand->shape[i];
        strides[i] = (npy_intp)operand->strides[i];
    }
    Py_XINCREF(descr);
    return PyArray_NewFromDescr(&PyArray_Type, descr, operand->ndim, shape, strides, operand->data,
                                writable ? NPY_ARRAY_WRITEABLE : 0, NULL);
}

static int
call_function(const Call *call, PyObject *function)
{
    int status = -1;
    PyObject *out = NULL, *result = NULL, *params = PyTuple_New(call->nparams);
    PyObject *args = PyTuple_New(call->nin + 1);
    for (int i = 0; params != NULL && i < call->nparams; i++) {
        PyObject *number = PyLong_FromLongLong(call->params[i]);
        if (number == NULL) {
            Py_CLEAR(params);
            break;
        }
        PyTuple_SET_ITEM(params, i, number);
    }
    if (params == NULL || args == NULL) {
        Py_XDECREF(params);
        goto done;
    }
    PyTuple_SET_ITEM(args, 0, params);
    for (int i = 0; i < call->nin; i++) {
        PyObject *view = operand_view(&call->in[i], false);
        if (view == NULL) {
            goto done;
        }
        PyTuple_SET_ITEM(args, i + 1, view);
    }
    result = PyObject_CallObject(function, args);
    out = result == NULL ? NULL : operand_view(&call->out, true);
    if (out != NULL && PyArray_CopyObject((PyArrayObject *)out, result) == 0) {
        status = 0;
    }
done:
    Py_XDECREF(out);
    Py_XDECREF(result);
    Py_XDECREF(args);
    return status;
}

static int
run_primitive(const void *context)
{
    const Call *call = context;
    const PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *function = functions[call->op];
    int status = -1;
    if (function == NULL) {
        err_set(ERR_RUNTIME, "%s: no function is registered for it", op_info(call->op)->name);
    } else {
        Py_INCREF(function);
        status = call_function(call, function);
        Py_DECREF(function);
        if (status != 0) {
            error_from_python();
        }
    }
    PyGILState_Release(lock);
    return status;
}

static PyObject *
register_host(PyObject *module, PyObject *args)
{
    (void)module;
    const char *name;
    PyObject *function;
    if (!PyArg_ParseTuple(args, "sO:register_host", &name, &function)) {
        return NULL;
    }
    const OpCode op = op_find(name);
    if (op == OP_COUNT || op_is_elementwise(op)) {
        return PyErr_Format(PyExc_ValueError, "register_host: there is no primitive '%s'", name);
    }
    Py_INCREF(function);
    Py_XSETREF(functions[op], function);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(register_doc, "register_host(name, function)\n--\n\n"
                           "Let function(params, *arrays) carry out a primitive on NumPy arrays.");

static PyMethodDef methods[] = {
    {"register_host", register_host, METH_VARARGS, register_doc},
    {NULL, NULL, 0, NULL},
};

int
module_add_host(PyObject *module)
{
    host_hooks.primitive = run_primitive;
    return PyModule_AddFunctions(module, methods);
}
