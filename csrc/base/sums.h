/*
 * base/sums.h -- the one order in which numbers are added
 *
 * Every sum of the project, whoever computes it, adds in this order, so that its bits
 * depend on the number of elements alone. n elements fall into chunks of SUM_CHUNK.
 * Inside a chunk, element i goes to accumulator i % SUM_WIDTH, in increasing i, starting
 * from the operation's neutral element (-0.0 for floating sums: x + -0.0 is x for every x,
 * so a sum of negative zeros stays one, as in NumPy; a sum of no elements is +0.0); then
 * accumulators are folded in halves: a[k] += a[k + w] for w = 16, 8, 4, 2, 1. Chunks' sums merge as a binary tree (sums_merge): at each level neighbours 2k
 * and 2k + 1 are added, an odd last one moves up unchanged.
 *
 * SUM_WIDTH is SUM_UNROLL vectors of SUM_LANES; loops over blocks of SUM_BLOCK elements
 * carry the accumulators from block to block.
 */
#ifndef BASE_SUMS_H
#define BASE_SUMS_H

#include <stdint.h>

enum {
    SUM_LANES = 8,
    SUM_UNROLL = 4,
    SUM_WIDTH = SUM_LANES * SUM_UNROLL,
    SUM_BLOCK = 512,
    SUM_CHUNK = 16384,
};

/* Chunks of n elements. */
static inline int64_t
sums_chunks(int64_t n)
{
    return (n + SUM_CHUNK - 1) / SUM_CHUNK;
}

/*
 * The macros below make loops for any type, operation and element expression; compilers
 * vectorise the inner loop because its trip count is fixed and lanes are independent.
 *
 * SUMS_START(T, acc, neutral)           T acc[SUM_WIDTH], all `neutral`
 * SUMS_ADD(T, acc, n, i, VALUE, JOIN)   acc[i % 32] = JOIN(acc[i % 32], VALUE) for i in
 *                                       [0, n); VALUE may use i. Only the last call of a
 *                                       chunk may have an n that is no multiple of 32.
 * SUMS_FOLD(acc, JOIN)                  the tree; the result is acc[0]
 */
#define SUMS_START(T, acc, neutral)                                                                \
    T acc[SUM_WIDTH];                                                                              \
    for (int sums_k = 0; sums_k < SUM_WIDTH; sums_k++) {                                           \
        acc[sums_k] = (neutral);                                                                   \
    }

#define SUMS_ADD(T, acc, n, i, VALUE, JOIN)                                                        \
    do {                                                                                           \
        const int64_t sums_n = (n);                                                                \
        const int64_t sums_whole = sums_n - sums_n % SUM_WIDTH;                                    \
        T sums_a[SUM_WIDTH];                                                                       \
        for (int sums_k = 0; sums_k < SUM_WIDTH; sums_k++) {                                       \
            sums_a[sums_k] = (acc)[sums_k];                                                        \
        }                                                                                          \
        for (int64_t sums_i = 0; sums_i < sums_whole; sums_i += SUM_WIDTH) {                       \
            for (int sums_k = 0; sums_k < SUM_WIDTH; sums_k++) {                                   \
                const int64_t i = sums_i + sums_k;                                                 \
                const T sums_v = (VALUE);                                                          \
                sums_a[sums_k] = JOIN(sums_a[sums_k], sums_v);                                     \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = sums_whole; i < sums_n; i++) {                                            \
            const T sums_v = (VALUE);                                                              \
            sums_a[i - sums_whole] = JOIN(sums_a[i - sums_whole], sums_v);                         \
        }                                                                                          \
        for (int sums_k = 0; sums_k < SUM_WIDTH; sums_k++) {                                       \
            (acc)[sums_k] = sums_a[sums_k];                                                        \
        }                                                                                          \
    } while (0)

#define SUMS_FOLD(acc, JOIN)                                                                       \
    do {                                                                                           \
        for (int sums_w = SUM_WIDTH / 2; sums_w > 0; sums_w /= 2) {                                \
            for (int sums_k = 0; sums_k < sums_w; sums_k++) {                                      \
                (acc)[sums_k] = JOIN((acc)[sums_k], (acc)[sums_k + sums_w]);                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Merge chunk results part[0 .. count) into part[0], as a tree; count >= 1. */
#define SUMS_MERGE(part, count, JOIN)                                                              \
    do {                                                                                           \
        for (int64_t sums_c = (count); sums_c > 1; sums_c = (sums_c + 1) / 2) {                    \
            for (int64_t sums_k = 0; sums_k < sums_c / 2; sums_k++) {                              \
                (part)[sums_k] = JOIN((part)[2 * sums_k], (part)[2 * sums_k + 1]);                 \
            }                                                                                      \
            if (sums_c % 2 == 1) {                                                                 \
                (part)[sums_c / 2] = (part)[sums_c - 1];                                           \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define SUMS_PLUS(a, b) ((a) + (b))

/* The sum of n contiguous values, n <= SUM_CHUNK, and of any n, by one thread. */
double sums_chunk_f64(const double *x, int64_t n);
float sums_chunk_f32(const float *x, int64_t n);

/* Merge chunks' sums in the fixed tree; overwrites part. 0 for count = 0. */
double sums_merge_f64(double *part, int64_t count);
float sums_merge_f32(float *part, int64_t count);

#endif
