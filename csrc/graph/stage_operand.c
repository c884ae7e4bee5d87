/* graph/stage_operand.c -- what members of a stage read, the buffers and views behind it, and
 * steps as they are kept. */
#include "base/mem.h"
#include "graph/stage_build.h"

#include <string.h>

int
stage_space(const Node *node, int row, int *axes)
{
    int n = 0;
    for (int d = 0; d < node->ndim; d++) {
        if (d != row && node->shape[d] != 1) {
            axes[n++] = d;
        }
    }
    return n;
}

void
stage_inner_strides(const Node *node, int row, int naxes, const int *axes, int64_t *strides)
{
    int64_t own[ARRAY_MAX_NDIM], stride = 1;
    for (int d = node->ndim - 1; d >= 0; d--) {
        own[d] = d == row ? 0 : stride;
        stride *= d == row ? 1 : node->shape[d];
    }
    for (int d = 0; d < naxes; d++) {
        strides[d] = own[axes[d]];
    }
}

void
stage_operand(const StageBuild *b, int32_t at, int k, int naxes, const int *axes,
              StageOperand *operand)
{
    const int32_t input = plan_graph_input(b->g, at, k);
    const Node *node = b->g->nodes[input];
    const int row = stage_operand_row(&b->roles, at, k);
    int64_t strides[ARRAY_MAX_NDIM];
    StageMap map;
    memset(operand, 0, sizeof *operand);
    stage_resolve(&b->roles, input, &map);
    operand->root = map.root;
    if (stage_is_member(b, map.root) && stage_role_is_row_wise(b->roles.role[map.root]) &&
        stage_row_aligned(&b->roles, &map, row, &operand->offset, strides)) {
        operand->reading = READ_LANES;
    } else {
        memcpy(strides, map.geometry + 2 + node->ndim, (size_t)node->ndim * sizeof(int64_t));
        operand->offset = map.geometry[0];
        operand->row_stride = row >= 0 ? strides[row] : 0;
        operand->reading = operand->row_stride != 0 ? READ_ROWS : READ_SHARED;
    }
    for (int d = 0; d < naxes; d++) {
        operand->strides[d] = axes[d] < 0 || node->shape[axes[d]] == 1 ? 0 : strides[axes[d]];
    }
}

static int
add_stage_input(Stage *stage, int32_t place)
{
    for (int i = 0; i < stage->inputs.size; i++) {
        if (stage->inputs.data[i] == place) {
            return i;
        }
    }
    return vec_push(&stage->inputs, place) == STATUS_OK ? (int)stage->inputs.size - 1 : -1;
}

static int
add_view(StageBuild *b, const StageView *view, DType dtype, bool shared)
{
    Stage *stage = b->stage;
    TileView tile = {.dtype = dtype, .shared = shared, .ndim = view->ndim};
    memcpy(tile.shape, view->shape, sizeof tile.shape);
    if (vec_push(&stage->views, *view) != STATUS_OK ||
        vec_push(&stage->tile_views, tile) != STATUS_OK || vec_push(&b->loaded, -1) != STATUS_OK ||
        vec_push(&b->buffered, false) != STATUS_OK) {
        return -1;
    }
    return (int)stage->views.size - 1;
}

int
stage_view(StageBuild *b, const StageOperand *operand, int naxes, const int64_t *shape,
           bool keep_repeats)
{
    Stage *stage = b->stage;
    StageView view;
    memset(&view, 0, sizeof view);
    view.input = add_stage_input(stage, operand->root);
    if (view.input < 0) {
        return -1;
    }
    view.offset = operand->offset;
    view.row_stride = operand->row_stride;
    for (int d = 0; d < naxes; d++) {
        if (keep_repeats || (shape[d] != 1 && operand->strides[d] != 0)) {
            view.shape[view.ndim] = shape[d];
            view.strides[view.ndim++] = operand->strides[d];
        }
    }
    for (int v = 0; v < stage->views.size; v++) {
        if (memcmp(&stage->views.data[v], &view, sizeof view) == 0) {
            return v;
        }
    }
    return add_view(b, &view, (DType)b->g->nodes[operand->root]->dtype,
                    operand->reading == READ_SHARED);
}

int
stage_own_view(StageBuild *b, int64_t count)
{
    StageView view;
    memset(&view, 0, sizeof view);
    view.input = -1;
    view.ndim = 1;
    view.shape[0] = count;
    view.strides[0] = 1;
    return add_view(b, &view, DT_f64, true);
}

int
stage_add_buffer(StageBuild *b, DType dtype, int64_t count, bool lasts)
{
    const TileBuffer buffer = {dtype, lasts, b->line > 0 && count == b->line, count};
    return vec_push(&b->stage->buffers, buffer) == STATUS_OK ? (int)b->stage->buffers.size - 1
                                                             : -1;
}

int
stage_buffer_of(StageBuild *b, int32_t at)
{
    if (b->buffer[at] < 0) {
        const Node *node = b->g->nodes[at];
        b->buffer[at] =
            stage_add_buffer(b, (DType)node->dtype, node->size / b->roles.rows, false);
    }
    return b->buffer[at];
}

int
stage_add_sum(StageBuild *b, int32_t at, int buffer)
{
    const Node *node = b->g->nodes[at];
    const TileSum sum = {.dtype = (DType)node->dtype,
                         .op = node->op == OP_reduce_max || node->op == OP_reduce_min
                                   ? (OpCode)node->op
                                   : OP_sum,
                         .count = node->size,
                         .buffer = buffer,
                         .output = at};
    return vec_push(&b->stage->sums, sum) == STATUS_OK ? (int)b->stage->sums.size - 1 : -1;
}

Status
stage_lanes(StageBuild *b, const StageOperand *operand, int naxes, const int64_t *shape,
            TileRef *ref)
{
    ref->is_view = false;
    if (operand->reading == READ_LANES) {
        ref->at = b->buffer[operand->root];
        ref->offset = operand->offset;
        memcpy(ref->strides, operand->strides, sizeof ref->strides);
        return ref->at >= 0 ? STATUS_OK : err_set(ERR_RUNTIME, "stage: a value is not there");
    }
    const int v = stage_view(b, operand, naxes, shape, false);
    if (v < 0) {
        return STATUS_ERROR;
    }
    int64_t stride = 1;
    for (int d = naxes - 1; d >= 0; d--) {
        const bool kept = shape[d] != 1 && operand->strides[d] != 0;
        ref->strides[d] = kept ? stride : 0;
        stride *= kept ? shape[d] : 1;
    }
    if (b->loaded.data[v] < 0) {
        const TileView *view = &b->stage->tile_views.data[v];
        const int buffer = stage_add_buffer(b, view->dtype, stride, false);
        const TileRef from = {.is_view = true, .at = v}, to = {.at = buffer};
        TileStep step = {.kind = TILE_LOAD,
                         .ndim = view->ndim,
                         .nin = 1,
                         .nout = 1,
                         .in = &from,
                         .out = &to};
        memcpy(step.shape, view->shape, sizeof step.shape);
        if (buffer < 0 || stage_add_step(b, &step) != STATUS_OK) {
            return STATUS_ERROR;
        }
        b->loaded.data[v] = buffer;
    }
    ref->at = b->loaded.data[v];
    return STATUS_OK;
}

/* ---- steps ---- */

static void *
copy_array(const void *from, int64_t count, size_t size, Status *status)
{
    if (count == 0 || *status != STATUS_OK) {
        return NULL;
    }
    void *copy = mem_new((size_t)count * size);
    if (copy == NULL) {
        *status = STATUS_ERROR;
        return NULL;
    }
    memcpy(copy, from, (size_t)count * size);
    return copy;
}

void
stage_step_fini(const TileStep *s)
{
    mem_free((void *)s->in, (size_t)s->nin * sizeof(TileRef));
    mem_free((void *)s->out, (size_t)s->nout * sizeof(TileRef));
    mem_free((void *)s->instructions, (size_t)s->ninstructions * sizeof(Instruction));
    mem_free((void *)s->out_registers, (size_t)s->nout * sizeof(uint16_t));
    mem_free((void *)s->sum_registers, (size_t)s->nsums * sizeof(uint16_t));
    mem_free((void *)s->block_sums, (size_t)s->nsums * sizeof(TileRef));
}

Status
stage_add_step(StageBuild *b, const TileStep *step)
{
    TileStep s = *step;
    const bool block = s.kind == TILE_BLOCK || s.kind == TILE_LINE;
    Status status = STATUS_OK;
    s.in = copy_array(step->in, s.nin, sizeof(TileRef), &status);
    s.out = copy_array(step->out, s.nout, sizeof(TileRef), &status);
    s.instructions = copy_array(step->instructions, s.ninstructions, sizeof(Instruction), &status);
    s.out_registers =
        copy_array(step->out_registers, block ? s.nout : 0, sizeof(uint16_t), &status);
    s.sum_registers = copy_array(step->sum_registers, s.nsums, sizeof(uint16_t), &status);
    s.block_sums = copy_array(step->block_sums, s.nsums, sizeof(TileRef), &status);
    if (status == STATUS_OK) {
        status = vec_push(&b->stage->steps, s);
    }
    if (status != STATUS_OK) {
        stage_step_fini(&s);
    }
    return status;
}

/* ---- indices ---- */

Status
stage_add_gather(StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    const Node *node = g->nodes[at], *table = g->nodes[plan_graph_input(g, at, 0)];
    StageOperand index, rows;
    TileRef in[2], out;
    int axes[TILE_NDIM + 1];
    int64_t shape[TILE_NDIM + 1];
    const int n = table->ndim - 1;
    memset(in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    for (int d = 0; d < n; d++) {
        axes[d] = d + 1;
        shape[d] = table->shape[d + 1];
    }
    axes[n] = 0;
    shape[n] = table->shape[0];
    stage_operand(b, at, 1, 0, NULL, &index);
    stage_operand(b, at, 0, n + 1, axes, &rows);
    in[0].is_view = in[1].is_view = true;
    in[0].at = stage_view(b, &index, 0, NULL, false);
    in[1].at = stage_view(b, &rows, n + 1, shape, true);
    out.at = stage_buffer_of(b, at);
    TileStep step = {.kind = TILE_GATHER,
                     .ndim = n,
                     .ni = table->shape[0],
                     .nin = 2,
                     .nout = 1,
                     .in = in,
                     .out = &out};
    memcpy(step.shape, shape, (size_t)n * sizeof(int64_t));
    (void)node;
    return in[0].at < 0 || in[1].at < 0 || out.at < 0 ? STATUS_ERROR : stage_add_step(b, &step);
}

Status
stage_add_scatter(StageBuild *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    StageOperand index, value;
    TileRef in[2];
    int axes[TILE_NDIM];
    int64_t shape[TILE_NDIM];
    const int n = node->ndim - 1;
    memset(in, 0, sizeof in);
    for (int d = 0; d < n; d++) {
        axes[d] = d + 1;
        shape[d] = node->shape[d + 1];
    }
    stage_operand(b, at, 2, 0, NULL, &index);
    stage_operand(b, at, 1, n, axes, &value);
    in[0].is_view = true;
    in[0].at = stage_view(b, &index, 0, NULL, false);
    if (in[0].at < 0 || stage_lanes(b, &value, n, shape, &in[1]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    TileStep step = {.kind = TILE_SCATTER,
                     .ndim = n,
                     .ni = node->shape[0],
                     .to = stage_add_sum(b, at, -1),
                     .nin = 2,
                     .in = in};
    memcpy(step.shape, shape, (size_t)n * sizeof(int64_t));
    return step.to < 0 ? STATUS_ERROR : stage_add_step(b, &step);
}
