/* graph/pullback.h -- the backward pass: cotangents of some nodes from those of others. */
#ifndef PYARR_GRAPH_PULLBACK_H
#define PYARR_GRAPH_PULLBACK_H

#include "graph/build.h"
#include "graph/trace.h"

/*
 * Walks from `outs` backwards through the nodes whose mask has a bit in `mask`, and gives
 * the cotangents of `args` (arena nodes; NULL where an arg was not reached). cotangents[i] has
 * the shape and dtype of outs[i]. Errors name the user's line of the forward op.
 */
Status pullback(uint64_t mask, int64_t nout, Node *const *outs, Node *const *cotangents,
                int64_t narg, Node *const *args, Node **grads);

/* A cotangent of `out` that the user gives: checked, and cast to what it belongs to. */
Node *pullback_seed(Trace *trace, Array *cotangent, const Node *out);

#endif
