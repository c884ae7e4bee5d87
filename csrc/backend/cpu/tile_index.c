/* backend/cpu/tile_index.c -- steps of a tile by index: rows taken from a table, rows added to one.
 *
 * A tile's indices are checked and made places first, so that the loops over them have nothing
 * else to do. Rows are added in their order, one element of a row after the other.
 */
#include "backend/cpu/tile.h"

#include <string.h>

/* The rows' places in a table of step->ni, from indices that may count from its end; false when
 * one is out of range. */
static bool
find_places(const Tile *t, const TileStep *step, int64_t *places)
{
    const TileMemory *memory = &t->sweep->views[step->in[0].at];
    const char *from = memory->data + t->row * memory->row_stride;
    const int64_t size = step->ni;
    uint64_t outside = 0; /* its sign tells */
    if (memory->row_stride == (int64_t)sizeof *places) {
        memcpy(places, from, (size_t)t->n * sizeof *places);
    } else {
        for (int64_t r = 0; r < t->n; r++) {
            memcpy(&places[r], from + r * memory->row_stride, sizeof *places);
        }
    }
    for (int64_t r = 0; r < t->n; r++) {
        places[r] += places[r] < 0 ? size : 0;
        outside |= (uint64_t)places[r] | ((uint64_t)size - 1 - (uint64_t)places[r]);
    }
    if (outside >> 63 == 0) {
        return true;
    }
    for (int64_t r = 0; r < t->n; r++) {
        if (places[r] < 0 || places[r] >= size) {
            int64_t at;
            memcpy(&at, from + r * memory->row_stride, sizeof at);
            atomic_store(&t->sweep->bad_index, at);
            atomic_store(&t->sweep->stop, 2);
            break;
        }
    }
    return false;
}

#define TAKE(type)                                                                                 \
    for (int64_t r = 0; r < n; r++) {                                                              \
        memcpy(to + r * (int64_t)sizeof(type), table + places[r] * stride, sizeof(type));          \
    }

/* One element of each row. */
static void
take(char *to, const char *table, int64_t stride, const int64_t *places, int64_t n, int64_t size)
{
    switch (size) {
    case 4: TAKE(float); return;
    case 8: TAKE(double); return;
    default: break;
    }
    for (int64_t r = 0; r < n; r++) {
        memcpy(to + r * size, table + places[r] * stride, (size_t)size);
    }
}

void
tile_gather(const Tile *t, const TileStep *step)
{
    const TileMemory *table = &t->sweep->views[step->in[1].at];
    const int64_t size = tile_view_size(t, step->in[1].at);
    int64_t places[TILE_MAX_LANES], index[TILE_NDIM] = {0};
    char *to = tile_buffer(t, &step->out[0]);
    if (!find_places(t, step, places)) {
        return;
    }
    do {
        take(to, table->data + tile_offset(table->strides, index, step->ndim),
             table->strides[step->ndim], places, t->n, size);
        to += t->code->lanes * size;
    } while (tile_next_index(step->ndim, step->shape, index));
}

void
tile_scatter(const Tile *t, const TileStep *step)
{
    const TileRef *from = &step->in[1];
    const DType dtype = t->program->buffers[from->at].dtype;
    const int64_t size = dtype_size(dtype), lanes = t->code->lanes;
    const int64_t row_bytes = tile_space(step) * size;
    const ReduceKernels *kernels = cpu_reduce_kernels(REDUCE_SUM, dtype);
    int64_t places[TILE_MAX_LANES], index[TILE_NDIM] = {0};
    char *to = tile_part(t, step->to);
    if (!find_places(t, step, places)) {
        return;
    }
    do {
        const char *x =
            tile_buffer(t, from) + tile_offset(from->strides, index, step->ndim) * lanes * size;
        for (int64_t r = 0; r < t->n; r++) {
            char *sum = to + places[r] * row_bytes;
            if (dtype == DT_f64) {
                *(double *)sum += ((const double *)x)[r];
            } else {
                kernels->join(sum, x + r * size, 1);
            }
        }
        to += size;
    } while (tile_next_index(step->ndim, step->shape, index));
}
