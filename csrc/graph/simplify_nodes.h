/* graph/simplify_nodes.h -- what the files of the simplifier share: nodes that are made once.
 *
 * Constructors apply the exact rules, so whatever is built from them is simplified. As in
 * graph/build.h a NULL input gives NULL, and all nodes belong to the arena.
 */
#ifndef PYARR_GRAPH_SIMPLIFY_NODES_H
#define PYARR_GRAPH_SIMPLIFY_NODES_H

#include "base/hash.h"
#include "graph/build.h"
#include "graph/evaluate.h"
#include "graph/simplify.h"

typedef struct Known {
    Node *node;
    int64_t next; /* the place of one with the same hash, + 1; 0 is none */
} Known;

/* scale * coef * core, summed over terms: see simplify_factors.c */
typedef struct Term {
    double scale;
    Node *coef; /* NULL is 1 */
    Node *core; /* NULL is ones */
} Term;

enum { TERMS_MAX = 6 };

typedef struct Terms {
    const Node *of;
    uint64_t axes;
    int count;
    Term at[TERMS_MAX];
} Terms;

/* What a product of complex values became. */
typedef struct SplitProduct {
    Node *in[2], *out;
} SplitProduct;

typedef struct Simplifier {
    SimplifyOptions options;
    HashMap table; /* hash -> place in `known`, + 1 */
    VEC(Known) known;
    HashMap factored; /* hash of (node, axes) -> place in `terms`, + 1 */
    VEC(Terms) terms;
    GuardNodes *guards;
    VEC(SplitProduct) products; /* of forward nodes: see simplify_complex.c */
    GuardNodes stored;          /* forward make_complex nodes that library calls read */
    /* The pass that is running (simplify.c): places are the marks of the nodes it reads. */
    const int32_t *readers;
    const int32_t *divisions; /* of backward nodes by each place */
    bool failed;              /* a node could not be made; the error is set */
} Simplifier;

/* One op on simplified inputs; flags and line are those of node_set_backward and origin. */
Node *simplify_op(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params,
                  int nparams, const Spec *spec);
/* The same without any rule. */
Node *simplify_plain(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params,
                     int nparams, const Spec *spec);
/* That node if it was made before, else NULL. */
Node *simplify_find2(Simplifier *s, OpCode op, Node *x, Node *y);
/* Elementwise over x's dtype and the shape of both: equal, or one has no axes. */
Node *simplify1(Simplifier *s, OpCode op, Node *x);
Node *simplify2(Simplifier *s, OpCode op, Node *x, Node *y);
Node *simplify3(Simplifier *s, OpCode op, Node *x, Node *y, Node *z);
Node *simplify_number(Simplifier *s, double value, DType dtype);
Node *simplify_leaf(Simplifier *s, Node *node);
Node *simplify_sum(Simplifier *s, Node *x, const int64_t *params, int nparams);

/* ---- views ---- */
Node *simplify_view(Simplifier *s, Node *base, const int64_t *geometry);
Node *simplify_broadcast(Simplifier *s, Node *x, int ndim, const int64_t *shape);
/* The axes along which a node repeats its elements (axes of size 1 among them), as bits. */
uint64_t simplify_repeats(Node *node);
/* The node without axes along which it repeats; and back. */
Node *simplify_drop_axes(Simplifier *s, Node *x, uint64_t axes);
Node *simplify_put_axes(Simplifier *s, Node *x, uint64_t axes, int ndim, const int64_t *shape);

/* An op whose inputs may be looked at: nodes that have a value are leaves. */
static inline bool
simplify_is(Node *node, int op)
{
    return node->op == op && !node_has_value(node);
}

static inline bool
simplify_is_elementwise(Node *node)
{
    return node->op < OP_COUNT && !node_has_value(node) &&
           (op_is_elementwise((OpCode)node->op) || node->op == OP_cast);
}

/* What the views, if it is one, are over. */
static inline Node *
simplify_below_views(Node *node)
{
    while (simplify_is(node, OP_view)) {
        node = node->inputs[0];
    }
    return node;
}

static inline bool
simplify_is_real(const Node *node)
{
    return dtype_is_float((DType)node->dtype);
}

/* ---- the passes ---- */
/* Rules that keep every IEEE result: true when one applied, *out may be NULL then. */
bool simplify_rule(Simplifier *s, int op, Node *const *in, int nin, const Spec *spec, Node **out);
/* What stands for `node`, given what stands for its inputs; NULL with the error set. */
typedef Node *(*Rewrite)(Simplifier *s, Node *node, Node *const *in);
Node *simplify_again(Simplifier *s, Node *node, Node *const *in);
Node *simplify_split(Simplifier *s, Node *node, Node *const *in);
Node *simplify_hoist(Simplifier *s, Node *node, Node *const *in);
Node *simplify_collapse(Simplifier *s, Node *node, Node *const *in);
Node *simplify_regroup(Simplifier *s, Node *node, Node *const *in);
Node *simplify_absorb(Simplifier *s, Node *node, Node *const *in);
Node *simplify_contract(Simplifier *s, Node *node, Node *const *in);
Node *simplify_reread(Simplifier *s, Node *node, Node *const *in);

#endif
