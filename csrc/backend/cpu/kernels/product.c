/* backend/cpu/kernels/product.c -- tiles of complex matrix products, of two or three real products. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/product.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* Functions that pass vectors are inlined. */
#include "backend/cpu/kernels/contract.h"

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TYPE_f32 float
#define TYPE_f64 double
#define BITS_f32 uint32_t
#define BITS_f64 uint64_t
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
enum { LANES = BYTES / sizeof(E), COLUMNS = 2 * LANES, WIDEST = 32, THIRD = ROWS / 3, HALF = ROWS / 2 };
typedef E V __attribute__((vector_size(BYTES)));
typedef E Loose __attribute__((vector_size(BYTES), aligned(sizeof(E)), may_alias));
typedef JOIN(BITS_, T) Bits __attribute__((vector_size(BYTES)));
#define SIGN ((Bits){0} + ((JOIN(BITS_, T))1 << (8 * sizeof(E) - 1)))
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
enum { LINE = 64 / (2 * sizeof(E)) };

/* Parts that differ more than this in size are multiplied by themselves: the smaller one would
 * lose digits in the sum of both. */
#define BALANCE ((E)128)

INLINE bool
is_zero(const E *x, const int width)
{
    bool zero = true;
    for (int j = 0; j < width; j++) {
        zero &= x[j] == 0;
    }
    return zero;
}

/* Sums of the moduli of each of `width` vectors; two or three vector registers hold whole rows. */
INLINE void
sum_moduli(E *restrict sums, const E *x, int64_t rows, const int width)
{
    enum { PERIOD_MAX = 3 };
    const int period = width == COLUMNS ? 2 : 3;
    const int64_t size = rows * width, whole = size - size % (period * LANES);
    V total[PERIOD_MAX] = {{0}};
    for (int64_t at = 0; at < whole; at += period * LANES) {
        UNROLL
        for (int i = 0; i < period; i++) {
            const Loose part = *(const Loose *)(x + at + i * LANES);
            total[i] += (V)((Bits)part & ~SIGN);
        }
    }
    E parts[PERIOD_MAX * LANES];
    memcpy(parts, total, sizeof parts);
    for (int i = 0; i < period * LANES; i++) {
        sums[i % width] += parts[i];
    }
    for (int64_t i = whole; i < size; i++) {
        sums[i % width] += JOIN(ABS_, T)(x[i]);
    }
}

/* Of `rows` packed terms; `plane` 0 stands for one plane. */
INLINE StripState
strip_state(const E *to, int64_t plane, int64_t rows, int64_t count, const int width)
{
    E re[WIDEST] = {0}, im[WIDEST] = {0};
    StripState state = {.fits = true, .balanced = true, .begin = 0, .end = rows};
    sum_moduli(re, to, rows, width);
    sum_moduli(im, to + plane, rows, width);
    for (int64_t j = 0; j < count; j++) {
        const bool near = re[j] <= BALANCE * im[j] && im[j] <= BALANCE * re[j];
        state.balanced = state.balanced && near;
        state.fits = state.fits && re[j] + im[j] < JOIN(HUGE_, T);
    }
    while (state.begin < rows && is_zero(to + state.begin * width, width) &&
           is_zero(to + plane + state.begin * width, width)) {
        state.begin++;
    }
    while (state.end > state.begin && is_zero(to + (state.end - 1) * width, width) &&
           is_zero(to + plane + (state.end - 1) * width, width)) {
        state.end--;
    }
    return state;
}

INLINE const E *
element(const StripSource *from, int64_t vector, int64_t term)
{
    return (const E *)(from->data + vector * from->stride + term * from->along);
}

/* The mirror image of an element among its vector's. */
INLINE const E *
partner(const StripSource *from, int64_t vector, int64_t term)
{
    return (const E *)(from->mirror + vector * from->stride - term * from->along);
}

/* One term of all vectors. In these functions `kind` is constant. */
INLINE void
split_term(E *restrict re, int64_t plane, const E *restrict x, const int width,
           const StripKind kind)
{
    E *restrict im = re + plane, *restrict both = re + 2 * plane;
    for (int j = 0; j < width; j++) {
        re[j] = x[2 * j];
        im[j] = x[2 * j + 1];
        if (kind == STRIP_SPLIT) {
            both[j] = x[2 * j] + x[2 * j + 1];
        }
    }
}

/* One term of four vectors that lie anywhere. */
INLINE void
split_four(E *to, int64_t plane, const StripSource *from, int64_t vector, int64_t term,
           const StripKind kind)
{
    const E *a = element(from, vector, term), *b = element(from, vector + 1, term);
    const E *c = element(from, vector + 2, term), *d = element(from, vector + 3, term);
    const Four re = {a[0], b[0], c[0], d[0]}, im = {a[1], b[1], c[1], d[1]};
    *(Four *)to = re;
    *(Four *)(to + plane) = im;
    if (kind == STRIP_SPLIT) {
        *(Four *)(to + 2 * plane) = re + im;
    }
}

INLINE void
fold_term(E *restrict re, int64_t plane, const E *restrict x, const E *restrict y, const int width)
{
    E *restrict im = re + plane;
    for (int j = 0; j < width; j++) {
        re[j] = x[2 * j] + y[2 * j];
        re[width + j] = y[2 * j + 1] - x[2 * j + 1];
        im[j] = x[2 * j + 1] + y[2 * j + 1];
        im[width + j] = x[2 * j] - y[2 * j];
    }
}

INLINE void
fold_four(E *to, int64_t plane, const StripSource *from, int64_t vector, int64_t term,
          const int width)
{
    const E *a = element(from, vector, term), *b = element(from, vector + 1, term);
    const E *c = element(from, vector + 2, term), *d = element(from, vector + 3, term);
    const E *p = partner(from, vector, term), *q = partner(from, vector + 1, term);
    const E *r = partner(from, vector + 2, term), *s = partner(from, vector + 3, term);
    const Four re = {a[0], b[0], c[0], d[0]}, im = {a[1], b[1], c[1], d[1]};
    const Four re2 = {p[0], q[0], r[0], s[0]}, im2 = {p[1], q[1], r[1], s[1]};
    *(Four *)to = re + re2;
    *(Four *)(to + width) = im2 - im;
    *(Four *)(to + plane) = im + im2;
    *(Four *)(to + plane + width) = re - re2;
}

/* Terms of vectors that lie side by side. */
INLINE void
pack_adjacent(E *restrict to, int64_t plane, const StripSource *from, const int width,
              const StripKind kind)
{
    for (int64_t l = 0; l < from->terms; l++) {
        const E *x = element(from, 0, l);
        if (l + AHEAD < from->terms) {
            fetch((const char *)x + AHEAD * from->along, 2 * width, false);
        }
        if (kind == STRIP_FOLDED) {
            const E *y = partner(from, 0, l);
            if (l + AHEAD < from->terms) {
                fetch((const char *)y - AHEAD * from->along, 2 * width, false);
            }
            fold_term(to + 2 * l * width, plane, x, y, width);
        } else {
            split_term(to + l * width, plane, x, width, kind);
        }
    }
}

/* One term of one vector. */
INLINE void
pack_element(E *restrict to, int64_t plane, const E *x, const E *y, const int width,
             const StripKind kind)
{
    to[0] = x[0];
    to[plane] = x[1];
    if (kind == STRIP_FOLDED) {
        to[0] += y[0];
        to[plane] += y[1];
        to[width] = y[1] - x[1];
        to[plane + width] = x[0] - y[0];
    } else if (kind == STRIP_SPLIT) {
        to[2 * plane] = x[0] + x[1];
    }
}

/* Terms of vectors that lie anywhere: those of one cache line together. */
INLINE void
pack_scattered(E *restrict to, int64_t plane, const StripSource *from, const int width,
               const StripKind kind)
{
    const bool fold = kind == STRIP_FOLDED;
    for (int64_t first = 0; first < from->terms; first += LINE) {
        const int64_t end = first + LINE < from->terms ? first + LINE : from->terms;
        int64_t j = 0;
        for (; j + 4 <= from->count; j += 4) {
            for (int64_t l = first; l < end; l++) {
                if (fold) {
                    fold_four(to + 2 * l * width + j, plane, from, j, l, width);
                } else {
                    split_four(to + l * width + j, plane, from, j, l, kind);
                }
            }
        }
        for (; j < from->count; j++) {
            for (int64_t l = first; l < end; l++) {
                E *const out = to + (fold ? 2 * l : l) * width + j;
                const E *const x = element(from, j, l), *y = fold ? partner(from, j, l) : x;
                pack_element(out, plane, x, y, width, kind);
            }
        }
    }
}

INLINE StripState
pack_data(E *restrict to, const StripSource *from, const int width, const StripKind kind)
{
    const bool fold = kind == STRIP_FOLDED;
    const int64_t rows = (fold ? 2 : 1) * from->terms, plane = rows * width;
    if (from->count < width) {
        memset(to, 0, (size_t)((kind == STRIP_SPLIT ? 3 : 2) * plane) * sizeof(E));
    }
    if (from->stride == (int64_t)(2 * sizeof(E)) && from->count == width) {
        pack_adjacent(to, plane, from, width, kind);
    } else {
        pack_scattered(to, plane, from, width, kind);
    }
    if (fold && from->alone) { /* counted twice */
        for (int64_t j = plane - 2 * width; j < plane - width; j++) {
            to[j] *= (E)0.5;
            to[plane + j] *= (E)0.5;
        }
    }
    return strip_state(to, plane, rows, from->count, width);
}

INLINE bool
is_conjugate(const E *x, const E *y)
{
    return x[0] == y[0] && x[1] == -y[1];
}

/* A real matrix that stands for one of conjugates: pairs of terms, or of vectors. */
INLINE StripState
pack_pairs(E *restrict to, const StripSource *from, const int width, const bool of_vectors)
{
    const int64_t rows = (of_vectors ? 1 : 2) * from->terms;
    const int64_t across = of_vectors ? -from->stride : from->stride;
    const int64_t along = of_vectors ? from->along : -from->along;
    const int64_t row = of_vectors ? width : 2 * width, second = of_vectors ? width / 2 : width;
    bool conjugate = true;
    memset(to, 0, (size_t)(rows * width) * sizeof(E));
    for (int64_t first = 0; first < from->terms; first += LINE) {
        const int64_t end = first + LINE < from->terms ? first + LINE : from->terms;
        for (int64_t j = 0; j < from->count; j++) {
            for (int64_t l = first; l < end; l++) {
                const E *x = element(from, j, l);
                conjugate &= is_conjugate(x, (const E *)(from->mirror + j * across + l * along));
                to[l * row + j] = x[0];
                to[l * row + second + j] = x[1];
            }
        }
    }
    StripState state = strip_state(to, 0, rows, width, width);
    state.fits = state.fits && conjugate;
    return state;
}

INLINE StripState
pack(StripKind kind, E *restrict to, const StripSource *from, const int width)
{
    switch (kind) {
    case STRIP_HALVES: return pack_pairs(to, from, width, false);
    case STRIP_MIRRORED: return pack_pairs(to, from, width, true);
    case STRIP_FOLDED: return pack_data(to, from, width, STRIP_FOLDED);
    case STRIP_PARTS: return pack_data(to, from, width, STRIP_PARTS);
    default: return pack_data(to, from, width, STRIP_SPLIT);
    }
}

static StripState
pack_rows(StripKind kind, void *to, const StripSource *from)
{
    return pack(kind, to, from, ROWS);
}

static StripState
pack_columns(StripKind kind, void *to, const StripSource *from)
{
    return pack(kind, to, from, COLUMNS);
}

static bool
is_mirrored(const char *data, int64_t stride, int64_t count)
{
    bool mirrored = true;
    for (int64_t i = 0; mirrored && 2 * i < count; i++) {
        const char *other = data + (count - 1 - i) * stride;
        mirrored = is_conjugate((const E *)(data + i * stride), (const E *)other);
    }
    return mirrored;
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

/* Real and imaginary parts of the product. */
INLINE void
combine(Parts *p, int64_t rows, const bool three)
{
    for (int64_t i = 0; i < rows * COLUMNS; i++) {
        const E x = p->re[i], y = p->im[i];
        p->re[i] = x - y;
        p->im[i] = three ? p->both[i] - (x + y) : p->both[i];
    }
}

/* Where c and s were multiplied: the products with c + is, and with c - is, its mirror image. */
INLINE void
combine_pairs(E *restrict re, E *restrict im, E *restrict mirror_re, E *restrict mirror_im,
              const int count)
{
    for (int j = 0; j < count; j++) {
        const E x = re[j], y = im[j], u = mirror_re[j], v = mirror_im[j];
        re[j] = x - v;
        im[j] = y + u;
        mirror_re[j] = x + v;
        mirror_im[j] = y - u;
    }
}

INLINE void
reverse(E *restrict x)
{
    E from[LANES];
    memcpy(from, x, sizeof from);
    for (int j = 0; j < LANES; j++) {
        x[j] = from[LANES - 1 - j];
    }
}

INLINE void
write_elements(E *restrict c, const E *restrict re, const E *restrict im, int64_t n,
               const bool add)
{
    for (int64_t j = 0; j < n; j++) {
        c[2 * j] = add ? c[2 * j] + re[j] : re[j];
        c[2 * j + 1] = add ? c[2 * j + 1] + im[j] : im[j];
    }
}

enum { CACHE_LINE = 64 };

/* A cache line past the caches, where the machine can do that. */
INLINE void
stream_line(char *to, const char *from)
{
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)to, _mm512_load_si512((const void *)from));
#elif defined(__SSE2__)
    for (int i = 0; i < CACHE_LINE; i += 16) {
        _mm_stream_si128((void *)(to + i), _mm_load_si128((const void *)(from + i)));
    }
#else
    memcpy(to, from, CACHE_LINE);
#endif
}

/* Not inlined: beside the other ways of writing a row GCC 12 takes values of their branches. */
static __attribute__((noinline)) void
stream_row(char *to, const E *re, const E *im)
{
    _Alignas(CACHE_LINE) E row[2 * COLUMNS];
    write_elements(row, re, im, COLUMNS, false);
    for (size_t i = 0; i < sizeof row; i += CACHE_LINE) {
        stream_line(to + i, (const char *)row + i);
    }
}

/* Part of a row; whole tiles are of constant length. */
INLINE void
write_row(const ProductTile *tile, char *to, const Parts *p, int64_t at, int64_t n, const bool add)
{
    const E *re = p->re + at, *im = p->im + at;
    if (n == COLUMNS && !add && tile->stream && (uintptr_t)to % CACHE_LINE == 0) {
        stream_row(to, re, im);
    } else if (n == COLUMNS) {
        write_elements((E *)to, re, im, COLUMNS, add);
    } else if (n == LANES) {
        write_elements((E *)to, re, im, LANES, add);
    } else {
        write_elements((E *)to, re, im, n, add);
    }
}

INLINE void
store(const ProductTile *tile, const Parts *p, const bool add)
{
    for (int64_t i = 0; i < tile->m; i++) {
        write_row(tile, tile->c + i * tile->c_stride, p, i * COLUMNS, tile->n, add);
    }
    if (tile->form == PRODUCT_MIRRORED_ROWS) {
        for (int64_t i = 0; i < tile->m - tile->alone; i++) {
            char *const to = tile->mirror - i * tile->c_stride;
            write_row(tile, to, p, (HALF + i) * COLUMNS, tile->n, add);
        }
    } else if (tile->form == PRODUCT_MIRRORED_COLUMNS) {
        const int64_t n = tile->n - tile->alone, bytes = n * (int64_t)(2 * sizeof(E));
        for (int64_t i = 0; i < tile->m; i++) {
            char *const end = tile->mirror + i * tile->c_stride;
            write_row(tile, end - bytes, p, (i + 1) * COLUMNS - n, n, add);
        }
    }
}

/* Not inlined: it takes little of the time. */
static __attribute__((noinline)) void
finish(const ProductTile *tile, Parts *p)
{
    const int64_t m = tile->m;
    switch (tile->form) {
    case PRODUCT_THREE: combine(p, m, true); break;
    case PRODUCT_FOUR: combine(p, m, false); break;
    case PRODUCT_FOLDED: break;
    case PRODUCT_MIRRORED_ROWS:
        for (int64_t i = 0; i < m; i++) {
            E *const re = p->re + i * COLUMNS, *const im = p->im + i * COLUMNS;
            combine_pairs(re, im, re + HALF * COLUMNS, im + HALF * COLUMNS, COLUMNS);
        }
        break;
    case PRODUCT_MIRRORED_COLUMNS:
        for (int64_t i = 0; i < m; i++) {
            E *const re = p->re + i * COLUMNS, *const im = p->im + i * COLUMNS;
            combine_pairs(re, im, re + LANES, im + LANES, LANES);
            reverse(re + LANES);
            reverse(im + LANES);
        }
        break;
    }
    if (tile->add) {
        store(tile, p, true);
    } else {
        store(tile, p, false);
    }
}

/* Where the tile goes is fetched while it is computed. */
INLINE void
fetch_tile(const ProductTile *tile)
{
    for (int64_t i = 0; i < tile->m; i++) {
        fetch(tile->c + i * tile->c_stride, 2 * (int)tile->n, true);
    }
    if (tile->form == PRODUCT_MIRRORED_ROWS) {
        for (int64_t i = 0; i < tile->m; i++) {
            fetch(tile->mirror - i * tile->c_stride, 2 * (int)tile->n, true);
        }
    } else if (tile->form == PRODUCT_MIRRORED_COLUMNS) {
        const int64_t bytes = tile->n * (int64_t)(2 * sizeof(E));
        for (int64_t i = 0; i < tile->m; i++) {
            fetch(tile->mirror - bytes + i * tile->c_stride, 2 * (int)tile->n, true);
        }
    }
}

INLINE void
run(const ProductTile *tile, const int rows, const int vectors)
{
    Parts p;
    const int64_t k = tile->end - tile->begin;
    const E *a = (const E *)tile->a + tile->begin * ROWS;
    const E *b = (const E *)tile->b + tile->begin * COLUMNS;
    const E *a_im = a + tile->a_plane, *b_im = b + tile->b_plane;
    if (!tile->stream) {
        fetch_tile(tile);
    }
    multiply(p.re, a, b, k, rows, vectors, false);
    multiply(p.im, a_im, b_im, k, rows, vectors, false);
    if (tile->form == PRODUCT_THREE) {
        multiply(p.both, a_im + tile->a_plane, b_im + tile->b_plane, k, rows, vectors, false);
    } else if (tile->form == PRODUCT_FOUR) {
        multiply(p.both, a, b_im, k, rows, vectors, false);
        multiply(p.both, a_im, b, k, rows, vectors, true);
    }
    finish(tile, &p);
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
    const int64_t rows = tile->m + (tile->form == PRODUCT_MIRRORED_ROWS ? HALF : 0);
    const int64_t columns = tile->n + (tile->form == PRODUCT_MIRRORED_COLUMNS ? LANES : 0);
    runs[(rows - 1) / THIRD][columns > LANES](tile);
}

const ProductKernel PASTE(kernel_product, T, ISA) = {
    .rows = ROWS,
    .columns = COLUMNS,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .tile = tile,
    .is_mirrored = is_mirrored,
};
