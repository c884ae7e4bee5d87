/* backend/cpu/tile_moments.c -- weighted second moments of a tile's rows, and what follows from
 * them after the sweep. */
#include "backend/cpu/tile.h"

#include "base/mem.h"

#include <string.h>

void
tile_moments(const Tile *t, const TileStep *step)
{
    const TileRef *p = &step->in[0], *x = &step->in[1];
    const int64_t lanes = t->code->lanes, size = sizeof(double);
    char *weights = tile_buffer(t, p), *rows = tile_buffer(t, x);
    tile_clear_tail(t, weights, p->strides[0] * lanes * size, step->nj, size);
    tile_clear_tail(t, rows, x->strides[0] * lanes * size, step->ni, size);
    cpu_tile_kernels(DT_f64)->moments(tile_part(t, step->to), weights, p->strides[0] * lanes,
                                      step->nj, rows, x->strides[0] * lanes,
                                      t->sweep->views[step->in[2].at].data, step->ni, t->n,
                                      t->scratch);
}

/* The symmetric matrix of one k, from its packed half. */
static void
unpack(const TileMoments *m, int64_t k, double *to, int64_t step)
{
    const double *from = m->sums + k;
    for (int64_t j = 0; j <= m->nx; j++) {
        for (int64_t l = 0; l <= j; l++, from += m->nk) {
            to[j * step + l] = to[l * step + j] = *from;
        }
    }
}

/* y of z: the pivot's share of it is constant. */
static void
shift_rows(const TileMoments *m)
{
    double *row = m->rows;
    for (int64_t e = 0; e < m->nk * m->ni; e++, row += m->nx + 1) {
        for (int64_t j = 0; j < m->nx; j++) {
            row[m->nx] += row[j] * m->pivot[j];
        }
    }
}

static bool
all_finite(const double *x, int64_t n)
{
    const uint64_t exponent = UINT64_C(0x7ff) << 52;
    uint64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        found |= (uint64_t)((bits & exponent) == exponent);
    }
    return found == 0;
}

static bool
write_rows(const TileMoments *m, int64_t first, double *from, int64_t step)
{
    bool finite = true;
    for (int64_t i = 0; i < m->ni; i++, from += step) {
        for (int64_t j = 0; j < m->nx; j++) {
            from[j] += from[m->nx] * m->pivot[j];
            m->product[(first + i) * m->row_stride + j * m->x_stride] = from[j];
        }
        if (m->sum != NULL) {
            m->sum[first + i] = from[m->nx];
        }
        finite = finite && all_finite(from, m->nx + 1);
    }
    return finite;
}

Status
backend_cpu_tile_moments(const TileMoments *m, bool *finite)
{
    const int64_t width = m->nx + 1, step = tile_round(width, TILE_UNIT);
    const size_t bytes = (size_t)((width + m->ni) * step) * sizeof(double);
    double *matrix = mem_new_zeroed(bytes), *product = matrix + width * step;
    *finite = true;
    if (matrix == NULL) {
        return STATUS_ERROR;
    }
    shift_rows(m);
    for (int64_t k = 0; k < m->nk; k++) {
        unpack(m, k, matrix, step);
        cpu_tile_kernels(DT_f64)->map(product, step, m->rows + k * m->ni * width, m->ni, width,
                                      matrix, step, width, NULL);
        *finite = write_rows(m, k * m->ni, product, step) && *finite;
    }
    mem_free(matrix, bytes);
    return STATUS_OK;
}
