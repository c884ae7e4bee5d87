/* python/ufunc.c -- pyarr.ufunc: one callable object for each exported elementwise row. */
#include "python/ufunc.h"

#include <string.h>

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

/* ---- the call ---- */

int
ufunc_inputs(const UfuncObject *u, PyObject *const *args, Array **in)
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
    if (read_call(u, args, nargs, kwnames, &call) == 0 && ufunc_inputs(u, args, in) == 0) {
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

PyObject *
ufunc_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    const UfuncObject *u = as_ufunc(self);
    const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (kwnames != NULL || nargs != u->nin || u->nout != 1) {
        return call_general(u, args, nargs, kwnames);
    }
    Array *in[UFUNC_MAX_IN];
    if (ufunc_inputs(u, args, in) < 0) {
        return NULL;
    }
    PyObject *result = object_wrap_result(graph_apply(u->ops[0], in, u->nin, NULL, 0));
    arrays_release(in, u->nin);
    return result;
}

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
