/* graph/stage_compile.c -- the program of a stage: its members as steps over a tile.
 *
 * Members run when their operands are there, those over small spaces first, so that blocks over
 * large spaces hold as much as can be held in registers. */
#include "graph/stage_build.h"

#include "base/mem.h"

#include <string.h>

enum { ROW_SIDE = 4 }; /* vectors that rows are multiplied with where they lie */

/* ---- operands ---- */

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
    stage_resolve(b->g, input, &map);
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
    TileView tile = {.dtype = (DType)b->g->nodes[operand->root]->dtype,
                     .shared = operand->reading == READ_SHARED,
                     .ndim = view.ndim};
    memcpy(tile.shape, view.shape, sizeof tile.shape);
    if (vec_push(&stage->views, view) != STATUS_OK ||
        vec_push(&stage->tile_views, tile) != STATUS_OK || vec_push(&b->loaded, -1) != STATUS_OK ||
        vec_push(&b->buffered, false) != STATUS_OK) {
        return -1;
    }
    return (int)stage->views.size - 1;
}

int
stage_add_buffer(StageBuild *b, DType dtype, int64_t count, bool lasts)
{
    const TileBuffer buffer = {dtype, lasts, count};
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

static void
step_fini(const TileStep *s)
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
    const bool block = s.kind == TILE_BLOCK;
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
        step_fini(&s);
    }
    return status;
}

/* ---- products ---- */

/* A product as loops over `ndim` axes of the result around i and j. */
typedef struct Product {
    int ndim, loops[TILE_NDIM + 2];   /* axes of the result */
    int axes[2][TILE_NDIM + 2];       /* of the operands: loops, then i or j, or both */
    int naxes[2];
    int64_t shape[TILE_NDIM + 2];     /* loops, i, j */
    int rows;                         /* the row-wise operand of a map */
} Product;

static void
product_of(const StageBuild *b, int32_t at, Product *p)
{
    const PlanGraph *g = b->g;
    const Node *out = g->nodes[at], *a = g->nodes[plan_graph_input(g, at, 0)],
               *c = g->nodes[plan_graph_input(g, at, 1)];
    const int nd = out->ndim, row = b->roles.row[at];
    const bool outer = b->roles.role[at] == ROLE_OUTER;
    p->rows = outer || stage_operand_row(&b->roles, at, 0) >= 0 ? 0 : 1;
    const int i_axis = outer ? -1 : p->rows == 0 ? nd - 1 : nd - 2;
    const int limit = outer ? nd - 2 : nd;
    p->ndim = 0;
    for (int d = 0; d < limit; d++) {
        if (d == row || d == i_axis) {
            continue;
        }
        p->loops[p->ndim] = d;
        p->shape[p->ndim] = out->shape[d];
        p->axes[0][p->ndim] = d == nd - 1 ? -1 : d - (nd - a->ndim);
        p->axes[1][p->ndim] = d == nd - 2 ? -1 : d - (nd - c->ndim);
        for (int k = 0; k < 2; k++) {
            p->axes[k][p->ndim] = p->axes[k][p->ndim] < 0 ? -1 : p->axes[k][p->ndim];
        }
        p->ndim++;
    }
    const int n = p->ndim;
    if (outer) {
        p->axes[0][n] = a->ndim - 2;
        p->axes[1][n] = c->ndim - 1;
        p->naxes[0] = p->naxes[1] = n + 1;
        p->shape[n] = out->shape[nd - 2];
        p->shape[n + 1] = out->shape[nd - 1];
        return;
    }
    const int s = 1 - p->rows; /* the shared one */
    p->axes[p->rows][n] = p->rows == 0 ? a->ndim - 1 : c->ndim - 2;
    p->axes[s][n] = s == 1 ? c->ndim - 1 : a->ndim - 2;
    p->axes[s][n + 1] = s == 1 ? c->ndim - 2 : a->ndim - 1;
    p->naxes[p->rows] = n + 1;
    p->naxes[s] = n + 2;
    p->shape[n] = out->shape[i_axis];
    p->shape[n + 1] = a->shape[a->ndim - 1];
}

/* The shape along the axes of one operand. */
static void
product_shape(const Product *p, int role, int k, int64_t *shape)
{
    const int n = p->ndim;
    memcpy(shape, p->shape, (size_t)(n + 2) * sizeof(int64_t));
    if (role == ROLE_OUTER) {
        shape[n] = p->shape[n + k];
    } else if (k == p->rows) {
        shape[n] = p->shape[n + 1];
    }
}

static bool
product_loops(const Product *p)
{
    for (int d = 0; d < p->ndim; d++) {
        if (p->shape[d] != 1) {
            return true;
        }
    }
    return false;
}

/* The operand of a product whose rows lie side by side, so that they are read there; or -1. */
static int
row_operand(const StageBuild *b, int32_t at, const Product *p)
{
    const int role = b->roles.role[at];
    for (int k = 0; k < 2 && !product_loops(p); k++) {
        StageOperand operand;
        const int64_t i = p->shape[p->ndim], j = p->shape[p->ndim + 1];
        const int64_t other = role == ROLE_MAP ? i : k == 0 ? j : i;
        const int64_t most = role == ROLE_OUTER && k == 0 ? 1 : ROW_SIDE;
        stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
        if ((role == ROLE_OUTER || k == p->rows) && operand.reading == READ_ROWS &&
            operand.strides[p->ndim] == 1 && other <= most) {
            return k;
        }
    }
    return -1;
}

static int
operand_view(StageBuild *b, int32_t at, const Product *p, int k)
{
    StageOperand operand;
    int64_t shape[TILE_NDIM + 2];
    stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
    product_shape(p, b->roles.role[at], k, shape);
    return stage_view(b, &operand, p->naxes[k], shape, false);
}

static Status
product_lanes(StageBuild *b, int32_t at, const Product *p, int k, TileRef *ref)
{
    StageOperand operand;
    int64_t shape[TILE_NDIM + 2];
    stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
    product_shape(p, b->roles.role[at], k, shape);
    memset(ref, 0, sizeof *ref);
    return stage_lanes(b, &operand, p->naxes[k], shape, ref);
}

static Status
add_map(StageBuild *b, int32_t at)
{
    Product p;
    TileRef in[2], out;
    StageOperand shared;
    product_of(b, at, &p);
    const int s = 1 - p.rows, n = p.ndim, row = row_operand(b, at, &p);
    memset(in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    int view = -1;
    if (row >= 0) {
        view = operand_view(b, at, &p, row);
        if (view < 0) {
            return STATUS_ERROR;
        }
    }
    const bool direct = view >= 0 && !b->buffered.data[view];
    if (direct) {
        in[0] = (TileRef){.is_view = true, .at = view};
    } else if (product_lanes(b, at, &p, p.rows, &in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    stage_operand(b, at, s, p.naxes[s], p.axes[s], &shared);
    in[1].is_view = true;
    in[1].at = stage_view(b, &shared, p.naxes[s], p.shape, true);
    out.at = stage_buffer_of(b, at);
    if (in[1].at < 0 || out.at < 0) {
        return STATUS_ERROR;
    }
    int axes[TILE_NDIM + 2];
    memcpy(axes, p.loops, (size_t)n * sizeof(int));
    axes[n] = p.rows == 0 ? b->g->nodes[at]->ndim - 1 : b->g->nodes[at]->ndim - 2;
    stage_inner_strides(b->g->nodes[at], b->roles.row[at], n + 1, axes, out.strides);
    TileStep step = {.kind = direct ? TILE_ROW_MAP : TILE_MAP,
                     .ndim = n,
                     .ni = p.shape[n],
                     .nj = p.shape[n + 1],
                     .nin = 2,
                     .nout = 1,
                     .in = in,
                     .out = &out};
    memcpy(step.shape, p.shape, (size_t)n * sizeof(int64_t));
    return stage_add_step(b, &step);
}

static Status
add_outer(StageBuild *b, int32_t at)
{
    Product p;
    TileRef in[2];
    product_of(b, at, &p);
    const int n = p.ndim, row = row_operand(b, at, &p);
    int view = -1;
    if (row >= 0) {
        view = operand_view(b, at, &p, row);
        if (view < 0) {
            return STATUS_ERROR;
        }
    }
    const bool direct = view >= 0 && !b->buffered.data[view];
    const int other = direct && row == 0 ? 1 : 0; /* that which comes first */
    if (product_lanes(b, at, &p, other, &in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (direct) {
        memset(&in[1], 0, sizeof in[1]);
        in[1].is_view = true;
        in[1].at = view;
    } else if (product_lanes(b, at, &p, 1, &in[1]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    TileStep step = {.kind = direct ? TILE_ROW_OUTER : TILE_OUTER,
                     .ndim = n,
                     .ni = p.shape[n + other],
                     .nj = p.shape[n + 1 - other],
                     .to = stage_add_sum(b, at, -1),
                     .nin = 2,
                     .in = in};
    memcpy(step.shape, p.shape, (size_t)n * sizeof(int64_t));
    return step.to < 0 ? STATUS_ERROR : stage_add_step(b, &step);
}

/* ---- sums over rows of products ---- */

/* The product that the sum over rows alone can be pushed through: nobody else reads it, and the
 * order of the sum is ours. */
static int32_t
pushable(const StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    const Node *node = g->nodes[at];
    StageMap map;
    if (b->roles.role[at] != ROLE_ROW_SUM || node->op != OP_sum || node->params[1] != 1 ||
        (node->flags & NODE_BACKWARD) == 0) {
        return -1;
    }
    int32_t place = plan_graph_input(g, at, 0);
    stage_resolve(g, place, &map);
    if (!stage_is_member(b, map.root) || b->roles.role[map.root] != ROLE_MAP ||
        g->nodes[place]->size != g->nodes[map.root]->size) {
        return -1;
    }
    for (;; place = plan_graph_input(g, place, 0)) {
        if (g->readers[place] != 1 || g->result[place]) {
            return -1;
        }
        if (place == map.root) {
            return map.root;
        }
    }
}

static void
find_pushed(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        b->pushed[i] = stage_is_member(b, i) ? pushable(b, i) : -1;
        if (b->pushed[i] >= 0) {
            b->done[b->pushed[i]] = 1; /* never computed */
        }
    }
}

static Status
add_pushed(StageBuild *b, int32_t at)
{
    const int32_t product = b->pushed[at];
    const Node *node = b->g->nodes[at];
    const int32_t input = plan_graph_input(b->g, at, 0);
    const Node *summed = b->g->nodes[input];
    Product p;
    TileRef ref;
    StageOperand shared;
    StageMap map;
    int64_t offset, own[ARRAY_MAX_NDIM], inner[TILE_NDIM + 2];
    int axes[TILE_NDIM + 2];
    product_of(b, product, &p);
    const int s = 1 - p.rows, n = p.ndim;
    if (product_lanes(b, product, &p, p.rows, &ref) != STATUS_OK) {
        return STATUS_ERROR;
    }
    stage_operand(b, product, s, p.naxes[s], p.axes[s], &shared);
    StagePush push = {.at = at, .ndim = n, .ni = p.shape[n], .nj = p.shape[n + 1]};
    push.single = node->dtype == DT_f32;
    push.view = stage_view(b, &shared, p.naxes[s], p.shape, true);
    push.sum = stage_add_sum(b, at, -1);
    if (push.view < 0 || push.sum < 0) {
        return STATUS_ERROR;
    }
    TileSum *sum = &b->stage->sums.data[push.sum];
    sum->output = -1;
    sum->count = push.nj;
    for (int d = 0; d < n; d++) {
        push.shape[d] = p.shape[d];
        sum->count *= p.shape[d];
    }
    b->stage->temporary_bytes += sum->count * dtype_size(sum->dtype);
    /* where the product's axes lie in the result: those of what is summed, back to its own */
    memcpy(axes, p.loops, (size_t)n * sizeof(int));
    axes[n] = p.rows == 0 ? b->g->nodes[product]->ndim - 1 : b->g->nodes[product]->ndim - 2;
    stage_inner_strides(b->g->nodes[product], b->roles.row[product], n + 1, axes, inner);
    stage_resolve(b->g, input, &map);
    if (!stage_row_aligned(&b->roles, &map, b->roles.row[input], &offset, own)) {
        return err_set(ERR_RUNTIME, "stage: a sum is not along its rows");
    }
    for (int k = 0; k <= n; k++) {
        int64_t stride = 1;
        for (int d = summed->ndim - 1; d >= 0; d--) {
            if (d == b->roles.row[input] || summed->shape[d] == 1) {
                continue;
            }
            if (p.shape[k] != 1 && own[d] == inner[k] && summed->shape[d] == p.shape[k]) {
                push.strides[k] = stride;
            }
            stride *= summed->shape[d];
        }
        if (p.shape[k] != 1 && push.strides[k] == 0) {
            return err_set(ERR_RUNTIME, "stage: a sum is of other axes");
        }
    }
    TileStep step = {
        .kind = TILE_SUM, .ndim = n, .nj = push.nj, .to = push.sum, .nin = 1, .in = &ref};
    memcpy(step.shape, p.shape, (size_t)n * sizeof(int64_t));
    return stage_add_step(b, &step) != STATUS_OK ? STATUS_ERROR
                                                 : vec_push(&b->stage->pushes, push);
}

/* Views that some step needs in a buffer are not read where they lie by others. */
static Status
find_buffered(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        const int role = b->roles.role[i];
        if (!stage_is_member(b, i) || (role != ROLE_MAP && role != ROLE_OUTER)) {
            continue;
        }
        Product p;
        product_of(b, i, &p);
        const int row = row_operand(b, i, &p);
        for (int k = 0; k < 2; k++) {
            StageOperand operand;
            stage_operand(b, i, k, p.naxes[k], p.axes[k], &operand);
            if (operand.reading == READ_ROWS && k != row) {
                const int view = operand_view(b, i, &p, k);
                if (view < 0) {
                    return STATUS_ERROR;
                }
                b->buffered.data[view] = true;
            }
        }
    }
    for (int32_t i = 0; i < b->g->count; i++) {
        for (int k = 0; stage_is_member(b, i) && stage_in_block(b, i) &&
                        k < plan_graph_nin(b->g, i);
             k++) {
            const int32_t input = plan_graph_input(b->g, i, k);
            const Node *node = b->g->nodes[input];
            int axes[TILE_NDIM];
            int64_t shape[TILE_NDIM];
            StageOperand operand;
            const int n = stage_space(node, stage_operand_row(&b->roles, i, k), axes);
            for (int d = 0; d < n; d++) {
                shape[d] = node->shape[axes[d]];
            }
            stage_operand(b, i, k, n, axes, &operand);
            if (operand.reading == READ_ROWS) {
                const int view = stage_view(b, &operand, n, shape, false);
                if (view < 0) {
                    return STATUS_ERROR;
                }
                b->buffered.data[view] = true;
            }
        }
    }
    return STATUS_OK;
}

/* ---- indices ---- */

static Status
add_gather(StageBuild *b, int32_t at)
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

static Status
add_scatter(StageBuild *b, int32_t at)
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

/* ---- all members ---- */

/* Are the row-wise operands of a member that is no block in their buffers? */
static bool
is_ready(const StageBuild *b, int32_t at)
{
    const int32_t reader = b->pushed[at] >= 0 ? b->pushed[at] : at;
    if (stage_in_block(b, reader)) {
        return stage_block_ready(b, at);
    }
    for (int k = 0; k < plan_graph_nin(b->g, reader); k++) {
        StageMap map;
        stage_resolve(b->g, plan_graph_input(b->g, reader, k), &map);
        if (stage_is_member(b, map.root) && !b->done[map.root]) {
            return false;
        }
    }
    return true;
}

static int64_t
volume_of(const StageBuild *b, int32_t at)
{
    if (stage_in_block(b, at)) {
        return stage_block_volume(b, at);
    }
    const Node *node = b->g->nodes[at];
    return stage_role_is_row_wise(b->roles.role[at]) ? node->size / b->roles.rows : 0;
}

static Status
add_member(StageBuild *b, int32_t at)
{
    switch (b->roles.role[at]) {
    case ROLE_ROW_SUM:
        return add_pushed(b, at);
    case ROLE_MAP:
        return add_map(b, at);
    case ROLE_OUTER:
        return add_outer(b, at);
    case ROLE_GATHER:
        return add_gather(b, at);
    default:
        return add_scatter(b, at);
    }
}

static Status
add_members(StageBuild *b)
{
    for (;;) {
        int32_t best = -1;
        for (int32_t i = 0; i < b->g->count; i++) {
            if (stage_is_member(b, i) && b->roles.role[i] != ROLE_ALIAS && !b->done[i] &&
                (best < 0 || volume_of(b, i) < volume_of(b, best)) && is_ready(b, i)) {
                best = i;
            }
        }
        if (best < 0) {
            return STATUS_OK;
        }
        const bool block = stage_in_block(b, best) && b->pushed[best] < 0;
        if ((block ? stage_add_block(b, best) : add_member(b, best)) != STATUS_OK) {
            return STATUS_ERROR;
        }
        b->done[best] = 1;
    }
}

/* ---- results ---- */

static int64_t
bytes_of(const Node *node)
{
    return node->size * dtype_size((DType)node->dtype);
}

static bool
is_output(const StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    if (g->result[at]) {
        return true;
    }
    int32_t inside = 0;
    for (int32_t i = at + 1; i < g->count; i++) {
        for (int k = 0; k < plan_graph_nin(g, i) && b->stage_of[i] == b->number; k++) {
            inside += plan_graph_input(g, i, k) == at;
        }
    }
    return inside < g->readers[at];
}

static Status
add_store(StageBuild *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    const int row = b->roles.row[at];
    int64_t offset, strides[ARRAY_MAX_NDIM];
    int axes[TILE_NDIM];
    StageMap map;
    TileRef ref;
    TileOut out = {.dtype = (DType)node->dtype, .outer = 1, .inner = 1};
    memset(&ref, 0, sizeof ref);
    stage_resolve(b->g, at, &map);
    if (!stage_row_aligned(&b->roles, &map, row, &offset, strides) || b->buffer[map.root] < 0) {
        return err_set(ERR_RUNTIME, "stage: a result is not there");
    }
    ref.at = b->buffer[map.root];
    ref.offset = offset;
    TileStep step = {.kind = TILE_STORE, .nin = 1, .in = &ref};
    step.ndim = stage_space(node, row, axes);
    for (int d = 0; d < step.ndim; d++) {
        step.shape[d] = node->shape[axes[d]];
        ref.strides[d] = strides[axes[d]];
    }
    for (int d = 0; d < node->ndim; d++) {
        *(d < row ? &out.outer : &out.inner) *= d == row ? 1 : node->shape[d];
    }
    step.to = (int)b->stage->outs.size;
    if (vec_push(&b->stage->outs, out) != STATUS_OK ||
        vec_push(&b->stage->outputs, at) != STATUS_OK ||
        vec_push(&b->stage->sizes, bytes_of(node)) != STATUS_OK) {
        return STATUS_ERROR;
    }
    return stage_add_step(b, &step);
}

static Status
add_results(StageBuild *b)
{
    Stage *stage = b->stage;
    for (int32_t i = 0; i < b->g->count; i++) {
        if (stage_is_member(b, i) && stage_role_is_row_wise(b->roles.role[i]) &&
            is_output(b, i) && add_store(b, i) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int s = 0; s < stage->sums.size; s++) {
        const int32_t at = stage->sums.data[s].output;
        if (at < 0) {
            continue;
        }
        stage->sums.data[s].output = (int)stage->outputs.size;
        if (vec_push(&stage->outputs, at) != STATUS_OK ||
            vec_push(&stage->sizes, bytes_of(b->g->nodes[at])) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int k = 0; k < stage->pushes.size; k++) {
        const int32_t at = stage->pushes.data[k].at;
        stage->pushes.data[k].at = (int32_t)stage->outputs.size;
        if (vec_push(&stage->outputs, at) != STATUS_OK ||
            vec_push(&stage->sizes, bytes_of(b->g->nodes[at])) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static void
find_cost(StageBuild *b)
{
    Stage *stage = b->stage;
    StageCost *cost = &stage->cost;
    cost->rows = b->roles.rows;
    for (int v = 0; v < stage->views.size; v++) {
        int64_t bytes = dtype_size(stage->tile_views.data[v].dtype);
        for (int d = 0; d < stage->views.data[v].ndim; d++) {
            bytes *= stage->views.data[v].strides[d] != 0 ? stage->views.data[v].shape[d] : 1;
        }
        cost->bytes_read += stage->views.data[v].row_stride != 0 ? bytes * cost->rows : bytes;
    }
    for (int o = 0; o < stage->sizes.size; o++) {
        cost->bytes_written += stage->sizes.data[o];
    }
    for (int32_t i = 0; i < b->g->count; i++) {
        const Node *node = b->g->nodes[i];
        const int64_t bytes = bytes_of(node);
        if (stage_is_member(b, i) && b->roles.role[i] != ROLE_ALIAS) {
            cost->nodes++;
            if (bytes > cost->largest_bytes && !is_output(b, i)) {
                cost->largest_bytes = bytes;
            }
        }
    }
}

/* ---- the stage ---- */

/* Under which class of axes are the stage's nodes members of one level? That of the most rows. */
static Status
find_roles(StageBuild *b, StageAxes *axes)
{
    const PlanGraph *g = b->g;
    int64_t most = 0;
    int32_t best = -1;
    int32_t *others = mem_new(((size_t)g->count + 1) * sizeof(int32_t));
    if (others == NULL) {
        return STATUS_ERROR;
    }
    for (int32_t i = 0; i < g->count; i++) {
        others[i] = b->stage_of[i] == b->number ? -1 : 0;
    }
    for (int32_t a = 0; a < axes->count; a++) {
        const int32_t owner = axes->owner[a];
        if (stage_axes_class(axes, a) != a || axes->size[a] < 2 ||
            g->nodes[owner]->shape[a - axes->first[owner]] <= most) {
            continue;
        }
        stage_roles_find(&b->roles, axes, a, others);
        bool fits = true, any = false;
        for (int32_t i = 0; i < g->count && fits; i++) {
            if (b->stage_of[i] == b->number) {
                const bool view = g->nodes[i]->op == OP_view || g->nodes[i]->op == OP_copy;
                any = any || b->roles.role[i] != ROLE_NONE;
                fits = b->roles.role[i] == ROLE_NONE ? view : b->roles.level[i] == 0;
            }
        }
        if (fits && any) {
            best = a;
            most = b->roles.rows;
        }
    }
    if (best >= 0) {
        stage_roles_find(&b->roles, axes, best, others);
    }
    mem_free(others, ((size_t)g->count + 1) * sizeof(int32_t));
    return best >= 0 ? STATUS_OK : err_set(ERR_RUNTIME, "stage: no axis to sweep");
}

static Status
finish_stage(StageBuild *b)
{
    Stage *s = b->stage;
    s->program = (TileProgram){.rows = b->roles.rows,
                               .nviews = (int)s->views.size,
                               .nbuffers = (int)s->buffers.size,
                               .nsums = (int)s->sums.size,
                               .nouts = (int)s->outs.size,
                               .nsteps = (int)s->steps.size,
                               .views = s->tile_views.data,
                               .buffers = s->buffers.data,
                               .sums = s->sums.data,
                               .outs = s->outs.data,
                               .steps = s->steps.data};
    s->memory = mem_new_zeroed(((size_t)s->views.size + 1) * sizeof(TileMemory));
    s->code = s->memory == NULL ? NULL : backend_cpu_tile_prepare(&s->program);
    if (s->code == NULL) {
        return STATUS_ERROR;
    }
    const TileCost cost = backend_cpu_tile_cost(s->code);
    s->cost.lanes = cost.lanes;
    s->cost.tile_bytes = cost.tile_bytes;
    s->cost.sum_bytes = cost.sum_bytes;
    return STATUS_OK;
}

static Status
build(StageBuild *b)
{
    StageAxes axes;
    if (stage_axes_init(&axes, b->g) != STATUS_OK) {
        return STATUS_ERROR;
    }
    Status status = find_roles(b, &axes);
    stage_axes_fini(&axes, b->g);
    if (status == STATUS_OK) {
        stage_find_again(b);
        find_pushed(b);
        status = find_buffered(b);
    }
    if (status == STATUS_OK) {
        status = add_members(b);
    }
    if (status == STATUS_OK) {
        status = add_results(b);
    }
    if (status == STATUS_OK) {
        find_cost(b);
        status = finish_stage(b);
    }
    return status;
}

Stage *
stage_compile(const PlanGraph *g, const int32_t *stage_of, int32_t number)
{
    const size_t n = (size_t)g->count + 1;
    StageBuild b = {.g = g, .stage_of = stage_of, .number = number};
    b.stage = mem_new_zeroed(sizeof *b.stage);
    b.buffer = mem_new(3 * n * sizeof(int32_t));
    b.done = mem_new_zeroed(2 * n);
    Status status = STATUS_ERROR;
    if (b.stage != NULL && b.buffer != NULL && b.done != NULL &&
        stage_roles_init(&b.roles, g) == STATUS_OK) {
        b.reg = b.buffer + n;
        b.pushed = b.reg + n;
        b.again = b.done + n;
        memset(b.buffer, -1, 3 * n * sizeof(int32_t));
        status = build(&b);
        stage_roles_fini(&b.roles);
    }
    vec_fini(&b.loaded);
    vec_fini(&b.buffered);
    mem_free(b.buffer, 3 * n * sizeof(int32_t));
    mem_free(b.done, 2 * n);
    if (status != STATUS_OK) {
        stage_free(b.stage);
        return NULL;
    }
    return b.stage;
}

void
stage_free(Stage *s)
{
    if (s == NULL) {
        return;
    }
    backend_cpu_tile_release(s->code);
    for (int64_t i = 0; i < s->steps.size; i++) {
        step_fini(&s->steps.data[i]);
    }
    mem_free(s->memory, ((size_t)s->views.size + 1) * sizeof(TileMemory));
    vec_fini(&s->inputs);
    vec_fini(&s->outputs);
    vec_fini(&s->sizes);
    vec_fini(&s->views);
    vec_fini(&s->tile_views);
    vec_fini(&s->buffers);
    vec_fini(&s->sums);
    vec_fini(&s->pushes);
    vec_fini(&s->outs);
    vec_fini(&s->steps);
    mem_free(s, sizeof *s);
}
