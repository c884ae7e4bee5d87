/* backend/cpu/fft_real.c -- Fourier transforms between real lines and the half of their result
 * that says everything: by complex transforms of half the length.
 *
 * A line of n = 2 m real numbers is read as one of m complex numbers z[j] = x[2j] + i x[2j+1].
 * With Z its transform and u = exp(-2 pi i / n), that of x is, for 0 <= k <= m, Z being periodic,
 *
 *     X[k] = (Z[k] + conj(Z[m-k])) / 2  -  i u^k (Z[k] - conj(Z[m-k])) / 2,
 *
 * (Sorensen et al. 1987, section V), and back. Lines of odd length, few lines, and those that do
 * not lie along the last axis are the host language's.
 */
#include "backend/cpu/fft_plan.h"

#include "backend/cpu/cpu.h"
#include "backend/cpu/iterate.h"
#include "base/mem.h"
#include "base/pool.h"
#include "ops/infer.h"

#include <math.h>
#include <string.h>

enum {
    LEAST_LINES = 4,
    MOST_POINTS = 1 << 14,
    CHUNK_POINTS = 1 << 14 /* worth handing to another thread */
};

/* From Z to X, or from X to Z, line by line. */
typedef struct Halves {
    const Operand *in, *out;
    const char *roots; /* u^k as pairs, 0 <= k <= m / 2 */
    int64_t m, given;  /* elements of a line of X that are there */
    double scale;
    bool back, conjugate;
} Halves;

typedef struct Pair {
    double re, im;
} Pair;

#define DEFINE_HALVES(suffix, Real)                                                                \
    static inline Pair get_##suffix(const char *from)                                              \
    {                                                                                              \
        Real parts[2];                                                                             \
        memcpy(parts, from, sizeof parts);                                                         \
        return (Pair){parts[0], parts[1]};                                                         \
    }                                                                                              \
                                                                                                   \
    static inline void put_##suffix(char *to, double re, double im)                                \
    {                                                                                              \
        const Real parts[2] = {(Real)re, (Real)im};                                                \
        memcpy(to, parts, sizeof parts);                                                           \
    }                                                                                              \
                                                                                                   \
    /* In place: Z becomes X, which has one element more. */                                       \
    static void part_##suffix(const Halves *h, char *line)                                         \
    {                                                                                              \
        const int64_t m = h->m, size = 2 * (int64_t)sizeof(Real);                                  \
        const double s = h->scale / 2, sign = h->conjugate ? -1 : 1;                               \
        const Pair z0 = get_##suffix(line);                                                        \
        for (int64_t k = 1; k <= m - k; k++) {                                                     \
            const Pair a = get_##suffix(line + k * size);                                          \
            const Pair b = get_##suffix(line + (m - k) * size);                                    \
            const Pair u = get_##suffix(h->roots + k * size);                                      \
            const Pair e = {a.re + b.re, a.im - b.im}, d = {a.re - b.re, a.im + b.im};             \
            const Pair o = {u.re * d.im + u.im * d.re, u.im * d.im - u.re * d.re};                 \
            put_##suffix(line + k * size, s * (e.re + o.re), sign * s * (e.im + o.im));            \
            put_##suffix(line + (m - k) * size, s * (e.re - o.re), sign * s * (o.im - e.im));      \
        }                                                                                          \
        put_##suffix(line, h->scale * (z0.re + z0.im), 0);                                         \
        put_##suffix(line + m * size, h->scale * (z0.re - z0.im), 0);                              \
    }                                                                                              \
                                                                                                   \
    static inline Pair given_##suffix(const Halves *h, const char *line, int64_t stride,           \
                                      int64_t k)                                                   \
    {                                                                                              \
        Pair x = {0, 0};                                                                           \
        if (k < h->given) {                                                                        \
            x = get_##suffix(line + k * stride);                                                   \
        }                                                                                          \
        x.im = k == 0 || k == h->m ? 0 : h->conjugate ? -x.im : x.im;                              \
        return x;                                                                                  \
    }                                                                                              \
                                                                                                   \
    /* X to twice Z: the transform back to n points adds up twice as many terms. */                \
    static void join_##suffix(const Halves *h, const char *from, int64_t stride, char *to)         \
    {                                                                                              \
        const int64_t m = h->m, size = 2 * (int64_t)sizeof(Real);                                  \
        const double s = h->scale;                                                                 \
        for (int64_t k = 0; k <= m - k; k++) {                                                     \
            const Pair a = given_##suffix(h, from, stride, k);                                     \
            const Pair b = given_##suffix(h, from, stride, m - k);                                 \
            const Pair u = get_##suffix(h->roots + k * size);                                      \
            const Pair e = {a.re + b.re, a.im - b.im}, d = {a.re - b.re, a.im + b.im};             \
            const Pair o = {u.im * d.re - u.re * d.im, u.re * d.re + u.im * d.im};                 \
            put_##suffix(to + k * size, s * (e.re + o.re), s * (e.im + o.im));                     \
            if (k > 0 && k < m - k) {                                                              \
                put_##suffix(to + (m - k) * size, s * (e.re - o.re), s * (o.im - e.im));           \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_HALVES(f64, double)
DEFINE_HALVES(f32, float)
#undef DEFINE_HALVES

/* Where the line of that number begins; lines are all axes but the last. */
static char *
line_of(const Operand *operand, int64_t number)
{
    char *at = operand->data;
    for (int d = operand->ndim - 2; d >= 0; d--) {
        at += number % operand->shape[d] * operand->strides[d];
        number /= operand->shape[d];
    }
    return at;
}

static void
run_lines(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Halves *h = ctx;
    const bool wide = dtype_real(h->out->dtype) == DT_f64;
    const int64_t stride = h->in->strides[h->in->ndim - 1];
    (void)thread;
    for (int64_t line = begin; line < end; line++) {
        char *const out = line_of(h->out, line);
        if (!h->back && wide) {
            part_f64(h, out);
        } else if (!h->back) {
            part_f32(h, out);
        } else if (wide) {
            join_f64(h, line_of(h->in, line), stride, out);
        } else {
            join_f32(h, line_of(h->in, line), stride, out);
        }
    }
}

static Status
run_halves(Halves *h, int64_t lines)
{
    return pool_run(lines, 1 + CHUNK_POINTS / h->m, run_lines, h);
}

/* The complex transform of m points between operands over complex numbers, unscaled. */
static Status
transform(double sign, int64_t m, const Operand *in, const Operand *out)
{
    const int64_t params[] = {sign > 0 ? 1 : -1, 0, 1, in->ndim - 1, m, 0, 0, m};
    Call call = {.op = OP_fft_c2c, .nin = 1, .nparams = 8, .in = {*in}, .out = *out};
    call.params = params;
    return cpu_fft_c2c(&call);
}

/* The same memory with other elements along the last axis. */
static Operand
complex_lines(const Operand *from, int64_t count, int64_t *shape, int64_t *strides)
{
    const size_t bytes = (size_t)from->ndim * sizeof(int64_t);
    const DType real = dtype_real(from->dtype), dtype = dtype_complex(real);
    memcpy(shape, from->shape, bytes);
    memcpy(strides, from->strides, bytes);
    shape[from->ndim - 1] = count;
    strides[from->ndim - 1] = dtype_size(dtype);
    return (Operand){from->data, dtype, from->ndim, shape, strides};
}

static bool
is_ours(const Call *call, const Operand *real, int64_t lines)
{
    const int64_t n = call->params[3], last = real->shape[real->ndim - 1];
    double work;
    const FftWindow window = {n / 2, 0, n / 2, 0, n / 2};
    return call->params[2] == real->ndim - 1 && n % 2 == 0 && last % 2 == 0 && last > 0 &&
           n <= MOST_POINTS && lines >= LEAST_LINES && fft_points(&window, &work) == n / 2 &&
           real->strides[real->ndim - 1] == dtype_size(real->dtype);
}

static Halves
halves_of(const Call *call, const FftPlan *roots, bool back)
{
    const double n = (double)call->params[3], norm = (double)call->params[1];
    return (Halves){.roots = fft_plan_roots(roots),
                    .m = call->params[3] / 2,
                    .given = call->in[0].shape[call->in[0].ndim - 1],
                    .scale = norm == 0 ? 1 : norm == 1 ? 1 / sqrt(n) : 1 / n,
                    .back = back,
                    .conjugate = (call->params[0] > 0) != back};
}

static FftPlan *
roots_of(const Call *call)
{
    const FftWindow window = {.n = call->params[3]};
    return fft_plan_get(&window, FFT_ROOTS, dtype_real(call->out.dtype));
}

Status
cpu_fft_r2c(const Call *call)
{
    const Operand *in = &call->in[0], *out = &call->out;
    const int64_t m = call->params[3] / 2, lines = operand_size(out) / (m + 1);
    int64_t shapes[2][ARRAY_MAX_NDIM], strides[2][ARRAY_MAX_NDIM];
    if (!is_ours(call, in, lines)) {
        return cpu_run_on_host(call);
    }
    FftPlan *roots = roots_of(call);
    if (roots == NULL) {
        return STATUS_ERROR;
    }
    const int64_t given = in->shape[in->ndim - 1] / 2;
    const Operand from = complex_lines(in, given, shapes[0], strides[0]);
    const Operand to = complex_lines(out, m, shapes[1], strides[1]);
    Halves h = halves_of(call, roots, false);
    h.in = h.out = &to;
    Status status = transform(-1, m, &from, &to);
    if (status == STATUS_OK) {
        status = run_halves(&h, lines);
    }
    fft_plan_release(roots);
    return status;
}

static Status
transform_back(const Call *call, const FftPlan *roots, int64_t lines)
{
    const int64_t m = call->params[3] / 2;
    int64_t shapes[2][ARRAY_MAX_NDIM], strides[2][ARRAY_MAX_NDIM];
    const Operand to = complex_lines(&call->out, m, shapes[0], strides[0]);
    Operand half = complex_lines(&call->out, m, shapes[1], strides[1]);
    const int64_t item = dtype_size(half.dtype);
    half.data = mem_new_array(lines * m, (size_t)item);
    if (half.data == NULL) {
        return STATUS_ERROR;
    }
    Halves h = halves_of(call, roots, true);
    h.in = &call->in[0];
    h.out = &half; /* it lies in C order, as the output does */
    Status status = run_halves(&h, lines);
    if (status == STATUS_OK) {
        status = transform(1, m, &half, &to);
    }
    mem_free(half.data, (size_t)(lines * m * item));
    return status;
}

Status
cpu_fft_c2r(const Call *call)
{
    const int64_t n = call->params[3], lines = n == 0 ? 0 : operand_size(&call->out) / n;
    if (call->in[0].shape[call->params[2]] == 0 || !is_ours(call, &call->out, lines)) {
        return cpu_run_on_host(call);
    }
    FftPlan *roots = roots_of(call);
    if (roots == NULL) {
        return STATUS_ERROR;
    }
    const Status status = transform_back(call, roots, lines);
    fft_plan_release(roots);
    return status;
}
