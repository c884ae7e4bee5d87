/* backend/cpu/matmul.c -- matrix products: OpenBLAS on panels fixed by the shape, own loops
 * for integers, bool and small matrices.
 *
 * Operands keep their strides where BLAS can read them (one unit stride and a leading
 * dimension); anything else is packed once. How a product is cut depends on its shape alone,
 * so its bits do not depend on the number of threads.
 */
#include "backend/cpu/blas.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/matrix.h"
#include "backend/cpu/move.h"

#include "base/mem.h"
#include "base/pool.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum {
    SMALL_WORK = 600,          /* multiplications up to which own loops beat a call of BLAS */
    SMALL_WORK_COMPLEX = 100,
    PANEL_WORK = 1 << 17,      /* multiplications that a panel of a matrix should have */
    VECTOR_WORK = 1 << 17,     /* the same for matrix times vector, which is bound by memory */
    PANELS = 32,               /* panels to aim at */
    PANEL_SIDE = 64,           /* rows and columns that a panel keeps */
    PANEL_SIDE_STRIDED = 4096, /* the same when neighbouring rows share cache lines */
    WIDE_ROWS = 32,            /* of a wide panel, */
    WIDE_COLUMNS = 96,         /* four times what the kernels for AVX-512 take at a time */
    DEPTH_MIN = 4096,          /* length of a sum from which it is cut into several */
    SPLIT_RESULT_MAX = 65536,  /* elements of a result whose sums are cut */
    CHUNK_WORK = 1 << 16,      /* multiplications worth handing to another thread */
    SLICE_WORK = 1 << 28,      /* the most between two looks whether the user interrupts */
    SLICE_DEPTH = 240,         /* terms that a slice of a panel has at least */
    IN_PLACE_MOST = 1 << 30,   /* multiplications of a product that is cut for BLAS_IN_PLACE */
    LOOPS_WEIGHT = 8,          /* multiplications of BLAS in the time of one by own loops */
    SIDE_MAX = 1 << 30         /* sizes that BLAS can count */
};

/* Own loops over one panel; `add` adds to c instead of replacing it. */
typedef void (*Loops)(const char *a, int64_t ar, int64_t ak, const char *b, int64_t bk, int64_t bc,
                      char *c, int64_t ldc, int64_t m, int64_t n, int64_t k);
typedef void (*Merge)(char *into, const char *from, int64_t n);

typedef enum Method { METHOD_LOOPS, METHOD_GEMV, METHOD_GEMM } Method;

typedef struct Product {
    Matrix a, b;
    char *out;
    int64_t m, n, k, size; /* size: bytes of an element */
    int nbatch_axes;
    const int64_t *batch_shape;
    int64_t batches;
    Method method;
    Loops loops;
    Merge merge;
    const Blas *blas;
    int64_t panel_m, panel_n, panel_k; /* how it is cut */
    int64_t count_m, count_n, count_k;
    double slice_work;                 /* the most multiplications of one call of BLAS */
    char *partial;                     /* count_k results, when the sums are cut */
} Product;

/*
 * T: element; U: the type sums are made in (unsigned for integers, so that they wrap). Both
 * forms add in the order of k, so the layout of b does not change the bits.
 */
#define DEFINE_LOOPS(s, T, U)                                                                      \
    static void loops_##s(const char *a, int64_t ar, int64_t ak, const char *b, int64_t bk,        \
                          int64_t bc, char *c, int64_t ldc, int64_t m, int64_t n, int64_t k)       \
    {                                                                                              \
        for (int64_t i = 0; i < m; i++) {                                                          \
            T *restrict row = (T *)c + i * ldc;                                                    \
            const char *left = a + i * ar;                                                         \
            if (bc == (int64_t)sizeof(T) && n > 1) {                                               \
                memset(row, 0, (size_t)n * sizeof(T));                                             \
                for (int64_t l = 0; l < k; l++) {                                                  \
                    const U factor = (U)*(const T *)(left + l * ak);                               \
                    const T *restrict right = (const T *)(b + l * bk);                             \
                    for (int64_t j = 0; j < n; j++) {                                              \
                        row[j] = (T)((U)row[j] + factor * (U)right[j]);                            \
                    }                                                                              \
                }                                                                                  \
                continue;                                                                          \
            }                                                                                      \
            for (int64_t j = 0; j < n; j++) {                                                      \
                U sum = 0;                                                                         \
                for (int64_t l = 0; l < k; l++) {                                                  \
                    sum += (U)*(const T *)(left + l * ak) * (U)*(const T *)(b + l * bk + j * bc);  \
                }                                                                                  \
                row[j] = (T)sum;                                                                   \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void merge_##s(char *into, const char *from, int64_t n)                                 \
    {                                                                                              \
        T *restrict x = (T *)into;                                                                 \
        const T *restrict y = (const T *)from;                                                     \
        for (int64_t i = 0; i < n; i++) {                                                          \
            x[i] = (T)((U)x[i] + (U)y[i]);                                                         \
        }                                                                                          \
    }

DEFINE_LOOPS(i8, int8_t, uint32_t)
DEFINE_LOOPS(i16, int16_t, uint32_t)
DEFINE_LOOPS(i32, int32_t, uint32_t)
DEFINE_LOOPS(i64, int64_t, uint64_t)
DEFINE_LOOPS(u8, uint8_t, uint32_t)
DEFINE_LOOPS(u16, uint16_t, uint32_t)
DEFINE_LOOPS(u32, uint32_t, uint32_t)
DEFINE_LOOPS(u64, uint64_t, uint64_t)
DEFINE_LOOPS(f32, float, float)
DEFINE_LOOPS(f64, double, double)
DEFINE_LOOPS(c64, float _Complex, float _Complex)
DEFINE_LOOPS(c128, double _Complex, double _Complex)

/* Sums of products of bool are "or" of "and"; any nonzero byte counts as true. */
static void
loops_bool(const char *a, int64_t ar, int64_t ak, const char *b, int64_t bk, int64_t bc, char *c,
           int64_t ldc, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++) {
        char *restrict row = c + i * ldc;
        memset(row, 0, (size_t)n);
        for (int64_t l = 0; l < k; l++) {
            if (a[i * ar + l * ak]) {
                for (int64_t j = 0; j < n; j++) {
                    row[j] |= b[l * bk + j * bc] != 0;
                }
            }
        }
    }
}

static void
merge_bool(char *into, const char *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        into[i] |= from[i];
    }
}

static const Loops loops_of[] = {
#define DTYPE(suffix, ctype, name, kind, format) [DT_##suffix] = loops_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};
static const Merge merge_of[] = {
#define DTYPE(suffix, ctype, name, kind, format) [DT_##suffix] = merge_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

static void
matrix_init(Matrix *matrix, const Operand *operand, const Operand *out)
{
    const int nd = operand->ndim, nbatch = out->ndim - 2;
    matrix->data = operand->data;
    matrix->rows = operand->shape[nd - 2];
    matrix->columns = operand->shape[nd - 1];
    matrix->row_stride = operand->strides[nd - 2];
    matrix->column_stride = operand->strides[nd - 1];
    for (int i = 0; i < nbatch; i++) {
        const int axis = i - (out->ndim - nd);
        const bool repeats = axis < 0 || operand->shape[axis] == 1;
        matrix->batch[i] = repeats ? 0 : operand->strides[axis];
    }
}

static void
matrix_transpose(Matrix *x)
{
    const int64_t rows = x->rows, stride = x->row_stride;
    x->rows = x->columns;
    x->columns = rows;
    x->row_stride = x->column_stride;
    x->column_stride = stride;
}

/* Can BLAS read `unit` as the contiguous axis, with `leading` as the leading dimension? */
static bool
layout_fits(int64_t unit, int64_t nunit, int64_t leading, int64_t nleading, int64_t size)
{
    if (nunit > 1 && unit != size) {
        return false;
    }
    if (nleading <= 1) {
        return true;
    }
    return leading % size == 0 && leading / size >= (nunit > 1 ? nunit : 1) &&
           leading / size <= INT_MAX;
}

static bool
matrix_is_by_rows(const Matrix *x, int64_t size)
{
    return layout_fits(x->column_stride, x->columns, x->row_stride, x->rows, size);
}

static bool
matrix_is_by_columns(const Matrix *x, int64_t size)
{
    return layout_fits(x->row_stride, x->rows, x->column_stride, x->columns, size);
}

static int
matrix_leading(const Matrix *x, int64_t size, bool by_rows)
{
    const int64_t inner = by_rows ? x->columns : x->rows, outer = by_rows ? x->rows : x->columns;
    const int64_t stride = by_rows ? x->row_stride : x->column_stride;
    const int64_t leading = outer > 1 ? stride / size : inner;
    return leading < 1 ? 1 : leading > INT_MAX ? INT_MAX : (int)leading;
}

static bool
matrix_is_aligned(const Matrix *x, int nbatch, int64_t size, int64_t alignment)
{
    bool ok = (intptr_t)x->data % alignment == 0;
    for (int i = 0; i < nbatch; i++) {
        ok = ok && x->batch[i] % alignment == 0;
    }
    ok = ok && (x->columns <= 1 || x->column_stride % size == 0);
    return ok && (x->rows <= 1 || x->row_stride % size == 0);
}

static void
row_copy(char *to, const char *from, int64_t n, int64_t stride, int64_t size)
{
    if (stride == size) {
        memcpy(to, from, (size_t)(n * size));
    } else if (size == 8) {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + 8 * i, from + i * stride, 8);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + size * i, from + i * stride, (size_t)size);
        }
    }
}

typedef struct Pack {
    const Matrix *x;
    const Product *p;
    char *to;
} Pack;

/* Rows of the stack, broadcast axes once. */
static void
pack_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Pack *pack = ctx;
    const Matrix *x = pack->x;
    const int64_t size = pack->p->size;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        const char *from = x->data + row % x->rows * x->row_stride;
        int64_t rest = row / x->rows;
        for (int i = pack->p->nbatch_axes - 1; i >= 0; i--) {
            if (x->batch[i] != 0) {
                from += rest % pack->p->batch_shape[i] * x->batch[i];
                rest /= pack->p->batch_shape[i];
            }
        }
        row_copy(pack->to + row * x->columns * size, from, x->columns, x->column_stride, size);
    }
}

/* Copy the stack into row-major memory. The caller frees *buffer. */
static Status
matrix_pack(Matrix *x, const Product *p, char **buffer, size_t *bytes)
{
    const int64_t size = p->size, elements = x->rows * x->columns;
    int64_t count = 1, stride[ARRAY_MAX_NDIM];
    for (int i = p->nbatch_axes - 1; i >= 0; i--) {
        stride[i] = x->batch[i] == 0 ? 0 : count * elements * size;
        count *= x->batch[i] == 0 ? 1 : p->batch_shape[i];
    }
    *bytes = (size_t)(count * elements * size);
    *buffer = mem_new(*bytes);
    if (*buffer == NULL) {
        return STATUS_ERROR;
    }
    Pack pack = {x, p, *buffer};
    if (pool_run(count * x->rows, MOVE_GRAIN_BYTES / (x->columns * size) + 1, pack_rows, &pack) !=
        STATUS_OK) {
        return STATUS_ERROR;
    }
    x->data = *buffer;
    x->row_stride = x->columns * size;
    x->column_stride = size;
    memcpy(x->batch, stride, sizeof stride[0] * (size_t)p->nbatch_axes);
    return STATUS_OK;
}

static int64_t
count_of(int64_t n, int64_t panel)
{
    return (n + panel - 1) / panel;
}

/* One panel by BLAS: rows [i, i + m), columns [j, j + n), terms [l, l + k). */
static void
panel_blas(const Product *p, const char *a, const char *b, char *c, int64_t m, int64_t n,
           int64_t k)
{
    const bool a_rows = matrix_is_by_rows(&p->a, p->size);
    const int lda = matrix_leading(&p->a, p->size, a_rows);
    if (p->method == METHOD_GEMV) {
        /* a zeroed result and beta = 1: no old NaN can survive */
        memset(c, 0, (size_t)(m * p->size));
        const int inc = p->k > 1 ? (int)(p->b.row_stride / p->size) : 1;
        if (a_rows) {
            p->blas->gemv(BLAS_PLAIN, (int)m, (int)k, a, lda, b, inc, c, 1);
        } else {
            p->blas->gemv(BLAS_TRANSPOSE, (int)k, (int)m, a, lda, b, inc, c, 1);
        }
        return;
    }
    const bool b_rows = matrix_is_by_rows(&p->b, p->size);
    const int ldb = matrix_leading(&p->b, p->size, b_rows);
    const int64_t most = (int64_t)(p->slice_work / (double)(m * n));
    const int64_t depth = count_of(k, count_of(k, most > SLICE_DEPTH ? most : SLICE_DEPTH));
    for (int64_t l = 0; l < k; l += depth) {
        if (l > 0 && pool_interrupted()) {
            return;
        }
        p->blas->gemm(a_rows ? BLAS_PLAIN : BLAS_TRANSPOSE, b_rows ? BLAS_PLAIN : BLAS_TRANSPOSE,
                      (int)m, (int)n, (int)(k - l < depth ? k - l : depth),
                      a + l * p->a.column_stride, lda, b + l * p->b.row_stride, ldb, c, (int)p->n,
                      l > 0);
    }
}

static void
run_panels(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Product *p = ctx;
    (void)thread;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t rest = unit;
        const int64_t l = rest % p->count_k * p->panel_k;
        const int64_t part = rest % p->count_k;
        rest /= p->count_k;
        const int64_t j = rest % p->count_n * p->panel_n;
        rest /= p->count_n;
        const int64_t i = rest % p->count_m * p->panel_m;
        const int64_t batch = rest / p->count_m;
        const int64_t m = i + p->panel_m < p->m ? p->panel_m : p->m - i;
        const int64_t n = j + p->panel_n < p->n ? p->panel_n : p->n - j;
        const int64_t k = l + p->panel_k < p->k ? p->panel_k : p->k - l;
        const char *a = matrix_at(&p->a, p->nbatch_axes, p->batch_shape, batch) + i * p->a.row_stride + l * p->a.column_stride;
        const char *b = matrix_at(&p->b, p->nbatch_axes, p->batch_shape, batch) + l * p->b.row_stride + j * p->b.column_stride;
        char *c = part > 0 ? p->partial + (part - 1) * p->m * p->n * p->size
                           : p->out + batch * p->m * p->n * p->size;
        c += (i * p->n + j) * p->size;
        if (p->method == METHOD_LOOPS) {
            p->loops(a, p->a.row_stride, p->a.column_stride, b, p->b.row_stride,
                     p->b.column_stride, c, p->n, m, n, k);
        } else {
            panel_blas(p, a, b, c, m, n, k);
        }
    }
}

static int64_t
halve(int64_t side)
{
    return (side / 2 + 15) / 16 * 16;
}

/* Shall the panels be smaller? For threads to share them, and so that none takes too long. */
static bool
panel_is_long(const Product *p, double work)
{
    const double area = (double)p->panel_m * (double)p->panel_n, k = (double)p->k;
    const double depth = p->method == METHOD_GEMM && k > SLICE_DEPTH ? SLICE_DEPTH : k;
    const int64_t panels = count_of(p->m, p->panel_m) * count_of(p->n, p->panel_n) * p->batches;
    return (area * k > work && panels < PANELS) || area * depth > p->slice_work;
}

/* Long sums, where both sides are cut, go a few percent faster by wide panels in place. */
static bool
panel_should_be_wide(const Product *p)
{
    return p->slice_work == BLAS_IN_PLACE && matrix_is_by_rows(&p->a, p->size) &&
           p->k >= SLICE_DEPTH && p->n > 2 * PANEL_SIDE && p->panel_m == PANEL_SIDE &&
           p->panel_n <= PANEL_SIDE;
}

/* Cut the product; depends on sizes, dtype and layout only. */
static void
product_cut(Product *p)
{
    const bool vector = p->n == 1;
    const bool by_rows = matrix_is_by_rows(&p->a, p->size);
    const double work = vector ? VECTOR_WORK : PANEL_WORK;
    const int64_t side_m = vector && !by_rows ? PANEL_SIDE_STRIDED : PANEL_SIDE;
    p->panel_m = p->m < SIDE_MAX ? p->m : SIDE_MAX;
    p->panel_n = p->n < SIDE_MAX ? p->n : SIDE_MAX;
    p->panel_k = p->k < SIDE_MAX ? p->k : SIDE_MAX;
    while (panel_is_long(p, work)) {
        if (p->panel_m >= p->panel_n && p->panel_m > side_m) {
            p->panel_m = halve(p->panel_m);
        } else if (p->panel_n > PANEL_SIDE) {
            p->panel_n = halve(p->panel_n);
        } else {
            break;
        }
    }
    if (panel_should_be_wide(p)) {
        p->panel_m = WIDE_ROWS;
        p->panel_n = WIDE_COLUMNS;
    }
    p->count_m = count_of(p->m, p->panel_m);
    p->count_n = count_of(p->n, p->panel_n);
    const int64_t panels = p->count_m * p->count_n;
    if (p->method != METHOD_LOOPS && p->batches == 1 && p->k >= 2 * DEPTH_MIN &&
        2 * panels < PANELS && p->m * p->n <= SPLIT_RESULT_MAX &&
        (double)p->m * (double)p->n * (double)p->k > 2 * work) {
        const int64_t most = PANELS / panels, parts = p->k / DEPTH_MIN;
        const int64_t depth = count_of(p->k, parts < most ? parts : most);
        p->panel_k = depth < p->panel_k ? (depth + 15) / 16 * 16 : p->panel_k;
    }
    p->count_k = count_of(p->k, p->panel_k);
}

/* Are all matrices on the right the same, and the rows on the left one long stack? */
static void
product_join_rows(Product *p)
{
    int64_t rows = p->m, stride = p->a.row_stride;
    for (int i = p->nbatch_axes - 1; i >= 0; i--) {
        if (p->b.batch[i] != 0) {
            return;
        }
        if (p->batch_shape[i] == 1) {
            continue;
        }
        if (rows == 1) { /* the stride of a single row means nothing */
            stride = p->a.batch[i];
        } else if (p->a.batch[i] != rows * stride) {
            return;
        }
        rows *= p->batch_shape[i];
    }
    p->m = p->a.rows = rows;
    p->a.row_stride = stride;
    p->nbatch_axes = 0;
    p->batches = 1;
}

static Status
product_run(Product *p)
{
    product_cut(p);
    const size_t bytes = (size_t)((p->count_k - 1) * p->m * p->n * p->size);
    if (p->count_k > 1) {
        assert(p->batches == 1);
        p->partial = mem_new(bytes);
        if (p->partial == NULL) {
            return STATUS_ERROR;
        }
    }
    const double work = (double)p->panel_m * (double)p->panel_n * (double)p->panel_k;
    const int64_t grain = work >= CHUNK_WORK ? 1 : (int64_t)(CHUNK_WORK / work) + 1;
    const int64_t units = p->batches * p->count_m * p->count_n * p->count_k;
    const Status status = pool_run(units, grain, run_panels, p);
    for (int64_t part = 1; part < p->count_k && status == STATUS_OK; part++) {
        p->merge(p->out, p->partial + (part - 1) * p->m * p->n * p->size, p->m * p->n);
    }
    mem_free(p->partial, bytes);
    return status;
}

/* Can BLAS count and step through this product once packed? */
static bool
product_fits_blas(const Product *p)
{
    return p->n <= INT_MAX && (p->k <= INT_MAX || (p->m == 1 && p->n == 1));
}

/* Rows times columns that are contiguous, and what outgrows the caches, are better copied. */
static bool
product_is_in_place(const Product *p, DType dtype)
{
    return p->method == METHOD_GEMM && blas_multiplies_in_place(dtype) &&
           (double)p->m * (double)p->n * (double)p->k <= IN_PLACE_MOST &&
           (matrix_is_by_rows(&p->b, p->size) || !matrix_is_by_rows(&p->a, p->size));
}

Status
cpu_matmul(const Call *call)
{
    const Operand *out = &call->out;
    Product p = {.out = out->data, .size = dtype_size(out->dtype)};
    matrix_init(&p.a, &call->in[0], out);
    matrix_init(&p.b, &call->in[1], out);
    p.m = p.a.rows;
    p.k = p.a.columns;
    p.n = p.b.columns;
    p.nbatch_axes = out->ndim - 2;
    p.batch_shape = out->shape;
    p.batches = 1;
    for (int i = 0; i < p.nbatch_axes; i++) {
        p.batches *= out->shape[i];
    }
    const int64_t elements = p.batches * p.m * p.n;
    if (elements == 0 || p.k == 0) {
        memset(out->data, 0, (size_t)(elements * p.size));
        return STATUS_OK;
    }
    product_join_rows(&p);
    if (call->nparams > 0 && call->params[0] != 0) {
        const ComplexProduct complex = {p.a, p.b, p.out, p.nbatch_axes, p.batch_shape, p.batches};
        if (complex_product_fits(&complex, out->dtype)) {
            return complex_product_run(&complex, out->dtype);
        }
    }
    if (p.m == 1 && p.n > 1) { /* row times matrix is transposed matrix times column */
        const Matrix a = p.a;
        p.a = p.b;
        p.b = a;
        matrix_transpose(&p.a);
        matrix_transpose(&p.b);
        p.m = p.n;
        p.n = 1;
    }
    p.loops = loops_of[out->dtype];
    p.merge = merge_of[out->dtype];
    p.blas = blas_of(out->dtype);
    const double limit = dtype_is_complex(out->dtype) ? SMALL_WORK_COMPLEX : SMALL_WORK;
    p.slice_work = dtype_is_complex(out->dtype) ? SLICE_WORK / 4 : SLICE_WORK;
    const bool small = (double)p.m * (double)p.n * (double)p.k <= limit;
    p.method = p.blas == NULL || small || !product_fits_blas(&p) ? METHOD_LOOPS
               : p.n == 1                                        ? METHOD_GEMV
                                                                 : METHOD_GEMM;
    p.slice_work /= p.method == METHOD_LOOPS ? LOOPS_WEIGHT : 1;
    const int64_t size = p.size, alignment = dtype_size(dtype_real(out->dtype));
    const int nb = p.nbatch_axes;
    bool pack_a = !matrix_is_aligned(&p.a, nb, size, alignment);
    bool pack_b = !matrix_is_aligned(&p.b, nb, size, alignment);
    if (p.method == METHOD_LOOPS) {
        pack_b = pack_b || (!small && p.b.column_stride != size && p.n > 1);
    } else {
        pack_a = pack_a || !(matrix_is_by_rows(&p.a, size) || matrix_is_by_columns(&p.a, size));
        pack_b = pack_b || (p.method == METHOD_GEMV
                                ? p.b.row_stride <= 0 || p.b.row_stride / size > INT_MAX
                                : !(matrix_is_by_rows(&p.b, size) ||
                                    matrix_is_by_columns(&p.b, size)));
    }
    char *packed_a = NULL, *packed_b = NULL;
    size_t bytes_a = 0, bytes_b = 0;
    Status status = STATUS_ERROR;
    if (pack_a && matrix_pack(&p.a, &p, &packed_a, &bytes_a) != STATUS_OK) {
        goto done;
    }
    if (pack_b && matrix_pack(&p.b, &p, &packed_b, &bytes_b) != STATUS_OK) {
        goto done;
    }
    if (product_is_in_place(&p, out->dtype)) {
        p.slice_work = BLAS_IN_PLACE;
    }
    status = product_run(&p);
done:
    mem_free(packed_a, bytes_a);
    mem_free(packed_b, bytes_b);
    return status;
}
