/* backend/cpu/tile_rows.c -- the steps of a tile that multiply rows where they lie. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"

#include <assert.h>

/* The rows of a tile. Those whose elements do not lie side by side are copied by the first step
 * that reads them. */
static TileRows
rows_of(const Tile *t, int view, int64_t nj, const TilePlan *plan)
{
    const TileMemory *memory = &t->sweep->views[view];
    const TileView *v = &t->program->views[view];
    const int64_t size = tile_view_size(t, view), stride = memory->row_stride;
    const int64_t rows = t->program->rows, ahead = t->row + t->n + t->code->rows;
    assert(v->ndim == (nj == 1 ? 0 : 1));
    const char *const x = memory->data + t->row * stride;
    if (nj == 1 || memory->strides[0] == size) {
        return (TileRows){.x = x,
                          .end = memory->data + (stride > 0 ? (rows - 1) * stride : 0) + nj * size,
                          .row_stride = stride,
                          .n = t->n,
                          .nj = nj,
                          .ahead = plan->last && ahead <= rows ? t->n * stride : 0};
    }
    char *const copy = t->rows + plan->rows;
    if (plan->first) {
        cpu_tile_kernels(v->dtype)->load(copy, nj, x, memory->strides[0], stride, nj, t->n);
    }
    return (TileRows){.x = copy,
                      .end = copy + t->n * nj * size,
                      .row_stride = nj * size,
                      .n = t->n,
                      .nj = nj};
}

void
tile_row_map(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    const TileRef *out = &step->out[0];
    const TileRows rows = rows_of(t, step->in[0].at, step->nj, plan);
    const DType dtype = t->program->buffers[out->at].dtype;
    cpu_tile_row_kernels(dtype)->map(
        tile_buffer(t, out), out->strides[step->ndim] * t->code->lanes,
        t->sweep->packed + plan->packed, tile_packed_step(step, dtype), step->ni, &rows);
}

void
tile_row_outer(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    const TileRef *p = &step->in[0];
    const TileRows rows = rows_of(t, step->in[1].at, step->nj, plan);
    const int64_t i_step = step->turned ? 1 : step->nj, j_step = step->turned ? step->ni : 1;
    cpu_tile_row_kernels(t->program->buffers[p->at].dtype)
        ->outer(tile_part(t, step->to), i_step, j_step, tile_buffer(t, p),
                p->strides[step->ndim] * t->code->lanes, step->ni, &rows);
}
