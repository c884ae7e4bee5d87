/* backend/cpu/tile_prepare.c -- planning how a stage's program runs: memory, lanes, chunks.
 *
 * Buffers whose values are dead give their memory to later ones. The lanes of a tile follow
 * from the bytes that a row needs, so that buffers stay in the second-level cache. All of it
 * depends on shapes alone. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"

#include <string.h>

enum {
    TILE_BYTES = 768 * 1024,       /* of buffers, where the lanes can be chosen */
    TILE_BYTES_MAX = 1536 * 1024,  /* below which blocks keep GOOD_LANES */
    SHARED_TILES = 4,              /* at least, where several threads pay */
    CROWDED_LANES = 256,
    GOOD_LANES = 64,               /* machine code pays from here on */
    LINE_BYTES = 384 * 1024,       /* of buffers, where rows are walked along */
    LINES_MOST = 64,
    LINES_LEAST = 8,
    ROW_TILE_BYTES = 64 * 1024,    /* of rows that are read twice where they lie */
    SUMS_BYTES = 2 * 1024 * 1024,
    CHUNKS = 64,
    LARGE_SUMS = 32 * 1024,        /* bytes: merging them costs as much as many rows */
    CHUNKS_OF_LARGE = 16,
    ROWS_OF_LARGE = 256,           /* of a chunk, at least */
    TILE_WORK = 1 << 26,           /* elements of all steps between two looks for Ctrl-C */
    LANE_UNIT = 2,                 /* bytes; times the fewest lanes it aligns buffers to 16 bytes */
    IN_PLACE_MOST = 16,            /* instructions of a block */
    RUNS = 64,                     /* of a stage, at least, over which its machine code pays */
    ALONE_WORK = 1 << 15           /* elements of all steps that one thread had better do */
};

ReduceOp
tile_reduce_op(OpCode op)
{
    return op == OP_reduce_max   ? REDUCE_MAX
           : op == OP_reduce_min ? REDUCE_MIN
           : op == OP_prod       ? REDUCE_PROD
                                 : REDUCE_SUM;
}

bool
backend_cpu_tile_fits(int64_t inner)
{
    return inner <= TILE_BYTES_MAX / 2 / (TILE_UNIT * 8);
}

/* ---- memory of buffers ---- */

typedef struct Life {
    int first, last; /* steps */
    int64_t bytes;   /* a lane */
    int owner;       /* the buffer whose memory it has */
} Life;

static void
note_use(Life *life, int step)
{
    life->first = life->first < 0 ? step : life->first;
    life->last = step;
}

/* A product inside a block lives no longer than the block, a group of rows at a time; what it is
 * made from does, and beyond: the block may write its results over none of it. */
static void
find_inside_lives(const TileCode *code, Life *lives)
{
    const TileProgram *p = code->program;
    for (int s = 0; s < p->nsteps; s++) {
        const TilePlan *plan = &code->plans[s];
        if (plan->map_rows > 0) {
            const TileStep *map = &p->steps[plan->map];
            Life *life = &lives[map->out[0].at];
            life->first = s;
            life->bytes = plan->squares
                              ? 0
                              : plan->map_rows * dtype_size(p->buffers[map->out[0].at].dtype);
            Life *from = &lives[map->in[0].at];
            from->last = from->last > s ? from->last : s + 1;
        }
    }
}

static void
find_lives(const TileCode *code, Life *lives)
{
    const TileProgram *p = code->program;
    for (int b = 0; b < p->nbuffers; b++) {
        const TileBuffer *buffer = &p->buffers[b];
        const int64_t bytes = buffer->count * dtype_size(buffer->dtype);
        lives[b] = (Life){-1, -1, tile_round(bytes, LANE_UNIT), b};
    }
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        for (int i = 0; i < step->nin + step->nout; i++) {
            const TileRef *ref = i < step->nin ? &step->in[i] : &step->out[i - step->nin];
            if (!ref->is_view && !ref->is_sum) {
                note_use(&lives[ref->at], s);
            }
        }
        for (int k = 0; step->kind == TILE_LINE && k < step->nsums; k++) {
            note_use(&lives[step->block_sums[k].at], s);
        }
    }
    find_inside_lives(code, lives);
}

static bool
same_walk(const TileRef *a, const TileRef *b, int ndim)
{
    return a->offset == b->offset &&
           memcmp(a->strides, b->strides, (size_t)ndim * sizeof(int64_t)) == 0;
}

/* Does the step write to the buffer as it walks over the input? */
static bool
is_written(const TileStep *step, int buffer, const TileRef *in)
{
    for (int o = 0; o < step->nout; o++) {
        if (step->out[o].at == buffer && same_walk(in, &step->out[o], step->ndim)) {
            return true;
        }
    }
    return false;
}

/* May the new value of `out` lie where that of input i lay? It dies here, and the step walks
 * over both in one way. */
static bool
can_take_over(const TileProgram *p, const Life *lives, int s, const TileRef *out, int i)
{
    const TileStep *step = &p->steps[s];
    const TileRef *in = &step->in[i];
    if (in->is_view || p->buffers[in->at].lasts || lives[in->at].last != s ||
        lives[in->at].bytes != lives[out->at].bytes ||
        dtype_size(p->buffers[in->at].dtype) != dtype_size(p->buffers[out->at].dtype)) {
        return false;
    }
    for (int k = 0; k < step->nin; k++) {
        if (!step->in[k].is_view && lives[step->in[k].at].owner == lives[in->at].owner &&
            !is_written(step, out->at, &step->in[k])) {
            return false;
        }
    }
    for (int o = 0; o < step->nout; o++) { /* nobody else took it */
        if (step->out[o].at != out->at &&
            lives[step->out[o].at].owner == lives[in->at].owner) {
            return false;
        }
    }
    return true;
}

/* Values that blocks compute in place: short ones, since machine code that must keep its operands
 * until its last store is one loop, however long, and leaves out what may have to run again. */
static void
take_over(const TileProgram *p, Life *lives)
{
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        const bool may = step->kind == TILE_BLOCK && step->ninstructions <= IN_PLACE_MOST;
        for (int o = 0; may && o < step->nout; o++) {
            const TileRef *out = &step->out[o];
            if (p->buffers[out->at].lasts || lives[out->at].first != s) {
                continue;
            }
            for (int i = 0; i < step->nin; i++) {
                if (can_take_over(p, lives, s, out, i)) {
                    const int owner = lives[step->in[i].at].owner;
                    lives[out->at].owner = owner;
                    lives[owner].last = lives[out->at].last;
                    break;
                }
            }
        }
    }
}

/* Places of buffers in bytes a lane: each at the lowest place free through its life. */
static int64_t
place_buffers(const TileProgram *p, Life *lives, int64_t *places)
{
    int64_t total = 0;
    for (int b = 0; b < p->nbuffers; b++) {
        Life *life = &lives[b];
        if (life->owner != b) {
            continue;
        }
        int64_t at = 0;
        bool moved = true;
        while (moved) {
            moved = false;
            for (int other = 0; other < b; other++) {
                const Life *l = &lives[other];
                const bool meet = p->buffers[b].lasts || p->buffers[other].lasts ||
                                  (l->first <= life->last && life->first <= l->last);
                if (l->owner == other && meet && at < places[other] + l->bytes &&
                    places[other] < at + life->bytes) {
                    at = places[other] + l->bytes;
                    moved = true;
                }
            }
        }
        places[b] = at;
        total = places[b] + life->bytes > total ? places[b] + life->bytes : total;
    }
    for (int b = 0; b < p->nbuffers; b++) {
        if (lives[b].owner != b) {
            places[b] = places[lives[b].owner];
        }
    }
    return total;
}

/* ---- lanes and chunks ---- */

/* The row-wise view that the step reads where it lies, or -1. */
static int
row_view(const TileStep *step)
{
    return step->kind == TILE_ROW_MAP     ? step->in[0].at
           : step->kind == TILE_ROW_OUTER ? step->in[1].at
                                          : -1;
}

/* Is step s the first, or the last, that reads its rows? */
static bool
ends_rows(const TileProgram *p, int s, int direction)
{
    for (int k = s + direction; k >= 0 && k < p->nsteps; k += direction) {
        if (row_view(&p->steps[k]) == row_view(&p->steps[s])) {
            return false;
        }
    }
    return true;
}

/* Bytes of a row that contractions read where they lie. */
static int64_t
row_bytes(const TileProgram *p)
{
    int64_t bytes = 0;
    for (int s = 0; s < p->nsteps; s++) {
        const int view = row_view(&p->steps[s]);
        if (view >= 0 && ends_rows(p, s, -1)) {
            bytes += p->steps[s].nj * dtype_size(p->views[view].dtype);
        }
    }
    return bytes;
}

static int64_t
work_of(const TileProgram *p)
{
    int64_t work = 0;
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        const int64_t depth = step->ninstructions > 0 ? step->ninstructions
                              : step->ni > 0          ? step->ni * (step->nj > 0 ? step->nj : 1)
                                                      : 1;
        work += tile_space(step) * depth;
    }
    return work * p->rows;
}

static bool
has_lines(const TileProgram *p)
{
    for (int s = 0; s < p->nsteps; s++) {
        if (p->steps[s].kind == TILE_LINE) {
            return true;
        }
    }
    return false;
}

static int64_t
rows_of_lines(const TileProgram *p, int64_t lane_bytes)
{
    int64_t rows = LINES_MOST;
    while (rows > LINES_LEAST && (rows * lane_bytes > LINE_BYTES || rows / 2 >= p->rows)) {
        rows /= 2;
    }
    return rows;
}

static int64_t
rows_of_tiles(const TileProgram *p, int64_t lane_bytes)
{
    const int64_t direct = row_bytes(p), work = work_of(p);
    int64_t rows = TILE_MAX_LANES;
    while (rows > TILE_UNIT &&
           (rows * lane_bytes > (rows > GOOD_LANES ? TILE_BYTES : TILE_BYTES_MAX) ||
            rows * direct > ROW_TILE_BYTES)) {
        rows /= 2;
    }
    while (rows > GOOD_LANES &&
           (work / p->rows * rows > TILE_WORK ||
            (work >= ALONE_WORK && (SHARED_TILES - 1) * rows >= p->rows))) {
        rows /= 2;
    }
    while (rows > TILE_UNIT && rows / 2 >= p->rows) {
        rows /= 2;
    }
    return rows;
}

/* Products read lanes of many elements at once, which a cache has no room for where they lie at
 * distances of a power of two. */
static bool
has_products(const TileProgram *p)
{
    for (int s = 0; s < p->nsteps; s++) {
        const TileKind kind = p->steps[s].kind;
        if (kind == TILE_MAP || kind == TILE_OUTER || kind == TILE_MOMENTS) {
            return true;
        }
    }
    return false;
}

static void
choose_rows(TileCode *code, int64_t lane_bytes)
{
    const TileProgram *p = code->program;
    code->rows = has_lines(p) ? rows_of_lines(p, lane_bytes) : rows_of_tiles(p, lane_bytes);
    code->lanes = code->rows;
    if (code->rows % CROWDED_LANES == 0 && has_products(p)) {
        code->lanes += TILE_UNIT;
    }
    code->tile_bytes = tile_round(lane_bytes * code->lanes, 64);
}

static void
choose_chunks(TileCode *code)
{
    const TileProgram *p = code->program;
    int64_t bytes = 0, most = CHUNKS;
    for (int s = 0; s < p->nsums; s++) {
        bytes += p->sums[s].count * dtype_size(p->sums[s].dtype);
    }
    if (bytes > 0 && SUMS_BYTES / bytes < most) {
        most = SUMS_BYTES / bytes > 4 ? SUMS_BYTES / bytes : 4;
    }
    if (bytes > LARGE_SUMS && most > CHUNKS_OF_LARGE) {
        most = CHUNKS_OF_LARGE;
    }
    code->tiles = (p->rows + code->rows - 1) / code->rows;
    const int64_t least = (ROWS_OF_LARGE + code->rows - 1) / code->rows;
    most = bytes > LARGE_SUMS && code->tiles < least * most ? (code->tiles + least - 1) / least
                                                            : most;
    code->chunk_tiles = (code->tiles + most - 1) / most;
    code->chunks = (code->tiles + code->chunk_tiles - 1) / code->chunk_tiles;
    code->alone = work_of(p) < ALONE_WORK;
    code->sum_bytes = 0;
    for (int s = 0; s < p->nsums; s++) {
        code->sum_places[s] = code->sum_bytes;
        code->sum_bytes +=
            tile_round(p->sums[s].count * dtype_size(p->sums[s].dtype) * code->chunks, 64);
    }
}

/* ---- steps ---- */

/* Innermost indices that one call of a block may cover: all lanes lie side by side, and shared
 * elements stay. Tiles that are not full take one index at a time. */
static int64_t
indices_together(const TileStep *step, int64_t lanes)
{
    int64_t together = 1;
    for (int d = step->ndim - 1; d >= 0; d--) {
        for (int i = 0; i < step->nin + step->nout; i++) {
            const TileRef *ref = i < step->nin ? &step->in[i] : &step->out[i - step->nin];
            if (ref->strides[d] != (ref->is_view ? 0 : together)) {
                return together;
            }
        }
        if (together * step->shape[d] * lanes > BLOCK_LANES) {
            int64_t part = BLOCK_LANES / (together * lanes);
            while (part > 1 && step->shape[d] % part != 0) {
                part--;
            }
            return together * part;
        }
        together *= step->shape[d];
    }
    return together;
}

/* Does a result lie where an operand lay? */
static bool
is_in_place(const TileCode *code, const TileStep *step)
{
    for (int o = 0; o < step->nout; o++) {
        for (int i = 0; i < step->nin; i++) {
            if (!step->in[i].is_view &&
                code->places[step->in[i].at] == code->places[step->out[o].at]) {
                return true;
            }
        }
    }
    return false;
}

static Status
prepare_block(TileCode *code, const TileStep *step, TilePlan *plan)
{
    const TileProgram *p = code->program;
    uint8_t *dtypes = mem_new((size_t)step->nin + 1);
    bool *uniform = mem_new(((size_t)step->nin + 1) * sizeof *uniform);
    if (dtypes != NULL && uniform != NULL) {
        for (int i = 0; i < step->nin; i++) {
            const TileRef *ref = &step->in[i];
            uniform[i] = ref->is_view;
            dtypes[i] = (uint8_t)(ref->is_view ? p->views[ref->at].dtype
                                               : p->buffers[ref->at].dtype);
            for (int d = 0; d < step->ndim && ref->is_view; d++) {
                plan->uniforms_vary = plan->uniforms_vary || ref->strides[d] != 0;
            }
        }
        plan->indices =
            step->nsums > 0 || plan->map_rows > 0 || code->lanes > code->rows
                ? 1
                : indices_together(step, code->rows);
        const BlockSpec spec = {.nin = step->nin,
                                .ninstructions = step->ninstructions,
                                .nout = step->nout,
                                .in_dtypes = dtypes,
                                .in_uniform = uniform,
                                .instructions = step->instructions,
                                .out_registers = step->out_registers,
                                .nsum = step->nsums,
                                .sum_registers = step->sum_registers,
                                .lanes = code->rows * plan->indices,
                                .elements = RUNS * p->rows * tile_space(step),
                                .nfetches = plan->nstreams,
                                .in_place = is_in_place(code, step)};
        plan->block = block_compile(&spec);
    }
    mem_free(dtypes, (size_t)step->nin + 1);
    mem_free(uniform, ((size_t)step->nin + 1) * sizeof *uniform);
    if (plan->block == NULL) {
        return STATUS_ERROR;
    }
    const int64_t bytes = tile_round(block_scratch_bytes(plan->block), 64) +
                          step->nsums * (int64_t)BLOCK_SUM_BYTES;
    code->scratch_bytes = bytes > code->scratch_bytes ? bytes : code->scratch_bytes;
    plan->refs = code->npointers;
    code->npointers += step->nin + step->nout;
    plan->carried = step->ndim == 0 ? code->carried_bytes : -1;
    code->carried_bytes += step->ndim == 0 ? step->nsums * (int64_t)BLOCK_SUM_BYTES : 0;
    return STATUS_OK;
}

static void
prepare_rows(TileCode *code, int s)
{
    const TileProgram *p = code->program;
    const int view = row_view(&p->steps[s]);
    TilePlan *plan = &code->plans[s];
    plan->first = ends_rows(p, s, -1);
    plan->last = ends_rows(p, s, 1);
    plan->rows = code->row_bytes;
    for (int k = 0; k < s && !plan->first; k++) {
        if (row_view(&p->steps[k]) == view) {
            plan->rows = code->plans[k].rows;
            return;
        }
    }
    code->row_bytes += tile_round(
        code->rows * p->steps[s].nj * dtype_size(p->views[view].dtype), 64);
}

static Status
prepare_steps(TileCode *code)
{
    const TileProgram *p = code->program;
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        TilePlan *plan = &code->plans[s];
        if (step->kind == TILE_BLOCK && !plan->squares &&
            prepare_block(code, step, plan) != STATUS_OK) {
            return STATUS_ERROR;
        }
        if (plan->nstreams > 0 && (plan->indices > 1 || !block_fetches(plan->block))) {
            tile_drop_streams(code);
        }
        if (step->kind == TILE_LINE) {
            int64_t bytes;
            int npointers;
            if (tile_prepare_line(p, step, plan, &bytes, &npointers) != STATUS_OK) {
                return STATUS_ERROR;
            }
            code->scratch_bytes = bytes > code->scratch_bytes ? bytes : code->scratch_bytes;
            plan->refs = code->npointers;
            code->npointers += npointers;
        }
        if (step->kind == TILE_MAP || step->kind == TILE_ROW_MAP) {
            plan->packed = code->packed_bytes;
            const DType dtype = p->views[step->in[1].at].dtype;
            const int64_t rows = tile_space(step) * step->ni;
            const int64_t behind = rows * tile_packed_step(step, dtype) * dtype_size(dtype);
            const size_t own = sizeof(TileMatrix) + (size_t)rows * sizeof(TileSpan);
            code->packed_bytes +=
                tile_round(step->kind == TILE_MAP ? (int64_t)own + behind : behind, 64);
        }
        if (step->kind == TILE_MOMENTS) {
            const int64_t rows = step->ni + 1 + TILE_MOMENT_ROWS;
            const int64_t bytes = rows * code->rows * (int64_t)sizeof(double);
            code->scratch_bytes = bytes > code->scratch_bytes ? bytes : code->scratch_bytes;
        }
        if (row_view(step) >= 0) {
            prepare_rows(code, s);
        }
    }
    return STATUS_OK;
}

static Status
prepare(TileCode *code)
{
    const TileProgram *p = code->program;
    const size_t bytes = ((size_t)p->nbuffers + 1) * sizeof(Life);
    Life *lives = mem_new(bytes);
    if (lives == NULL) {
        return STATUS_ERROR;
    }
    tile_find_inside(code);
    tile_find_squares(code);
    if (tile_find_readings(code) != STATUS_OK) {
        mem_free(lives, bytes);
        return STATUS_ERROR;
    }
    find_lives(code, lives);
    take_over(p, lives);
    const int64_t lane_bytes = place_buffers(p, lives, code->places);
    mem_free(lives, bytes);
    choose_rows(code, lane_bytes);
    for (int b = 0; b < p->nbuffers; b++) {
        code->places[b] *= code->lanes;
    }
    choose_chunks(code);
    return prepare_steps(code);
}

TileCode *
backend_cpu_tile_prepare(const TileProgram *p)
{
    TileCode *code = mem_new_zeroed(sizeof *code);
    if (code == NULL) {
        return NULL;
    }
    code->program = p;
    code->plans = mem_new_zeroed(((size_t)p->nsteps + 1) * sizeof(TilePlan));
    code->places = mem_new_zeroed(((size_t)p->nbuffers + 1) * sizeof(int64_t));
    code->reading = mem_new_zeroed((size_t)p->nbuffers + 1);
    code->sum_places = mem_new_zeroed(((size_t)p->nsums + 1) * sizeof(int64_t));
    if (code->plans == NULL || code->places == NULL || code->sum_places == NULL ||
        code->reading == NULL || prepare(code) != STATUS_OK) {
        backend_cpu_tile_release(code);
        return NULL;
    }
    return code;
}

void
backend_cpu_tile_release(TileCode *code)
{
    if (code == NULL) {
        return;
    }
    const TileProgram *p = code->program;
    for (int s = 0; code->plans != NULL && s < p->nsteps; s++) {
        block_free(code->plans[s].block);
        block_free(code->plans[s].together);
    }
    mem_free(code->plans, ((size_t)p->nsteps + 1) * sizeof(TilePlan));
    mem_free(code->places, ((size_t)p->nbuffers + 1) * sizeof(int64_t));
    vec_fini(&code->streams);
    mem_free(code->reading, (size_t)p->nbuffers + 1);
    mem_free(code->sum_places, ((size_t)p->nsums + 1) * sizeof(int64_t));
    mem_free(code, sizeof *code);
}

TileCost
backend_cpu_tile_cost(const TileCode *code)
{
    return (TileCost){code->rows, code->tile_bytes, code->sum_bytes};
}
