/* backend/cpu/tile.h -- a stage's program made ready: what tile_prepare.c plans and tile_run.c
 * executes. */
#ifndef PYARR_BACKEND_CPU_TILE_H
#define PYARR_BACKEND_CPU_TILE_H

#include "backend/cpu/block.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/tile.h"
#include "backend/tile.h"

/* How one step runs. */
typedef struct TilePlan {
    BlockCode *block;
    int refs;          /* where its pointers begin in a thread's list of them */
    int64_t indices;   /* of the innermost axes together that one call may cover */
    bool uniforms_vary;
    int64_t packed;    /* TILE_MAP, TILE_ROW_MAP: where in[1] lies once packed, in bytes */
} TilePlan;

struct TileCode {
    const TileProgram *program;
    int64_t lanes;
    int64_t tiles, chunks, chunk_tiles;
    bool alone;            /* too little work for other threads */
    TilePlan *plans;
    int64_t *places;       /* of buffers in a thread's memory, in bytes */
    int64_t tile_bytes;    /* buffers */
    int64_t scratch_bytes; /* of blocks, and of rows that are copied */
    int64_t packed_bytes;
    int64_t *sum_places;   /* in the memory of all chunks' results, chunk after chunk */
    int64_t sum_bytes;
    int npointers;
};

static inline int64_t
tile_round(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline int64_t
tile_space(const TileStep *step)
{
    int64_t n = 1;
    for (int d = 0; d < step->ndim; d++) {
        n *= step->shape[d];
    }
    return n;
}

ReduceOp tile_reduce_op(OpCode op);

#endif
