/* array/view.h -- arrays that share another array's bytes. All return a new reference that
 * keeps the storage alive, or NULL with the error set; none copies elements. A view of a
 * read-only array is read-only; the scalar mark is not inherited. */
#ifndef PYARR_ARRAY_VIEW_H
#define PYARR_ARRAY_VIEW_H

#include "array/array.h"

Array *view_alias(const Array *a); /* same geometry, own header */
Array *view_index(const Array *a, int axis, int64_t index);                 /* drops axis */
Array *view_slice(const Array *a, int axis, int64_t start, int64_t step, int64_t count);
Array *view_transpose(const Array *a, const int *axes); /* NULL: reverse; axes normalised */
Array *view_expand(const Array *a, int axis);           /* new axis of size 1 before `axis` */
Array *view_squeeze(const Array *a, int naxes, const int *axes); /* naxes < 0: all of size 1 */
Array *view_broadcast(const Array *a, int ndim, const int64_t *shape);
/* NULL without an error set when the new shape needs a copy; one -1 is inferred. */
Array *view_reshape(const Array *a, int ndim, const int64_t *shape);
Array *view_diagonal(const Array *a, int64_t offset, int axis1, int axis2);
/* The same bytes as real and imaginary parts (complex only). */
Array *view_real(const Array *a);
Array *view_imag(const Array *a);
/* Reinterpret with another dtype of the same size, or (last axis contiguous) another size. */
Array *view_dtype(const Array *a, DType dtype);

#endif
