/* base/sums.c -- sums of contiguous values, the plainest use of the fixed order */
#include "base/sums.h"

#include <assert.h>

#define CHUNK_AND_MERGE(T, name)                                                                   \
    T sums_chunk_##name(const T *x, int64_t n)                                                     \
    {                                                                                              \
        assert(n <= SUM_CHUNK);                                                                    \
        if (n == 0) {                                                                              \
            return 0;                                                                              \
        }                                                                                          \
        SUMS_START(T, acc, (T)-0.0)                                                                \
        SUMS_ADD(T, acc, n, i, x[i], SUMS_PLUS);                                                   \
        SUMS_FOLD(acc, SUMS_PLUS);                                                                 \
        return acc[0];                                                                             \
    }                                                                                              \
                                                                                                   \
    T sums_merge_##name(T *part, int64_t count)                                                    \
    {                                                                                              \
        if (count == 0) {                                                                          \
            return 0;                                                                              \
        }                                                                                          \
        SUMS_MERGE(part, count, SUMS_PLUS);                                                        \
        return part[0];                                                                            \
    }

CHUNK_AND_MERGE(double, f64)
CHUNK_AND_MERGE(float, f32)
