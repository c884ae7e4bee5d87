/* backend/cpu/kernels/fft.h -- Fourier transforms of several lines side by side, one a lane. */
#ifndef PYARR_BACKEND_CPU_KERNELS_FFT_H
#define PYARR_BACKEND_CPU_KERNELS_FFT_H

#include "array/dtype.h"

enum { FFT_MAX_FACTORS = 40, FFT_MAX_RADIX = 13, FFT_NARROW_ROWS = 8 };

/*
 * Tables of a transform by matrices: factors of what is given and of what is wanted; for
 * differences and for sums of opposite elements a matrix left right, where left has `rank`
 * columns, or left alone where rank is 0. Matrices lie in blocks of rows, blocks[..][column][row].
 */
typedef struct FftNarrow {
    const void *before, *after;
    const void *left[2], *right[2];
    int64_t rank[2], most_rank;
} FftNarrow;

/* Rows are cut into as few blocks as there can be, of sizes as equal as they can be. */
static inline int64_t
fft_narrow_blocks(int64_t rows)
{
    return (rows + FFT_NARROW_ROWS - 1) / FFT_NARROW_ROWS;
}

static inline int64_t
fft_narrow_block(int64_t rows, int64_t block)
{
    const int64_t blocks = fft_narrow_blocks(rows);
    return rows / blocks + (block < rows % blocks ? 1 : 0);
}

/*
 * How every line is transformed: elements [first, first + count) of n, cyclically, are given,
 * the others are zero; elements [out_first, out_first + keep) of the result are wanted.
 * Strides are bytes from one complex element to the next; tables hold pairs of the kernel's
 * type.
 */
typedef struct FftPass {
    int64_t n, first, count, out_first, keep;
    int64_t in_stride, out_stride;
    bool inverse; /* exp(+2 pi i j k / n), else exp(-...) */
    double scale;
    int64_t points; /* of the passes: n, or those of a chirp transform; 0: there are none */
    int nfactors;
    const uint8_t *factors; /* of points: 2, 3, 4, 5, 7, 8, 11, 13 */
    /* For each factor r of what is left, m * r: an odd r has its r roots (cosine, sine); then
     * the factors w^(p k) for p < m and 0 < k < r. */
    const void *twiddles;
    /* A chirp transform (Bluestein) takes what is given, or what is wanted, in blocks of so many
     * elements: one of both is one block. It multiplies what is given, each block's spectrum, and
     * what is wanted, by `count`, `points` for each block, and `keep` factors; NULL for none. */
    int64_t in_block, out_block;
    const void *chirp[3];
    const FftNarrow *narrow; /* or NULL */
    int64_t room;            /* of the scratch, in units of FftKernel.scratch bytes */
} FftPass;

/* Up to so many lines as the kernel has lanes, `step` bytes apart. */
typedef struct FftLines {
    const char *in;
    char *out;
    int64_t in_step, out_step;
    int count;
} FftLines;

typedef struct FftKernel {
    int lanes;   /* lines that are worked on side by side */
    int scratch; /* bytes of an element of all lanes */
    /* The lines may be read from where they are written to. */
    void (*run)(const FftPass *pass, const FftLines *lines, void *scratch);
} FftKernel;

/* Of this machine, for f32 or f64. */
const FftKernel *cpu_fft_kernel(DType real);

#endif
