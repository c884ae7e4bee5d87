/* backend/cpu/kernels.c -- which kernel runs a row: the tables of this machine's instructions. */
#include "backend/cpu/kernels/kernel.h"

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/fft.h"
#include "backend/cpu/kernels/product.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/tile.h"
#include "base/settings.h"

#include <string.h>

/* The dtypes as the sources of kernels name them (`bool` is a macro). */
#define EACH_DTYPE(X, isa)                                                                         \
    X(DT_bool, b8, isa)                                                                            \
    X(DT_i8, i8, isa)                                                                              \
    X(DT_i16, i16, isa)                                                                            \
    X(DT_i32, i32, isa)                                                                            \
    X(DT_i64, i64, isa)                                                                            \
    X(DT_u8, u8, isa)                                                                              \
    X(DT_u16, u16, isa)                                                                            \
    X(DT_u32, u32, isa)                                                                            \
    X(DT_u64, u64, isa)                                                                            \
    X(DT_f32, f32, isa)                                                                            \
    X(DT_f64, f64, isa)                                                                            \
    X(DT_c64, c64, isa)                                                                            \
    X(DT_c128, c128, isa)
#define EACH_SIZE(X, isa) X(1, isa) X(2, isa) X(4, isa) X(8, isa) X(16, isa)

typedef struct KernelSet {
    const char *isa;
    const BlockKernel *rows[DTYPE_COUNT];
    const BlockKernel (*casts)[DTYPE_COUNT];
    const ReduceKernels *reductions[DTYPE_COUNT];
    BlockKernel select[KERNEL_MAX_SIZE + 1]; /* by element size */
    const FftKernel *fft_f32, *fft_f64;
    const TileKernels *tile_f32, *tile_f64;
    const TileRowKernels *tile_row_f32, *tile_row_f64;
    const ProductKernel *product_f32, *product_f64;
} KernelSet;

#define DECLARE_ROWS(dtype, name, isa)                                                             \
    extern const BlockKernel KERNEL_TABLE(name, isa)[OP_ELEMENTWISE_COUNT];                        \
    extern const ReduceKernels kernel_reduce_##name##_##isa[REDUCE_COUNT];
#define DECLARE_SELECT(size, isa)                                                                  \
    void kernel_select_##size##_##isa(void *, const void *const *, int64_t, unsigned);
#define X(isa)                                                                                     \
    EACH_DTYPE(DECLARE_ROWS, isa)                                                                  \
    EACH_SIZE(DECLARE_SELECT, isa)                                                                 \
    extern const BlockKernel kernel_casts_##isa[DTYPE_COUNT][DTYPE_COUNT];                         \
    extern const FftKernel kernel_fft_f32_##isa, kernel_fft_f64_##isa;                             \
    extern const TileKernels kernel_tile_f32_##isa, kernel_tile_f64_##isa;                         \
    extern const TileRowKernels kernel_tile_row_f32_##isa, kernel_tile_row_f64_##isa;            \
    extern const ProductKernel kernel_product_f32_##isa, kernel_product_f64_##isa;
ISA_EACH(X)
#undef X

#define ROWS_ENTRY(dtype, name, isa) [dtype] = KERNEL_TABLE(name, isa),
#define REDUCE_ENTRY(dtype, name, isa) [dtype] = kernel_reduce_##name##_##isa,
#define SELECT_ENTRY(size, isa) [size] = kernel_select_##size##_##isa,
static const KernelSet sets[] = {
#define X(isa)                                                                                     \
    {#isa, {EACH_DTYPE(ROWS_ENTRY, isa)}, kernel_casts_##isa, {EACH_DTYPE(REDUCE_ENTRY, isa)},     \
     {EACH_SIZE(SELECT_ENTRY, isa)}, &kernel_fft_f32_##isa, &kernel_fft_f64_##isa,                 \
     &kernel_tile_f32_##isa, &kernel_tile_f64_##isa, &kernel_tile_row_f32_##isa,                   \
     &kernel_tile_row_f64_##isa, &kernel_product_f32_##isa, &kernel_product_f64_##isa},
    ISA_EACH(X)
#undef X
};
enum { SET_COUNT = sizeof sets / sizeof sets[0] };

static const KernelSet *current = &sets[0];

/* Does this machine run that instruction set? */
static bool
machine_has(const char *isa)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (strcmp(isa, "v2") == 0) {
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    }
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (strcmp(isa, "v3") == 0) {
        return v3;
    }
    if (strcmp(isa, "v4") == 0) {
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    }
#endif
    return strcmp(isa, "base") == 0;
}

Status
cpu_kernels_init(void)
{
    const char *wanted = settings_get()->isa;
    const KernelSet *chosen = NULL;
    for (int i = 0; i < SET_COUNT; i++) {
        const bool named = wanted[0] == '\0' || strcmp(wanted, sets[i].isa) == 0;
        if (named && machine_has(sets[i].isa)) {
            chosen = &sets[i];
        }
    }
    if (chosen == NULL) {
        return err_set(ERR_VALUE, "PYARR_ISA: this machine has no kernels for '%s'", wanted);
    }
    current = chosen;
    return STATUS_OK;
}

const char *
cpu_isa(void)
{
    return current->isa;
}

BlockKernel
cpu_cast_kernel(DType from, DType to)
{
    return current->casts[from][to];
}

const ReduceKernels *
cpu_reduce_kernels(ReduceOp op, DType dtype)
{
    return &current->reductions[dtype][op];
}

const TileKernels *
cpu_tile_kernels(DType dtype)
{
    const int size = dtype_size(dtype);
    return size == 8 ? current->tile_f64 : size == 4 ? current->tile_f32 : NULL;
}

const TileRowKernels *
cpu_tile_row_kernels(DType dtype)
{
    return dtype_size(dtype) == 8 ? current->tile_row_f64 : current->tile_row_f32;
}

const ProductKernel *
cpu_product_kernel(DType dtype)
{
    const ProductKernel *kernel = dtype == DT_c128 ? current->product_f64 : current->product_f32;
    return backend_cpu_has_fma() ? kernel : NULL;
}

const FftKernel *
cpu_fft_kernel(DType real)
{
    return real == DT_f64 ? current->fft_f64 : current->fft_f32;
}

BlockKernel
cpu_row_kernel(OpCode op, DType loop)
{
    if (op == OP_where) {
        return current->select[dtype_size(loop)];
    }
    return current->rows[loop][op];
}

BlockKernel
backend_cpu_kernel(OpCode op, DType loop)
{
    if (op == OP_power && dtype_is_integer(loop)) {
        return NULL; /* may fail: negative exponents */
    }
    return cpu_row_kernel(op, loop);
}

/* Elements that take some 10 microseconds: from there a second thread pays for its waking. */
int64_t
backend_cpu_grain(OpCode op, DType loop)
{
    const bool cheap = !op_is_elementwise(op) || (op_info(op)->flags & FLAG_CHEAP) != 0;
    if (cheap) {
        return (int64_t)262144 / dtype_size(loop);
    }
    return dtype_is_complex(loop) ? 1024 : 8192;
}

#define FILL(type)                                                                                 \
    do {                                                                                           \
        type v;                                                                                    \
        memcpy(&v, value, sizeof v);                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            memcpy(to + i * (int64_t)sizeof v, &v, sizeof v);                                      \
        }                                                                                          \
    } while (0)

void
cpu_fill(void *out, const void *value, int size, int64_t n)
{
    typedef struct Pair {
        uint64_t first, second;
    } Pair;
    char *const to = out;
    switch (size) {
    case 1:
        memset(out, *(const unsigned char *)value, (size_t)n);
        break;
    case 2:
        FILL(uint16_t);
        break;
    case 4:
        FILL(uint32_t);
        break;
    case 8:
        FILL(uint64_t);
        break;
    default:
        FILL(Pair);
        break;
    }
}

void
kernel_spread(BlockKernel kernel, void *out, int out_size, const void *const *in,
              const uint8_t *in_sizes, int nin, int64_t n, unsigned uniform)
{
    char *const to = out;
    if (n <= 0) {
        return;
    }
    if (uniform == (1u << nin) - 1) {
        kernel(to, in, 1, 0);
        cpu_fill(to + out_size, to, out_size, n - 1);
        return;
    }
    _Alignas(64) char blocks[3][KERNEL_BLOCK * KERNEL_MAX_SIZE];
    const void *block_in[3];
    const int64_t width = n < KERNEL_BLOCK ? n : KERNEL_BLOCK;
    for (int k = 0; k < nin; k++) {
        if ((uniform >> k & 1) != 0) {
            cpu_fill(blocks[k], in[k], in_sizes[k], width);
        }
    }
    for (int64_t at = 0; at < n; at += KERNEL_BLOCK) {
        for (int k = 0; k < nin; k++) {
            const bool repeated = (uniform >> k & 1) != 0;
            block_in[k] = repeated ? blocks[k] : (const char *)in[k] + at * in_sizes[k];
        }
        const int64_t count = n - at < KERNEL_BLOCK ? n - at : KERNEL_BLOCK;
        kernel(to + at * out_size, block_in, count, 0);
    }
}
