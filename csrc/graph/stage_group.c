/* graph/stage_group.c -- blocks: the elementwise members over one inner space, with their
 * reductions, as one straight-line program whose values stay in registers. */
#include "graph/stage_build.h"

#include <string.h>

enum {
    AGAIN_ELEMENTS = 1024,   /* longer values are computed again, not buffered */
    LASTING_ELEMENTS = 64,   /* sums over rows up to this size are kept by lane */
    BLOCK_VALUES = 150,
    BLOCK_INPUTS = 100,
    BLOCK_OUTPUTS = 100,
    VALUES = 1 << 14         /* registers of values while inputs are still being found */
};

typedef struct Block {
    int ndim;
    int64_t shape[TILE_NDIM];
    TileRef in[BLOCK_INPUTS], out[BLOCK_OUTPUTS], sums[PROGRAM_MAX_SUMS];
    Instruction code[BLOCK_VALUES];
    uint16_t out_registers[BLOCK_OUTPUTS], sum_registers[PROGRAM_MAX_SUMS];
    int32_t made[BLOCK_VALUES]; /* places whose registers are in b->reg */
    int nin, nout, nsums, ncode, nmade;
} Block;

/* ---- spaces ---- */

/* The node whose axes are the space in which a member runs, and its row axis. */
static const Node *
space_node(const StageBuild *b, int32_t at, int *row)
{
    if (b->roles.role[at] == ROLE_ELEMENTWISE) {
        *row = b->roles.row[at];
        return b->g->nodes[at];
    }
    const int32_t input = plan_graph_input(b->g, at, 0);
    *row = b->roles.row[input];
    return b->g->nodes[input];
}

static int
space_of(const StageBuild *b, int32_t at, int *axes, int64_t *shape)
{
    int row;
    const Node *node = space_node(b, at, &row);
    const int n = stage_space(node, row, axes);
    for (int d = 0; d < n; d++) {
        shape[d] = node->shape[axes[d]];
    }
    return n;
}

int64_t
stage_block_volume(const StageBuild *b, int32_t at)
{
    int row;
    const Node *node = space_node(b, at, &row);
    return node->size / b->roles.rows;
}

static bool
same_space(const StageBuild *b, int32_t at, const Block *block, int *axes)
{
    int64_t shape[TILE_NDIM];
    return space_of(b, at, axes, shape) == block->ndim &&
           memcmp(shape, block->shape, (size_t)block->ndim * sizeof(int64_t)) == 0;
}

/* Is the operand the whole root, element for element? */
static bool
is_whole(const StageBuild *b, const StageOperand *operand, int ndim, const int64_t *shape)
{
    const Node *root = b->g->nodes[operand->root];
    int64_t count = 1;
    if (operand->reading != READ_LANES || operand->offset != 0) {
        return false;
    }
    for (int d = ndim - 1; d >= 0; d--) {
        if (operand->strides[d] != count) {
            return false;
        }
        count *= shape[d];
    }
    return count == root->size / b->roles.rows;
}

/* ---- which values are computed again ---- */

static bool
operands_allow_again(const StageBuild *b, int32_t at, int naxes, const int *axes,
                     const int64_t *shape)
{
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        StageOperand operand;
        stage_operand(b, at, k, naxes, axes, &operand);
        if (operand.reading == READ_LANES && b->again[operand.root] &&
            !is_whole(b, &operand, naxes, shape)) {
            return false;
        }
    }
    return true;
}

/* A value that somebody reads otherwise than element for element needs its buffer. */
static bool
reads_whole(const StageBuild *b, int32_t at, int k)
{
    int axes[TILE_NDIM];
    int64_t shape[TILE_NDIM];
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
    const int n = space_of(b, at, axes, shape);
    stage_operand(b, at, k, n, axes, &operand);
    return is_whole(b, &operand, n, shape);
}

void
stage_find_again(StageBuild *b)
{
    const PlanGraph *g = b->g;
    for (int32_t i = 0; i < g->count; i++) {
        int axes[TILE_NDIM];
        int64_t shape[TILE_NDIM];
        if (!stage_is_member(b, i) || b->roles.role[i] != ROLE_ELEMENTWISE ||
            stage_block_volume(b, i) <= AGAIN_ELEMENTS) {
            continue;
        }
        const int n = space_of(b, i, axes, shape);
        b->again[i] = operands_allow_again(b, i, n, axes, shape);
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
    int axes[TILE_NDIM];
    int64_t shape[TILE_NDIM];
    const int n = space_of(b, at, axes, shape);
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        StageOperand operand;
        stage_operand(b, at, k, n, axes, &operand);
        if (operand.reading != READ_LANES) {
            continue;
        }
        const bool inside = b->reg[operand.root] >= 0 && is_whole(b, &operand, n, shape);
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
add_input(Block *block, const TileRef *ref)
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

static int compute(StageBuild *b, Block *block, int32_t at);

/* The register that holds an operand, or -1 with the error set. */
static int
operand_register(StageBuild *b, Block *block, int32_t at, int k, const int *axes)
{
    StageOperand operand;
    TileRef ref;
    stage_operand(b, at, k, block->ndim, axes, &operand);
    if (operand.reading == READ_LANES && is_whole(b, &operand, block->ndim, block->shape)) {
        if (b->reg[operand.root] >= 0) {
            return b->reg[operand.root];
        }
        if (b->again[operand.root]) {
            return compute(b, block, operand.root);
        }
    }
    memset(&ref, 0, sizeof ref);
    if (operand.reading == READ_SHARED) {
        ref.is_view = true;
        ref.at = stage_view(b, &operand, block->ndim, block->shape, true);
        if (ref.at < 0) {
            return -1;
        }
        for (int d = 0; d < block->ndim; d++) {
            ref.strides[d] = operand.strides[d] != 0;
        }
    } else if (stage_lanes(b, &operand, block->ndim, block->shape, &ref) != STATUS_OK) {
        return -1;
    }
    return add_input(block, &ref);
}

static int
add_instruction(Block *block, int op, DType loop, DType dtype, int nin, const int *in)
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
compute(StageBuild *b, Block *block, int32_t at)
{
    const Node *node = b->g->nodes[at];
    int in[3], axes[TILE_NDIM];
    stage_space(node, b->roles.row[at], axes);
    for (int k = 0; k < node->nin; k++) {
        in[k] = operand_register(b, block, at, k, axes);
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
add_output(Block *block, int reg, const TileRef *ref)
{
    if (block->nout == BLOCK_OUTPUTS) {
        return too_large();
    }
    block->out[block->nout] = *ref;
    block->out_registers[block->nout++] = (uint16_t)reg;
    return STATUS_OK;
}

/* The strides of a reduction's result over the space of what it reduces. */
static void
result_strides(const StageBuild *b, int32_t at, const Block *block, const int *axes,
               int64_t *strides)
{
    const Node *node = b->g->nodes[at];
    bool reduced[ARRAY_MAX_NDIM] = {false};
    int64_t stride = 1;
    for (int r = 0; r < node->params[1]; r++) {
        reduced[node->params[2 + r]] = true;
    }
    for (int d = block->ndim - 1; d >= 0; d--) {
        strides[d] = reduced[axes[d]] ? 0 : stride;
        stride *= reduced[axes[d]] ? 1 : block->shape[d];
    }
}

static int
joining_op(int op)
{
    return op == OP_reduce_max ? OP_maximum : op == OP_reduce_min ? OP_minimum : OP_add;
}

/* The reduction into lanes: buffer = buffer joined with the value. */
static Status
reduce_into(StageBuild *b, Block *block, int32_t at, int value, int buffer, const int *axes)
{
    const Node *node = b->g->nodes[at];
    TileRef ref;
    memset(&ref, 0, sizeof ref);
    ref.at = buffer;
    result_strides(b, at, block, axes, ref.strides);
    const int old = add_input(block, &ref);
    if (old < 0) {
        return STATUS_ERROR;
    }
    const int joined = add_instruction(block, joining_op(node->op), (DType)node->dtype,
                                       (DType)node->dtype, 2, (int[]){old, value});
    return joined < 0 ? STATUS_ERROR : add_output(block, joined, &ref);
}

static Status
add_reduction(StageBuild *b, Block *block, int32_t at)
{
    const Node *node = b->g->nodes[at];
    int axes[TILE_NDIM];
    int64_t shape[TILE_NDIM];
    space_of(b, at, axes, shape);
    const int value = operand_register(b, block, at, 0, axes);
    if (value < 0) {
        return STATUS_ERROR;
    }
    if (b->roles.role[at] == ROLE_REDUCE) {
        const int buffer = stage_buffer_of(b, at);
        const TileRef ref = {.at = buffer};
        const TileStep fill = {.kind = TILE_FILL, .op = (OpCode)node->op, .nout = 1, .out = &ref};
        return buffer < 0 || stage_add_step(b, &fill) != STATUS_OK
                   ? STATUS_ERROR
                   : reduce_into(b, block, at, value, buffer, axes);
    }
    if (node->op != OP_sum || node->size <= LASTING_ELEMENTS ||
        block->nsums == PROGRAM_MAX_SUMS) {
        const int buffer = stage_add_buffer(b, (DType)node->dtype, node->size, true);
        return buffer < 0 || stage_add_sum(b, at, buffer) < 0
                   ? STATUS_ERROR
                   : reduce_into(b, block, at, value, buffer, axes);
    }
    TileRef *ref = &block->sums[block->nsums];
    memset(ref, 0, sizeof *ref);
    ref->at = stage_add_sum(b, at, -1);
    result_strides(b, at, block, axes, ref->strides);
    block->sum_registers[block->nsums++] = (uint16_t)value;
    return ref->at < 0 ? STATUS_ERROR : STATUS_OK;
}

/* ---- the block ---- */

/* Registers of values follow those of inputs. */
static uint16_t
final_register(const Block *block, int reg)
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
    for (int32_t i = at + 1; i < g->count; i++) {
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            if (plan_graph_input(g, i, k) != at) {
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

static Status
finish_block(StageBuild *b, Block *block)
{
    for (int m = 0; m < block->nmade; m++) {
        const int32_t at = block->made[m];
        if (b->done[at] == 2 && read_elsewhere(b, at)) {
            const Node *node = b->g->nodes[at];
            int axes[TILE_NDIM];
            TileRef ref;
            memset(&ref, 0, sizeof ref);
            ref.at = stage_buffer_of(b, at);
            const int n = stage_space(node, b->roles.row[at], axes);
            stage_inner_strides(node, b->roles.row[at], n, axes, ref.strides);
            if (ref.at < 0 || add_output(block, b->reg[at], &ref) != STATUS_OK) {
                return STATUS_ERROR;
            }
        }
    }
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
    if (block->nout + block->nsums == 0) {
        return STATUS_OK;
    }
    TileStep step = {.kind = TILE_BLOCK,
                     .ndim = block->ndim,
                     .nin = block->nin,
                     .nout = block->nout,
                     .in = block->in,
                     .out = block->out,
                     .ninstructions = block->ncode,
                     .instructions = block->code,
                     .out_registers = block->out_registers,
                     .nsums = block->nsums,
                     .sum_registers = block->sum_registers,
                     .block_sums = block->sums};
    memcpy(step.shape, block->shape, sizeof step.shape);
    return stage_add_step(b, &step);
}

Status
stage_add_block(StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    Block block;
    int axes[TILE_NDIM];
    memset(&block, 0, sizeof block);
    block.ndim = space_of(b, at, axes, block.shape);
    Status status = STATUS_OK;
    for (int32_t i = 0; i < g->count && status == STATUS_OK; i++) {
        if (!stage_is_member(b, i) || b->done[i] || !stage_in_block(b, i) || b->pushed[i] >= 0 ||
            !same_space(b, i, &block, axes) || !can_join(b, i)) {
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
