/* backend/cpu/kernels/product.c -- tiles of complex matrix products, of three real products. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/product.h"

#include <math.h>
#include <string.h>

/* Functions that pass vectors are inlined. */
#include "backend/cpu/kernels/contract.h"

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TYPE_f32 float
#define TYPE_f64 double
#define ABS_f32 fabsf
#define ABS_f64 fabs
#define HUGE_f32 0x1p50f
#define HUGE_f64 0x1p400
typedef JOIN(TYPE_, T) E;

/* A tile's sums fill most registers: 24 of 32 with AVX-512, 12 of 16 else. */
#if defined(__AVX512F__)
enum { BYTES = 64, ROWS = 12 };
#elif defined(__AVX2__)
enum { BYTES = 32, ROWS = 6 };
#else
enum { BYTES = 16, ROWS = 6 };
#endif
enum { LANES = BYTES / sizeof(E), COLUMNS = 2 * LANES, WIDEST = 32, THIRD = ROWS / 3 };
typedef E V __attribute__((vector_size(BYTES)));
typedef E Four __attribute__((vector_size(4 * sizeof(E)), aligned(sizeof(E)), may_alias));

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

/* Fetch so many elements; `write` is constant. */
INLINE void
fetch(const char *from, int elements, const bool write)
{
    for (size_t at = 0; at < (size_t)elements * sizeof(E); at += 64) {
        if (write) {
            __builtin_prefetch(from + at, 1);
        } else {
            __builtin_prefetch(from + at, 0);
        }
    }
}

/* ---- strips ---- */

enum { AHEAD = 8 }; /* terms between what is packed and what is fetched */

/* Parts that differ more than this in size are multiplied by themselves: the smaller one would
 * lose digits in the sum of both. */
#define BALANCE ((E)128)

INLINE bool
strip_is_balanced(const E *to, int64_t terms, int64_t count, const int width)
{
    E re[WIDEST] = {0}, im[WIDEST] = {0};
    bool balanced = true;
    for (int64_t l = 0; l < terms; l++) {
        for (int j = 0; j < width; j++) {
            re[j] += JOIN(ABS_, T)(to[l * width + j]);
            im[j] += JOIN(ABS_, T)(to[(terms + l) * width + j]);
        }
    }
    for (int64_t j = 0; j < count; j++) {
        const bool near = re[j] <= BALANCE * im[j] && im[j] <= BALANCE * re[j];
        balanced = balanced && near && re[j] + im[j] < JOIN(HUGE_, T);
    }
    return balanced;
}

/* One term of all vectors. */
INLINE void
pack_term(E *restrict re, E *restrict im, E *restrict both, const E *restrict x, const int width)
{
    for (int j = 0; j < width; j++) {
        re[j] = x[2 * j];
        im[j] = x[2 * j + 1];
        both[j] = x[2 * j] + x[2 * j + 1];
    }
}

INLINE const E *
element(const StripSource *from, int64_t vector, int64_t term)
{
    return (const E *)(from->data + vector * from->stride + term * from->along);
}

/* One term of four vectors that lie anywhere. */
INLINE void
pack_four(E *to, int64_t plane, const StripSource *from, int64_t vector, int64_t term)
{
    const E *a = element(from, vector, term), *b = element(from, vector + 1, term);
    const E *c = element(from, vector + 2, term), *d = element(from, vector + 3, term);
    const Four re = {a[0], b[0], c[0], d[0]}, im = {a[1], b[1], c[1], d[1]};
    *(Four *)to = re;
    *(Four *)(to + plane) = im;
    *(Four *)(to + 2 * plane) = re + im;
}

INLINE bool
pack(E *restrict to, const StripSource *from, const int width)
{
    enum { LINE = 64 / (2 * sizeof(E)) };
    const int64_t plane = from->terms * width, count = from->count;
    if (count < width) {
        memset(to, 0, (size_t)(STRIP_PARTS * plane) * sizeof(E));
    }
    if (from->stride == (int64_t)(2 * sizeof(E)) && count == width) {
        for (int64_t l = 0; l < from->terms; l++) {
            E *const re = to + l * width;
            const E *x = (const E *)(from->data + l * from->along);
            if (l + AHEAD < from->terms) {
                fetch((const char *)x + AHEAD * from->along, 2 * width, false);
            }
            pack_term(re, re + plane, re + 2 * plane, x, width);
        }
        return strip_is_balanced(to, from->terms, count, width);
    }
    for (int64_t first = 0; first < from->terms; first += LINE) { /* cache lines are read once */
        const int64_t end = first + LINE < from->terms ? first + LINE : from->terms;
        int64_t j = 0;
        for (; j + 4 <= count; j += 4) {
            for (int64_t l = first; l < end; l++) {
                pack_four(to + l * width + j, plane, from, j, l);
            }
        }
        for (; j < count; j++) {
            for (int64_t l = first; l < end; l++) {
                const E *x = element(from, j, l);
                E *restrict out = to + l * width + j;
                out[0] = x[0];
                out[plane] = x[1];
                out[2 * plane] = x[0] + x[1];
            }
        }
    }
    return strip_is_balanced(to, from->terms, count, width);
}

static bool
pack_rows(void *to, const StripSource *from)
{
    return pack(to, from, ROWS);
}

static bool
pack_columns(void *to, const StripSource *from)
{
    return pack(to, from, COLUMNS);
}

/* ---- tiles ---- */

/* c (rows x vectors) = a b, plus c when `add`. */
INLINE void
multiply(E *restrict c, const E *restrict a, const E *restrict b, int64_t k, const int rows,
         const int vectors, const bool add)
{
    V sum[ROWS][2];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            sum[i][j] = add ? *(const V *)(c + i * COLUMNS + j * LANES) : (V){0};
        }
    }
    for (int64_t l = 0; l < k; l++) {
        V right[2];
        UNROLL
        for (int j = 0; j < vectors; j++) {
            right[j] = *(const V *)(b + l * COLUMNS + j * LANES);
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            const E left = a[l * ROWS + i];
            UNROLL
            for (int j = 0; j < vectors; j++) {
                sum[i][j] += left * right[j];
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            *(V *)(c + i * COLUMNS + j * LANES) = sum[i][j];
        }
    }
}

/* The parts of a product, (rows, columns) each. */
typedef struct Parts {
    _Alignas(BYTES) E re[ROWS * COLUMNS], im[ROWS * COLUMNS], both[ROWS * COLUMNS];
} Parts;

/* One row: re - im and both - re - im, or, of four products, re - im and both. */
INLINE void
store_row(E *restrict c, const Parts *p, int64_t at, const int columns, const bool three,
          const bool add)
{
    const E *restrict re = p->re + at, *restrict im = p->im + at, *restrict both = p->both + at;
    for (int j = 0; j < columns; j++) {
        const E x = re[j] - im[j], y = three ? both[j] - (re[j] + im[j]) : both[j];
        c[2 * j] = add ? c[2 * j] + x : x;
        c[2 * j + 1] = add ? c[2 * j + 1] + y : y;
    }
}

INLINE void
store(const ProductTile *tile, const Parts *p, const int columns)
{
    E edge[2 * COLUMNS];
    const size_t bytes = (size_t)(2 * tile->n) * sizeof(E);
    for (int64_t i = 0; i < tile->m; i++) {
        E *const c = (E *)(tile->c + i * tile->c_stride);
        const bool whole = tile->n == columns;
        E *const to = whole ? c : edge;
        if (!whole) {
            memset(edge, 0, sizeof edge);
            memcpy(edge, c, tile->add ? bytes : 0);
        }
        if (!tile->three) {
            store_row(to, p, i * COLUMNS, columns, false, tile->add);
        } else if (tile->add) {
            store_row(to, p, i * COLUMNS, columns, true, true);
        } else {
            store_row(to, p, i * COLUMNS, columns, true, false);
        }
        if (!whole) {
            memcpy(c, edge, bytes);
        }
    }
}

INLINE void
run(const ProductTile *tile, const int rows, const int vectors)
{
    Parts p;
    const int64_t k = tile->k;
    for (int64_t i = 0; i < tile->m; i++) { /* where it goes is fetched while it is computed */
        fetch(tile->c + i * tile->c_stride, 2 * vectors * LANES, true);
    }
    const E *a = tile->a, *b = tile->b;
    const E *a_im = a + k * ROWS, *b_im = b + k * COLUMNS;
    multiply(p.re, a, b, k, rows, vectors, false);
    multiply(p.im, a_im, b_im, k, rows, vectors, false);
    if (tile->three) {
        multiply(p.both, a_im + k * ROWS, b_im + k * COLUMNS, k, rows, vectors, false);
    } else {
        multiply(p.both, a, b_im, k, rows, vectors, false);
        multiply(p.both, a_im, b, k, rows, vectors, true);
    }
    store(tile, &p, vectors * LANES);
}

#define RUN(rows, vectors)                                                                         \
    static void run_##rows##_##vectors(const ProductTile *tile)                                    \
    {                                                                                              \
        run(tile, rows *THIRD, vectors);                                                           \
    }
RUN(1, 1)
RUN(2, 1)
RUN(3, 1)
RUN(1, 2)
RUN(2, 2)
RUN(3, 2)

static void
tile(const ProductTile *tile)
{
    static void (*const runs[3][2])(const ProductTile *) = {
        {run_1_1, run_1_2}, {run_2_1, run_2_2}, {run_3_1, run_3_2}};
    runs[(tile->m - 1) / THIRD][tile->n > LANES](tile);
}

const ProductKernel PASTE(kernel_product, T, ISA) = {
    .rows = ROWS,
    .columns = COLUMNS,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .tile = tile,
};
