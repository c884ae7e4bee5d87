/* backend/cpu/order.c -- stable sorting of keys: insertion for a few, merges for some, radix
 * for many. Keys are unsigned, so equal ones need no care beyond stability. */
#include "backend/cpu/order.h"

#include "base/pool.h"

#include <string.h>

enum { RUN = 16, MERGE_MOST = 700, DIGITS = 256 };

#define LESS_KEY(a, b) ((a) < (b))
#define LESS_PAIR(a, b) ((a).key < (b).key)
#define LESS_COMPLEX(a, b) ((a).key < (b).key || ((a).key == (b).key && (a).second < (b).second))

/* At multiples of ORDER_STRETCH, when there is more than that to do. */
static inline bool
is_time_to_poll(int64_t i, int64_t n)
{
    return n > ORDER_STRETCH && i % ORDER_STRETCH == 0;
}

/* Runs of RUN by insertion, then merges between the two blocks without branches on keys. */
#define MERGE_SORT(name, T, LESS)                                                                  \
    static void insert_##name(T *a, int64_t n)                                                     \
    {                                                                                              \
        for (int64_t i = 1; i < n; i++) {                                                          \
            const T x = a[i];                                                                      \
            int64_t j = i;                                                                         \
            for (; j > 0 && LESS(x, a[j - 1]); j--) {                                              \
                a[j] = a[j - 1];                                                                   \
            }                                                                                      \
            a[j] = x;                                                                              \
        }                                                                                          \
    }                                                                                              \
    static void merge_pair_##name(T *out, const T *a, const T *a_end, const T *b, const T *b_end)  \
    {                                                                                              \
        while (a < a_end && b < b_end) {                                                           \
            if (b_end - b > ORDER_STRETCH && pool_interrupted()) {                                 \
                return;                                                                            \
            }                                                                                      \
            for (int64_t i = 0; i < ORDER_STRETCH && a < a_end && b < b_end; i++) {                \
                const int second = LESS(*b, *a);                                                   \
                *out++ = second ? *b : *a;                                                         \
                b += second;                                                                       \
                a += !second;                                                                      \
            }                                                                                      \
        }                                                                                          \
        memcpy(out, a, (size_t)(a_end - a) * sizeof(T));                                           \
        memcpy(out + (a_end - a), b, (size_t)(b_end - b) * sizeof(T));                             \
    }                                                                                              \
    static void merge_##name(T *a, T *scratch, int64_t n)                                          \
    {                                                                                              \
        T *from = a, *to = scratch;                                                                \
        for (int64_t i = 0; i < n; i += RUN) {                                                     \
            if (is_time_to_poll(i, n) && pool_interrupted()) {                                     \
                return;                                                                            \
            }                                                                                      \
            insert_##name(a + i, n - i < RUN ? n - i : RUN);                                       \
        }                                                                                          \
        for (int64_t width = RUN; width < n; width *= 2) {                                         \
            for (int64_t i = 0; i < n; i += 2 * width) {                                           \
                if (is_time_to_poll(i, n) && pool_interrupted()) {                                 \
                    return;                                                                        \
                }                                                                                  \
                const int64_t middle = i + width < n ? i + width : n;                              \
                const int64_t end = i + 2 * width < n ? i + 2 * width : n;                         \
                merge_pair_##name(to + i, from + i, from + middle, from + middle, from + end);     \
            }                                                                                      \
            T *const swap = from;                                                                  \
            from = to;                                                                             \
            to = swap;                                                                             \
        }                                                                                          \
        if (from != a) {                                                                           \
            memcpy(a, from, (size_t)n * sizeof(T));                                                \
        }                                                                                          \
    }

/* One pass per byte, lowest first; all histograms from one reading; a byte in which all keys
 * agree needs no pass. */
#define RADIX_SORT(name, T, KEY)                                                                   \
    static void radix_##name(T *a, T *scratch, int64_t n, int bytes)                               \
    {                                                                                              \
        int64_t counts[8][DIGITS];                                                                 \
        T *from = a, *to = scratch;                                                                \
        memset(counts, 0, (size_t)bytes * sizeof counts[0]);                                       \
        for (int64_t begin = 0; begin < n; begin += ORDER_STRETCH) {                               \
            if (pool_interrupted()) {                                                              \
                return;                                                                            \
            }                                                                                      \
            const int64_t end = n - begin < ORDER_STRETCH ? n : begin + ORDER_STRETCH;             \
            for (int64_t i = begin; i < end; i++) {                                                \
                const uint64_t key = KEY(a[i]);                                                    \
                for (int byte = 0; byte < bytes; byte++) {                                         \
                    counts[byte][key >> (8 * byte) & 255]++;                                       \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (int byte = 0; byte < bytes; byte++) {                                                 \
            int64_t *at = counts[byte];                                                            \
            const int shift = 8 * byte;                                                            \
            if (at[(uint64_t)KEY(from[0]) >> shift & 255] == n) {                                  \
                continue;                                                                          \
            }                                                                                      \
            int64_t sum = 0;                                                                       \
            for (int digit = 0; digit < DIGITS; digit++) {                                         \
                const int64_t count = at[digit];                                                   \
                at[digit] = sum;                                                                   \
                sum += count;                                                                      \
            }                                                                                      \
            for (int64_t begin = 0; begin < n; begin += ORDER_STRETCH) {                           \
                if (pool_interrupted()) {                                                          \
                    return;                                                                        \
                }                                                                                  \
                const int64_t end = n - begin < ORDER_STRETCH ? n : begin + ORDER_STRETCH;         \
                for (int64_t i = begin; i < end; i++) {                                            \
                    to[at[(uint64_t)KEY(from[i]) >> shift & 255]++] = from[i];                     \
                }                                                                                  \
            }                                                                                      \
            T *const swap = from;                                                                  \
            from = to;                                                                             \
            to = swap;                                                                             \
        }                                                                                          \
        if (from != a) {                                                                           \
            memcpy(a, from, (size_t)n * sizeof(T));                                                \
        }                                                                                          \
    }

#define SELF(x) (x)
#define KEY_OF(x) ((x).key)

#define SORTER(name, T, LESS, KEY)                                                                 \
    MERGE_SORT(name, T, LESS)                                                                      \
    RADIX_SORT(name, T, KEY)                                                                       \
    void order_##name(T *a, T *scratch, int64_t n, int bytes)                                      \
    {                                                                                              \
        if (n <= RUN) {                                                                            \
            insert_##name(a, n);                                                                   \
        } else if (n <= MERGE_MOST / 8 * bytes) {                                                  \
            merge_##name(a, scratch, n);                                                           \
        } else {                                                                                   \
            radix_##name(a, scratch, n, bytes);                                                    \
        }                                                                                          \
    }

SORTER(keys32, uint32_t, LESS_KEY, SELF)
SORTER(keys64, uint64_t, LESS_KEY, SELF)
SORTER(pairs32, Pair32, LESS_PAIR, KEY_OF)
SORTER(pairs64, Pair64, LESS_PAIR, KEY_OF)
MERGE_SORT(complex, PairComplex, LESS_COMPLEX)

void
order_complex(PairComplex *pairs, PairComplex *scratch, int64_t n, int bytes)
{
    (void)bytes;
    merge_complex(pairs, scratch, n);
}
