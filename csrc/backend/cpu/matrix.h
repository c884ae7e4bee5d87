/* backend/cpu/matrix.h -- stacks of matrices as products see them, and the complex product of
 * three real ones. */
#ifndef PYARR_BACKEND_CPU_MATRIX_H
#define PYARR_BACKEND_CPU_MATRIX_H

#include "backend/cpu/cpu.h"

/* Strides in bytes, batch strides 0 where broadcast. */
typedef struct Matrix {
    const char *data;
    int64_t rows, columns;
    int64_t row_stride, column_stride;
    int64_t batch[ARRAY_MAX_NDIM];
} Matrix;

/* Address of one matrix of the stack. */
static inline const char *
matrix_at(const Matrix *x, int naxes, const int64_t *shape, int64_t index)
{
    const char *data = x->data;
    for (int i = naxes - 1; i >= 0 && index > 0; i--) {
        data += index % shape[i] * x->batch[i];
        index /= shape[i];
    }
    return data;
}

typedef struct ComplexProduct {
    Matrix a, b;
    char *out; /* C-contiguous */
    int nbatch_axes;
    const int64_t *batch_shape;
    int64_t batches;
} ComplexProduct;

/* Is it large enough, and aligned? */
bool complex_product_fits(const ComplexProduct *p, DType dtype);
/* out = a b, each element as near as |a| |b| tells: of a value whose parts differ much, the
 * smaller one may have fewer digits than of four products, by a factor of some hundred at most. */
Status complex_product_run(const ComplexProduct *p, DType dtype);

#endif
