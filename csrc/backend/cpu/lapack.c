/* backend/cpu/lapack.c -- factorisations, solves and eigensystems over the last two axes.
 *
 * Memory that is row-major to us is the transposed matrix to LAPACK. A stack of matrices is
 * shared out over the pool; each matrix is worked on by one thread.
 */
#include "backend/cpu/blas.h"
#include "backend/cpu/cpu.h"

#include "base/mem.h"
#include "base/pool.h"

#include <complex.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { STACK_WORK = 1 << 15 /* multiplications worth handing to another thread */ };

typedef struct Job Job;
/* Work on matrix `index`, with workspace of job->scratch bytes. Nonzero: it has failed. */
typedef int (*JobFn)(const Job *job, int64_t index, char *scratch);

struct Job {
    const Call *call;
    const Blas *blas;
    JobFn run;
    const char *failure; /* text of ERR_LINALG when run says so */
    DType dtype;
    int64_t size;        /* bytes of an element */
    int64_t n, k;        /* matrix n x n; k columns on the right */
    size_t scratch;
    size_t second;       /* offset of what follows the matrix in the workspace */
    int workspace[3];    /* eigh */
    atomic_int failed, out_of_memory;
};

/* Copy matrix `index` of an operand broadcast to the output's stack, row- or column-major. */
static void
matrix_load(const Job *job, const Operand *operand, int64_t index, bool by_columns, char *to)
{
    const Operand *out = &job->call->out;
    const char *from = operand->data;
    const int nd = operand->ndim;
    const int nbatch = out->ndim - (job->call->op == OP_det_sign || job->call->op == OP_det_logabs
                                        ? 0
                                        : 2);
    for (int i = nbatch - 1; i >= 0; i--) {
        const int axis = i - nbatch + nd - 2;
        if (axis >= 0 && operand->shape[axis] != 1) {
            from += index % out->shape[i] * operand->strides[axis];
        }
        index /= out->shape[i];
    }
    int64_t rows = operand->shape[nd - 2], columns = operand->shape[nd - 1];
    int64_t down = operand->strides[nd - 2], along = operand->strides[nd - 1];
    if (by_columns) {
        int64_t swap = rows;
        rows = columns;
        columns = swap;
        swap = down;
        down = along;
        along = swap;
    }
    for (int64_t i = 0; i < rows; i++, from += down) {
        if (along == job->size) {
            memcpy(to, from, (size_t)(columns * job->size));
            to += columns * job->size;
            continue;
        }
        for (int64_t j = 0; j < columns; j++, to += job->size) {
            memcpy(to, from + j * along, (size_t)job->size);
        }
    }
}

static int
run_cholesky(const Job *job, int64_t index, char *scratch)
{
    (void)scratch;
    const int64_t n = job->n;
    char *l = job->call->out.data + index * n * n * job->size;
    matrix_load(job, &job->call->in[0], index, false, l);
    /* To LAPACK this is conj(A) = U^H U by its upper triangle, and U^T = L lies where we
     * look for it. */
    const int info = job->blas->potrf('U', (int)n, l);
    for (int64_t i = 0; i < n; i++) {
        memset(l + (i * n + i + 1) * job->size, 0, (size_t)((n - 1 - i) * job->size));
    }
    return info;
}

static int
run_inv(const Job *job, int64_t index, char *scratch)
{
    const int64_t n = job->n;
    char *x = job->call->out.data + index * n * n * job->size;
    int *pivots = (int *)(scratch + job->second);
    matrix_load(job, &job->call->in[0], index, false, scratch);
    const int info = job->blas->getrf((int)n, scratch, pivots);
    if (info != 0) {
        return info;
    }
    memset(x, 0, (size_t)(n * n * job->size));
    for (int64_t i = 0; i < n; i++) {
        char *diagonal = x + (i * n + i) * job->size;
        if (job->dtype == DT_f32 || job->dtype == DT_c64) {
            *(float *)diagonal = 1;
        } else {
            *(double *)diagonal = 1;
        }
    }
    return job->blas->getrs('N', (int)n, (int)n, scratch, pivots, x);
}

static int
run_solve(const Job *job, int64_t index, char *scratch)
{
    const int64_t n = job->n, k = job->k, size = job->size;
    char *x = job->call->out.data + index * n * k * size;
    int *pivots = (int *)(scratch + job->second);
    char *right = scratch + n * n * size;
    matrix_load(job, &job->call->in[0], index, true, scratch);
    const int info = job->blas->getrf((int)n, scratch, pivots);
    if (info != 0) {
        return info;
    }
    matrix_load(job, &job->call->in[1], index, true, right);
    job->blas->getrs('N', (int)n, (int)k, scratch, pivots, right);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < k; j++, x += size) {
            memcpy(x, right + (j * n + i) * size, (size_t)size);
        }
    }
    return 0;
}

static bool
is_zero(DType dtype, const char *element)
{
    switch (dtype) {
    case DT_f32:
        return *(const float *)element == 0;
    case DT_f64:
        return *(const double *)element == 0;
    case DT_c64:
        return ((const float *)element)[0] == 0 && ((const float *)element)[1] == 0;
    default:
        return ((const double *)element)[0] == 0 && ((const double *)element)[1] == 0;
    }
}

static int
run_solve_triangular(const Job *job, int64_t index, char *scratch)
{
    const int64_t n = job->n, k = job->k, size = job->size;
    const int64_t *params = job->call->params;
    static const int modes[] = {BLAS_PLAIN, BLAS_TRANSPOSE, BLAS_ADJOINT};
    char *x = job->call->out.data + index * n * k * size;
    matrix_load(job, &job->call->in[0], index, false, scratch);
    matrix_load(job, &job->call->in[1], index, false, x);
    for (int64_t i = 0; i < n && !params[2]; i++) {
        if (is_zero(job->dtype, scratch + (i * n + i) * size)) {
            return 1;
        }
    }
    job->blas->trsm(params[0] ? BLAS_LOWER : BLAS_UPPER, modes[params[1]],
                    params[2] ? BLAS_UNIT : BLAS_NONUNIT, (int)n, (int)k, scratch, (int)n, x,
                    (int)k);
    return 0;
}

#define REAL_PHASE(u, size) ((u) < 0 ? -1 : 1) /* of NaN as NumPy's */
#define COMPLEX_PHASE(u, size) ((u) / (size))

/* Writes the sign or phase, or the log of the size, of the determinant given its LU factors. */
#define DEFINE_DET(s, T, R, ABS, LOG, PHASE)                                                       \
    static void det_##s(const char *memory, const int *pivots, int64_t n, bool singular,           \
                        bool wants_sign, char *to)                                                 \
    {                                                                                              \
        const T *lu = (const T *)memory;                                                           \
        T sign = singular ? 0 : 1;                                                                 \
        R sum = singular ? -(R)INFINITY : 0;                                                       \
        for (int64_t i = 0; i < n && !singular; i++) {                                             \
            const T u = lu[i * n + i];                                                             \
            const R size = ABS(u);                                                                 \
            sign = sign * PHASE(u, size);                                                          \
            sign = pivots[i] == i + 1 ? sign : -sign;                                              \
            sum += LOG(size);                                                                      \
        }                                                                                          \
        memcpy(to, wants_sign ? (const void *)&sign : &sum, wants_sign ? sizeof sign : sizeof sum);\
    }

DEFINE_DET(f32, float, float, fabsf, logf, REAL_PHASE)
DEFINE_DET(f64, double, double, fabs, log, REAL_PHASE)
DEFINE_DET(c64, float _Complex, float, cabsf, logf, COMPLEX_PHASE)
DEFINE_DET(c128, double _Complex, double, cabs, log, COMPLEX_PHASE)

static int
run_det(const Job *job, int64_t index, char *scratch)
{
    void (*const det)(const char *, const int *, int64_t, bool, bool, char *) =
        job->dtype == DT_f32   ? det_f32
        : job->dtype == DT_f64 ? det_f64
        : job->dtype == DT_c64 ? det_c64
                               : det_c128;
    const int64_t n = job->n;
    int *pivots = (int *)(scratch + job->second);
    matrix_load(job, &job->call->in[0], index, false, scratch);
    const bool singular = n > 0 && job->blas->getrf((int)n, scratch, pivots) > 0;
    det(scratch, pivots, n, singular, job->call->op == OP_det_sign,
        job->call->out.data + index * dtype_size(job->call->out.dtype));
    return 0;
}

static int
run_eigh(const Job *job, int64_t index, char *scratch)
{
    const int64_t n = job->n, size = job->size;
    const int64_t real = dtype_size(dtype_real(job->dtype));
    char *out = job->call->out.data + index * n * (n + 1) * size;
    char *w = scratch + job->second, *work = w + (n * real + 63) / 64 * 64;
    char *rwork = work + (job->workspace[0] * size + 63) / 64 * 64;
    char *iwork = rwork + (job->workspace[1] * real + 63) / 64 * 64;
    int sizes[3];
    memcpy(sizes, job->workspace, sizeof sizes);
    matrix_load(job, &job->call->in[0], index, true, scratch);
    const int info = job->blas->heevd(job->call->params[0] ? 'L' : 'U', (int)n, scratch, w, work,
                                      rwork, (int *)iwork, sizes);
    if (info != 0) {
        return info;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++, out += size) {
            memcpy(out, scratch + (j * n + i) * size, (size_t)size);
        }
        memset(out, 0, (size_t)size);
        memcpy(out, w + i * real, (size_t)real);
        out += size;
    }
    return 0;
}

static void
run_stack(void *ctx, int64_t begin, int64_t end, int thread)
{
    Job *job = ctx;
    (void)thread;
    char *scratch = mem_new(job->scratch);
    if (scratch == NULL) {
        atomic_store(&job->out_of_memory, 1);
        return;
    }
    for (int64_t i = begin; i < end && !atomic_load(&job->failed); i++) {
        if (job->run(job, i, scratch) != 0) {
            atomic_store(&job->failed, 1);
        }
    }
    mem_free(scratch, job->scratch);
}

/* Fill in the sizes and run over the stack. `extra`: bytes of workspace after the matrix. */
static Status
job_run(Job *job, int64_t extra)
{
    const Operand *out = &job->call->out;
    const int64_t matrix = (job->n * (job->n + job->k) * job->size + 63) / 64 * 64;
    const bool is_det = job->run == run_det;
    int64_t stack = 1;
    if (job->n > INT_MAX / 2 || job->k > INT_MAX / 2) {
        return err_set(ERR_VALUE, "%s: a matrix with %jd rows and %jd columns is too large",
                       op_info(job->call->op)->name, (intmax_t)job->n, (intmax_t)job->k);
    }
    for (int i = 0; i < out->ndim - (is_det ? 0 : 2); i++) {
        stack *= out->shape[i];
    }
    job->second = (size_t)matrix;
    job->scratch = (size_t)(matrix + extra);
    const double work = (double)job->n * (double)job->n * (double)(job->n + job->k) + 1;
    const int64_t grain = work >= STACK_WORK ? 1 : (int64_t)(STACK_WORK / work) + 1;
    const bool nothing = job->call->nin > 1 ? job->n == 0 || job->k == 0 : job->n == 0 && !is_det;
    if (stack == 0 || nothing) {
        return STATUS_OK;
    }
    if (pool_run(stack, grain, run_stack, job) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (atomic_load(&job->out_of_memory)) {
        return err_set(ERR_MEMORY, "%s: no memory for a workspace of %zu bytes",
                       op_info(job->call->op)->name, job->scratch);
    }
    if (atomic_load(&job->failed)) {
        return err_set(ERR_LINALG, "%s", job->failure);
    }
    return STATUS_OK;
}

/* A job on the call's first input, of which only the work is left to say. */
static Job
job_of(const Call *call, JobFn run, const char *failure)
{
    const Operand *a = &call->in[0];
    Job job = {.call = call, .run = run, .failure = failure, .dtype = a->dtype};
    job.blas = blas_of(a->dtype);
    job.size = dtype_size(a->dtype);
    job.n = a->shape[a->ndim - 1];
    if (call->nin > 1) {
        job.k = call->out.shape[call->out.ndim - 1];
    }
    return job;
}

Status
cpu_cholesky(const Call *call)
{
    Job job = job_of(call, run_cholesky, "Matrix is not positive definite");
    return job_run(&job, 0);
}

Status
cpu_inv(const Call *call)
{
    Job job = job_of(call, run_inv, "Singular matrix");
    return job_run(&job, job.n * (int64_t)sizeof(int));
}

Status
cpu_solve(const Call *call)
{
    Job job = job_of(call, run_solve, "Singular matrix");
    return job_run(&job, job.n * (int64_t)sizeof(int));
}

Status
cpu_solve_triangular(const Call *call)
{
    Job job = job_of(call, run_solve_triangular, "Singular matrix");
    return job_run(&job, 0);
}

Status
cpu_det_sign(const Call *call)
{
    Job job = job_of(call, run_det, "");
    return job_run(&job, job.n * (int64_t)sizeof(int));
}

Status
cpu_det_logabs(const Call *call)
{
    return cpu_det_sign(call);
}

Status
cpu_eigh(const Call *call)
{
    Job job = job_of(call, run_eigh, "Eigenvalues did not converge");
    if (job.n == 0 || job.n > INT_MAX / 2) {
        return job_run(&job, 0); /* nothing to do, or too large */
    }
    job.blas->heevd('L', (int)job.n, NULL, NULL, NULL, NULL, NULL, job.workspace);
    const int64_t real = dtype_size(dtype_real(job.dtype));
    return job_run(&job, job.n * real + job.workspace[0] * job.size + job.workspace[1] * real +
                             job.workspace[2] * (int64_t)sizeof(int) + 4 * 64);
}
