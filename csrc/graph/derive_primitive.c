/* graph/derive_primitive.c -- derivative builders of views, reductions, scans, indexing. */
#include "graph/derive.h"

#include <string.h>

/* Products of up to this many factors are differentiated through the matrix of products
 * without one factor, which is exact at zeros to any order. */
enum { EXACT_PRODUCT_LIMIT = 64 };

Node *
build_zeros_like(const Node *node)
{
    return build_full(0.0, (DType)node->dtype, node->ndim, node->shape);
}

static Node *
sum_or_zeros(const Derivation *d, int i)
{
    d->total[i] = true;
    return d->sums[i] != NULL ? d->sums[i] : build_zeros_like(d->node->inputs[i]);
}

Status
derive_give(const Derivation *d, int i, Node *contribution)
{
    d->out[i] = contribution;
    return contribution == NULL ? STATUS_ERROR : STATUS_OK;
}

/* ---- views and writes ---- */

/* The geometry without its repeated (stride 0) axes; they are listed in axes. */
static int
strip_repeats(const int64_t *geometry, int64_t *out, int *axes)
{
    const int ndim = (int)geometry[1];
    int kept = 0, n = 0, keep[ARRAY_MAX_NDIM];
    for (int i = 0; i < ndim; i++) {
        if (geometry[2 + ndim + i] == 0 && geometry[2 + i] != 1) {
            axes[n++] = i;
        } else {
            keep[kept++] = i;
        }
    }
    out[0] = geometry[0];
    out[1] = kept;
    for (int i = 0; i < kept; i++) {
        out[2 + i] = geometry[2 + keep[i]];
        out[2 + kept + i] = geometry[2 + ndim + keep[i]];
    }
    return n;
}

/* g carried back through a view; `sum` is NULL or what the base has gathered so far. */
static Node *
view_pullback(const Node *base, const int64_t *geometry, Node *g, Node *sum, bool *total)
{
    int64_t plain[GEOMETRY_MAX], inverse[GEOMETRY_MAX];
    int axes[ARRAY_MAX_NDIM];
    const int repeats = strip_repeats(geometry, plain, axes);
    if (repeats > 0) {
        g = build_reduce(OP_sum, g, repeats, axes, false);
    }
    if (g == NULL) {
        return NULL;
    }
    if (geometry_inverse(plain, base->ndim, base->shape, inverse)) {
        *total = false;
        return build_view(g, inverse);
    }
    *total = true;
    return build_assign(OP_assign_add, sum != NULL ? sum : build_zeros_like(base), g, plain);
}

static Status
derive_view(const Derivation *d)
{
    return derive_give(d, 0, view_pullback(d->node->inputs[0], d->node->params, d->g, d->sums[0],
                                    &d->total[0]));
}

static Status
derive_assign(const Derivation *d)
{
    const int64_t *geometry = d->node->params;
    if (d->wanted[1] && derive_give(d, 1, build_view(d->g, geometry)) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (!d->wanted[0]) {
        return STATUS_OK;
    }
    if (d->node->op == OP_assign_add) {
        return derive_give(d, 0, d->g);
    }
    return derive_give(d, 0,
                build_assign(OP_assign, d->g, build_zeros_like(d->node->inputs[1]), geometry));
}

/* ---- reductions ---- */

static Node *
restored(const Derivation *d, Node *x)
{
    const Node *input = d->node->inputs[0];
    return build_broadcast(build_restore_axes(x, input->ndim, input->shape, d->node->params),
                           input->ndim, input->shape);
}

static Node *
reduce_like(const Derivation *d, OpCode op, Node *x)
{
    return build_primitive(op, &x, 1, d->node->params, d->node->nparams);
}

static Status
derive_extreme(const Derivation *d)
{
    Node *x = d->node->inputs[0];
    Node *hit = build_cast(build2(OP_equal, x, restored(d, d->node)), (DType)x->dtype);
    Node *share = build2(OP_divide, d->g, reduce_like(d, OP_sum, hit));
    return derive_give(d, 0, build2(OP_multiply, restored(d, share), hit));
}

/* x with the reduced axes moved to the end and made one, and the permutation that did it. */
static int64_t
flatten_axes(const Node *x, const int64_t *params, int *order)
{
    int64_t count = 1;
    int kept = 0, n = (int)params[1];
    bool reduced[ARRAY_MAX_NDIM] = {false};
    for (int i = 0; i < n; i++) {
        reduced[params[2 + i]] = true;
    }
    for (int i = 0; i < x->ndim; i++) {
        if (reduced[i]) {
            count *= x->shape[i];
        } else {
            order[kept++] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        order[kept + i] = (int)params[2 + i];
    }
    return count;
}

static Node *
permuted(Node *x, const int *order, bool back)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t plain[GEOMETRY_MAX], g[GEOMETRY_MAX];
    const int n = x->ndim;
    geometry_contiguous(n, x->shape, plain);
    g[0] = 0;
    g[1] = n;
    for (int i = 0; i < n; i++) {
        const int from = back ? i : order[i], to = back ? order[i] : i;
        g[2 + to] = plain[2 + from];
        g[2 + n + to] = plain[2 + n + from];
    }
    return build_view(x, g);
}

/* (..., n) -> (..., n, n) with entry [i, k] = x[k], but 1 at k == i (and 1 at k > limit j is
 * left to the scan). */
static Node *
leave_one_out(Node *x)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t shape[ARRAY_MAX_NDIM];
    const int ndim = x->ndim;
    const int64_t n = x->shape[ndim - 1];
    if (ndim + 1 > ARRAY_MAX_NDIM) {
        return err_null(ERR_VALUE, "too many dimensions");
    }
    memcpy(shape, x->shape, (size_t)ndim * sizeof(int64_t));
    shape[ndim - 1] = 1;
    shape[ndim] = n;
    Node *rows = build_reshape(x, ndim + 1, shape);
    shape[ndim - 1] = n;
    rows = build_broadcast(rows, ndim + 1, shape);
    const int64_t square[2] = {n, n};
    int64_t diagonal[4] = {0, 1, n, n + 1};
    Node *eye = build_assign(OP_assign, build_full(0.0, DT_bool, 2, square),
                             build_full(1.0, DT_bool, 1, &n), diagonal);
    return build3(OP_where, eye, build_scalar(1.0, 0.0, DT_f64, WEAK_FLOAT), rows);
}

static Node *
product_slope(Node *flat)
{
    const int last = flat->ndim - 1;
    const int64_t n = flat->shape[last];
    if (n <= EXACT_PRODUCT_LIMIT) {
        const int axis = flat->ndim;
        return build_reduce(OP_prod, leave_one_out(flat), 1, &axis, false);
    }
    /* Products of what lies before and after each factor. */
    const int64_t forward[2] = {last, 0}, backward[2] = {last, 1};
    Node *before = build_primitive(OP_cumprod, &flat, 1, forward, 2);
    Node *after = build_primitive(OP_cumprod, &flat, 1, backward, 2);
    int64_t one_shape[ARRAY_MAX_NDIM];
    memcpy(one_shape, flat->shape, (size_t)flat->ndim * sizeof(int64_t));
    one_shape[last] = 1;
    Node *one = build_full(1.0, (DType)flat->dtype, flat->ndim, one_shape);
    const int64_t axis[1] = {last};
    Node *left[2] = {one, build_slice(before, last, 0, n - 1)};
    Node *right[2] = {build_slice(after, last, 1, n - 1), one};
    return build2(OP_multiply, build_primitive(OP_concatenate, left, 2, axis, 1),
                  build_primitive(OP_concatenate, right, 2, axis, 1));
}

static Status
derive_prod(const Derivation *d)
{
    Node *x = d->node->inputs[0];
    int order[ARRAY_MAX_NDIM];
    const int64_t count = flatten_axes(x, d->node->params, order);
    const int kept = x->ndim - (int)d->node->params[1];
    Node *moved = permuted(x, order, false);
    if (moved == NULL || x->size == 0) {
        return moved == NULL ? STATUS_ERROR : derive_give(d, 0, build_zeros_like(x));
    }
    int64_t shape[ARRAY_MAX_NDIM + 1];
    memcpy(shape, moved->shape, (size_t)kept * sizeof(int64_t));
    shape[kept] = count;
    Node *flat = build_reshape(moved, kept + 1, shape);
    Node *slope = flat == NULL ? NULL : product_slope(flat);
    slope = slope == NULL ? NULL : build_reshape(slope, x->ndim, moved->shape);
    return derive_give(d, 0, build2(OP_multiply, restored(d, d->g), permuted(slope, order, true)));
}

/* ---- scans ---- */

static Status
derive_cumsum(const Derivation *d)
{
    const int64_t params[2] = {d->node->params[0], !d->node->params[1]};
    return derive_give(d, 0, build_primitive(OP_cumsum, &d->g, 1, params, 2));
}

static Status
derive_cumprod(const Derivation *d)
{
    Node *x = d->node->inputs[0];
    const int axis = (int)d->node->params[0];
    const bool reverse = d->node->params[1] != 0;
    const int64_t n = x->shape[axis];
    const int64_t back[2] = {axis, !reverse};
    if (n > EXACT_PRODUCT_LIMIT || x->ndim + 1 > ARRAY_MAX_NDIM) {
        Node *weighted = build2(OP_multiply, d->g, d->node);
        Node *sums = build_primitive(OP_cumsum, &weighted, 1, back, 2);
        return derive_give(d, 0, build2(OP_divide, sums, x));
    }
    /* dr_j/dx_i is the running product along j of the row without factor i, from j = i on. */
    int order[ARRAY_MAX_NDIM], m = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (i != axis) {
            order[m++] = i;
        }
    }
    order[m] = axis;
    Node *rows = leave_one_out(permuted(x, order, false));
    const int64_t scan[2] = {x->ndim, reverse};
    Node *slopes = rows == NULL ? NULL : build_primitive(OP_cumprod, &rows, 1, scan, 2);
    Node *g = permuted(d->g, order, false);
    if (slopes == NULL || g == NULL) {
        return STATUS_ERROR;
    }
    int64_t shape[ARRAY_MAX_NDIM];
    memcpy(shape, g->shape, (size_t)g->ndim * sizeof(int64_t));
    shape[g->ndim - 1] = 1;
    shape[g->ndim] = n;
    g = build_reshape(g, g->ndim + 1, shape);
    /* Only j at or after i (in the scan's direction) depends on x_i. */
    const int64_t square[2] = {n, n};
    const int64_t along[2] = {1, reverse};
    int64_t diagonal[4] = {0, 1, n, n + 1};
    Node *eye = build_assign(OP_assign, build_full(0.0, (DType)x->dtype, 2, square),
                             build_full(1.0, (DType)x->dtype, 1, &n), diagonal);
    Node *reached = eye == NULL ? NULL : build_primitive(OP_cumsum, &eye, 1, along, 2);
    Node *terms = build2(OP_multiply, build2(OP_multiply, slopes, reached), g);
    const int last = x->ndim;
    return derive_give(d, 0, permuted(build_reduce(OP_sum, terms, 1, &last, false), order, true));
}

/* ---- joining and indexing ---- */

static Status
derive_concatenate(const Derivation *d)
{
    const int axis = (int)d->node->params[0];
    int64_t start = 0;
    for (int i = 0; i < d->node->nin; i++) {
        const int64_t count = d->node->inputs[i]->shape[axis];
        if (d->wanted[i] && derive_give(d, i, build_slice(d->g, axis, start, count)) != STATUS_OK) {
            return STATUS_ERROR;
        }
        start += count;
    }
    return STATUS_OK;
}

/* op(first, [second,] indices of the node from its input `from` on) with the node's axis. Reads
 * have no second; a write whose second is NULL for want of memory is none. */
static Node *
indexed(const Derivation *d, OpCode op, Node *first, Node *second, int from)
{
    Node *in[CALL_MAX_INPUTS];
    int n = 0;
    in[n++] = first;
    if (op != OP_gather && op != OP_take_along) {
        if (second == NULL) {
            return NULL;
        }
        in[n++] = second;
    }
    for (int i = from; i < d->node->nin; i++) {
        in[n++] = d->node->inputs[i];
    }
    return build_primitive(op, in, n, d->node->params, d->node->nparams);
}

static Status
derive_gather(const Derivation *d)
{
    const OpCode back = d->node->op == OP_gather ? OP_scatter_add : OP_put_along_add;
    return derive_give(d, 0, indexed(d, back, sum_or_zeros(d, 0), d->g, 1));
}

/* Of values written to one place only the last counts: number them, write the numbers, and see
 * which survived. */
static Node *
survivors(const Derivation *d, Node *g_value)
{
    const Node *base = d->node->inputs[0], *value = d->node->inputs[1];
    Node *ones = build_full(1.0, DT_i64, 1, &value->size);
    const int64_t scan[2] = {0, 0};
    Node *count = ones == NULL ? NULL : build_primitive(OP_cumsum, &ones, 1, scan, 2);
    Node *number = build_reshape(count, value->ndim, value->shape);
    Node *places = build_full(0.0, DT_i64, base->ndim, base->shape);
    Node *written = indexed(d, OP_scatter, places, number, 2);
    Node *kept = build2(OP_equal, indexed(d, OP_gather, written, NULL, 2), number);
    return build3(OP_where, kept, g_value, build_scalar(0.0, 0.0, DT_f64, WEAK_FLOAT));
}

static Status
derive_scatter(const Derivation *d)
{
    const int op = d->node->op;
    if (d->wanted[1]) {
        const OpCode read = op == OP_put_along_add ? OP_take_along : OP_gather;
        Node *g_value = indexed(d, read, d->g, NULL, 2);
        if (op == OP_scatter) {
            g_value = survivors(d, g_value);
        }
        if (derive_give(d, 1, g_value) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    if (!d->wanted[0]) {
        return STATUS_OK;
    }
    if (op != OP_scatter) {
        return derive_give(d, 0, d->g);
    }
    return derive_give(d, 0,
                indexed(d, OP_scatter, d->g, build_zeros_like(d->node->inputs[1]), 2));
}

static Status
derive_sort(const Derivation *d)
{
    Node *x = d->node->inputs[0];
    const int64_t stable[2] = {d->node->params[0], 1};
    Node *index = build_primitive(OP_argsort, &x, 1, stable, 2);
    Node *in[3] = {sum_or_zeros(d, 0), d->g, index};
    return derive_give(d, 0, build_primitive(OP_put_along_add, in, 3, d->node->params, 1));
}

Status
derive_primitive(Node *node, Node *g, const bool *wanted, Node *const *sums, Node **out,
                 bool *total)
{
    const Derivation d = {node, g, wanted, sums, out, total};
    switch (node->op) {
    case OP_copy:
        return derive_give(&d, 0, g);
    case OP_cast:
        return derive_give(&d, 0, build_cast(g, (DType)node->inputs[0]->dtype));
    case OP_view:
        return derive_view(&d);
    case OP_assign:
    case OP_assign_add:
        return derive_assign(&d);
    case OP_sum:
        return derive_give(&d, 0, restored(&d, g));
    case OP_prod:
        return derive_prod(&d);
    case OP_reduce_min:
    case OP_reduce_max:
        return derive_extreme(&d);
    case OP_cumsum:
        return derive_cumsum(&d);
    case OP_cumprod:
        return derive_cumprod(&d);
    case OP_concatenate:
        return derive_concatenate(&d);
    case OP_gather:
    case OP_take_along:
        return derive_gather(&d);
    case OP_scatter:
    case OP_scatter_add:
    case OP_put_along_add:
        return derive_scatter(&d);
    case OP_sort:
        return derive_sort(&d);
    case OP_fft_c2c:
    case OP_fft_r2c:
    case OP_fft_c2r:
        return derive_fourier(&d);
    default:
        return derive_matrix(&d);
    }
}
