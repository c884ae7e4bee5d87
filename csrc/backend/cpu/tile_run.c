/* backend/cpu/tile_run.c -- running a stage's program: chunks of tiles on all threads.
 *
 * A chunk has its own accumulators. Which thread computes a chunk changes nothing; the results
 * of chunks are merged in a fixed tree. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/poll.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

typedef struct Sweep {
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
} Sweep;

/* One tile as a thread works on it. */
typedef struct Tile {
    Sweep *sweep;
    const TileCode *code;
    const TileProgram *program;
    int64_t row, n;         /* first row, rows */
    int64_t chunk;
    char *buffers, *scratch;
    void **pointers;
} Tile;

static inline int64_t
view_size(const Tile *t, int view)
{
    return dtype_size(t->program->views[view].dtype);
}

static inline int64_t
lane_bytes(const Tile *t, int buffer)
{
    return t->code->lanes * dtype_size(t->program->buffers[buffer].dtype);
}

static inline char *
buffer_at(const Tile *t, const TileRef *ref)
{
    return t->buffers + t->code->places[ref->at] + ref->offset * lane_bytes(t, ref->at);
}

/* Where the chunk adds up a sum. */
static char *
part_of(const Tile *t, int sum)
{
    const TileSum *s = &t->program->sums[sum];
    return t->sweep->parts + t->code->sum_places[sum] +
           t->chunk * s->count * dtype_size(s->dtype);
}

/* The next index of a space; false after the last one. offsets[k] += what each ref moves. */
static bool
next_index(int ndim, const int64_t *shape, int64_t *index, int *axis)
{
    for (int d = ndim - 1; d >= 0; d--) {
        if (++index[d] < shape[d]) {
            *axis = d;
            return true;
        }
        index[d] = 0;
    }
    return false;
}

static int64_t
offset_of(const int64_t *strides, const int64_t *index, int ndim)
{
    int64_t offset = 0;
    for (int d = 0; d < ndim; d++) {
        offset += index[d] * strides[d];
    }
    return offset;
}

/* ---- loading, storing, filling ---- */

/* Elements of another size than the kernels know. */
static void
load_any(char *to, int64_t lanes, const char *from, int64_t row_stride, int64_t stride, int64_t n,
         int64_t count, int size)
{
    for (int64_t e = 0; e < count; e++) {
        for (int64_t r = 0; r < n; r++) {
            memcpy(to + (e * lanes + r) * size, from + r * row_stride + e * stride, (size_t)size);
        }
    }
}

static void
step_load(const Tile *t, const TileStep *step)
{
    const int view = step->in[0].at;
    const TileMemory *memory = &t->sweep->views[view];
    const TileKernels *kernels = cpu_tile_kernels(t->program->views[view].dtype);
    const int64_t size = view_size(t, view), lanes = t->code->lanes;
    const int last = step->ndim - 1;
    const int64_t count = last >= 0 ? step->shape[last] : 1;
    const int64_t stride = last >= 0 ? memory->strides[last] : 0;
    int64_t index[TILE_NDIM] = {0};
    char *to = buffer_at(t, &step->out[0]);
    int axis;
    do {
        const char *from = memory->data + t->row * memory->row_stride +
                           offset_of(memory->strides, index, last);
        if (kernels != NULL) {
            kernels->load(to, lanes, from, memory->row_stride, stride, t->n, count);
        } else {
            load_any(to, lanes, from, memory->row_stride, stride, t->n, count, (int)size);
        }
        to += count * lanes * size;
    } while (next_index(last, step->shape, index, &axis));
}

static void
step_store(const Tile *t, const TileStep *step)
{
    const TileOut *out = &t->program->outs[step->to];
    const TileKernels *kernels = cpu_tile_kernels(out->dtype);
    const int64_t size = dtype_size(out->dtype), lanes = t->code->lanes;
    const int64_t row_bytes = out->inner * size;
    const TileRef *ref = &step->in[0];
    int64_t index[TILE_NDIM] = {0};
    int axis;
    const int last = step->ndim - 1;
    const int64_t count = last >= 0 ? step->shape[last] : 1;
    const int64_t stride = last >= 0 ? ref->strides[last] : 0;
    int64_t e = 0; /* inner element of the output */
    const char *base = buffer_at(t, ref);
    do {
        const char *from = base + offset_of(ref->strides, index, last) * lanes * size;
        for (int64_t k = 0; k < count;) {
            const int64_t o = e / out->inner, i = e % out->inner;
            int64_t part = out->inner - i < count - k ? out->inner - i : count - k;
            part = stride == 1 ? part : 1;
            char *to = t->sweep->outs[step->to] +
                       ((o * t->program->rows + t->row) * out->inner + i) * size;
            if (kernels != NULL) {
                kernels->store(to, row_bytes, from, lanes, t->n, part);
            } else {
                for (int64_t r = 0; r < t->n; r++) {
                    for (int64_t j = 0; j < part; j++) {
                        memcpy(to + r * row_bytes + j * size, from + (j * lanes + r) * size,
                               (size_t)size);
                    }
                }
            }
            from += part * stride * lanes * size;
            k += part;
            e += part;
        }
    } while (next_index(last, step->shape, index, &axis));
}

/* What reductions begin with: like an empty sum, which adds to nothing; the least and the
 * greatest begin with what is beyond all others. */
static void
neutral_element(OpCode op, DType dtype, char *value)
{
    const double infinity = __builtin_inf();
    const double x = op == OP_reduce_max ? -infinity : op == OP_reduce_min ? infinity
                     : op == OP_prod     ? 1.0
                                         : -0.0;
    memset(value, 0, 16);
    switch (dtype) {
    case DT_f32:
        memcpy(value, &(float){(float)x}, 4);
        break;
    case DT_c64:
        memcpy(value, (float[2]){(float)x, op == OP_prod ? 0.0F : (float)x}, 8);
        break;
    case DT_c128:
        memcpy(value, (double[2]){x, op == OP_prod ? 0.0 : x}, 16);
        break;
    default:
        memcpy(value, &x, 8);
    }
}

static void
fill_buffer(const Tile *t, int buffer, OpCode op)
{
    char value[16];
    const TileBuffer *b = &t->program->buffers[buffer];
    neutral_element(op, b->dtype, value);
    cpu_fill(t->buffers + t->code->places[buffer], value, dtype_size(b->dtype),
             b->count * t->code->lanes);
}

/* ---- elementwise blocks ---- */

typedef struct Walker {
    const Tile *t;
    const TileStep *step;
    const TilePlan *plan;
    BlockFrame frame;
    void **pointers;
} Walker;

/* Bytes that operand k moves from one index to the next along an axis. */
static inline int64_t
ref_step(const Tile *t, const TileRef *ref, int axis)
{
    return ref->is_view ? t->sweep->views[ref->at].strides[axis]
                        : ref->strides[axis] * lane_bytes(t, ref->at);
}

static void
walker_move(const Walker *w, const int64_t *index, int ndim)
{
    const TileStep *step = w->step;
    for (int k = 0; k < step->nin + step->nout; k++) {
        const TileRef *ref = k < step->nin ? &step->in[k] : &step->out[k - step->nin];
        char *at = ref->is_view ? w->t->sweep->views[ref->at].data : buffer_at(w->t, ref);
        for (int d = 0; d < ndim; d++) {
            at += index[d] * ref_step(w->t, ref, d);
        }
        w->pointers[k] = at;
    }
}

static bool
walker_run(const Walker *w, int64_t lanes)
{
    return (!w->plan->uniforms_vary || block_prologue(w->plan->block, &w->frame)) &&
           block_run(w->plan->block, &w->frame, lanes);
}

/* The index's sums over the rows of the tile. */
static bool
walker_run_sums(const Walker *w, const int64_t *index)
{
    const TileStep *step = w->step;
    const Tile *t = w->t;
    block_sums_start(w->plan->block, w->frame.sums);
    if (!walker_run(w, t->n)) {
        return false;
    }
    for (int s = 0; s < step->nsums; s++) {
        _Alignas(16) char sum[BLOCK_ELEMENT_BYTES];
        const TileRef *ref = &step->block_sums[s];
        const DType dtype = t->program->sums[ref->at].dtype;
        block_sum_fold(w->plan->block, w->frame.sums, s, sum);
        cpu_reduce_kernels(REDUCE_SUM, dtype)
            ->join(part_of(t, ref->at) +
                       offset_of(ref->strides, index, step->ndim) * dtype_size(dtype),
                   sum, 1);
    }
    return true;
}

/* All indices of the innermost axis from where the pointers are. */
static bool
walker_line(const Walker *w, int64_t *index)
{
    const TileStep *step = w->step;
    const int last = step->ndim - 1, count = step->nin + step->nout;
    if (last < 0) {
        return step->nsums > 0 ? walker_run_sums(w, index) : walker_run(w, w->t->n);
    }
    int64_t moves[512];
    int moving[512], nmoving = 0;
    for (int k = 0; k < count; k++) {
        const TileRef *ref = k < step->nin ? &step->in[k] : &step->out[k - step->nin];
        const int64_t move = ref_step(w->t, ref, last);
        if (move != 0) {
            moving[nmoving] = k;
            moves[nmoving++] = move;
        }
    }
    for (int64_t i = 0; i < step->shape[last]; i++) {
        index[last] = i;
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

/* Full tiles whose lanes of several indices lie side by side. */
static bool
walker_together(const Walker *w)
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

static bool
step_block(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    Walker w = {.t = t, .step = step, .plan = plan};
    w.pointers = t->pointers + plan->refs;
    w.frame = (BlockFrame){.in = (const void *const *)w.pointers,
                           .out = (void *const *)(w.pointers + step->nin),
                           .sums = t->scratch,
                           .scratch = t->scratch + step->nsums * (int64_t)BLOCK_SUM_BYTES};
    int64_t index[TILE_NDIM] = {0};
    int axis;
    walker_move(&w, index, step->ndim);
    if (!plan->uniforms_vary && !block_prologue(plan->block, &w.frame)) {
        return false;
    }
    if (plan->indices > 1 && t->n == t->code->lanes) {
        return walker_together(&w);
    }
    do {
        walker_move(&w, index, step->ndim);
        if (!walker_line(&w, index)) {
            return false;
        }
    } while (next_index(step->ndim - 1, step->shape, index, &axis));
    return true;
}

/* ---- contractions ---- */

/* Rows of contiguous aligned elements: where they lie, or copied. */
static const char *
rows_of(const Tile *t, int view, int64_t nj, int64_t *row_stride)
{
    const TileMemory *memory = &t->sweep->views[view];
    const TileView *v = &t->program->views[view];
    const int64_t size = view_size(t, view);
    const char *data = memory->data + t->row * memory->row_stride;
    int64_t expected = size;
    bool contiguous = (uintptr_t)memory->data % (uintptr_t)size == 0 &&
                      memory->row_stride % size == 0;
    for (int d = v->ndim - 1; d >= 0; d--) {
        contiguous = contiguous && (v->shape[d] == 1 || memory->strides[d] == expected);
        expected *= v->shape[d];
    }
    *row_stride = memory->row_stride;
    if (contiguous) {
        return data;
    }
    *row_stride = nj * size;
    for (int64_t r = 0; r < t->n; r++) {
        int64_t index[TILE_NDIM] = {0};
        int axis;
        char *to = t->scratch + r * nj * size;
        do {
            memcpy(to, data + r * memory->row_stride +
                           offset_of(memory->strides, index, v->ndim), (size_t)size);
            to += size;
        } while (next_index(v->ndim, v->shape, index, &axis));
    }
    return t->scratch;
}

static void
step_row_contraction(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    int64_t row_stride;
    if (step->kind == TILE_ROW_MAP) {
        const char *x = rows_of(t, step->in[0].at, step->nj, &row_stride);
        const TileRef *out = &step->out[0];
        const TileKernels *kernels = cpu_tile_kernels(t->program->buffers[out->at].dtype);
        kernels->row_map(buffer_at(t, out), out->strides[step->ndim] * t->code->lanes,
                         t->sweep->packed + plan->packed, step->ni, step->nj, x, row_stride,
                         t->n);
    } else {
        const char *x = rows_of(t, step->in[1].at, step->nj, &row_stride);
        const TileRef *p = &step->in[0];
        const TileKernels *kernels = cpu_tile_kernels(t->program->buffers[p->at].dtype);
        kernels->row_outer(part_of(t, step->to), buffer_at(t, p),
                           p->strides[step->ndim] * t->code->lanes, step->ni, x, row_stride,
                           step->nj, t->n);
    }
}

/* Lanes beyond the last row must add nothing. */
static void
clear_tail(const Tile *t, char *data, int64_t step_bytes, int64_t count, int64_t size)
{
    const int64_t end = tile_round(t->n, TILE_UNIT);
    for (int64_t i = 0; i < count && end > t->n; i++) {
        memset(data + i * step_bytes + t->n * size, 0, (size_t)((end - t->n) * size));
    }
}

static void
step_contraction(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    const TileRef *a = &step->in[0], *b = &step->in[1];
    const DType dtype = t->program->buffers[a->at].dtype;
    const TileKernels *kernels = cpu_tile_kernels(dtype);
    const int64_t size = dtype_size(dtype), lanes = t->code->lanes, nd = step->ndim;
    int64_t index[TILE_NDIM] = {0}, e = 0;
    int axis;
    do {
        char *x = buffer_at(t, a) + offset_of(a->strides, index, step->ndim) * lanes * size;
        if (step->kind == TILE_MAP) {
            const TileRef *out = &step->out[0];
            char *to = buffer_at(t, out) + offset_of(out->strides, index, step->ndim) * lanes * size;
            kernels->map(to, out->strides[nd] * lanes,
                         t->sweep->packed + plan->packed + e * step->ni * step->nj * size,
                         step->ni, step->nj, x, a->strides[nd] * lanes, t->n);
        } else {
            char *y = buffer_at(t, b) + offset_of(b->strides, index, step->ndim) * lanes * size;
            clear_tail(t, x, a->strides[nd] * lanes * size, step->ni, size);
            clear_tail(t, y, b->strides[nd] * lanes * size, step->nj, size);
            kernels->outer(part_of(t, step->to) + e * step->ni * step->nj * size, x,
                           a->strides[nd] * lanes, step->ni, y, b->strides[nd] * lanes, step->nj,
                           t->n);
        }
        e++;
    } while (next_index(step->ndim, step->shape, index, &axis));
}

static void
step_sum(const Tile *t, const TileStep *step)
{
    const TileRef *ref = &step->in[0];
    const DType dtype = t->program->buffers[ref->at].dtype;
    const TileKernels *kernels = cpu_tile_kernels(dtype);
    const int64_t size = dtype_size(dtype), lanes = t->code->lanes;
    const int64_t stride = ref->strides[step->ndim] * lanes;
    int64_t index[TILE_NDIM] = {0};
    char *to = part_of(t, step->to);
    int axis;
    do {
        char *x = buffer_at(t, ref) + offset_of(ref->strides, index, step->ndim) * lanes * size;
        clear_tail(t, x, stride * size, step->nj, size);
        kernels->sum(to, x, stride, step->nj, t->n);
        to += step->nj * size;
    } while (next_index(step->ndim, step->shape, index, &axis));
}

/* The shared side of a map as [..][i][j]. */
static void
pack_shared(const Sweep *sweep, const TileStep *step, const TilePlan *plan)
{
    const TileView *view = &sweep->code->program->views[step->in[1].at];
    const TileMemory *memory = &sweep->views[step->in[1].at];
    const int64_t size = dtype_size(view->dtype);
    int64_t index[TILE_NDIM] = {0};
    int axis;
    char *to = sweep->packed + plan->packed;
    do {
        const char *from = memory->data + offset_of(memory->strides, index, step->ndim);
        for (int64_t i = 0; i < step->ni; i++) {
            for (int64_t j = 0; j < step->nj; j++, to += size) {
                memcpy(to, from + i * memory->strides[step->ndim] +
                               j * memory->strides[step->ndim + 1], (size_t)size);
            }
        }
    } while (next_index(step->ndim, step->shape, index, &axis));
}

/* ---- indices ---- */

/* The row's index into `n` places, or -1 when it is out of range. */
static int64_t
row_index(const Tile *t, const TileStep *step, int64_t r)
{
    const TileMemory *memory = &t->sweep->views[step->in[0].at];
    int64_t at;
    memcpy(&at, memory->data + (t->row + r) * memory->row_stride, sizeof at);
    const int64_t place = at < 0 ? at + step->ni : at;
    if (place < 0 || place >= step->ni) {
        atomic_store(&t->sweep->bad_index, at);
        atomic_store(&t->sweep->stop, 2);
        return -1;
    }
    return place;
}

static void
step_gather(const Tile *t, const TileStep *step)
{
    const TileMemory *table = &t->sweep->views[step->in[1].at];
    const int64_t size = view_size(t, step->in[1].at), lanes = t->code->lanes;
    for (int64_t r = 0; r < t->n; r++) {
        const int64_t place = row_index(t, step, r);
        if (place < 0) {
            return;
        }
        int64_t index[TILE_NDIM] = {0};
        int axis;
        char *to = buffer_at(t, &step->out[0]) + r * size;
        do {
            memcpy(to, table->data + place * table->strides[step->ndim] +
                           offset_of(table->strides, index, step->ndim), (size_t)size);
            to += lanes * size;
        } while (next_index(step->ndim, step->shape, index, &axis));
    }
}

static void
step_scatter(const Tile *t, const TileStep *step)
{
    const TileRef *from = &step->in[1];
    const DType dtype = t->program->buffers[from->at].dtype;
    const int64_t size = dtype_size(dtype), lanes = t->code->lanes, count = tile_space(step);
    const ReduceKernels *kernels = cpu_reduce_kernels(REDUCE_SUM, dtype);
    for (int64_t r = 0; r < t->n; r++) {
        const int64_t place = row_index(t, step, r);
        if (place < 0) {
            return;
        }
        int64_t index[TILE_NDIM] = {0};
        int axis;
        char *to = part_of(t, step->to) + place * count * size;
        const char *base = buffer_at(t, from) + r * size;
        do {
            const char *x = base + offset_of(from->strides, index, step->ndim) * lanes * size;
            if (dtype == DT_f64) {
                *(double *)to += *(const double *)x;
            } else {
                kernels->join(to, x, 1);
            }
            to += size;
        } while (next_index(step->ndim, step->shape, index, &axis));
    }
}

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
            step_load(t, step);
            break;
        case TILE_GATHER:
            step_gather(t, step);
            break;
        case TILE_FILL:
            fill_buffer(t, step->out[0].at, step->op);
            break;
        case TILE_BLOCK:
            if (!step_block(t, step, plan)) {
                atomic_store(&t->sweep->negative_power, 1);
                return false;
            }
            break;
        case TILE_MAP:
        case TILE_OUTER:
            step_contraction(t, step, plan);
            break;
        case TILE_ROW_MAP:
        case TILE_ROW_OUTER:
            step_row_contraction(t, step, plan);
            break;
        case TILE_SUM:
            step_sum(t, step);
            break;
        case TILE_SCATTER:
            step_scatter(t, step);
            break;
        case TILE_STORE:
            step_store(t, step);
            break;
        }
    }
    return true;
}

static void
begin_chunk(const Tile *t)
{
    for (int s = 0; s < t->program->nsums; s++) {
        const TileSum *sum = &t->program->sums[s];
        if (sum->buffer >= 0) {
            fill_buffer(t, sum->buffer, sum->op);
        } else {
            memset(part_of(t, s), 0, (size_t)(sum->count * dtype_size(sum->dtype)));
        }
    }
}

/* Lanes folded into the chunk's results. */
static void
end_chunk(const Tile *t)
{
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
                           part_of(t, s) + e * size);
        }
    }
}

static void
run_chunks(void *ctx, int64_t begin, int64_t end, int thread)
{
    Sweep *const sweep = ctx;
    const TileCode *code = sweep->code;
    Tile t = {.sweep = sweep, .code = code, .program = code->program};
    t.buffers = sweep->workspace + thread * sweep->thread_bytes;
    t.scratch = t.buffers + code->tile_bytes;
    t.pointers = (void **)(t.scratch + code->scratch_bytes);
    for (t.chunk = begin; t.chunk < end; t.chunk++) {
        const int64_t first = t.chunk * code->chunk_tiles, after = first + code->chunk_tiles;
        const int64_t last = after < code->tiles ? after : code->tiles;
        begin_chunk(&t);
        for (int64_t tile = first; tile < last && atomic_load(&sweep->stop) == 0; tile++) {
            t.row = tile * code->lanes;
            t.n = t.program->rows - t.row < code->lanes ? t.program->rows - t.row : code->lanes;
            if (!run_tile(&t) || (thread == 0 && poll_interrupted())) {
                int none = 0;
                atomic_compare_exchange_strong(&sweep->stop, &none, 1);
            }
        }
        end_chunk(&t);
    }
}

static void
merge_chunks(const Sweep *sweep, char *const *sums)
{
    const TileCode *code = sweep->code;
    for (int s = 0; s < code->program->nsums; s++) {
        const TileSum *sum = &code->program->sums[s];
        const ReduceKernels *kernels = cpu_reduce_kernels(tile_reduce_op(sum->op), sum->dtype);
        const int size = dtype_size(sum->dtype);
        char *parts = sweep->parts + code->sum_places[s];
        cpu_merge_chunks(kernels, parts, size, sum->count, code->chunks);
        memcpy(sums[s], parts, (size_t)(sum->count * size));
    }
}

static Status
sweep_status(Sweep *sweep)
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
    Sweep sweep = {.code = code, .views = views, .outs = outs};
    const int64_t threads = code->alone || code->chunks == 1 ? 1 : pool_size();
    sweep.thread_bytes =
        tile_round(code->tile_bytes + code->scratch_bytes +
                       code->npointers * (int64_t)sizeof(void *), 64);
    const size_t bytes = (size_t)(threads * sweep.thread_bytes);
    sweep.workspace = mem_new(bytes);
    sweep.packed = mem_new((size_t)code->packed_bytes);
    sweep.parts = mem_new((size_t)code->sum_bytes);
    Status status = STATUS_ERROR;
    if (sweep.workspace != NULL && sweep.packed != NULL && sweep.parts != NULL) {
        for (int s = 0; s < p->nsteps; s++) {
            if (p->steps[s].kind == TILE_MAP || p->steps[s].kind == TILE_ROW_MAP) {
                pack_shared(&sweep, &p->steps[s], &code->plans[s]);
            }
        }
        status = pool_run(code->chunks, code->alone ? code->chunks : 1, run_chunks, &sweep);
        status = status == STATUS_OK ? sweep_status(&sweep) : status;
    }
    if (status == STATUS_OK) {
        merge_chunks(&sweep, sums);
    }
    mem_free(sweep.workspace, bytes);
    mem_free(sweep.packed, (size_t)code->packed_bytes);
    mem_free(sweep.parts, (size_t)code->sum_bytes);
    return status;
}
