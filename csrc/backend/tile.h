/* backend/tile.h -- what a backend runs tile by tile: the program of a stage.
 *
 * A stage sweeps over `rows` rows. A tile is some of them at a time, its lanes. A buffer holds
 * a value of the tile as [inner element][lane], inner elements in C order, or by rows as
 * [lane][inner element]; its memory never leaves the cache. Views are arrays that the stage is
 * given: row-wise ones have elements for each row, shared ones the same elements for all rows.
 * Steps run in order for every tile; what is added up over rows is kept for a chunk of tiles, and
 * chunks merge in a fixed order, so that results depend on shapes alone, never on the number of
 * threads. */
#ifndef PYARR_BACKEND_TILE_H
#define PYARR_BACKEND_TILE_H

#include "ops/ops.h"

struct Instruction;

enum { TILE_NDIM = 8, TILE_MAX_LANES = 512 };

/* An array that the stage is given. */
typedef struct TileView {
    DType dtype;
    bool shared;
    int ndim;                 /* inner axes */
    int64_t shape[TILE_NDIM];
} TileView;

/* A view's memory at one run, strides in bytes. */
typedef struct TileMemory {
    char *data;
    int64_t row_stride;
    int64_t strides[TILE_NDIM];
} TileMemory;

typedef struct TileBuffer {
    DType dtype;
    bool lasts;     /* through the tiles of a chunk, for accumulators */
    bool by_rows;   /* for TILE_LINE alone */
    int64_t count;  /* inner elements */
} TileBuffer;

/* What is added up (or the greatest, the least) over the rows. */
typedef struct TileSum {
    DType dtype;
    OpCode op;      /* OP_sum, OP_reduce_max, OP_reduce_min */
    int64_t count;  /* elements of the result */
    int buffer;     /* lanes that are folded at the end of a chunk, or -1: steps add themselves */
    int output;
} TileSum;

/* A value as a step walks over it: the element at index (i0, i1, ...) of the step's space. */
typedef struct TileRef {
    bool is_view;   /* `at` is a view, whose memory has strides of its own; else a buffer */
    bool is_sum;    /* TILE_LINE: `at` is a sum without a buffer, read and written where the chunk
                     * adds it up */
    int at;
    /* in inner elements of the buffer; of a view the indices that it moves by, 0 where its
     * element stays, and the first along its last axis */
    int64_t offset;
    int64_t strides[TILE_NDIM];
} TileRef;

typedef enum TileKind {
    TILE_LOAD,    /* out[0] = the elements of row-wise view in[0] */
    TILE_GATHER,  /* out[0][e] = shared view in[1] [index, e], index = row-wise view in[0] */
    TILE_FILL,    /* out[0] = the neutral element of `op` */
    TILE_BLOCK,   /* elementwise instructions at every index of the space */
    TILE_LINE,    /* the same along the one axis of the space, row by row: operands that stay along
                   * it are one element of a row, or shared; others lie by rows, or are shared */
    TILE_MAP,     /* out[0][.., i] = sum_j in[1][.., i, j] in[0][.., j]; in[1] is shared */
    TILE_OUTER,   /* sum[.., i, j] += sum over rows of in[0][.., i] in[1][.., j] */
    TILE_ROW_MAP, /* TILE_MAP, in[0] a row-wise view that is read where it lies */
    TILE_ROW_OUTER, /* TILE_OUTER, in[1] likewise; the sum may be `turned`: [.., j, i] */
    TILE_SUM,     /* sum[.., j] += sum over rows of in[0][.., j] */
    TILE_MOMENTS, /* sum[f, k] += sum over rows of in[0][k] z[j] z[l], f = j (j + 1) / 2 + l, for
                   * l <= j, where z is in[1] less the shared view in[2], with 1 after it;
                   * float64 */
    TILE_SCATTER, /* sum[index, e] += in[1][e], index = row-wise view in[0] */
    TILE_STORE    /* row-wise output `to` = in[0] */
} TileKind;

typedef struct TileStep {
    TileKind kind;
    OpCode op;                /* TILE_FILL */
    int ndim;                 /* the space; contractions: the axes but i and j */
    int64_t shape[TILE_NDIM];
    int64_t ni, nj;           /* contractions: their refs have strides for i and j at `ndim`
                               * (shared in[1]: i at ndim, j at ndim + 1); moments: of x, of k;
                               * indexed: ni rows */
    bool turned;
    int to;                   /* sums of rows, TILE_SCATTER: the sum; TILE_STORE: the output */
    int nin, nout;
    const TileRef *in, *out;
    int ninstructions;        /* TILE_BLOCK: registers 0..nin-1 are `in` */
    const struct Instruction *instructions;
    const uint16_t *out_registers;
    /* TILE_BLOCK: registers added up over the rows of the tile at once, each into element
     * sum(index * strides) of a sum that has no buffer. TILE_LINE: added up over the line, each
     * added to the row's element of a buffer */
    int nsums;
    const uint16_t *sum_registers;
    const TileRef *block_sums; /* `at` is the sum, strides in its elements; or the buffer */
} TileStep;

/* A row-wise output, C-contiguous with the row axis between its outer and inner axes. */
typedef struct TileOut {
    DType dtype;
    int64_t outer, inner;
} TileOut;

typedef struct TileProgram {
    int64_t rows;
    int nviews, nbuffers, nsums, nouts, nsteps;
    const TileView *views;
    const TileBuffer *buffers;
    const TileSum *sums;
    const TileOut *outs;
    const TileStep *steps;
} TileProgram;

typedef struct TileCode TileCode;

typedef struct TileCost {
    int64_t lanes;          /* rows of a tile */
    int64_t tile_bytes;     /* buffers of one thread */
    int64_t sum_bytes;      /* accumulators of all chunks */
} TileCost;

/* The program made ready for any number of runs; it is borrowed and must stay. NULL with the
 * error set. */
TileCode *backend_cpu_tile_prepare(const TileProgram *program);
void backend_cpu_tile_release(TileCode *code);
TileCost backend_cpu_tile_cost(const TileCode *code);
/* views[nviews], and where the results go: outs[nouts], sums[nsums], C-contiguous. */
Status backend_cpu_tile_run(const TileCode *code, const TileMemory *views, char *const *outs,
                            char *const *sums);
/* What TILE_MOMENTS has summed makes sums over rows of w[k] y[k, i], y = rows[k, i] . (x, 1), and
 * of their products with x. */
typedef struct TileMoments {
    int64_t nx, nk, ni;
    const double *sums;
    const double *pivot;              /* what was taken off x, contiguous */
    /* writes those of `n` elements (k, i) from `first` on, [n][nx + 1]; on any thread */
    void (*read_rows)(const void *from, int64_t first, int64_t n, double *to);
    const void *from;
    double *product;                  /* by (k, i) and x */
    int64_t row_stride, x_stride;     /* of it, elements */
    double *sum;                      /* by (k, i), or NULL */
} TileMoments;

/* *finite: are all results? */
Status backend_cpu_tile_moments(const TileMoments *moments, bool *finite);
/* Bytes that buffers of this many inner elements of 8 bytes may have, at the fewest lanes. */
bool backend_cpu_tile_fits(int64_t inner);

#endif
