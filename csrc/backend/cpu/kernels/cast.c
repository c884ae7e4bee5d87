/* backend/cpu/kernels/cast.c -- conversions between all dtypes, as numpy.ndarray.astype. */
/* variants: ISA */
#include "backend/cpu/kernels/kernel.h"

#include <math.h>

/*
 * Floats out of an integer's range, and NaN, are undefined in C. As x86 and NumPy there: the
 * least integer for 32 and 64 bits, narrower ones the low bits of that of 32 bits.
 */
static inline int32_t
to_i32(double x)
{
    return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
}

static inline int64_t
to_i64(double x)
{
    return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}

static inline uint64_t
to_u64(double x)
{
    if (x >= 9223372036854775808.0) {
        return x < 18446744073709551616.0 ? (uint64_t)x : UINT64_C(1) << 63;
    }
    return (uint64_t)to_i64(x);
}

/* x as dtype `to`: INTO_<to> of an integer, ROUND_<to> of a float, COMPLEX_<to> */
#define INTO_b8(x) ((x) != 0)
#define INTO_i8(x) ((int8_t)(x))
#define INTO_i16(x) ((int16_t)(x))
#define INTO_i32(x) ((int32_t)(x))
#define INTO_i64(x) ((int64_t)(x))
#define INTO_u8(x) ((uint8_t)(x))
#define INTO_u16(x) ((uint16_t)(x))
#define INTO_u32(x) ((uint32_t)(x))
#define INTO_u64(x) ((uint64_t)(x))
#define INTO_f32(x) ((float)(x))
#define INTO_f64(x) ((double)(x))

#define ROUND_b8(x) ((x) != 0)
#define ROUND_i8(x) ((int8_t)to_i32(x))
#define ROUND_i16(x) ((int16_t)to_i32(x))
#define ROUND_i32(x) (to_i32(x))
#define ROUND_i64(x) (to_i64(x))
#define ROUND_u8(x) ((uint8_t)to_i32(x))
#define ROUND_u16(x) ((uint16_t)to_i32(x))
#define ROUND_u32(x) ((uint32_t)to_i64(x))
#define ROUND_u64(x) (to_u64(x))
#define ROUND_f32(x) ((float)(x))
#define ROUND_f64(x) ((double)(x))

typedef struct c64 {
    float re, im;
} c64;
typedef struct c128 {
    double re, im;
} c128;

#define CAST(from, to, X, Y, value)                                                                \
    static void cast_##from##_##to(void *out, const void *const *in, int64_t n, unsigned uniform)  \
    {                                                                                              \
        const X *const xs = in[0];                                                                 \
        Y *const os = out;                                                                         \
        if (uniform != 0) {                                                                        \
            kernel_spread(cast_##from##_##to, out, sizeof(Y), in, (uint8_t[]){sizeof(X)}, 1, n,    \
                          uniform);                                                                \
            return;                                                                                \
        }                                                                                          \
        KERNEL_LOOP(i, n)                                                                          \
        {                                                                                          \
            const X x = xs[i];                                                                     \
            os[i] = value;                                                                         \
        }                                                                                          \
    }

/* from an integer, a float, a complex number to all */
#define CASTS(from, X, READ, x)                                                                    \
    CAST(from, b8, X, uint8_t, READ##_b8(x))                                                   \
    CAST(from, i8, X, int8_t, READ##_i8(x))                                                        \
    CAST(from, i16, X, int16_t, READ##_i16(x))                                                     \
    CAST(from, i32, X, int32_t, READ##_i32(x))                                                     \
    CAST(from, i64, X, int64_t, READ##_i64(x))                                                     \
    CAST(from, u8, X, uint8_t, READ##_u8(x))                                                       \
    CAST(from, u16, X, uint16_t, READ##_u16(x))                                                    \
    CAST(from, u32, X, uint32_t, READ##_u32(x))                                                    \
    CAST(from, u64, X, uint64_t, READ##_u64(x))                                                    \
    CAST(from, f32, X, float, READ##_f32(x))                                                       \
    CAST(from, f64, X, double, READ##_f64(x))
#define CASTS_REAL(from, X, READ)                                                                  \
    CASTS(from, X, READ, x)                                                                        \
    CAST(from, c64, X, c64, ((c64){(float)x, 0}))                                                  \
    CAST(from, c128, X, c128, ((c128){(double)x, 0}))

#define COMPLEX_b8(x) ((x.re != 0) | (x.im != 0))
#define COMPLEX_i8(x) ROUND_i8(x.re)
#define COMPLEX_i16(x) ROUND_i16(x.re)
#define COMPLEX_i32(x) ROUND_i32(x.re)
#define COMPLEX_i64(x) ROUND_i64(x.re)
#define COMPLEX_u8(x) ROUND_u8(x.re)
#define COMPLEX_u16(x) ROUND_u16(x.re)
#define COMPLEX_u32(x) ROUND_u32(x.re)
#define COMPLEX_u64(x) ROUND_u64(x.re)
#define COMPLEX_f32(x) ((float)(x.re))
#define COMPLEX_f64(x) ((double)(x.re))

CASTS_REAL(b8, uint8_t, INTO)
CASTS_REAL(i8, int8_t, INTO)
CASTS_REAL(i16, int16_t, INTO)
CASTS_REAL(i32, int32_t, INTO)
CASTS_REAL(i64, int64_t, INTO)
CASTS_REAL(u8, uint8_t, INTO)
CASTS_REAL(u16, uint16_t, INTO)
CASTS_REAL(u32, uint32_t, INTO)
CASTS_REAL(u64, uint64_t, INTO)
CASTS_REAL(f32, float, ROUND)
CASTS_REAL(f64, double, ROUND)
CASTS(c64, c64, COMPLEX, x)
CAST(c64, c64, c64, c64, x)
CAST(c64, c128, c64, c128, ((c128){x.re, x.im}))
CASTS(c128, c128, COMPLEX, x)
CAST(c128, c64, c128, c64, ((c64){(float)x.re, (float)x.im}))
CAST(c128, c128, c128, c128, x)

#define TABLE_(isa) kernel_casts_##isa
#define TABLE(isa) TABLE_(isa)
#define DT_b8 DT_bool /* `bool` itself is a macro */
#define ENTRIES(from)                                                                              \
    [DT_##from] = {[DT_b8] = cast_##from##_b8,     [DT_i8] = cast_##from##_i8,                     \
                   [DT_i16] = cast_##from##_i16,   [DT_i32] = cast_##from##_i32,                   \
                   [DT_i64] = cast_##from##_i64,   [DT_u8] = cast_##from##_u8,                     \
                   [DT_u16] = cast_##from##_u16,   [DT_u32] = cast_##from##_u32,                   \
                   [DT_u64] = cast_##from##_u64,   [DT_f32] = cast_##from##_f32,                   \
                   [DT_f64] = cast_##from##_f64,   [DT_c64] = cast_##from##_c64,                   \
                   [DT_c128] = cast_##from##_c128}
extern const BlockKernel TABLE(ISA)[DTYPE_COUNT][DTYPE_COUNT];
const BlockKernel TABLE(ISA)[DTYPE_COUNT][DTYPE_COUNT] = {
    ENTRIES(b8),  ENTRIES(i8),  ENTRIES(i16), ENTRIES(i32), ENTRIES(i64),
    ENTRIES(u8),   ENTRIES(u16), ENTRIES(u32), ENTRIES(u64), ENTRIES(f32),
    ENTRIES(f64),  ENTRIES(c64), ENTRIES(c128),
};
