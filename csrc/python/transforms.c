/* python/transforms.c -- what pyarr/transforms.py drives: traces, pullbacks, custom rules, and
 * PyTorch's spelling of them. */
#include "python/object.h"

#include "base/hooks.h"
#include "base/mem.h"
#include "base/poll.h"
#include "graph/trace.h"
#include "python/jit.h"

/* ---- sequences of arrays ---- */

typedef struct ArrayList {
    Py_ssize_t count;
    Array **items; /* owned references; NULL where None was given */
} ArrayList;

static void
list_fini(ArrayList *list)
{
    arrays_release(list->items, list->count);
    PyMem_Free(list->items);
    list->items = NULL;
    list->count = 0;
}

/* From a Python sequence of arrays or None; -1 with an exception. */
static int
list_init(ArrayList *list, PyObject *sequence)
{
    list->count = 0;
    list->items = NULL;
    PyObject *fast = PySequence_Fast(sequence, "expected a sequence of arrays");
    if (fast == NULL) {
        return -1;
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    list->items = PyMem_Calloc((size_t)n + 1, sizeof(Array *));
    if (list->items == NULL) {
        Py_DECREF(fast);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(fast, i);
        if (item != Py_None) {
            list->items[i] = convert_array(item);
            if (list->items[i] == NULL) {
                list_fini(list);
                *list = (ArrayList){0}; /* callers finish all of theirs */
                Py_DECREF(fast);
                return -1;
            }
        }
        list->count = i + 1;
    }
    Py_DECREF(fast);
    return 0;
}

PyObject *
list_wrap(Array **items, Py_ssize_t n)
{
    PyObject *out = PyList_New(n);
    for (Py_ssize_t i = 0; out != NULL && i < n; i++) {
        PyObject *item = items[i] == NULL ? Py_NewRef(Py_None) : object_wrap(items[i]);
        items[i] = NULL;
        if (item == NULL) {
            Py_CLEAR(out);
        } else {
            PyList_SET_ITEM(out, i, item);
        }
    }
    return out;
}

/* ---- the Transform object ---- */

typedef struct TransformObject {
    PyObject_HEAD
    Transform *transform; /* NULL once it is over */
    bool closed;
} TransformObject;

static PyTypeObject TransformObject_Type;

/* After Ctrl-C nothing more is computed. */
void
transform_give_up(Transform *t)
{
    PyObject *type, *value, *traceback;
    const unsigned interruptions = poll_interruptions();
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *handled = type == NULL ? PyErr_GetHandledException() : NULL;
    transform_abort(t, !PyErr_GivenExceptionMatches(type != NULL ? type : handled,
                                                    PyExc_KeyboardInterrupt));
    Py_XDECREF(handled);
    if (poll_interruptions() == interruptions) {
        PyErr_Restore(type, value, traceback);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static PyObject *
transform_over(void)
{
    PyErr_SetString(PyExc_RuntimeError, "this transform is over");
    return NULL;
}

/* Takes over a transform that was just opened. */
static PyObject *
transform_wrap(Transform *t)
{
    if (t == NULL) {
        return error_raise();
    }
    TransformObject *self = PyObject_New(TransformObject, &TransformObject_Type);
    if (self == NULL) {
        transform_give_up(t);
        return NULL;
    }
    self->transform = t;
    self->closed = false;
    return (PyObject *)self;
}

static PyObject *
transform_new(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return transform_wrap(transform_open());
}

static PyObject *
capture_new(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return transform_wrap(capture_open());
}

static void
transform_dealloc(TransformObject *self)
{
    if (self->transform != NULL && self->closed) {
        transform_free(self->transform);
    } else if (self->transform != NULL) {
        transform_abort(self->transform, false);
    }
    PyObject_Free(self);
}

static PyObject *
transform_method_argument(TransformObject *self, PyObject *object)
{
    if (self->transform == NULL) {
        return transform_over();
    }
    Array *x = convert_array(object);
    if (x == NULL) {
        return NULL;
    }
    Array *argument = transform_argument(self->transform, x);
    Array *alias = argument == NULL ? NULL : transform_alias(self->transform, argument);
    array_release(x);
    if (alias == NULL) {
        array_release(argument);
        return error_raise();
    }
    PyObject *first = object_wrap(argument), *second = object_wrap(alias);
    PyObject *pair = first == NULL || second == NULL ? NULL : PyTuple_Pack(2, first, second);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}

static PyObject *
transform_method_given(TransformObject *self, PyObject *object)
{
    if (self->transform == NULL) {
        return transform_over();
    }
    Array *x = convert_array(object);
    if (x == NULL) {
        return NULL;
    }
    Array *argument = capture_argument(self->transform, x);
    array_release(x);
    return object_wrap(argument);
}

static PyObject *
transform_method_capture(TransformObject *self, PyObject *results)
{
    if (self->transform == NULL) {
        return transform_over();
    }
    ArrayList list;
    Capture *capture = NULL;
    if (list_init(&list, results) < 0) {
        return NULL;
    }
    const Status status =
        capture_make(self->transform, (int)list.count, list.items, &capture);
    list_fini(&list);
    if (status != STATUS_OK) {
        return error_raise();
    }
    if (capture == NULL) {
        Py_RETURN_NONE;
    }
    RecordingObject *recording = PyObject_New(RecordingObject, &RecordingObject_Type);
    if (recording == NULL) {
        capture_free(capture);
        return NULL;
    }
    recording->capture = capture;
    return (PyObject *)recording;
}

/* What a pullback is asked: results, their cotangents, and the arrays to differentiate by. */
typedef struct Question {
    ArrayList outs, cotangents, args;
    Array **grads; /* one for each of args */
} Question;

static void
question_fini(Question *q)
{
    for (Py_ssize_t i = 0; q->grads != NULL && i < q->args.count; i++) {
        array_release(q->grads[i]);
    }
    PyMem_Free(q->grads);
    list_fini(&q->outs);
    list_fini(&q->cotangents);
    list_fini(&q->args);
}

/* -1 with an exception; q is to be finished in any case. */
static int
question_init(Question *q, PyObject *outs, PyObject *cotangents, PyObject *args)
{
    *q = (Question){0};
    if (list_init(&q->outs, outs) < 0 || list_init(&q->cotangents, cotangents) < 0 ||
        list_init(&q->args, args) < 0) {
        return -1;
    }
    if (q->outs.count != q->cotangents.count) {
        PyErr_SetString(PyExc_ValueError, "one cotangent (or None) for each result is needed");
        return -1;
    }
    q->grads = PyMem_Calloc((size_t)q->args.count + 1, sizeof(Array *));
    if (q->grads == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *
transform_method_pullback(TransformObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"outs", "cotangents", "args", "conjugate", NULL};
    PyObject *outs, *cotangents, *arguments, *result = NULL;
    int conjugate = 1;
    if (self->transform == NULL) {
        return transform_over();
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|p", names, &outs, &cotangents, &arguments,
                                     &conjugate)) {
        return NULL;
    }
    Question q;
    if (question_init(&q, outs, cotangents, arguments) == 0) {
        const Status status = transform_pullback(
            self->transform, (int)q.outs.count, q.outs.items, q.cotangents.items,
            (int)q.args.count, q.args.items, conjugate != 0, q.grads);
        result = status == STATUS_OK ? list_wrap(q.grads, q.args.count) : error_raise();
    }
    question_fini(&q);
    return result;
}

static PyObject *
transform_method_value_and_grad(TransformObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ArrayList list;
    if (self->transform == NULL) {
        return transform_over();
    }
    if (nargs != 2 || !array_object_check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "value_and_grad: an array and a list of arrays are needed");
        return NULL;
    }
    if (list_init(&list, args[1]) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    Array **out = PyMem_Calloc((size_t)list.count + 1, sizeof(Array *));
    if (out == NULL) {
        PyErr_NoMemory();
    } else if (transform_value_and_grad(self->transform, object_array(args[0]), (int)list.count,
                                        list.items, out) != STATUS_OK) {
        error_raise();
    } else {
        result = list_wrap(out, list.count + 1);
    }
    for (Py_ssize_t i = 0; out != NULL && i <= list.count; i++) {
        array_release(out[i]);
    }
    PyMem_Free(out);
    list_fini(&list);
    return result;
}

static PyObject *
transform_method_close(TransformObject *self, PyObject *args)
{
    int keep = 0;
    if (!PyArg_ParseTuple(args, "|p", &keep)) {
        return NULL;
    }
    if (self->transform == NULL || self->closed) {
        return transform_over();
    }
    const Status status = transform_close(self->transform, keep != 0);
    self->closed = true;
    if (!keep) {
        self->transform = NULL;
    }
    if (status != STATUS_OK) {
        return error_raise();
    }
    Py_RETURN_NONE;
}

static PyObject *
transform_method_abort(TransformObject *self, PyObject *unused)
{
    (void)unused;
    if (self->transform != NULL && !self->closed) {
        transform_give_up(self->transform);
        self->transform = NULL;
    }
    return PyErr_Occurred() != NULL ? NULL : Py_NewRef(Py_None);
}

static PyObject *
transform_get_outermost(TransformObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(self->transform != NULL && transform_is_outermost(self->transform));
}

static PyObject *
transform_get_live(TransformObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(self->transform != NULL && transform_is_live(self->transform));
}

static PyMethodDef transform_methods[] = {
    {"argument", (PyCFunction)transform_method_argument, METH_O,
     "argument(x)\n--\n\nA fresh differentiated array with x's elements: the one to ask pullbacks "
     "for, and the one to give to the user's function."},
    {"pullback", (PyCFunction)(void (*)(void))transform_method_pullback,
     METH_VARARGS | METH_KEYWORDS,
     "pullback(outs, cotangents, args, conjugate=True)\n--\n\nCotangents of args; None is zero."},
    {"value_and_grad", (PyCFunction)(void (*)(void))transform_method_value_and_grad, METH_FASTCALL,
     "value_and_grad(value, args)\n--\n\n[value, gradients...]; None is zero."},
    {"given", (PyCFunction)transform_method_given, METH_O,
     "given(x)\n--\n\nThe next argument of a capture, as the user's function gets it."},
    {"capture", (PyCFunction)transform_method_capture, METH_O,
     "capture(results)\n--\n\nThe plan of a capture that gives the results; None where there can "
     "be none."},
    {"close", (PyCFunction)transform_method_close, METH_VARARGS,
     "close(keep=False)\n--\n\nEnd it; the outermost computes what is referenced."},
    {"abort", (PyCFunction)transform_method_abort, METH_NOARGS,
     "abort()\n--\n\nEnd it after an error."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef transform_getset[] = {
    {"outermost", (getter)transform_get_outermost, NULL, "Is no other transform open around it?",
     NULL},
    {"live", (getter)transform_get_live, NULL, "Is its trace still open on this thread?", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject TransformObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pyarr._core.Transform",
    .tp_basicsize = sizeof(TransformObject),
    .tp_dealloc = (destructor)transform_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "An open derivative; see graph/transform.c.",
    .tp_methods = transform_methods,
    .tp_getset = transform_getset,
};

/* ---- custom rules ---- */

/* host_hooks.backward: rule(g) gives a sequence with an array or None for each argument. */
static int
rule_backward(uintptr_t rule, void *cotangent, int narg, void **out)
{
    PyObject *g = object_wrap(array_retain(cotangent));
    PyObject *result = g == NULL ? NULL : PyObject_CallOneArg((PyObject *)rule, g);
    Py_XDECREF(g);
    if (result == NULL) {
        error_from_python();
        return -1;
    }
    ArrayList list;
    int status = list_init(&list, result);
    Py_DECREF(result);
    if (status == 0 && list.count != narg) {
        PyErr_Format(PyExc_ValueError,
                     "custom_vjp: the backward rule gave %zd cotangents for %d arguments",
                     list.count, narg);
        list_fini(&list);
        status = -1;
    }
    if (status < 0) {
        error_from_python();
        return -1;
    }
    for (int i = 0; i < narg; i++) {
        out[i] = list.items[i];
        list.items[i] = NULL;
    }
    list_fini(&list);
    return 0;
}

static void
rule_release(uintptr_t rule)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF((PyObject *)rule);
    PyGILState_Release(state);
}

static PyObject *
core_custom(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *out_object, *args_object, *rule;
    if (!PyArg_ParseTuple(args, "OOO", &out_object, &args_object, &rule)) {
        return NULL;
    }
    ArrayList list;
    if (list_init(&list, args_object) < 0) {
        return NULL;
    }
    Array *out = convert_array(out_object), *result = NULL;
    if (out != NULL) {
        result = graph_custom(out, list.items, (int)list.count, (uintptr_t)Py_NewRef(rule));
        if (result == NULL) {
            error_raise();
        }
    }
    array_release(out);
    list_fini(&list);
    return result == NULL ? NULL : object_wrap(result);
}

/* ---- states and looks ---- */

static PyObject *
core_is_active(PyObject *module, PyObject *object)
{
    (void)module;
    return PyBool_FromLong(array_object_check(object) && graph_is_active(object_array(object)));
}

static PyObject *
core_is_tracing(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(graph_is_tracing());
}

static PyObject *
core_detach(PyObject *module, PyObject *object)
{
    (void)module;
    Array *x = convert_array(object);
    if (x == NULL) {
        return NULL;
    }
    Array *out = graph_detach(x);
    array_release(x);
    return object_wrap(out);
}

static PyObject *
core_export_refusals(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLongLong(graph_export_refusals());
}

static PyObject *
core_set_pin_limit(PyObject *module, PyObject *object)
{
    (void)module;
    const long long bytes = PyLong_AsLongLong(object);
    if (bytes == -1 && PyErr_Occurred()) {
        return NULL;
    }
    const int64_t old = trace_pin_limit;
    graph_set_pin_limit(bytes);
    return PyLong_FromLongLong(old);
}

static PyObject *
core_grad_enabled(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(graph_grad_enabled());
}

static PyObject *
core_set_grad_enabled(PyObject *module, PyObject *object)
{
    (void)module;
    const int on = PyObject_IsTrue(object);
    if (on < 0) {
        return NULL;
    }
    const bool old = graph_grad_enabled();
    graph_set_grad_enabled(on);
    return PyBool_FromLong(old);
}

static PyObject *
core_tape_grad(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *outs, *cotangents, *arguments, *result = NULL;
    int create_graph = 0;
    if (!PyArg_ParseTuple(args, "OOO|p", &outs, &cotangents, &arguments, &create_graph)) {
        return NULL;
    }
    Question q;
    if (question_init(&q, outs, cotangents, arguments) == 0) {
        const Status status =
            tape_grad((int)q.outs.count, q.outs.items, q.cotangents.items, (int)q.args.count,
                      q.args.items, create_graph != 0, q.grads);
        result = status == STATUS_OK ? list_wrap(q.grads, q.args.count) : error_raise();
    }
    question_fini(&q);
    return result;
}

static PyMethodDef functions[] = {
    {"transform", transform_new, METH_NOARGS, "transform()\n--\n\nOpen a derivative."},
    {"capture", capture_new, METH_NOARGS,
     "capture()\n--\n\nOpen the recording of a function whose plan will be run again."},
    {"value_and_grad", (PyCFunction)(void (*)(void))core_value_and_grad, METH_FASTCALL,
     "value_and_grad(f, argnums, args, kwargs, check)\n--\n\n(value, gradient) of a common call, or "
     "NotImplemented before anything has run."},
    {"custom", core_custom, METH_VARARGS,
     "custom(out, args, rule)\n--\n\nout as a function of args whose backward rule is given."},
    {"is_active", core_is_active, METH_O,
     "is_active(x)\n--\n\nDoes x depend on a differentiated argument or on requires_grad?"},
    {"is_tracing", core_is_tracing, METH_NOARGS,
     "is_tracing()\n--\n\nIs a function being recorded on this thread?"},
    {"detach", core_detach, METH_O, "detach(x)\n--\n\nx without its derivative."},
    {"export_refusals", core_export_refusals, METH_NOARGS,
     "export_refusals()\n--\n\nHow often an active array was kept from leaving pyarr."},
    {"set_pin_limit", core_set_pin_limit, METH_O,
     "set_pin_limit(bytes)\n--\n\nBytes a trace may pin before it evaluates its inactive part; "
     "returns the old limit."},
    {"grad_enabled", core_grad_enabled, METH_NOARGS,
     "grad_enabled()\n--\n\nDo operations on arrays that require grad record?"},
    {"set_grad_enabled", core_set_grad_enabled, METH_O,
     "set_grad_enabled(on)\n--\n\nSwitch it for this thread; returns the old state."},
    {"tape_grad", core_tape_grad, METH_VARARGS,
     "tape_grad(outs, cotangents, args, create_graph=False)\n--\n\nGradients on the tape."},
    {NULL, NULL, 0, NULL}};

int
module_add_transforms(PyObject *module)
{
    if (PyType_Ready(&TransformObject_Type) < 0) {
        return -1;
    }
    trace_init();
    host_hooks.backward = rule_backward;
    host_hooks.rule_release = rule_release;
    return PyModule_AddFunctions(module, functions);
}
