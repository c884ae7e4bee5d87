/* backend/cpu/kernels/tile_row.c -- products of few vectors with rows that are read where they lie.
 *
 * Such products are bound by memory: rows are read in the order of their addresses, which the
 * processor foresees, and what is done from the cache fetches rows of the next tile. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/tile.h"
#include "backend/cpu/kernels/tile_vector.h"

enum { MOST = 4 }; /* vectors of a row that are multiplied at a time */

enum { NEAR_BYTES = 16 * 1024 }; /* of rows that are read several times */

#define INT_f32 int32_t
#define INT_f64 int64_t
typedef JOIN(INT_, T) Mask __attribute__((vector_size(64)));

/* The last elements of a row, fewer than a vector has; the other lanes are zero. */
typedef struct Tail {
    int count;
    Mask mask;
    const char *end;
} Tail;

INLINE Tail
tail_of(const TileRows *t)
{
    Tail tail = {.count = (int)(t->nj % VL), .end = t->end};
    for (int k = 0; k < VL; k++) {
        tail.mask[k] = k < tail.count ? -1 : 0;
    }
    return tail;
}

INLINE Vec
load_tail(const char *p, const Tail *tail)
{
    if (tail->end - p >= (int64_t)sizeof(Vec)) {
        return (Vec)((Mask)load_unaligned(p) & tail->mask);
    }
    Vec v = {0};
    for (int k = 0; k < tail->count; k++) {
        E x;
        memcpy(&x, p + k * (int64_t)sizeof(E), sizeof x);
        v[k] = x;
    }
    return v;
}

INLINE Vec
load_part(const char *p, bool whole, const Tail *tail)
{
    return whole ? load_unaligned(p) : load_tail(p, tail);
}

/* Calls f(vectors, tail, ...) for the next part of `left` elements of a row. */
#define EACH_PART(f, left, tail, ...)                                                              \
    switch ((left) / VL * 2 + ((left) % VL != 0)) {                                                \
    case 1: f(0, tail, __VA_ARGS__); break;                                                        \
    case 2: f(1, NULL, __VA_ARGS__); break;                                                        \
    case 3: f(1, tail, __VA_ARGS__); break;                                                        \
    case 4: f(2, NULL, __VA_ARGS__); break;                                                        \
    case 5: f(2, tail, __VA_ARGS__); break;                                                        \
    case 6: f(3, NULL, __VA_ARGS__); break;                                                        \
    case 7: f(3, tail, __VA_ARGS__); break;                                                        \
    default: f(MOST, NULL, __VA_ARGS__);                                                           \
    }

/* ---- rows times vectors ---- */

/* sums[k] += the products of `vectors` vectors of row k, and of the tail; the first part begins
 * with zero. The compiler must not know `count`: it would take the rows side by side. */
INLINE void
map_part(const int vectors, const Tail *tail, Vec *sums, bool first, const E *a, const char *x,
         int64_t row_stride, int count)
{
    const int parts = vectors + (tail ? 1 : 0);
    Vec w[MOST + 1];
    for (int v = 0; v < parts; v++) {
        w[v] = load(a + v * VL);
    }
    for (int k = 0; k < count; k++) {
        const char *row = x + k * row_stride;
        Vec sum = first ? (Vec){0} : sums[k];
        for (int v = 0; v < parts; v++) {
            sum += load_part(row + v * 64, v < vectors, tail) * w[v];
        }
        sums[k] = sum;
    }
}

static void
row_map(void *out, int64_t out_step, const void *a, int64_t a_step, int64_t ni,
        const TileRows *t)
{
    const Tail tail = tail_of(t);
    for (int64_t r = 0; r < t->n; r += VL) {
        const int count = t->n - r < VL ? (int)(t->n - r) : VL;
        for (int64_t i = 0; i < ni; i++) {
            Vec sums[VL];
            for (int64_t j = 0; j < t->nj; j += MOST * VL) {
                const E *const w = (const E *)a + i * a_step + j;
                const char *const x = t->x + r * t->row_stride + j * (int64_t)sizeof(E);
                EACH_PART(map_part, t->nj - j, &tail, sums, j == 0, w, x, t->row_stride, count)
            }
            for (int k = count; k < VL; k++) {
                sums[k] = (Vec){0};
            }
            *(Vec *)((E *)out + i * out_step + r) = fold_lanes(sums);
        }
    }
}

/* ---- vectors times rows ---- */

/* sum[j * j_step] += sum_r p[r] x[r][j] for `vectors` vectors of j, and for the tail. */
INLINE void
outer_part(const int vectors, const Tail *tail, E *sum, int64_t j_step, const E *p, const char *x,
           int64_t row_stride, int64_t n, int64_t ahead)
{
    const int parts = vectors + (tail ? 1 : 0);
    Vec sums[2][MOST + 1];
    for (int v = 0; v < parts; v++) {
        sums[0][v] = sums[1][v] = (Vec){0};
    }
    const int64_t even = n - n % 2;
    for (int64_t r = 0; r < even; r += 2) {
        const char *const first = x + r * row_stride, *const second = first + row_stride;
        for (int v = 0; v < parts; v++) {
            sums[0][v] += load_part(first + v * 64, v < vectors, tail) * p[r];
            sums[1][v] += load_part(second + v * 64, v < vectors, tail) * p[r + 1];
        }
        for (int v = 0; v < parts && ahead != 0; v++) {
            __builtin_prefetch(first + ahead + v * 64, 0, 2);
        }
    }
    for (int v = 0; v < parts; v++) {
        if (even < n) {
            const char *const last = x + even * row_stride + v * 64;
            sums[0][v] += load_part(last, v < vectors, tail) * p[even];
        }
        const Vec total = sums[0][v] + sums[1][v];
        for (int k = 0; k < (v < vectors ? VL : tail->count); k++) {
            sum[(v * VL + k) * j_step] += total[k];
        }
    }
}

/* Rows are taken some at a time, so that they stay in the first cache. */
static void
row_outer(void *sum, int64_t i_step, int64_t j_step, const void *p, int64_t p_step, int64_t ni,
          const TileRows *t)
{
    const Tail tail = tail_of(t);
    const int64_t near = NEAR_BYTES / (t->nj * (int64_t)sizeof(E)) / 2 * 2;
    const int64_t rows = near > VL ? near : VL;
    for (int64_t r = 0; r < t->n; r += rows) {
        const int64_t n = t->n - r < rows ? t->n - r : rows;
        for (int64_t i = 0; i < ni; i++) {
            const E *const weights = (const E *)p + i * p_step + r;
            for (int64_t j = 0; j < t->nj; j += MOST * VL) {
                E *const to = (E *)sum + i * i_step + j * j_step;
                const char *const x = t->x + r * t->row_stride + j * (int64_t)sizeof(E);
                EACH_PART(outer_part, t->nj - j, &tail, to, j_step, weights, x, t->row_stride, n,
                          i == 0 ? t->ahead : 0)
            }
        }
    }
}

#define TABLE_(dtype, isa) kernel_tile_row_##dtype##_##isa
#define TABLE(dtype, isa) TABLE_(dtype, isa)
extern const TileRowKernels TABLE(T, ISA);
const TileRowKernels TABLE(T, ISA) = {row_map, row_outer};
