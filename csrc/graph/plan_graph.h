/* graph/plan_graph.h -- the nodes of one plan as a list: what the planner's passes read. */
#ifndef PYARR_GRAPH_PLAN_GRAPH_H
#define PYARR_GRAPH_PLAN_GRAPH_H

#include "graph/node.h"

enum { PLAN_PROGRAM_NODES = 4000 }; /* elementwise nodes of one program, at most */

typedef struct PlanGraph {
    int32_t count;
    Node **nodes;    /* inputs before readers; retained */
    int32_t *first;  /* node i reads inputs[first[i]] up to inputs[first[i + 1]] */
    int32_t *inputs; /* places in `nodes`; none for leaves */
    int32_t *readers; /* inputs that are this place (x * x counts twice), + 1 for a result */
    bool *leaf;      /* given to the plan: constants, arguments, nodes that had their value */
    bool careful;    /* no rewrite that a run would have to check */
    bool *result;    /* must be in memory when the plan has run */
    int32_t *wait;   /* not to be computed before this place is done; -1: as soon as it can be */
    int64_t ninputs;
    int32_t *first_reader; /* node i is read by read_by[first_reader[i]] up to that of i + 1 */
    int32_t *read_by;      /* places, one for each input; both when the graph is linked */
} PlanGraph;

/* Room for so many nodes and inputs, zeroed; no waits. */
Status plan_graph_allocate(PlanGraph *g, int64_t count, int64_t ninputs);
/* Values of `least` elements and more that a later pass over the data can have for less than it
 * costs to keep them are computed again there (plan_again.c). */
Status plan_graph_again(PlanGraph *g, int64_t least);

/* Note by whom each node is read; the graph stays as it is from then on. */
Status plan_graph_link(PlanGraph *g);

/* Operations of a node inside a stage: one for each element that it makes, or reads. */
int64_t node_flops(const Node *node);

static inline int64_t
node_bytes(const Node *node)
{
    return node->size * dtype_size((DType)node->dtype);
}

static inline int32_t
plan_graph_nin(const PlanGraph *g, int32_t at)
{
    return g->first[at + 1] - g->first[at];
}

/* The places that read a node, in their order (x * x twice): *count of them. */
static inline const int32_t *
plan_graph_read_by(const PlanGraph *g, int32_t at, int32_t *count)
{
    *count = g->first_reader[at + 1] - g->first_reader[at];
    return g->read_by + g->first_reader[at];
}

static inline int32_t
plan_graph_input(const PlanGraph *g, int32_t at, int32_t k)
{
    return g->inputs[g->first[at] + k];
}

#endif
