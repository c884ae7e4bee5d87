/* graph/stage.h -- stages: sets of nodes that one loop over tiles of rows computes.
 *
 * A stage has one swept axis. Its nodes are row-wise with respect to it, or accumulators over
 * it. Stages are convex: no path leaves one and comes back. */
#ifndef PYARR_GRAPH_STAGE_H
#define PYARR_GRAPH_STAGE_H

#include "graph/plan_graph.h"

typedef struct Stage Stage;

/* stage_of[i] becomes the number of node i's stage, or -1; numbers run from 0 to *nstages. */
Status stages_find(const PlanGraph *g, int32_t *stage_of, int32_t *nstages);

/* NULL with the error set: ERR_RUNTIME where the stage is too large for a program, so that its
 * nodes had better run by themselves. Keeps nothing of g. */
Stage *stage_compile(const PlanGraph *g, const int32_t *stage_of, int32_t number);
void stage_free(Stage *stage);

/* Places in g of what the stage reads and of what it computes for others, in order. An input
 * may lie behind views: what the stage reads is the array before them. */
int stage_inputs(const Stage *stage, const int32_t **places);
int stage_outputs(const Stage *stage, const int32_t **places);

/* Where the elements of input k lie: strides in bytes. False when the stage cannot read them as
 * they lie; then they must be copied into C order first. Before the first run, for all inputs. */
bool stage_bind(Stage *stage, int k, int ndim, const int64_t *shape, const int64_t *strides);
/* The first elements of the inputs, and room for the outputs in C order. *holds: false where a
 * rewrite made infinities or NaN, perhaps by itself; a careful graph's stages have no such. */
Status stage_run(const Stage *stage, char *const *in, char *const *out, bool *holds);
bool stage_may_fail_to_hold(const Stage *stage);

typedef struct StageCost {
    int64_t rows, lanes;    /* swept, and those of one tile */
    int64_t nodes, flops;
    int64_t bytes_read, bytes_written;
    int64_t tile_bytes;     /* the buffers of one thread */
    int64_t sum_bytes;      /* the accumulators of all chunks */
    int64_t largest_bytes;  /* the largest value that is never stored */
    int64_t line;           /* elements of an inner axis that tiles are walked along, or 0 */
} StageCost;

StageCost stage_cost(const Stage *stage);
/* Elements of the largest value from which stages form. */
int64_t stages_least_size(void);
/* For tests: set it; what it was. Plans that
 * are kept stay as they are. */
int64_t stages_set_least_size(int64_t size);
/* Stages that were run since the start, for tests. */
int64_t stage_runs(void);

#endif
