/* graph/stage_build.h -- a stage while it is compiled: shared by stage_compile.c, which orders
 * its members, stage_operand.c, stage_product.c and stage_group.c, which make steps of them. */
#ifndef PYARR_GRAPH_STAGE_BUILD_H
#define PYARR_GRAPH_STAGE_BUILD_H

#include "backend/backend.h"
#include "base/vec.h"
#include "graph/stage_roles.h"

/* An array that the stage reads, without axes of one element. */
typedef struct StageView {
    int32_t input;           /* which of the stage's inputs; -1: memory of its own */
    int64_t offset;          /* elements in C order, as the strides */
    int64_t row_stride;
    int ndim;
    int64_t shape[TILE_NDIM], strides[TILE_NDIM];
} StageView;

/* A sum over rows of a product with a shared matrix: the product is taken of the sums of its
 * rows, after the sweep: out[.., i] = sum_j matrix[.., i, j] sum[.., j]. */
typedef struct StagePush {
    int32_t at;              /* the sum's place */
    int sum;                 /* of rows, its number */
    int view;                /* the matrix: axes .., i, j */
    int ndim;
    int64_t shape[TILE_NDIM], ni, nj;
    int64_t strides[TILE_NDIM + 1]; /* of the result, elements: .., i */
    bool single;             /* float32 */
} StagePush;

/* Sums over rows of w y, y = M x + s affine in the rows x with a weight w for several elements of
 * y, and of the products of w y with x: both follow from the moments sum w z z', z = (x, 1), of
 * which, being symmetric, only half is summed, and y need not be kept. Where x lies far from zero
 * moments about zero would lose what it varies by: they are about a pivot among the rows. */
typedef struct StageMoments {
    int32_t value, weight;      /* places of w y, which is never computed, and of w */
    int weight_operand;
    int32_t map, affine;        /* places of M x and y */
    int shift_operand;          /* of y; -1: there is none */
    int matrix_sign, shift_sign;
    int32_t product, sum;       /* places, -1: there is none; at last the numbers of outputs */
    bool turned;                /* the product's first axis is that of x */
    int64_t nx, nk, ni;
    int part;                   /* number of the sum of moments, -1: no step adds them yet */
    int matrix, shift, rows, pivot; /* views; the pivot's is of the stage's own memory */
} StageMoments;

struct Stage {
    VEC(int32_t) inputs;     /* places */
    VEC(int32_t) outputs;    /* row-wise ones first, then sums */
    VEC(int64_t) sizes;      /* of outputs, bytes */
    VEC(StageView) views;
    VEC(TileView) tile_views;
    TileMemory *memory;      /* of views, `data` as offset from the input's first element */
    VEC(TileBuffer) buffers;
    VEC(TileSum) sums;
    VEC(StagePush) pushes;
    VEC(StageMoments) moments;
    int64_t temporary_bytes; /* of sums that are no outputs */
    VEC(TileOut) outs;
    VEC(TileStep) steps;
    TileProgram program;
    TileCode *code;
    StageCost cost;
};

/* How a member reads an operand along certain axes of it. */
typedef enum StageReading { READ_LANES, READ_ROWS, READ_SHARED } StageReading;

typedef struct StageOperand {
    StageReading reading;
    int32_t root;
    int64_t offset;                /* READ_LANES: in inner elements of the root, and strides */
    int64_t strides[TILE_NDIM];    /* else elements of the array in C order */
    int64_t row_stride;
} StageOperand;

/* The inner axes over which a block runs. */
typedef struct StageSpace {
    int ndim;
    int64_t shape[TILE_NDIM];
} StageSpace;

enum { STAGE_DROPPED = 3 };

typedef struct StageBuild {
    const PlanGraph *g;
    const int32_t *stage_of;
    int32_t number;
    StageRoles roles;
    Stage *stage;
    int32_t *buffer;     /* by place, or -1 */
    int32_t *reg;        /* by place: its register in the block that is built, or -1 */
    StageSpace *space;   /* by place of a member that blocks compute */
    uint8_t *done;       /* by place; STAGE_DROPPED: never computed */
    uint8_t *again;      /* by place: computed where it is read, never buffered */
    uint8_t *multiplied; /* by place: a product reads it, so that it is in a buffer */
    int32_t *pushed;     /* by place of a sum: the map that it is pushed through, or -1 */
    VEC(int32_t) loaded; /* by view: its buffer, or -1 */
    VEC(bool) buffered;  /* by view: some step needs it in a buffer */
    int64_t line;        /* elements of the inner axis that lies in lanes, or 0: rows do */
} StageBuild;

enum { STAGE_SHORT = 1024 }; /* inner elements of values that have buffers while rows are in lanes */

/* The axes of the space of a row-wise value: all but the rows and those of one element. */
int stage_space(const Node *node, int row, int *axes);

/* Operand k of a member along `axes` of it (-1: none, which repeats it). */
void stage_operand(const StageBuild *b, int32_t at, int k, int naxes, const int *axes,
                   StageOperand *operand);

static inline bool
stage_is_member(const StageBuild *b, int32_t at)
{
    return b->stage_of[at] == b->number && b->roles.role[at] != ROLE_NONE;
}

/* The number of a view of an operand that is not READ_LANES; `keep_repeats` keeps axes along
 * which it repeats. -1 with the error set. */
int stage_view(StageBuild *b, const StageOperand *operand, int naxes, const int64_t *shape,
               bool keep_repeats);
/* One of float64 numbers that the stage itself makes when it runs. */
int stage_own_view(StageBuild *b, int64_t count);
/* A reference to an operand's lanes, loaded into a buffer where they are not in one. */
Status stage_lanes(StageBuild *b, const StageOperand *operand, int naxes, const int64_t *shape,
                   TileRef *ref);
int stage_add_buffer(StageBuild *b, DType dtype, int64_t count, bool lasts);
/* The buffer of a row-wise value. */
int stage_buffer_of(StageBuild *b, int32_t at);
/* The sum of an accumulator. */
int stage_add_sum(StageBuild *b, int32_t at, int buffer);
/* Does anyone outside the stage read the member's value? */
bool stage_is_output(const StageBuild *b, int32_t at);
/* A step with copies of these arrays. */
Status stage_add_step(StageBuild *b, const TileStep *step);
/* C-order strides of a value's inner elements along `axes` of it. */
void stage_inner_strides(const Node *node, int row, int naxes, const int *axes, int64_t *strides);

void stage_step_fini(const TileStep *step);

/* Steps of members that are no blocks. */
Status stage_add_map(StageBuild *b, int32_t at);
Status stage_add_outer(StageBuild *b, int32_t at);
Status stage_add_pushed(StageBuild *b, int32_t at);
/* Is the member a sum over rows, and of nothing else, of a value that is in a buffer anyway? */
bool stage_sums_buffer(const StageBuild *b, int32_t at);
Status stage_add_row_sum(StageBuild *b, int32_t at);
Status stage_add_gather(StageBuild *b, int32_t at);
Status stage_add_scatter(StageBuild *b, int32_t at);
/* Which sums over rows go through products instead; those products are done. */
void stage_find_pushed(StageBuild *b);
/* ---- moments (stage_moments.c) ---- */
void stage_find_moments(StageBuild *b);
/* The moments that the member, a sum over rows, follows from; or NULL. */
StageMoments *stage_moments_of(const StageBuild *b, int32_t at);
/* Is the value, operand k of a dropped one, its weight? */
bool stage_moments_need(const StageBuild *b, int32_t dropped, int k);
bool stage_moments_ready(const StageBuild *b, const StageMoments *m);
Status stage_add_moments(StageBuild *b, StageMoments *m);
/* Where moments are taken about, written to `room`. */
void stage_set_pivots(const Stage *stage, TileMemory *views, char *room);
/* After the sweep. */
Status stage_finish_moments(const Stage *stage, const TileMemory *views, char *const *sums,
                            char *const *out, bool *finite);

/* Views that some step needs in a buffer are not read where they lie by others. */
Status stage_find_buffered(StageBuild *b);

/* Bytes of a sum that is no output, so that the next one is aligned for any dtype. */
static inline int64_t
stage_temporary_bytes(const TileSum *sum)
{
    return (sum->count * dtype_size(sum->dtype) + 15) / 16 * 16;
}

/* Is the member computed by a block? */
static inline bool
stage_in_block(const StageBuild *b, int32_t at)
{
    const int role = b->roles.role[at];
    return role == ROLE_ELEMENTWISE || role == ROLE_REDUCE || role == ROLE_ROW_SUM;
}

/* ---- spaces of blocks (stage_space.c) ---- */
void stage_find_spaces(StageBuild *b);
bool stage_space_same(const StageSpace *a, const StageSpace *b);
/* Elements of the member's space. */
int64_t stage_block_volume(const StageBuild *b, int32_t at);
/* Strides of a value that lies in C order. */
void stage_space_contiguous(const StageSpace *space, int64_t *strides);
/* Operand k of a member along the axes of its space. */
void stage_space_operand(const StageBuild *b, int32_t at, int k, StageOperand *operand);
/* Is the operand the whole root, element for element? */
bool stage_space_whole(const StageBuild *b, const StageOperand *operand, const StageSpace *space);
/* The strides of a reduction's result over the space of what it reduces. */
void stage_space_reduced(const StageBuild *b, int32_t at, int64_t *strides);

/* ---- lines (stage_line.c) ---- */
/* The line of a stage that may have one, or 0. */
int64_t stage_find_line(const StageBuild *b);
static inline bool
stage_is_line(const StageBuild *b, const StageSpace *space)
{
    return b->line > 0 && space->ndim == 1 && space->shape[0] == b->line;
}
/* Decides which values along it are computed again. */
void stage_find_again_in_line(StageBuild *b);
/* Must the block that is built keep a value along it for later ones? */
bool stage_is_kept(const StageBuild *b, int32_t at);

/* ---- blocks (stage_group.c) ---- */
/* Decides which values are computed again wherever they are read. */
void stage_find_again(StageBuild *b);
/* May member `at`, which stage_in_block, begin a block now? */
bool stage_block_ready(const StageBuild *b, int32_t at);
/* One block of all members that can run over the space of member `at`. */
Status stage_add_block(StageBuild *b, int32_t at);

#endif
