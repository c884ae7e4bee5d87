/* backend/cpu/tile.h -- a stage's program made ready: what tile_prepare.c plans and tile_run.c
 * executes. */
#ifndef PYARR_BACKEND_CPU_TILE_H
#define PYARR_BACKEND_CPU_TILE_H

#include "backend/cpu/block.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/tile.h"
#include "backend/tile.h"
#include "base/vec.h"

#include <stdatomic.h>

/* How one step runs. */
typedef struct TilePlan {
    BlockCode *block;
    int refs;          /* where its pointers begin in a thread's list of them */
    int64_t indices;   /* of the innermost axes together that one call may cover */
    bool uniforms_vary;
    BlockCode *together; /* TILE_LINE: for several rows at once, or NULL */
    int64_t copies;    /* TILE_LINE: where operands are copied to, in the scratch */
    int64_t packed;    /* TILE_ROW_MAP: where in[1] lies once packed, in bytes; TILE_MAP: where a
                        * TileMatrix lies, and behind it room for what that points to */
    int64_t carried;   /* sums of a block without axes: where they lie from tile to tile, or -1 */
    int64_t rows;      /* TILE_ROW_MAP, TILE_ROW_OUTER: where rows are copied to, in bytes */
    bool first, last;  /* of the steps that read those rows */
    bool inside;       /* TILE_MAP: the block that reads it computes it */
    int map;           /* TILE_BLOCK: that step, and how many of its rows each index of the
                        * outermost axis reads; 0 where there is none */
    int64_t map_rows;
    bool squares;      /* TILE_BLOCK: adds up squares of those rows, less the elements of input
                        * `shift` if that is not -1, the next row's `shift_step` after it */
    int shift;
    int64_t shift_step;
    bool fresh;        /* they are the first: the buffer was not filled before */
    bool left_out;     /* TILE_FILL: nobody needs it */
    bool in_place;     /* TILE_STORE: blocks may write to the output's memory itself */
    int stream, nstreams; /* TILE_BLOCK: the first that it fetches, and how many a run does */
} TilePlan;

/* How a buffer that is loaded may be read: copied, or, where rows lie side by side in the view's
 * memory, where they lie. Who fetches the next tile's rows then? */
typedef enum TileReading {
    TILE_COPIED,
    TILE_FETCHED_AT_ONCE,   /* when it is loaded */
    TILE_FETCHED_BY_READER, /* a product */
    TILE_FETCHED_BY_BLOCKS  /* whatever they compute: see TileStream */
} TileReading;

/* What a run of a block fetches: eight bytes for each row of a tile, of a loaded view. */
typedef struct TileStream {
    int load;        /* step */
    int64_t element; /* inner element */
    int part;        /* of several streams of an element */
} TileStream;

/* The shared side of a map as [..][i][j]. */
typedef struct TileMatrix {
    const char *rows;      /* where they lie, or a copy */
    const TileSpan *spans; /* of each row, or NULL if no row begins or ends with zeros */
} TileMatrix;

struct TileCode {
    const TileProgram *program;
    int64_t rows;          /* of a tile */
    int64_t lanes;         /* from one element of a buffer to the next: those rows and more */
    int64_t tiles, chunks, chunk_tiles;
    bool alone;            /* too little work for other threads */
    TilePlan *plans;
    int64_t *places;       /* of buffers in a thread's memory, in bytes */
    uint8_t *reading;      /* of buffers: TileReading */
    VEC(TileStream) streams;
    int64_t nstreams;      /* those and others that blocks would fetch */
    int64_t tile_bytes;    /* buffers */
    int64_t scratch_bytes; /* of blocks */
    int64_t row_bytes;     /* of rows that are copied */
    int64_t carried_bytes; /* of sums that go on from tile to tile */
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

/* Elements from one packed row of a shared side to the next: whole vectors where rows are read
 * where they lie. */
static inline int64_t
tile_packed_step(const TileStep *step, DType dtype)
{
    return step->kind == TILE_ROW_MAP ? tile_round(step->nj, 64 / dtype_size(dtype)) : step->nj;
}

ReduceOp tile_reduce_op(OpCode op);

/* ---- a run: tile_run.c goes through chunks and tiles; tile_steps.c, tile_index.c, tile_block.c
 * and tile_line.c do steps ---- */
typedef struct TileSweep {
    const TileCode *code;
    const TileMemory *views;
    char *const *outs;
    char *workspace;        /* of all threads */
    int64_t thread_bytes;
    char *packed;           /* shared sides of contractions */
    char *parts;            /* results of chunks */
    atomic_int stop;
    atomic_int negative_power;
    _Atomic int64_t bad_index;
} TileSweep;

/* One tile as a thread works on it. */
typedef struct Tile {
    TileSweep *sweep;
    const TileCode *code;
    const TileProgram *program;
    int64_t row, n;         /* first row, rows */
    int64_t next;           /* the first row of the tile that comes next here, or -1 */
    int64_t chunk;
    int thread;
    char *buffers, *scratch, *rows, *carried;
    void **pointers;
    char **bases;           /* of buffers: where they lie, */
    int64_t *distances;     /* and bytes from one inner element to the next */
    const char **streams;
} Tile;

static inline int64_t
tile_view_size(const Tile *t, int view)
{
    return dtype_size(t->program->views[view].dtype);
}

/* Elements from one inner element of a buffer to the next. */
static inline int64_t
tile_distance(const Tile *t, int buffer)
{
    return t->distances[buffer] / dtype_size(t->program->buffers[buffer].dtype);
}

/* The shared side of a map. */
static inline const TileMatrix *
tile_matrix(const Tile *t, const TilePlan *plan)
{
    return (const TileMatrix *)(const void *)(t->sweep->packed + plan->packed);
}

/* Bytes to the rows that are needed next, or 0: of a buffer that a reader fetches. */
static inline int64_t
tile_ahead(const Tile *t, int buffer)
{
    return t->code->reading[buffer] != TILE_FETCHED_BY_READER || t->next < 0
               ? 0
               : (t->next - t->row) * dtype_size(t->program->buffers[buffer].dtype);
}

static inline char *
tile_buffer(const Tile *t, const TileRef *ref)
{
    return t->bases[ref->at] + ref->offset * t->distances[ref->at];
}

/* Where an operand lies at the first index of its space. */
static inline char *
tile_start(const Tile *t, const TileRef *ref)
{
    if (!ref->is_view) {
        return tile_buffer(t, ref);
    }
    const TileMemory *memory = &t->sweep->views[ref->at];
    const int ndim = t->program->views[ref->at].ndim;
    return memory->data + (ref->offset == 0 ? 0 : ref->offset * memory->strides[ndim - 1]);
}

/* Where the chunk adds up a sum. */
static inline char *
tile_part(const Tile *t, int sum)
{
    const TileSum *s = &t->program->sums[sum];
    return t->sweep->parts + t->code->sum_places[sum] +
           t->chunk * s->count * dtype_size(s->dtype);
}

/* Did the user, or another thread, stop the sweep? */
bool tile_is_stopped(const Tile *t);
bool tile_next_index(int ndim, const int64_t *shape, int64_t *index);
int64_t tile_offset(const int64_t *strides, const int64_t *index, int ndim);
void tile_load(const Tile *t, const TileStep *step);
void tile_store(const Tile *t, const TileStep *step, const TilePlan *plan);
void tile_fill(const Tile *t, int buffer, OpCode op);
bool tile_block(const Tile *t, const TileStep *step, const TilePlan *plan);
/* Add what a block has summed up in `sums` to the chunk's sums at an index of its space. */
void tile_fold_sums(const Tile *t, const TileStep *step, const TilePlan *plan, void *sums,
                    const int64_t *index);
/* Compile the blocks of a line; the scratch and the pointers that they need. */
Status tile_prepare_line(const TileProgram *p, const TileStep *step, TilePlan *plan,
                         int64_t *scratch_bytes, int *npointers);
bool tile_line(const Tile *t, const TileStep *step, const TilePlan *plan);
void tile_map(const Tile *t, const TileStep *step, const TilePlan *plan);
/* The spans of the rows of a map without further axes, or NULL where they are of no use. */
const TileSpan *tile_map_spans(const Tile *t, const TileStep *step, const TilePlan *plan);
/* Some of its rows into its buffer, from its beginning on. */
void tile_map_rows(const Tile *t, const TileStep *step, const TilePlan *plan,
                   const TileSpan *spans, int64_t first, int64_t count);
/* Loads whose readers can do with the view's memory, and what blocks fetch for the next tile. */
Status tile_find_readings(TileCode *code);
/* Buffers that are stored become the output's memory, where they may. */
void tile_aim_stores(const Tile *t);
/* A block does not fetch what it should: nothing is left to blocks. */
void tile_drop_streams(TileCode *code);
/* Where the streams of the next tile begin. */
void tile_aim_streams(const Tile *t);
/* Bytes from a loaded element to the next one, if the buffer can be the view's memory; else 0. */
int64_t tile_distance_in_place(const Tile *t, const TileStep *step);
/* Does it read or write the buffer? */
bool tile_step_uses(const TileStep *step, int buffer);
/* Maps that blocks had better compute as they go. */
void tile_find_inside(TileCode *code);
/* Those of them that only add up the squares of its rows. */
void tile_find_squares(TileCode *code);
void tile_squares(const Tile *t, const TileStep *step, const TilePlan *plan);
void tile_outer(const Tile *t, const TileStep *step);
void tile_row_map(const Tile *t, const TileStep *step, const TilePlan *plan);
void tile_row_outer(const Tile *t, const TileStep *step, const TilePlan *plan);
void tile_sum_rows(const Tile *t, const TileStep *step);
void tile_moments(const Tile *t, const TileStep *step);
/* Zero in the lanes beyond the last row, which must add nothing. */
void tile_clear_tail(const Tile *t, char *data, int64_t step_bytes, int64_t count, int64_t size);
void tile_gather(const Tile *t, const TileStep *step);
void tile_scatter(const Tile *t, const TileStep *step);
/* The shared side of a map made ready. */
void tile_pack(const TileSweep *sweep, const TileStep *step, const TilePlan *plan);

#endif
