/* python/settings.c -- settings, devices and reports of the core as functions of the module. */
#include "python/args.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/settings.h"

#include <string.h>

/* Make a setting of this layer take effect; those of base do so by themselves. */
static Status
setting_apply(const char *name)
{
    if (strcmp(name, "device") != 0) {
        return STATUS_OK;
    }
    Device *device = device_find(settings_get()->device);
    if (device == NULL) {
        return STATUS_ERROR;
    }
    device_set_default(device);
    return STATUS_OK;
}

/* Set one by name from a Python value; on failure the old value stands. 0 / -1. */
static int
setting_change(PyObject *name_object, PyObject *value)
{
    char before[SETTINGS_TEXT_SIZE];
    const char *name = PyUnicode_AsUTF8(name_object);
    PyObject *text_object = name == NULL ? NULL : PyObject_Str(value);
    const char *text = text_object == NULL ? NULL : PyUnicode_AsUTF8(text_object);
    int status = -1;
    if (text == NULL) {
        goto done;
    }
    if (settings_text(name, before, sizeof before) != STATUS_OK ||
        settings_set(name, text) != STATUS_OK) {
        error_raise();
    } else if (setting_apply(name) != STATUS_OK) {
        ErrRecord record;
        err_save(&record);
        settings_set(name, before);
        err_restore(&record);
        error_raise();
    } else {
        status = 0;
    }
done:
    Py_XDECREF(text_object);
    return status;
}

/* ---- pyarr.config(...) ---- */

typedef struct ConfigObject {
    PyObject_HEAD
    PyObject *wanted; /* dict of the settings to hold inside `with` */
    PyObject *saved;  /* list of dicts of what to put back, one for each entry */
} ConfigObject;

static PyObject *
config_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    if (PyTuple_GET_SIZE(args) > 0) {
        PyErr_SetString(PyExc_TypeError, "config() takes settings by keyword only");
        return NULL;
    }
    PyObject *name, *value;
    Py_ssize_t at = 0;
    while (keywords != NULL && PyDict_Next(keywords, &at, &name, &value)) {
        char text[SETTINGS_TEXT_SIZE];
        const char *word = PyUnicode_AsUTF8(name);
        if (word == NULL) {
            return NULL;
        }
        if (settings_text(word, text, sizeof text) != STATUS_OK) {
            return error_raise();
        }
    }
    ConfigObject *self = PyObject_New(ConfigObject, type);
    if (self == NULL) {
        return NULL;
    }
    self->wanted = keywords == NULL ? PyDict_New() : PyDict_Copy(keywords);
    self->saved = PyList_New(0);
    if (self->wanted == NULL || self->saved == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void
config_dealloc(PyObject *object)
{
    ConfigObject *self = (ConfigObject *)object;
    Py_XDECREF(self->wanted);
    Py_XDECREF(self->saved);
    PyObject_Free(self);
}

/* Change all settings of a dict; those changed go to `before` (may be NULL). 0 / -1. */
static int
config_apply(PyObject *settings, PyObject *before)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(settings, &at, &name, &value)) {
        char text[SETTINGS_TEXT_SIZE];
        if (before != NULL) {
            if (settings_text(PyUnicode_AsUTF8(name), text, sizeof text) != STATUS_OK) {
                return error_raise_int();
            }
            PyObject *old = PyUnicode_FromString(text);
            if (old == NULL || PyDict_SetItem(before, name, old) < 0) {
                Py_XDECREF(old);
                return -1;
            }
            Py_DECREF(old);
        }
        if (setting_change(name, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Put settings back whatever error is set, which stays set. */
static void
config_restore(PyObject *before)
{
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    if (config_apply(before, NULL) < 0) {
        PyErr_WriteUnraisable(before);
    }
    PyErr_Restore(error_type, error, traceback);
}

static PyObject *
config_enter(PyObject *object, PyObject *unused)
{
    (void)unused;
    ConfigObject *self = (ConfigObject *)object;
    PyObject *before = PyDict_New();
    if (before == NULL) {
        return NULL;
    }
    if (config_apply(self->wanted, before) < 0 || PyList_Append(self->saved, before) < 0) {
        config_restore(before);
        Py_DECREF(before);
        return NULL;
    }
    Py_DECREF(before);
    return Py_NewRef(object);
}

static PyObject *
config_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    ConfigObject *self = (ConfigObject *)object;
    const Py_ssize_t n = PyList_GET_SIZE(self->saved);
    if (n > 0) {
        PyObject *before = Py_NewRef(PyList_GET_ITEM(self->saved, n - 1));
        const int status = PyList_SetSlice(self->saved, n - 1, n, NULL);
        config_restore(before);
        Py_DECREF(before);
        if (status < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef config_methods[] = {
    {"__enter__", config_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))config_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(config_doc,
             "config(**settings)\n--\n\n"
             "Hold settings of the process inside a `with` block: num_threads, device, executor\n"
             "('nodes' computes traces one op after the other), mem_limit, ... as the PYARR_\n"
             "variables name them (see show_config()).\n"
             "ValueError for unknown names and values.\n\n"
             ">>> import pyarr as pa\n"
             ">>> with pa.config(num_threads=1):\n"
             "...     pa.sum([1.0, 2.0])\n"
             "array(3.)\n");

static PyTypeObject ConfigObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyarr.config",
    .tp_basicsize = sizeof(ConfigObject),
    .tp_dealloc = config_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = config_doc,
    .tp_methods = config_methods,
    .tp_new = config_new,
};

/* ---- reports ---- */

static int
put(PyObject *dict, const char *key, PyObject *value)
{
    const int status = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);
    Py_XDECREF(value);
    return status;
}

static PyObject *
settings_dict(void)
{
    PyObject *dict = PyDict_New();
    const SettingInfo *info;
    for (int i = 0; dict != NULL && (info = settings_info(i)) != NULL; i++) {
        char text[SETTINGS_TEXT_SIZE];
        if (settings_text(info->name, text, sizeof text) != STATUS_OK) {
            err_clear(); /* one that only the build reads */
        } else if (put(dict, info->name, PyUnicode_FromString(text)) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *
device_names(void)
{
    PyObject *list = PyList_New(0);
    Device *device;
    for (int i = 0; list != NULL && (device = device_at(i)) != NULL; i++) {
        PyObject *name = PyUnicode_FromString(device->name);
        if (name == NULL || PyList_Append(list, name) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *
module_show_config(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return NULL;
    }
    PyObject *numpy = PyImport_ImportModule("numpy");
    PyObject *numpy_version = numpy == NULL ? NULL : PyObject_GetAttrString(numpy, "__version__");
    Py_XDECREF(numpy);
    if (put(dict, "isa", PyUnicode_FromString(backend_cpu_isa())) < 0 ||
        put(dict, "blas", PyUnicode_FromString(backend_cpu_blas_config())) < 0 ||
        put(dict, "blas_core", PyUnicode_FromString(backend_cpu_blas_core())) < 0 ||
        put(dict, "num_threads", PyLong_FromLong(pool_size())) < 0 ||
        put(dict, "compiler", PyUnicode_FromString(__VERSION__)) < 0 ||
        put(dict, "python", PyUnicode_FromString(PY_VERSION)) < 0 ||
        put(dict, "numpy", numpy_version) < 0 || put(dict, "devices", device_names()) < 0 ||
        put(dict, "settings", settings_dict()) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *
module_live(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int64_t arrays, storages, nodes;
    graph_live(&arrays, &storages, &nodes);
    return Py_BuildValue("{s:L,s:L,s:L}", "arrays", (long long)arrays, "storages",
                         (long long)storages, "nodes", (long long)nodes);
}

static PyObject *
module_mem_stats(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const MemStats s = mem_stats();
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L}", "bytes_live", (long long)s.bytes_live,
                         "blocks_live", (long long)s.blocks_live, "bytes_peak",
                         (long long)s.bytes_peak, "bytes_cached", (long long)s.bytes_cached,
                         "requests", (long long)s.requests);
}

static PyObject *
module_mem_reset_peak(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    mem_reset_peak();
    Py_RETURN_NONE;
}

static PyObject *
module_set_num_threads(PyObject *module, PyObject *count)
{
    (void)module;
    PyObject *name = PyUnicode_FromString("num_threads");
    PyObject *integer = name == NULL ? NULL
                        : count == Py_None ? PyLong_FromLong(0)
                                           : PyNumber_Index(count);
    const int status = integer == NULL ? -1 : setting_change(name, integer);
    Py_XDECREF(name);
    Py_XDECREF(integer);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
module_get_num_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(pool_size());
}

static PyObject *
module_devices(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return device_names();
}

static PyObject *
module_register_device(PyObject *module, PyObject *address)
{
    (void)module;
    Device *device = PyLong_AsVoidPtr(address);
    if (device == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "_register_device: the address is null");
        }
        return NULL;
    }
    if (device_register(device) != STATUS_OK) {
        return error_raise();
    }
    Py_RETURN_NONE;
}

static PyObject *
module_device_address(PyObject *module, PyObject *arg)
{
    (void)module;
    const char *name = PyUnicode_AsUTF8(arg);
    Device *device = name == NULL ? NULL : device_find(name);
    if (device == NULL) {
        return name == NULL ? NULL : error_raise();
    }
    return PyLong_FromVoidPtr(device);
}

static PyObject *
module_fail_alloc(PyObject *module, PyObject *count)
{
    (void)module;
    const long long n = PyLong_AsLongLong(count);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromLongLong(mem_fail_at(n));
}

static PyMethodDef functions[] = {
    {"show_config", module_show_config, METH_NOARGS,
     "show_config()\n--\n\n"
     "A dict: instruction set of the kernels, BLAS and the core it picked, threads,\n"
     "compiler, versions, devices, settings.\n\n"
     ">>> import pyarr as pa\n>>> pa.show_config()[\"devices\"][0]\n'cpu'\n"},
    {"live", module_live, METH_NOARGS,
     "live()\n--\n\nNumbers of arrays, storages and recorded nodes that are alive, as a dict."},
    {"mem_stats", module_mem_stats, METH_NOARGS,
     "mem_stats()\n--\n\n"
     "Memory of the core as a dict: bytes_live, blocks_live, bytes_peak, bytes_cached and the\n"
     "number of requests so far."},
    {"mem_reset_peak", module_mem_reset_peak, METH_NOARGS,
     "mem_reset_peak()\n--\n\nLet bytes_peak start again from bytes_live."},
    {"set_num_threads", module_set_num_threads, METH_O,
     "set_num_threads(n)\n--\n\n"
     "Threads of the pool; None or 0 follows the environment again."},
    {"get_num_threads", module_get_num_threads, METH_NOARGS,
     "get_num_threads()\n--\n\nThreads of the pool, the caller included."},
    {"num_threads", module_get_num_threads, METH_NOARGS,
     "num_threads()\n--\n\nThe same as get_num_threads()."},
    {"devices", module_devices, METH_NOARGS,
     "devices()\n--\n\nNames of the devices, as device= and .to() take them."},
    {"_register_device", module_register_device, METH_O,
     "_register_device(address)\n--\n\nAdd a device: the address of a C struct Device."},
    {"_device_address", module_device_address, METH_O,
     "_device_address(name)\n--\n\nThe address of a device's C struct Device."},
    {"_fail_alloc", module_fail_alloc, METH_O,
     "_fail_alloc(n)\n--\n\n"
     "Let the n-th request for memory from now fail; 0 switches it off. Returns the number of\n"
     "requests that were still to come before a failure set earlier, 0 when none was."},
    {NULL, NULL, 0, NULL},
};

int
module_add_settings(PyObject *module)
{
    const char *complaint;
    for (int i = 0; (complaint = settings_complaint(i)) != NULL; i++) {
        if (PyErr_WarnEx(PyExc_RuntimeWarning, complaint, 1) < 0) {
            return -1;
        }
    }
    const Settings *settings = settings_get();
    mem_set_cache_limit(settings->mem_cache);
    mem_set_limit(settings->mem_limit);
    mem_fail_at(settings->fail_alloc);
    pool_set_size((int)settings->num_threads);
    if (PyType_Ready(&ConfigObject_Type) < 0 ||
        PyModule_AddObjectRef(module, "config", (PyObject *)&ConfigObject_Type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, functions);
}
