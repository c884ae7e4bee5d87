/* graph/derive_matrix.c -- derivative builders of matrix products, factorisations, transforms.
 *
 * With cotangents c in df = Re(sum c dz), holomorphic maps need transposes where the literature
 * has adjoints. Rules that use adjoints (cholesky, eigh) work on conj(c) and conjugate back.
 * Sources: M. Giles, "An extended collection of matrix derivative results" (2008);
 * I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
 */
#include "graph/derive.h"

#include <string.h>

static Node *
matmul(Node *a, Node *b)
{
    Node *in[2] = {a, b};
    return build_primitive(OP_matmul, in, 2, NULL, 0);
}

static Node *
transpose(Node *x)
{
    return build_transpose_last2(x);
}

static Node *
adjoint(Node *x)
{
    return build_conjugate(transpose(x));
}

static Node *
scalar(double value)
{
    return build_scalar(value, 0.0, DT_f64, WEAK_FLOAT);
}

static Node *
triangular(Node *a, Node *b, bool lower, int transposed, bool unit)
{
    Node *in[2] = {a, b};
    const int64_t params[3] = {lower, transposed, unit};
    return build_primitive(OP_solve_triangular, in, 2, params, 3);
}

/* Bool (n, n): true on the diagonal, or below it. */
static Node *
diagonal_mask(int64_t n)
{
    const int64_t square[2] = {n, n};
    const int64_t diagonal[4] = {0, 1, n, n + 1};
    return build_assign(OP_assign, build_full(0.0, DT_bool, 2, square),
                        build_full(1.0, DT_bool, 1, &n), diagonal);
}

static Node *
below_mask(int64_t n)
{
    const int64_t square[2] = {n, n}, down[2] = {0, 0};
    const int64_t diagonal[4] = {0, 1, n, n + 1};
    Node *eye = build_assign(OP_assign, build_full(0.0, DT_i64, 2, square),
                             build_full(1.0, DT_i64, 1, &n), diagonal);
    Node *filled = eye == NULL ? NULL : build_primitive(OP_cumsum, &eye, 1, down, 2);
    Node *strict = build2(OP_subtract, filled, eye);
    return build_cast(strict, DT_bool);
}

/* x where the mask is true, `diagonal` times x on the diagonal, 0 elsewhere. */
static Node *
lower_part(Node *x, double diagonal)
{
    if (x == NULL) {
        return NULL;
    }
    const int64_t n = x->shape[x->ndim - 1];
    Node *rest = build3(OP_where, diagonal_mask(n), build2(OP_multiply, x, scalar(diagonal)),
                        scalar(0.0));
    return build3(OP_where, below_mask(n), x, rest);
}

/* Is it a matrix transposed, as in x @ w.T? */
static bool
is_turned(const Node *x)
{
    const int64_t *strides = x->params + 4; /* after the offset, the number of axes, the shape */
    return x->op == OP_view && x->ndim == 2 && strides[0] == 1 && strides[1] == x->shape[0];
}

/* The cotangent of factor i. Of one that is turned it is made as that of the matrix: so nothing
 * needs to be transposed. */
static Node *
cotangent_of_factor(const Derivation *d, int i)
{
    const Node *input = d->node->inputs[i];
    Node *other = d->node->inputs[1 - i];
    if (is_turned(input) && d->g->ndim == 2) {
        Node *g = transpose(d->g);
        return transpose(i == 0 ? matmul(other, g) : matmul(g, other));
    }
    return i == 0 ? matmul(d->g, transpose(other)) : matmul(transpose(other), d->g);
}

static Status
derive_matmul(const Derivation *d)
{
    for (int i = 0; i < 2; i++) {
        if (!d->wanted[i]) {
            continue;
        }
        const Node *input = d->node->inputs[i];
        Node *full = cotangent_of_factor(d, i);
        if (derive_give(d, i, build_sum_to(full, input->ndim, input->shape)) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* A = L L^H: A' = sym(L^-H Phi(L^H L') L^-1), Phi halves the diagonal of the lower part
 * (Murray 2016, eq. 10). */
static Status
derive_cholesky(const Derivation *d)
{
    Node *l = d->node;
    Node *phi = lower_part(matmul(adjoint(l), lower_part(build_conjugate(d->g), 1.0)), 0.5);
    Node *left = triangular(l, phi, true, 2, false);
    /* X = left L^-1, from L^H X^H = left^H */
    Node *full = adjoint(triangular(l, adjoint(left), true, 2, false));
    Node *symmetric = build2(OP_multiply, build2(OP_add, full, adjoint(full)), scalar(0.5));
    return derive_give(d, 0, build_conjugate(symmetric));
}

static Status
derive_inv(const Derivation *d)
{
    Node *rt = transpose(d->node);
    return derive_give(d, 0, build1(OP_negative, matmul(matmul(rt, d->g), rt)));
}

static Status
derive_solve(const Derivation *d)
{
    Node *a = d->node->inputs[0], *b = d->node->inputs[1];
    Node *in[2] = {transpose(a), d->g};
    Node *gb = build_primitive(OP_solve, in, 2, NULL, 0);
    if (d->wanted[1] && derive_give(d, 1, build_sum_to(gb, b->ndim, b->shape)) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (!d->wanted[0]) {
        return gb == NULL ? STATUS_ERROR : STATUS_OK;
    }
    Node *ga = build1(OP_negative, matmul(gb, transpose(d->node)));
    return derive_give(d, 0, build_sum_to(ga, a->ndim, a->shape));
}

static Status
derive_solve_triangular(const Derivation *d)
{
    Node *a = d->node->inputs[0], *b = d->node->inputs[1], *x = d->node;
    const bool lower = d->node->params[0] != 0, unit = d->node->params[2] != 0;
    const int transposed = (int)d->node->params[1];
    /* op(a) x = b; gb = op(a)^-T g */
    Node *gb;
    if (transposed == 2) {
        gb = build_conjugate(triangular(a, build_conjugate(d->g), lower, 0, unit));
    } else {
        gb = triangular(a, d->g, lower, 1 - transposed, unit);
    }
    if (d->wanted[1] && derive_give(d, 1, build_sum_to(gb, b->ndim, b->shape)) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (!d->wanted[0]) {
        return gb == NULL ? STATUS_ERROR : STATUS_OK;
    }
    Node *gop = build1(OP_negative, matmul(gb, transpose(x)));
    Node *ga = transposed == 0 ? gop : transpose(gop);
    if (transposed == 2) {
        ga = build_conjugate(ga);
    }
    const double diagonal = unit ? 0.0 : 1.0;
    ga = lower ? lower_part(ga, diagonal) : transpose(lower_part(transpose(ga), diagonal));
    return derive_give(d, 0, build_sum_to(ga, a->ndim, a->shape));
}

static Node *
inverse_transposed(const Derivation *d)
{
    Node *a = d->node->inputs[0];
    return transpose(build_primitive(OP_inv, &a, 1, NULL, 0));
}

/* g of a batch of determinants, as (..., 1, 1). */
static Node *
per_matrix(Node *g)
{
    if (g == NULL) {
        return NULL;
    }
    int64_t shape[ARRAY_MAX_NDIM + 2];
    memcpy(shape, g->shape, (size_t)g->ndim * sizeof(int64_t));
    shape[g->ndim] = shape[g->ndim + 1] = 1;
    return build_reshape(g, g->ndim + 2, shape);
}

static Status
derive_det_logabs(const Derivation *d)
{
    return derive_give(d, 0, build2(OP_multiply, per_matrix(d->g), inverse_transposed(d)));
}

/* The phase turns by Im tr(A^-1 dA); the sign of a real determinant is constant. */
static Status
derive_det_sign(const Derivation *d)
{
    if (!dtype_is_complex((DType)d->node->dtype)) {
        return STATUS_OK;
    }
    Node *turn = build_scalar(0.0, 1.0, DT_c128, WEAK_COMPLEX);
    Node *rate = build1(OP_real, build2(OP_multiply, d->g, build2(OP_multiply, d->node, turn)));
    Node *back = build2(OP_multiply, rate, build_scalar(0.0, -1.0, DT_c128, WEAK_COMPLEX));
    return derive_give(d, 0, build2(OP_multiply, per_matrix(back), inverse_transposed(d)));
}

/* A = V diag(w) V^H, F_ij = 1 / (w_j - w_i): A' = V (diag(w') + F o (V^H V')) V^H (Giles 3.1). */
static Status
derive_eigh(const Derivation *d)
{
    Node *a = d->node->inputs[0];
    const int last = d->node->ndim - 1;
    const int64_t n = a->shape[a->ndim - 1];
    int64_t row[ARRAY_MAX_NDIM], column[ARRAY_MAX_NDIM];
    Node *v = build_slice(d->node, last, 0, n), *w = build_slice(d->node, last, n, 1);
    Node *gv = build_conjugate(build_slice(d->g, last, 0, n));
    Node *gw = build_conjugate(build_slice(d->g, last, n, 1));
    if (v == NULL || w == NULL || gw == NULL) {
        return STATUS_ERROR;
    }
    memcpy(row, w->shape, sizeof(int64_t) * (size_t)w->ndim);
    memcpy(column, w->shape, sizeof(int64_t) * (size_t)w->ndim);
    row[last - 1] = 1;
    row[last] = n;
    column[last - 1] = n;
    column[last] = 1;
    const int64_t square[2] = {n, n};
    Node *diagonal = build_broadcast(diagonal_mask(n), 2, square);
    Node *gap = build2(OP_subtract, build_reshape(w, w->ndim, row),
                       build_reshape(w, w->ndim, column));
    Node *safe = build3(OP_where, diagonal, scalar(1.0), gap);
    Node *rotation = build3(OP_where, diagonal, scalar(0.0),
                            build2(OP_divide, matmul(adjoint(v), gv), safe));
    Node *middle = build3(OP_where, diagonal, build_reshape(gw, w->ndim, row), rotation);
    Node *full = matmul(matmul(v, middle), adjoint(v));
    Node *symmetric = build2(OP_multiply, build2(OP_add, full, adjoint(full)), scalar(0.5));
    return derive_give(d, 0, build_conjugate(symmetric));
}

Status
derive_matrix(const Derivation *d)
{
    switch (d->node->op) {
    case OP_matmul:
        return derive_matmul(d);
    case OP_cholesky:
        return derive_cholesky(d);
    case OP_inv:
        return derive_inv(d);
    case OP_solve:
        return derive_solve(d);
    case OP_solve_triangular:
        return derive_solve_triangular(d);
    case OP_det_logabs:
        return derive_det_logabs(d);
    case OP_det_sign:
        return derive_det_sign(d);
    case OP_eigh:
        return derive_eigh(d);
    default:
        return err_set(ERR_TYPE,
                       "%s has no derivative; stop it with pyarr.stop_gradient, or give it one "
                       "with pyarr.custom_vjp",
                       node_op_name(d->node->op));
    }
}
