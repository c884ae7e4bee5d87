/* graph/run.h -- the state of one evaluation, shared by evaluate.c and fuse.c. */
#ifndef PYARR_GRAPH_RUN_H
#define PYARR_GRAPH_RUN_H

#include "base/vec.h"
#include "graph/evaluate.h"

/* What the run knows of each node it computes. */
typedef struct Use {
    int64_t readers; /* still to come; targets count one that never comes */
    int64_t first;   /* where the node's inputs begin in `places` */
    int32_t member;  /* its number in the group that is being formed, + 1; else 0 */
    bool done;
} Use;

/* Marks serve while a run is prepared only: kernels let other threads at the interpreter, whose
 * runs and backward passes may meet the same nodes of the tape. */
typedef struct Run {
    VEC(Node *) order; /* retained, sorted by seq */
    Use *uses;         /* one for each node, and the end */
    int64_t *places;   /* of each input in `order`, + 1; 0 when it had its value already */
    int64_t nplaces;
    bool keep;
} Run;

/* Compute the node at a place of the order, whose inputs have values. */
Status run_node(Run *run, int64_t at);
/* The reads of a computed node are over: values nobody waits for are freed. */
void run_reads_done(Run *run, int64_t at);
bool node_has_value(Node *node);

/*
 * Compute the elementwise node at order[at] together with later ones over the same index space
 * whose inputs are there, and sums of them over all axes, as one program: values that only the
 * group reads are never stored. Bits are those of one op after the other. *count is how many
 * nodes were computed, 0 when the node is no part of a group.
 */
Status fuse_run(Run *run, int64_t at, int *count);

#endif
