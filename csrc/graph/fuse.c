/* graph/fuse.c -- elementwise nodes over one index space, and sums of them, as one program. */
#include "backend/backend.h"
#include "base/hooks.h"
#include "base/settings.h"
#include "graph/run.h"

#include <assert.h>
#include <string.h>

enum {
    FUSE_LEAST_SIZE = 1024, /* below, arrays stay in the cache anyway */
    FUSE_NODES = 120,
    FUSE_INPUTS = 100,
    FUSE_LOOK_AHEAD = 600
};

typedef struct Group {
    int64_t at[FUSE_NODES];            /* places of the members in the run's order */
    int64_t sums_at[PROGRAM_MAX_SUMS]; /* of sums over all axes of members */
    Node *inputs[FUSE_INPUTS];
    Array *values[FUSE_INPUTS];       /* of the inputs, retained */
    Array *outs[FUSE_NODES];          /* NULL for values that stay inside */
    Array *totals[PROGRAM_MAX_SUMS];
    int count, nin, nsum;
} Group;

static Node *
node_at(const Run *run, int64_t at)
{
    return run->order.data[at];
}

/* The place of input k of the node at a place, or -1 when it had its value before the run. */
static int64_t
input_at(const Run *run, int64_t at, int k)
{
    return run->places[run->uses[at].first + k] - 1;
}

/* The number of that input among the members, or -1. */
static int
member_of(const Run *run, int64_t at, int k)
{
    const int64_t place = input_at(run, at, k);
    return place < 0 ? -1 : run->uses[place].member - 1;
}

static bool
same_space(const Node *a, const Node *b)
{
    return a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(int64_t)) == 0;
}

/* Ops of one kernel call that cannot fail. */
static bool
fits_program(const Node *node)
{
    if (node->op == OP_cast) {
        return true;
    }
    const bool integer_power = node->op == OP_power && dtype_is_integer((DType)node->dtype);
    return op_is_elementwise((OpCode)node->op) && !integer_power;
}

/* A sum over all axes of a member, in the member's dtype? */
static bool
is_member_sum(const Run *run, int64_t at)
{
    const Node *node = node_at(run, at);
    return node->op == OP_sum && dtype_is_inexact((DType)node->dtype) &&
           member_of(run, at, 0) >= 0 && node->inputs[0]->dtype == node->dtype &&
           node->params[1] == node->inputs[0]->ndim;
}

static int
input_number(const Group *group, const Node *input)
{
    for (int i = 0; i < group->nin; i++) {
        if (group->inputs[i] == input) {
            return i;
        }
    }
    return -1;
}

/* Compute a node ahead of its turn: its inputs have values. */
static Status
run_early(Run *run, int64_t at)
{
    if (run_node(run, at) != STATUS_OK) {
        return STATUS_ERROR;
    }
    run->uses[at].done = true;
    run_reads_done(run, at);
    return STATUS_OK;
}

/* Scalars and other small values that members further on will read: small work on values that
 * are there. */
static bool
is_small_work(const Node *node)
{
    bool small = node->size < FUSE_LEAST_SIZE;
    for (int i = 0; small && i < node->nin; i++) {
        small = node->inputs[i]->size < FUSE_LEAST_SIZE && node_has_value(node->inputs[i]);
    }
    return small && node->nin > 0;
}

/* Are all inputs of the node values or members? Views of values are made on the way. */
static bool
inputs_ready(Run *run, const Group *group, int64_t at, Status *status)
{
    const Node *node = node_at(run, at);
    int fresh = 0;
    for (int i = 0; i < node->nin; i++) {
        Node *input = node->inputs[i];
        if (member_of(run, at, i) >= 0) {
            continue;
        }
        if (!node_has_value(input)) {
            const int64_t place = input_at(run, at, i);
            if (place < 0 || input->op != OP_view || !node_has_value(input->inputs[0])) {
                return false;
            }
            *status = run_early(run, place);
            if (*status != STATUS_OK) {
                return false;
            }
        }
        fresh += input_number(group, input) < 0;
    }
    return group->nin + fresh <= FUSE_INPUTS;
}

static Status
group_add(Run *run, Group *group, int64_t at)
{
    Node *node = node_at(run, at);
    for (int i = 0; i < node->nin; i++) {
        Node *input = node->inputs[i];
        if (member_of(run, at, i) >= 0 || input_number(group, input) >= 0) {
            continue;
        }
        Array *value = node_value(input);
        if (value == NULL) {
            return STATUS_ERROR;
        }
        group->inputs[group->nin] = input;
        group->values[group->nin++] = value;
    }
    node->running++;
    group->at[group->count++] = at;
    run->uses[at].member = group->count;
    return STATUS_OK;
}

static Status
group_collect(Run *run, Group *group, int64_t at)
{
    const Node *leader = node_at(run, at);
    const int64_t far = at + FUSE_LOOK_AHEAD;
    const int64_t end = run->order.size < far ? run->order.size : far;
    Status status = STATUS_OK;
    for (int64_t i = at; i < end && group->count < FUSE_NODES; i++) {
        Node *node = node_at(run, i);
        if (run->uses[i].done || node_has_value(node)) {
            continue;
        }
        if (group->nsum < PROGRAM_MAX_SUMS && is_member_sum(run, i)) {
            group->sums_at[group->nsum++] = i;
        } else if (is_small_work(node)) {
            if (run_early(run, i) != STATUS_OK) {
                return STATUS_ERROR;
            }
        } else if (node->size == leader->size && fits_program(node) && same_space(node, leader) &&
                   inputs_ready(run, group, i, &status)) {
            status = group_add(run, group, i);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static bool
on_one_device(const Group *group)
{
    for (int i = 0; i < group->nin; i++) {
        const Device *device = group->values[i]->storage->device;
        if (device != group->values[0]->storage->device) {
            return false;
        }
    }
    return group->nin > 0;
}

/* Memory for every sum, and for every value that somebody outside the group reads. */
static Status
group_allocate(const Run *run, Group *group)
{
    int inside[FUSE_NODES] = {0};
    Device *device = group->values[0]->storage->device;
    for (int k = 0; k < group->count; k++) {
        for (int i = 0; i < node_at(run, group->at[k])->nin; i++) {
            const int member = member_of(run, group->at[k], i);
            if (member >= 0) {
                inside[member]++;
            }
        }
    }
    for (int s = 0; s < group->nsum; s++) {
        const Node *node = node_at(run, group->sums_at[s]);
        inside[member_of(run, group->sums_at[s], 0)]++;
        group->totals[s] = array_new(device, (DType)node->dtype, node->ndim, node->shape);
        if (group->totals[s] == NULL) {
            return STATUS_ERROR;
        }
    }
    for (int k = 0; k < group->count; k++) {
        const Node *node = node_at(run, group->at[k]);
        if (run->uses[group->at[k]].readers == inside[k]) {
            continue;
        }
        group->outs[k] = array_new(device, (DType)node->dtype, node->ndim, node->shape);
        if (group->outs[k] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Instruction
instruction(const Run *run, const Group *group, int k)
{
    const Node *node = node_at(run, group->at[k]);
    const DType loop =
        node->op == OP_cast ? (DType)node->inputs[0]->dtype : (DType)node->params[0];
    Instruction code = {.op = node->op,
                        .nin = (uint8_t)node->nin,
                        .loop = (uint8_t)loop,
                        .out_dtype = node->dtype,
                        .out = (uint16_t)(group->nin + k)};
    for (int i = 0; i < node->nin; i++) {
        const int member = member_of(run, group->at[k], i);
        code.in[i] = (uint16_t)(member >= 0 ? group->nin + member
                                            : input_number(group, node->inputs[i]));
    }
    return code;
}

static Status
group_run(const Run *run, const Group *group)
{
    Instruction code[FUSE_NODES];
    Operand in[FUSE_INPUTS], out[FUSE_NODES], sums[PROGRAM_MAX_SUMS];
    uint16_t registers[FUSE_NODES], sum_registers[PROGRAM_MAX_SUMS];
    const Node *leader = node_at(run, group->at[0]);
    int nout = 0;
    for (int i = 0; i < group->nin; i++) {
        in[i] = execute_operand(group->values[i]);
    }
    for (int k = 0; k < group->count; k++) {
        code[k] = instruction(run, group, k);
        if (group->outs[k] != NULL) {
            registers[nout] = code[k].out;
            out[nout++] = execute_operand(group->outs[k]);
        }
    }
    for (int s = 0; s < group->nsum; s++) {
        sum_registers[s] = (uint16_t)(group->nin + member_of(run, group->sums_at[s], 0));
        sums[s] = execute_operand(group->totals[s]);
    }
    const Program program = {.ndim = leader->ndim,
                             .shape = leader->shape,
                             .nin = group->nin,
                             .ninstructions = group->count,
                             .nout = nout,
                             .in = in,
                             .instructions = code,
                             .out = out,
                             .out_registers = registers,
                             .nsum = group->nsum,
                             .sums = sums,
                             .sum_registers = sum_registers};
    Device *device = group->values[0]->storage->device;
    void *token = host_hooks.unlock();
    const Status status = device->run_program(device, &program);
    host_hooks.lock(token);
    return status;
}

/* Takes over the value, which may be NULL; another thread may have been faster. */
static void
give_value(Run *run, int64_t at, Array *value)
{
    Node *node = node_at(run, at);
    run->uses[at].done = true;
    if (node->value != NULL || value == NULL) {
        array_release(value);
        return;
    }
    node->value = value;
    node->value_version = value->storage->version;
}

static void
group_finish(Run *run, Group *group, bool ran)
{
    for (int i = 0; i < group->nin; i++) {
        array_release(group->values[i]);
    }
    for (int k = 0; k < group->count; k++) {
        run->uses[group->at[k]].member = 0;
        node_at(run, group->at[k])->running--;
        if (ran) {
            give_value(run, group->at[k], group->outs[k]);
        } else {
            array_release(group->outs[k]);
        }
    }
    for (int s = 0; s < group->nsum; s++) {
        if (ran) {
            give_value(run, group->sums_at[s], group->totals[s]);
        } else {
            array_release(group->totals[s]);
        }
    }
    for (int k = 0; k < group->count && ran; k++) {
        run_reads_done(run, group->at[k]);
    }
    for (int s = 0; s < group->nsum && ran; s++) {
        run_reads_done(run, group->sums_at[s]);
    }
}

Status
fuse_run(Run *run, int64_t at, int *count)
{
    const Node *leader = node_at(run, at);
    *count = 0;
    if (run->keep || settings_get()->executor == EXECUTOR_NODES ||
        leader->size < FUSE_LEAST_SIZE || !fits_program(leader)) {
        return STATUS_OK;
    }
    Group group;
    group.count = group.nin = group.nsum = 0;
    memset(group.outs, 0, sizeof group.outs);
    memset(group.totals, 0, sizeof group.totals);
    Status status = group_collect(run, &group, at);
    if (status == STATUS_OK && group.count + group.nsum > 1 && on_one_device(&group)) {
        status = group_allocate(run, &group);
        if (status == STATUS_OK) {
            status = group_run(run, &group);
        }
        *count = status == STATUS_OK ? group.count + group.nsum : 0;
    }
    group_finish(run, &group, *count > 0);
    return status;
}
