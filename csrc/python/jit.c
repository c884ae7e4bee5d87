/* python/jit.c -- pyarr.jit: a function that runs the plan of an earlier call with other arguments.
 *
 * pyarr/replay.py records a call; here later calls find their recording and run it.
 */
#include "python/jit.h"

#include "base/mem.h"
#include "python/object.h"

#include <string.h>

/* Kept for each function; the least recently used goes. */
enum { MAX_ENTRIES = 64 };

/* ---- recordings ---- */

static void
recording_dealloc(RecordingObject *self)
{
    capture_free(self->capture);
    PyObject_Free(self);
}

PyTypeObject RecordingObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pyarr._core.Recording",
    .tp_basicsize = sizeof(RecordingObject),
    .tp_dealloc = (destructor)recording_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "The plan of a recorded call; see graph/capture.c.",
};

/* ---- functions ---- */

/* A call that was recorded. How its results are given back: (leaves, kinds, structure, build),
 * see pyarr/replay.py. */
typedef struct Entry {
    uint64_t hash;
    int64_t nwords, nstatics;
    uint64_t *words;
    PyObject **statics;
    RecordingObject *recording;
    PyObject *results;
} Entry;

typedef struct JitObject {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *f, *record; /* record(f, args, kwargs): (recording or None, results) */
    PyObject *dict, *weakrefs;
    VEC(Entry *) entries; /* the last used first */
} JitObject;

static void
entry_free(Entry *e)
{
    if (e == NULL) {
        return;
    }
    for (int64_t i = 0; i < e->nstatics && e->statics != NULL; i++) {
        Py_DECREF(e->statics[i]);
    }
    mem_free(e->words, (size_t)e->nwords * sizeof(uint64_t) + 1);
    mem_free(e->statics, (size_t)e->nstatics * sizeof(PyObject *) + 1);
    Py_XDECREF(e->recording);
    Py_XDECREF(e->results);
    mem_free(e, sizeof *e);
}

static Entry *
entry_new(const CallKey *key, PyObject *recording, PyObject *results)
{
    Entry *e = mem_new_zeroed(sizeof *e);
    if (e == NULL) {
        return (Entry *)error_raise();
    }
    e->hash = key->hash;
    e->nwords = key->words.size;
    e->nstatics = key->statics.size;
    e->words = mem_new((size_t)e->nwords * sizeof(uint64_t) + 1);
    e->statics = mem_new((size_t)e->nstatics * sizeof(PyObject *) + 1);
    if (e->words == NULL || e->statics == NULL) {
        e->nstatics = e->statics == NULL ? e->nstatics : 0;
        entry_free(e);
        return (Entry *)error_raise();
    }
    memcpy(e->words, key->words.data, (size_t)e->nwords * sizeof(uint64_t));
    for (int64_t i = 0; i < e->nstatics; i++) {
        e->statics[i] = Py_NewRef(key->statics.data[i]);
    }
    e->recording = (RecordingObject *)Py_NewRef(recording);
    e->results = Py_NewRef(results);
    return e;
}

static bool
entry_serves(const Entry *e, const CallKey *key)
{
    if (e->hash != key->hash || e->nwords != key->words.size || e->nstatics != key->statics.size ||
        memcmp(e->words, key->words.data, (size_t)e->nwords * sizeof(uint64_t)) != 0) {
        return false;
    }
    for (int64_t i = 0; i < e->nstatics; i++) {
        if (!callkey_same_static(e->statics[i], key->statics.data[i])) {
            return false;
        }
    }
    return true;
}

/* The entry that serves the call, moved to the front; NULL: there is none. */
static Entry *
find_entry(JitObject *self, const CallKey *key)
{
    for (int64_t i = 0; i < self->entries.size; i++) {
        Entry *e = self->entries.data[i];
        if (entry_serves(e, key)) {
            memmove(self->entries.data + 1, self->entries.data, (size_t)i * sizeof(Entry *));
            self->entries.data[0] = e;
            return e;
        }
    }
    return NULL;
}

static int
add_entry(JitObject *self, Entry *e)
{
    Entry *last = NULL;
    if (self->entries.size == MAX_ENTRIES) {
        last = vec_pop(&self->entries);
    } else if (vec_reserve(&self->entries, self->entries.size + 1) != STATUS_OK) {
        return error_raise_int();
    }
    memmove(self->entries.data + 1, self->entries.data,
            (size_t)self->entries.size * sizeof(Entry *));
    self->entries.data[0] = e;
    self->entries.size++;
    entry_free(last);
    return 0;
}

/* ---- results ---- */

/* The leaves of the results: objects of the recorded call, with new arrays where `kinds` says. */
static PyObject *
result_leaves(PyObject *leaves, PyObject *kinds, Array **outs, Kind kind)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(leaves);
    PyObject *list = PyList_New(n);
    int used = 0;
    for (Py_ssize_t i = 0; i < n && list != NULL; i++) {
        PyObject *own = PyTuple_GET_ITEM(kinds, i); /* None: as it is; False: like the arguments */
        PyObject *item;
        if (own == Py_None) {
            item = Py_NewRef(PyTuple_GET_ITEM(leaves, i));
        } else {
            Array *a = outs[used++];
            Kind as = own == Py_True ? KIND_NUMPY : kind;
            item = kind_give(a, as == KIND_PYTHON && a->ndim > 0 ? KIND_PYARR : as);
        }
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static PyObject *
give_results(PyObject *results, Array **outs, Kind kind)
{
    PyObject *structure = PyTuple_GET_ITEM(results, 2), *build = PyTuple_GET_ITEM(results, 3);
    PyObject *list = result_leaves(PyTuple_GET_ITEM(results, 0), PyTuple_GET_ITEM(results, 1),
                                   outs, kind), *result;
    if (list == NULL) {
        return NULL;
    }
    if (structure == Py_None) { /* one array */
        result = Py_NewRef(PyList_GET_ITEM(list, 0));
    } else if (structure == (PyObject *)&PyTuple_Type) {
        result = PyList_AsTuple(list);
    } else {
        result = PyObject_CallFunctionObjArgs(build, structure, list, NULL);
    }
    Py_DECREF(list);
    return result;
}

static PyObject *
run_entry(const Entry *e, const CallKey *key)
{
    enum { FEW = 16 };
    RecordingObject *recording = (RecordingObject *)Py_NewRef(e->recording);
    PyObject *results = Py_NewRef(e->results), *result = NULL;
    const int nout = capture_results(recording->capture);
    Array *few[FEW], **outs = few;
    if (nout > FEW && (outs = mem_new((size_t)nout * sizeof(Array *))) == NULL) {
        error_raise();
        goto done;
    }
    assert(capture_arguments(recording->capture) == key->arrays.size);
    if (capture_run(recording->capture, key->arrays.data, outs) != STATUS_OK) {
        error_raise();
        goto done;
    }
    const Kind kind = key->has_pyarr || key->arrays.size == 0 ? KIND_PYARR
                      : key->has_numpy                        ? KIND_NUMPY
                                                              : KIND_PYTHON;
    result = give_results(results, outs, kind);
    arrays_release(outs, nout);
done:
    if (outs != few) {
        mem_free(outs, (size_t)nout * sizeof(Array *));
    }
    Py_DECREF(recording);
    Py_DECREF(results);
    return result;
}

/* ---- calls ---- */

/* Run the function and record it. Where there can be no plan, give what it gave. */
static PyObject *
record_call(JitObject *self, const CallKey *key, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    PyObject *given = PyTuple_New(nargs), *named = PyDict_New(), *made = NULL, *result = NULL;
    PyObject *arrays = PyList_New(0);
    int status = given == NULL || named == NULL || arrays == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < nargs && status == 0; i++) {
        PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames) && status == 0; i++) {
        status = PyDict_SetItem(named, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]);
    }
    for (int64_t i = 0; i < key->arrays.size && status == 0; i++) {
        PyObject *array = object_wrap(array_retain(key->arrays.data[i]));
        status = array == NULL ? -1 : PyList_Append(arrays, array);
        Py_XDECREF(array);
    }
    if (status == 0) {
        made = PyObject_CallFunctionObjArgs(self->record, self->f, given, named, arrays, NULL);
    }
    if (made != NULL && PyTuple_GET_ITEM(made, 0) == Py_None) {
        result = Py_NewRef(PyTuple_GET_ITEM(made, 1));
    } else if (made != NULL) {
        Entry *e = entry_new(key, PyTuple_GET_ITEM(made, 0), PyTuple_GET_ITEM(made, 1));
        if (e != NULL && add_entry(self, e) < 0) {
            entry_free(e);
            e = NULL;
        }
        result = e == NULL ? NULL : run_entry(e, key);
    }
    Py_XDECREF(made);
    Py_XDECREF(arrays);
    Py_XDECREF(given);
    Py_XDECREF(named);
    return result;
}

static PyObject *
jit_call(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    JitObject *self = (JitObject *)object;
    if (graph_is_tracing()) {
        return PyObject_Vectorcall(self->f, args, nargsf, kwnames);
    }
    const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    CallKey key;
    PyObject *result = NULL;
    if (callkey_init(&key, args, nargs, kwnames) == 0) {
        if (key.is_recorded) {
            result = PyObject_Vectorcall(self->f, args, nargsf, kwnames);
        } else {
            const Entry *e = find_entry(self, &key);
            result = e != NULL ? run_entry(e, &key)
                               : record_call(self, &key, args, nargs, kwnames);
        }
    }
    callkey_fini(&key);
    return result;
}

static PyObject *
jit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"f", "record", NULL};
    PyObject *f, *record;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &f, &record)) {
        return NULL;
    }
    if (!PyCallable_Check(f)) {
        return PyErr_Format(PyExc_TypeError, "jit: a function is needed, got %s",
                            Py_TYPE(f)->tp_name);
    }
    JitObject *self = (JitObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->call = jit_call;
        self->f = Py_NewRef(f);
        self->record = Py_NewRef(record);
    }
    return (PyObject *)self;
}

static int
jit_traverse(JitObject *self, visitproc visit, void *arg)
{
    Py_VISIT(self->f);
    Py_VISIT(self->record);
    Py_VISIT(self->dict);
    for (int64_t i = 0; i < self->entries.size; i++) {
        const Entry *e = self->entries.data[i];
        Py_VISIT(e->results);
        for (int64_t k = 0; k < e->nstatics; k++) {
            Py_VISIT(e->statics[k]);
        }
    }
    return 0;
}

static void
forget_entries(JitObject *self)
{
    while (self->entries.size > 0) {
        entry_free(vec_pop(&self->entries));
    }
    vec_fini(&self->entries);
}

static int
jit_clear(JitObject *self)
{
    forget_entries(self);
    Py_CLEAR(self->f);
    Py_CLEAR(self->record);
    Py_CLEAR(self->dict);
    return 0;
}

static void
jit_dealloc(JitObject *self)
{
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    jit_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* A jit function in a class is a method. */
static PyObject *
jit_descr_get(PyObject *self, PyObject *instance, PyObject *owner)
{
    (void)owner;
    return instance == NULL || instance == Py_None ? Py_NewRef(self)
                                                   : PyMethod_New(self, instance);
}

static PyObject *
jit_repr(JitObject *self)
{
    return PyUnicode_FromFormat("<pyarr.jit of %R>", self->f);
}

static PyObject *
jit_forget(JitObject *self, PyObject *unused)
{
    (void)unused;
    forget_entries(self);
    Py_RETURN_NONE;
}

static PyObject *
jit_get_recordings(JitObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(self->entries.size);
}

static PyMethodDef jit_methods[] = {
    {"forget", (PyCFunction)jit_forget, METH_NOARGS,
     "forget()\n--\n\nDrop all recordings: the next call runs the function again."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef jit_getset[] = {
    {"recordings", (getter)jit_get_recordings, NULL, "How many calls are recorded.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject JitObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pyarr._core.Jit",
    .tp_basicsize = sizeof(JitObject),
    .tp_dealloc = (destructor)jit_dealloc,
    .tp_repr = (reprfunc)jit_repr,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "A function that pyarr.jit made.",
    .tp_traverse = (traverseproc)jit_traverse,
    .tp_clear = (inquiry)jit_clear,
    .tp_new = jit_new,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(JitObject, call),
    .tp_dictoffset = offsetof(JitObject, dict),
    .tp_weaklistoffset = offsetof(JitObject, weakrefs),
    .tp_descr_get = jit_descr_get,
    .tp_methods = jit_methods,
    .tp_getset = jit_getset,
};

static PyObject *
is_capturing(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(capture_is_open());
}

static PyMethodDef functions[] = {
    {"is_capturing", is_capturing, METH_NOARGS,
     "is_capturing()\n--\n\nIs a function being recorded on this thread to be run later?"},
    {NULL, NULL, 0, NULL}};

int
module_add_jit(PyObject *module)
{
    if (PyType_Ready(&RecordingObject_Type) < 0 || PyType_Ready(&JitObject_Type) < 0 ||
        PyModule_AddObjectRef(module, "Jit", (PyObject *)&JitObject_Type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, functions);
}
