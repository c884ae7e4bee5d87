/* backend/cpu/kernels/tile_row.c -- products of few vectors with rows that are read where they lie.
 *
 * Such products are bound by memory: rows are read in the order of their addresses, which the
 * processor foresees, and what is done from the cache fetches rows of the next tile. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/tile.h"
#include "backend/cpu/kernels/tile_vector.h"

/* vectors of a row that are multiplied at a time: by those of the shared side, and into as many
 * pairs of sums as there are registers */
enum { MAP_MOST = 4, OUTER_MOST = PARTS == 1 ? 4 : PARTS == 2 ? 2 : 1 };
enum { NEAR_BYTES = 16 * 1024 }; /* of rows that are read several times */

#define INT_f32 int32_t
#define INT_f64 int64_t
typedef JOIN(INT_, T) Mask __attribute__((vector_size(PART_BYTES)));

/* The last elements of a row, fewer than a vector has; the other lanes are zero. */
typedef struct Tail {
    int count;
    Mask mask[PARTS];
    const char *end;
} Tail;

INLINE Tail
tail_of(const TileRows *t)
{
    Tail tail = {.count = (int)(t->nj % VL), .end = t->end};
    for (int k = 0; k < VL; k++) {
        tail.mask[k / PL][k % PL] = k < tail.count ? -1 : 0;
    }
    return tail;
}

INLINE Part
load_whole(const char *p)
{
    return *(const PartUnaligned *)p;
}

/* Part h of the vector of which `tail` are elements of the row. */
INLINE Part
load_tail(const char *p, int h, const Tail *tail)
{
    if (tail->end - p >= 64) {
        return (Part)((Mask)load_whole(p + h * PART_BYTES) & tail->mask[h]);
    }
    Part v = {0};
    for (int k = 0; k < PL && h * PL + k < tail->count; k++) {
        E x;
        memcpy(&x, p + (h * PL + k) * (int64_t)sizeof(E), sizeof x);
        v[k] = x;
    }
    return v;
}

INLINE Part
load_part(const char *p, int h, bool whole, const Tail *tail)
{
    return whole ? load_whole(p + h * PART_BYTES) : load_tail(p, h, tail);
}

/* Calls f(vectors, tail, ...) for the next elements of a row, at most `most` vectors of them. */
#define EACH_PART(f, most, left, tail, ...)                                                        \
    switch ((left) >= (most) * VL ? 0 : (left) / VL * 2 + ((left) % VL != 0)) {                    \
    case 1: f(0, tail, __VA_ARGS__); break;                                                        \
    case 2: f(1, NULL, __VA_ARGS__); break;                                                        \
    case 3: f(most < 2 ? 0 : 1, tail, __VA_ARGS__); break;                                         \
    case 4: f(most < 3 ? 0 : 2, NULL, __VA_ARGS__); break;                                         \
    case 5: f(most < 3 ? 0 : 2, tail, __VA_ARGS__); break;                                         \
    case 6: f(most < 4 ? 0 : 3, NULL, __VA_ARGS__); break;                                         \
    case 7: f(most < 4 ? 0 : 3, tail, __VA_ARGS__); break;                                         \
    default: f(most, NULL, __VA_ARGS__);                                                           \
    }

/* ---- rows times vectors ---- */

/* sums[k] += the products of `vectors` vectors of row k, and of the tail; the first part begins
 * with zero. The compiler must not know `count`: it would take the rows side by side. */
INLINE void
map_part(const int vectors, const Tail *tail, Part (*sums)[PARTS], bool first, const E *a,
         const char *x, int64_t row_stride, int count)
{
    const int all = vectors + (tail ? 1 : 0);
    Part w[(MAP_MOST + 1) * PARTS];
    for (int v = 0; v < all * PARTS; v++) {
        w[v] = *(const Part *)(a + v * PL);
    }
    for (int k = 0; k < count; k++) {
        const char *row = x + k * row_stride;
        for (int h = 0; h < PARTS; h++) {
            Part sum = first ? (Part){0} : sums[k][h];
            for (int v = 0; v < all; v++) {
                sum += load_part(row + v * 64, h, v < vectors, tail) * w[v * PARTS + h];
            }
            sums[k][h] = sum;
        }
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
            Part sums[VL][PARTS];
            for (int64_t j = 0; j < t->nj; j += MAP_MOST * VL) {
                const E *const w = (const E *)a + i * a_step + j;
                const char *const x = t->x + r * t->row_stride + j * (int64_t)sizeof(E);
                EACH_PART(map_part, MAP_MOST, t->nj - j, &tail, sums, j == 0, w, x, t->row_stride,
                          count)
            }
            for (int k = count; k < VL; k++) {
                memset(sums[k], 0, sizeof sums[k]);
            }
            fold_rows((E *)out + i * out_step + r, sums);
        }
    }
}

/* ---- vectors times rows ---- */

/* sum[j * j_step] += sum_r p[r] x[r][j] for `vectors` vectors of j, and for the tail. */
INLINE void
outer_part(const int vectors, const Tail *tail, E *sum, int64_t j_step, const E *p, const char *x,
           int64_t row_stride, int64_t n, int64_t ahead)
{
    const int all = vectors + (tail ? 1 : 0);
    Part sums[2][OUTER_MOST + 1][PARTS];
    for (int v = 0; v < all * PARTS; v++) {
        sums[0][v / PARTS][v % PARTS] = sums[1][v / PARTS][v % PARTS] = (Part){0};
    }
    const int64_t even = n - n % 2;
    for (int64_t r = 0; r < even; r += 2) {
        const char *const first = x + r * row_stride, *const second = first + row_stride;
        for (int v = 0; v < all; v++) {
            for (int h = 0; h < PARTS; h++) {
                sums[0][v][h] += load_part(first + v * 64, h, v < vectors, tail) * p[r];
                sums[1][v][h] += load_part(second + v * 64, h, v < vectors, tail) * p[r + 1];
            }
        }
        for (int v = 0; v < all && ahead != 0; v++) {
            __builtin_prefetch(first + ahead + v * 64, 0, 2);
        }
    }
    for (int v = 0; v < all; v++) {
        for (int h = 0; h < PARTS; h++) {
            if (even < n) {
                const char *const last = x + even * row_stride + v * 64;
                sums[0][v][h] += load_part(last, h, v < vectors, tail) * p[even];
            }
            const Part total = sums[0][v][h] + sums[1][v][h];
            for (int k = 0; k < PL && (v < vectors || h * PL + k < tail->count); k++) {
                sum[(v * VL + h * PL + k) * j_step] += total[k];
            }
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
            const int64_t ahead = i == 0 ? t->ahead : 0;
            for (int64_t j = 0; j < t->nj; j += OUTER_MOST * VL) {
                E *const to = (E *)sum + i * i_step + j * j_step;
                const char *const x = t->x + r * t->row_stride + j * (int64_t)sizeof(E);
                EACH_PART(outer_part, OUTER_MOST, t->nj - j, &tail, to, j_step, weights, x,
                          t->row_stride, n, ahead)
            }
        }
    }
}

#define TABLE_(dtype, isa) kernel_tile_row_##dtype##_##isa
#define TABLE(dtype, isa) TABLE_(dtype, isa)
extern const TileRowKernels TABLE(T, ISA);
const TileRowKernels TABLE(T, ISA) = {row_map, row_outer};
