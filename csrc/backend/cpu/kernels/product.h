/* backend/cpu/kernels/product.h -- tiles of complex matrix products, of two or three products of
 * real matrices each.
 *
 * A strip is some rows of the left matrix or columns of the right one (vectors), packed as
 * [plane][term][vector]. With l' the mirror image of term l, and j' of vector j:
 *
 *   split    planes re, im, re + im. (a + ib)(c + id) = (ac - bd) + i((a + b)(c + d) - ac - bd).
 *   parts    planes re, im
 *   halves   of a matrix whose terms are conjugate to their mirror images, as those of Fourier
 *            transforms on grids about zero are: one plane, the terms re[l], im[l] for each pair
 *   folded   what is multiplied with that: plane re[l] + re[l'], im[l'] - im[l] and plane
 *            im[l] + im[l'], re[l] - re[l']. The two products are the parts of the result.
 *   mirrored of a matrix whose vectors are conjugate to their mirror images: one plane, re[j] of
 *            half as many vectors, then im[j]. Its products with the parts of the other matrix
 *            make j and j' of the result.
 */
#ifndef PYARR_BACKEND_CPU_KERNELS_PRODUCT_H
#define PYARR_BACKEND_CPU_KERNELS_PRODUCT_H

#include "array/dtype.h"

#include <stdint.h>

typedef enum StripKind {
    STRIP_SPLIT,
    STRIP_PARTS,
    STRIP_HALVES,
    STRIP_FOLDED,
    STRIP_MIRRORED
} StripKind;

/* Vectors of `terms` complex elements side by side in memory; strides in bytes. */
typedef struct StripSource {
    const char *data;
    const char *mirror; /* of the first term of the first vector; where there are pairs */
    int64_t stride;     /* from vector to vector */
    int64_t along;      /* from term to term */
    int64_t count;      /* at most as many as a strip is wide; the rest of it becomes zeros */
    int64_t terms;      /* or pairs of them */
    bool alone;         /* the last term is its own mirror image */
} StripSource;

typedef struct StripState {
    bool fits;          /* nothing is huge or NaN; what should be conjugate is */
    bool balanced;      /* the parts of no vector are of very different size */
    int64_t begin, end; /* packed terms before and from here are zero */
} StripState;

typedef enum ProductForm {
    PRODUCT_THREE,           /* of split strips */
    PRODUCT_FOUR,            /* the same without sums of the parts */
    PRODUCT_FOLDED,          /* of halves and a folded strip */
    PRODUCT_MIRRORED_ROWS,   /* of a mirrored strip and parts */
    PRODUCT_MIRRORED_COLUMNS /* the other way round */
} ProductForm;

typedef struct ProductTile {
    ProductForm form;
    const void *a, *b;        /* strips */
    int64_t a_plane, b_plane; /* elements from plane to plane; 0 where there is one */
    int64_t begin, end;       /* packed terms */
    char *c;                  /* row-major, complex */
    char *mirror;             /* the last row, or the end of the last column, of mirror images */
    int64_t c_stride;         /* bytes from row to row */
    int64_t m, n;             /* rows and columns, or pairs of them */
    bool alone;               /* the last pair is one row or column */
    bool add;                 /* to c */
    bool stream;              /* write past the caches; the caller fences */
} ProductTile;

typedef struct ProductKernel {
    int rows, columns; /* of a tile: widths of strips */
    StripState (*pack_rows)(StripKind kind, void *to, const StripSource *from);
    StripState (*pack_columns)(StripKind kind, void *to, const StripSource *from);
    void (*tile)(const ProductTile *tile);
    /* Is element i the conjugate of element count - 1 - i, for all i? */
    bool (*is_mirrored)(const char *data, int64_t stride, int64_t count);
} ProductKernel;

/* For complex64 and complex128; NULL where BLAS is better. */
const ProductKernel *cpu_product_kernel(DType dtype);

#endif
