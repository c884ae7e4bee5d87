/* graph/stage_block.h -- a block while it is put together: shared by stage_group.c, which finds its
 * members, and stage_unroll.c, which makes steps of it. */
#ifndef PYARR_GRAPH_STAGE_BLOCK_H
#define PYARR_GRAPH_STAGE_BLOCK_H

#include "graph/stage_build.h"

enum {
    BLOCK_VALUES = 150,
    BLOCK_INPUTS = 100,
    BLOCK_OUTPUTS = 100,
    BLOCK_SUMS = 100
};

typedef struct StageBlock {
    StageSpace space;
    TileRef in[BLOCK_INPUTS], out[BLOCK_OUTPUTS], sums[BLOCK_SUMS];
    Instruction code[BLOCK_VALUES];
    uint16_t out_registers[BLOCK_OUTPUTS], sum_registers[BLOCK_SUMS];
    int32_t made[BLOCK_VALUES]; /* places whose registers are in StageBuild.reg */
    int nin, nout, nsums, ncode, nmade;
} StageBlock;

/* The steps that run the block at every index of its space. */
Status stage_add_block_steps(StageBuild *b, const StageBlock *block);

#endif
