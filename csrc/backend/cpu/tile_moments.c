/* backend/cpu/tile_moments.c -- weighted second moments of a tile's rows, and what follows from
 * them after the sweep. */
#include "backend/cpu/tile.h"

#include "base/mem.h"
#include "base/pool.h"

#include <string.h>

enum { FINISH_WORK = 1 << 15 }; /* products that one thread had better take */

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

/* y of z for one k: the pivot's share of it is constant. */
static void
shift_rows(const TileMoments *m, double *row)
{
    for (int64_t i = 0; i < m->ni; i++, row += m->nx + 1) {
        double part[4] = {row[m->nx]};
        int64_t j = 0;
        for (; j + 4 <= m->nx; j += 4) {
            for (int l = 0; l < 4; l++) { /* sums that do not wait for each other */
                part[l] += row[j + l] * m->pivot[j + l];
            }
        }
        for (; j < m->nx; j++) {
            part[0] += row[j] * m->pivot[j];
        }
        row[m->nx] = (part[0] + part[1]) + (part[2] + part[3]);
    }
}

/* From products with z, and after them with 1, those with x. */
static void
write_rows(const TileMoments *m, int64_t first, const double *from, int64_t step)
{
    for (int64_t i = 0; i < m->ni; i++, from += step) {
        double *to = m->product + (first + i) * m->row_stride;
        for (int64_t j = 0; j < m->nx && m->x_stride == 1; j++) {
            to[j] = from[j];
        }
        for (int64_t j = 0; j < m->nx && m->x_stride != 1; j++) {
            to[j * m->x_stride] = from[j];
        }
        if (m->sum != NULL) {
            m->sum[first + i] = from[m->nx];
        }
    }
}

typedef struct Finish {
    const TileMoments *moments;
    const double *pivot; /* with zeros after it */
    char *memory;        /* for each thread a matrix, a product and rows */
    int64_t step, thread_bytes;
    atomic_bool finite;
} Finish;

static void
finish_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    Finish *f = ctx;
    const TileMoments *m = f->moments;
    const int64_t width = m->nx + 1;
    double *matrix = (double *)(void *)(f->memory + thread * f->thread_bytes);
    double *product = matrix + width * f->step, *rows = product + m->ni * f->step;
    memset(matrix, 0, (size_t)(width * f->step) * sizeof *matrix);
    for (int64_t k = begin; k < end; k++) {
        unpack(m, k, matrix, f->step);
        m->read_rows(m->from, k * m->ni, m->ni, rows);
        shift_rows(m, rows);
        cpu_tile_kernels(DT_f64)->map(product, f->step, rows, m->ni, width, matrix, f->step, width,
                                      NULL, 0);
        if (!cpu_tile_kernels(DT_f64)->moved(product, f->step, m->ni, m->nx, f->pivot)) {
            atomic_store(&f->finite, false);
        }
        write_rows(m, k * m->ni, product, f->step);
    }
}

Status
backend_cpu_tile_moments(const TileMoments *m, bool *finite)
{
    const int64_t width = m->nx + 1, work = m->ni * width * width;
    Finish f = {.moments = m, .step = tile_round(width, TILE_UNIT), .finite = true};
    f.thread_bytes = (width + 2 * m->ni) * f.step * (int64_t)sizeof(double);
    const int64_t threads_bytes = pool_size() * f.thread_bytes;
    const size_t bytes = (size_t)(threads_bytes + f.step * (int64_t)sizeof(double));
    f.memory = mem_new(bytes);
    if (f.memory == NULL) {
        return STATUS_ERROR;
    }
    double *const pivot = (double *)(void *)(f.memory + threads_bytes);
    memset(pivot, 0, (size_t)f.step * sizeof *pivot);
    memcpy(pivot, m->pivot, (size_t)m->nx * sizeof *pivot);
    f.pivot = pivot;
    const Status status = pool_run(m->nk, FINISH_WORK / work + 1, finish_part, &f);
    *finite = atomic_load(&f.finite);
    mem_free(f.memory, bytes);
    return status;
}
