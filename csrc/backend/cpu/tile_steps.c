/* backend/cpu/tile_steps.c -- the steps of a tile that are no blocks: loading, storing, contracting,
 * indexing. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"

#include <string.h>

/* The next index of a space; false after the last one. */
bool
tile_next_index(int ndim, const int64_t *shape, int64_t *index)
{
    for (int d = ndim - 1; d >= 0; d--) {
        if (++index[d] < shape[d]) {
            return true;
        }
        index[d] = 0;
    }
    return false;
}

int64_t
tile_offset(const int64_t *strides, const int64_t *index, int ndim)
{
    int64_t offset = 0;
    for (int d = 0; d < ndim; d++) {
        offset += index[d] * strides[d];
    }
    return offset;
}

/* ---- loading, storing, filling ---- */

/* A few elements of every row at a time. */
static inline void
load_elements(char *to, int64_t lanes, const char *from, int64_t row_stride, int64_t stride,
              int64_t n, int64_t count, const int size)
{
    enum { TOGETHER = 16 };
    for (int64_t first = 0; first < count; first += TOGETHER) {
        const int64_t end = first + TOGETHER < count ? first + TOGETHER : count;
        for (int64_t r = 0; r < n; r++) {
            for (int64_t e = first; e < end; e++) {
                memcpy(to + (e * lanes + r) * size, from + r * row_stride + e * stride,
                       (size_t)size);
            }
        }
    }
}

/* Elements of another size than the kernels know; complex ones that lie side by side are pairs. */
static void
load_any(char *to, int64_t lanes, const char *from, int64_t row_stride, int64_t stride, int64_t n,
         int64_t count, int size)
{
    const int parts = size / 8;
    if (row_stride == size && parts > 0) {
        for (int64_t e = 0; e < count; e++) {
            cpu_tile_kernels(DT_f64)->load(to + e * lanes * size, 0, from + e * stride, 8, 0,
                                           n * parts, 1);
        }
        return;
    }
    switch (size) { /* each with moves of its own */
    case 1:
        load_elements(to, lanes, from, row_stride, stride, n, count, 1);
        break;
    case 2:
        load_elements(to, lanes, from, row_stride, stride, n, count, 2);
        break;
    default:
        load_elements(to, lanes, from, row_stride, stride, n, count, 16);
    }
}

static void
store_any(char *to, int64_t row_bytes, const char *from, int64_t lanes, int64_t n, int64_t count,
          int64_t size)
{
    const int64_t parts = size / 8;
    if (count == 1 && row_bytes == size && parts > 0) {
        cpu_tile_kernels(DT_f64)->store(to, 8, from, 0, n * parts, 1);
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        for (int64_t j = 0; j < count; j++) {
            memcpy(to + r * row_bytes + j * size, from + (j * lanes + r) * size, (size_t)size);
        }
    }
}

static void
fetch_rows(const char *from, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 64) {
        __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)at), 0, 2);
    }
}

static bool
load_in_place(const Tile *t, const TileStep *step)
{
    const int buffer = step->out[0].at;
    const TileMemory *memory = &t->sweep->views[step->in[0].at];
    const int64_t size = tile_view_size(t, step->in[0].at);
    const int64_t distance = tile_distance_in_place(t, step);
    if (distance == 0) {
        return false;
    }
    t->bases[buffer] = memory->data + t->row * size;
    t->distances[buffer] = distance;
    if (t->code->reading[buffer] == TILE_FETCHED_AT_ONCE && t->next >= 0) {
        for (int64_t e = 0; e < tile_space(step); e++) {
            fetch_rows(memory->data + t->next * size + e * distance, t->n * size);
        }
    }
    return true;
}

void
tile_load(const Tile *t, const TileStep *step)
{
    if (load_in_place(t, step)) {
        return;
    }
    const int view = step->in[0].at, buffer = step->out[0].at;
    const TileMemory *memory = &t->sweep->views[view];
    const TileKernels *kernels = cpu_tile_kernels(t->program->views[view].dtype);
    const int64_t size = tile_view_size(t, view), lanes = t->code->lanes;
    const int last = step->ndim - 1;
    const int64_t count = last >= 0 ? step->shape[last] : 1;
    const int64_t stride = last >= 0 ? memory->strides[last] : 0;
    int64_t index[TILE_NDIM] = {0};
    t->bases[buffer] = t->buffers + t->code->places[buffer];
    t->distances[buffer] = lanes * size;
    char *to = tile_buffer(t, &step->out[0]);
    do {
        const char *from = memory->data + t->row * memory->row_stride +
                           tile_offset(memory->strides, index, last);
        if (kernels != NULL) {
            kernels->load(to, lanes, from, memory->row_stride, stride, t->n, count);
        } else {
            load_any(to, lanes, from, memory->row_stride, stride, t->n, count, (int)size);
        }
        to += count * lanes * size;
    } while (tile_next_index(last, step->shape, index));
}

void
tile_store(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    if (plan->in_place) {
        return; /* it is there */
    }
    const TileOut *out = &t->program->outs[step->to];
    const TileKernels *kernels = cpu_tile_kernels(out->dtype);
    const int64_t size = dtype_size(out->dtype), lanes = t->code->lanes;
    const int64_t row_bytes = out->inner * size;
    const TileRef *ref = &step->in[0];
    int64_t index[TILE_NDIM] = {0};
    const int last = step->ndim - 1;
    const int64_t count = last >= 0 ? step->shape[last] : 1;
    const int64_t stride = last >= 0 ? ref->strides[last] : 0;
    int64_t e = 0; /* inner element of the output */
    const char *base = tile_buffer(t, ref);
    do {
        const char *from = base + tile_offset(ref->strides, index, last) * lanes * size;
        for (int64_t k = 0; k < count;) {
            const int64_t o = e / out->inner, i = e % out->inner;
            int64_t part = out->inner - i < count - k ? out->inner - i : count - k;
            part = stride == 1 ? part : 1;
            char *to = t->sweep->outs[step->to] +
                       ((o * t->program->rows + t->row) * out->inner + i) * size;
            if (kernels != NULL) {
                kernels->store(to, row_bytes, from, lanes, t->n, part);
            } else {
                store_any(to, row_bytes, from, lanes, t->n, part, size);
            }
            from += part * stride * lanes * size;
            k += part;
            e += part;
        }
    } while (tile_next_index(last, step->shape, index));
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

void
tile_fill(const Tile *t, int buffer, OpCode op)
{
    char value[16];
    const TileBuffer *b = &t->program->buffers[buffer];
    neutral_element(op, b->dtype, value);
    cpu_fill(t->buffers + t->code->places[buffer], value, dtype_size(b->dtype),
             b->count * t->code->lanes);
}

/* ---- contractions ---- */

void
tile_clear_tail(const Tile *t, char *data, int64_t step_bytes, int64_t count, int64_t size)
{
    const int64_t end = tile_round(t->n, TILE_UNIT);
    for (int64_t i = 0; i < count && end > t->n; i++) {
        memset(data + i * step_bytes + t->n * size, 0, (size_t)((end - t->n) * size));
    }
}

static char *
element_at(const Tile *t, const TileRef *ref, const int64_t *index, int ndim)
{
    return tile_buffer(t, ref) + tile_offset(ref->strides, index, ndim) * t->distances[ref->at];
}

/* The spans of the map's rows, where leaving out zeros changes nothing: not of infinity and NaN. */
static const TileSpan *
usable_spans(const Tile *t, const TileStep *step, const TilePlan *plan, char *x, DType dtype)
{
    const TileSpan *spans = tile_matrix(t, plan)->spans;
    const int64_t size = dtype_size(dtype);
    const int64_t x_step = step->in[0].strides[step->ndim] * tile_distance(t, step->in[0].at);
    if (spans == NULL) {
        return NULL;
    }
    tile_clear_tail(t, x, x_step * size, step->nj, size);
    return cpu_tile_kernels(dtype)->finite(x, x_step, step->nj, t->n) ? spans : NULL;
}

const TileSpan *
tile_map_spans(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    const TileRef *in = &step->in[0];
    return usable_spans(t, step, plan, tile_buffer(t, in), t->program->buffers[in->at].dtype);
}

void
tile_map_rows(const Tile *t, const TileStep *step, const TilePlan *plan, const TileSpan *spans,
              int64_t first, int64_t count)
{
    const TileRef *in = &step->in[0], *out = &step->out[0];
    const DType dtype = t->program->buffers[in->at].dtype;
    cpu_tile_kernels(dtype)->map(
        tile_buffer(t, out), out->strides[0] * t->code->lanes,
        tile_matrix(t, plan)->rows + first * step->nj * dtype_size(dtype), count, step->nj,
        tile_buffer(t, in), in->strides[0] * tile_distance(t, in->at), t->n,
        spans == NULL ? NULL : spans + first, first == 0 ? tile_ahead(t, in->at) : 0);
}

void
tile_map(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    const TileRef *in = &step->in[0], *out = &step->out[0];
    const DType dtype = t->program->buffers[in->at].dtype;
    const int64_t size = dtype_size(dtype), lanes = t->code->lanes, nd = step->ndim;
    int64_t index[TILE_NDIM] = {0}, row = 0;
    do {
        char *x = element_at(t, in, index, step->ndim);
        const TileSpan *spans = usable_spans(t, step, plan, x, dtype);
        cpu_tile_kernels(dtype)->map(
            element_at(t, out, index, step->ndim), out->strides[nd] * lanes,
            tile_matrix(t, plan)->rows + row * step->nj * size, step->ni, step->nj, x,
            in->strides[nd] * tile_distance(t, in->at), t->n,
            spans == NULL ? NULL : spans + row, tile_ahead(t, in->at));
        row += step->ni;
    } while (tile_next_index(step->ndim, step->shape, index));
}

void
tile_outer(const Tile *t, const TileStep *step)
{
    const TileRef *a = &step->in[0], *b = &step->in[1];
    const DType dtype = t->program->buffers[a->at].dtype;
    const int64_t size = dtype_size(dtype), nd = step->ndim;
    const int64_t a_step = a->strides[nd] * tile_distance(t, a->at);
    const int64_t b_step = b->strides[nd] * tile_distance(t, b->at);
    int64_t index[TILE_NDIM] = {0};
    char *to = tile_part(t, step->to);
    do {
        char *x = element_at(t, a, index, step->ndim);
        char *y = element_at(t, b, index, step->ndim);
        tile_clear_tail(t, x, a_step * size, step->ni, size);
        tile_clear_tail(t, y, b_step * size, step->nj, size);
        cpu_tile_kernels(dtype)->outer(to, x, a_step, step->ni, y, b_step, step->nj, t->n,
                                       tile_ahead(t, b->at));
        to += step->ni * step->nj * size;
    } while (tile_next_index(step->ndim, step->shape, index));
}

void
tile_sum_rows(const Tile *t, const TileStep *step)
{
    const TileRef *ref = &step->in[0];
    const DType dtype = t->program->buffers[ref->at].dtype;
    const TileKernels *kernels = cpu_tile_kernels(dtype);
    const int64_t size = dtype_size(dtype);
    const int64_t stride = ref->strides[step->ndim] * tile_distance(t, ref->at);
    int64_t index[TILE_NDIM] = {0};
    char *to = tile_part(t, step->to);
    do {
        char *x = element_at(t, ref, index, step->ndim);
        tile_clear_tail(t, x, stride * size, step->nj, size);
        kernels->sum(to, x, stride, step->nj, t->n);
        to += step->nj * size;
    } while (tile_next_index(step->ndim, step->shape, index));
}

/* Is the shared side contiguous, so that it can be read where it lies? */
static bool
lies_packed(const TileStep *step, const TileMemory *memory, int64_t size)
{
    int64_t stride = size;
    bool packed = (uintptr_t)memory->data % (uintptr_t)size == 0;
    for (int d = step->ndim + 1; d >= 0; d--) {
        const int64_t n = d == step->ndim + 1 ? step->nj : d == step->ndim ? step->ni
                                                                            : step->shape[d];
        packed = packed && (n == 1 || memory->strides[d] == stride);
        stride *= n;
    }
    return packed;
}

static void
pack_rows(const TileStep *step, const TileMemory *memory, int64_t size, int64_t padding, char *to)
{
    int64_t index[TILE_NDIM] = {0};
    do {
        const char *from = memory->data + tile_offset(memory->strides, index, step->ndim);
        const int64_t stride = memory->strides[step->ndim + 1];
        for (int64_t i = 0; i < step->ni; i++) {
            const char *row = from + i * memory->strides[step->ndim];
            for (int64_t j = 0; j < step->nj && stride != size; j++) {
                memcpy(to + j * size, row + j * stride, (size_t)size);
            }
            if (stride == size) {
                memcpy(to, row, (size_t)(step->nj * size));
            }
            to += step->nj * size;
            memset(to, 0, (size_t)padding);
            to += padding;
        }
    } while (tile_next_index(step->ndim, step->shape, index));
}

void
tile_pack(const TileSweep *sweep, const TileStep *step, const TilePlan *plan)
{
    const DType dtype = sweep->code->program->views[step->in[1].at].dtype;
    const TileMemory *memory = &sweep->views[step->in[1].at];
    const int64_t size = dtype_size(dtype);
    char *const room = sweep->packed + plan->packed;
    if (step->kind == TILE_ROW_MAP) {
        const int64_t padding = (tile_packed_step(step, dtype) - step->nj) * size;
        pack_rows(step, memory, size, padding, room);
        return;
    }
    const int64_t rows = tile_space(step) * step->ni;
    TileMatrix *const matrix = (TileMatrix *)(void *)room;
    TileSpan *const spans = (TileSpan *)(void *)(matrix + 1);
    matrix->rows = memory->data;
    if (!lies_packed(step, memory, size)) {
        char *const copy = (char *)(spans + rows);
        pack_rows(step, memory, size, 0, copy);
        matrix->rows = copy;
    }
    const bool any = cpu_tile_kernels(dtype)->find_spans(spans, matrix->rows, rows, step->nj);
    matrix->spans = any ? spans : NULL;
}
