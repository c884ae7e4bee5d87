/* graph/simplify_rules.c -- algebra that keeps every IEEE result: signed zeros, infinities,
 * subnormal numbers and NaN (whose sign and payload are nobody's). */
#include "graph/simplify_nodes.h"

#include <math.h>

/* What a rule sees. */
typedef struct Form {
    Simplifier *s;
    Node *const *in;
    const Spec *spec;
} Form;

static bool
give(Node *node, Node **out)
{
    *out = node;
    return true;
}

static bool
is_number(const Node *node, double value)
{
    double x;
    return node_uniform(node, &x) && x == value;
}

/* +0.0 and -0.0 are different neutral elements. */
static bool
is_zero(const Node *node, bool negative)
{
    double x;
    return node_uniform(node, &x) && x == 0 &&
           (!dtype_is_inexact((DType)node->dtype) || (signbit(x) != 0) == negative);
}

static Node *
negated(Node *node)
{
    return simplify_is(node, OP_negative) ? node->inputs[0] : NULL;
}

static Node *
minus(const Form *f, Node *x)
{
    return simplify1(f->s, OP_negative, x);
}

/* A sum, quotient or product of what is under the signs. */
static Node *
plain2(const Form *f, OpCode op, Node *x, Node *y)
{
    return simplify2(f->s, op, x, y);
}

/* ---- arithmetic of real numbers ---- */

static bool
rule_multiply(const Form *f, Node **out)
{
    for (int i = 0; i < 2; i++) {
        Node *x = f->in[i], *y = f->in[1 - i];
        if (is_number(y, 1.0)) {
            return give(x, out);
        }
        if (is_number(y, -1.0)) {
            return give(minus(f, x), out);
        }
        if (negated(x) != NULL) {
            return give(minus(f, plain2(f, OP_multiply, negated(x), y)), out);
        }
    }
    return false;
}

/* 1/y when that is exact: y is a power of two. */
static bool
exact_reciprocal(const Node *node, double *value)
{
    double y;
    int exponent;
    if (!node_uniform(node, &y) || !isfinite(y) || fabs(frexp(y, &exponent)) != 0.5) {
        return false;
    }
    *value = 1.0 / y;
    return exponent > -100 && exponent < 100;
}

static bool
rule_divide(const Form *f, Node **out)
{
    Node *x = f->in[0], *y = f->in[1];
    double reciprocal;
    if (exact_reciprocal(y, &reciprocal)) {
        Node *factor = simplify_number(f->s, reciprocal, f->spec->dtype);
        return give(plain2(f, OP_multiply, x, factor), out);
    }
    if (negated(x) != NULL) {
        return give(minus(f, plain2(f, OP_divide, negated(x), y)), out);
    }
    if (negated(y) != NULL) {
        return give(minus(f, plain2(f, OP_divide, x, negated(y))), out);
    }
    if (is_number(x, 1.0)) {
        return give(simplify1(f->s, OP_reciprocal, y), out);
    }
    return false;
}

static bool
rule_add(const Form *f, Node **out)
{
    for (int i = 0; i < 2; i++) {
        Node *x = f->in[i], *y = f->in[1 - i];
        if (is_zero(y, true)) {
            return give(x, out);
        }
        if (negated(y) != NULL) {
            return give(plain2(f, OP_subtract, x, negated(y)), out);
        }
    }
    return false;
}

static bool
rule_subtract(const Form *f, Node **out)
{
    Node *x = f->in[0], *y = f->in[1];
    if (is_zero(y, false)) {
        return give(x, out);
    }
    if (negated(y) != NULL) {
        return give(plain2(f, OP_add, x, negated(y)), out);
    }
    return false;
}

/* x to the power n > 0. */
static Node *
repeated_product(const Form *f, Node *x, int n)
{
    if (x == NULL || n == 1) {
        return x;
    }
    Node *const half = repeated_product(f, x, n % 2 == 0 ? n / 2 : n - 1);
    return half == NULL ? NULL : plain2(f, OP_multiply, half, n % 2 == 0 ? half : x);
}

static bool
rule_power(const Form *f, Node **out)
{
    Node *x = f->in[0], *y = f->in[1];
    if (is_number(y, 1.0)) {
        return give(x, out);
    }
    /* Each product rounds, so that n of them are off by n / 2 units in the last place, and eager
     * bits differ. Where one underflows or overflows, so does the power. */
    double n;
    if (!f->s->options.fast || !node_uniform(y, &n) || n != floor(n) || n == 0 ||
        fabs(n) > NODE_MOST_EXPONENT) {
        return false;
    }
    return give(n > 0 ? repeated_product(f, x, (int)n)
                      : repeated_product(f, simplify1(f->s, OP_reciprocal, x), -(int)n),
                out);
}

static bool
rule_absolute(const Form *f, OpCode op, Node **out)
{
    Node *x = f->in[0];
    if (negated(x) != NULL) {
        return give(simplify1(f->s, op, negated(x)), out);
    }
    if (simplify_is(x, OP_absolute) || simplify_is(x, OP_fabs)) {
        return give(x, out);
    }
    return false;
}

static bool
rule_real(const Form *f, int op, Node **out)
{
    double x;
    switch (op) {
    case OP_multiply:
        return rule_multiply(f, out);
    case OP_divide:
        return rule_divide(f, out);
    case OP_add:
        return rule_add(f, out);
    case OP_subtract:
        return rule_subtract(f, out);
    case OP_power:
    case OP_float_power:
        return rule_power(f, out);
    case OP_absolute:
    case OP_fabs:
        return rule_absolute(f, (OpCode)op, out);
    case OP_square:
        return give(plain2(f, OP_multiply, f->in[0], f->in[0]), out);
    case OP_mul0:
        if (node_uniform(f->in[0], &x) && x != 0) { /* NaN too */
            return give(plain2(f, OP_multiply, f->in[0], f->in[1]), out);
        }
        return false;
    default:
        return false;
    }
}

/* ---- integers ---- */

static bool
rule_integer(const Form *f, int op, Node **out)
{
    switch (op) {
    case OP_multiply:
        for (int i = 0; i < 2; i++) {
            if (is_number(f->in[i], 1.0)) {
                return give(f->in[1 - i], out);
            }
        }
        return false;
    case OP_add:
        for (int i = 0; i < 2; i++) {
            if (is_zero(f->in[i], false)) {
                return give(f->in[1 - i], out);
            }
        }
        return false;
    case OP_subtract:
        return is_zero(f->in[1], false) ? give(f->in[0], out) : false;
    default:
        return false;
    }
}

/* ---- casts, choice, parts ---- */

/* Every value of `from` is one of `to`. */
static bool
holds(DType to, DType from)
{
    switch (from) {
    case DT_bool:
        return true;
    case DT_f32:
        return to == DT_f64 || to == DT_c64 || to == DT_c128;
    case DT_f64:
    case DT_c64:
        return to == DT_c128;
    default:
        return from != to && dtype_size(to) > dtype_size(from) &&
               dtype_can_cast(from, to, 's') && (dtype_size(from) < 4 || to != DT_f32);
    }
}

static bool
rule_cast(const Form *f, Node **out)
{
    Node *x = f->in[0];
    const DType to = f->spec->dtype;
    if (!simplify_is(x, OP_cast)) {
        return false;
    }
    Node *first = x->inputs[0];
    const DType from = (DType)first->dtype;
    if (!holds((DType)x->dtype, from) || !(from == to || holds(to, from))) {
        return false;
    }
    if (from == to) {
        return give(first, out);
    }
    const int64_t params[1] = {to};
    return give(simplify_op(f->s, OP_cast, &first, 1, params, 1, f->spec), out);
}

static bool
rule_where(const Form *f, Node **out)
{
    double condition;
    Node *test = f->in[0];
    if (f->in[1] == f->in[2]) {
        return give(f->in[1], out);
    }
    if (node_uniform(test, &condition)) {
        return give(f->in[condition != 0 ? 1 : 2], out);
    }
    if (test->op == OP_logical_not && !node_has_value(test) &&
        test->inputs[0]->dtype == DT_bool) {
        return give(simplify3(f->s, OP_where, test->inputs[0], f->in[2], f->in[1]), out);
    }
    return false;
}

static bool
undoes(Node *x, int op, const Spec *spec)
{
    return simplify_is(x, op) && x->inputs[0]->dtype == spec->dtype;
}

static bool
rule_any(const Form *f, int op, Node **out)
{
    Node *x = f->in[0];
    switch (op) {
    case OP_positive:
        return x->dtype == f->spec->dtype ? give(x, out) : false;
    case OP_negative:
    case OP_conjugate:
        return undoes(x, op, f->spec) ? give(x->inputs[0], out) : false;
    case OP_logical_not:
        return undoes(x, op, f->spec) ? give(x->inputs[0], out) : false;
    case OP_logical_or:
    case OP_logical_and:
        return x == f->in[1] && x->dtype == DT_bool ? give(x, out) : false;
    case OP_real:
        return undoes(x, OP_make_complex, f->spec) ? give(x->inputs[0], out) : false;
    case OP_imag:
        return undoes(x, OP_make_complex, f->spec) ? give(x->inputs[1], out) : false;
    case OP_where:
        return rule_where(f, out);
    case OP_cast:
        return rule_cast(f, out);
    default:
        return false;
    }
}

bool
simplify_rule(Simplifier *s, int op, Node *const *in, int nin, const Spec *spec, Node **out)
{
    const Form f = {s, in, spec};
    if (rule_any(&f, op, out)) {
        return true;
    }
    for (int i = 0; i < nin; i++) {
        if ((DType)in[i]->dtype != spec->dtype) {
            return false; /* comparisons, and loops in another dtype */
        }
    }
    return dtype_is_float(spec->dtype)     ? rule_real(&f, op, out)
           : dtype_is_integer(spec->dtype) ? rule_integer(&f, op, out)
                                           : false;
}
