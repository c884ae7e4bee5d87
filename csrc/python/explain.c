/* python/explain.c -- plans and profiles as Python objects, for pyarr/explain.py and
 * pyarr/profiling.py. */
#include "python/pyarr.h"

#include "base/profile.h"
#include "graph/plan_describe.h"

/* ---- plans ---- */

static PyObject *
place_tuple(int64_t count, const int32_t *places)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (int64_t i = 0; i < count && tuple != NULL; i++) {
        PyObject *number = PyLong_FromLong(places[i]);
        if (number == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, number);
    }
    return tuple;
}

/* Append a new reference (stolen; NULL passes on). 0 / -1. */
static int
append(PyObject *list, PyObject *item)
{
    const int status = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return status;
}

static PyObject *
instruction_list(const PlanStep *step)
{
    PyObject *list = PyList_New(0);
    for (int32_t k = 0; k < step->ninstructions && list != NULL; k++) {
        const Instruction *code = &step->instructions[k];
        const int32_t in[3] = {code->in[0], code->in[1], code->in[2]};
        PyObject *places = place_tuple(code->nin, in);
        PyObject *item = places == NULL
                             ? NULL
                             : Py_BuildValue("(sNsi)", node_op_name(code->op), places,
                                             dtype_info((DType)code->out_dtype)->name,
                                             (int)code->out);
        if (append(list, item) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
step_dict(const Plan *plan, const PlanStep *step)
{
    StepDescription d;
    plan_describe_step(plan, step, &d);
    return Py_BuildValue("{s:s,s:s,s:s,s:N,s:N,s:N,s:i,s:N,s:L,s:L,s:L,s:L,s:L}", "kind", d.kind,
                         "name", d.name, "executor", d.executor, "shape",
                         int_tuple(d.ndim, d.shape), "inputs", place_tuple(step->nin, step->in),
                         "outputs", place_tuple(step->nout, step->out), "sums",
                         step->kind == STEP_PROGRAM ? step->nout - step->nplain : 0,
                         "instructions", instruction_list(step), "bytes_read",
                         (long long)d.bytes_read, "bytes_written", (long long)d.bytes_written,
                         "flops", (long long)d.flops, "code_bytes", (long long)d.code_bytes, "nodes",
                         (long long)(step->kind == STEP_STAGE ? d.nodes : step->ninstructions));
}

static PyObject *
value_dict(const Plan *plan, const PlanValue *v)
{
    static const char *const kinds[] = {
        [MEMORY_ARGUMENT] = "given",
        [MEMORY_LITERAL] = "literal",
        [MEMORY_TEMPORARY] = "temporary",
        [MEMORY_RESULT] = "result",
    };
    return Py_BuildValue("{s:s,s:i,s:s,s:N,s:L}", "kind", kinds[plan->memory[v->memory].kind],
                         "memory", (int)v->memory, "dtype", dtype_info(v->dtype)->name, "shape",
                         int_tuple(v->ndim, v->shape), "bytes",
                         (long long)plan_value_bytes(v));
}

static PyObject *
plan_dict(const Plan *plan)
{
    PyObject *steps = PyList_New(0), *values = PyList_New(0);
    int status = steps == NULL || values == NULL ? -1 : 0;
    for (int32_t i = 0; i < plan->nsteps && status == 0; i++) {
        status = append(steps, step_dict(plan, &plan->steps[i]));
    }
    for (int32_t i = 0; i < plan->nvalues && status == 0; i++) {
        status = append(values, value_dict(plan, &plan->values[i]));
    }
    if (status < 0) {
        Py_XDECREF(steps);
        Py_XDECREF(values);
        return NULL;
    }
    return Py_BuildValue("{s:N,s:N,s:N,s:i,s:L}", "steps", steps, "values", values, "results",
                         place_tuple(plan->nresults, plan->results), "guards", (int)plan->nguards,
                         "temporary_bytes", (long long)plan_temporary_bytes(plan));
}

/* watch_plans(function): (what it gave, the plans that were run meanwhile) */
static PyObject *
watch_plans(PyObject *module, PyObject *function)
{
    (void)module;
    PlanWatch watch = {.plans = {0}}, *const before = plan_watch;
    plan_watch = &watch;
    PyObject *result = PyObject_CallNoArgs(function);
    plan_watch = before;
    PyObject *plans = result == NULL ? NULL : PyList_New(0);
    for (int64_t i = 0; i < watch.plans.size && plans != NULL; i++) {
        if (append(plans, plan_dict(watch.plans.data[i])) < 0) {
            Py_CLEAR(plans);
        }
    }
    plan_watch_fini(&watch);
    PyObject *pair = plans == NULL ? NULL : PyTuple_Pack(2, result, plans);
    Py_XDECREF(plans);
    Py_XDECREF(result);
    return pair;
}

/* ---- profiles ---- */

static PyObject *
start(PyObject *module, PyObject *capacity)
{
    (void)module;
    const long long count = PyLong_AsLongLong(capacity);
    if (count == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (count < 1) {
        PyErr_SetString(PyExc_ValueError, "profile: room for one event at least is needed");
        return NULL;
    }
    if (profile_start(count) != STATUS_OK) {
        return error_raise();
    }
    return PyLong_FromLongLong(profile_now());
}

static PyObject *
stop(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    static const char *const kinds[] = {
        [PROFILE_TRACE] = "trace", [PROFILE_PLANNING] = "planning", [PROFILE_PLAN] = "plan",
        [PROFILE_STEP] = "step",   [PROFILE_EAGER] = "eager",
    };
    int64_t count, lost;
    const long long now = profile_now();
    ProfileEvent *events = profile_stop(&count, &lost);
    PyObject *list = PyList_New(0);
    for (int64_t i = 0; i < count && list != NULL; i++) {
        const ProfileEvent *e = &events[i];
        if (append(list, Py_BuildValue("(ssILLLL)", kinds[e->kind], e->name,
                                       (unsigned int)e->thread, (long long)e->begin,
                                       (long long)e->end, (long long)e->bytes,
                                       (long long)e->flops)) < 0) {
            Py_CLEAR(list);
        }
    }
    profile_free(events);
    return list == NULL ? NULL : Py_BuildValue("(NLL)", list, (long long)lost, now);
}

static PyMethodDef functions[] = {
    {"watch_plans", watch_plans, METH_O,
     "watch_plans(function)\n--\n\nWhat the function gives, and the plans that it ran."},
    {"profile_start", start, METH_O,
     "profile_start(capacity)\n--\n\nKeep the last events from now on; gives the time."},
    {"profile_stop", stop, METH_NOARGS,
     "profile_stop()\n--\n\n(events, how many were lost, the time), times in nanoseconds."},
    {NULL, NULL, 0, NULL}};

int
module_add_explain(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
