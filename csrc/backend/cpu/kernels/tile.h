/* backend/cpu/kernels/tile.h -- loops over the lanes of a tile: transposing and contracting.
 *
 * A buffer is [inner element][lane]; `lanes` is the distance of inner elements. Lanes come in
 * multiples of TILE_UNIT, rows beyond `n` up to there may be read and written. */
#ifndef PYARR_BACKEND_CPU_KERNELS_TILE_H
#define PYARR_BACKEND_CPU_KERNELS_TILE_H

#include "array/dtype.h"

#include <stdint.h>

enum { TILE_UNIT = 32, TILE_MOMENT_ROWS = 5 };

/* The elements of a matrix's row from its first that is not zero to its last. */
typedef struct TileSpan {
    int32_t begin, end;
} TileSpan;

/* Rows that are mapped, in groups. */
typedef struct TileSquares {
    const void *a;
    int64_t groups, ni, nj; /* ni rows of a each */
    const void *in;
    int64_t in_step;
    const TileSpan *spans;
    const char *shift;      /* of row i of a group: strides in bytes */
    int64_t shift_group, shift_stride;
    int64_t ahead;
    bool fresh;             /* out is zero, whatever lies there */
} TileSquares;

typedef struct TileKernels {
    /* to[e][r] = element e of row r; strides in bytes */
    void (*load)(void *to, int64_t lanes, const char *from, int64_t row_stride, int64_t stride,
                 int64_t n, int64_t count);
    /* row r, element e of C-contiguous rows = from[e][r]; row_stride in bytes */
    void (*store)(char *to, int64_t row_stride, const void *from, int64_t lanes, int64_t n,
                  int64_t count);
    /* out[i][r] = sum_j a[i * nj + j] in[j][r]; with the spans of a's rows, or NULL, zeros beyond
     * them may be left out. Elements of
     * `in`, and of q below, so many bytes ahead are fetched; none where that is 0 */
    void (*map)(void *out, int64_t out_step, const void *a, int64_t ni, int64_t nj,
                const void *in, int64_t in_step, int64_t n, const TileSpan *spans, int64_t ahead);
    /* out[k][r] += sum_i (sum_j a[k * ni + i][j] in[j][r] - shift[k][i])^2, in the order of i; the
     * rest as above */
    void (*squares)(void *out, int64_t out_step, const TileSquares *squares, int64_t n);
    /* spans[ni]; is any row's shorter than the row? */
    bool (*find_spans)(TileSpan *spans, const void *a, int64_t ni, int64_t nj);
    /* Are x[j][r] finite? Lanes from n to the unit must be zero. */
    bool (*finite)(const void *x, int64_t x_step, int64_t nj, int64_t n);
    /* sum[i * nj + j] += sum_r p[i][r] q[j][r]; lanes from n to the unit must be zero */
    void (*outer)(void *sum, const void *p, int64_t p_step, int64_t ni, const void *q,
                  int64_t q_step, int64_t nj, int64_t n, int64_t ahead);
    /* sum[j] += sum_r x[j][r]; lanes from n to the unit must be zero */
    void (*sum)(void *sum, const void *x, int64_t x_step, int64_t nj, int64_t n);
    /* sum[f * nk + k] += sum_r p[k][r] z[j][r] z[l][r], f = j (j + 1) / 2 + l for l <= j <= nx,
     * where z is x less the pivot, and after it 1; lanes of p from n to the unit must be zero.
     * The scratch has room for nx + 1 + TILE_MOMENT_ROWS rows of lanes. */
    void (*moments)(void *sum, const void *p, int64_t p_step, int64_t nk, const void *x,
                    int64_t x_step, const void *pivot, int64_t nx, int64_t n, void *scratch);
    /* row[j] += row[nx] pivot[j] for rows of `step` elements, a multiple of the unit, zero from
     * nx + 1 on as the pivot is from nx on; are all finite? */
    bool (*moved)(void *rows, int64_t step, int64_t ni, int64_t nx, const void *pivot);
} TileKernels;

/* Rows of contiguous elements, read where they lie. */
typedef struct TileRows {
    const char *x;
    const char *end;    /* of all rows of the array: nothing is read from there on */
    int64_t row_stride; /* in bytes */
    int64_t n, nj;      /* rows, elements of a row */
    int64_t ahead;      /* bytes to the rows that are needed next, or 0 */
} TileRows;

typedef struct TileRowKernels {
    /* out[i][r] = sum_j a[i * a_step + j] x[r][j]; rows of a are zeros up to a multiple of
     * 64 bytes, where the next one begins */
    void (*map)(void *out, int64_t out_step, const void *a, int64_t a_step, int64_t ni,
                const TileRows *rows);
    /* sum[i * i_step + j * j_step] += sum_r p[i][r] x[r][j]; fetches half of the rows ahead */
    void (*outer)(void *sum, int64_t i_step, int64_t j_step, const void *p, int64_t p_step,
                  int64_t ni, const TileRows *rows);
} TileRowKernels;

/* For f32 and f64; else only load and store, by size of the element. */
const TileKernels *cpu_tile_kernels(DType dtype);
/* For f32 and f64. */
const TileRowKernels *cpu_tile_row_kernels(DType dtype);

#endif
