/* graph/plan_stage.c -- stages as steps of a plan. */
#include "base/mem.h"
#include "graph/plan_builder.h"

#include <string.h>

/* Stages that turn out to be too large are dissolved: their nodes run by themselves. */
Status
builder_stages(Builder *b)
{
    int32_t count;
    if (stages_find(b->g, b->stage_of, &count) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const size_t bytes = (size_t)count * sizeof(Stage *);
    b->stages = plan_alloc(b->plan, bytes);
    if (b->stages == NULL) {
        return STATUS_ERROR;
    }
    memset(b->stages, 0, bytes);
    b->nstages = count;
    for (int32_t s = 0; s < b->nstages; s++) {
        b->stages[s] = stage_compile(b->g, b->stage_of, s);
        if (b->stages[s] != NULL) {
            b->plan->watched = b->plan->watched || stage_may_fail_to_hold(b->stages[s]);
            continue;
        }
        if (err_kind() != ERR_RUNTIME) {
            return STATUS_ERROR;
        }
        err_clear();
        for (int32_t i = 0; i < b->g->count; i++) {
            b->stage_of[i] = b->stage_of[i] == s ? -1 : b->stage_of[i];
        }
    }
    return STATUS_OK;
}

void
builder_stages_fini(Builder *b)
{
    for (int32_t s = 0; s < b->nstages; s++) {
        stage_free(b->stages[s]);
    }
}

int32_t
builder_ready_stage(const Builder *b)
{
    for (int32_t s = 0; s < b->nstages; s++) {
        const int32_t *places;
        const int count = b->stages[s] == NULL ? 0 : stage_inputs(b->stages[s], &places);
        bool ready = b->stages[s] != NULL;
        for (int k = 0; k < count && ready; k++) {
            ready = b->done[places[k]];
        }
        if (ready) {
            return s;
        }
    }
    return -1;
}

/* The values that the stage reads, copied where they do not lie as it needs them. */
static Status
bind_inputs(Builder *b, Stage *stage, int nin, const int32_t *places, int32_t *in)
{
    for (int k = 0; k < nin; k++) {
        in[k] = b->value_of[places[k]];
        const PlanValue *v = &b->values.data[in[k]];
        if (stage_bind(stage, k, v->ndim, v->shape, v->strides)) {
            continue;
        }
        in[k] = builder_copy(b, in[k]);
        if (in[k] < 0) {
            return STATUS_ERROR;
        }
        v = &b->values.data[in[k]];
        (void)stage_bind(stage, k, v->ndim, v->shape, v->strides);
    }
    return STATUS_OK;
}

/* Reads from outside are over; those inside never come. */
static void
stage_reads(Builder *b, int32_t number)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        for (int32_t k = 0; k < plan_graph_nin(b->g, i) && b->stage_of[i] == number; k++) {
            const int32_t input = plan_graph_input(b->g, i, k);
            if (b->stage_of[input] != number) {
                builder_read(b, input);
            } else if (b->value_of[input] >= 0) {
                b->memory_readers.data[b->values.data[b->value_of[input]].memory]--;
            }
        }
    }
}

static Status
stage_done(Builder *b, int32_t number)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        b->done[i] = b->done[i] || b->stage_of[i] == number;
    }
    for (int32_t i = 0; i < b->g->count; i++) {
        if (b->stage_of[i] == number && builder_done(b, i) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Status
write_step(Builder *b, int32_t number, int32_t *in, int32_t *out)
{
    Stage *stage = b->stages[number];
    const int32_t *inputs, *outputs;
    const int nin = stage_inputs(stage, &inputs), nout = stage_outputs(stage, &outputs);
    PlanStep step = {.kind = STEP_STAGE, .nplain = nout, .stage = stage};
    if (bind_inputs(b, stage, nin, inputs, in) != STATUS_OK) {
        return STATUS_ERROR;
    }
    builder_open(b);
    for (int k = 0; k < nout; k++) {
        out[k] = builder_new_value(b, outputs[k]);
        if (out[k] < 0) {
            return STATUS_ERROR;
        }
    }
    if (builder_lists(b, &step, in, nin, out, nout) != STATUS_OK) {
        return STATUS_ERROR;
    }
    stage_reads(b, number);
    if (builder_close(b, &step) != STATUS_OK) {
        return STATUS_ERROR;
    }
    b->stages[number] = NULL; /* the step has it */
    return stage_done(b, number);
}

Status
builder_stage(Builder *b, int32_t number)
{
    const int32_t *places;
    const size_t nin = (size_t)stage_inputs(b->stages[number], &places);
    const size_t nout = (size_t)stage_outputs(b->stages[number], &places);
    const size_t bytes = (nin + nout + 1) * sizeof(int32_t);
    int32_t *values = mem_new(bytes);
    if (values == NULL) {
        return STATUS_ERROR;
    }
    const Status status = write_step(b, number, values, values + nin);
    mem_free(values, bytes);
    return status;
}
