/* backend/cpu/kernels/fft_vector.h -- the vectors of Fourier transforms: one line in each lane,
 * loaded from lines and stored to them. A text for sources that have variants T and ISA. */
#include "backend/cpu/kernels/fft.h"

#include <string.h>

#include "backend/cpu/kernels/contract.h"

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define E_f32 float
#define E_f64 double
#define I_f32 int32_t
#define I_f64 int64_t
#define TYPE_(prefix, t) prefix##_##t
#define TYPE(prefix, t) TYPE_(prefix, t)
typedef TYPE(E, T) E;

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif

enum { LANES = BYTES / sizeof(E) };
typedef E V __attribute__((vector_size(BYTES)));
typedef E Loose __attribute__((vector_size(BYTES), aligned(sizeof(E)), may_alias));
typedef TYPE(I, T) Index __attribute__((vector_size(BYTES)));

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

/* ---- lines to lanes and back ---- */

/* Pairs of neighbours: low half and high half of a0 b0 a1 b1 ..., and what undoes it. */
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Index){__VA_ARGS__})
#endif
#define S_16_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define S_16_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define S_16_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define S_16_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define S_8_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define S_8_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define S_8_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define S_8_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define S_4_LOW 0, 4, 1, 5
#define S_4_HIGH 2, 6, 3, 7
#define S_4_EVEN 0, 2, 4, 6
#define S_4_ODD 1, 3, 5, 7
#define S_2_LOW 0, 2
#define S_2_HIGH 1, 3
#define S_2_EVEN 0, 2
#define S_2_ODD 1, 3
#define W_f32_64 16
#define W_f32_32 8
#define W_f32_16 4
#define W_f64_64 8
#define W_f64_32 4
#define W_f64_16 2
#define WIDTH PASTE(W, T, BYTES)
#define PICK(a, b, which) SHUFFLE(a, b, PASTE(S, WIDTH, which))

/* Row i becomes column i. */
INLINE void
transpose(V *v)
{
    for (int width = 1; width < LANES; width *= 2) {
        V u[LANES];
        UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            u[2 * i] = PICK(v[i], v[i + LANES / 2], LOW);
            u[2 * i + 1] = PICK(v[i], v[i + LANES / 2], HIGH);
        }
        memcpy(v, u, sizeof u);
    }
}

enum { PAIR = 2 * sizeof(E) };

/* Of lines side by side the next ones lie in the same places, which are far from each other: the
 * processor does not guess them. */
INLINE void
fetch_line(const char *at, const bool write)
{
    if (write) {
        __builtin_prefetch(at, 1, 2);
    } else {
        __builtin_prefetch(at, 0, 2);
    }
}

INLINE void
fetch_next(const char *at, const bool write)
{
    enum { BEGIN = LANES * PAIR, END = 2 * LANES * PAIR - 1 };
    for (int byte = BEGIN + 63; byte < END; byte += 64) {
        fetch_line(at + byte, write);
    }
    fetch_line(at + END, write);
}

/* `count` elements of each line, from byte `at` on, into x; idle lanes repeat the last line. */
static void
load(V *x, const FftLines *g, int64_t at, int64_t stride, int64_t count, int swap)
{
    const char *line[LANES];
    int64_t j = 0;
    for (int i = 0; i < LANES; i++) {
        line[i] = g->in + at + (i < g->count ? i : g->count - 1) * g->in_step;
    }
    if (g->in_step == PAIR && g->count == LANES) {
        for (; j < count; j++) {
            const Loose *const from = (const Loose *)(line[0] + j * stride);
            const V a = from[0], b = from[1];
            fetch_next((const char *)from, false);
            x[2 * j + swap] = PICK(a, b, EVEN);
            x[2 * j + 1 - swap] = PICK(a, b, ODD);
        }
    } else if (stride == PAIR) {
        for (; j + LANES / 2 <= count; j += LANES / 2) {
            V v[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                v[i] = *(const Loose *)(line[i] + j * stride);
            }
            transpose(v);
            UNROLL
            for (int i = 0; i < LANES; i++) {
                x[2 * j + (i ^ swap)] = v[i];
            }
        }
    }
    for (; j < count; j++) {
        for (int i = 0; i < LANES; i++) {
            E pair[2];
            memcpy(pair, line[i] + j * stride, sizeof pair);
            x[2 * j + swap][i] = pair[0];
            x[2 * j + 1 - swap][i] = pair[1];
        }
    }
}

static void
store(const V *x, const FftLines *g, int64_t at, int64_t stride, int64_t count, int swap, E scale)
{
    char *const to = g->out + at;
    int64_t k = 0;
    if (g->out_step == PAIR && g->count == LANES) {
        for (; k < count; k++) {
            const V re = x[2 * k + swap] * scale, im = x[2 * k + 1 - swap] * scale;
            Loose *const pairs = (Loose *)(to + k * stride);
            fetch_next((const char *)pairs, true);
            pairs[0] = PICK(re, im, LOW);
            pairs[1] = PICK(re, im, HIGH);
        }
    } else if (stride == PAIR) {
        for (; k + LANES / 2 <= count; k += LANES / 2) {
            V v[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                v[i] = x[2 * k + (i ^ swap)] * scale;
            }
            transpose(v);
            for (int i = 0; i < g->count; i++) {
                *(Loose *)(to + i * g->out_step + k * stride) = v[i];
            }
        }
    }
    for (; k < count; k++) {
        for (int i = 0; i < g->count; i++) {
            const E pair[2] = {x[2 * k + swap][i] * scale, x[2 * k + 1 - swap][i] * scale};
            memcpy(to + i * g->out_step + k * stride, pair, sizeof pair);
        }
    }
}

/* Products with w; with `swapped`, real and imaginary parts of x are exchanged. */
INLINE void
multiply(V *x, const E *w, int64_t n, const int swapped)
{
    for (int64_t j = 0; j < n; j++) {
        const V re = x[2 * j + swapped], im = x[2 * j + 1 - swapped];
        x[2 * j] = re * w[2 * j] - im * w[2 * j + 1];
        x[2 * j + 1] = re * w[2 * j + 1] + im * w[2 * j];
    }
}
