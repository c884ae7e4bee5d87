/* backend/cpu/kernels/tile.c -- the loops of tile.h.
 *
 * variants: see below. Vectors are 64 bytes whatever the instruction set, so that the order of
 * sums does not depend on it; the register blocks follow the number of registers. */
/* variants: T=f32,f64 ISA */
#include "backend/cpu/kernels/tile.h"
#include "backend/cpu/kernels/tile_vector.h"

/* Blocks in registers, at most; and a case for each number of rows that one may have, since loops
 * over registers need constants. */
#if defined(__AVX512F__)
enum { MAP_I = 4, MAP_V = TILE_UNIT / PL, OUTER_I = 5, OUTER_J = 5 };
#define MAP_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)
#define OUTER_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5)
#else
enum { MAP_I = 6, MAP_V = 2, OUTER_I = 3, OUTER_J = 3 };
#define MAP_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define OUTER_CASES(CASE) CASE(1) CASE(2) CASE(3)
#endif

enum { BLOCK = 8 };

#if JOIN(IS_, T) && PART_BYTES == 64
/* An 8 x 8 block: to[j][r] = from[r][j]. */
INLINE void
transpose_block(E *to, int64_t to_step, const char *from, int64_t from_stride)
{
    Vec v[8], w[8];
    for (int r = 0; r < 8; r++) {
        v[r] = load_unaligned(from + r * from_stride);
    }
    for (int k = 0; k < 4; k++) {
        w[2 * k] = SHUFFLE(v[2 * k], v[2 * k + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        w[2 * k + 1] = SHUFFLE(v[2 * k], v[2 * k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int k = 0; k < 2; k++) {
        for (int odd = 0; odd < 2; odd++) {
            const Vec a = w[4 * k + odd], b = w[4 * k + 2 + odd];
            v[4 * k + odd] = SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
            v[4 * k + 2 + odd] = SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int k = 0; k < 4; k++) {
        const Vec low = SHUFFLE(v[k], v[4 + k], 0, 1, 2, 3, 8, 9, 10, 11);
        const Vec high = SHUFFLE(v[k], v[4 + k], 4, 5, 6, 7, 12, 13, 14, 15);
        *(VecUnaligned *)(to + k * to_step) = low;
        *(VecUnaligned *)(to + (4 + k) * to_step) = high;
    }
}
#else
INLINE void
transpose_block(E *to, int64_t to_step, const char *from, int64_t from_stride)
{
    for (int r = 0; r < 8; r++) {
        for (int j = 0; j < 8; j++) {
            to[j * to_step + r] = ((const E *)(from + r * from_stride))[j];
        }
    }
}
#endif

/* ---- loading and storing ---- */

/* Many rows, each far from the next: the processor does not guess that the next tile goes on
 * where they end, so it is told while this one is copied. */
static void
copy_ahead(E *to, const char *from, int64_t n)
{
    int64_t r = 0;
    for (; r + VL <= n; r += VL) {
        const char *const at = from + r * (int64_t)sizeof(E);
        __builtin_prefetch((const void *)((uintptr_t)at + (size_t)n * sizeof(E)), 0, 2);
        *(Vec *)(to + r) = load_unaligned(at);
    }
    memcpy(to + r, from + r * (int64_t)sizeof(E), (size_t)(n - r) * sizeof(E));
}

static void
tile_load(void *to, int64_t lanes, const char *from, int64_t row_stride, int64_t stride, int64_t n,
          int64_t count)
{
    E *const out = to;
    if (row_stride == (int64_t)sizeof(E)) {
        for (int64_t e = 0; e < count; e++) {
            copy_ahead(out + e * lanes, from + e * stride, n);
        }
        return;
    }
    if (stride != (int64_t)sizeof(E) || n < BLOCK || count < BLOCK) {
        for (int64_t e = 0; e < count; e++) {
            for (int64_t r = 0; r < n; r++) {
                memcpy(out + e * lanes + r, from + r * row_stride + e * stride, sizeof(E));
            }
        }
        return;
    }
    for (int64_t r = 0; r < n; r += BLOCK) { /* the last blocks lie over those before them */
        const int64_t row = r < n - BLOCK ? r : n - BLOCK;
        for (int64_t e = 0; e < count; e += BLOCK) {
            const int64_t first = e < count - BLOCK ? e : count - BLOCK;
            transpose_block(out + first * lanes + row, lanes,
                            from + row * row_stride + first * stride, row_stride);
        }
    }
}

static void
tile_store(char *to, int64_t row_stride, const void *from, int64_t lanes, int64_t n, int64_t count)
{
    const E *const in = from;
    if (count == 1 && row_stride == (int64_t)sizeof(E)) {
        int64_t r = 0;
        for (; r + VL <= n; r += VL) { /* memcpy may ask for strings to be moved, which is slow */
            *(VecUnaligned *)(to + r * (int64_t)sizeof(E)) = load(in + r);
        }
        memcpy(to + r * (int64_t)sizeof(E), in + r, (size_t)(n - r) * sizeof(E));
        return;
    }
    const int64_t rows = n - n % BLOCK, whole = count - count % BLOCK;
    for (int64_t r = 0; r < rows; r += BLOCK) {
        for (int64_t e = 0; e < whole; e += BLOCK) {
            transpose_block((E *)(to + r * row_stride) + e, row_stride / (int64_t)sizeof(E),
                            (const char *)(in + e * lanes + r), lanes * (int64_t)sizeof(E));
        }
    }
    for (int64_t e = 0; e < count; e++) {
        for (int64_t r = e < whole ? rows : 0; r < n; r++) {
            memcpy(to + r * row_stride + e * (int64_t)sizeof(E), in + e * lanes + r, sizeof(E));
        }
    }
}

/* ---- rows in lanes ---- */

/* The elements that no row of `ni` leaves out. */
INLINE TileSpan
common_span(const int ni, const TileSpan *spans, int64_t nj)
{
    TileSpan all = {0, (int32_t)nj};
    for (int i = 0; spans != NULL && i < ni; i++) {
        all.begin = spans[i].begin > all.begin ? spans[i].begin : all.begin;
        all.end = spans[i].end < all.end ? spans[i].end : all.end;
    }
    all.end = all.end > all.begin ? all.end : all.begin;
    return all;
}

/* sum += a[j] in[j] for j from begin to end */
INLINE void
map_row(Part *sum, const E *a, const E *in, int64_t in_step, int64_t begin, int64_t end)
{
    for (int64_t j = begin; j < end; j++) {
        UNROLL
        for (int v = 0; v < MAP_V; v++) {
            sum[v] += load_part_unaligned(in + j * in_step + v * PL) * a[j];
        }
    }
}

/* `count` elements, so many bytes ahead, into the second cache. */
INLINE void
fetch(const E *p, int64_t ahead, const int count)
{
    for (int k = 0; k < count; k += VL) {
        __builtin_prefetch((const void *)((uintptr_t)(p + k) + (uintptr_t)ahead), 0, 2);
    }
}

/* sum[i][v] = sum_j a[i * nj + j] in[j], lanes of vector v */
INLINE void
map_sums(const int ni, Part (*sum)[MAP_V], const E *a, int64_t nj, const E *in, int64_t in_step,
         const TileSpan *spans, int64_t ahead)
{
    const TileSpan span = common_span(ni, spans, nj);
    UNROLL
    for (int i = 0; i < ni; i++) {
        UNROLL
        for (int v = 0; v < MAP_V; v++) {
            sum[i][v] = (Part){0};
        }
        if (spans != NULL) {
            const int64_t end = spans[i].end < span.begin ? spans[i].end : span.begin;
            map_row(sum[i], a + i * nj, in, in_step, spans[i].begin, end);
        }
    }
    for (int64_t j = span.begin; j < span.end; j++) {
        Part x[MAP_V];
        UNROLL
        for (int v = 0; v < MAP_V; v++) {
            x[v] = load_part_unaligned(in + j * in_step + v * PL);
        }
        if (ahead != 0) {
            fetch(in + j * in_step, ahead, MAP_V * PL);
        }
        UNROLL
        for (int i = 0; i < ni; i++) {
            const E w = a[i * nj + j];
            UNROLL
            for (int v = 0; v < MAP_V; v++) {
                sum[i][v] += x[v] * w;
            }
        }
    }
    UNROLL
    for (int i = 0; i < ni && spans != NULL; i++) {
        const int64_t begin = spans[i].begin > span.end ? spans[i].begin : span.end;
        map_row(sum[i], a + i * nj, in, in_step, begin, spans[i].end);
    }
}

INLINE void
map_block(const int ni, E *out, int64_t out_step, const E *a, int64_t nj, const E *in,
          int64_t in_step, const TileSpan *spans, int64_t ahead)
{
    Part sum[MAP_I][MAP_V];
    map_sums(ni, sum, a, nj, in, in_step, spans, ahead);
    UNROLL
    for (int i = 0; i < ni; i++) {
        UNROLL
        for (int v = 0; v < MAP_V; v++) {
            *(Part *)(out + i * out_step + v * PL) = sum[i][v];
        }
    }
}

static void
tile_map(void *out, int64_t out_step, const void *a, int64_t ni, int64_t nj, const void *in,
         int64_t in_step, int64_t n, const TileSpan *spans, int64_t ahead)
{
    for (int64_t r = 0; r < n; r += MAP_V * PL) {
        for (int64_t i = 0, count; i < ni; i += count) {
            count = ni - i < MAP_I ? ni - i : MAP_I;
            E *const to = (E *)out + i * out_step + r;
            const E *const w = (const E *)a + i * nj, *const x = (const E *)in + r;
            const TileSpan *const s = spans == NULL ? NULL : spans + i;
            const int64_t next = i == 0 ? ahead : 0;
            switch (count) {
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        map_block(k, to, out_step, w, nj, x, in_step, s, next);                                    \
        break;
                MAP_CASES(CASE)
#undef CASE
            }
        }
    }
}

/* to[v] += (sums of row i - shift)^2, row by row */
INLINE void
squares_block(const int ni, Part *to, const TileSquares *s, int64_t row, const E *in,
              const char *shift, int64_t ahead)
{
    Part sum[MAP_I][MAP_V];
    map_sums(ni, sum, (const E *)s->a + row * s->nj, s->nj, in, s->in_step,
             s->spans == NULL ? NULL : s->spans + row, ahead);
    UNROLL
    for (int i = 0; i < ni; i++) {
        const E off = *(const E *)(shift + i * s->shift_stride);
        UNROLL
        for (int v = 0; v < MAP_V; v++) {
            const Part d = sum[i][v] - off;
            to[v] += d * d;
        }
    }
}

/* Of one group of rows. */
INLINE void
squares_rows(E *out, const TileSquares *s, int64_t row, const E *in, const char *shift,
             int64_t ahead)
{
    Part to[MAP_V];
    for (int v = 0; v < MAP_V; v++) {
        to[v] = s->fresh ? (Part){0} : load_aligned(out + v * PL);
    }
    for (int64_t i = 0, count; i < s->ni; i += count) {
        count = s->ni - i < MAP_I ? s->ni - i : MAP_I;
        const char *const own = shift + i * s->shift_stride;
        const int64_t next = i == 0 ? ahead : 0;
        switch (count) {
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        squares_block(k, to, s, row + i, in, own, next);                                           \
        break;
            MAP_CASES(CASE)
#undef CASE
        }
    }
    for (int v = 0; v < MAP_V; v++) {
        *(Part *)(out + v * PL) = to[v];
    }
}

static void
tile_squares(void *out, int64_t out_step, const TileSquares *s, int64_t n)
{
    for (int64_t r = 0; r < n; r += MAP_V * PL) {
        for (int64_t k = 0; k < s->groups; k++) {
            squares_rows((E *)out + k * out_step + r, s, k * s->ni, (const E *)s->in + r,
                         s->shift + k * s->shift_group, k == 0 ? s->ahead : 0);
        }
    }
}

static bool
tile_find_spans(TileSpan *spans, const void *a, int64_t ni, int64_t nj)
{
    bool any = false;
    for (int64_t i = 0; i < ni; i++) {
        const E *const row = (const E *)a + i * nj;
        int64_t begin = 0, end = nj;
        while (begin < nj && row[begin] == 0) {
            begin++;
        }
        while (end > 0 && row[end - 1] == 0) {
            end--;
        }
        spans[i] = (TileSpan){(int32_t)begin, (int32_t)end};
        any = any || end - begin < nj;
    }
    return any;
}

static bool
tile_finite(const void *x, int64_t x_step, int64_t nj, int64_t n)
{
    Part sum = {0};
    for (int64_t j = 0; j < nj; j++) {
        for (int64_t r = 0; r < n; r += PL) {
            sum += load_part_unaligned((const E *)x + j * x_step + r) * 0; /* NaN, where it is not */
        }
    }
    bool all = true;
    for (int k = 0; k < PL; k++) {
        all = all && sum[k] == 0;
    }
    return all;
}

static bool
tile_moved(void *rows, int64_t step, int64_t ni, int64_t nx, const void *pivot)
{
    for (int64_t i = 0; i < ni; i++) {
        E *const row = (E *)rows + i * step;
        const E last = row[nx];
        for (int64_t j = 0; j <= nx; j += PL) {
            *(Part *)(row + j) += load_aligned((const E *)pivot + j) * last;
        }
    }
    return tile_finite(rows, step, ni, nx + 1);
}

INLINE void
outer_block(const int ni, const int nj, E *sum, int64_t sum_step, const E *p, int64_t p_step,
            const E *q, int64_t q_step, int64_t n, int64_t ahead)
{
    enum { ROOM = (OUTER_I * OUTER_J + VL - 1) / VL * VL };
    Part sums[ROOM][PARTS];
    for (int h = 0; h < PARTS; h++) { /* a part at a time has room for more sums in registers */
        Part sum[OUTER_I * OUTER_J];
        UNROLL
        for (int k = 0; k < ni * nj; k++) {
            sum[k] = (Part){0};
        }
        for (int64_t r = h * PL; r < n; r += VL) {
            Part y[OUTER_J];
            UNROLL
            for (int j = 0; j < nj; j++) {
                y[j] = load_part_unaligned(q + j * q_step + r);
            }
            UNROLL
            for (int i = 0; i < ni; i++) {
                const Part x = load_part_unaligned(p + i * p_step + r);
                UNROLL
                for (int j = 0; j < nj; j++) {
                    sum[i * nj + j] += x * y[j];
                }
            }
            for (int j = 0; j < nj && h == 0 && ahead != 0; j++) {
                fetch(q + j * q_step + r, ahead, VL);
            }
        }
        UNROLL
        for (int k = 0; k < ROOM; k++) {
            sums[k][h] = k < ni * nj ? sum[k] : (Part){0};
        }
    }
    E folded[ROOM] __attribute__((aligned(64)));
    UNROLL
    for (int k = 0; k < ni * nj; k += VL) {
        fold_rows(folded + k, sums + k);
    }
    UNROLL
    for (int i = 0; i < ni; i++) {
        UNROLL
        for (int j = 0; j < nj; j++) {
            sum[i * sum_step + j] += folded[i * nj + j];
        }
    }
}

INLINE void
outer_rows(const int ni, E *sum, const E *p, int64_t p_step, const E *q, int64_t q_step,
           int64_t nj, int64_t n, int64_t ahead)
{
    for (int64_t j = 0, count; j < nj; j += count) {
        count = nj - j < OUTER_J ? nj - j : OUTER_J;
        switch (count) {
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        outer_block(ni, k, sum + j, nj, p, p_step, q + j * q_step, q_step, n, ahead);              \
        break;
            OUTER_CASES(CASE)
#undef CASE
        }
    }
}

static void
tile_outer(void *sum, const void *p, int64_t p_step, int64_t ni, const void *q, int64_t q_step,
           int64_t nj, int64_t n, int64_t ahead)
{
    for (int64_t i = 0, count; i < ni; i += count) {
        count = ni - i < OUTER_I ? ni - i : OUTER_I;
        E *const to = (E *)sum + i * nj;
        const E *const x = (const E *)p + i * p_step;
        const int64_t next = i == 0 ? ahead : 0;
        switch (count) {
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        outer_rows(k, to, x, p_step, q, q_step, nj, n, next);                                      \
        break;
            OUTER_CASES(CASE)
#undef CASE
        }
    }
}

static void
tile_sum(void *sum, const void *x, int64_t x_step, int64_t nj, int64_t n)
{
    for (int64_t j = 0; j < nj; j += VL) {
        const int count = nj - j < VL ? (int)(nj - j) : VL;
        Part sums[VL][PARTS];
        E folded[VL] __attribute__((aligned(64)));
        for (int k = 0; k < VL; k++) {
            const E *const p = (const E *)x + (j + (k < count ? k : 0)) * x_step;
            for (int h = 0; h < PARTS; h++) {
                Part total = load_part_unaligned(p + h * PL);
                for (int64_t r = VL; r < n; r += VL) {
                    total += load_part_unaligned(p + r + h * PL);
                }
                sums[k][h] = total;
            }
        }
        fold_rows(folded, sums);
        for (int k = 0; k < count; k++) {
            ((E *)sum)[j + k] += folded[k];
        }
    }
}

static void
tile_moments(void *sum, const void *p, int64_t p_step, int64_t nk, const void *x, int64_t x_step,
             const void *pivot, int64_t nx, int64_t n, void *scratch)
{
    const int64_t lanes = (n + VL - 1) / VL * VL; /* all of which will be read */
    E *const z = scratch, *const rows = z + (nx + 1) * lanes, *to = sum;
    int64_t count = 0;
    for (int64_t j = 0; j <= nx; j++) {
        for (int64_t r = 0; r < lanes; r += PL) {
            *(Part *)(z + j * lanes + r) =
                j < nx ? load_aligned((const E *)x + j * x_step + r) - ((const E *)pivot)[j]
                       : (Part){0} + (E)1;
        }
        for (int64_t l = 0; l <= j; l++) {
            E *const row = rows + count * lanes;
            for (int64_t r = 0; r < lanes; r += PL) {
                *(Part *)(row + r) =
                    load_aligned(z + j * lanes + r) * load_aligned(z + l * lanes + r);
            }
            if (++count == TILE_MOMENT_ROWS || l == nx) {
                tile_outer(to, rows, lanes, count, p, p_step, nk, n, 0);
                to += count * nk;
                count = 0;
            }
        }
    }
}

#define TABLE_(dtype, isa) kernel_tile_##dtype##_##isa
#define TABLE(dtype, isa) TABLE_(dtype, isa)
extern const TileKernels TABLE(T, ISA);
const TileKernels TABLE(T, ISA) = {tile_load,    tile_store, tile_map,   tile_squares,
                                   tile_find_spans, tile_finite, tile_outer, tile_sum,
                                   tile_moments, tile_moved};
