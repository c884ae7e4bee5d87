/* graph/simplify_complex.c -- complex elementwise work as work on real and imaginary parts.
 *
 * Where a complex value is made of real ones, or only its parts are read, the parts are computed
 * by themselves, by the formulas of ops/complex.def, whose bits they have: machine code serves
 * them, and sums, stages and the moving of factors see real numbers. make_complex puts them
 * together for library calls and results alone.
 *
 * A change of shape between elementwise nodes moves so that they have one index space. */
#include "graph/simplify_nodes.h"

#include <string.h>

enum { DEEPEST = 32 }; /* elementwise nodes below one whose parts are read */

typedef struct Parts {
    Node *re, *im;
} Parts;

/* An op to be applied. */
typedef struct Work {
    int op;
    Node *const *in;
    int nin;
    const int64_t *params;
    int nparams;
    Spec spec;
} Work;

static bool
is_complex(const Node *node)
{
    return node->dtype == DT_c128;
}

/* ---- parts of what there is ---- */

/* A cast of real numbers, but for lone numbers: those multiply complex values as they are. */
static bool
is_real_cast(Node *z)
{
    return simplify_is(z, OP_cast) && is_complex(z) && z->inputs[0]->dtype == DT_f64 &&
           simplify_below_views(z->inputs[0])->size > 1;
}

static bool
is_split(Node *z)
{
    z = simplify_below_views(z);
    return is_complex(z) && (simplify_is(z, OP_make_complex) || is_real_cast(z));
}

static Node *
part(Simplifier *s, OpCode op, Node *z)
{
    const int64_t params[1] = {DT_c128};
    Spec spec;
    if (z == NULL) {
        return NULL;
    }
    node_spec(z, &spec);
    spec.dtype = DT_f64;
    spec.weak = WEAK_NONE;
    return simplify_op(s, op, &z, 1, params, 1, &spec);
}

static Node *
of_parts(Simplifier *s, Parts p, const Spec *spec)
{
    const int64_t params[1] = {DT_f64};
    Node *in[2] = {simplify_broadcast(s, p.re, spec->ndim, spec->shape),
                   simplify_broadcast(s, p.im, spec->ndim, spec->shape)};
    return simplify_op(s, OP_make_complex, in, 2, params, 1, spec);
}

static Parts parts_of(Simplifier *s, Node *z, int depth);

static Parts
parts_of_view(Simplifier *s, Node *z, int depth)
{
    Node *base = z->inputs[0];
    const Parts p = parts_of(s, base, depth);
    Node *both[2] = {p.re, p.im};
    for (int i = 0; i < 2; i++) {
        if (both[i] != NULL && both[i]->ndim > 0) {
            both[i] = simplify_view(s, both[i], z->params);
        } else if (base->ndim == 0) {
            both[i] = both[i] == NULL || z->ndim == 0
                          ? both[i]
                          : simplify_broadcast(s, both[i], z->ndim, z->shape);
        }
    }
    return (Parts){both[0], both[1]};
}

/* x + y * -z and not x - y * z, as in complex.def */
static Parts
product(Simplifier *s, Parts z, Parts w)
{
    Node *minus = simplify2(s, OP_multiply, z.im, simplify1(s, OP_negative, w.im));
    return (Parts){
        simplify2(s, OP_add, simplify2(s, OP_multiply, z.re, w.re), minus),
        simplify2(s, OP_add, simplify2(s, OP_multiply, z.re, w.im),
                  simplify2(s, OP_multiply, z.im, w.re)),
    };
}

static Parts
exponential(Simplifier *s, Parts z)
{
    Node *cosine = simplify1(s, OP_cos, z.im), *sine = simplify1(s, OP_sin, z.im);
    return (Parts){simplify3(s, OP_exp_real, cosine, z.im, z.re),
                   simplify3(s, OP_exp_imag, sine, z.im, z.re)};
}

static bool
is_linear(int op)
{
    return op == OP_add || op == OP_subtract || op == OP_multiply || op == OP_negative ||
           op == OP_conjugate;
}

/* The parts of an op that has a formula for them. */
static Parts
parts_of_op(Simplifier *s, int op, Node *const *in, int depth)
{
    Parts z = {NULL, NULL}, w = {NULL, NULL};
    if (op == OP_where) {
        z = parts_of(s, in[1], depth);
        w = parts_of(s, in[2], depth);
        return (Parts){simplify3(s, OP_where, in[0], z.re, w.re),
                       simplify3(s, OP_where, in[0], z.im, w.im)};
    }
    z = parts_of(s, in[0], depth);
    switch (op) {
    case OP_negative:
        return (Parts){simplify1(s, OP_negative, z.re), simplify1(s, OP_negative, z.im)};
    case OP_conjugate:
        return (Parts){z.re, simplify1(s, OP_negative, z.im)};
    case OP_exp:
        return exponential(s, z);
    case OP_square:
        return product(s, z, z);
    default:
        w = parts_of(s, in[1], depth);
        return op == OP_multiply ? product(s, z, w)
                                 : (Parts){simplify2(s, (OpCode)op, z.re, w.re),
                                           simplify2(s, (OpCode)op, z.im, w.im)};
    }
}

static Parts
parts_of(Simplifier *s, Node *z, int depth)
{
    if (z == NULL) {
        return (Parts){NULL, NULL};
    }
    if (simplify_is(z, OP_make_complex)) {
        return (Parts){z->inputs[0], z->inputs[1]};
    }
    if (is_real_cast(z)) {
        return (Parts){z->inputs[0], simplify_number(s, 0.0, DT_f64)};
    }
    Node *base = simplify_below_views(z);
    if (base != z && (is_split(base) || base->size == 1)) {
        return parts_of_view(s, z, depth);
    }
    if (depth > 0 && simplify_is_elementwise(z) && is_linear(z->op)) {
        return parts_of_op(s, z->op, z->inputs, depth - 1);
    }
    return (Parts){part(s, OP_real, z), part(s, OP_imag, z)};
}

/* ---- which nodes ---- */

static bool
has_parts(int op)
{
    return is_linear(op) || op == OP_exp || op == OP_square || op == OP_where;
}

/* A part of a value, or its square of the modulus, from its parts where that pays. */
static Node *
split_part(Simplifier *s, const Work *w)
{
    Node *z = w->in[0], *base = simplify_below_views(z);
    if (!is_complex(z) ||
        !(is_split(z) || (simplify_is_elementwise(base) && is_linear(base->op)))) {
        return NULL;
    }
    const Parts p = parts_of(s, z, DEEPEST);
    Node *out = w->op == OP_real || w->op == OP_cast ? p.re
                : w->op == OP_imag                   ? p.im
                                   : simplify2(s, OP_add, simplify2(s, OP_multiply, p.re, p.re),
                                               simplify2(s, OP_multiply, p.im, p.im));
    return simplify_broadcast(s, out, w->spec.ndim, w->spec.shape);
}

/* ---- forward products that backward ones have in them ---- */

/* Remember what a forward product became. */
static Node *
note_product(Simplifier *s, const Work *w, Node *out)
{
    const bool backward = node_set_backward(false);
    (void)node_set_backward(backward);
    if (w->op == OP_multiply && s->options.fast && !backward && out != NULL &&
        vec_push(&s->products, (SplitProduct){{w->in[0], w->in[1]}, out}) != STATUS_OK) {
        s->failed = true;
        return NULL;
    }
    return out;
}

static Node *
known_product(const Simplifier *s, const Node *x, const Node *y)
{
    for (int64_t i = 0; i < s->products.size; i++) {
        const SplitProduct *p = &s->products.data[i];
        if ((p->in[0] == x && p->in[1] == y) || (p->in[0] == y && p->in[1] == x)) {
            return p->out;
        }
    }
    return NULL;
}

/* (c * x) * y as c * (x * y) in backward nodes, where the forward ones have x * y: as with
 * z = x exp(w), whose derivative by w is z. */
static void
regroup_product(Simplifier *s, const Work *w, Node **in)
{
    const bool backward = node_set_backward(false);
    (void)node_set_backward(backward);
    for (int i = 0; i < 2 && backward && s->options.fast && w->op == OP_multiply; i++) {
        Node *outer = w->in[1 - i], *inner = w->in[i];
        for (int k = 0; k < 2 && simplify_is(inner, OP_multiply); k++) {
            Node *product = known_product(s, inner->inputs[k], outer);
            if (product != NULL) {
                in[0] = inner->inputs[1 - k];
                in[1] = product;
                return;
            }
        }
    }
}

static Node *
split(Simplifier *s, const Work *w)
{
    if (w->op == OP_real || w->op == OP_imag || w->op == OP_abs2 ||
        (w->op == OP_cast && w->spec.dtype == DT_f64)) {
        return split_part(s, w);
    }
    if (w->spec.dtype != DT_c128 || !has_parts(w->op)) {
        return NULL;
    }
    for (int i = 0; i < w->nin; i++) {
        if (is_split(w->in[i])) {
            Node *in[3] = {w->in[0], w->nin > 1 ? w->in[1] : NULL, w->nin > 2 ? w->in[2] : NULL};
            regroup_product(s, w, in);
            Node *out = of_parts(s, parts_of_op(s, w->op, in, DEEPEST), &w->spec);
            return note_product(s, w, out);
        }
    }
    return NULL;
}

static Node *
work(Simplifier *s, const Work *w)
{
    Node *out = split(s, w);
    return out != NULL || s->failed
               ? out
               : simplify_op(s, w->op, w->in, w->nin, w->params, w->nparams, &w->spec);
}

/* ---- one index space ---- */

/* Does the view change the shape of `base` and nothing else? */
static bool
is_reshape(const Node *view, const Node *base)
{
    return view->size == base->size && view->size > 1 &&
           geometry_is_identity(view->params, view->ndim, view->shape);
}

/* Is the node, in another shape, still read where its elements lie? */
static bool
can_reshape(Node *node, const int64_t *geometry)
{
    int64_t composed[GEOMETRY_MAX];
    return node->size == 1 || !simplify_is(node, OP_view) ||
           geometry_compose(node->params, geometry, composed);
}

static Node *
in_shape(Simplifier *s, Node *node, const int64_t *geometry)
{
    if (node->size == 1) {
        while (simplify_is(node, OP_view)) {
            node = node->inputs[0];
        }
    }
    return node->ndim == 0
               ? simplify_broadcast(s, node, (int)geometry[1], geometry + 2)
               : simplify_view(s, node, geometry);
}

/* The work over the shape of `geometry`, a change of its own, or NULL where an input cannot be
 * read so. */
static Node *
work_in_shape(Simplifier *s, const Work *w, const int64_t *geometry)
{
    Node *in[3];
    Work other = *w;
    for (int i = 0; i < w->nin; i++) {
        if (!can_reshape(w->in[i], geometry)) {
            return NULL;
        }
    }
    for (int i = 0; i < w->nin; i++) {
        in[i] = in_shape(s, w->in[i], geometry);
        if (in[i] == NULL) {
            return NULL;
        }
    }
    other.in = in;
    other.spec.ndim = (int)geometry[1];
    memcpy(other.spec.shape, geometry + 2, (size_t)other.spec.ndim * sizeof(int64_t));
    return work(s, &other);
}

/* f(reshape(x), y) as reshape(f(x, y reshaped)), where x is elementwise work and y is none. */
static Node *
reshape_after(Simplifier *s, const Work *w)
{
    int64_t geometry[GEOMETRY_MAX], back[GEOMETRY_MAX];
    Node *first = NULL;
    for (int i = 0; i < w->nin; i++) {
        Node *base = simplify_is(w->in[i], OP_view) ? w->in[i]->inputs[0] : NULL;
        if (base != NULL && is_reshape(w->in[i], base) && simplify_is_elementwise(base)) {
            if (first != NULL && (base->ndim != first->ndim ||
                                  !shape_equal(base->ndim, base->shape, first->shape))) {
                return NULL;
            }
            first = base;
        } else if (simplify_is_elementwise(simplify_below_views(w->in[i])) &&
                   simplify_below_views(w->in[i])->size > 1) {
            return NULL;
        }
    }
    if (first == NULL) {
        return NULL;
    }
    geometry_contiguous(first->ndim, first->shape, geometry);
    Node *out = work_in_shape(s, w, geometry);
    geometry_contiguous(w->spec.ndim, w->spec.shape, back);
    return out == NULL ? NULL : simplify_view(s, out, back);
}

/* reshape(f(x, y)), which alone reads f, as f of reshaped inputs where these are no elementwise
 * work: whoever reads it does so over the new shape. */
static Node *
reshape_before(Simplifier *s, Node *node, Node *const *in)
{
    Node *base = in[0];
    if (is_reshape(node, base) && simplify_is_elementwise(base) &&
        s->readers[node->inputs[0]->mark - 1] == 1) {
        Work w = {base->op, base->inputs, base->nin, base->params, base->nparams, {0}};
        node_spec(base, &w.spec);
        for (int i = 0; i < w.nin; i++) {
            if (simplify_is_elementwise(simplify_below_views(w.in[i]))) {
                return NULL;
            }
        }
        return work_in_shape(s, &w, node->params);
    }
    return NULL;
}

/* A backward sum, whose order is ours. */
static Node *
split_sum(Simplifier *s, const Node *node, Node *x)
{
    if (!is_complex(node) || !is_split(x) || !(node->flags & NODE_BACKWARD) || !s->options.fast) {
        return NULL;
    }
    Spec spec;
    node_spec(node, &spec);
    Parts p = parts_of(s, x, DEEPEST);
    Node **const both[2] = {&p.re, &p.im};
    for (int k = 0; k < 2; k++) {
        Node *whole = simplify_broadcast(s, *both[k], x->ndim, x->shape);
        *both[k] = simplify_sum(s, whole, node->params, node->nparams);
    }
    return of_parts(s, p, &spec);
}

/* A real matrix multiplies real and imaginary parts by themselves. */
static Node *
real_products(Simplifier *s, const Node *node, Node *const *in)
{
    const int real = is_real_cast(simplify_below_views(in[0])) ? 0 : 1, other = 1 - real;
    const Parts x = parts_of(s, in[real], DEEPEST), z = parts_of(s, in[other], DEEPEST);
    Node *const from[2] = {z.re, z.im};
    Node *products[2] = {NULL, NULL};
    Spec whole, spec;
    node_spec(node, &whole);
    spec = whole;
    spec.dtype = DT_f64;
    spec.weak = WEAK_NONE;
    for (int k = 0; k < 2; k++) {
        Node *factors[2];
        factors[real] = x.re;
        factors[other] = simplify_broadcast(s, from[k], in[other]->ndim, in[other]->shape);
        products[k] = simplify_op(s, OP_matmul, factors, 2, NULL, 0, &spec);
    }
    return of_parts(s, (Parts){products[0], products[1]}, &whole);
}

/* A product of complex matrices may be made of three real ones, or two. */
static Node *
split_matmul(Simplifier *s, const Node *node, Node *const *in)
{
    const int64_t params[1] = {true};
    Spec spec;
    if (!s->options.fast || !dtype_is_complex((DType)node->dtype)) {
        return NULL;
    }
    if (is_real_cast(simplify_below_views(in[0])) != is_real_cast(simplify_below_views(in[1]))) {
        return real_products(s, node, in);
    }
    node_spec(node, &spec);
    return simplify_op(s, OP_matmul, in, 2, params, 1, &spec);
}

Node *
simplify_split(Simplifier *s, Node *node, Node *const *in)
{
    Node *out = NULL;
    if (node->op == OP_sum) {
        out = split_sum(s, node, in[0]);
    } else if (node->op == OP_matmul) {
        out = split_matmul(s, node, in);
    } else if (node->op == OP_view) {
        out = reshape_before(s, node, in);
    } else if (node->op < OP_COUNT && (op_is_elementwise((OpCode)node->op) || node->op == OP_cast)) {
        Work w = {node->op, in, node->nin, node->params, node->nparams, {0}};
        node_spec(node, &w.spec);
        out = reshape_after(s, &w);
        out = out != NULL || s->failed ? out : split(s, &w);
    }
    return out != NULL || s->failed ? out : simplify_again(s, node, in);
}

/* ---- parts that lie in memory ---- */

/* x as the part of a value that is stored anyway, or x. */
static Node *
stored_part(Simplifier *s, Node *x)
{
    for (int64_t i = 0; i < s->stored.size && x->dtype == DT_f64; i++) {
        Node *z = s->stored.data[i];
        for (int k = 0; k < 2; k++) {
            if (z->inputs[k] == x && x->size > 1) {
                const int64_t params[1] = {DT_c128};
                Spec spec;
                node_spec(x, &spec);
                return simplify_plain(s, k == 0 ? OP_real : OP_imag, &z, 1, params, 1, &spec);
            }
        }
    }
    return x;
}

/* Backward nodes read the parts of a complex value that was made for a library call out of it:
 * the parts themselves need no memory. The last pass, since others undo this. */
Node *
simplify_reread(Simplifier *s, Node *node, Node *const *in)
{
    const bool elementwise = simplify_is_elementwise(node);
    Node *now[3];
    for (int i = 0; i < node->nin && !elementwise; i++) {
        Node *z = simplify_below_views(in[i]);
        if (node->op != OP_view && simplify_is(z, OP_make_complex) && !(z->flags & NODE_BACKWARD) &&
            vec_push(&s->stored, z) != STATUS_OK) {
            s->failed = true;
            return NULL;
        }
    }
    if (!elementwise || !(node->flags & NODE_BACKWARD)) {
        return simplify_again(s, node, in);
    }
    for (int i = 0; i < node->nin; i++) {
        now[i] = stored_part(s, in[i]);
    }
    return simplify_again(s, node, now);
}
