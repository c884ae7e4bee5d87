/* backend/cpu/order.h -- numbers as unsigned keys in the order of sorting: NaN last. */
#ifndef PYARR_BACKEND_CPU_ORDER_H
#define PYARR_BACKEND_CPU_ORDER_H

#include "backend/cpu/cpu.h"

/* A key and where it came from. Complex numbers use both words, the real part first. */
typedef struct Pair64 {
    uint64_t key;
    uint64_t index;
} Pair64;

typedef struct Pair32 {
    uint32_t key;
    uint32_t index;
} Pair32;

typedef struct PairComplex {
    uint64_t key, second;
    int64_t index;
} PairComplex;

/* Elements between two questions whether the user interrupts. */
enum { ORDER_STRETCH = 1 << 20 };

/*
 * Sort n elements in place with the help of `scratch` (n elements too), equal keys keeping
 * their order. `bytes` is how many low bytes of the keys matter. When the pool's run is
 * interrupted they return with the elements in any order, some of them repeated.
 */
void order_keys32(uint32_t *keys, uint32_t *scratch, int64_t n, int bytes);
void order_keys64(uint64_t *keys, uint64_t *scratch, int64_t n, int bytes);
void order_pairs32(Pair32 *pairs, Pair32 *scratch, int64_t n, int bytes);
void order_pairs64(Pair64 *pairs, Pair64 *scratch, int64_t n, int bytes);
void order_complex(PairComplex *pairs, PairComplex *scratch, int64_t n, int bytes);

/* Floating numbers: negative ones reversed and below positive ones, every NaN on top. */
static inline uint64_t
order_key_f64(double x)
{
    union { double x; uint64_t u; } bits = {x};
    return x != x ? UINT64_MAX : bits.u ^ ((uint64_t)-(int64_t)(bits.u >> 63) | 1ull << 63);
}

static inline uint32_t
order_key_f32(float x)
{
    union { float x; uint32_t u; } bits = {x};
    return x != x ? UINT32_MAX : bits.u ^ ((uint32_t)-(int32_t)(bits.u >> 31) | 1u << 31);
}

#endif
