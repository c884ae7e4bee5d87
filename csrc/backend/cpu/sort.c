/* backend/cpu/sort.c -- sort and argsort along one axis.
 *
 * A lane (the elements along the axis) is turned into unsigned keys in the order of sorting,
 * the keys are sorted, and turned back. Both sorts are stable, so `stable` changes nothing. */
#include "backend/cpu/iterate.h"
#include "backend/cpu/move.h"
#include "backend/cpu/order.h"

#include "base/mem.h"
#include "base/pool.h"

#include <complex.h>
#include <string.h>

typedef struct Lanes {
    Iterate it; /* operands: out, in; the lanes' first elements */
    char *data[2];
    int64_t length, out_step, in_step;
    DType dtype;
    char *scratch; /* per thread: keys or pairs, and as many again for the sorter */
    size_t scratch_size;
    bool indices; /* argsort */
} Lanes;

/* ---- keys of each dtype ---- */
static inline uint32_t key_bool(uint8_t x) { return x != 0; }
static inline uint32_t key_i8(int8_t x) { return (uint32_t)(x + 128); }
static inline uint32_t key_i16(int16_t x) { return (uint32_t)(x + 32768); }
static inline uint32_t key_i32(int32_t x) { return (uint32_t)x ^ 1u << 31; }
static inline uint64_t key_i64(int64_t x) { return (uint64_t)x ^ 1ull << 63; }
static inline uint32_t key_u8(uint8_t x) { return x; }
static inline uint32_t key_u16(uint16_t x) { return x; }
static inline uint32_t key_u32(uint32_t x) { return x; }
static inline uint64_t key_u64(uint64_t x) { return x; }
#define key_f32(x) order_key_f32(x)
#define key_f64(x) order_key_f64(x)

static inline uint8_t value_bool(uint32_t k) { return (uint8_t)k; }
static inline int8_t value_i8(uint32_t k) { return (int8_t)((int32_t)k - 128); }
static inline int16_t value_i16(uint32_t k) { return (int16_t)((int32_t)k - 32768); }
static inline int32_t value_i32(uint32_t k) { return (int32_t)(k ^ 1u << 31); }
static inline int64_t value_i64(uint64_t k) { return (int64_t)(k ^ 1ull << 63); }
static inline uint8_t value_u8(uint32_t k) { return (uint8_t)k; }
static inline uint16_t value_u16(uint32_t k) { return (uint16_t)k; }
static inline uint32_t value_u32(uint32_t k) { return k; }
static inline uint64_t value_u64(uint64_t k) { return k; }

/* The key of every NaN comes back as a quiet NaN. */
static inline float
value_f32(uint32_t k)
{
    union { uint32_t u; float x; } bits = {k >> 31 ? k ^ 1u << 31 : ~k};
    return bits.x;
}

static inline double
value_f64(uint64_t k)
{
    union { uint64_t u; double x; } bits = {k >> 63 ? k ^ 1ull << 63 : ~k};
    return bits.x;
}

/* In argsort -0.0 and 0.0 are equal and keep their order. */
static inline float plus_zero_f32(float x) { return x + 0.0f; }
static inline double plus_zero_f64(double x) { return x + 0.0; }
#define SAME(x) (x)

/* ---- one lane ---- */

#define LANE(suffix, T, BITS, ZERO)                                                                \
    static void sort_##suffix(const Lanes *l, char *out, const char *in, void *scratch)            \
    {                                                                                              \
        uint##BITS##_t *keys = scratch;                                                            \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            keys[i] = key_##suffix(*(const T *)(in + i * l->in_step));                             \
        }                                                                                          \
        order_keys##BITS(keys, keys + l->length, l->length, (int)sizeof(T));                       \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            *(T *)(out + i * l->out_step) = value_##suffix(keys[i]);                               \
        }                                                                                          \
    }                                                                                              \
    static void argsort_##suffix(const Lanes *l, char *out, const char *in, void *scratch)         \
    {                                                                                              \
        Pair##BITS *pairs = scratch;                                                               \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            pairs[i].key = key_##suffix(ZERO(*(const T *)(in + i * l->in_step)));                  \
            pairs[i].index = (uint##BITS##_t)i;                                                    \
        }                                                                                          \
        order_pairs##BITS(pairs, pairs + l->length, l->length, (int)sizeof(T));                    \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            *(int64_t *)(out + i * l->out_step) = (int64_t)pairs[i].index;                         \
        }                                                                                          \
    }

LANE(bool, uint8_t, 32, SAME)
LANE(i8, int8_t, 32, SAME)
LANE(i16, int16_t, 32, SAME)
LANE(i32, int32_t, 32, SAME)
LANE(i64, int64_t, 64, SAME)
LANE(u8, uint8_t, 32, SAME)
LANE(u16, uint16_t, 32, SAME)
LANE(u32, uint32_t, 32, SAME)
LANE(u64, uint64_t, 64, SAME)
LANE(f32, float, 32, plus_zero_f32)
LANE(f64, double, 64, plus_zero_f64)

/*
 * Complex order: by real, then imaginary part; those with one NaN behind all others, first
 * R + nan j, then nan + R j, then nan + nan j, each by the part that is a number.
 */
static PairComplex
complex_key(double real, double imag, int64_t index)
{
    const uint64_t re = order_key_f64(real + 0.0), im = order_key_f64(imag + 0.0);
    const bool imag_only = im == UINT64_MAX && re != UINT64_MAX;
    return (PairComplex){imag_only ? UINT64_MAX - 1 : re, imag_only ? re : im, index};
}

#define LANE_COMPLEX(suffix, T)                                                                    \
    static PairComplex *pairs_##suffix(const Lanes *l, const char *in, void *scratch)              \
    {                                                                                              \
        PairComplex *pairs = scratch;                                                              \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            const T z = *(const T *)(in + i * l->in_step);                                         \
            pairs[i] = complex_key(creal(z), cimag(z), i);                                         \
        }                                                                                          \
        order_complex(pairs, pairs + l->length, l->length, 16);                                    \
        return pairs;                                                                              \
    }                                                                                              \
    static void sort_##suffix(const Lanes *l, char *out, const char *in, void *scratch)            \
    {                                                                                              \
        const PairComplex *pairs = pairs_##suffix(l, in, scratch);                                 \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            *(T *)(out + i * l->out_step) = *(const T *)(in + pairs[i].index * l->in_step);        \
        }                                                                                          \
    }                                                                                              \
    static void argsort_##suffix(const Lanes *l, char *out, const char *in, void *scratch)         \
    {                                                                                              \
        const PairComplex *pairs = pairs_##suffix(l, in, scratch);                                 \
        for (int64_t i = 0; i < l->length; i++) {                                                  \
            if (i % ORDER_STRETCH == ORDER_STRETCH - 1 && pool_interrupted()) {                    \
                return;                                                                            \
            }                                                                                      \
            *(int64_t *)(out + i * l->out_step) = pairs[i].index;                                  \
        }                                                                                          \
    }

LANE_COMPLEX(c64, float _Complex)
LANE_COMPLEX(c128, double _Complex)

typedef void (*LaneFn)(const Lanes *l, char *out, const char *in, void *scratch);
static const LaneFn sort_lane[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) sort_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};
static const LaneFn argsort_lane[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) argsort_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

/* ---- all lanes ---- */

typedef struct LaneRun {
    const Lanes *lanes;
    void *scratch;
} LaneRun;

static void
lane_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    const LaneRun *run = ctx;
    const LaneFn lane = (run->lanes->indices ? argsort_lane : sort_lane)[run->lanes->dtype];
    for (int64_t i = 0; i < n; i++) {
        lane(run->lanes, data[0] + i * strides[0], data[1] + i * strides[1], run->scratch);
    }
}

static void
lanes_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    Lanes *lanes = ctx;
    LaneRun run = {lanes, lanes->scratch + (size_t)thread * lanes->scratch_size};
    iterate_run(&lanes->it, lanes->data, begin, end, lane_run, &run);
}

/* Bytes that one element needs while it is sorted, the sorter's copy included. */
static size_t
element_scratch(DType dtype, bool indices)
{
    if (dtype_is_complex(dtype)) {
        return 2 * sizeof(PairComplex);
    }
    const size_t key = dtype_size(dtype) == 8 ? 8 : 4;
    return 2 * (indices ? 2 * key : key);
}

static Status
sort_lanes(const Call *call, bool indices)
{
    Lanes lanes;
    int64_t shape[ARRAY_MAX_NDIM];
    const Operand *in = &call->in[0];
    const int axis = (int)call->params[0];
    lanes.length = in->shape[axis];
    lanes.in_step = in->strides[axis];
    lanes.out_step = call->out.strides[axis];
    lanes.dtype = in->dtype;
    lanes.indices = indices;
    lanes.data[0] = call->out.data;
    lanes.data[1] = in->data;
    memcpy(shape, in->shape, (size_t)in->ndim * sizeof *shape);
    shape[axis] = 1;
    iterate_init(&lanes.it, in->ndim, shape, 2, (const int64_t *[]){call->out.strides, in->strides},
                 ITERATE_REORDER);
    if (lanes.it.size == 0 || lanes.length == 0) {
        return STATUS_OK;
    }
    if (lanes.length > (int64_t)UINT32_MAX && indices && dtype_size(in->dtype) < 8) {
        return err_set(ERR_VALUE, "argsort: more than 2**32 elements of a dtype below 8 bytes");
    }
    const int threads = lanes.it.size < pool_size() ? (int)lanes.it.size : pool_size();
    lanes.scratch_size = ((size_t)lanes.length * element_scratch(in->dtype, indices) + 63) & ~(size_t)63;
    /* A run of several chunks numbers its threads below pool_size(); one chunk is thread 0. */
    const int64_t grain = MOVE_GRAIN_BYTES / 8 / (lanes.length * dtype_size(in->dtype)) + 1;
    const int slots = threads > 1 ? pool_size() : 1;
    lanes.scratch = mem_new_array(slots, lanes.scratch_size);
    if (lanes.scratch == NULL) {
        return STATUS_ERROR;
    }
    const Status status = pool_run(lanes.it.size, grain, lanes_part, &lanes);
    mem_free(lanes.scratch, (size_t)slots * lanes.scratch_size);
    return status;
}

Status
cpu_sort(const Call *call)
{
    return sort_lanes(call, false);
}

Status
cpu_argsort(const Call *call)
{
    return sort_lanes(call, true);
}
