/* python/plans.c -- the plan cache as the user and the tests see it. */
#include "python/object.h"

#include "graph/plan.h"
#include "graph/stage.h"

static PyObject *
cache_info(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const PlanCacheInfo info = plan_cache_info();
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L,s:L}", "hits", (long long)info.hits, "misses",
                         (long long)info.misses, "evictions", (long long)info.evictions, "size",
                         (long long)info.size, "max_size", (long long)info.max_size, "bytes",
                         (long long)info.bytes, "max_bytes", (long long)info.max_bytes);
}

static PyObject *
cache_clear(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    plan_cache_clear();
    Py_RETURN_NONE;
}

static PyObject *
cache_set_max_bytes(PyObject *module, PyObject *bytes)
{
    (void)module;
    const long long limit = PyLong_AsLongLong(bytes);
    if (limit == -1 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    plan_cache_set_max_bytes(limit);
    Py_RETURN_NONE;
}

static PyObject *
cache_equal_hashes(PyObject *module, PyObject *on)
{
    (void)module;
    plan_cache_equal_hashes(PyObject_IsTrue(on) == 1);
    Py_RETURN_NONE;
}

static PyObject *
count_stage_runs(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLongLong((long long)stage_runs());
}

static PyObject *
set_stage_least_size(PyObject *module, PyObject *size)
{
    (void)module;
    const long long wanted = PyLong_AsLongLong(size);
    if (wanted == -1 && PyErr_Occurred()) {
        return NULL;
    }
    plan_cache_clear();
    return PyLong_FromLongLong((long long)stages_set_least_size(wanted));
}

static PyMethodDef functions[] = {
    {"plan_cache_info", cache_info, METH_NOARGS,
     "plan_cache_info()\n--\n\nWhat the cache of plans holds and how it was used.\n\n"
     "Returns\n-------\ndict\n"
     "    ``hits`` and ``misses`` of calls, ``evictions``, ``size`` and ``max_size`` in plans,\n"
     "    ``bytes`` and ``max_bytes`` of memory, about.\n"},
    {"plan_cache_clear", cache_clear, METH_NOARGS,
     "plan_cache_clear()\n--\n\nForget all plans, and the counts of their use.\n"},
    {"plan_cache_set_max_bytes", cache_set_max_bytes, METH_O,
     "plan_cache_set_max_bytes(bytes)\n--\n\nLet plans take this much memory."},
    {"plan_cache_equal_hashes", cache_equal_hashes, METH_O,
     "plan_cache_equal_hashes(on)\n--\n\nFor tests: let all keys have one hash."},
    {"_stage_least_size", set_stage_least_size, METH_O,
     "_stage_least_size(size)\n--\n\nFor tests: form stages from so many elements; gives what "
     "it was."},
    {"_stage_runs", count_stage_runs, METH_NOARGS,
     "_stage_runs()\n--\n\nStages of plans that were run since the start."},
    {NULL, NULL, 0, NULL}};

int
module_add_plans(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
