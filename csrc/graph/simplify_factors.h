/* graph/simplify_factors.h -- backward values as sums of terms: shared by the two files that find
 * and use them. */
#ifndef PYARR_GRAPH_SIMPLIFY_FACTORS_H
#define PYARR_GRAPH_SIMPLIFY_FACTORS_H

#include "graph/simplify_nodes.h"

enum { LONG_AXIS = 16 }; /* a sum along it costs less than one more product for each element */

/* x as terms whose cores vary along the axes, a mask; none of them where memory ran out. */
Terms simplify_factor(Simplifier *s, Node *x, uint64_t axes);
/* The coefficient (NULL: 1) with its scale, on the axes that stay (no axes: a number). */
Node *simplify_coefficient(Simplifier *s, double scale, Node *coef, DType dtype);

static inline bool
is_backward(const Node *node)
{
    return (node->flags & NODE_BACKWARD) != 0;
}

static inline uint64_t
all_axes(const Node *node)
{
    return node->ndim == 64 ? ~UINT64_C(0) : (UINT64_C(1) << node->ndim) - 1;
}

static inline Node *
times(Simplifier *s, Node *x, Node *y)
{
    return x == NULL ? y : y == NULL ? x : simplify2(s, OP_multiply, x, y);
}

#endif
