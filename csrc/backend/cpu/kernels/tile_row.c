/* backend/cpu/kernels/tile_row.c -- products of few vectors with rows that are read where they lie.
 *
 * Such products are bound by memory: rows are read in the order of their addresses, which the
 * processor foresees, and what is done from the cache fetches rows of the next tile. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/tile.h"
#include "backend/cpu/kernels/tile_vector.h"

/* vectors of a row that are multiplied at a time, as registers allow */
#if defined(__AVX512F__)
enum { MAP_V = 4, OUTER_V = 8 };
#else
enum { MAP_V = 2, OUTER_V = 2 };
#endif

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

/* ---- rows times vectors ---- */

/* sums[k] += the products of `vectors` vectors of row k. The compiler must not know `count`: it
 * would take the rows side by side. */
INLINE void
map_vectors(const int vectors, Vec *sums, const E *a, const char *x, int64_t row_stride, int count)
{
    Vec w[MAP_V];
    for (int v = 0; v < vectors; v++) {
        w[v] = load_unaligned(a + v * VL);
    }
    for (int k = 0; k < count; k++) {
        Vec sum = sums[k];
        for (int v = 0; v < vectors; v++) {
            sum += load_unaligned(x + k * row_stride + v * 64) * w[v];
        }
        sums[k] = sum;
    }
}

/* The products of `count` rows with one vector. */
INLINE Vec
map_rows(const E *a, const TileRows *t, const char *x, int count, const Tail *tail)
{
    Vec sums[VL];
    for (int k = 0; k < VL; k++) {
        sums[k] = (Vec){0};
    }
    int64_t j = 0;
    for (; j + MAP_V * VL <= t->nj; j += MAP_V * VL) {
        map_vectors(MAP_V, sums, a + j, x + j * (int64_t)sizeof(E), t->row_stride, count);
    }
    for (; j + VL <= t->nj; j += VL) {
        map_vectors(1, sums, a + j, x + j * (int64_t)sizeof(E), t->row_stride, count);
    }
    if (j < t->nj) {
        Vec w = {0};
        for (int k = 0; k < tail->count; k++) {
            w[k] = a[j + k];
        }
        for (int k = 0; k < count; k++) {
            sums[k] += load_tail(x + k * t->row_stride + j * (int64_t)sizeof(E), tail) * w;
        }
    }
    return fold_lanes(sums);
}

static void
row_map(void *out, int64_t out_step, const void *a, int64_t ni, const TileRows *t)
{
    const Tail tail = tail_of(t);
    for (int64_t r = 0; r < t->n; r += VL) {
        const char *x = t->x + r * t->row_stride;
        for (int64_t i = 0; i < ni; i++) {
            const E *const w = (const E *)a + i * t->nj;
            Vec *const to = (Vec *)((E *)out + i * out_step + r);
            *to = map_rows(w, t, x, t->n - r < VL ? (int)(t->n - r) : VL, &tail);
        }
    }
}

/* ---- vectors times rows ---- */

/* sum[j * j_step] += sum_r p[r] x[r][j] for `vectors` vectors of j, or for the tail. */
INLINE void
outer_vectors(const int vectors, const Tail *tail, E *sum, int64_t j_step, const E *p,
              const char *x, int64_t row_stride, int64_t n, int64_t ahead)
{
    Vec sums[2][OUTER_V];
    for (int v = 0; v < vectors; v++) {
        sums[0][v] = sums[1][v] = (Vec){0};
    }
    const int64_t even = n - n % 2;
    for (int64_t r = 0; r < even; r += 2) {
        const char *const first = x + r * row_stride, *const second = first + row_stride;
        for (int v = 0; v < vectors; v++) {
            sums[0][v] += (tail ? load_tail(first, tail) : load_unaligned(first + v * 64)) * p[r];
            sums[1][v] +=
                (tail ? load_tail(second, tail) : load_unaligned(second + v * 64)) * p[r + 1];
        }
        for (int v = 0; v < vectors && ahead != 0; v++) {
            __builtin_prefetch(first + ahead + v * 64, 0, 2);
        }
    }
    for (int v = 0; v < vectors; v++) {
        if (even < n) {
            const char *const last = x + even * row_stride;
            sums[0][v] += (tail ? load_tail(last, tail) : load_unaligned(last + v * 64)) * p[even];
        }
        const Vec total = sums[0][v] + sums[1][v];
        for (int k = 0; k < (tail ? tail->count : VL); k++) {
            sum[(v * VL + k) * j_step] += total[k];
        }
    }
}

/* One vector times rows that stay in the first cache. */
INLINE void
outer_rows(E *sum, int64_t j_step, const E *p, const TileRows *t, const char *x, int64_t n,
           const Tail *tail, int64_t ahead)
{
    for (int64_t j = 0; j < t->nj;) {
        const char *const at = x + j * (int64_t)sizeof(E);
        E *const to = sum + j * j_step;
        switch ((t->nj - j) / VL) {
        case 0:
            outer_vectors(1, tail, to, j_step, p, at, t->row_stride, n, ahead);
            j = t->nj;
            break;
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        outer_vectors(k, NULL, to, j_step, p, at, t->row_stride, n, ahead);                        \
        j += k * VL;                                                                               \
        break;
            CASE(1)
#if defined(__AVX512F__)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
#endif
#undef CASE
        default:
            outer_vectors(OUTER_V, NULL, to, j_step, p, at, t->row_stride, n, ahead);
            j += OUTER_V * VL;
        }
    }
}

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
            outer_rows((E *)sum + i * i_step, j_step, (const E *)p + i * p_step + r, t,
                       t->x + r * t->row_stride, n, &tail, i == 0 ? t->ahead : 0);
        }
    }
}

#define TABLE_(dtype, isa) kernel_tile_row_##dtype##_##isa
#define TABLE(dtype, isa) TABLE_(dtype, isa)
extern const TileRowKernels TABLE(T, ISA);
const TileRowKernels TABLE(T, ISA) = {row_map, row_outer};
