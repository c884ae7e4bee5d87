/* graph/simplify_regroup.c -- the last passes: numbers gather outside products, divisions by
 * one value share its reciprocal, signs go where they cost nothing, products contract into
 * additions. What is done to forward nodes here keeps their bits, but for the contraction. */
#include "graph/fourier.h"
#include "graph/simplify_nodes.h"

#include <string.h>

static bool
is_ours(Node *node)
{
    return (node->flags & NODE_BACKWARD) != 0 && simplify_is_real(node) && node->ndim > 0;
}

/* Does the node repeat fewer elements? Then work on it costs less than on the whole. */
static bool
repeats(Node *node)
{
    uint64_t axes = simplify_repeats(node);
    for (int i = 0; i < node->ndim; i++) {
        if ((axes >> i & 1) && node->shape[i] > 1) {
            return true;
        }
    }
    return false;
}

static bool
is_number(Node *node)
{
    return repeats(node) && node->inputs[0]->ndim == 0;
}

static int32_t
readers_of(const Simplifier *s, const Node *node)
{
    return s->readers[node->mark - 1];
}

/* ---- numbers and reciprocals ---- */

/* number * rest, read by one node only: both parts. */
static bool
take_number(const Simplifier *s, const Node *old, Node *now, Node **number, Node **rest)
{
    if (readers_of(s, old) != 1 || !simplify_is(now, OP_multiply) || !is_ours(now)) {
        return false;
    }
    const int at = is_number(now->inputs[0]) ? 0 : 1;
    *number = now->inputs[at];
    *rest = now->inputs[1 - at];
    return is_number(*number);
}

static Node *
regroup_product(Simplifier *s, Node *node, Node *const *in)
{
    Node *number, *rest;
    for (int i = 0; i < 2; i++) {
        const Node *old = node->inputs[i];
        if (simplify_is(in[i], OP_reciprocal) && is_ours(in[i]) && readers_of(s, old) == 1 &&
            !repeats(in[i]) && old->op == OP_reciprocal &&
            s->divisions[old->inputs[0]->mark - 1] == 1) {
            return simplify2(s, OP_divide, in[1 - i], in[i]->inputs[0]);
        }
    }
    for (int i = 0; i < 2; i++) {
        if (!take_number(s, node->inputs[i], in[i], &number, &rest)) {
            continue;
        }
        if (is_number(in[1 - i])) {
            return simplify2(s, OP_multiply, simplify2(s, OP_multiply, number, in[1 - i]), rest);
        }
        Node *product = simplify2(s, OP_multiply, rest, in[1 - i]);
        return simplify2(s, OP_multiply, number, product);
    }
    return simplify_again(s, node, in);
}

static Node *
regroup_quotient(Simplifier *s, Node *node, Node *const *in)
{
    Node *number, *rest;
    if (repeats(in[1]) || s->divisions[node->inputs[1]->mark - 1] > 1) {
        Node *product[2] = {in[0], simplify1(s, OP_reciprocal, in[1])};
        return product[1] == NULL ? NULL : simplify2(s, OP_multiply, product[0], product[1]);
    }
    if (take_number(s, node->inputs[0], in[0], &number, &rest)) {
        return simplify2(s, OP_multiply, number, simplify2(s, OP_divide, rest, in[1]));
    }
    return simplify_again(s, node, in);
}

Node *
simplify_regroup(Simplifier *s, Node *node, Node *const *in)
{
    Node *number, *rest;
    if (is_ours(node) && node->size > 0) {
        switch (node->op) {
        case OP_multiply:
            return regroup_product(s, node, in);
        case OP_divide:
            return regroup_quotient(s, node, in);
        case OP_negative:
            if (take_number(s, node->inputs[0], in[0], &number, &rest)) {
                return simplify2(s, OP_multiply, simplify1(s, OP_negative, number), rest);
            }
            break;
        case OP_view: /* whoever reads it may take the number further, but elementwise work does so
                       * for nothing */
            if (node->size <= in[0]->size &&
                take_number(s, node->inputs[0], in[0], &number, &rest) &&
                !simplify_is_elementwise(simplify_below_views(rest))) {
                number = simplify_broadcast(s, number->inputs[0], node->ndim, node->shape);
                return simplify2(s, OP_multiply, number, simplify_view(s, rest, node->params));
            }
            break;
        default:
            break;
        }
    }
    return simplify_again(s, node, in);
}

/* ---- signs ---- */

/* -(x * y) and -(x / y) with the sign at what is repeated: exact. */
static Node *
sign_inside(Simplifier *s, Node *x)
{
    for (int i = 0; i < 2; i++) {
        if (repeats(x->inputs[i])) {
            Node *minus = simplify1(s, OP_negative, x->inputs[i]), *other = x->inputs[1 - i];
            return i == 0 ? simplify2(s, (OpCode)x->op, minus, other)
                          : simplify2(s, (OpCode)x->op, other, minus);
        }
    }
    return NULL;
}

/* A Fourier transform of which only a box is read, or whose input is a box set into zeros,
 * without the rest; NULL where the node is none. */
static Node *
cut_transform(Simplifier *s, const Node *node, Node *const *in)
{
    int64_t params[FFT_MAX_PARAMS];
    Node *x = in[0];
    Spec spec;
    bool cut = false;
    if (node->op == OP_view && simplify_is(x, OP_fft_c2c) &&
        readers_of(s, node->inputs[0]) == 1) {
        cut = fourier_cut_output(x, node->params, params);
        x = x->inputs[0];
    } else if (node->op == OP_fft_c2c && !node_has_value(x)) {
        memcpy(params, node->params, (size_t)node->nparams * sizeof(int64_t));
        cut = fourier_cut_input(&x, params);
    }
    if (!cut) {
        return NULL;
    }
    node_spec(node, &spec);
    const int nparams = 3 + FFT_AXIS_PARAMS * (int)params[2];
    return simplify_plain(s, OP_fft_c2c, &x, 1, params, nparams, &spec);
}

Node *
simplify_absorb(Simplifier *s, Node *node, Node *const *in)
{
    Node *x = in[0], *transform = cut_transform(s, node, in);
    if (transform != NULL || s->failed) {
        return transform;
    }
    if (node->op == OP_negative && simplify_is_real(node) && node->ndim > 0 && node->size > 0 &&
        !node_has_value(x) && readers_of(s, node->inputs[0]) == 1) {
        Node *out = NULL;
        if (x->op == OP_multiply || x->op == OP_divide) {
            out = sign_inside(s, x);
        } else if (x->op == OP_reciprocal) {
            Node *minus_one = simplify_number(s, -1.0, (DType)x->dtype);
            out = simplify2(s, OP_divide, minus_one, x->inputs[0]);
        } else if (x->op == OP_subtract && is_ours(node) && s->options.fast) {
            out = simplify2(s, OP_subtract, x->inputs[1], x->inputs[0]); /* the sign of a 0 */
        }
        if (out != NULL) {
            return out;
        }
    }
    return simplify_again(s, node, in);
}

/* ---- contraction ---- */

static bool
is_product(const Simplifier *s, const Node *old, Node *now)
{
    return readers_of(s, old) == 1 && simplify_is(now, OP_multiply);
}

/* c - a * b as (-a) * b + c, the sign being at what is repeated if possible. */
static Node *
contract_subtrahend(Simplifier *s, Node *c, const Node *product)
{
    Node *const *in = product->inputs;
    const bool ours = !is_ours(in[0]) && is_ours(in[1]); /* others may lie in memory */
    const int at = repeats(in[0]) ? 0 : repeats(in[1]) || ours ? 1 : 0;
    Node *minus = simplify1(s, OP_negative, product->inputs[at]);
    return simplify3(s, OP_fma, minus, product->inputs[1 - at], c);
}

Node *
simplify_contract(Simplifier *s, Node *node, Node *const *in)
{
    const bool sum = node->op == OP_add, difference = node->op == OP_subtract;
    if ((!sum && !difference) || !simplify_is_real(node)) {
        return simplify_again(s, node, in);
    }
    const bool left = is_product(s, node->inputs[0], in[0]);
    const bool right = is_product(s, node->inputs[1], in[1]);
    if (sum && (left || right)) {
        const Node *product = in[left ? 0 : 1];
        return simplify3(s, OP_fma, product->inputs[0], product->inputs[1], in[left ? 1 : 0]);
    }
    if (difference && node->ndim > 0 && (left || right)) {
        const bool free_right =
            right && (repeats(in[1]->inputs[0]) || repeats(in[1]->inputs[1]));
        if (free_right || (right && !(left && repeats(in[1])))) {
            return contract_subtrahend(s, in[0], in[1]);
        }
        return simplify3(s, OP_fma, in[0]->inputs[0], in[0]->inputs[1],
                         simplify1(s, OP_negative, in[1]));
    }
    return simplify_again(s, node, in);
}
