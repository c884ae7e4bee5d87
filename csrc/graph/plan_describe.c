/* graph/plan_describe.c -- what the steps of a plan do: bytes, operations, memory. */
#include "graph/plan_describe.h"

#include <math.h>
#include <stdio.h>

_Thread_local PlanWatch *plan_watch;

int64_t
plan_value_bytes(const PlanValue *v)
{
    int64_t count = dtype_size(v->dtype);
    for (int i = 0; i < v->ndim; i++) {
        count *= v->strides[i] == 0 && v->shape[i] > 0 ? 1 : v->shape[i];
    }
    return count;
}

static int64_t
bytes_of(const Plan *plan, const int32_t *values, int32_t count)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < count; i++) {
        bool again = false;
        for (int32_t k = 0; k < i; k++) {
            again = again || values[k] == values[i];
        }
        bytes += again ? 0 : plan_value_bytes(&plan->values[values[i]]);
    }
    return bytes;
}

static void
describe_program(const Plan *plan, const PlanStep *step, StepDescription *d)
{
    int64_t size = 1;
    d->kind = d->name = "program";
    d->executor =
        backend_cpu_code(step->prepared, &d->code_bytes) != NULL ? "native" : "interpreter";
    d->ndim = step->ndim;
    d->shape = step->shape;
    for (int i = 0; i < step->ndim; i++) {
        size *= step->shape[i];
    }
    for (int32_t k = 0; k < step->ninstructions; k++) {
        const int op = step->instructions[k].op;
        const int parts = dtype_is_complex((DType)step->instructions[k].loop) ? 2 : 1;
        d->flops += op == OP_cast ? 0 : size * parts * (op == OP_fma ? 2 : 1);
    }
    d->flops += size * (step->nout - step->nplain);
    (void)plan;
}

static int64_t
primitive_flops(const Plan *plan, const PlanStep *step)
{
    const PlanValue *out = &plan->values[step->out[0]];
    const PlanValue *in = step->nin > 0 ? &plan->values[step->in[0]] : out;
    switch (step->op) {
    case OP_matmul: {
        const int products = !dtype_is_complex(out->dtype) ? 1 : step->nparams > 0 ? 3 : 4;
        return 2 * products * out->size * (in->ndim > 0 ? in->shape[in->ndim - 1] : 1);
    }
    case OP_fft_c2c: {
        const double n = (double)(in->size > out->size ? in->size : out->size);
        return n > 1 ? (int64_t)(5 * n * log2(n)) : 0;
    }
    case OP_solve:
    case OP_cholesky: {
        const int64_t n = in->ndim > 0 ? in->shape[in->ndim - 1] : 1;
        return in->size * n * (step->op == OP_solve ? 2 : 1) / 3;
    }
    case OP_copy:
    case OP_assign:
    case OP_gather:
    case OP_scatter:
    case OP_concatenate:
        return 0;
    default:
        return in->size > out->size ? in->size : out->size;
    }
}

static void
describe_primitive(const Plan *plan, const PlanStep *step, StepDescription *d)
{
    const PlanValue *out = &plan->values[step->out[0]];
    d->kind = d->executor = "library";
    d->name = op_info(step->op)->name;
    d->ndim = out->ndim;
    d->shape = out->shape;
    d->flops = primitive_flops(plan, step);
}

static void
describe_stage(const PlanStep *step, StepDescription *d)
{
    const StageCost cost = stage_cost(step->stage);
    d->kind = d->name = "stage";
    d->executor = cost.line > 0 ? "lines" : "tiles";
    d->bytes_read = cost.bytes_read;
    d->bytes_written = cost.bytes_written;
    d->flops = cost.flops;
    d->nodes = cost.nodes;
    d->rows = cost.rows;
    d->ndim = 1;
    d->shape = &d->rows;
}

void
plan_describe_step(const Plan *plan, const PlanStep *step, StepDescription *d)
{
    *d = (StepDescription){
        .ndim = 0,
        .bytes_read = bytes_of(plan, step->in, step->nin),
        .bytes_written = bytes_of(plan, step->out, step->nout),
    };
    switch ((StepKind)step->kind) {
    case STEP_PROGRAM:
        describe_program(plan, step, d);
        break;
    case STEP_PRIMITIVE:
        describe_primitive(plan, step, d);
        break;
    case STEP_STAGE:
        describe_stage(step, d);
        break;
    case STEP_ELEMENT:
        d->kind = d->executor = "library";
        d->name = "element";
        d->bytes_read = d->bytes_written = (int64_t)sizeof(double);
        break;
    }
}

void
plan_step_label(const PlanStep *step, const StepDescription *d, char *buffer, int size)
{
    char space[128];
    (void)shape_text(d->ndim, d->shape, space, (int)sizeof space);
    const int64_t ops = step->kind == STEP_STAGE ? d->nodes : step->ninstructions;
    if (ops > 0) {
        snprintf(buffer, (size_t)size, "%s of %jd over %s", d->name, (intmax_t)ops, space);
    } else {
        snprintf(buffer, (size_t)size, d->ndim > 0 ? "%s %s" : "%s", d->name, space);
    }
}

int64_t
plan_temporary_bytes(const Plan *plan)
{
    int64_t now = plan->small_bytes, most = now;
    for (int32_t s = 0; s < plan->nsteps; s++) {
        const PlanStep *step = &plan->steps[s];
        for (int32_t i = 0; i < step->nnew; i++) {
            const PlanMemory *m = &plan->memory[step->new_memory[i]];
            now += m->kind == MEMORY_TEMPORARY ? m->size : 0;
        }
        most = now > most ? now : most;
        for (int32_t i = 0; i < step->nfree; i++) {
            const PlanMemory *m = &plan->memory[step->free_memory[i]];
            now -= m->kind == MEMORY_TEMPORARY ? m->size : 0;
        }
    }
    return most;
}

/* ---- watching ---- */

void
plan_watch_note(const Plan *plan)
{
    Plan *own = plan_retain((Plan *)plan);
    if (vec_push(&plan_watch->plans, own) != STATUS_OK) {
        plan_release(own); /* a picture without this plan is better than no result */
        err_clear();
    }
}

void
plan_watch_fini(PlanWatch *watch)
{
    for (int64_t i = 0; i < watch->plans.size; i++) {
        plan_release(watch->plans.data[i]);
    }
    vec_fini(&watch->plans);
}
