/* backend/cpu/kernels/reduce.c -- sums, products, extremes and scans of each dtype. */
/* variants: KT=b8,i8,i16,i32,i64,u8,u16,u32,u64,f32,f64,c64,c128 ISA */
#include "backend/cpu/kernels/reduce.h"

#include "backend/cpu/kernels/kernel.h"
#include "ops/complex.h"

#define T KT

/* E is an element, P its part: sums of complex numbers are sums of their parts side by side.
 * SUMMED says that the dtype is one that sums are taken in. */
#define E_b8 uint8_t
#define E_i8 int8_t
#define E_i16 int16_t
#define E_i32 int32_t
#define E_i64 int64_t
#define E_u8 uint8_t
#define E_u16 uint16_t
#define E_u32 uint32_t
#define E_u64 uint64_t
#define E_f32 float
#define E_f64 double
#define E_c64 value_c64
#define E_c128 value_c128
#define P_b8 uint8_t
#define P_i8 int8_t
#define P_i16 int16_t
#define P_i32 int32_t
#define P_i64 uint64_t /* sums and products wrap */
#define P_u8 uint8_t
#define P_u16 uint16_t
#define P_u32 uint32_t
#define P_u64 uint64_t
#define P_f32 float
#define P_f64 double
#define P_c64 float
#define P_c128 double

#define SUMMED_b8 0
#define SUMMED_i8 0
#define SUMMED_i16 0
#define SUMMED_i32 0
#define SUMMED_i64 1
#define SUMMED_u8 0
#define SUMMED_u16 0
#define SUMMED_u32 0
#define SUMMED_u64 1
#define SUMMED_f32 1
#define SUMMED_f64 1
#define SUMMED_c64 2
#define SUMMED_c128 2
#define FLOATING_b8 0
#define FLOATING_i8 0
#define FLOATING_i16 0
#define FLOATING_i32 0
#define FLOATING_i64 0
#define FLOATING_u8 0
#define FLOATING_u16 0
#define FLOATING_u32 0
#define FLOATING_u64 0
#define FLOATING_f32 1
#define FLOATING_f64 1
#define FLOATING_c64 1
#define FLOATING_c128 1

typedef PASTE(E, KT) E;
typedef PASTE(P, KT) P;

#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define COMPLEX_TIMES(a, b) PASTE(mul, KT)(a, b)
#define SUMMED PASTE(SUMMED, KT)
#define FLOATING PASTE(FLOATING, KT)
#if FLOATING && SUMMED == 1
/* The accumulator a keeps a NaN that it has, and takes that of b: one comparison less than
 * the symmetric minimum and maximum. */
SCALAR E
lesser(E a, E b)
{
    const E least = b < a ? b : a;
    return b != b ? b : least;
}

SCALAR E
greater(E a, E b)
{
    const E most = b > a ? b : a;
    return b != b ? b : most;
}
#define LESSER(a, b) lesser(a, b)
#define GREATER(a, b) greater(a, b)
#elif FLOATING
#define LESSER(a, b) PASTE(minimum, KT)(a, b)
#define GREATER(a, b) PASTE(maximum, KT)(a, b)
#else
#define LESSER(a, b) ((a) < (b) ? (a) : (b))
#define GREATER(a, b) ((a) > (b) ? (a) : (b))
#endif

/* Values into the accumulators: element i goes to number i % SUM_WIDTH. */
#define ADD_LOOP(L, parts, JOIN, VALUE)                                                            \
    do {                                                                                           \
        enum { WIDTH = SUM_WIDTH * (parts) };                                                      \
        L *const to = acc;                                                                         \
        const int64_t total = n * (parts), whole = total - total % WIDTH;                          \
        L a[WIDTH];                                                                                \
        for (int k = 0; k < WIDTH; k++) {                                                          \
            a[k] = to[k];                                                                          \
        }                                                                                          \
        for (int64_t i = 0; i < whole; i += WIDTH) {                                               \
            for (int k = 0; k < WIDTH; k++) {                                                      \
                a[k] = JOIN(a[k], VALUE(i + k));                                                   \
            }                                                                                      \
        }                                                                                          \
        for (int k = 0; k < WIDTH; k++) {                                                          \
            to[k] = a[k];                                                                          \
        }                                                                                          \
        for (int64_t i = whole; i < total; i++) {                                                  \
            to[i - whole] = JOIN(to[i - whole], VALUE(i));                                         \
        }                                                                                          \
    } while (0)

#define ADD_VALUES(name, L, parts, JOIN)                                                           \
    static void name##_add(void *acc, const void *values, int64_t n)                               \
    {                                                                                              \
        const L *const x = values;                                                                 \
        ADD_LOOP(L, parts, JOIN, ELEMENT);                                                         \
    }
#define ELEMENT(i) x[i]

#define STEPS(name)                                                                                \
    static void name##_step(void *acc, const void *const *in, int64_t n, unsigned uniform)         \
    {                                                                                              \
        (void)uniform;                                                                             \
        name##_add(acc, in[0], n);                                                                 \
    }

/* Of products, each rounded. */
#define PRODUCT_STEPS(name, L, JOIN)                                                               \
    static void name##_products_step(void *acc, const void *const *in, int64_t n, unsigned uniform) \
    {                                                                                              \
        const L *const x = in[0];                                                                  \
        const L *const y = in[1];                                                                  \
        (void)uniform;                                                                             \
        ADD_LOOP(L, 1, JOIN, ELEMENT_PRODUCT);                                                     \
    }
#define ELEMENT_PRODUCT(i) (x[i] * y[i])

/* The same for extremes of floats: one comparison in the chain, which keeps a NaN it has, and
 * beside it the last NaN seen. */
#define ADD_LOOP_EXTREME(name, BEATS)                                                              \
    static void name##_add(void *acc, const void *values, int64_t n)                               \
    {                                                                                              \
        E *const to = acc;                                                                         \
        const E *const x = values;                                                                 \
        const int64_t whole = n - n % SUM_WIDTH;                                                   \
        E a[SUM_WIDTH], nan[SUM_WIDTH];                                                            \
        for (int k = 0; k < SUM_WIDTH; k++) {                                                      \
            a[k] = to[k];                                                                          \
            nan[k] = 0;                                                                            \
        }                                                                                          \
        for (int64_t i = 0; i < whole; i += SUM_WIDTH) {                                           \
            for (int k = 0; k < SUM_WIDTH; k++) {                                                  \
                const E v = x[i + k];                                                              \
                a[k] = v BEATS a[k] ? v : a[k];                                                    \
                nan[k] = v != v ? v : nan[k];                                                      \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = whole; i < n; i++) {                                                      \
            const E v = x[i];                                                                      \
            a[i - whole] = v BEATS a[i - whole] ? v : a[i - whole];                                \
            nan[i - whole] = v != v ? v : nan[i - whole];                                          \
        }                                                                                          \
        for (int k = 0; k < SUM_WIDTH; k++) {                                                      \
            to[k] = nan[k] != nan[k] ? nan[k] : a[k];                                              \
        }                                                                                          \
    }

/* The accumulators in halves, and the element that is left. */
#define FOLD_LOCAL(L, parts, JOIN, WIDTH)                                                          \
    _Pragma("GCC unroll 8")                                                                        \
    for (int half = (WIDTH) / 2; half >= (parts); half /= 2) {                                     \
        for (int k = 0; k < half; k++) {                                                           \
            a[k] = JOIN(a[k], a[k + half]);                                                        \
        }                                                                                          \
    }                                                                                              \
    memcpy(out, a, (parts) * sizeof(L));

/* A chunk of at most `width` elements: the accumulators past n hold the identity, which changes
 * nothing. All loops have a fixed length, so that values stay in registers. */
#define SHORT_CHUNK(name, L, parts, JOIN, FIRST, width)                                            \
    static inline void name(const void *first, int64_t n, void *out)                               \
    {                                                                                              \
        L a[(width) * (parts)];                                                                    \
        const L *const x = first;                                                                  \
        (void)first;                                                                               \
        const L value = FIRST;                                                                     \
        for (int i = 0; i < (width) * (parts); i++) {                                              \
            a[i] = i < n * (parts) ? JOIN(value, x[i]) : value;                                    \
        }                                                                                          \
        FOLD_LOCAL(L, parts, JOIN, (width) * (parts))                                              \
    }

/* The same for some rounds of accumulators, SUM_WIDTH or more elements. */
#define ROUNDS_CHUNK(name, L, parts, JOIN, FIRST)                                                  \
    static inline void name(const void *first, int64_t n, void *out)                               \
    {                                                                                              \
        enum { WIDTH = SUM_WIDTH * (parts) };                                                      \
        L a[WIDTH];                                                                                \
        const L *x = first;                                                                        \
        const L value = FIRST;                                                                     \
        for (int i = 0; i < WIDTH; i++) {                                                          \
            a[i] = JOIN(value, x[i]);                                                              \
        }                                                                                          \
        int64_t left = n * (parts) - WIDTH;                                                        \
        for (x += WIDTH; left >= WIDTH; left -= WIDTH, x += WIDTH) {                               \
            for (int i = 0; i < WIDTH; i++) {                                                      \
                a[i] = JOIN(a[i], x[i]);                                                           \
            }                                                                                      \
        }                                                                                          \
        for (int i = 0; i < WIDTH; i++) {                                                          \
            a[i] = i < left ? JOIN(a[i], x[i]) : a[i];                                             \
        }                                                                                          \
        FOLD_LOCAL(L, parts, JOIN, WIDTH)                                                          \
    }

/*
 * The other loops of one operation on lanes of type L, `parts` of which make an element. FIRST
 * is the accumulators' first value, an expression that may use `first`.
 */
#define REDUCTION(name, L, parts, JOIN, FIRST)                                                     \
    static void name##_start(void *acc, int64_t count, const void *first)                          \
    {                                                                                              \
        L *const a = acc;                                                                          \
        (void)first;                                                                               \
        const L value = FIRST;                                                                     \
        for (int64_t i = 0; i < count * (parts); i++) {                                            \
            a[i] = value;                                                                          \
        }                                                                                          \
    }                                                                                              \
    static void name##_fold_from(L *a, int64_t width, int64_t from, void *out)                     \
    {                                                                                              \
        for (int64_t half = from * width * (parts); half >= width * (parts); half /= 2) {          \
            KERNEL_LOOP(k, half)                                                                   \
            {                                                                                      \
                a[k] = JOIN(a[k], a[k + half]);                                                    \
            }                                                                                      \
        }                                                                                          \
        memcpy(out, a, (size_t)(width * (parts)) * sizeof(L));                                     \
    }                                                                                              \
    static void name##_fold(void *acc, void *out)                                                  \
    {                                                                                              \
        name##_fold_from(acc, 1, SUM_WIDTH / 2, out);                                              \
    }                                                                                              \
    static void name##_fold_rows(void *acc, int64_t count, int64_t width, void *out)               \
    {                                                                                              \
        name##_fold_from(acc, width, count / 2, out);                                              \
    }                                                                                              \
    SHORT_CHUNK(name##_eight, L, parts, JOIN, FIRST, SUM_FEW)                                      \
    SHORT_CHUNK(name##_short, L, parts, JOIN, FIRST, SUM_WIDTH)                                    \
    ROUNDS_CHUNK(name##_rounds, L, parts, JOIN, FIRST)                                             \
    static void name##_chunk(const void *values, int64_t n, void *out)                             \
    {                                                                                              \
        L a[SUM_WIDTH * (parts)];                                                                  \
        if (n <= SUM_FEW) {                                                                        \
            name##_eight(values, n, out);                                                          \
        } else if (n <= SUM_WIDTH) {                                                               \
            name##_short(values, n, out);                                                          \
        } else if (n <= SUM_BLOCK) {                                                               \
            name##_rounds(values, n, out);                                                         \
        } else {                                                                                   \
            name##_start(a, SUM_WIDTH, values);                                                    \
            name##_add(a, values, n);                                                              \
            name##_fold(a, out);                                                                   \
        }                                                                                          \
    }                                                                                              \
    static void name##_rows(void *acc, const char *x, int64_t row_stride, int64_t nrows,           \
                            int64_t width, int64_t first)                                          \
    {                                                                                              \
        const int64_t lanes = width * (parts);                                                     \
        const bool packed = row_stride == lanes * (int64_t)sizeof(L);                              \
        for (int64_t r = 0; r < nrows;) {                                                          \
            const int64_t at = (first + r) % SUM_WIDTH;                                            \
            const int64_t left = SUM_WIDTH - at < nrows - r ? SUM_WIDTH - at : nrows - r;          \
            const int64_t together = packed ? left : 1;                                            \
            L *const a = (L *)acc + at * lanes;                                                    \
            const L *const row = (const L *)(const void *)(x + r * row_stride);                    \
            KERNEL_LOOP(k, together *lanes)                                                        \
            {                                                                                      \
                a[k] = JOIN(a[k], row[k]);                                                         \
            }                                                                                      \
            r += together;                                                                         \
        }                                                                                          \
    }                                                                                              \
    static void name##_join(void *to, const void *from, int64_t n)                                 \
    {                                                                                              \
        L *const a = to;                                                                           \
        const L *const b = from;                                                                   \
        KERNEL_LOOP(k, n * (parts))                                                                \
        {                                                                                          \
            a[k] = JOIN(a[k], b[k]);                                                               \
        }                                                                                          \
    }

/* Scans add one after the other, as NumPy does. */
#define SCAN(name, L, parts, JOIN)                                                                 \
    static void name##_scan(void *out, const void *values, int64_t n, bool reverse, void *carry)   \
    {                                                                                              \
        L run[parts];                                                                              \
        L *const o = out;                                                                          \
        const L *const x = values;                                                                 \
        memcpy(run, carry, sizeof run);                                                            \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const int64_t at = (reverse ? n - 1 - i : i) * (parts);                                \
            for (int p = 0; p < (parts); p++) {                                                    \
                run[p] = JOIN(run[p], x[at + p]);                                                  \
                o[at + p] = run[p];                                                                \
            }                                                                                      \
        }                                                                                          \
        memcpy(carry, run, sizeof run);                                                            \
    }

#define ENTRY(name, scan, step, products_step)                                                     \
    {name##_start,     name##_add,  name##_fold, name##_chunk, name##_rows,                        \
     name##_fold_rows, name##_join, scan,        step,         products_step}

#if SUMMED == 1
ADD_VALUES(sum, P, 1, PLUS)
ADD_VALUES(prod, P, 1, TIMES)
REDUCTION(sum, P, 1, PLUS, (P)0)
REDUCTION(prod, P, 1, TIMES, (P)1)
SCAN(sum, P, 1, PLUS)
SCAN(prod, P, 1, TIMES)
STEPS(sum)
PRODUCT_STEPS(sum, P, PLUS)
#elif SUMMED == 2
ADD_VALUES(sum, P, 2, PLUS)
ADD_VALUES(prod, E, 1, COMPLEX_TIMES)
REDUCTION(sum, P, 2, PLUS, (P)0)
REDUCTION(prod, E, 1, COMPLEX_TIMES, ((E){1, 0}))
SCAN(sum, P, 2, PLUS)
SCAN(prod, E, 1, COMPLEX_TIMES)
STEPS(sum)
#define sum_products_step NULL
#endif
#if SUMMED == 1 && FLOATING
ADD_LOOP_EXTREME(min, <)
ADD_LOOP_EXTREME(max, >)
#else
ADD_VALUES(min, E, 1, LESSER)
ADD_VALUES(max, E, 1, GREATER)
#endif
REDUCTION(min, E, 1, LESSER, *(const E *)first)
REDUCTION(max, E, 1, GREATER, *(const E *)first)

#define TABLE_(dtype, isa) kernel_reduce_##dtype##_##isa
#define TABLE(dtype, isa) TABLE_(dtype, isa)
extern const ReduceKernels TABLE(KT, ISA)[REDUCE_COUNT];
const ReduceKernels TABLE(KT, ISA)[REDUCE_COUNT] = {
#if SUMMED
    [REDUCE_SUM] = ENTRY(sum, sum_scan, sum_step, sum_products_step),
    [REDUCE_PROD] = ENTRY(prod, prod_scan, NULL, NULL),
#endif
    [REDUCE_MIN] = ENTRY(min, NULL, NULL, NULL),
    [REDUCE_MAX] = ENTRY(max, NULL, NULL, NULL),
};
