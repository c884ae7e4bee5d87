/* backend/cpu/tile_block.c -- a step of elementwise instructions: the block at every index of its
 * space, over the lanes of a tile. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"

#include <string.h>

enum { LOOK_EVERY = 1024 }; /* indices between looks for Ctrl-C */

typedef struct Walker {
    const Tile *t;
    const TileStep *step;
    const TilePlan *plan;
    BlockFrame frame;
    void **pointers;
    /* The product that is computed here, if any: its buffer (else -1), the spans of its matrix,
     * and the index of the outermost axis whose rows are in the buffer. */
    int inside;
    const TileSpan *spans;
    int64_t there;
    int run; /* number, for what it fetches */
} Walker;

/* Bytes that an operand moves from one index to the next along an axis. Of a product inside, one
 * group of rows is there at a time. */
static inline int64_t
ref_step(const Walker *w, const TileRef *ref, int axis)
{
    const Tile *t = w->t;
    if (axis == 0 && !ref->is_view && ref->at == w->inside) {
        return 0;
    }
    return ref->strides[axis] * (ref->is_view ? t->sweep->views[ref->at].strides[axis]
                                              : t->distances[ref->at]);
}

static void
walker_move(const Walker *w, const int64_t *index, int ndim)
{
    const TileStep *step = w->step;
    for (int k = 0; k < step->nin + step->nout; k++) {
        const TileRef *ref = k < step->nin ? &step->in[k] : &step->out[k - step->nin];
        char *at = tile_start(w->t, ref);
        for (int d = 0; d < ndim; d++) {
            at += index[d] * ref_step(w, ref, d);
        }
        w->pointers[k] = at;
    }
}

static bool
walker_run(Walker *w, int64_t lanes)
{
    const TilePlan *plan = w->plan;
    if (plan->nstreams > 0) {
        w->frame.fetches = w->t->next < 0 ? NULL
                                          : w->t->streams + plan->stream + w->run * plan->nstreams;
        w->run++;
    }
    return (!w->plan->uniforms_vary || block_prologue(w->plan->block, &w->frame)) &&
           block_run(w->plan->block, &w->frame, lanes);
}

/* The rows of the product inside that an index of the outermost axis reads. */
static void
walker_compute(Walker *w, int64_t index)
{
    const int map = w->plan->map;
    const int64_t rows = w->plan->map_rows;
    if (w->inside >= 0 && w->there != index) {
        tile_map_rows(w->t, &w->t->program->steps[map], &w->t->code->plans[map], w->spans,
                      index * rows, rows);
        w->there = index;
    }
}

void
tile_fold_sums(const Tile *t, const TileStep *step, const TilePlan *plan, void *sums,
               const int64_t *index)
{
    for (int s = 0; s < step->nsums; s++) {
        _Alignas(16) char sum[BLOCK_ELEMENT_BYTES];
        const TileRef *ref = &step->block_sums[s];
        const DType dtype = t->program->sums[ref->at].dtype;
        block_sum_fold(plan->block, sums, s, sum);
        cpu_reduce_kernels(REDUCE_SUM, dtype)
            ->join(tile_part(t, ref->at) +
                       tile_offset(ref->strides, index, step->ndim) * dtype_size(dtype),
                   sum, 1);
    }
}

/* The index's sums over the rows of the tile. */
static bool
walker_run_sums(Walker *w, const int64_t *index)
{
    block_sums_start(w->plan->block, w->frame.sums);
    if (!walker_run(w, w->t->n)) {
        return false;
    }
    tile_fold_sums(w->t, w->step, w->plan, w->frame.sums, index);
    return true;
}

/* All indices of the innermost axis from where the pointers are. */
static bool
walker_line(Walker *w, int64_t *index)
{
    const TileStep *step = w->step;
    const int last = step->ndim - 1, count = step->nin + step->nout;
    if (last < 0) {
        return walker_run(w, w->t->n);
    }
    int64_t moves[512];
    int moving[512], nmoving = 0;
    for (int k = 0; k < count; k++) {
        const TileRef *ref = k < step->nin ? &step->in[k] : &step->out[k - step->nin];
        const int64_t move = ref_step(w, ref, last);
        if (move != 0) {
            moving[nmoving] = k;
            moves[nmoving++] = move;
        }
    }
    for (int64_t i = 0; i < step->shape[last]; i++) {
        index[last] = i;
        if (i % LOOK_EVERY == LOOK_EVERY - 1 && tile_is_stopped(w->t)) {
            break;
        }
        walker_compute(w, index[0]);
        if (!(step->nsums > 0 ? walker_run_sums(w, index) : walker_run(w, w->t->n))) {
            return false;
        }
        for (int m = 0; m < nmoving; m++) {
            w->pointers[moving[m]] = (char *)w->pointers[moving[m]] + moves[m];
        }
    }
    index[last] = 0;
    return true;
}

/* Do the lanes of several indices lie side by side? Only where all operands are in buffers. */
static bool
lies_together(const Walker *w)
{
    const Tile *t = w->t;
    for (int i = 0; i < w->step->nin + w->step->nout; i++) {
        const TileRef *ref = i < w->step->nin ? &w->step->in[i] : &w->step->out[i - w->step->nin];
        if (!ref->is_view && tile_distance(t, ref->at) != t->code->lanes) {
            return false;
        }
    }
    return w->plan->indices > 1 && t->n == t->code->rows;
}

/* Full tiles whose lanes of several indices lie side by side. */
static bool
walker_together(Walker *w)
{
    const TileStep *step = w->step;
    const int64_t calls = tile_space(step) / w->plan->indices;
    int64_t index[TILE_NDIM];
    for (int64_t c = 0; c < calls; c++) {
        int64_t rest = c * w->plan->indices;
        for (int d = step->ndim - 1; d >= 0; d--) {
            index[d] = rest % step->shape[d];
            rest /= step->shape[d];
        }
        walker_move(w, index, step->ndim);
        if (!walker_run(w, w->plan->indices * w->t->n)) {
            return false;
        }
    }
    return true;
}

bool
tile_block(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    Walker w = {.t = t, .step = step, .plan = plan, .inside = -1, .there = -1};
    w.pointers = t->pointers + plan->refs;
    w.frame = (BlockFrame){.in = (const void *const *)w.pointers,
                           .out = (void *const *)(w.pointers + step->nin),
                           .sums = plan->carried >= 0 ? t->carried + plan->carried : t->scratch,
                           .scratch = t->scratch + step->nsums * (int64_t)BLOCK_SUM_BYTES};
    int64_t index[TILE_NDIM] = {0};
    if (plan->map_rows > 0) {
        const TileStep *map = &t->program->steps[plan->map];
        w.inside = map->out[0].at;
        w.spans = tile_map_spans(t, map, &t->code->plans[plan->map]);
    }
    walker_move(&w, index, step->ndim);
    if (!plan->uniforms_vary && !block_prologue(plan->block, &w.frame)) {
        return false;
    }
    if (lies_together(&w)) {
        return walker_together(&w);
    }
    while (walker_line(&w, index)) {
        if (!tile_next_index(step->ndim - 1, step->shape, index)) {
            return true;
        }
        walker_move(&w, index, step->ndim);
    }
    return false;
}
