/* graph/simplify.h -- equivalent nodes with less work.
 *
 * Run once for each plan, over a value and its gradients together. Common subexpressions are
 * merged, literals folded, work on repeated elements done once, and algebra applied that keeps
 * every IEEE result (signs of NaN aside). With `fast`, backward nodes are regrouped as well,
 * since their rounding is ours, and products contract into additions.
 */
#ifndef PYARR_GRAPH_SIMPLIFY_H
#define PYARR_GRAPH_SIMPLIFY_H

#include "base/vec.h"
#include "graph/node.h"

typedef struct SimplifyOptions {
    bool fast;  /* regroup backward nodes */
    bool hoist; /* move factors out of backward sums and products; needs `fast` */
    bool fma;   /* contract a * b + c */
} SimplifyOptions;

typedef VEC(Node *) GuardNodes;

/* What the settings and the machine allow. */
SimplifyOptions simplify_options(void);

/*
 * out[i] gives what targets[i] gives, with its shape and dtype (NULL: NULL). Nodes that have a
 * value are leaves and stay themselves; of constants, passes look at literals only. A result may
 * become a leaf or a view of one, and two may become one: whoever computes them gives each its
 * memory. The nodes belong to the arena (graph/build.h). `out` is no alias of `targets`.
 *
 * `guards`, empty before, gets the nodes whose elements must all be zero or normal numbers; if
 * one is infinite, NaN or subnormal, simplify again without `hoist` and compute with that.
 */
Status simplify(Node *const *targets, int64_t count, SimplifyOptions options, Node **out,
                GuardNodes *guards);

#endif
