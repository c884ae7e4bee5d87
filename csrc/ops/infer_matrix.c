/* ops/infer_matrix.c -- results of matmul, linear algebra and Fourier transforms. */
#include "ops/infer_shapes.h"

#include <string.h>

enum { TEXT_SIZE = 128 };

/* out = broadcast of the batch axes of a and b, then rows x columns. */
static Status
batched(const Spec *a, const Spec *b, int64_t rows, int64_t columns, Spec *out)
{
    const int ndims[2] = {a->ndim - 2, b->ndim - 2};
    const int64_t *const shapes[2] = {a->shape, b->shape};
    if (shape_broadcast(2, ndims, shapes, &out->ndim, out->shape) != STATUS_OK) {
        return STATUS_ERROR;
    }
    out->shape[out->ndim++] = rows;
    out->shape[out->ndim++] = columns;
    out->dtype = a->dtype;
    return STATUS_OK;
}

static Status
infer_matmul(const Spec *in, int nin, Spec *out)
{
    if (nin != 2) {
        return infer_misuse(OP_matmul);
    }
    const Spec *a = &in[0], *b = &in[1];
    for (int i = 0; i < 2; i++) {
        if (in[i].ndim < 2) {
            return err_set(ERR_VALUE,
                           "matmul: Input operand %d does not have enough dimensions (has %d, "
                           "gufunc core with signature (n?,k),(k,m?)->(n?,m?) requires 1)",
                           i, in[i].ndim);
        }
    }
    if (a->dtype != b->dtype) {
        return err_set(ERR_TYPE, "matmul: dtypes %s and %s must be equal",
                       dtype_info(a->dtype)->name, dtype_info(b->dtype)->name);
    }
    const int64_t inner = a->shape[a->ndim - 1], other = b->shape[b->ndim - 2];
    if (inner != other) {
        char left[TEXT_SIZE], right[TEXT_SIZE];
        return err_set(ERR_SHAPE, "matmul: shapes %s and %s: %jd does not match %jd",
                       shape_text(a->ndim, a->shape, left, sizeof left),
                       shape_text(b->ndim, b->shape, right, sizeof right), (intmax_t)inner,
                       (intmax_t)other);
    }
    if (batched(a, b, a->shape[a->ndim - 2], b->shape[b->ndim - 1], out) != STATUS_OK) {
        return err_prefix("matmul: ");
    }
    return STATUS_OK;
}

static Status
check_square(OpCode op, const Spec *a)
{
    if (a->ndim < 2) {
        return err_set(ERR_LINALG,
                       "%d-dimensional array given. Array must be at least two-dimensional",
                       a->ndim);
    }
    if (a->shape[a->ndim - 1] != a->shape[a->ndim - 2]) {
        return err_set(ERR_LINALG, "Last 2 dimensions of the array must be square");
    }
    if (!dtype_is_inexact(a->dtype)) {
        return err_set(ERR_TYPE, "%s: array type %s is unsupported in linalg", op_info(op)->name,
                       dtype_info(a->dtype)->name);
    }
    return STATUS_OK;
}

static Status
infer_solve(OpCode op, const Spec *in, int nin, Spec *out)
{
    if (nin != 2) {
        return infer_misuse(op);
    }
    if (check_square(op, &in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const Spec *a = &in[0], *b = &in[1];
    if (b->ndim < 2) {
        return err_set(ERR_LINALG,
                       "%d-dimensional array given. Array must be at least two-dimensional",
                       b->ndim);
    }
    if (a->dtype != b->dtype) {
        return err_set(ERR_TYPE, "%s: dtypes %s and %s must be equal", op_info(op)->name,
                       dtype_info(a->dtype)->name, dtype_info(b->dtype)->name);
    }
    const int64_t size = a->shape[a->ndim - 1], rows = b->shape[b->ndim - 2];
    if (size != rows) {
        return err_set(ERR_SHAPE,
                       "%s: Input operand 1 has a mismatch in its core dimension 0, with gufunc "
                       "signature (m,m),(m,n)->(m,n) (size %jd is different from %jd)",
                       op_info(op)->name, (intmax_t)rows, (intmax_t)size);
    }
    return batched(a, b, size, b->shape[b->ndim - 1], out);
}

static Status
infer_square(OpCode op, const Spec *in, int nin, Spec *out)
{
    if (nin != 1) {
        return infer_misuse(op);
    }
    if (check_square(op, in) != STATUS_OK) {
        return STATUS_ERROR;
    }
    out->dtype = op == OP_det_logabs ? dtype_real(in->dtype) : in->dtype;
    out->ndim = in->ndim;
    memcpy(out->shape, in->shape, (size_t)in->ndim * sizeof in->shape[0]);
    if (op == OP_det_sign || op == OP_det_logabs) {
        out->ndim -= 2;
    } else if (op == OP_eigh) {
        out->shape[out->ndim - 1] += 1;
    }
    return STATUS_OK;
}

static Status
check_points(int64_t points)
{
    if (points < 1) {
        return err_set(ERR_VALUE, "Invalid number of FFT data points (%jd) specified.",
                       (intmax_t)points);
    }
    return STATUS_OK;
}

/* Padding may ask for more than there can be. */
static Status
check_size(const Spec *out)
{
    int64_t strides[ARRAY_MAX_NDIM];
    const int64_t count = shape_strides(out->ndim, out->shape, dtype_size(out->dtype), strides);
    return count < 0 ? STATUS_ERROR : STATUS_OK;
}

static Status
infer_fft_c2c(const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    if (nin != 1 || nparams < 3 || params[2] < 0 || params[2] > ARRAY_MAX_NDIM ||
        nparams != 3 + FFT_AXIS_PARAMS * params[2]) {
        return infer_misuse(OP_fft_c2c);
    }
    if (!dtype_is_complex(in->dtype)) {
        return err_set(ERR_TYPE, "fft_c2c: dtype %s is not complex", dtype_info(in->dtype)->name);
    }
    *out = *in;
    bool seen[ARRAY_MAX_NDIM] = {false};
    for (int64_t i = 0; i < params[2]; i++) {
        const int64_t *p = params + 3 + FFT_AXIS_PARAMS * i;
        const int64_t axis = p[0], n = p[1], first = p[2], out_first = p[3], keep = p[4];
        if (axis < 0 || axis >= in->ndim || seen[axis]) {
            return infer_misuse(OP_fft_c2c);
        }
        if (check_points(n) != STATUS_OK) {
            return STATUS_ERROR;
        }
        if (in->shape[axis] > n || keep < 0 || keep > n || first < 0 || first >= n ||
            out_first < 0 || out_first >= n) {
            return infer_misuse(OP_fft_c2c);
        }
        seen[axis] = true;
        out->shape[axis] = keep;
    }
    return check_size(out);
}

/* fft_r2c and fft_c2r [sign, norm, axis, n]. */
static Status
infer_fft_half(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    const bool inverse = op == OP_fft_c2r;
    if (nin != 1 || nparams != 4) {
        return infer_misuse(op);
    }
    if (inverse ? !dtype_is_complex(in->dtype) : !dtype_is_float(in->dtype)) {
        return err_set(ERR_TYPE, "%s: unsupported dtype %s", op_info(op)->name,
                       dtype_info(in->dtype)->name);
    }
    int axis = 0;
    const int64_t n = params[3], half = n / 2 + 1;
    if (axis_normalise(params[2], in->ndim, &axis) != STATUS_OK || check_points(n) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (in->shape[axis] > (inverse ? half : n)) {
        return infer_misuse(op);
    }
    *out = *in;
    out->dtype = inverse ? dtype_real(in->dtype) : dtype_complex(in->dtype);
    out->shape[axis] = inverse ? n : half;
    return check_size(out);
}

Status
infer_matrix(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out)
{
    switch (op) {
    case OP_matmul:
        return infer_matmul(in, nin, out);
    case OP_cholesky:
    case OP_inv:
    case OP_det_sign:
    case OP_det_logabs:
    case OP_eigh:
        return infer_square(op, in, nin, out);
    case OP_solve:
    case OP_solve_triangular:
        return infer_solve(op, in, nin, out);
    case OP_fft_c2c:
        return infer_fft_c2c(in, nin, params, nparams, out);
    case OP_fft_r2c:
    case OP_fft_c2r:
        return infer_fft_half(op, in, nin, params, nparams, out);
    default:
        return infer_misuse(op);
    }
}
