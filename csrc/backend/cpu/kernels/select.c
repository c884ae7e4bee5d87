/* backend/cpu/kernels/select.c -- the row `where` on elements of each size. */
/* variants: KT=1,2,4,8,16 ISA */
#include "backend/cpu/kernels/kernel.h"

#define V_1 uint8_t
#define V_2 uint16_t
#define V_4 uint32_t
#define V_8 uint64_t
#define V_16 Pair
typedef struct Pair {
    uint64_t first, second;
} Pair;
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef JOIN(V_, KT) V;
#define NAME_(size, isa) kernel_select_##size##_##isa
#define NAME(size, isa) NAME_(size, isa)

#define SELECT_LOOP(y, z)                                                                          \
    KERNEL_LOOP(i, n)                                                                              \
    {                                                                                              \
        os[i] = cs[i] ? (y) : (z);                                                                 \
    }

void NAME(KT, ISA)(void *out, const void *const *in, int64_t n, unsigned uniform);

void
NAME(KT, ISA)(void *out, const void *const *in, int64_t n, unsigned uniform)
{
    const uint8_t *const cs = in[0];
    const V *const ys = in[1];
    const V *const zs = in[2];
    V *const os = out;
    if ((uniform & 1) != 0) {
        kernel_spread(NAME(KT, ISA), out, sizeof(V), in, (uint8_t[]){1, sizeof(V), sizeof(V)}, 3,
                      n, uniform);
    } else if (uniform == 0) {
        SELECT_LOOP(ys[i], zs[i])
    } else if (uniform == 2) {
        const V y = ys[0];
        SELECT_LOOP(y, zs[i])
    } else if (uniform == 4) {
        const V z = zs[0];
        SELECT_LOOP(ys[i], z)
    } else {
        const V y = ys[0];
        const V z = zs[0];
        SELECT_LOOP(y, z)
    }
}
