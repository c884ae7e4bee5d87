/* backend/cpu/kernels/fft.c -- mixed-radix Fourier transforms with one line in each lane. */
/* variants: T=f32,f64 ISA */
/*
 * Stockham's form: every pass reads one buffer in order and writes the other, so no
 * permutation is needed. Element j of all lanes is two vectors, real parts and imaginary
 * parts. An inverse transform is a forward one with the two exchanged.
 */
#include "backend/cpu/kernels/fft_vector.h"

/* ---- transforms of r elements ---- */

INLINE void
dft2(V *re, V *im, int a, int b)
{
    const V r = re[a] - re[b], i = im[a] - im[b];
    re[a] += re[b];
    im[a] += im[b];
    re[b] = r;
    im[b] = i;
}

/* Of elements a, b, c, d; the results lie at a, c, b, d. */
INLINE void
dft4(V *re, V *im, int a, int b, int c, int d)
{
    dft2(re, im, a, c);
    dft2(re, im, b, d);
    dft2(re, im, a, b);
    const V r = im[d], i = -re[d]; /* times -i */
    re[d] = re[c] - r;
    im[d] = im[c] - i;
    re[c] += r;
    im[c] += i;
}

INLINE void
dft8(V *re, V *im)
{
    const E half = (E)0.70710678118654752440;
    dft4(re, im, 0, 2, 4, 6);
    dft4(re, im, 1, 3, 5, 7); /* results at 1, 5, 3, 7 */
    const V r1 = (re[5] + im[5]) * half, i1 = (im[5] - re[5]) * half;
    const V r2 = im[3], i2 = -re[3];
    const V r3 = (im[7] - re[7]) * half, i3 = -(re[7] + im[7]) * half;
    const V re0 = re[0], re1 = re[4], re2 = re[2], re3 = re[6];
    const V im0 = im[0], im1 = im[4], im2 = im[2], im3 = im[6];
    const V r0 = re[1], i0 = im[1];
    re[0] = re0 + r0, im[0] = im0 + i0, re[4] = re0 - r0, im[4] = im0 - i0;
    re[1] = re1 + r1, im[1] = im1 + i1, re[5] = re1 - r1, im[5] = im1 - i1;
    re[2] = re2 + r2, im[2] = im2 + i2, re[6] = re2 - r2, im[6] = im2 - i2;
    re[3] = re3 + r3, im[3] = im3 + i3, re[7] = re3 - r3, im[7] = im3 - i3;
}

/* Odd r; roots are the cosines and sines of 2 pi j / r. */
INLINE void
dft_odd(const int r, V *re, V *im, const E *roots)
{
    const int half = r / 2;
    V sum_r = re[0], sum_i = im[0];
    UNROLL
    for (int j = 1; j <= half; j++) {
        dft2(re, im, j, r - j); /* sums at j, differences at r - j */
        sum_r += re[j];
        sum_i += im[j];
    }
    V ar[FFT_MAX_RADIX / 2], ai[FFT_MAX_RADIX / 2], br[FFT_MAX_RADIX / 2], bi[FFT_MAX_RADIX / 2];
    UNROLL
    for (int k = 1; k <= half; k++) {
        V cr = re[0], ci = im[0], sr = {0}, si = {0};
        UNROLL
        for (int j = 1; j <= half; j++) {
            const E c = roots[2 * (j * k % r)], s = roots[2 * (j * k % r) + 1];
            cr += re[j] * c;
            ci += im[j] * c;
            sr += re[r - j] * s;
            si += im[r - j] * s;
        }
        ar[k - 1] = cr, ai[k - 1] = ci, br[k - 1] = sr, bi[k - 1] = si;
    }
    re[0] = sum_r;
    im[0] = sum_i;
    UNROLL
    for (int k = 1; k <= half; k++) {
        re[k] = ar[k - 1] + bi[k - 1], im[k] = ai[k - 1] - br[k - 1];
        re[r - k] = ar[k - 1] - bi[k - 1], im[r - k] = ai[k - 1] + br[k - 1];
    }
}

/* ---- passes ---- */

/* The columns q < s of one p: radix r over elements m * s apart, to elements s apart. */
INLINE void
columns(const int r, const bool twist, const V *restrict x, V *restrict y, const E *w,
        const E *roots, int64_t apart, int64_t s)
{
    for (int64_t q = 0; q < s; q++) {
        V re[FFT_MAX_RADIX], im[FFT_MAX_RADIX];
        UNROLL
        for (int k = 0; k < r; k++) {
            re[k] = x[2 * (q + apart * k)];
            im[k] = x[2 * (q + apart * k) + 1];
        }
        if (r == 2) {
            dft2(re, im, 0, 1);
        } else if (r == 4) {
            dft4(re, im, 0, 1, 2, 3);
            const V tr = re[1], ti = im[1];
            re[1] = re[2], im[1] = im[2], re[2] = tr, im[2] = ti;
        } else if (r == 8) {
            dft8(re, im);
        } else {
            dft_odd(r, re, im, roots);
        }
        y[2 * q] = re[0];
        y[2 * q + 1] = im[0];
        UNROLL
        for (int k = 1; k < r; k++) {
            V *const to = y + 2 * (q + s * k);
            const E c = w[2 * k - 2], d = w[2 * k - 1];
            to[0] = twist ? re[k] * c - im[k] * d : re[k];
            to[1] = twist ? re[k] * d + im[k] * c : im[k];
        }
    }
}

INLINE void
pass(const int r, const V *x, V *y, const E *w, int64_t m, int64_t s)
{
    const E *const roots = w;
    w += r % 2 ? 2 * r : 0;
    columns(r, false, x, y, w, roots, m * s, s);
    for (int64_t p = 1; p < m; p++) {
        w += 2 * (r - 1);
        columns(r, true, x + 2 * s * p, y + 2 * s * r * p, w, roots, m * s, s);
    }
}

#define PASS(r)                                                                                    \
    static void pass##r(const V *x, V *y, const E *w, int64_t m, int64_t s)                        \
    {                                                                                              \
        pass(r, x, y, w, m, s);                                                                    \
    }
PASS(2)
PASS(3)
PASS(4)
PASS(5)
PASS(7)
PASS(8)
PASS(11)
PASS(13)

typedef void (*Pass)(const V *x, V *y, const E *w, int64_t m, int64_t s);
static const Pass passes[] = {
    [2] = pass2, [3] = pass3, [4] = pass4,   [5] = pass5,
    [7] = pass7, [8] = pass8, [11] = pass11, [13] = pass13,
};

/* The transform of x, in x or y. */
static V *
transform(const FftPass *p, V *x, V *y)
{
    const E *w = p->twiddles;
    int64_t s = 1, m = p->points;
    for (int i = 0; i < p->nfactors; i++) {
        const int r = p->factors[i];
        m /= r;
        passes[r](x, y, w, m, s);
        w += (r % 2 ? 2 * r : 0) + 2 * (r - 1) * m;
        s *= r;
        V *const t = x;
        x = y;
        y = t;
    }
    return x;
}

/* The products x w, parts exchanged, are put into sum, or added to it. */
INLINE void
multiply_add(V *restrict sum, const V *restrict x, const E *w, int64_t n, const bool add)
{
    for (int64_t j = 0; j < n; j++) {
        const V re = x[2 * j], im = x[2 * j + 1];
        const V r = re * w[2 * j] - im * w[2 * j + 1], i = re * w[2 * j + 1] + im * w[2 * j];
        sum[2 * j] = add ? sum[2 * j] + i : i;
        sum[2 * j + 1] = add ? sum[2 * j + 1] + r : r;
    }
}

/* The spectrum of the block of what is given from element j on. */
static V *
chirp_block(const FftPass *p, const FftLines *lines, int64_t j, V *x, V *y)
{
    const int64_t n = p->count - j < p->in_block ? p->count - j : p->in_block;
    load(x, lines, j * p->in_stride, p->in_stride, n, p->inverse);
    multiply(x, (const E *)p->chirp[0] + 2 * j, n, 0);
    memset(x + 2 * n, 0, (size_t)(p->points - n) * 2 * sizeof(V));
    return transform(p, x, y);
}

/* Bluestein: j k = (j^2 + k^2 - (k - j)^2) / 2 makes a convolution of the transform. Blocks of
 * what is given add up to one result; one block that is given has several blocks of results. */
static void
run_chirp(const FftPass *p, const FftLines *lines, V *x, V *y)
{
    V *const sum = y + 2 * p->points, *z = x;
    const E *w = p->chirp[1];
    int64_t j = 0;
    do { /* once also when nothing is given */
        z = chirp_block(p, lines, j, x, y);
        if (j == 0) {
            multiply_add(sum, z, w, p->points, false);
        } else {
            multiply_add(sum, z, w, p->points, true);
        }
        w += 2 * p->points;
        j += p->in_block;
    } while (j < p->count);
    for (int64_t k = 0; k < p->keep; k += p->out_block, w += 2 * p->points) {
        const int64_t n = p->keep - k < p->out_block ? p->keep - k : p->out_block;
        if (k > 0) {
            multiply_add(sum, z, w - 2 * p->points, p->points, false);
        }
        V *const result = transform(p, sum, z == x ? y : x);
        multiply(result, (const E *)p->chirp[2] + 2 * k, n, 1);
        store(result, lines, k * p->out_stride, p->out_stride, n, p->inverse, (E)p->scale);
    }
}

static void
run_direct(const FftPass *p, const FftLines *lines, V *x, V *y)
{
    const int swap = p->inverse;
    const int64_t n = p->n, last = n - p->first, before = p->count < last ? p->count : last;
    const int64_t start = before < p->count ? p->count - before : 0; /* of the first gap */
    load(x + 2 * p->first, lines, 0, p->in_stride, before, swap);
    load(x, lines, before * p->in_stride, p->in_stride, p->count - before, swap);
    memset(x + 2 * start, 0, (size_t)(p->first - start) * 2 * sizeof(V));
    memset(x + 2 * (p->first + before), 0, (size_t)(last - before) * 2 * sizeof(V));
    const V *const z = transform(p, x, y);
    const int64_t rest = n - p->out_first, kept = p->keep < rest ? p->keep : rest;
    store(z + 2 * p->out_first, lines, 0, p->out_stride, kept, swap, (E)p->scale);
    store(z, lines, kept * p->out_stride, p->out_stride, p->keep - kept, swap, (E)p->scale);
}

void PASTE(fft_narrow, T, ISA)(const FftPass *p, const FftLines *lines, void *scratch);

static void
run(const FftPass *p, const FftLines *lines, void *scratch)
{
    V *const x = scratch;
    if (p->narrow != NULL) {
        PASTE(fft_narrow, T, ISA)(p, lines, scratch);
    } else {
        (p->chirp[0] != NULL ? run_chirp : run_direct)(p, lines, x, x + 2 * p->points);
    }
}

const FftKernel PASTE(kernel_fft, T, ISA) = {LANES, 2 * BYTES, run};
