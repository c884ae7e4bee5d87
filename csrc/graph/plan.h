/* graph/plan.h -- computing nodes by a plan: made once for each structure, then kept. */
#ifndef PYARR_GRAPH_PLAN_H
#define PYARR_GRAPH_PLAN_H

#include "graph/node.h"

/*
 * Give every target a value. *done is false, without an error, where node by node is the way:
 * arrays of other devices, traces too long to plan, executor=nodes, or a step that failed and
 * whose error shall name the user's line.
 */
Status plan_evaluate(Node *const *targets, int64_t count, bool *done);

/*
 * The value of a real 0-d node and its gradients by args, of the transform that has this bit.
 * With a plan at hand no backward pass is made. out[0] is the value, out[1 + k] the gradient
 * by args[k], conjugated if complex: new arrays, NULL where an argument was not reached.
 */
Status plan_value_and_grad(uint64_t bit, Node *value, int narg, Node *const *args, Array **out,
                           bool *done);

typedef struct PlanCacheInfo {
    int64_t hits, misses, evictions, size, max_size; /* in plans */
    int64_t bytes, max_bytes;                        /* of memory, about */
} PlanCacheInfo;

PlanCacheInfo plan_cache_info(void);
void plan_cache_clear(void);
/* Let plans take this much memory; the last one used is kept whatever its size. */
void plan_cache_set_max_bytes(int64_t bytes);
/* Every key gets one hash, so that only comparing tells plans apart: for tests. */
void plan_cache_equal_hashes(bool on);

#endif
