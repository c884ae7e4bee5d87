/* backend/cpu/tile_run.c -- running a stage's program: chunks of tiles on all threads.
 *
 * A chunk has its own accumulators. Which thread computes a chunk changes nothing; the results
 * of chunks are merged in a fixed tree. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/poll.h"
#include "base/pool.h"

#include <string.h>

enum {
    TILES_IN_A_ROW = 24,
    SHARES = 8 /* at least, of a thread */
};

/* ---- tiles and chunks ---- */

static bool
run_tile(const Tile *t)
{
    const TileProgram *p = t->program;
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        const TilePlan *plan = &t->code->plans[s];
        switch (step->kind) {
        case TILE_LOAD:
            tile_load(t, step);
            break;
        case TILE_GATHER:
            tile_gather(t, step);
            break;
        case TILE_FILL:
            if (!plan->left_out) {
                tile_fill(t, step->out[0].at, step->op);
            }
            break;
        case TILE_BLOCK:
            if (plan->squares) {
                tile_squares(t, step, plan);
            } else if (!tile_block(t, step, plan)) {
                return false;
            }
            break;
        case TILE_LINE:
            if (!tile_line(t, step, plan)) {
                return false;
            }
            break;
        case TILE_MAP:
            if (!plan->inside) {
                tile_map(t, step, plan);
            }
            break;
        case TILE_OUTER:
            tile_outer(t, step);
            break;
        case TILE_ROW_MAP:
            tile_row_map(t, step, plan);
            break;
        case TILE_ROW_OUTER:
            tile_row_outer(t, step, plan);
            break;
        case TILE_SUM:
            tile_sum_rows(t, step);
            break;
        case TILE_MOMENTS:
            tile_moments(t, step);
            break;
        case TILE_SCATTER:
            tile_scatter(t, step);
            break;
        case TILE_STORE:
            tile_store(t, step, plan);
            break;
        }
    }
    return true;
}

static bool
sums_are_carried(const Tile *t, int step)
{
    return t->program->steps[step].kind == TILE_BLOCK && t->program->steps[step].nsums > 0 &&
           t->code->plans[step].carried >= 0;
}

static void
begin_chunk(const Tile *t)
{
    for (int s = 0; s < t->program->nsums; s++) {
        const TileSum *sum = &t->program->sums[s];
        if (sum->buffer >= 0) {
            tile_fill(t, sum->buffer, sum->op);
        } else {
            memset(tile_part(t, s), 0, (size_t)(sum->count * dtype_size(sum->dtype)));
        }
    }
    for (int s = 0; s < t->program->nsteps; s++) {
        const TilePlan *plan = &t->code->plans[s];
        if (sums_are_carried(t, s)) {
            block_sums_start(plan->block, t->carried + plan->carried);
        }
    }
}

/* Lanes, and what blocks have carried along, folded into the chunk's results. */
static void
end_chunk(const Tile *t)
{
    for (int s = 0; s < t->program->nsteps; s++) {
        const TilePlan *plan = &t->code->plans[s];
        if (sums_are_carried(t, s)) {
            tile_fold_sums(t, &t->program->steps[s], plan, t->carried + plan->carried, NULL);
        }
    }
    for (int s = 0; s < t->program->nsums; s++) {
        const TileSum *sum = &t->program->sums[s];
        if (sum->buffer < 0) {
            continue;
        }
        const ReduceKernels *kernels = cpu_reduce_kernels(tile_reduce_op(sum->op), sum->dtype);
        const int64_t size = dtype_size(sum->dtype);
        const char *lanes = t->buffers + t->code->places[sum->buffer];
        for (int64_t e = 0; e < sum->count; e++) {
            kernels->chunk(lanes + e * t->code->lanes * size, t->code->lanes,
                           tile_part(t, s) + e * size);
        }
    }
}

bool
tile_is_stopped(const Tile *t)
{
    if (t->thread == 0 && poll_interrupted()) {
        int none = 0;
        atomic_compare_exchange_strong(&t->sweep->stop, &none, 1);
    }
    return atomic_load_explicit(&t->sweep->stop, memory_order_relaxed) != 0;
}

/* A thread's part of the workspace. */
static Tile
tile_of_thread(TileSweep *sweep, int thread)
{
    const TileCode *code = sweep->code;
    Tile t = {.sweep = sweep, .code = code, .program = code->program};
    t.buffers = sweep->workspace + thread * sweep->thread_bytes;
    t.scratch = t.buffers + code->tile_bytes;
    t.thread = thread;
    t.rows = t.scratch + code->scratch_bytes;
    t.carried = t.rows + code->row_bytes;
    t.bases = (char **)(t.carried + code->carried_bytes);
    t.distances = (int64_t *)(t.bases + code->program->nbuffers);
    t.streams = (const char **)(t.distances + code->program->nbuffers);
    t.pointers = (void **)(t.streams + code->nstreams);
    for (int b = 0; b < code->program->nbuffers; b++) {
        t.bases[b] = t.buffers + code->places[b];
        t.distances[b] = code->lanes * dtype_size(code->program->buffers[b].dtype);
    }
    return t;
}

static void
run_chunks(void *ctx, int64_t begin, int64_t end, int thread)
{
    TileSweep *const sweep = ctx;
    const TileCode *code = sweep->code;
    Tile t = tile_of_thread(sweep, thread);
    for (t.chunk = begin; t.chunk < end; t.chunk++) {
        const int64_t first = t.chunk * code->chunk_tiles, after = first + code->chunk_tiles;
        const int64_t last = after < code->tiles ? after : code->tiles;
        begin_chunk(&t);
        for (int64_t tile = first; tile < last && atomic_load(&sweep->stop) == 0; tile++) {
            t.row = tile * code->rows;
            t.n = t.program->rows - t.row < code->rows ? t.program->rows - t.row : code->rows;
            t.next = tile + 1 < last || t.chunk + 1 < end ? t.row + code->rows : -1;
            tile_aim_streams(&t);
            tile_aim_stores(&t);
            if (!run_tile(&t)) {
                atomic_store(&sweep->negative_power, 1);
                break;
            }
            (void)tile_is_stopped(&t);
        }
        end_chunk(&t);
    }
}

/* A thread takes short chunks one after the other: tiles know which one comes next. */
static int64_t
chunks_in_a_row(const TileCode *code)
{
    const int64_t most = code->chunks / (SHARES * (int64_t)pool_size());
    const int64_t good = (TILES_IN_A_ROW + code->chunk_tiles - 1) / code->chunk_tiles;
    const int64_t count = good < most ? good : most;
    return code->alone ? code->chunks : count > 1 ? count : 1;
}

typedef struct Merge {
    const ReduceKernels *kernels;
    char *parts, *to; /* chunk after chunk; the result */
    int64_t size, count, chunks;
} Merge;

/* Some elements of all chunks. */
static void
merge_range(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Merge *m = ctx;
    char *const first = m->parts + begin * m->size;
    (void)thread;
    cpu_merge_chunks(m->kernels, first, m->count * m->size, end - begin, m->chunks);
    memcpy(m->to + begin * m->size, first, (size_t)((end - begin) * m->size));
}

static Status
merge_chunks(const TileSweep *sweep, char *const *sums)
{
    enum { MERGE_WORK = 1 << 13 }; /* elements of chunks that one thread had better merge */
    const TileCode *code = sweep->code;
    Status status = STATUS_OK;
    for (int s = 0; s < code->program->nsums && status == STATUS_OK; s++) {
        const TileSum *sum = &code->program->sums[s];
        Merge merge = {.kernels = cpu_reduce_kernels(tile_reduce_op(sum->op), sum->dtype),
                       .parts = sweep->parts + code->sum_places[s],
                       .to = sums[s],
                       .size = dtype_size(sum->dtype),
                       .count = sum->count,
                       .chunks = code->chunks};
        status = pool_run(sum->count, MERGE_WORK / code->chunks + 1, merge_range, &merge);
    }
    return status;
}

static Status
sweep_status(TileSweep *sweep)
{
    if (atomic_load(&sweep->negative_power) != 0) {
        return block_power_error();
    }
    if (atomic_load(&sweep->stop) == 2) {
        return err_set(ERR_INDEX, "index %lld is out of bounds",
                       (long long)atomic_load(&sweep->bad_index));
    }
    return atomic_load(&sweep->stop) != 0 ? err_set(ERR_INTERRUPT, "interrupted") : STATUS_OK;
}

Status
backend_cpu_tile_run(const TileCode *code, const TileMemory *views, char *const *outs,
                     char *const *sums)
{
    const TileProgram *p = code->program;
    TileSweep sweep = {.code = code, .views = views, .outs = outs};
    const int64_t threads = code->alone || code->chunks == 1 ? 1 : pool_size();
    sweep.thread_bytes =
        tile_round(code->tile_bytes + code->scratch_bytes + code->row_bytes + code->carried_bytes +
                       code->npointers * (int64_t)sizeof(void *) +
                       code->nstreams * (int64_t)sizeof(char *) +
                       p->nbuffers * (int64_t)(sizeof(char *) + sizeof(int64_t)), 64);
    const size_t bytes = (size_t)(threads * sweep.thread_bytes);
    sweep.workspace = mem_new(bytes);
    sweep.packed = mem_new((size_t)code->packed_bytes);
    sweep.parts = mem_new((size_t)code->sum_bytes);
    Status status = STATUS_ERROR;
    if (sweep.workspace != NULL && sweep.packed != NULL && sweep.parts != NULL) {
        for (int s = 0; s < p->nsteps; s++) {
            if (p->steps[s].kind == TILE_MAP || p->steps[s].kind == TILE_ROW_MAP) {
                tile_pack(&sweep, &p->steps[s], &code->plans[s]);
            }
        }
        status = pool_run(code->chunks, chunks_in_a_row(code), run_chunks, &sweep);
        status = status == STATUS_OK ? sweep_status(&sweep) : status;
    }
    if (status == STATUS_OK) {
        status = merge_chunks(&sweep, sums);
    }
    mem_free(sweep.workspace, bytes);
    mem_free(sweep.packed, (size_t)code->packed_bytes);
    mem_free(sweep.parts, (size_t)code->sum_bytes);
    return status;
}
