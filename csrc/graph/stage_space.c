/* graph/stage_space.c -- the inner index spaces over which blocks run.
 *
 * A member's space are the inner axes of its node. Where one member reads the whole value of
 * another that has the same elements along fewer axes, as after a reshape, both get the finer
 * space, so that one block computes them. */
#include "graph/stage_build.h"

#include <string.h>

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

static void
own_space(const StageBuild *b, int32_t at, int *axes, StageSpace *space)
{
    int row;
    const Node *node = space_node(b, at, &row);
    memset(space, 0, sizeof *space);
    space->ndim = stage_space(node, row, axes);
    for (int d = 0; d < space->ndim; d++) {
        space->shape[d] = node->shape[axes[d]];
    }
}

/* Strides along the axes of one space as strides along those of a finer one; false where it is
 * none: where its axes are no parts of the others. */
static bool
refine(const StageSpace *space, const int64_t *strides, const StageSpace *fine, int64_t *out)
{
    int t = fine->ndim - 1;
    for (int d = space->ndim - 1; d >= 0; d--) {
        int64_t part = 1;
        while (part < space->shape[d]) {
            if (t < 0 || space->shape[d] % (part * fine->shape[t]) != 0) {
                return false;
            }
            out[t] = strides[d] * part;
            part *= fine->shape[t--];
        }
    }
    return t < 0;
}

int64_t
stage_block_volume(const StageBuild *b, int32_t at)
{
    int row;
    const Node *node = space_node(b, at, &row);
    return node->size / b->roles.rows;
}

bool
stage_space_same(const StageSpace *a, const StageSpace *b)
{
    return a->ndim == b->ndim && shape_equal(a->ndim, a->shape, b->shape);
}

void
stage_space_contiguous(const StageSpace *space, int64_t *strides)
{
    int64_t stride = 1;
    for (int d = space->ndim - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= space->shape[d];
    }
}

void
stage_space_operand(const StageBuild *b, int32_t at, int k, StageOperand *operand)
{
    int axes[TILE_NDIM];
    int64_t strides[TILE_NDIM];
    StageSpace own;
    own_space(b, at, axes, &own);
    stage_operand(b, at, k, own.ndim, axes, operand);
    memcpy(strides, operand->strides, sizeof strides);
    memset(operand->strides, 0, sizeof operand->strides);
    (void)refine(&own, strides, &b->space[at], operand->strides);
}

bool
stage_space_whole(const StageBuild *b, const StageOperand *operand, const StageSpace *space)
{
    int64_t contiguous[TILE_NDIM];
    stage_space_contiguous(space, contiguous);
    if (operand->reading != READ_LANES || operand->offset != 0 ||
        memcmp(operand->strides, contiguous, (size_t)space->ndim * sizeof(int64_t)) != 0) {
        return false;
    }
    const int64_t count = space->ndim > 0 ? contiguous[0] * space->shape[0] : 1;
    return count == b->g->nodes[operand->root]->size / b->roles.rows;
}

void
stage_space_reduced(const StageBuild *b, int32_t at, int64_t *strides)
{
    const Node *node = b->g->nodes[at];
    bool reduced[ARRAY_MAX_NDIM] = {false};
    int64_t own_strides[TILE_NDIM], stride = 1;
    int axes[TILE_NDIM];
    StageSpace own;
    own_space(b, at, axes, &own);
    for (int r = 0; r < node->params[1]; r++) {
        reduced[node->params[2 + r]] = true;
    }
    for (int d = own.ndim - 1; d >= 0; d--) {
        own_strides[d] = reduced[axes[d]] ? 0 : stride;
        stride *= reduced[axes[d]] ? 1 : own.shape[d];
    }
    (void)refine(&own, own_strides, &b->space[at], strides);
}

/* One space for the member and for what it reads as it lies. */
static bool
join_spaces(StageBuild *b, int32_t at, int k)
{
    StageOperand operand;
    int64_t strides[TILE_NDIM] = {0}, ignored[TILE_NDIM];
    stage_space_operand(b, at, k, &operand);
    if (operand.reading != READ_LANES || b->roles.role[operand.root] != ROLE_ELEMENTWISE ||
        !stage_space_whole(b, &operand, &b->space[at])) {
        return false;
    }
    StageSpace *own = &b->space[at], *other = &b->space[operand.root];
    if (stage_space_same(own, other)) {
        return false;
    }
    if (refine(other, strides, own, ignored)) {
        *other = *own;
        return true;
    }
    const bool finer = refine(own, strides, other, ignored);
    *own = finer ? *other : *own;
    return finer;
}

void
stage_find_spaces(StageBuild *b)
{
    int axes[TILE_NDIM];
    for (int32_t i = 0; i < b->g->count; i++) {
        if (stage_is_member(b, i) && stage_in_block(b, i)) {
            own_space(b, i, axes, &b->space[i]);
        }
    }
    for (bool changed = true; changed;) { /* spaces only become finer */
        changed = false;
        for (int32_t i = b->g->count - 1; i >= 0; i--) {
            for (int k = 0; stage_is_member(b, i) && stage_in_block(b, i) &&
                            k < plan_graph_nin(b->g, i);
                 k++) {
                changed = join_spaces(b, i, k) || changed;
            }
        }
    }
}
