/* python/ufunc_methods.c -- reduce, accumulate, reduceat, outer and at of pyarr's ufuncs: by the
 * table's primitives where there is one, else by NumPy or element by element. */
#include "python/ufunc.h"

/* The reduction primitive of a row, or OP_COUNT. */
static OpCode
reduction_op(OpCode op)
{
    switch (op) {
    case OP_add: return OP_sum;
    case OP_multiply: return OP_prod;
    case OP_minimum: return OP_reduce_min;
    case OP_maximum: return OP_reduce_max;
    case OP_logical_or: return OP_any;
    case OP_logical_and: return OP_all;
    default: return OP_COUNT;
    }
}

static int
check_binary(const UfuncObject *u, const char *method)
{
    if (u->nin == 2 && u->nout == 1) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s only supported for binary functions", method);
    return -1;
}

/* numpy.<ufunc>.<method>(view of x, *rest), back as an ndarray; refused on active arrays. */
static PyObject *
numpy_method(const UfuncObject *u, const char *method, PyObject *array, PyObject *const *rest,
             int nrest)
{
    char what[128];
    snprintf(what, sizeof what, "%s.%s", u->name, method);
    Array *x = object_operand(array);
    if (x == NULL) {
        return NULL;
    }
    Array *value = graph_export(x, what);
    array_release(x);
    PyObject *view = value == NULL ? error_raise() : convert_to_numpy(value);
    array_release(value);
    PyObject *numpy = view == NULL ? NULL : PyImport_ImportModule("numpy");
    PyObject *ufunc = numpy == NULL ? NULL : PyObject_GetAttrString(numpy, u->name);
    PyObject *bound = ufunc == NULL ? NULL : PyObject_GetAttrString(ufunc, method);
    PyObject *found = NULL, *result = NULL;
    if (bound != NULL) {
        PyObject *args[8] = {view};
        for (int i = 0; i < nrest; i++) {
            args[i + 1] = rest[i] == NULL ? Py_None : rest[i];
        }
        found = PyObject_Vectorcall(bound, args, (size_t)nrest + 1, NULL);
    }
    if (found != NULL) {
        Array *back = found == Py_None ? NULL : convert_array(found);
        result = back != NULL ? object_wrap_result(back) : PyErr_Occurred() ? NULL : Py_None;
        if (result == Py_None) {
            Py_INCREF(result);
        }
    }
    Py_XDECREF(found);
    Py_XDECREF(bound);
    Py_XDECREF(ufunc);
    Py_XDECREF(numpy);
    Py_XDECREF(view);
    return result;
}

/* ((x0 op x1) op x2) ... along an axis that goes away; at least one element. */
static Array *
fold_axis(OpCode op, Array *x, int axis)
{
    Array *total = view_index(x, axis, 0);
    for (int64_t i = 1; total != NULL && i < x->shape[axis]; i++) {
        Array *next = view_index(x, axis, i);
        Array *joined = next == NULL ? NULL : graph_apply2(op, total, next);
        array_release(next);
        array_release(total);
        total = joined;
    }
    return total;
}

static bool
is_given(PyObject *object)
{
    return object != NULL && object != Py_None;
}

/* A reduction that is no primitive, of an active array: along one axis, in its own dtype. */
static PyObject *
reduce_active(const UfuncObject *u, Array *x, PyObject *axis_object, PyObject *const *v)
{
    int axis = 0;
    bool keepdims = false;
    if (is_given(v[2]) || is_given(v[5]) || (is_given(v[6]) && v[6] != Py_True)) {
        return PyErr_Format(PyExc_TypeError,
                            "%s.reduce of an array that depends on a differentiated argument takes "
                            "no dtype, initial or where",
                            u->name);
    }
    if (axis_object == Py_None && x->ndim != 1) {
        return PyErr_Format(PyExc_ValueError, "%s.reduce of an active array needs one axis",
                            u->name);
    }
    if ((axis_object != Py_None && args_axis(axis_object, x->ndim, &axis) < 0) ||
        args_bool(v[4], false, &keepdims) < 0) {
        return NULL;
    }
    if (x->ndim == 0 || x->shape[axis] == 0) {
        return PyErr_Format(PyExc_ValueError,
                            "zero-size array to reduction operation %s which has no identity",
                            u->name);
    }
    Array *folded = fold_axis(u->ops[0], x, axis);
    if (keepdims && folded != NULL) {
        Array *wide = view_expand(folded, axis);
        array_release(folded);
        folded = wide;
    }
    return object_store(v[3], folded, u->name, 'k');
}

/* The same of other arrays, by NumPy. */
static PyObject *
reduce_by_numpy(const UfuncObject *u, PyObject *axis, PyObject *const *v)
{
    PyObject *rest[6] = {axis,
                         v[2],
                         Py_None,
                         v[4] != NULL ? v[4] : Py_False,
                         v[5],
                         v[6] != NULL ? v[6] : Py_True};
    PyObject *result = numpy_method(u, "reduce", v[0], rest, 6);
    if (result != NULL && is_given(v[3])) {
        Array *value = array_retain(object_array(result));
        Py_SETREF(result, object_store(v[3], value, u->name, 'k'));
    }
    return result;
}

static PyObject *
ufunc_reduce(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const Signature signature = {
        "reduce", 7, 1, 7, {"array", "axis", "dtype", "out", "keepdims", "initial", "where"}};
    const UfuncObject *u = as_ufunc(self);
    PyObject *v[ARGS_MAX];
    if (check_binary(u, "reduce") < 0 || args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    Array *x = object_operand(v[0]);
    if (x == NULL) {
        return NULL;
    }
    PyObject *zero = PyLong_FromLong(0), *result = NULL;
    PyObject *axis = v[1] != NULL ? v[1] : x->ndim == 0 ? Py_None : zero;
    const OpCode op = reduction_op(u->ops[0]);
    if (zero == NULL) {
        result = NULL;
    } else if (op != OP_COUNT) {
        const ReduceArgs r = {axis, v[2], v[3], v[4], v[5], v[6]};
        result = function_reduce(op, x, &r);
    } else if (graph_is_active(x)) {
        result = reduce_active(u, x, axis, v);
    } else {
        result = reduce_by_numpy(u, axis, v);
    }
    Py_XDECREF(zero);
    array_release(x);
    return result;
}

static PyObject *
ufunc_accumulate(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const Signature signature = {"accumulate", 4, 1, 4, {"array", "axis", "dtype", "out"}};
    const UfuncObject *u = as_ufunc(self);
    PyObject *v[ARGS_MAX];
    if (check_binary(u, "accumulate") < 0 || args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    PyObject *zero = PyLong_FromLong(0);
    if (zero == NULL) {
        return NULL;
    }
    PyObject *axis = v[1] == NULL ? zero : v[1];
    PyObject *result = NULL;
    if (u->ops[0] == OP_add || u->ops[0] == OP_multiply) {
        Array *x = object_operand(v[0]);
        if (x != NULL && x->ndim == 0) {
            PyErr_SetString(PyExc_TypeError, "cannot accumulate on a scalar");
        } else if (x != NULL) {
            result = function_scan(u->ops[0] == OP_add ? OP_cumsum : OP_cumprod, x, axis, v[2],
                                   v[3]);
        }
        array_release(x);
    } else {
        PyObject *rest[2] = {axis, v[2]};
        result = numpy_method(u, "accumulate", v[0], rest, 2);
        if (result != NULL && v[3] != NULL && v[3] != Py_None) {
            Array *value = array_retain(object_array(result));
            Py_SETREF(result, object_store(v[3], value, u->name, 'k'));
        }
    }
    Py_DECREF(zero);
    return result;
}

static PyObject *
ufunc_reduceat(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const Signature signature = {"reduceat", 3, 2, 3, {"array", "indices", "axis"}};
    const UfuncObject *u = as_ufunc(self);
    PyObject *v[ARGS_MAX];
    if (check_binary(u, "reduceat") < 0 || args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    return numpy_method(u, "reduceat", v[0], v + 1, v[2] == NULL ? 1 : 2);
}

static PyObject *
ufunc_outer(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const UfuncObject *u = as_ufunc(self);
    if (check_binary(u, "outer") < 0) {
        return NULL;
    }
    if (nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "outer() takes 2 positional arguments (%zd given)",
                            nargs);
    }
    Array *in[2];
    if (ufunc_inputs(u, args, in) < 0) {
        return NULL;
    }
    Array *left = array_retain(in[0]);
    for (int i = 0; left != NULL && i < in[1]->ndim; i++) {
        Array *wide = view_expand(left, left->ndim);
        array_release(left);
        left = wide;
    }
    PyObject *result = NULL;
    PyObject *wrapped = object_wrap(left);
    if (wrapped != NULL) {
        const Py_ssize_t nkeywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
        PyObject *full[2 + ARGS_MAX] = {wrapped, args[1]};
        if (nkeywords > ARGS_MAX) {
            PyErr_SetString(PyExc_TypeError, "outer() got too many keyword arguments");
        } else {
            for (Py_ssize_t i = 0; i < nkeywords; i++) {
                full[2 + i] = args[2 + i];
            }
            result = ufunc_vectorcall(self, full, 2, kwnames);
        }
        Py_DECREF(wrapped);
    }
    arrays_release(in, 2);
    return result;
}

/* a[indices] op= values with repeats, for what is no sum: NumPy on the memory itself. */
static PyObject *
at_numpy(const UfuncObject *u, PyObject *a, PyObject *const *rest, int nrest)
{
    PyObject *result = numpy_method(u, "at", a, rest, nrest);
    if (result != NULL && array_object_check(a)) {
        object_array(a)->storage->version++;
    }
    return result;
}

static PyObject *
ufunc_at(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    const UfuncObject *u = as_ufunc(self);
    if (nargs != u->nin + 1) {
        return PyErr_Format(PyExc_TypeError, "at() takes %d positional arguments (%zd given)",
                            u->nin + 1, nargs);
    }
    if (u->nin != 2 || (u->ops[0] != OP_add && u->ops[0] != OP_subtract)) {
        return at_numpy(u, args[0], args + 1, u->nin);
    }
    PyObject *target = NULL;
    if (array_object_check(args[0])) {
        target = Py_NewRef(args[0]);
    } else {
        Array *shared = convert_array(args[0]);
        target = shared == NULL ? NULL : object_wrap(shared);
    }
    PyObject *value = target == NULL                ? NULL
                      : u->ops[0] == OP_add ? Py_NewRef(args[2])
                                            : PyObject_CallOneArg(ufunc_object(OP_negative), args[2]);
    const int status = value == NULL ? -1 : subscript_add(target, args[1], value);
    Py_XDECREF(value);
    Py_XDECREF(target);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
ufunc_reduce_pickle(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(as_ufunc(self)->name);
}

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

PyMethodDef ufunc_methods[] = {
    {"reduce", KEYWORDS(ufunc_reduce),
     "reduce(array, axis=0, dtype=None, out=None, keepdims=False, initial=None, where=True)\n--\n\n"
     "Combine the elements along axes, as numpy.ufunc.reduce."},
    {"accumulate", KEYWORDS(ufunc_accumulate),
     "accumulate(array, axis=0, dtype=None, out=None)\n--\n\n"
     "All partial results along an axis, as numpy.ufunc.accumulate."},
    {"reduceat", KEYWORDS(ufunc_reduceat),
     "reduceat(array, indices, axis=0)\n--\n\n"
     "Combine slices along an axis, as numpy.ufunc.reduceat; not differentiable."},
    {"outer", KEYWORDS(ufunc_outer),
     "outer(A, B, **kwargs)\n--\n\nThe function of all pairs, as numpy.ufunc.outer."},
    {"at", (PyCFunction)(void (*)(void))ufunc_at, METH_FASTCALL,
     "at(a, indices, b)\n--\n\nIn place with repeated indices, as numpy.ufunc.at. Sums are\n"
     "differentiable; other functions raise on active arrays."},
    {"__reduce__", ufunc_reduce_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
