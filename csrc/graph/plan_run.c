/* graph/plan_run.c -- running the steps of a plan.
 *
 * A run has its own memory, so several threads can run one plan at once. The interpreter lock
 * is released once for all steps when there is work to speak of.
 */
#include "base/hooks.h"
#include "base/mem.h"
#include "base/profile.h"
#include "base/poll.h"
#include "graph/evaluate.h"
#include "graph/plan_describe.h"

#include <math.h>
#include <string.h>

typedef struct PlanRun {
    const Plan *plan;
    char **memory;    /* address of each block */
    Array **held;     /* arguments, retained */
    char **operands;  /* of the step that runs */
    char *block;      /* small temporaries */
    size_t bytes;
    bool doubtful;    /* a step asks for the careful plan */
} PlanRun;

static char *
address(const PlanRun *run, int32_t value)
{
    const PlanValue *v = &run->plan->values[value];
    char *base = run->memory[v->memory];
    return base == NULL ? NULL : base + v->offset;
}

static Operand
operand(const PlanRun *run, int32_t value)
{
    const PlanValue *v = &run->plan->values[value];
    return (Operand){.data = address(run, value),
                     .dtype = v->dtype,
                     .ndim = v->ndim,
                     .shape = v->shape,
                     .strides = v->strides};
}

static Status
run_program(PlanRun *run, const PlanStep *step)
{
    char **at = run->operands;
    for (int i = 0; i < step->nin; i++) {
        at[i] = address(run, step->in[i]);
    }
    char **out = at + step->nin;
    for (int i = 0; i < step->nout; i++) {
        out[i] = address(run, step->out[i]);
    }
    if (step->kind == STEP_STAGE) {
        bool holds = true; /* not said where the stage fails */
        const Status status = stage_run(step->stage, at, out, &holds);
        run->doubtful = run->doubtful || !holds;
        return status;
    }
    return device_cpu()->run_prepared(device_cpu(), step->prepared, at, out, out + step->nplain);
}

static Status
run_primitive(const PlanRun *run, const PlanStep *step)
{
    const PlanValue *out = &run->plan->values[step->out[0]];
    if (out->size == 0 && !(op_info(step->op)->flags & FLAG_MAY_FAIL)) {
        return STATUS_OK;
    }
    Call call;
    call.op = step->op;
    call.nin = step->nin;
    call.nparams = step->nparams;
    call.params = step->params;
    for (int i = 0; i < step->nin; i++) {
        call.in[i] = operand(run, step->in[i]);
    }
    call.out = operand(run, step->out[0]);
    return device_cpu()->run_primitive(device_cpu(), &call);
}

static void
run_element(const PlanRun *run, const PlanStep *step)
{
    double *to = (double *)(void *)address(run, step->out[0]) + step->params[0];
    const double value = *(const double *)(const void *)address(run, step->in[1]);
    *to = step->op == OP_assign ? value : *to + value;
}

static Status
run_kind(PlanRun *run, const PlanStep *step)
{
    switch ((StepKind)step->kind) {
    case STEP_PROGRAM:
    case STEP_STAGE:
        return run_program(run, step);
    case STEP_PRIMITIVE:
        return run_primitive(run, step);
    case STEP_ELEMENT:
        run_element(run, step);
        break;
    }
    return STATUS_OK;
}

static Status
run_profiled(PlanRun *run, const PlanStep *step)
{
    StepDescription d;
    char label[128];
    plan_describe_step(run->plan, step, &d);
    plan_step_label(step, &d, label, (int)sizeof label);
    const int64_t begin = profile_now();
    const Status status = run_kind(run, step);
    profile_add(PROFILE_STEP, label, begin, d.bytes_read + d.bytes_written, d.flops);
    return status;
}

static Status
run_step(PlanRun *run, const PlanStep *step)
{
    for (int32_t i = 0; i < step->nnew; i++) {
        const int32_t m = step->new_memory[i];
        if (run->plan->memory[m].kind == MEMORY_TEMPORARY) {
            run->memory[m] = mem_new((size_t)run->plan->memory[m].size);
            if (run->memory[m] == NULL) {
                return STATUS_ERROR;
            }
        }
    }
    const Status status = profile_on ? run_profiled(run, step) : run_kind(run, step);
    for (int32_t i = 0; i < step->nfree; i++) {
        const int32_t m = step->free_memory[i];
        mem_free(run->memory[m], (size_t)run->plan->memory[m].size);
        run->memory[m] = NULL;
    }
    return status;
}

/* ---- before and after ---- */

/* New reference, or NULL with the error set. */
static Array *
given_value(const PlanGiven *given, int32_t place)
{
    if (given->nodes == NULL) {
        return array_retain(given->arrays[given->number[place]]);
    }
    Array *value = node_value(given->nodes[place]);
    if (value == NULL && err_kind() == ERR_NONE) {
        return err_null(ERR_RUNTIME, "the value of a leaf is gone");
    }
    return value;
}

static Status
run_open(PlanRun *run, const PlanGiven *given, Array **out)
{
    const Plan *plan = run->plan;
    const size_t count = (size_t)plan->nmemory * 2 + (size_t)plan->most_operands;
    const size_t pointers = (count * sizeof(char *) + 63) / 64 * 64;
    run->bytes = pointers + (size_t)plan->small_bytes;
    char *block = mem_new(run->bytes);
    if (block == NULL) {
        return STATUS_ERROR;
    }
    memset(block, 0, (size_t)plan->nmemory * 2 * sizeof(char *));
    run->memory = (char **)block;
    run->held = (Array **)block + plan->nmemory;
    run->operands = (char **)block + 2 * plan->nmemory;
    run->block = block + pointers;
    for (int32_t m = 0; m < plan->nmemory; m++) {
        const PlanMemory *memory = &plan->memory[m];
        switch (memory->kind) {
        case MEMORY_ARGUMENT:
            run->held[m] = given_value(given, memory->index);
            if (run->held[m] == NULL) {
                return STATUS_ERROR;
            }
            run->memory[m] = run->held[m]->size == 0 ? NULL : array_data(run->held[m]);
            break;
        case MEMORY_LITERAL: {
            const Array *a = plan->literals[memory->index];
            run->memory[m] = a->size == 0 ? NULL : array_data(a);
            break;
        }
        case MEMORY_TEMPORARY:
            run->memory[m] = memory->at < 0 ? NULL : run->block + memory->at;
            break;
        case MEMORY_RESULT: {
            const PlanValue *v = &plan->values[plan->results[memory->index]];
            out[memory->index] = array_new(device_cpu(), v->dtype, v->ndim, v->shape);
            if (out[memory->index] == NULL) {
                return STATUS_ERROR;
            }
            run->memory[m] = v->size == 0 ? NULL : array_data(out[memory->index]);
            break;
        }
        default:
            break;
        }
    }
    return STATUS_OK;
}

static void
run_close(PlanRun *run)
{
    const Plan *plan = run->plan;
    for (int32_t m = 0; run->memory != NULL && m < plan->nmemory; m++) {
        array_release(run->held[m]);
        if (plan->memory[m].kind == MEMORY_TEMPORARY && plan->memory[m].at < 0) {
            mem_free(run->memory[m], (size_t)plan->memory[m].size);
        }
    }
    mem_free(run->memory, run->bytes);
}

/* Did a sum that a factor was moved out of leave the normal range? */
static bool
guards_hold(const PlanRun *run)
{
    for (int32_t i = 0; i < run->plan->nguards; i++) {
        const PlanValue *v = &run->plan->values[run->plan->guards[i]];
        const char *data = address(run, run->plan->guards[i]);
        const int parts = dtype_is_complex(v->dtype) ? 2 : 1;
        const bool single = dtype_size(v->dtype) / parts == 4;
        for (int64_t k = 0; k < v->size * parts; k++) {
            const int class = single ? fpclassify(((const float *)data)[k])
                                     : fpclassify(((const double *)data)[k]);
            if (class != FP_NORMAL && class != FP_ZERO) {
                return false;
            }
        }
    }
    return true;
}

Status
plan_run(const Plan *plan, const PlanGiven *given, Array **out, bool *guarded)
{
    PlanRun run = {.plan = plan};
    const int64_t begin = profile_on ? profile_now() : 0;
    if (plan_watch != NULL) {
        plan_watch_note(plan);
    }
    for (int32_t i = 0; i < plan->nresults; i++) {
        out[i] = NULL;
    }
    Status status = run_open(&run, given, out);
    if (status == STATUS_OK) {
        void *token = plan->bytes_touched >= UNLOCK_BYTES ? host_hooks.unlock() : NULL;
        for (int32_t i = 0; i < plan->nsteps && status == STATUS_OK; i++) {
            status = i > 0 ? poll_check() : STATUS_OK;
            status = status == STATUS_OK ? run_step(&run, &plan->steps[i]) : status;
        }
        if (plan->bytes_touched >= UNLOCK_BYTES) {
            host_hooks.lock(token);
        }
    }
    *guarded = status == STATUS_OK && (run.doubtful || !guards_hold(&run));
    run_close(&run);
    profile_add(PROFILE_PLAN, "plan", begin, 0, 0);
    if (status != STATUS_OK || *guarded) {
        for (int32_t i = 0; i < plan->nresults; i++) {
            array_release(out[i]);
            out[i] = NULL;
        }
    }
    return status;
}
