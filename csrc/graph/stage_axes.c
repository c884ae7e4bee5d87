/* graph/stage_axes.c -- the identity of axes: which axes of different nodes are one.
 *
 * Axes are joined through nodes, never by equal length: elementwise nodes join those of their
 * operands with their own, reductions the ones that stay, products rows, columns and depths,
 * views the axes that they keep whole. Leaves join nothing: each reader reads them its own way.
 * Two axes of one node are never joined; what would join them is left as a border, at which a
 * value is stored. */
#include "base/mem.h"
#include "graph/stage_roles.h"

#include <string.h>

int32_t
stage_axes_class(StageAxes *axes, int32_t axis)
{
    while (axes->parent[axis] != axis) {
        axes->parent[axis] = axes->parent[axes->parent[axis]];
        axis = axes->parent[axis];
    }
    return axis;
}

/* Has some node an axis in both classes? */
static bool
would_fold(StageAxes *axes, int32_t small, int32_t large)
{
    int32_t axis = small;
    do {
        const int32_t owner = axes->owner[axis];
        for (int32_t a = axes->first[owner]; a < axes->first[owner + 1]; a++) {
            if (a != axis && stage_axes_class(axes, a) == large) {
                return true;
            }
        }
        axis = axes->next[axis];
    } while (axis != small);
    return false;
}

static void
join(StageAxes *axes, int32_t a, int32_t b)
{
    a = stage_axes_class(axes, a);
    b = stage_axes_class(axes, b);
    if (a == b) {
        return;
    }
    const int32_t small = axes->size[a] < axes->size[b] ? a : b, large = small == a ? b : a;
    if (would_fold(axes, small, large)) {
        return;
    }
    axes->parent[small] = large;
    axes->size[large] += axes->size[small];
    const int32_t after = axes->next[small];
    axes->next[small] = axes->next[large];
    axes->next[large] = after;
}

static void
join_places(StageAxes *axes, const PlanGraph *g, int32_t p, int a, int32_t q, int b)
{
    const Node *x = g->nodes[p], *y = g->nodes[q];
    if (!g->leaf[p] && !g->leaf[q] && a >= 0 && b >= 0 && x->shape[a] == y->shape[b] &&
        x->shape[a] > 1) {
        join(axes, axes->first[p] + a, axes->first[q] + b);
    }
}

static void
join_same(StageAxes *axes, const PlanGraph *g, int32_t at)
{
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        const int32_t input = plan_graph_input(g, at, k);
        for (int a = 0; a < g->nodes[at]->ndim && g->nodes[input]->ndim == g->nodes[at]->ndim;
             a++) {
            join_places(axes, g, input, a, at, a);
        }
    }
}

static void
join_view(StageAxes *axes, const PlanGraph *g, int32_t at)
{
    const int32_t base = plan_graph_input(g, at, 0);
    const Node *node = g->nodes[at], *from = g->nodes[base];
    const int64_t *strides = node->params + 2 + node->ndim;
    int64_t rest = node->params[0], stride = from->size;
    for (int b = 0; b < from->ndim && from->size > 0; b++) {
        stride /= from->shape[b];
        const bool whole = rest / stride == 0;
        rest %= stride;
        for (int a = 0; a < node->ndim && whole; a++) {
            if (strides[a] == stride && node->shape[a] == from->shape[b]) {
                join_places(axes, g, base, b, at, a);
                break;
            }
        }
    }
}

static void
join_reduction(StageAxes *axes, const PlanGraph *g, int32_t at)
{
    const int32_t input = plan_graph_input(g, at, 0);
    const Node *node = g->nodes[at];
    const bool keepdims = node->params[0] != 0;
    int a = 0, r = 0;
    for (int b = 0; b < g->nodes[input]->ndim; b++) {
        if (r < node->params[1] && node->params[2 + r] == b) {
            r++;
            a += keepdims;
        } else {
            join_places(axes, g, input, b, at, a++);
        }
    }
}

static void
join_product(StageAxes *axes, const PlanGraph *g, int32_t at)
{
    const int32_t p = plan_graph_input(g, at, 0), q = plan_graph_input(g, at, 1);
    const Node *a = g->nodes[p], *b = g->nodes[q], *out = g->nodes[at];
    join_places(axes, g, p, a->ndim - 1, q, b->ndim - 2);
    join_places(axes, g, p, a->ndim - 2, at, out->ndim - 2);
    join_places(axes, g, q, b->ndim - 1, at, out->ndim - 1);
    for (int k = 0; k < out->ndim - 2; k++) {
        join_places(axes, g, p, k - (out->ndim - a->ndim), at, k);
        join_places(axes, g, q, k - (out->ndim - b->ndim), at, k);
    }
}

/* The index's axes stand where the indexed axis stood. */
static void
join_indexed(StageAxes *axes, const PlanGraph *g, int32_t at, int32_t values, int index)
{
    const int32_t p = plan_graph_input(g, at, index);
    const int axis = (int)g->nodes[at]->params[0];
    for (int a = 0; a < g->nodes[p]->ndim; a++) {
        join_places(axes, g, p, a, values, axis + a);
    }
}

static void
join_node(StageAxes *axes, const PlanGraph *g, int32_t at)
{
    const int op = g->nodes[at]->op;
    if (op >= OP_COUNT) {
        return;
    }
    switch (op_info((OpCode)op)->axis_map) {
    case AXES_ELEMENTWISE:
        join_same(axes, g, at);
        break;
    case AXES_VIEW:
        join_view(axes, g, at);
        break;
    case AXES_REDUCE:
        join_reduction(axes, g, at);
        break;
    case AXES_MATMUL:
        join_product(axes, g, at);
        break;
    case AXES_GATHER:
        join_indexed(axes, g, at, at, 1);
        break;
    case AXES_SCATTER:
        join_indexed(axes, g, at, plan_graph_input(g, at, 1), 2);
        break;
    default:
        break;
    }
}

Status
stage_axes_init(StageAxes *axes, const PlanGraph *g)
{
    memset(axes, 0, sizeof *axes);
    axes->first = mem_new(((size_t)g->count + 1) * sizeof(int32_t));
    if (axes->first == NULL) {
        return STATUS_ERROR;
    }
    for (int32_t i = 0; i < g->count; i++) {
        axes->first[i] = axes->count;
        axes->count += g->nodes[i]->ndim;
    }
    axes->first[g->count] = axes->count;
    axes->parent = mem_new(4 * ((size_t)axes->count + 1) * sizeof(int32_t));
    if (axes->parent == NULL) {
        stage_axes_fini(axes, g);
        return STATUS_ERROR;
    }
    axes->next = axes->parent + axes->count;
    axes->size = axes->next + axes->count;
    axes->owner = axes->size + axes->count;
    for (int32_t i = 0; i < g->count; i++) {
        for (int32_t a = axes->first[i]; a < axes->first[i + 1]; a++) {
            axes->parent[a] = axes->next[a] = a;
            axes->size[a] = 1;
            axes->owner[a] = i;
        }
    }
    /* views last: where they would fold a node, it is they that become borders */
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < g->count; i++) {
            if (!g->leaf[i] && (g->nodes[i]->op == OP_view) == (pass == 1)) {
                join_node(axes, g, i);
            }
        }
    }
    return STATUS_OK;
}

void
stage_axes_fini(StageAxes *axes, const PlanGraph *g)
{
    mem_free(axes->parent, 4 * ((size_t)axes->count + 1) * sizeof(int32_t));
    mem_free(axes->first, ((size_t)g->count + 1) * sizeof(int32_t));
}
