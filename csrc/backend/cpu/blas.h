/* backend/cpu/blas.h -- what is used of BLAS and LAPACK, for the four inexact dtypes.
 *
 * The library is OpenBLAS from scipy-openblas32: 32-bit sizes, symbols with the prefix
 * "scipy_". It runs on one thread for good; our pool splits the work.
 */
#ifndef PYARR_BACKEND_CPU_BLAS_H
#define PYARR_BACKEND_CPU_BLAS_H

#include <stdbool.h>

#include "array/dtype.h"

#define BLAS_SYMBOL(name) scipy_##name

enum { BLAS_ROWS = 101, BLAS_COLUMNS = 102 };              /* order of the elements */
enum { BLAS_PLAIN = 111, BLAS_TRANSPOSE = 112, BLAS_ADJOINT = 113 };
enum { BLAS_UPPER = 121, BLAS_LOWER = 122, BLAS_NONUNIT = 131, BLAS_UNIT = 132, BLAS_LEFT = 141 };

/* Four dtypes behind one interface: scalars are 0 and 1 of the dtype, sizes are int. */
typedef struct Blas {
    /* c (m x n, row-major) = op(a) op(b), plus c when `add`. */
    void (*gemm)(int ta, int tb, int m, int n, int k, const void *a, int lda, const void *b,
                 int ldb, void *c, int ldc, bool add);
    /* y += op(a) x, where a is row-major rows x columns. */
    void (*gemv)(int ta, int rows, int columns, const void *a, int lda, const void *x, int incx,
                 void *y, int incy);
    /* b (n x k, row-major) = op(a)^-1 b for a triangular row-major a. */
    void (*trsm)(int uplo, int ta, int diag, int n, int k, const void *a, int lda, void *b,
                 int ldb);
    /* LAPACK, column-major; the result is LAPACK's info. */
    int (*potrf)(char uplo, int n, void *a);
    int (*getrf)(int n, void *a, int *pivots);
    int (*getrs)(char trans, int n, int k, const void *lu, const int *pivots, void *b);
    /* Eigenvalues ascending into w (real dtype), vectors over a. With work == NULL the sizes
     * of the three workspaces (in elements) are written to sizes. */
    int (*heevd)(char uplo, int n, void *a, void *w, void *work, void *rwork, int *iwork,
                 int sizes[3]);
} Blas;

/* NULL for dtypes that BLAS does not know. Sets the library up on the first call. */
const Blas *blas_of(DType dtype);

/*
 * A call of gemm copies both operands into the order of its kernel, which costs matrices of some
 * hundred rows a third of the time. OpenBLAS's kernels for AVX-512 read up to BLAS_IN_PLACE
 * multiplications of real numbers where they lie: does this machine run those?
 */
enum { BLAS_IN_PLACE = 1000000 };
bool blas_multiplies_in_place(DType dtype);

#endif
