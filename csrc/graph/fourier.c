/* graph/fourier.c -- transforms of padding and of what is thrown away, left out. */
#include "graph/fourier.h"

#include "graph/evaluate.h"

#include <string.h>

/* Does the view read a box of its base, axis for axis and in steps of one? Where it begins. */
static bool
view_is_box(const int64_t *geometry, const Node *base, int64_t *start)
{
    const int ndim = base->ndim;
    int64_t plain[GEOMETRY_MAX], rest = geometry[0];
    if (geometry[1] != ndim) {
        return false;
    }
    geometry_contiguous(ndim, base->shape, plain);
    for (int i = 0; i < ndim; i++) {
        const int64_t count = geometry[2 + i], step = plain[2 + ndim + i];
        start[i] = rest / step;
        rest %= step;
        if (count < 1 || start[i] + count > base->shape[i] ||
            (count > 1 && geometry[2 + ndim + i] != step)) {
            return false;
        }
    }
    return true;
}

/* The parameters of an axis, NULL when it is not transformed. */
static int64_t *
axis_params(int64_t *params, int axis)
{
    for (int64_t i = 0; i < params[2]; i++) {
        int64_t *p = params + 3 + FFT_AXIS_PARAMS * i;
        if (p[0] == axis) {
            return p;
        }
    }
    return NULL;
}

/* Are all axes along which the box is smaller transformed? */
static bool
cuts_are_transformed(const int64_t *box, const Node *base, int64_t *params)
{
    for (int i = 0; i < base->ndim; i++) {
        if (box[i] != base->shape[i] && axis_params(params, i) == NULL) {
            return false;
        }
    }
    return true;
}

static bool
is_zero(const Node *node)
{
    static const char zeros[16];
    while (node->op == OP_view && node->inputs[0]->size == 1) {
        node = node->inputs[0];
    }
    return node->op == OP_constant && (node->flags & NODE_LITERAL) && node->size == 1 &&
           memcmp(array_data(node->value), zeros, (size_t)dtype_size((DType)node->dtype)) == 0;
}

/* What was set into zeros: several values added into one box, as the cotangents of a slice
 * that is read several times are, count as their sum. NULL when it is nothing of the kind. */
static Node *
value_in_zeros(Node *set, const int64_t *geometry)
{
    if ((set->op != OP_assign && set->op != OP_assign_add) || node_has_value(set) ||
        memcmp(set->params, geometry, (size_t)geometry_count(geometry) * sizeof *geometry) != 0) {
        return NULL;
    }
    if (is_zero(set->inputs[0])) {
        return set->inputs[1];
    }
    Node *before = set->op == OP_assign ? NULL : value_in_zeros(set->inputs[0], geometry);
    return before == NULL ? NULL : build2(OP_add, before, set->inputs[1]);
}

bool
fourier_cut_input(Node **x, int64_t *params)
{
    Node *set = *x;
    int64_t start[ARRAY_MAX_NDIM];
    if ((set->op != OP_assign && set->op != OP_assign_add) ||
        !view_is_box(set->params, set->inputs[0], start) ||
        !cuts_are_transformed(set->params + 2, set, params)) {
        return false;
    }
    Node *value = value_in_zeros(set, set->params);
    if (value == NULL || value->ndim != set->ndim || value->dtype != set->dtype ||
        !shape_equal(set->ndim, value->shape, set->params + 2)) {
        return false;
    }
    for (int i = 0; i < set->ndim; i++) {
        int64_t *p = axis_params(params, i);
        if (p != NULL) {
            p[2] = (p[2] + start[i]) % p[1];
        }
    }
    *x = value;
    return true;
}

bool
fourier_cut_output(const Node *whole, const int64_t *geometry, int64_t *params)
{
    int64_t start[ARRAY_MAX_NDIM];
    const int64_t *shape = geometry + 2;
    memcpy(params, whole->params, (size_t)whole->nparams * sizeof(int64_t));
    if (!view_is_box(geometry, whole, start) || !cuts_are_transformed(shape, whole, params)) {
        return false;
    }
    for (int i = 0; i < whole->ndim; i++) {
        int64_t *p = axis_params(params, i);
        if (p != NULL) {
            p[3] = (p[3] + start[i]) % p[1];
            p[4] = shape[i];
        }
    }
    return true;
}
