/* graph/simplify_hoist.c -- factors move out of backward sums and products (linearity).
 *
 * sum_i (k * f_i) becomes k * sum_i f_i where k does not vary along the reduced axes. Sums run
 * over the cores of terms (simplify_factors.c), which the partial derivatives of one function have
 * in common, and everything else is work on few elements. What may overflow on the way is guarded
 * (see simplify.h). */
#include "graph/simplify_factors.h"

#include <math.h>
#include <string.h>

enum { GUARD_MANY = 4096 }; /* guards of more elements are reduced to one number */

/* ---- sums ---- */

static Status
guard(Simplifier *s, Node *node)
{
    if (node->size > GUARD_MANY) {
        int64_t params[2 + ARRAY_MAX_NDIM] = {0, node->ndim};
        for (int i = 0; i < node->ndim; i++) {
            params[2 + i] = i;
        }
        Node *none = simplify_number(s, 0.0, (DType)node->dtype);
        node = simplify_sum(s, simplify2(s, OP_multiply, node, none), params, 2 + node->ndim);
    }
    return node == NULL ? STATUS_ERROR : vec_push(s->guards, node);
}

/* Is |x| such that products with it are exact? */
static bool
is_power_of_two(double x)
{
    int exponent;
    return fabs(frexp(x, &exponent)) == 0.5;
}

/* |scale| * coef * sum(core). */
static Node *
sum_of_term(Simplifier *s, const Term *t, const Node *x, const int64_t *params, int nparams,
            bool guarded)
{
    const double scale = fabs(t->scale);
    const DType dtype = (DType)x->dtype;
    if (t->core == NULL) {
        int64_t count = 1;
        for (int i = 0; i < params[1]; i++) {
            count *= x->shape[params[2 + i]];
        }
        return simplify_coefficient(s, scale * (double)count, t->coef, dtype);
    }
    Node *sum = simplify_sum(s, t->core, params, nparams);
    if (sum == NULL || ((guarded || t->coef != NULL) && guard(s, sum) != STATUS_OK)) {
        return NULL;
    }
    if (t->coef == NULL) {
        return scale == 1.0 ? sum
                            : simplify2(s, OP_multiply, simplify_number(s, scale, dtype), sum);
    }
    /* An infinite coefficient may have met selected rows only, or none. */
    Node *term = simplify2(s, OP_multiply, simplify_coefficient(s, scale, t->coef, dtype), sum);
    return term == NULL || guard(s, term) != STATUS_OK ? NULL : term;
}

static Node *
sum_of_terms(Simplifier *s, const Terms *t, const Node *x, const int64_t *params, int nparams)
{
    Node *total = NULL;
    const bool guarded = t->count > 1 || !is_power_of_two(t->at[0].scale);
    for (int pass = 0; pass < 2; pass++) { /* positive terms first: the others are subtracted */
        for (int i = 0; i < t->count; i++) {
            if ((t->at[i].scale < 0) != (pass == 1)) {
                continue;
            }
            Node *term = sum_of_term(s, &t->at[i], x, params, nparams, guarded);
            if (total == NULL) {
                total = pass == 0 ? term : simplify1(s, OP_negative, term);
            } else {
                total = simplify2(s, pass == 0 ? OP_add : OP_subtract, total, term);
            }
            if (total == NULL) {
                return NULL;
            }
        }
    }
    return total;
}

static int
reduce_params(uint64_t axes, int ndim, int64_t *params)
{
    params[0] = 0;
    params[1] = 0;
    for (int i = 0; i < ndim; i++) {
        if (axes >> i & 1) {
            params[2 + params[1]++] = i;
        }
    }
    return 2 + (int)params[1];
}

/* Does a factor move out of a sum along these axes that varies along others? */
static bool
moves_some(const Terms *t)
{
    const Term *one = &t->at[0];
    return t->count == 1 && one->core != NULL && one->coef != NULL &&
           (all_axes(one->coef) & ~simplify_repeats(one->coef)) != 0;
}

static Node *sum_over(Simplifier *s, Node *x, uint64_t axes);

/* sum_ij (u_i * f_ij) as sum_i (u_i * sum_j f_ij); *out stays NULL where nothing moves. */
static Status
sum_in_two(Simplifier *s, Node *x, uint64_t axes, Node **out)
{
    int64_t params[2 + ARRAY_MAX_NDIM];
    for (int i = x->ndim - 1; i >= 0; i--) {
        const uint64_t inner = axes & (UINT64_C(1) << i);
        if (inner == 0 || inner == axes || x->shape[i] < LONG_AXIS) {
            continue;
        }
        const Terms t = simplify_factor(s, x, inner);
        if (!moves_some(&t)) {
            continue;
        }
        const int nparams = reduce_params(inner, x->ndim, params);
        Node *partial = sum_of_terms(s, &t, x, params, nparams);
        if (partial == NULL) {
            return STATUS_ERROR;
        }
        const uint64_t below = axes & (inner - 1), above = axes & ~below & ~inner;
        *out = sum_over(s, partial, below | above >> 1);
        return *out == NULL ? STATUS_ERROR : STATUS_OK;
    }
    return STATUS_OK;
}

static Node *
sum_over(Simplifier *s, Node *x, uint64_t axes)
{
    int64_t params[2 + ARRAY_MAX_NDIM];
    Node *in_two = NULL;
    if (sum_in_two(s, x, axes, &in_two) != STATUS_OK || in_two != NULL) {
        return in_two;
    }
    const Terms t = simplify_factor(s, x, axes);
    const int nparams = reduce_params(axes, x->ndim, params);
    return sum_of_terms(s, &t, x, params, nparams);
}

static Node *
hoist_sum(Simplifier *s, Node *node, Node *x)
{
    uint64_t axes = 0;
    for (int i = 0; i < node->params[1]; i++) {
        axes |= UINT64_C(1) << node->params[2 + i];
    }
    Node *sum = sum_over(s, x, axes);
    /* A coefficient without axes stands for all places of the result. */
    return sum == NULL || sum->ndim == node->ndim
               ? sum
               : simplify_broadcast(s, sum, node->ndim, node->shape);
}

/* ---- matrix products ---- */

/* A @ (k * r) is k * (A @ r) for a number k, where the result is the smaller array. */
static Node *
hoist_matmul(Simplifier *s, Node *node, Node *const *in)
{
    Node *now[2] = {in[0], in[1]}, *coef = NULL;
    bool exact = true;
    const DType dtype = (DType)node->dtype;
    for (int i = 0; i < 2; i++) {
        if (node->size >= in[i]->size || !is_backward(in[i])) {
            continue;
        }
        const Terms t = simplify_factor(s, in[i], all_axes(in[i]));
        if (t.count == 1 && t.at[0].core != NULL && t.at[0].core != in[i]) {
            now[i] = t.at[0].core;
            exact = exact && t.at[0].coef == NULL && is_power_of_two(t.at[0].scale);
            coef = times(s, coef, simplify_coefficient(s, t.at[0].scale, t.at[0].coef, dtype));
        }
    }
    Node *product = simplify_again(s, node, now);
    if (coef == NULL || product == NULL) {
        return product;
    }
    Node *out = simplify2(s, OP_multiply, coef, product);
    if (out == NULL || exact) {
        return out;
    }
    return guard(s, product) == STATUS_OK && guard(s, out) == STATUS_OK ? out : NULL;
}

Node *
simplify_hoist(Simplifier *s, Node *node, Node *const *in)
{
    if (!is_backward(node) || !simplify_is_real(node) || !dtype_is_float((DType)in[0]->dtype) ||
        in[0]->size == 0 || !s->options.hoist) {
        return simplify_again(s, node, in);
    }
    if (node->op == OP_sum && node->params[1] > 0) {
        return hoist_sum(s, node, in[0]);
    }
    return node->op == OP_matmul ? hoist_matmul(s, node, in) : simplify_again(s, node, in);
}

/* Values that are needed whole and whose core is there anyway are coef * core: what led to them
 * in another way is not needed then. Nodes of the pass that is running have a mark. */
Node *
simplify_collapse(Simplifier *s, Node *node, Node *const *in)
{
    uint64_t at;
    const uint64_t axes = all_axes(node);
    if (is_backward(node) && node->ndim > 0 &&
        hash_get(&s->factored, hash_combine((uint64_t)(uintptr_t)node, axes), &at)) {
        const Terms *t = &s->terms.data[at - 1];
        const Term *one = &t->at[0];
        if (t->of == node && t->axes == axes && t->count == 1 && one->core != NULL &&
            one->core != node && one->core->mark > 0) {
            Node *coef = simplify_coefficient(s, one->scale, one->coef, (DType)node->dtype);
            return simplify2(s, OP_multiply, coef, one->core);
        }
    }
    return simplify_again(s, node, in);
}
