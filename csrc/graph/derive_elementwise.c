/* graph/derive_elementwise.c -- the op table read as node builders. */
#include "graph/derive.h"

#include "ops/row_words.h"

/* A word names its row; these words have shorter names than their rows. */
enum {
    OP_sub = OP_subtract,
    OP_mul = OP_multiply,
    OP_div = OP_divide,
    OP_neg = OP_negative,
    OP_abs = OP_absolute,
    OP_pow = OP_power,
    OP_lt = OP_less,
    OP_le = OP_less_equal,
    OP_gt = OP_greater,
    OP_ge = OP_greater_equal,
    OP_eq = OP_equal,
    OP_ne = OP_not_equal,
    OP_and = OP_logical_and,
    OP_or = OP_logical_or,
    OP_xor = OP_logical_xor,
    OP_not = OP_logical_not
};

#define OP1(name, a) build1((OpCode)OP_##name, (a))
#define OP2(name, a, b) build2((OpCode)OP_##name, (a), (b))
#define OP3(name, a, b, c) build3((OpCode)OP_##name, (a), (b), (c))
#define CMP1(name, a) build1((OpCode)OP_##name, (a))
#define CMP2(name, a, b) build2((OpCode)OP_##name, (a), (b))
#define MASK1(name, a) build1((OpCode)OP_##name, (a))
#define MASK2(name, a, b) build2((OpCode)OP_##name, (a), (b))
#define CHOOSE(m, a, b) build3(OP_where, (m), (a), (b))
#define CONST(c) build_scalar((c), 0.0, DT_f64, WEAK_FLOAT)
#define NONE derivative_none(g)

typedef Node *(*Builder)(Node *x, Node *y, Node *z, Node *r, Node *g);

/* Stands for "no derivative"; the caller recognises it by address. */
static Node no_derivative;

static inline Node *
derivative_none(const Node *g)
{
    (void)g;
    return &no_derivative;
}

#define BUILDER(name, input, expression)                                                           \
    static Node *d##input##_##name(Node *x, Node *y, Node *z, Node *r, Node *g)                    \
    {                                                                                              \
        (void)x, (void)y, (void)z, (void)r, (void)g;                                               \
        return expression;                                                                         \
    }
#define ROW1(name, cls, rule, forward, dx, flags, doc) BUILDER(name, 0, dx)
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc) BUILDER(name, 0, dx) BUILDER(name, 1, dy)
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc)                                     \
    BUILDER(name, 0, dx) BUILDER(name, 1, dy) BUILDER(name, 2, dz)
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3

static const Builder builders[OP_ELEMENTWISE_COUNT][3] = {
#define ROW1(name, cls, rule, forward, dx, flags, doc) [OP_##name] = {d0_##name, NULL, NULL},
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc)                                         \
    [OP_##name] = {d0_##name, d1_##name, NULL},
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc)                                     \
    [OP_##name] = {d0_##name, d1_##name, d2_##name},
#include "ops/ops.def"
};

Node *
derive_elementwise(Node *node, int i, Node *g, bool *none)
{
    Node *x = node->inputs[0];
    Node *y = node->nin > 1 ? node->inputs[1] : NULL;
    Node *z = node->nin > 2 ? node->inputs[2] : NULL;
    Node *out = builders[node->op][i](x, y, z, node, g);
    *none = out == &no_derivative;
    if (*none || out == NULL) {
        return NULL;
    }
    const Node *input = node->inputs[i];
    out = build_broadcast(out, input->ndim, input->shape);
    return build_cast(out, (DType)input->dtype);
}
