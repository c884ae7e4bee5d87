/* graph/simplify_factors.c -- backward values as sums of terms scale * coef * core: `coef` lies on
 * the axes that stay when it is summed, `core` varies along the reduced ones.
 *
 * Forward products are split as well where they are factors of backward ones. Rounding in
 * backward nodes is ours; what may overflow is guarded (simplify_hoist.c). */
#include "graph/simplify_factors.h"

#include <math.h>
#include <string.h>

enum { DEEPEST = 150 }; /* nested factors: the C stack is finite */

static Terms factor(Simplifier *s, Node *x, uint64_t axes, int depth);

/* ---- terms ---- */

static Terms
whole(Node *x, uint64_t axes)
{
    return (Terms){.of = x, .axes = axes, .count = 1, .at = {{1.0, NULL, x}}};
}

/* x itself when it repeats along the axes: all coefficient. */
static bool
repeats_along(Node *x, uint64_t axes)
{
    return (axes & ~simplify_repeats(x)) == 0;
}

static Term
coefficient(Simplifier *s, Node *x, uint64_t axes)
{
    Term t = {1.0, simplify_drop_axes(s, x, axes), NULL};
    double value;
    if (t.coef != NULL && node_uniform(t.coef, &value) && isfinite(value)) {
        t.scale = value;
        t.coef = NULL;
    }
    return t;
}

static bool
is_plain(const Terms *t)
{
    return t->count == 1 && t->at[0].core == t->of;
}

/* where(h == 0, 0, x / h) with h = hypot(x, .) or hypot(., x): gives x, else NULL. Times h it
 * is x, since x is 0 where h is. */
static Node *
slope_of_hypot(Node *node, Node **h)
{
    double zero;
    if (!simplify_is(node, OP_where) || !simplify_is(node->inputs[0], OP_equal) ||
        !simplify_is(node->inputs[2], OP_divide) || !node_uniform(node->inputs[1], &zero) ||
        zero != 0) {
        return NULL;
    }
    const Node *test = node->inputs[0], *quotient = node->inputs[2];
    Node *x = quotient->inputs[0];
    *h = quotient->inputs[1];
    const bool at_zero = test->inputs[0] == *h && node_uniform(test->inputs[1], &zero) && zero == 0;
    const bool known = at_zero && simplify_is(*h, OP_hypot) &&
                       ((*h)->inputs[0] == x || (*h)->inputs[1] == x);
    return known ? x : NULL;
}

static Node *
core_product(Simplifier *s, Node *x, Node *y)
{
    Node *h, *part = slope_of_hypot(y, &h);
    if (part != NULL && simplify_is(x, OP_multiply)) {
        for (int i = 0; i < 2; i++) {
            if (x->inputs[i] == h) {
                return simplify2(s, OP_multiply, x->inputs[1 - i], part);
            }
        }
    }
    return simplify2(s, OP_multiply, x, y);
}

/* (a * b) / y as (a / y) * b where a / y is there: the derivative of a quotient has both. */
static Node *
core_quotient(Simplifier *s, Node *x, Node *y)
{
    if (simplify_is(x, OP_multiply)) {
        for (int i = 0; i < 2; i++) {
            Node *known = simplify_find2(s, OP_divide, x->inputs[i], y);
            if (known != NULL) {
                return simplify2(s, OP_multiply, known, x->inputs[1 - i]);
            }
        }
    }
    return simplify2(s, OP_divide, x, y);
}

static Term
term_product(Simplifier *s, const Term *a, const Term *b)
{
    Term t = {a->scale * b->scale, times(s, a->coef, b->coef), NULL};
    t.core = a->core != NULL && b->core != NULL ? core_product(s, a->core, b->core)
                                                : (a->core != NULL ? a->core : b->core);
    return t;
}

/* ---- sums of terms ---- */

/* The coefficient with its scale, on the axes that stay (no axes: a number). */
Node *
simplify_coefficient(Simplifier *s, double scale, Node *coef, DType dtype)
{
    if (coef == NULL) {
        return simplify_number(s, scale, dtype);
    }
    if (scale == 1.0) {
        return coef;
    }
    return scale == -1.0 ? simplify1(s, OP_negative, coef)
                         : simplify2(s, OP_multiply, simplify_number(s, scale, dtype), coef);
}

/* One coefficient for both of two terms with the same core. */
static void
merge_coefs(Simplifier *s, Term *a, const Term *b, DType dtype)
{
    if (a->coef == b->coef) {
        a->scale += b->scale;
        return;
    }
    Node *x = simplify_coefficient(s, a->scale, a->coef, dtype);
    Node *y = simplify_coefficient(s, b->scale, b->coef, dtype);
    a->scale = 1.0;
    a->coef = simplify2(s, OP_add, x, y);
}

/* Equal coefficients but for the sign: the cores are added. */
static bool
merge_cores(Simplifier *s, Term *a, const Term *b)
{
    if (a->coef != b->coef || fabs(a->scale) != fabs(b->scale) || a->core == NULL ||
        b->core == NULL) {
        return false;
    }
    if (a->scale == b->scale) {
        a->core = simplify2(s, OP_add, a->core, b->core);
    } else if (a->scale > 0) {
        a->core = simplify2(s, OP_subtract, a->core, b->core);
    } else {
        a->core = simplify2(s, OP_subtract, b->core, a->core);
        a->scale = b->scale;
    }
    return true;
}

static bool
add_term(Simplifier *s, Terms *sum, const Term *t, DType dtype)
{
    for (int i = 0; i < sum->count; i++) {
        if (sum->at[i].core == t->core) {
            merge_coefs(s, &sum->at[i], t, dtype);
            return true;
        }
    }
    if (sum->count == TERMS_MAX) {
        return false;
    }
    sum->at[sum->count++] = *t;
    return true;
}

static Terms
factor_sum(Simplifier *s, Node *x, uint64_t axes, int depth, double sign)
{
    Terms sum = factor(s, x->inputs[0], axes, depth);
    const Terms b = factor(s, x->inputs[1], axes, depth);
    if (is_plain(&sum) && is_plain(&b) && x->inputs[0] != x->inputs[1]) {
        return whole(x, axes);
    }
    for (int i = 0; i < b.count; i++) {
        Term t = b.at[i];
        t.scale *= sign;
        if (!add_term(s, &sum, &t, (DType)x->dtype)) {
            return whole(x, axes);
        }
    }
    for (int i = 0; i < sum.count; i++) {
        for (int k = i + 1; k < sum.count; k++) {
            if (merge_cores(s, &sum.at[i], &sum.at[k])) {
                sum.at[k] = sum.at[--sum.count];
                k = i;
            }
        }
    }
    return sum;
}

/* ---- products ---- */

/* (a * d) * d, or (a * (k * d)) * d for a k that moves out, where d * d is there already and
 * nobody else reads a * d: one product less. */
static bool
factor_square(Simplifier *s, Node *x, uint64_t axes, int depth, Terms *out)
{
    for (int i = 0; i < 4 && is_backward(x); i++) {
        Node *first = x->inputs[i & 1], *d = x->inputs[1 - (i & 1)], *number = NULL;
        const bool needed = first->mark == 0 || s->readers[first->mark - 1] != 1;
        if (needed || !simplify_is(first, OP_multiply) || !is_backward(first)) {
            continue;
        }
        Node *second = first->inputs[i >> 1], *rest = first->inputs[1 - (i >> 1)];
        if (second != d && simplify_is(second, OP_multiply)) {
            const int at = second->inputs[0] == d ? 1 : 0;
            number = repeats_along(second->inputs[at], axes) ? second->inputs[at] : NULL;
            second = number != NULL ? second->inputs[1 - at] : second;
        }
        Node *square = second == d ? simplify_find2(s, OP_multiply, d, d) : NULL;
        if (square == NULL || is_backward(square)) {
            continue;
        }
        const Terms a = factor(s, rest, axes, depth), b = whole(square, axes);
        if (a.count != 1) {
            continue;
        }
        *out = whole(x, axes);
        out->at[0] = term_product(s, &a.at[0], &b.at[0]);
        if (number != NULL) {
            const Term k = coefficient(s, number, axes);
            out->at[0] = term_product(s, &out->at[0], &k);
        }
        return true;
    }
    return false;
}

static Terms
factor_product(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    Node *const *in = x->inputs;
    Terms squared;
    if (factor_square(s, x, axes, depth, &squared)) {
        return squared;
    }
    const bool left = repeats_along(in[0], axes), right = repeats_along(in[1], axes);
    if (!is_backward(x) && !left && !right) {
        return whole(x, axes);
    }
    Terms a = factor(s, in[0], axes, depth), b = factor(s, in[1], axes, depth);
    if (b.count > 1 && left) {
        const Terms t = a;
        a = b;
        b = t;
    }
    if (b.count > 1) {
        b = whole(in[1], axes);
    }
    if (a.count > 1 && b.at[0].core != NULL) {
        a = whole(in[0], axes);
    }
    if (is_plain(&a) && is_plain(&b)) {
        Node *core = core_product(s, a.at[0].core, b.at[0].core);
        Terms t = whole(x, axes);
        t.at[0].core = is_backward(x) && core != NULL ? core : x;
        return t;
    }
    for (int i = 0; i < a.count; i++) {
        a.at[i] = term_product(s, &a.at[i], &b.at[0]);
    }
    return a;
}

static Terms
factor_quotient(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    Node *const *in = x->inputs;
    const bool right = repeats_along(in[1], axes);
    if (!is_backward(x) && !right) {
        return whole(x, axes);
    }
    Terms a = factor(s, in[0], axes, depth);
    if (!right) {
        if (a.count > 1) {
            a = whole(in[0], axes);
        }
        Term *t = &a.at[0];
        t->core = t->core == NULL ? simplify1(s, OP_reciprocal, in[1])
                                  : core_quotient(s, t->core, in[1]);
        return a;
    }
    const Term divisor = coefficient(s, in[1], axes);
    if (divisor.coef == NULL && divisor.scale == 0) {
        return whole(x, axes);
    }
    for (int i = 0; i < a.count; i++) {
        Term *t = &a.at[i];
        if (divisor.coef == NULL) {
            t->scale /= divisor.scale;
        } else if (t->coef != NULL) {
            t->coef = simplify2(s, OP_divide, t->coef, divisor.coef);
        } else {
            Node *scale = simplify_number(s, t->scale, (DType)x->dtype);
            t->coef = simplify2(s, OP_divide, scale, divisor.coef);
            t->scale = 1.0;
        }
    }
    return a;
}

/* where(c, k * f, 0) is k * where(c, f, 0). */
static Terms
factor_where(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    double zero;
    for (int i = 1; i < 3 && is_backward(x); i++) {
        if (!node_uniform(x->inputs[3 - i], &zero) || zero != 0) {
            continue;
        }
        Terms a = factor(s, x->inputs[i], axes, depth);
        Term *t = &a.at[0];
        if (a.count > 1 || t->core == NULL || is_plain(&a)) {
            break;
        }
        t->core = i == 1 ? simplify3(s, OP_where, x->inputs[0], t->core, x->inputs[2])
                         : simplify3(s, OP_where, x->inputs[0], x->inputs[1], t->core);
        return a;
    }
    return whole(x, axes);
}

/* Elements from one index along the axis to the next, in C order. */
static int64_t
step_along(const Node *node, int axis)
{
    int64_t step = 1;
    for (int i = axis + 1; i < node->ndim; i++) {
        step *= node->shape[i];
    }
    return step;
}

/* The axes of `base` that a change of shape leaves as the axes of x; 0 where some are none. */
static uint64_t
kept_axes(const Node *x, const Node *base, uint64_t axes)
{
    uint64_t kept = 0;
    if (x->size != base->size || x->size == 0 ||
        !geometry_is_identity(x->params, x->ndim, x->shape)) {
        return 0;
    }
    for (int i = 0; i < x->ndim; i++) {
        uint64_t found = 0;
        for (int k = 0; k < base->ndim && (axes >> i & 1) != 0; k++) {
            if (base->shape[k] == x->shape[i] && step_along(base, k) == step_along(x, i)) {
                found = UINT64_C(1) << k;
            }
        }
        if ((axes >> i & 1) != 0 && found == 0) {
            return 0;
        }
        kept |= found;
    }
    return kept;
}

static bool
has_coefficients(const Terms *t)
{
    for (int i = 0; i < t->count; i++) {
        if (t->at[i].coef != NULL || t->at[i].core == NULL) {
            return true;
        }
    }
    return false;
}

/* The elements in another order, all axes being reduced, or in another shape of which axes are
 * left out: the same factors. */
static Terms
factor_view(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    Node *base = x->inputs[0];
    int64_t inverse[GEOMETRY_MAX];
    const bool all = axes == all_axes(x) &&
                     geometry_inverse(x->params, base->ndim, base->shape, inverse);
    const uint64_t kept = all ? all_axes(base) : kept_axes(x, base, axes);
    if (!all && kept == 0) {
        return whole(x, axes);
    }
    Terms t = factor(s, base, kept, depth);
    if (!all && has_coefficients(&t)) { /* which have the shape of the base's other axes */
        return whole(x, axes);
    }
    for (int i = 0; i < t.count; i++) {
        if (t.at[i].core != NULL) {
            t.at[i].core = simplify_view(s, t.at[i].core, x->params);
        }
    }
    return t;
}

/* ---- any node ---- */

static Terms
factor_op(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    switch (x->op) {
    case OP_multiply:
        return factor_product(s, x, axes, depth);
    case OP_divide:
        return factor_quotient(s, x, axes, depth);
    case OP_where:
        return factor_where(s, x, axes, depth);
    case OP_view:
        return factor_view(s, x, axes, depth);
    case OP_negative: {
        Terms t = factor(s, x->inputs[0], axes, depth);
        for (int i = 0; i < t.count; i++) {
            t.at[i].scale = -t.at[i].scale;
        }
        return t;
    }
    case OP_add:
    case OP_subtract:
        if (is_backward(x)) {
            return factor_sum(s, x, axes, depth, x->op == OP_add ? 1.0 : -1.0);
        }
        return whole(x, axes);
    default:
        return whole(x, axes);
    }
}

/* Scales are numbers as long as nothing overflows. */
static bool
is_finite(const Terms *t)
{
    for (int i = 0; i < t->count; i++) {
        if (!isfinite(t->at[i].scale)) {
            return false;
        }
    }
    return t->count > 0;
}

static Terms
factor(Simplifier *s, Node *x, uint64_t axes, int depth)
{
    const uint64_t key = hash_combine((uint64_t)(uintptr_t)x, axes);
    uint64_t at;
    if (repeats_along(x, axes)) {
        return (Terms){.of = x, .axes = axes, .count = 1, .at = {coefficient(s, x, axes)}};
    }
    if (hash_get(&s->factored, key, &at) && s->terms.data[at - 1].of == x &&
        s->terms.data[at - 1].axes == axes) {
        return s->terms.data[at - 1];
    }
    if (depth == DEEPEST || node_has_value(x)) {
        return whole(x, axes);
    }
    Terms t = factor_op(s, x, axes, depth + 1);
    if (!is_finite(&t)) {
        t = whole(x, axes);
    }
    t.of = x;
    t.axes = axes;
    if (vec_push(&s->terms, t) == STATUS_OK) {
        (void)hash_set(&s->factored, key, (uint64_t)s->terms.size);
    }
    return t;
}

Terms
simplify_factor(Simplifier *s, Node *x, uint64_t axes)
{
    return factor(s, x, axes, 0);
}
