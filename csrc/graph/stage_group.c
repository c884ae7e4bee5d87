/* graph/stage_group.c -- blocks: the elementwise members over one inner space, with their
 * reductions, as one straight-line program whose values stay in registers. */
#include "graph/stage_block.h"

#include <string.h>

enum {
    LASTING_ELEMENTS = 64,   /* sums over rows and inner axes up to this size are kept by lane */
    VALUES = 1 << 14         /* registers of values while inputs are still being found */
};

/* ---- which values are computed again ---- */

/* Is the operand the whole root, over the space of the member? */
static bool
is_whole(const StageBuild *b, int32_t at, const StageOperand *operand)
{
    return stage_space_whole(b, operand, &b->space[at]) &&
           (b->roles.role[operand->root] != ROLE_ELEMENTWISE ||
            stage_space_same(&b->space[at], &b->space[operand->root]));
}

static bool
operands_allow_again(const StageBuild *b, int32_t at)
{
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        StageOperand operand;
        stage_space_operand(b, at, k, &operand);
        if (operand.reading == READ_LANES && b->again[operand.root] &&
            !is_whole(b, at, &operand)) {
            return false;
        }
    }
    return true;
}

/* A value that somebody reads otherwise than element for element needs its buffer. */
static bool
reads_whole(const StageBuild *b, int32_t at, int k)
{
    StageOperand operand;
    if (!stage_is_member(b, at)) {
        return false;
    }
    if (b->roles.role[at] == ROLE_ALIAS) {
        return !b->g->result[at];
    }
    if (!stage_in_block(b, at)) {
        return false;
    }
    stage_space_operand(b, at, k, &operand);
    return is_whole(b, at, &operand);
}

void
stage_find_again(StageBuild *b)
{
    const PlanGraph *g = b->g;
    if (b->line > 0) {
        stage_find_again_in_line(b);
        return;
    }
    for (int32_t i = 0; i < g->count; i++) {
        if (stage_is_member(b, i) && b->roles.role[i] == ROLE_ELEMENTWISE &&
            stage_block_volume(b, i) > STAGE_SHORT) {
            b->again[i] = operands_allow_again(b, i);
        }
    }
    for (int32_t i = 0; i < g->count; i++) {
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            StageMap map;
            stage_resolve(&b->roles, plan_graph_input(g, i, k), &map);
            b->again[map.root] = b->again[map.root] && reads_whole(b, i, k);
        }
        b->again[i] = b->again[i] && !g->result[i];
    }
}

/* ---- readiness ---- */

/* May the member run in a block over its space, `block` being what is in it already? */
static bool
can_join(const StageBuild *b, int32_t at)
{
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        StageOperand operand;
        stage_space_operand(b, at, k, &operand);
        if (operand.reading != READ_LANES) {
            continue;
        }
        const bool inside = b->reg[operand.root] >= 0 && is_whole(b, at, &operand);
        if (!inside && b->done[operand.root] != 1) {
            return false;
        }
    }
    return true;
}

bool
stage_block_ready(const StageBuild *b, int32_t at)
{
    return can_join(b, at);
}

/* ---- instructions ---- */

static Status
too_large(void)
{
    return err_set(ERR_RUNTIME, "stage: a block is too large");
}

static int
add_input(StageBlock *block, const TileRef *ref)
{
    for (int i = 0; i < block->nin; i++) {
        if (memcmp(&block->in[i], ref, sizeof *ref) == 0) {
            return i;
        }
    }
    if (block->nin == BLOCK_INPUTS) {
        (void)too_large();
        return -1;
    }
    block->in[block->nin] = *ref;
    return block->nin++;
}

static int compute(StageBuild *b, StageBlock *block, int32_t at);

/* The register that holds an operand, or -1 with the error set. */
static int
operand_register(StageBuild *b, StageBlock *block, int32_t at, int k)
{
    StageOperand operand;
    TileRef ref;
    stage_space_operand(b, at, k, &operand);
    if (operand.reading == READ_LANES && is_whole(b, at, &operand)) {
        if (b->reg[operand.root] >= 0) {
            return b->reg[operand.root];
        }
        if (b->again[operand.root]) {
            return compute(b, block, operand.root);
        }
    }
    memset(&ref, 0, sizeof ref);
    const bool along = stage_is_line(b, &block->space) && operand.strides[0] != 0;
    if (operand.reading == READ_SHARED || (operand.reading == READ_ROWS && along)) {
        ref.is_view = true;
        ref.at = stage_view(b, &operand, block->space.ndim, block->space.shape, true);
        if (ref.at < 0) {
            return -1;
        }
        for (int d = 0; d < block->space.ndim; d++) {
            ref.strides[d] = operand.strides[d] != 0;
        }
    } else if (stage_lanes(b, &operand, block->space.ndim, block->space.shape, &ref) !=
               STATUS_OK) {
        return -1;
    }
    return add_input(block, &ref);
}

static int
add_instruction(StageBlock *block, int op, DType loop, DType dtype, int nin, const int *in)
{
    if (block->ncode == BLOCK_VALUES) {
        (void)too_large();
        return -1;
    }
    Instruction *code = &block->code[block->ncode];
    *code = (Instruction){.op = (uint16_t)op,
                          .nin = (uint8_t)nin,
                          .loop = (uint8_t)loop,
                          .out_dtype = (uint8_t)dtype,
                          .out = (uint16_t)(VALUES + block->ncode)};
    for (int i = 0; i < nin; i++) {
        code->in[i] = (uint16_t)in[i];
    }
    return VALUES + block->ncode++;
}

/* The elementwise member as an instruction; its register, or -1 with the error set. */
static int
compute(StageBuild *b, StageBlock *block, int32_t at)
{
    const Node *node = b->g->nodes[at];
    int in[3];
    for (int k = 0; k < node->nin; k++) {
        in[k] = operand_register(b, block, at, k);
        if (in[k] < 0) {
            return -1;
        }
    }
    const DType loop =
        node->op == OP_cast ? (DType)node->inputs[0]->dtype : (DType)node->params[0];
    b->reg[at] = add_instruction(block, node->op, loop, (DType)node->dtype, node->nin, in);
    block->made[block->nmade++] = at;
    return b->reg[at];
}

static Status
add_output(StageBlock *block, int reg, const TileRef *ref)
{
    if (block->nout == BLOCK_OUTPUTS) {
        return too_large();
    }
    block->out[block->nout] = *ref;
    block->out_registers[block->nout++] = (uint16_t)reg;
    return STATUS_OK;
}

static int
joining_op(int op)
{
    return op == OP_reduce_max ? OP_maximum : op == OP_reduce_min ? OP_minimum : OP_add;
}

/* The reduction into lanes: buffer = buffer joined with the value. */
static Status
reduce_into(StageBuild *b, StageBlock *block, int32_t at, int value, int buffer)
{
    const Node *node = b->g->nodes[at];
    TileRef ref;
    memset(&ref, 0, sizeof ref);
    ref.at = buffer;
    stage_space_reduced(b, at, ref.strides);
    const int old = add_input(block, &ref);
    if (old < 0) {
        return STATUS_ERROR;
    }
    const int joined = add_instruction(block, joining_op(node->op), (DType)node->dtype,
                                       (DType)node->dtype, 2, (int[]){old, value});
    return joined < 0 ? STATUS_ERROR : add_output(block, joined, &ref);
}

static Status
add_fill(StageBuild *b, int32_t at, int buffer)
{
    const TileRef ref = {.at = buffer};
    const TileStep fill = {
        .kind = TILE_FILL, .op = (OpCode)b->g->nodes[at]->op, .nout = 1, .out = &ref};
    return stage_add_step(b, &fill);
}

/* A sum of values along the line: over rows it is added to where it lies, over the line it is one
 * element of a lane. */
static Status
add_line_sum(StageBuild *b, StageBlock *block, int32_t at, int value)
{
    const Node *node = b->g->nodes[at];
    const DType dtype = (DType)node->dtype;
    TileRef ref;
    memset(&ref, 0, sizeof ref);
    if (b->roles.role[at] == ROLE_ROW_SUM && node->size == b->line) {
        ref.is_sum = true;
        ref.at = stage_add_sum(b, at, -1);
        ref.strides[0] = 1;
        const int old = ref.at < 0 ? -1 : add_input(block, &ref);
        const int in[2] = {old, value};
        const int sum = old < 0 ? -1 : add_instruction(block, OP_add, dtype, dtype, 2, in);
        return sum < 0 ? STATUS_ERROR : add_output(block, sum, &ref);
    }
    if (block->nsums == BLOCK_SUMS) {
        return too_large();
    }
    const bool lasts = b->roles.role[at] == ROLE_ROW_SUM;
    ref.at = lasts ? stage_add_buffer(b, dtype, 1, true) : stage_buffer_of(b, at);
    if (ref.at < 0 || (lasts ? stage_add_sum(b, at, ref.at) < 0
                             : add_fill(b, at, ref.at) != STATUS_OK)) {
        return STATUS_ERROR;
    }
    block->sums[block->nsums] = ref;
    block->sum_registers[block->nsums++] = (uint16_t)value;
    return STATUS_OK;
}

static Status
add_reduction(StageBuild *b, StageBlock *block, int32_t at)
{
    const Node *node = b->g->nodes[at];
    const int value = operand_register(b, block, at, 0);
    if (value < 0) {
        return STATUS_ERROR;
    }
    if (stage_is_line(b, &block->space)) {
        return add_line_sum(b, block, at, value);
    }
    if (b->roles.role[at] == ROLE_REDUCE) {
        const int buffer = stage_buffer_of(b, at);
        return buffer < 0 || add_fill(b, at, buffer) != STATUS_OK
                   ? STATUS_ERROR
                   : reduce_into(b, block, at, value, buffer);
    }
    const bool lasts = node->size <= LASTING_ELEMENTS && block->space.ndim > 0;
    if (node->op != OP_sum || lasts || block->nsums == BLOCK_SUMS) {
        const int buffer = stage_add_buffer(b, (DType)node->dtype, node->size, true);
        return buffer < 0 || stage_add_sum(b, at, buffer) < 0
                   ? STATUS_ERROR
                   : reduce_into(b, block, at, value, buffer);
    }
    TileRef *ref = &block->sums[block->nsums];
    memset(ref, 0, sizeof *ref);
    ref->at = stage_add_sum(b, at, -1);
    stage_space_reduced(b, at, ref->strides);
    block->sum_registers[block->nsums++] = (uint16_t)value;
    return ref->at < 0 ? STATUS_ERROR : STATUS_OK;
}

/* ---- the block ---- */

/* Registers of values follow those of inputs. */
static uint16_t
final_register(const StageBlock *block, int reg)
{
    return (uint16_t)(reg >= VALUES ? reg - VALUES + block->nin : reg);
}

/* Does a member outside the block read the value? */
static bool
read_elsewhere(const StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    if (b->again[at]) {
        return false;
    }
    if (stage_is_line(b, &b->space[at])) {
        return stage_is_kept(b, at);
    }
    int32_t count;
    const int32_t *readers = plan_graph_read_by(g, at, &count);
    for (int32_t r = 0; r < count; r++) {
        const int32_t i = readers[r];
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            if (plan_graph_input(g, i, k) != at) {
                continue;
            }
            if (b->done[i] == STAGE_DROPPED && !stage_moments_need(b, i, k)) {
                continue;
            }
            const bool alias = b->roles.role[i] == ROLE_ALIAS && stage_is_member(b, i);
            if (alias ? read_elsewhere(b, i) || g->result[i] || b->stage_of[i] != b->number
                      : b->done[i] != 2 || b->again[i]) {
                return true;
            }
        }
    }
    return g->result[at];
}

static int
uses_of(const StageBlock *block, int reg)
{
    int uses = 0;
    for (int k = 0; k < block->ncode; k++) {
        for (int i = 0; i < block->code[k].nin; i++) {
            uses += block->code[k].in[i] == reg;
        }
    }
    for (int o = 0; o < block->nout; o++) {
        uses += block->out_registers[o] == reg;
    }
    for (int s = 0; s < block->nsums; s++) {
        uses += block->sum_registers[s] == reg;
    }
    return uses;
}

/* The product that alone is added by the instruction, by number, or -1. */
static int
find_product(const StageBlock *block, const Instruction *sum)
{
    const DType dtype = (DType)sum->loop;
    if (sum->op != OP_add || !dtype_is_float(dtype) || sum->in[1] < VALUES ||
        uses_of(block, sum->in[1]) != 1) {
        return -1;
    }
    for (int k = 0; k < block->ncode; k++) {
        const Instruction *code = &block->code[k];
        if (code->out == sum->in[1]) {
            return code->op == OP_multiply && code->loop == dtype ? k : -1;
        }
    }
    return -1;
}

/* Products that are summed contract into the sums. */
static void
contract_sums(StageBlock *block)
{
    for (int k = 0; k < block->ncode && backend_cpu_has_fma(); k++) {
        Instruction *sum = &block->code[k];
        const int product = find_product(block, sum);
        if (product < 0) {
            continue;
        }
        const Instruction factors = block->code[product];
        sum->op = OP_fma;
        sum->nin = 3;
        sum->in[2] = sum->in[0];
        sum->in[0] = factors.in[0];
        sum->in[1] = factors.in[1];
        memmove(&block->code[product], &block->code[product + 1],
                (size_t)(block->ncode - product - 1) * sizeof *block->code);
        block->ncode--;
        k--;
    }
}

static Status
finish_block(StageBuild *b, StageBlock *block)
{
    for (int m = 0; m < block->nmade; m++) {
        const int32_t at = block->made[m];
        if (b->done[at] == 2 && read_elsewhere(b, at)) {
            TileRef ref;
            memset(&ref, 0, sizeof ref);
            ref.at = stage_buffer_of(b, at);
            stage_space_contiguous(&block->space, ref.strides);
            if (ref.at < 0 || add_output(block, b->reg[at], &ref) != STATUS_OK) {
                return STATUS_ERROR;
            }
        }
    }
    contract_sums(block);
    for (int k = 0; k < block->ncode; k++) {
        block->code[k].out = final_register(block, block->code[k].out);
        for (int i = 0; i < block->code[k].nin; i++) {
            block->code[k].in[i] = final_register(block, block->code[k].in[i]);
        }
    }
    for (int o = 0; o < block->nout; o++) {
        block->out_registers[o] = final_register(block, block->out_registers[o]);
    }
    for (int s = 0; s < block->nsums; s++) {
        block->sum_registers[s] = final_register(block, block->sum_registers[s]);
    }
    return block->nout + block->nsums == 0 ? STATUS_OK : stage_add_block_steps(b, block);
}

Status
stage_add_block(StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    StageBlock block;
    memset(&block, 0, sizeof block);
    block.space = b->space[at];
    Status status = STATUS_OK;
    for (int32_t i = 0; i < g->count && status == STATUS_OK; i++) {
        if (!stage_is_member(b, i) || b->done[i] || !stage_in_block(b, i) || b->pushed[i] >= 0 ||
            stage_sums_buffer(b, i) || stage_moments_of(b, i) != NULL ||
            !stage_space_same(&b->space[i], &block.space) || !can_join(b, i)) {
            continue;
        }
        if (i != at && (block.ncode > BLOCK_VALUES / 2 || block.nin > BLOCK_INPUTS / 2 ||
                        block.nout > BLOCK_OUTPUTS / 2)) {
            continue;
        }
        if (b->roles.role[i] != ROLE_ELEMENTWISE) {
            status = add_reduction(b, &block, i);
        } else if (b->reg[i] < 0) {
            status = compute(b, &block, i) < 0 ? STATUS_ERROR : STATUS_OK;
        }
        b->done[i] = 2; /* by this block */
    }
    if (status == STATUS_OK) {
        status = finish_block(b, &block);
    }
    for (int m = 0; m < block.nmade; m++) {
        b->reg[block.made[m]] = -1;
    }
    for (int32_t i = 0; i < g->count; i++) {
        b->done[i] = b->done[i] == 2 ? 1 : b->done[i];
    }
    return status;
}
