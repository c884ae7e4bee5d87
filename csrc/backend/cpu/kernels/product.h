/* backend/cpu/kernels/product.h -- tiles of complex matrix products, of three real products each.
 *
 * (a + ib)(c + id) = (ac - bd) + i((a + b)(c + d) - ac - bd): three products of real matrices
 * instead of four. A strip is some rows of the left matrix or columns of the right one, packed
 * as [real, imaginary, their sum][term][row or column]. */
#ifndef PYARR_BACKEND_CPU_KERNELS_PRODUCT_H
#define PYARR_BACKEND_CPU_KERNELS_PRODUCT_H

#include "array/dtype.h"

#include <stdint.h>

enum { STRIP_PARTS = 3 };

/* Vectors of `terms` complex elements side by side in memory; strides in bytes. */
typedef struct StripSource {
    const char *data;
    int64_t stride; /* from vector to vector */
    int64_t along;  /* from term to term */
    int64_t count;  /* at most as many as a strip is wide; the rest of it becomes zeros */
    int64_t terms;
} StripSource;

typedef struct ProductTile {
    const void *a, *b; /* strips */
    char *c;           /* row-major, complex */
    int64_t c_stride;  /* bytes from row to row */
    int64_t m, n, k;
    bool three; /* three products instead of four */
    bool add;   /* to c */
} ProductTile;

typedef struct ProductKernel {
    int rows, columns; /* of a tile: widths of strips */
    /* False where a vector has parts of very different size, where one is huge or is NaN. */
    bool (*pack_rows)(void *to, const StripSource *from);
    bool (*pack_columns)(void *to, const StripSource *from);
    void (*tile)(const ProductTile *tile);
} ProductKernel;

/* For complex64 and complex128; NULL where BLAS is better. */
const ProductKernel *cpu_product_kernel(DType dtype);

#endif
