/* backend/cpu/kernels/tile_vector.h -- the vectors of kernels over tiles: 64 bytes whatever the
 * instruction set, so that the order of sums does not depend on it, in parts that registers hold.
 * A text for sources that have variants T and ISA. */
#include <string.h>

#include "backend/cpu/kernels/contract.h"

/* All functions that pass vectors are inlined. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpsabi"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#define TYPE_f32 float
#define TYPE_f64 double
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef JOIN(TYPE_, T) E;

enum { VL = 64 / sizeof(E) };
typedef E Vec __attribute__((vector_size(64)));
typedef E VecUnaligned __attribute__((vector_size(64), aligned(1), may_alias));

/* A vector in registers of this machine: compilers keep longer ones in memory. */
#if defined(__AVX512F__)
#define PART_BYTES 64
#elif defined(__AVX__)
#define PART_BYTES 32
#else
#define PART_BYTES 16
#endif
enum { PARTS = 64 / PART_BYTES, PL = PART_BYTES / sizeof(E) };
typedef E Part __attribute__((vector_size(PART_BYTES)));
typedef E PartUnaligned __attribute__((vector_size(PART_BYTES), aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))
/* Loops over registers, which compilers else keep in memory. */
#define UNROLL _Pragma("GCC unroll 32")

INLINE Vec
load(const E *p)
{
    return *(const Vec *)p;
}

INLINE Part
load_aligned(const E *p)
{
    return *(const Part *)p;
}

INLINE Part
load_part_unaligned(const E *p)
{
    return *(const PartUnaligned *)p;
}

INLINE Vec
load_unaligned(const void *p)
{
    return *(const VecUnaligned *)p;
}

/* ---- sums of lanes: lane k of the result is the sum of the lanes of v[k] ---- */

#define IS_f32 0
#define IS_f64 1
#if JOIN(IS_, T)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
INLINE Vec
fold_lanes(const Vec *v)
{
    Vec pairs[4], fours[2]; /* one of both operands has its lanes in place, which is cheaper */
    UNROLL
    for (int k = 0; k < 4; k++) {
        const Vec a = v[2 * k], b = v[2 * k + 1];
        pairs[k] = SHUFFLE(a, b, 0, 9, 2, 11, 4, 13, 6, 15) +
                   SHUFFLE(a, b, 1, 8, 3, 10, 5, 12, 7, 14);
    }
    UNROLL
    for (int k = 0; k < 2; k++) {
        const Vec a = pairs[2 * k], b = pairs[2 * k + 1];
        fours[k] = SHUFFLE(a, b, 0, 1, 10, 11, 4, 5, 14, 15) +
                   SHUFFLE(a, b, 2, 3, 8, 9, 6, 7, 12, 13);
    }
    return SHUFFLE(fours[0], fours[1], 0, 1, 2, 3, 12, 13, 14, 15) +
           SHUFFLE(fours[0], fours[1], 4, 5, 6, 7, 8, 9, 10, 11);
}
#else
INLINE Vec
fold_lanes(const Vec *v)
{
    Vec out;
    for (int k = 0; k < VL; k++) {
        E a[VL];
        memcpy(a, &v[k], sizeof a);
        for (int w = VL / 2; w > 0; w /= 2) {
            for (int i = 0; i < w; i++) {
                a[i] += a[i + w];
            }
        }
        out[k] = a[0];
    }
    return out;
}
#endif

/* The sums of the lanes of each row, in the order of fold_lanes on all machines. */
INLINE void
fold_rows(E *out, Part (*sums)[PARTS])
{
#if PART_BYTES == 64
    Vec rows[VL];
    UNROLL
    for (int k = 0; k < VL; k++) {
        rows[k] = sums[k][0];
    }
    *(Vec *)out = fold_lanes(rows);
#elif PART_BYTES == 32 && JOIN(IS_, T)
    for (int k = 0; k < VL; k += 4) {
        Part half[2];
        for (int h = 0; h < 2; h++) {
            const Part a = sums[k][h], b = sums[k + 1][h], c = sums[k + 2][h], d = sums[k + 3][h];
            const Part ab = SHUFFLE(a, b, 0, 4, 2, 6) + SHUFFLE(a, b, 1, 5, 3, 7);
            const Part cd = SHUFFLE(c, d, 0, 4, 2, 6) + SHUFFLE(c, d, 1, 5, 3, 7);
            half[h] = SHUFFLE(ab, cd, 0, 1, 4, 5) + SHUFFLE(ab, cd, 2, 3, 6, 7);
        }
        *(PartUnaligned *)(out + k) = half[0] + half[1];
    }
#elif JOIN(IS_, T)
    for (int k = 0; k < VL; k += 2) {
        Part pairs[4];
        for (int h = 0; h < 4; h++) {
            const Part a = sums[k][h], b = sums[k + 1][h];
            pairs[h] = SHUFFLE(a, b, 0, 2) + SHUFFLE(a, b, 1, 3);
        }
        *(PartUnaligned *)(out + k) = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]);
    }
#else
    for (int k = 0; k < VL; k++) {
        for (int parts = PARTS / 2; parts > 0; parts /= 2) {
            for (int h = 0; h < parts; h++) {
                sums[k][h] += sums[k][h + parts];
            }
        }
        E a[PL];
        memcpy(a, &sums[k][0], sizeof a);
        for (int w = PL / 2; w > 0; w /= 2) {
            for (int i = 0; i < w; i++) {
                a[i] += a[i + w];
            }
        }
        out[k] = a[0];
    }
#endif
}
