/* graph/stage_product.c -- products as steps of a stage: with a shared matrix, over rows, and sums
 * over rows that are pushed through them. */
#include "graph/stage_product.h"

#include <string.h>

enum { ROW_SIDE = 4 }; /* vectors that rows are multiplied with where they lie */

void
stage_product_of(const StageBuild *b, int32_t at, StageProduct *p)
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
product_shape(const StageProduct *p, int role, int k, int64_t *shape)
{
    const int n = p->ndim;
    memcpy(shape, p->shape, (size_t)(n + 2) * sizeof(int64_t));
    if (role == ROLE_OUTER) {
        shape[n] = p->shape[n + k];
    } else if (k == p->rows) {
        shape[n] = p->shape[n + 1];
    }
}

bool
stage_product_loops(const StageProduct *p)
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
row_operand(const StageBuild *b, int32_t at, const StageProduct *p)
{
    const int role = b->roles.role[at];
    for (int k = 0; k < 2 && !stage_product_loops(p); k++) {
        StageOperand operand;
        const int64_t i = p->shape[p->ndim], j = p->shape[p->ndim + 1];
        const int64_t other = role == ROLE_MAP ? i : k == 0 ? j : i;
        stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
        if ((role == ROLE_OUTER || k == p->rows) && operand.reading == READ_ROWS &&
            operand.strides[p->ndim] == 1 && other <= ROW_SIDE) {
            return k;
        }
    }
    return -1;
}

static int
operand_view(StageBuild *b, int32_t at, const StageProduct *p, int k)
{
    StageOperand operand;
    int64_t shape[TILE_NDIM + 2];
    stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
    product_shape(p, b->roles.role[at], k, shape);
    return stage_view(b, &operand, p->naxes[k], shape, false);
}

/* The view of the rows that the product reads where they lie, else -1: none do, or they are in a
 * buffer anyway. *row: which operand has them. */
static Status
direct_view(StageBuild *b, int32_t at, const StageProduct *p, int *row, int *view)
{
    *view = -1;
    *row = row_operand(b, at, p);
    if (*row < 0) {
        return STATUS_OK;
    }
    *view = operand_view(b, at, p, *row);
    if (*view < 0) {
        return STATUS_ERROR;
    }
    *view = b->buffered.data[*view] ? -1 : *view;
    return STATUS_OK;
}

Status
stage_product_lanes(StageBuild *b, int32_t at, const StageProduct *p, int k, TileRef *ref)
{
    StageOperand operand;
    int64_t shape[TILE_NDIM + 2];
    stage_operand(b, at, k, p->naxes[k], p->axes[k], &operand);
    product_shape(p, b->roles.role[at], k, shape);
    memset(ref, 0, sizeof *ref);
    return stage_lanes(b, &operand, p->naxes[k], shape, ref);
}

Status
stage_add_map(StageBuild *b, int32_t at)
{
    StageProduct p;
    TileRef in[2], out;
    StageOperand shared;
    stage_product_of(b, at, &p);
    const int s = 1 - p.rows, n = p.ndim;
    int row, view;
    memset(in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    if (direct_view(b, at, &p, &row, &view) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const bool direct = view >= 0;
    if (direct) {
        in[0] = (TileRef){.is_view = true, .at = view};
    } else if (stage_product_lanes(b, at, &p, p.rows, &in[0]) != STATUS_OK) {
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

Status
stage_add_outer(StageBuild *b, int32_t at)
{
    StageProduct p;
    TileRef in[2];
    stage_product_of(b, at, &p);
    const int n = p.ndim;
    int row, view;
    if (direct_view(b, at, &p, &row, &view) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const bool direct = view >= 0;
    const int other = direct && row == 0 ? 1 : 0; /* that which comes first */
    if (stage_product_lanes(b, at, &p, other, &in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (direct) {
        in[1] = (TileRef){.is_view = true, .at = view};
    } else if (stage_product_lanes(b, at, &p, 1, &in[1]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    TileStep step = {.kind = direct ? TILE_ROW_OUTER : TILE_OUTER,
                     .ndim = n,
                     .ni = p.shape[n + other],
                     .nj = p.shape[n + 1 - other],
                     .turned = other == 1,
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
    stage_resolve(&b->roles, place, &map);
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

void
stage_find_pushed(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        b->pushed[i] = stage_is_member(b, i) ? pushable(b, i) : -1;
        if (b->pushed[i] >= 0) {
            b->done[b->pushed[i]] = 1; /* never computed */
        }
    }
}

Status
stage_add_pushed(StageBuild *b, int32_t at)
{
    const int32_t product = b->pushed[at];
    const Node *node = b->g->nodes[at];
    const int32_t input = plan_graph_input(b->g, at, 0);
    const Node *summed = b->g->nodes[input];
    StageProduct p;
    TileRef ref;
    StageOperand shared;
    StageMap map;
    int64_t offset, own[ARRAY_MAX_NDIM], inner[TILE_NDIM + 2];
    int axes[TILE_NDIM + 2];
    stage_product_of(b, product, &p);
    const int s = 1 - p.rows, n = p.ndim;
    if (stage_product_lanes(b, product, &p, p.rows, &ref) != STATUS_OK) {
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
    b->stage->temporary_bytes += stage_temporary_bytes(sum);
    /* where the product's axes lie in the result: those of what is summed, back to its own */
    memcpy(axes, p.loops, (size_t)n * sizeof(int));
    axes[n] = p.rows == 0 ? b->g->nodes[product]->ndim - 1 : b->g->nodes[product]->ndim - 2;
    stage_inner_strides(b->g->nodes[product], b->roles.row[product], n + 1, axes, inner);
    stage_resolve(&b->roles, input, &map);
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

/* ---- sums over rows of what lies in buffers ---- */

bool
stage_sums_buffer(const StageBuild *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    StageOperand operand;
    if (b->line > 0 || b->roles.role[at] != ROLE_ROW_SUM || node->op != OP_sum ||
        node->params[1] != 1 || (node->dtype != DT_f64 && node->dtype != DT_f32)) {
        return false;
    }
    stage_space_operand(b, at, 0, &operand);
    return operand.reading == READ_LANES && b->multiplied[operand.root];
}

Status
stage_add_row_sum(StageBuild *b, int32_t at)
{
    const StageSpace *space = &b->space[at];
    const int n = space->ndim > 0 ? space->ndim - 1 : 0;
    StageOperand operand;
    TileRef ref;
    memset(&ref, 0, sizeof ref);
    stage_space_operand(b, at, 0, &operand);
    if (stage_lanes(b, &operand, space->ndim, space->shape, &ref) != STATUS_OK) {
        return STATUS_ERROR;
    }
    TileStep step = {.kind = TILE_SUM,
                     .ndim = n,
                     .nj = space->ndim > 0 ? space->shape[n] : 1,
                     .to = stage_add_sum(b, at, -1),
                     .nin = 1,
                     .in = &ref};
    memcpy(step.shape, space->shape, (size_t)n * sizeof(int64_t));
    return step.to < 0 ? STATUS_ERROR : stage_add_step(b, &step);
}

/* Views that some step needs in a buffer are not read where they lie by others; values that are
 * multiplied are in one, too. */
Status
stage_find_buffered(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        const int role = b->roles.role[i];
        if (!stage_is_member(b, i) || (role != ROLE_MAP && role != ROLE_OUTER)) {
            continue;
        }
        StageProduct p;
        stage_product_of(b, i, &p);
        const int row = row_operand(b, i, &p);
        for (int k = 0; k < 2; k++) {
            StageOperand operand;
            stage_operand(b, i, k, p.naxes[k], p.axes[k], &operand);
            b->multiplied[operand.root] = true;
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
