/* graph/plan_build.c -- from the nodes of a plan to its steps.
 *
 * What costs nothing (views, copies of what stays) is done as soon as its input is there, then
 * library calls, then elementwise nodes: all that share an index space and whose inputs are
 * there go into one program, together with sums over all axes of them. Small spaces come
 * first, since large ones wait for their scalars. For a likelihood the cotangent of the sum is
 * known in advance, so value and gradient are one program: one read of the data.
 */
#include "graph/plan_builder.h"

#include "base/mem.h"

#include <string.h>

enum {
    GROUP_NODES = PLAN_PROGRAM_NODES,
    GROUP_INPUTS = 3000,
    GROUP_LOOK_AHEAD = 12000,
    GROUP_REFUSALS = 2000 /* in a row: the group is full */
};

/* ---- done and ready ---- */

static Status
mark_ready(Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    if (b->stage_of[at] >= 0) {
        return STATUS_OK; /* its stage computes it */
    }
    if (builder_is_free(node)) {
        return vec_push(&b->free_nodes, at);
    }
    if (builder_is_elementwise(node)) {
        return vec_push(&b->elementwise, at);
    }
    return vec_push(&b->library, at);
}

static Status
wait_less(Builder *b, int32_t at)
{
    return --b->waits[at] == 0 && !b->done[at] ? mark_ready(b, at) : STATUS_OK;
}

Status
builder_done(Builder *b, int32_t at)
{
    int32_t count;
    const int32_t *readers = plan_graph_read_by(b->g, at, &count);
    Status status = STATUS_OK;
    b->done[at] = true;
    for (int32_t k = 0; k < count && status == STATUS_OK; k++) {
        status = wait_less(b, readers[k]);
    }
    for (int32_t i = b->first_waiter[at]; i >= 0 && status == STATUS_OK; i = b->next_waiter[i]) {
        status = wait_less(b, i);
    }
    return status;
}

/* ---- groups ---- */

/* The nodes of one program, and room to say so to the device. In Builder.member a node of the
 * group has its number + 1, an input minus that. */
typedef struct Group {
    int32_t at[GROUP_NODES];
    int32_t sums_at[PROGRAM_MAX_SUMS];
    int32_t inputs[GROUP_INPUTS]; /* graph places */
    int count, nin, nsum;
    int inside[GROUP_NODES];      /* how often the group itself reads each of its members */
    int32_t in[GROUP_INPUTS], out[GROUP_NODES + PROGRAM_MAX_SUMS]; /* values */
    uint16_t registers[GROUP_NODES], summed[PROGRAM_MAX_SUMS];
    Operand operands[GROUP_INPUTS + GROUP_NODES + PROGRAM_MAX_SUMS];
    Instruction code[GROUP_NODES];
} Group;

/* Such a node stays by itself, so that an error is its own. */
static bool
may_fail(const Node *node)
{
    return node->op == OP_power && dtype_is_integer((DType)node->dtype);
}

static bool
same_space(const Node *a, const Node *b)
{
    return a->ndim == b->ndim && shape_equal(a->ndim, a->shape, b->shape);
}

/* A sum over all axes of a member, in the member's dtype? */
static bool
is_member_sum(const Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    if (node->op != OP_sum || !dtype_is_inexact((DType)node->dtype) || b->g->leaf[at]) {
        return false;
    }
    const int32_t input = plan_graph_input(b->g, at, 0);
    const Node *x = b->g->nodes[input];
    return b->member[input] > 0 && x->dtype == node->dtype && node->params[1] == x->ndim &&
           x->size > 0;
}

static void
forget_inputs(Builder *b, Group *group, int from)
{
    while (group->nin > from) {
        b->member[group->inputs[--group->nin]] = 0;
    }
}

/* Take the node in when all that it reads is there or inside. */
static bool
group_take(Builder *b, Group *group, int32_t at)
{
    const int before = group->nin;
    if (b->g->wait[at] >= 0 && !b->done[b->g->wait[at]] && !b->hasty) {
        return false;
    }
    for (int32_t k = 0; k < plan_graph_nin(b->g, at); k++) {
        const int32_t input = plan_graph_input(b->g, at, k);
        if (b->member[input] != 0) {
            continue;
        }
        if (!b->done[input] || group->nin == GROUP_INPUTS) {
            forget_inputs(b, group, before);
            return false;
        }
        group->inputs[group->nin++] = input;
        b->member[input] = -group->nin;
    }
    group->at[group->count++] = at;
    b->member[at] = group->count;
    return true;
}

static void
group_collect(Builder *b, Group *group, int32_t leader)
{
    const Node *first = b->g->nodes[leader];
    const int32_t far = leader + GROUP_LOOK_AHEAD;
    const int32_t end = b->g->count < far ? b->g->count : far;
    group->count = group->nin = group->nsum = 0;
    if (may_fail(first)) {
        (void)group_take(b, group, leader);
        return;
    }
    int refused = 0;
    for (int32_t i = leader; i < end && group->count < GROUP_NODES && refused < GROUP_REFUSALS;
         i++) {
        const Node *node = b->g->nodes[i];
        if (b->done[i] || b->stage_of[i] >= 0) {
            continue;
        }
        if (group->nsum < PROGRAM_MAX_SUMS && is_member_sum(b, i)) {
            group->sums_at[group->nsum++] = i;
        } else if (builder_is_elementwise(node) && !may_fail(node) &&
                   same_space(node, first)) {
            refused = group_take(b, group, i) ? 0 : refused + 1;
        }
    }
}

static Instruction
instruction(const Builder *b, const Group *group, int k)
{
    const int32_t at = group->at[k];
    const Node *node = b->g->nodes[at];
    Instruction code = {.op = node->op,
                        .nin = (uint8_t)node->nin,
                        .loop = node->op == OP_cast ? node->inputs[0]->dtype
                                                    : (uint8_t)node->params[0],
                        .out_dtype = node->dtype,
                        .out = (uint16_t)(group->nin + k)};
    for (int i = 0; i < node->nin; i++) {
        const int32_t input = plan_graph_input(b->g, at, i);
        const int member = b->member[input];
        code.in[i] = (uint16_t)(member > 0 ? group->nin + member - 1 : -member - 1);
    }
    return code;
}

static void
count_inside(const Builder *b, Group *group)
{
    int *const inside = group->inside;
    memset(inside, 0, (size_t)group->count * sizeof(int));
    for (int k = 0; k < group->count; k++) {
        for (int32_t i = 0; i < plan_graph_nin(b->g, group->at[k]); i++) {
            const int member = b->member[plan_graph_input(b->g, group->at[k], i)];
            if (member > 0) {
                inside[member - 1]++;
            }
        }
    }
    for (int s = 0; s < group->nsum; s++) {
        inside[b->member[plan_graph_input(b->g, group->sums_at[s], 0)] - 1]++;
    }
}

static Status
group_outputs(Builder *b, Group *group, int *nout)
{
    count_inside(b, group);
    *nout = 0;
    for (int k = 0; k < group->count; k++) {
        const int32_t at = group->at[k];
        if (b->g->readers[at] == group->inside[k]) {
            continue;
        }
        const int32_t value = builder_new_value(b, at);
        if (value < 0) {
            return STATUS_ERROR;
        }
        b->memory_readers.data[b->values.data[value].memory] -= group->inside[k];
        group->registers[*nout] = (uint16_t)(group->nin + k);
        group->out[(*nout)++] = value;
    }
    for (int s = 0; s < group->nsum; s++) {
        const int32_t value = builder_new_value(b, group->sums_at[s]);
        if (value < 0) {
            return STATUS_ERROR;
        }
        group->out[*nout + s] = value;
    }
    return STATUS_OK;
}

static Operand
operand_of(const Builder *b, int32_t value)
{
    const PlanValue *v = &b->values.data[value];
    return (Operand){
        .data = NULL, .dtype = v->dtype, .ndim = v->ndim, .shape = v->shape, .strides = v->strides};
}

static Status
keep_listing(Plan *plan, PlanStep *step, const Program *program)
{
    const size_t dims = (size_t)program->ndim * sizeof(int64_t);
    const size_t bytes = (size_t)program->ninstructions * sizeof(Instruction);
    int64_t *shape = plan_alloc(plan, dims);
    Instruction *code = plan_alloc(plan, bytes);
    if (shape == NULL || code == NULL) {
        return STATUS_ERROR;
    }
    memcpy(shape, program->shape, dims);
    memcpy(code, program->instructions, bytes);
    step->ndim = program->ndim;
    step->ninstructions = program->ninstructions;
    step->shape = shape;
    step->instructions = code;
    return STATUS_OK;
}

static Status
prepare_program(Builder *b, PlanStep *step, Group *group, int nout)
{
    const Node *leader = b->g->nodes[group->at[0]];
    Operand *const operands = group->operands;
    for (int i = 0; i < group->nin; i++) {
        operands[i] = operand_of(b, step->in[i]);
    }
    for (int i = 0; i < nout + group->nsum; i++) {
        operands[group->nin + i] = operand_of(b, step->out[i]);
    }
    for (int k = 0; k < group->count; k++) {
        group->code[k] = instruction(b, group, k);
    }
    for (int s = 0; s < group->nsum; s++) {
        const int32_t at = plan_graph_input(b->g, group->sums_at[s], 0);
        group->summed[s] = (uint16_t)(group->nin + b->member[at] - 1);
    }
    const Program program = {.ndim = leader->ndim,
                             .shape = leader->shape,
                             .nin = group->nin,
                             .ninstructions = group->count,
                             .nout = nout,
                             .in = operands,
                             .instructions = group->code,
                             .out = operands + group->nin,
                             .out_registers = group->registers,
                             .nsum = group->nsum,
                             .sums = operands + group->nin + nout,
                             .sum_registers = group->summed};
    step->nplain = nout;
    if (keep_listing(b->plan, step, &program) != STATUS_OK) {
        return STATUS_ERROR;
    }
    step->prepared = device_cpu()->prepare(device_cpu(), &program);
    return step->prepared == NULL ? STATUS_ERROR : STATUS_OK;
}

static Status
group_finish(Builder *b, Group *group)
{
    forget_inputs(b, group, 0);
    for (int k = 0; k < group->count; k++) {
        b->member[group->at[k]] = 0;
    }
    for (int k = 0; k < group->count; k++) {
        if (builder_done(b, group->at[k]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int s = 0; s < group->nsum; s++) {
        if (builder_done(b, group->sums_at[s]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* External values are read once for each edge into the group. */
static void
group_reads(Builder *b, const Group *group)
{
    for (int k = 0; k < group->count; k++) {
        for (int32_t i = 0; i < plan_graph_nin(b->g, group->at[k]); i++) {
            const int32_t input = plan_graph_input(b->g, group->at[k], i);
            if (b->member[input] < 0) {
                builder_read(b, input);
            }
        }
    }
}

static Status
schedule_group(Builder *b, int32_t leader)
{
    Group *const group = b->group;
    int nout = 0;
    PlanStep step = {.kind = STEP_PROGRAM};
    group_collect(b, group, leader);
    for (int i = 0; i < group->nin; i++) {
        group->in[i] = b->value_of[group->inputs[i]];
    }
    builder_open(b);
    if (group_outputs(b, group, &nout) != STATUS_OK ||
        builder_lists(b, &step, group->in, group->nin, group->out, nout + group->nsum) !=
            STATUS_OK ||
        prepare_program(b, &step, group, nout) != STATUS_OK) {
        return STATUS_ERROR;
    }
    group_reads(b, group);
    if (builder_close(b, &step) != STATUS_OK) {
        device_cpu()->release(device_cpu(), step.prepared);
        return STATUS_ERROR;
    }
    return group_finish(b, group);
}

/* ---- the order ---- */

/* The ready elementwise node with the smallest index space; the first of several. */
static int32_t
choose_leader(Builder *b)
{
    int64_t best = -1;
    int64_t kept = 0;
    for (int64_t i = 0; i < b->elementwise.size; i++) {
        const int32_t at = b->elementwise.data[i];
        if (b->done[at]) {
            continue;
        }
        b->elementwise.data[kept] = at;
        if (best < 0) {
            best = kept;
        } else {
            const int32_t other = b->elementwise.data[best];
            const int64_t size = b->g->nodes[at]->size, least = b->g->nodes[other]->size;
            if (size < least || (size == least && at < other)) {
                best = kept;
            }
        }
        kept++;
    }
    b->elementwise.size = kept;
    return best < 0 ? -1 : b->elementwise.data[best];
}

/* The first library call that is ready, of those that copy nothing if there are any; -1: it copies,
 * and work on no larger space than its own can be done before, which may be what it waits for. */
static int32_t
first_library(Builder *b)
{
    int64_t best = 0;
    bool copies = builder_would_copy(b, b->library.data[0]);
    for (int64_t i = 1; i < b->library.size; i++) {
        const bool other = builder_would_copy(b, b->library.data[i]);
        if (other == copies ? b->library.data[i] < b->library.data[best] : copies) {
            best = i;
            copies = other;
        }
    }
    const int32_t at = b->library.data[best];
    const int32_t leader = copies ? choose_leader(b) : -1;
    if (leader >= 0 && b->g->nodes[leader]->size <= b->g->nodes[at]->size) {
        return -1;
    }
    b->library.data[best] = vec_last(&b->library);
    b->library.size--;
    return at;
}

/* Nothing is ready: what waits for no input may run, if there is such. */
static Status
stop_waiting(Builder *b, bool *any)
{
    const PlanGraph *g = b->g;
    b->hasty = true;
    *any = false;
    for (int32_t i = 0; i < g->count; i++) {
        if (g->wait[i] >= 0 && !b->done[g->wait[i]] && !b->done[i] && b->waits[i] == 1) {
            b->waits[i] = 0;
            *any = *any || b->stage_of[i] < 0;
            if (mark_ready(b, i) != STATUS_OK) {
                return STATUS_ERROR;
            }
        }
    }
    return STATUS_OK;
}

static Status
schedule_all(Builder *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        if (b->g->leaf[i] &&
            (builder_leaf(b, i) != STATUS_OK || builder_done(b, i) != STATUS_OK)) {
            return STATUS_ERROR;
        }
    }
    for (;;) {
        Status status;
        int32_t stage, library;
        if (b->free_nodes.size > 0) {
            status = builder_alias(b, vec_pop(&b->free_nodes));
        } else if ((stage = builder_ready_stage(b)) >= 0) {
            status = builder_stage(b, stage);
        } else if (b->library.size > 0 && (library = first_library(b)) >= 0) {
            status = b->done[library] ? STATUS_OK : builder_primitive(b, library);
        } else {
            const int32_t leader = choose_leader(b);
            bool any = leader >= 0;
            status = leader < 0 ? stop_waiting(b, &any) : schedule_group(b, leader);
            if (status == STATUS_OK && !any) {
                return STATUS_OK;
            }
        }
        if (status != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
}

Status
builder_schedule(Builder *b)
{
    b->group = mem_new(sizeof *b->group);
    const Status status = b->group == NULL ? STATUS_ERROR : schedule_all(b);
    mem_free(b->group, sizeof *b->group);
    return status;
}
