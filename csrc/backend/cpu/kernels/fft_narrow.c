/* backend/cpu/kernels/fft_narrow.c -- few elements of a long transform by small real matrices. */
/* variants: T=f32,f64 ISA */
/*
 * Counted from the middles of what is given and of what is wanted, cosines multiply the sums of
 * opposite elements, and sines the differences: matrices of half the rows and columns. Where n is
 * long, they are products of two thin ones. Sums lie where the later of two elements lay, and
 * differences where the earlier did, so that both are next to each other in memory.
 */
#include "backend/cpu/kernels/fft_vector.h"

/* Rows of a matrix that are multiplied at a time: as many as registers hold sums of. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ROWS = FFT_NARROW_ROWS };
#else
enum { ROWS = FFT_NARROW_ROWS / 2 };
#endif

enum { DEPTH = 64 }; /* columns that are added up by themselves: less is rounded, x stays near */

/* y[i] = sum_j m[j * step + i] x[j], or added to it. */
INLINE void
multiply_rows(const int rows, V *restrict y, const E *m, int64_t step, const V *restrict x,
              int64_t depth, bool add)
{
    V re[ROWS], im[ROWS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        re[i] = im[i] = (V){0};
    }
    for (int64_t j = 0; j < depth; j++) {
        const V r = x[2 * j], s = x[2 * j + 1];
        UNROLL
        for (int i = 0; i < rows; i++) {
            const E c = m[j * step + i];
            re[i] += r * c;
            im[i] += s * c;
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        y[2 * i] = add ? y[2 * i] + re[i] : re[i];
        y[2 * i + 1] = add ? y[2 * i + 1] + im[i] : im[i];
    }
}

/* y = m x for a block of rows of m, or added to it. */
INLINE void
multiply_block(V *restrict y, const E *m, int64_t size, const V *restrict x, int64_t depth,
               bool add)
{
    for (int64_t i = 0; i < size;) {
        switch (size - i) {
#define CASE(k)                                                                                    \
    case k:                                                                                        \
        multiply_rows(k, y + 2 * i, m + i, size, x, depth, add);                                   \
        i += k;                                                                                    \
        break;
            CASE(1)
            CASE(2)
            CASE(3)
#if defined(__AVX512F__) || defined(__aarch64__)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
#endif
#undef CASE
        default:
            multiply_rows(ROWS, y + 2 * i, m + i, size, x, depth, add);
            i += ROWS;
        }
    }
}

/* y = m x, the rows of m in blocks: see FftNarrow. */
static void
multiply_matrix(V *restrict y, const E *m, int64_t rows, int64_t depth, const V *restrict x)
{
    for (int64_t j = 0; j == 0 || j < depth; j += DEPTH) { /* zeros without columns */
        const int64_t count = depth - j < DEPTH ? depth - j : DEPTH;
        const E *block = m;
        V *to = y;
        for (int64_t b = 0, blocks = fft_narrow_blocks(rows); b < blocks; b++) {
            const int64_t size = fft_narrow_block(rows, b);
            multiply_block(to, block + j * size, size, x + 2 * j, count, j > 0);
            block += size * depth;
            to += 2 * size;
        }
    }
}

/* Products with w, then sums and differences of opposite elements, in place. */
static void
fold(V *x, const E *w, int64_t n)
{
    const int64_t half = n / 2;
    multiply(x + 2 * half, w + 2 * half, n % 2, 0);
    for (int64_t i = 0; i < half; i++) {
        V *const low = x + 2 * i, *const high = x + 2 * (n - 1 - i);
        multiply(low, w + 2 * i, 1, 0);
        multiply(high, w + 2 * (n - 1 - i), 1, 0);
        for (int part = 0; part < 2; part++) {
            const V sum = high[part] + low[part];
            low[part] = high[part] - low[part];
            high[part] = sum;
        }
    }
}

/* From cosine parts a and sine parts b to a - i b and a + i b, times w. */
static void
unfold(V *x, const E *w, int64_t n)
{
    const int64_t half = n / 2;
    multiply(x + 2 * half, w + 2 * half, n % 2, 0);
    for (int64_t i = 0; i < half; i++) {
        V *const low = x + 2 * i, *const high = x + 2 * (n - 1 - i);
        const V ar = high[0], ai = high[1], br = low[0], bi = low[1];
        high[0] = ar + bi;
        high[1] = ai - br;
        low[0] = ar - bi;
        low[1] = ai + br;
        multiply(low, w + 2 * i, 1, 0);
        multiply(high, w + 2 * (n - 1 - i), 1, 0);
    }
}

void PASTE(fft_narrow, T, ISA)(const FftPass *p, const FftLines *lines, void *scratch);

void
PASTE(fft_narrow, T, ISA)(const FftPass *p, const FftLines *lines, void *scratch)
{
    const FftNarrow *const narrow = p->narrow;
    const int64_t in[2] = {p->count / 2, p->count - p->count / 2}; /* differences, sums */
    const int64_t out[2] = {p->keep / 2, p->keep - p->keep / 2};
    V *const x = scratch, *const middle = x + 2 * p->count;
    V *const y = middle + 2 * narrow->most_rank;
    load(x, lines, 0, p->in_stride, p->count, p->inverse);
    fold(x, narrow->before, p->count);
    for (int k = 0; k < 2; k++) {
        const V *const from = x + (k == 0 ? 0 : 2 * in[0]);
        V *const to = y + (k == 0 ? 0 : 2 * out[0]);
        const int64_t rank = narrow->rank[k];
        if (rank == 0) {
            multiply_matrix(to, narrow->left[k], out[k], in[k], from);
        } else {
            multiply_matrix(middle, narrow->right[k], rank, in[k], from);
            multiply_matrix(to, narrow->left[k], out[k], rank, middle);
        }
    }
    unfold(y, narrow->after, p->keep);
    store(y, lines, 0, p->out_stride, p->keep, p->inverse, (E)p->scale);
}
