/* backend/cpu/fft.c -- complex Fourier transforms: plans, order of axes, lines to threads.
 *
 * One axis at a time, several lines side by side (kernels/fft.c). Of each axis only the
 * elements that are given are read and only those that are wanted written, and axes are done
 * in the order that leaves the fewest lines to the others. Every line is computed alike
 * whatever lies beside it, so bits do not depend on the number of threads. Lengths with a
 * prime factor above 13, and few long lines, go to the host language.
 */
#include "backend/cpu/kernels/fft.h"

#include "backend/cpu/cpu.h"
#include "backend/cpu/iterate.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/pool.h"
#include "ops/infer.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    PLANS = 32,           /* plans kept */
    CHUNK_WORK = 1 << 17, /* points times log2(length) worth handing to another thread */
    N_MAX = 1 << 16,      /* longest line whose scratch fits a cache */
    N_MAX_ALONE = 1 << 10 /* the same for a few lines, which leave lanes idle */
};

/* ---- plans ---- */

typedef struct Plan {
    int64_t n;
    DType real;
    int nfactors, users;
    uint64_t used; /* when last; 0: not kept */
    size_t bytes;
    uint8_t factors[FFT_MAX_FACTORS];
    _Alignas(16) char twiddles[];
} Plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Plan *plans[PLANS];
static uint64_t now;

/* The radices of n in the order of passes, how many; -1 when a prime factor has none. */
static int
factorise(int64_t n, uint8_t *factors)
{
    static const uint8_t odd[] = {13, 11, 7, 5, 3};
    int count = 0, twos = 0;
    for (size_t i = 0; i < sizeof odd; i++) {
        for (; n % odd[i] == 0; n /= odd[i]) {
            factors[count++] = odd[i];
        }
    }
    for (; n % 2 == 0; n /= 2) {
        twos++;
    }
    while (twos > 0) { /* two fours are better than an eight and a two */
        const int bits = twos == 4 || twos == 2 ? 2 : twos >= 3 ? 3 : 1;
        factors[count++] = (uint8_t)(1 << bits);
        twos -= bits;
    }
    return n == 1 ? count : -1;
}

/* exp(2 pi i k / n), 0 <= k < n, from an angle in the first octant. */
static void
root(int64_t k, int64_t n, double *c, double *s)
{
    int64_t x = 8 * k;
    const bool below = x > 4 * n;
    x = below ? 8 * n - x : x;
    const bool left = x > 2 * n;
    x = left ? 4 * n - x : x;
    const bool steep = x > n;
    x = steep ? 2 * n - x : x;
    const double angle = 0.78539816339744830962 * (double)x / (double)n;
    const double a = cos(angle), b = sin(angle);
    *c = (steep ? b : a) * (left ? -1 : 1);
    *s = (steep ? a : b) * (below ? -1 : 1);
}

static char *
put(char *to, DType real, double re, double im)
{
    const double wide[2] = {re, im};
    const float narrow[2] = {(float)re, (float)im};
    const size_t size = real == DT_f64 ? sizeof wide : sizeof narrow;
    memcpy(to, real == DT_f64 ? (const void *)wide : narrow, size);
    return to + size;
}

static Plan *
plan_new(int64_t n, DType real)
{
    uint8_t factors[FFT_MAX_FACTORS];
    const int nfactors = factorise(n, factors);
    int64_t count = 0, m = n;
    for (int i = 0; i < nfactors; i++) {
        m /= factors[i];
        count += (factors[i] % 2 ? factors[i] : 0) + (factors[i] - 1) * m;
    }
    const size_t bytes = sizeof(Plan) + (size_t)(count * 2 * dtype_size(real));
    Plan *plan = mem_new(bytes);
    if (plan == NULL) {
        return NULL;
    }
    *plan = (Plan){.n = n, .real = real, .nfactors = nfactors, .bytes = bytes};
    memcpy(plan->factors, factors, sizeof factors);
    char *to = plan->twiddles;
    double c, s;
    m = n;
    for (int i = 0; i < nfactors; i++) {
        const int64_t r = factors[i], length = m;
        m /= r;
        for (int64_t j = 0; r % 2 && j < r; j++) {
            root(j, r, &c, &s);
            to = put(to, real, c, s);
        }
        for (int64_t p = 0; p < m; p++) {
            for (int64_t k = 1; k < r; k++) {
                root(p * k, length, &c, &s);
                to = put(to, real, c, -s);
            }
        }
    }
    return plan;
}

static void
plan_free(Plan *plan)
{
    if (plan != NULL) {
        mem_free(plan, plan->bytes);
    }
}

/* A plan that its user gives back. */
static Plan *
plan_get(int64_t n, DType real)
{
    Plan *found = NULL, **slot = NULL;
    uint64_t least = UINT64_MAX;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < PLANS && found == NULL; i++) {
        Plan *const plan = plans[i];
        const uint64_t age = plan == NULL ? 0 : plan->users > 0 ? UINT64_MAX : plan->used;
        if (plan != NULL && plan->n == n && plan->real == real) {
            found = plan;
        } else if (age < least) {
            least = age;
            slot = &plans[i];
        }
    }
    if (found == NULL && (found = plan_new(n, real)) != NULL && slot != NULL) {
        plan_free(*slot);
        *slot = found;
        found->used = 1;
    }
    if (found != NULL) {
        found->users++;
        found->used = found->used == 0 ? 0 : ++now;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void
plan_release(Plan *plan)
{
    pthread_mutex_lock(&lock);
    if (--plan->users == 0 && plan->used == 0) {
        plan_free(plan);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- one axis ---- */

typedef struct Job {
    FftPass pass;
    const FftKernel *kernel;
    Iterate it;
    char *data[2]; /* out, in */
    atomic_int out_of_memory;
} Job;

typedef struct Chunk {
    const Job *job;
    void *scratch;
} Chunk;

static void
transform_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    const Chunk *chunk = ctx;
    const FftKernel *kernel = chunk->job->kernel;
    for (int64_t i = 0; i < n; i += kernel->lanes) {
        const FftLines lines = {
            .in = data[1] + i * strides[1],
            .out = data[0] + i * strides[0],
            .in_step = strides[1],
            .out_step = strides[0],
            .count = n - i < kernel->lanes ? (int)(n - i) : kernel->lanes,
        };
        kernel->run(&chunk->job->pass, &lines, chunk->scratch);
    }
}

static void
transform_chunk(void *ctx, int64_t begin, int64_t end, int thread)
{
    Job *job = ctx;
    const size_t bytes = (size_t)job->pass.n * (size_t)job->kernel->scratch;
    Chunk chunk = {job, mem_new(bytes)};
    (void)thread;
    if (chunk.scratch == NULL) {
        atomic_store(&job->out_of_memory, 1);
        return;
    }
    iterate_run(&job->it, job->data, begin, end, transform_run, &chunk);
    mem_free(chunk.scratch, bytes);
}

/* What a call asks of one axis. */
typedef struct Axis {
    int axis;
    int64_t n, first, out_first, keep;
} Axis;

static double
work_of(int64_t n)
{
    return (double)n * log2((double)n + 1);
}

static Status
transform_axis(const Call *call, const Axis *a, const Operand *in, const Operand *out)
{
    const DType real = dtype_real(in->dtype);
    const double n = (double)a->n, norm = (double)call->params[1];
    int64_t shape[ARRAY_MAX_NDIM];
    Plan *plan = plan_get(a->n, real);
    if (plan == NULL) {
        return STATUS_ERROR;
    }
    Job job = {
        .pass = {.n = a->n, .first = a->first, .count = in->shape[a->axis],
                 .out_first = a->out_first, .keep = a->keep,
                 .in_stride = in->strides[a->axis], .out_stride = out->strides[a->axis],
                 .inverse = call->params[0] > 0,
                 .scale = norm == 0 ? 1 : norm == 1 ? 1 / sqrt(n) : 1 / n,
                 .nfactors = plan->nfactors, .factors = plan->factors,
                 .twiddles = plan->twiddles},
        .kernel = cpu_fft_kernel(real),
        .data = {out->data, in->data},
    };
    memcpy(shape, in->shape, (size_t)in->ndim * sizeof *shape);
    shape[a->axis] = 1;
    iterate_init(&job.it, in->ndim, shape, 2, (const int64_t *[]){out->strides, in->strides},
                 ITERATE_REORDER);
    const int64_t lanes = job.kernel->lanes;
    const int64_t grain = lanes * (1 + (int64_t)(CHUNK_WORK / (work_of(a->n) * (double)lanes)));
    const Status status = pool_run(job.it.size, grain, transform_chunk, &job);
    plan_release(plan);
    if (status == STATUS_OK && atomic_load(&job.out_of_memory)) {
        return err_set(ERR_MEMORY, "fft: no memory for a workspace of %jd bytes",
                       (intmax_t)(a->n * job.kernel->scratch));
    }
    return status;
}

/* ---- several axes ---- */

/* The more an axis shrinks for its work, the earlier: a before b when
 * work(a) len(b) + work(b) keep(a) < work(b) len(a) + work(a) keep(b). */
static void
sort_axes(Axis *axes, int count, const int64_t *shape)
{
    for (int i = 1; i < count; i++) {
        const Axis a = axes[i];
        const double gain = (double)(shape[a.axis] - a.keep) / work_of(a.n);
        int at = i;
        for (; at > 0; at--) {
            const Axis *b = &axes[at - 1];
            if ((double)(shape[b->axis] - b->keep) / work_of(b->n) >= gain) {
                break;
            }
            axes[at] = *b;
        }
        axes[at] = a;
    }
}

/* An operand in C order at `data`; its strides are in `strides`. */
static Operand
dense(char *data, DType dtype, int ndim, const int64_t *shape, int64_t *strides)
{
    int64_t stride = dtype_size(dtype);
    for (int i = ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape[i];
    }
    return (Operand){data, dtype, ndim, shape, strides};
}

typedef struct Buffer {
    char *data;
    size_t bytes;
    int64_t shape[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
} Buffer;

static Status
buffer_new(Buffer *b, const Operand *like, const Axis *a)
{
    int64_t count;
    memcpy(b->shape, like->shape, (size_t)like->ndim * sizeof(int64_t));
    b->shape[a->axis] = a->keep;
    if (!checked_product(b->shape, like->ndim, &count)) {
        return err_set(ERR_VALUE, "fft: array is too big");
    }
    b->data = mem_new_array(count, (size_t)dtype_size(like->dtype));
    b->bytes = (size_t)(count * dtype_size(like->dtype));
    return b->data == NULL ? STATUS_ERROR : STATUS_OK;
}

/* Results of the shape that is wanted go straight to the output, and there in place. */
static Status
transform_axes(const Call *call, const Axis *axes, int count)
{
    Operand from = call->in[0];
    Buffer buffers[2] = {{0}};
    Status status = STATUS_OK;
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        Buffer *const b = &buffers[i % 2];
        Operand to = call->out;
        bool last = true;
        for (int k = i + 1; k < count; k++) {
            last = last && axes[k].keep == from.shape[axes[k].axis];
        }
        mem_free(b->data, b->bytes);
        b->data = NULL;
        if (!last && (status = buffer_new(b, &from, &axes[i])) == STATUS_OK) {
            to = dense(b->data, from.dtype, from.ndim, b->shape, b->strides);
        }
        if (status == STATUS_OK) {
            status = transform_axis(call, &axes[i], &from, &to);
        }
        from = to;
    }
    mem_free(buffers[0].data, buffers[0].bytes);
    mem_free(buffers[1].data, buffers[1].bytes);
    return status;
}

/* Is the transform of an axis ours? Long lines that leave most lanes idle are not. */
static bool
is_own(const Call *call, const Axis *a)
{
    uint8_t factors[FFT_MAX_FACTORS];
    const int64_t lines = operand_size(&call->out) / a->keep;
    const int lanes = cpu_fft_kernel(dtype_real(call->out.dtype))->lanes;
    return a->n <= (2 * lines < lanes ? N_MAX_ALONE : N_MAX) && factorise(a->n, factors) >= 0;
}

Status
cpu_fft_c2c(const Call *call)
{
    Axis axes[ARRAY_MAX_NDIM];
    const int count = (int)call->params[2];
    if (operand_size(&call->out) == 0) {
        return STATUS_OK;
    }
    bool own = count > 0;
    for (int i = 0; i < count; i++) {
        const int64_t *p = call->params + 3 + FFT_AXIS_PARAMS * i;
        axes[count - 1 - i] = (Axis){(int)p[0], p[1], p[2], p[3], p[4]};
        own = own && is_own(call, &axes[count - 1 - i]);
    }
    if (!own) {
        return cpu_run_on_host(call);
    }
    sort_axes(axes, count, call->in[0].shape);
    return transform_axes(call, axes, count);
}
