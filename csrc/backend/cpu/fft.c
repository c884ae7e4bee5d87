/* backend/cpu/fft.c -- complex Fourier transforms: order of axes, lines to threads.
 *
 * One axis at a time, several lines side by side (kernels/fft.c). Of each axis only the
 * elements that are given are read and only those that are wanted written, and axes are done
 * in the order that leaves the fewest lines to the others. Every line is computed alike
 * whatever lies beside it, so bits do not depend on the number of threads. Few long lines go
 * to the host language.
 */
#include "backend/cpu/fft_plan.h"

#include "backend/cpu/kernels/fft.h"

#include "backend/cpu/cpu.h"
#include "backend/cpu/iterate.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/pool.h"
#include "ops/infer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
    CHUNK_WORK = 1 << 17, /* points times log2(points) worth handing to another thread */
    SHARES = 8, /* of a thread: in each, lines follow one another */
    POINTS_MAX_ALONE = 1 << 10 /* of a few lines, which leave lanes idle */
};

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
    const size_t bytes = (size_t)job->pass.room * (size_t)job->kernel->scratch;
    Chunk chunk = {job, mem_new(bytes)};
    (void)thread;
    if (chunk.scratch == NULL) {
        atomic_store(&job->out_of_memory, 1);
        return;
    }
    iterate_run(&job->it, job->data, begin, end, transform_run, &chunk);
    mem_free(chunk.scratch, bytes);
}

/* What a call asks of one axis, and how it is done. */
typedef struct Axis {
    int axis;
    FftWindow window;
    int64_t points;
    double work;
} Axis;

static Status
transform_axis(const Call *call, const Axis *a, const Operand *in, const Operand *out)
{
    const DType real = dtype_real(in->dtype);
    const FftWindow *w = &a->window;
    const double n = (double)w->n, norm = (double)call->params[1];
    int64_t shape[ARRAY_MAX_NDIM];
    FftPlan *plan = fft_plan_get(w, a->points, real);
    if (plan == NULL) {
        return STATUS_ERROR;
    }
    Job job = {
        .pass = {.n = w->n, .first = w->first, .count = w->count, .out_first = w->out_first,
                 .keep = w->keep, .in_stride = in->strides[a->axis],
                 .out_stride = out->strides[a->axis], .inverse = call->params[0] > 0,
                 .scale = norm == 0 ? 1 : norm == 1 ? 1 / sqrt(n) : 1 / n},
        .kernel = cpu_fft_kernel(real),
        .data = {out->data, in->data},
    };
    fft_plan_fill(plan, &job.pass);
    memcpy(shape, in->shape, (size_t)in->ndim * sizeof *shape);
    shape[a->axis] = 1;
    iterate_init(&job.it, in->ndim, shape, 2, (const int64_t *[]){out->strides, in->strides},
                 ITERATE_REORDER);
    const int64_t lanes = job.kernel->lanes;
    const int64_t least = lanes * (1 + (int64_t)(CHUNK_WORK / (a->work * (double)lanes)));
    const int64_t share = job.it.size / (SHARES * (int64_t)pool_size()) / lanes * lanes;
    const int64_t grain = share > least ? share : least;
    const Status status = pool_run(job.it.size, grain, transform_chunk, &job);
    fft_plan_release(plan);
    if (status == STATUS_OK && atomic_load(&job.out_of_memory)) {
        return err_set(ERR_MEMORY, "fft: no memory for a workspace of %jd bytes",
                       (intmax_t)(job.pass.room * job.kernel->scratch));
    }
    return status;
}

/* ---- several axes ---- */

/* The more an axis shrinks for its work, the earlier: a before b when
 * work(a) len(b) + work(b) keep(a) < work(b) len(a) + work(a) keep(b). */
static double
gain(const Axis *a)
{
    return (double)(a->window.count - a->window.keep) / a->work;
}

static void
sort_axes(Axis *axes, int count)
{
    for (int i = 1; i < count; i++) {
        const Axis a = axes[i];
        int at = i;
        for (; at > 0 && gain(&axes[at - 1]) < gain(&a); at--) {
            axes[at] = axes[at - 1];
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
    b->shape[a->axis] = a->window.keep;
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
            last = last && axes[k].window.keep == axes[k].window.count;
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

/* How an axis is done; false when it is not ours: few long lines leave most lanes idle. */
static bool
axis_init(Axis *a, const Call *call, const int64_t *p)
{
    a->axis = (int)p[0];
    a->window = (FftWindow){p[1], p[2], call->in[0].shape[p[0]], p[3], p[4]};
    a->points = fft_points(&a->window, &a->work);
    const int64_t lines = operand_size(&call->out) / a->window.keep;
    const int lanes = cpu_fft_kernel(dtype_real(call->out.dtype))->lanes;
    const int64_t points =
        a->points == FFT_BY_MATRICES ? a->window.count + a->window.keep : a->points;
    return points > 0 && (2 * lines >= lanes || points <= POINTS_MAX_ALONE);
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
    for (int i = 0; i < count && own; i++) {
        own = axis_init(&axes[count - 1 - i], call, call->params + 3 + FFT_AXIS_PARAMS * i);
    }
    if (!own) {
        return cpu_run_on_host(call);
    }
    sort_axes(axes, count);
    return transform_axes(call, axes, count);
}
