/* graph/stage_roles.c -- row-wise, shared or accumulator: roles with respect to a swept axis.
 *
 * Levels order what must come after what: a node that needs an accumulator, or a row-wise value
 * other than row for row, is a level above it. The members of one level are a convex set. */
#include "graph/stage_roles.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

enum {
    SHARED_SIDE = 1 << 17,   /* elements of one matrix on the shared side of a product */
    SHARED_ALL = 1 << 17,    /* and of a stack of them */
    ROWS_OVER_SIDE = 1,      /* rows, over the larger side of it */
    SUM_ELEMENTS = 1 << 17,  /* of one accumulator */
    TABLE_ELEMENTS = 1 << 13 /* of one that rows are scattered into */
};

static const Node *
input_node(const StageRoles *roles, int32_t at, int k)
{
    return roles->g->nodes[plan_graph_input(roles->g, at, k)];
}

static int
input_row(const StageRoles *roles, int32_t at, int k)
{
    return roles->row[plan_graph_input(roles->g, at, k)];
}

/* A member of another stage is what that stage stores, a view of its values too. */
static bool
is_foreign(const StageRoles *roles, int32_t at)
{
    return roles->stage_of[at] >= 0 && roles->stage_of[at] != roles->number;
}

void
stage_resolve(const StageRoles *roles, int32_t place, StageMap *map)
{
    const PlanGraph *g = roles->g;
    geometry_contiguous(g->nodes[place]->ndim, g->nodes[place]->shape, map->geometry);
    map->root = place;
    while (!g->leaf[map->root] && !is_foreign(roles, map->root)) {
        const Node *node = g->nodes[map->root];
        if (node->op == OP_view) {
            const int64_t *inner = node->params;
            const int ndim = (int)map->geometry[1];
            int64_t offset, strides[ARRAY_MAX_NDIM];
            if (!geometry_decode(map->geometry, node->ndim, node->shape, inner + 2 + node->ndim,
                                 &offset, strides)) {
                return;
            }
            map->geometry[0] = inner[0] + offset;
            memcpy(map->geometry + 2 + ndim, strides, (size_t)ndim * sizeof(int64_t));
        } else if (node->op != OP_copy) {
            return;
        }
        map->root = plan_graph_input(g, map->root, 0);
    }
}

bool
stage_row_aligned(const StageRoles *roles, const StageMap *map, int row, int64_t *offset,
                  int64_t *strides)
{
    const Node *root = roles->g->nodes[map->root];
    const int axis = roles->row[map->root];
    int64_t shape[3] = {1, roles->rows, 1}, along[ARRAY_MAX_NDIM], start;
    if (axis < 0 || row < 0) {
        return false;
    }
    for (int d = 0; d < root->ndim; d++) {
        shape[d < axis ? 0 : 2] *= d == axis ? 1 : root->shape[d];
    }
    const int64_t rows_only[3] = {0, 1, 0}, inner_only[3] = {shape[2], 0, 1};
    if (!geometry_decode(map->geometry, 3, shape, rows_only, &start, along) || start != 0) {
        return false;
    }
    for (int d = 0; d < map->geometry[1]; d++) {
        if (along[d] != (d == row)) {
            return false;
        }
    }
    return geometry_decode(map->geometry, 3, shape, inner_only, offset, strides);
}

/* ---- the role of one node ---- */

static StageRole
role_of_reduction(const StageRoles *roles, int32_t at)
{
    const Node *node = roles->g->nodes[at], *input = input_node(roles, at, 0);
    const int row = input_row(roles, at, 0);
    const bool extreme = node->op == OP_reduce_max || node->op == OP_reduce_min;
    const bool kind = extreme ? dtype_is_inexact((DType)node->dtype) &&
                                    !dtype_is_complex((DType)node->dtype)
                              : node->op == OP_sum && dtype_is_inexact((DType)node->dtype);
    if (row < 0 || !kind || input->dtype != node->dtype) {
        return ROLE_NONE;
    }
    for (int r = 0; r < node->params[1]; r++) {
        if (node->params[2 + r] == row) {
            return node->size <= SUM_ELEMENTS ? ROLE_ROW_SUM : ROLE_NONE;
        }
    }
    return roles->row[at] >= 0 ? ROLE_REDUCE : ROLE_NONE;
}

/* Does the operand of a product have the rows along its axis? Leaves and views of shared values
 * show it by their length and stride. */
static bool
has_rows(const StageRoles *roles, int32_t at, int k, int axis)
{
    const Node *input = input_node(roles, at, k);
    if (axis < 0 || input->shape[axis] != roles->rows) {
        return false;
    }
    StageMap map;
    stage_resolve(roles, plan_graph_input(roles->g, at, k), &map);
    return map.geometry[2 + input->ndim + axis] != 0;
}

static StageRole
role_of_product(const StageRoles *roles, int32_t at)
{
    const Node *out = roles->g->nodes[at], *a = input_node(roles, at, 0),
               *b = input_node(roles, at, 1);
    const int row = roles->row[at], nd = out->ndim;
    if (out->dtype != DT_f64 && out->dtype != DT_f32) {
        return ROLE_NONE;
    }
    if (row < 0) {
        const bool over = input_row(roles, at, 0) == a->ndim - 1 ||
                          input_row(roles, at, 1) == b->ndim - 2;
        return over && out->size <= SUM_ELEMENTS && a->shape[a->ndim - 1] == roles->rows
                   ? ROLE_OUTER
                   : ROLE_NONE;
    }
    const int first = row == nd - 1 ? -1 : row - (nd - a->ndim);
    const int second = row == nd - 2 ? -1 : row - (nd - b->ndim);
    const bool by_first = has_rows(roles, at, 0, first);
    if (by_first == has_rows(roles, at, 1, second)) {
        return ROLE_NONE;
    }
    const Node *shared = by_first ? b : a;
    const int64_t i = shared->shape[shared->ndim - 1], j = shared->shape[shared->ndim - 2];
    const int64_t side = i > j ? i : j;
    return i * j <= SHARED_SIDE && shared->size <= SHARED_ALL &&
                   roles->rows >= ROWS_OVER_SIDE * side
               ? ROLE_MAP
               : ROLE_NONE;
}

/* Indices are read where they lie. */
static bool
is_given(const StageRoles *roles, int32_t at, int k)
{
    StageMap map;
    stage_resolve(roles, plan_graph_input(roles->g, at, k), &map);
    return roles->role[map.root] == ROLE_NONE;
}

static StageRole
role_of_gather(const StageRoles *roles, int32_t at)
{
    const Node *node = roles->g->nodes[at], *index = input_node(roles, at, 1);
    return node->nin == 2 && node->params[0] == 0 && index->ndim == 1 && roles->row[at] == 0 &&
                   index->dtype == DT_i64 && index->shape[0] == roles->rows &&
                   is_given(roles, at, 1)
               ? ROLE_GATHER
               : ROLE_NONE;
}

static StageRole
role_of_scatter(const StageRoles *roles, int32_t at)
{
    const Node *node = roles->g->nodes[at];
    StageMap base;
    double zero = 1.0;
    if (node->nin != 3 || node->params[0] != 0 || node->size > TABLE_ELEMENTS ||
        !dtype_is_inexact((DType)node->dtype)) {
        return ROLE_NONE;
    }
    const Node *index = input_node(roles, at, 2), *value = input_node(roles, at, 1);
    stage_resolve(roles, plan_graph_input(roles->g, at, 0), &base);
    return node_uniform(roles->g->nodes[base.root], &zero) && zero == 0.0 && index->ndim == 1 &&
                   index->dtype == DT_i64 && value->ndim == node->ndim &&
                   value->shape[0] == roles->rows && input_row(roles, at, 1) == 0 &&
                   is_given(roles, at, 2)
               ? ROLE_SCATTER
               : ROLE_NONE;
}

static StageRole
role_of_alias(const StageRoles *roles, int32_t at)
{
    StageMap map;
    int64_t offset, strides[ARRAY_MAX_NDIM];
    stage_resolve(roles, at, &map);
    return map.root != at && stage_role_is_row_wise(roles->role[map.root]) &&
                   stage_row_aligned(roles, &map, roles->row[at], &offset, strides)
               ? ROLE_ALIAS
               : ROLE_NONE;
}

static StageRole
role_of(const StageRoles *roles, int32_t at)
{
    const Node *node = roles->g->nodes[at];
    if (node->ndim > TILE_NDIM || (node->flags & NODE_STOP && node->op != OP_copy)) {
        return ROLE_NONE;
    }
    switch (node->op) {
    case OP_view:
    case OP_copy:
        return roles->row[at] >= 0 ? role_of_alias(roles, at) : ROLE_NONE;
    case OP_sum:
    case OP_reduce_max:
    case OP_reduce_min:
        return role_of_reduction(roles, at);
    case OP_matmul:
        return role_of_product(roles, at);
    case OP_gather:
        return role_of_gather(roles, at);
    case OP_scatter_add:
        return role_of_scatter(roles, at);
    default:
        break;
    }
    const bool elementwise = (node->op < OP_COUNT && op_is_elementwise((OpCode)node->op) &&
                              !(node->op == OP_power && dtype_is_integer((DType)node->dtype))) ||
                             node->op == OP_cast;
    return elementwise && roles->row[at] >= 0 ? ROLE_ELEMENTWISE : ROLE_NONE;
}

int
stage_operand_row(const StageRoles *roles, int32_t at, int k)
{
    const Node *node = roles->g->nodes[at], *input = input_node(roles, at, k);
    const int row = roles->row[at];
    switch (roles->role[at]) {
    case ROLE_REDUCE:
    case ROLE_ROW_SUM:
        return input_row(roles, at, 0);
    case ROLE_OUTER:
        return k == 0 ? input->ndim - 1 : input->ndim - 2;
    case ROLE_GATHER:
        return k == 1 ? 0 : -1;
    case ROLE_SCATTER:
        return k == 0 ? -1 : 0;
    case ROLE_MAP: {
        const bool other = row == node->ndim - (k == 0 ? 1 : 2);
        const int axis = other ? -1 : row - (node->ndim - input->ndim);
        return has_rows(roles, at, k, axis) ? axis : -1;
    }
    case ROLE_NONE:
        return -1;
    default:
        return row;
    }
}

/* ---- levels ---- */

static void
raise_level(StageRoles *roles, int32_t at, int32_t from, bool over)
{
    const int32_t level = roles->level[from] + (over ? 1 : 0);
    roles->level[at] = level > roles->level[at] ? level : roles->level[at];
}

static void
find_level_of_member(StageRoles *roles, int32_t at)
{
    const PlanGraph *g = roles->g;
    StageMap map;
    if (roles->role[at] == ROLE_ALIAS) {
        stage_resolve(roles, at, &map);
        raise_level(roles, at, map.root, false);
        return;
    }
    if (g->wait[at] >= 0) {
        const int32_t wait = g->wait[at];
        raise_level(roles, at, wait, roles->role[wait] != ROLE_NONE || roles->after[wait]);
    }
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        int64_t offset, strides[ARRAY_MAX_NDIM];
        const int row = stage_operand_row(roles, at, k);
        stage_resolve(roles, plan_graph_input(g, at, k), &map);
        const bool aligned = stage_role_is_row_wise(roles->role[map.root]) &&
                             stage_row_aligned(roles, &map, row, &offset, strides);
        raise_level(roles, at, map.root,
                    !aligned && (roles->role[map.root] != ROLE_NONE || roles->after[map.root]));
    }
}

static void
find_level_of_other(StageRoles *roles, int32_t at)
{
    const PlanGraph *g = roles->g;
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        raise_level(roles, at, plan_graph_input(g, at, k), false);
    }
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        const int32_t input = plan_graph_input(g, at, k);
        if (roles->level[input] == roles->level[at] &&
            (roles->role[input] != ROLE_NONE || roles->after[input])) {
            roles->after[at] = true;
        }
    }
}

void
stage_roles_find(StageRoles *roles, StageAxes *axes, int32_t class_, const int32_t *taken)
{
    const PlanGraph *g = roles->g;
    memset(roles->row, -1, (size_t)g->count);
    memset(roles->role, ROLE_NONE, (size_t)g->count);
    memset(roles->level, 0, (size_t)g->count * sizeof(int32_t));
    memset(roles->after, 0, (size_t)g->count * sizeof(bool));
    int32_t axis = class_;
    do {
        const int32_t owner = axes->owner[axis];
        roles->row[owner] = (int8_t)(axis - axes->first[owner]);
        roles->rows = g->nodes[owner]->shape[axis - axes->first[owner]];
        axis = axes->next[axis];
    } while (axis != class_);
    for (int32_t i = 0; i < g->count; i++) {
        if (g->leaf[i]) {
            continue;
        }
        if (taken == NULL || taken[i] < 0) {
            roles->role[i] = (uint8_t)role_of(roles, i);
        }
        if (roles->role[i] != ROLE_NONE) {
            find_level_of_member(roles, i);
        } else {
            find_level_of_other(roles, i);
        }
    }
}

Status
stage_roles_init(StageRoles *roles, const PlanGraph *g, const int32_t *stage_of, int32_t number)
{
    const size_t n = (size_t)g->count + 1;
    *roles = (StageRoles){.g = g, .stage_of = stage_of, .number = number};
    roles->row = mem_new(n);
    roles->role = mem_new(n);
    roles->level = mem_new(n * sizeof(int32_t));
    roles->after = mem_new(n * sizeof(bool));
    roles->limit = mem_new(n * sizeof(int32_t));
    roles->stored = mem_new(n * sizeof(bool));
    if (roles->row == NULL || roles->role == NULL || roles->level == NULL ||
        roles->after == NULL || roles->limit == NULL || roles->stored == NULL) {
        stage_roles_fini(roles);
        return STATUS_ERROR;
    }
    return STATUS_OK;
}

void
stage_roles_fini(StageRoles *roles)
{
    const size_t n = (size_t)roles->g->count + 1;
    mem_free(roles->row, n);
    mem_free(roles->role, n);
    mem_free(roles->level, n * sizeof(int32_t));
    mem_free(roles->after, n * sizeof(bool));
    mem_free(roles->limit, n * sizeof(int32_t));
    mem_free(roles->stored, n * sizeof(bool));
}
