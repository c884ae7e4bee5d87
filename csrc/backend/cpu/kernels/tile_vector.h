/* backend/cpu/kernels/tile_vector.h -- the vectors of kernels over tiles: 64 bytes whatever the
 * instruction set, so that the order of sums does not depend on it. A text for sources that have
 * variants T and ISA. */
#include <string.h>

/* Contractions may use one rounding for a product and its sum, as BLAS does. All functions that
 * pass vectors are inlined. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#pragma clang diagnostic ignored "-Wpsabi"
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
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

#define INLINE static inline __attribute__((always_inline))

INLINE Vec
load(const E *p)
{
    return *(const Vec *)p;
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
    Vec pairs[4], fours[2];
    for (int k = 0; k < 4; k++) {
        const Vec a = v[2 * k], b = v[2 * k + 1];
        pairs[k] = SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
                   SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int k = 0; k < 2; k++) {
        const Vec a = pairs[2 * k], b = pairs[2 * k + 1];
        fours[k] = SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
                   SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    return SHUFFLE(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11) +
           SHUFFLE(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
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
