/* python/ufunc.c -- pyarr.ufunc: one callable object for each exported elementwise row. */
#include "python/functions.h"

#include <string.h>

#define UFUNC_MAX_IN 3
#define UFUNC_MAX_OUT 2

typedef struct UfuncObject {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    const char *name;
    const char *doc;
    OpCode ops[UFUNC_MAX_OUT]; /* the row of each result */
    int nin, nout;
} UfuncObject;

/* Rows whose results numpy gives from one function. */
static const struct {
    const char *name;
    OpCode ops[2];
    const char *doc;
} pairs[] = {
    {"divmod", {OP_floor_divide, OP_remainder}, "(x // y, x % y)."},
    {"modf", {OP_modf_fraction, OP_modf_integer}, "Fractional and integral parts."},
    {"frexp", {OP_frexp_mantissa, OP_frexp_exponent}, "Mantissa in [0.5, 1) and exponent of 2."},
};
enum { PAIR_COUNT = sizeof pairs / sizeof *pairs };

/* Never freed: the module holds one reference of each for good. */
static UfuncObject ufuncs[OP_ELEMENTWISE_COUNT + PAIR_COUNT];

PyObject *
ufunc_object(OpCode op)
{
    return (PyObject *)&ufuncs[op];
}

static UfuncObject *
as_ufunc(PyObject *self)
{
    return (UfuncObject *)(void *)self;
}

/* ---- the call ---- */

/* The arguments as arrays; -1 with an exception and none held. */
static int
take_inputs(const UfuncObject *u, PyObject *const *args, Array **in)
{
    for (int i = 0; i < u->nin; i++) {
        in[i] = object_operand(args[i]);
        if (in[i] == NULL) {
            arrays_release(in, i);
            return -1;
        }
    }
    if (u->nin == 2 && number_fit(u->ops[0], args, in) < 0) {
        arrays_release(in, 2);
        return -1;
    }
    return 0;
}

/* What the keywords of a call ask. */
typedef struct CallArgs {
    PyObject *out[UFUNC_MAX_OUT];
    Array *where; /* owned */
    DType dtype;
    char casting;
} CallArgs;

static int
read_out(const UfuncObject *u, PyObject *object, CallArgs *call)
{
    if (object == Py_None) {
        return 0;
    }
    if (!PyTuple_Check(object)) {
        if (u->nout > 1) {
            PyErr_Format(PyExc_TypeError, "%s: 'out' must be a tuple of arrays", u->name);
            return -1;
        }
        call->out[0] = object;
        return 0;
    }
    if (PyTuple_GET_SIZE(object) != u->nout) {
        PyErr_SetString(PyExc_ValueError,
                        "The 'out' tuple must have exactly one entry per ufunc output");
        return -1;
    }
    for (int i = 0; i < u->nout; i++) {
        call->out[i] = PyTuple_GET_ITEM(object, i);
    }
    return 0;
}

static int
read_where(PyObject *object, CallArgs *call)
{
    if (object == Py_True || object == Py_None) {
        return 0;
    }
    call->where = object_operand(object);
    if (call->where == NULL) {
        return -1;
    }
    if (call->where->dtype != DT_bool) {
        PyErr_Format(PyExc_TypeError,
                     "Cannot cast array data from dtype('%s') to dtype('bool') according to the "
                     "rule 'safe'",
                     dtype_info(call->where->dtype)->name);
        return -1;
    }
    return 0;
}

static int
read_keyword(const UfuncObject *u, PyObject *name, PyObject *value, CallArgs *call)
{
    const char *word = PyUnicode_AsUTF8(name);
    if (word == NULL) {
        return -1;
    }
    if (strcmp(word, "out") == 0) {
        return read_out(u, value, call);
    }
    if (strcmp(word, "where") == 0) {
        return read_where(value, call);
    }
    if (strcmp(word, "dtype") == 0 || strcmp(word, "signature") == 0) {
        return args_dtype(value, &call->dtype);
    }
    if (strcmp(word, "casting") == 0) {
        return args_casting(value, &call->casting);
    }
    if (strcmp(word, "order") == 0) {
        char order;
        return args_order(value, 'K', &order);
    }
    if (strcmp(word, "subok") == 0) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%s'", u->name, word);
    return -1;
}

static int
read_call(const UfuncObject *u, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          CallArgs *call)
{
    *call = (CallArgs){{NULL, NULL}, NULL, DTYPE_COUNT, 'k'};
    if (nargs < u->nin || nargs > u->nin + u->nout) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes from %d to %d positional arguments but %zd were given", u->name,
                     u->nin, u->nin + u->nout, nargs);
        return -1;
    }
    for (Py_ssize_t i = u->nin; i < nargs; i++) {
        call->out[i - u->nin] = args[i];
    }
    const Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (read_keyword(u, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], call) < 0) {
            return -1;
        }
    }
    return 0;
}

/* May the inputs be cast to a loop dtype that was asked for? */
static int
check_casting(const UfuncObject *u, Array *const *in, const CallArgs *call)
{
    for (int i = 0; call->dtype != DTYPE_COUNT && i < u->nin; i++) {
        const DType from = in[i]->dtype;
        if (in[i]->weak == WEAK_NONE && !dtype_can_cast(from, call->dtype, call->casting)) {
            PyErr_Format(PyExc_TypeError,
                         "Cannot cast ufunc '%s' input %d from dtype('%s') to dtype('%s') with "
                         "casting rule 'same_kind'",
                         u->name, i, dtype_info(from)->name, dtype_info(call->dtype)->name);
            return -1;
        }
    }
    return 0;
}

/* result where the mask is true, else what `out` holds (zero without one). Takes over result;
 * NULL with an exception. */
static Array *
apply_mask(Array *result, Array *mask, PyObject *out)
{
    Array *other = NULL, *chosen = NULL;
    if (out != NULL && out != Py_None) {
        other = object_operand(out);
        if (other == NULL) {
            array_release(result);
            return NULL;
        }
    } else {
        other = array_new_zeroed(device_cpu(), result->dtype, 0, NULL);
    }
    if (other != NULL) {
        Array *in[3] = {mask, result, other};
        chosen = graph_apply(OP_where, in, 3, NULL, 0);
    }
    array_release(other);
    array_release(result);
    if (chosen == NULL) {
        error_raise();
    }
    return chosen;
}

static PyObject *
compute(const UfuncObject *u, int which, Array *const *in, const CallArgs *call)
{
    const OpCode op = u->ops[which];
    const bool forced = call->dtype != DTYPE_COUNT && op_info(op)->rule != RULE_BOOL;
    PyObject *const target = call->out[which];
    if (target != NULL && array_object_check(target) && !forced && call->where == NULL) {
        bool done;
        if (graph_elementwise_into(op, in, u->nin, object_array(target), &done) != STATUS_OK) {
            return error_raise();
        }
        if (done) {
            return Py_NewRef(target);
        }
    }
    Array *result = forced ? graph_apply_elementwise(op, in, u->nin, call->dtype)
                           : graph_apply(op, in, u->nin, NULL, 0);
    if (result == NULL) {
        return error_raise();
    }
    PyObject *out = call->out[which] == Py_None ? NULL : call->out[which];
    if (call->where != NULL) {
        result = apply_mask(result, call->where, out);
        if (result == NULL) {
            return NULL;
        }
    }
    return object_store(out, result, u->name, call->casting);
}

static PyObject *
call_general(const UfuncObject *u, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    CallArgs call;
    Array *in[UFUNC_MAX_IN];
    PyObject *result = NULL;
    if (read_call(u, args, nargs, kwnames, &call) == 0 && take_inputs(u, args, in) == 0) {
        if (check_casting(u, in, &call) == 0) {
            result = compute(u, 0, in, &call);
            if (result != NULL && u->nout == 2) {
                PyObject *second = compute(u, 1, in, &call);
                PyObject *pair = second == NULL ? NULL : PyTuple_Pack(2, result, second);
                Py_XDECREF(second);
                Py_SETREF(result, pair);
            }
        }
        arrays_release(in, u->nin);
    }
    array_release(call.where);
    return result;
}

static PyObject *
ufunc_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    const UfuncObject *u = as_ufunc(self);
    const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames != NULL || nargs != u->nin || u->nout != 1) {
        return call_general(u, args, nargs, kwnames);
    }
    Array *in[UFUNC_MAX_IN];
    if (take_inputs(u, args, in) < 0) {
        return NULL;
    }
    PyObject *result = object_wrap_result(graph_apply(u->ops[0], in, u->nin, NULL, 0));
    arrays_release(in, u->nin);
    return result;
}

/* ---- methods ---- */

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
    if (take_inputs(u, args, in) < 0) {
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

static PyMethodDef ufunc_methods[] = {
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

/* ---- attributes ---- */

static PyObject *
ufunc_name(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(as_ufunc(self)->name);
}

static PyObject *
ufunc_module(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    return PyUnicode_FromString("pyarr");
}

static PyObject *
ufunc_doc(PyObject *self, void *closure)
{
    (void)closure;
    static const char *const parameters[] = {"", "x", "x1, x2", "x1, x2, x3"};
    const UfuncObject *u = as_ufunc(self);
    return PyUnicode_FromFormat(
        "%s(%s, /, out=None, *, where=True, casting='same_kind', dtype=None)\n\n%s\n\nOperands "
        "broadcast; integers are cast to float where the function needs it. TypeError for\ndtypes "
        "without a loop, ValueError for shapes that do not broadcast.",
        u->name, parameters[u->nin], u->doc);
}

static PyObject *
ufunc_count(PyObject *self, void *closure)
{
    const UfuncObject *u = as_ufunc(self);
    const char which = *(const char *)closure;
    return PyLong_FromLong(which == 'i' ? u->nin : which == 'o' ? u->nout : u->nin + u->nout);
}

static PyObject *
ufunc_identity(PyObject *self, void *closure)
{
    (void)closure;
    switch (as_ufunc(self)->ops[0]) {
    case OP_add:
    case OP_bitwise_or:
    case OP_bitwise_xor:
    case OP_hypot:
    case OP_gcd: return PyLong_FromLong(0);
    case OP_multiply: return PyLong_FromLong(1);
    case OP_bitwise_and: return PyLong_FromLong(-1);
    case OP_logical_and: Py_RETURN_TRUE;
    case OP_logical_or:
    case OP_logical_xor: Py_RETURN_FALSE;
    case OP_logaddexp:
    case OP_logaddexp2: return PyFloat_FromDouble(-Py_HUGE_VAL);
    default: Py_RETURN_NONE;
    }
}

static PyObject *
ufunc_signature(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    Py_RETURN_NONE;
}

/* inspect.Signature of a call: what help() and completion in notebooks show. */
static PyObject *
ufunc_call_signature(PyObject *self, void *closure)
{
    (void)closure;
    static const char *const sources[] = {
        "", "lambda x, /, out=None, *, where=True, casting='same_kind', dtype=None: 0",
        "lambda x1, x2, /, out=None, *, where=True, casting='same_kind', dtype=None: 0",
        "lambda x1, x2, x3, /, out=None, *, where=True, casting='same_kind', dtype=None: 0"};
    PyObject *inspect = PyImport_ImportModule("inspect");
    PyObject *names = inspect == NULL ? NULL : PyDict_New();
    PyObject *function = names == NULL ? NULL
                                       : PyRun_String(sources[as_ufunc(self)->nin], Py_eval_input,
                                                      names, names);
    PyObject *result =
        function == NULL ? NULL : PyObject_CallMethod(inspect, "signature", "O", function);
    Py_XDECREF(inspect);
    Py_XDECREF(names);
    Py_XDECREF(function);
    return result;
}

static PyGetSetDef ufunc_getset[] = {
    {"__name__", ufunc_name, NULL, NULL, NULL},
    {"__qualname__", ufunc_name, NULL, NULL, NULL},
    {"__module__", ufunc_module, NULL, NULL, NULL},
    {"__doc__", ufunc_doc, NULL, NULL, NULL},
    {"nin", ufunc_count, NULL, "number of inputs", (void *)"i"},
    {"nout", ufunc_count, NULL, "number of results", (void *)"o"},
    {"nargs", ufunc_count, NULL, "number of inputs and results", (void *)"a"},
    {"identity", ufunc_identity, NULL, "neutral element, None without", NULL},
    {"__signature__", ufunc_call_signature, NULL, NULL, NULL},
    {"signature", ufunc_signature, NULL, "None: no core dimensions", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *
ufunc_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<ufunc '%s'>", as_ufunc(self)->name);
}

PyTypeObject UfuncObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyarr.ufunc",
    .tp_basicsize = sizeof(UfuncObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_vectorcall_offset = offsetof(UfuncObject, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_repr = ufunc_repr,
    .tp_methods = ufunc_methods,
    .tp_getset = ufunc_getset,
};

static void
ufunc_init(UfuncObject *u, const char *name, const char *doc, const OpCode *ops, int nout)
{
    PyObject_Init((PyObject *)(void *)u, &UfuncObject_Type);
    u->vectorcall = ufunc_vectorcall;
    u->name = name;
    u->doc = doc;
    u->ops[0] = ops[0];
    u->ops[1] = ops[nout - 1];
    u->nin = op_info(ops[0])->nin;
    u->nout = nout;
}

int
module_add_ufuncs(PyObject *module)
{
    for (int i = 0; i < OP_ELEMENTWISE_COUNT; i++) {
        const OpInfo *info = op_info((OpCode)i);
        const OpCode op = (OpCode)i;
        ufunc_init(&ufuncs[i], info->name, info->doc, &op, 1);
        if (!(info->flags & FLAG_INTERNAL) && i != OP_where &&
            PyModule_AddObjectRef(module, info->name, ufunc_object(op)) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < PAIR_COUNT; i++) {
        UfuncObject *u = &ufuncs[OP_ELEMENTWISE_COUNT + i];
        ufunc_init(u, pairs[i].name, pairs[i].doc, pairs[i].ops, 2);
        if (PyModule_AddObjectRef(module, u->name, (PyObject *)(void *)u) < 0) {
            return -1;
        }
    }
    return PyModule_AddObjectRef(module, "ufunc", (PyObject *)&UfuncObject_Type);
}
