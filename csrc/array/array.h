/* array/array.h -- shape, strides, offset and dtype over a storage. */
#ifndef PYARR_ARRAY_ARRAY_H
#define PYARR_ARRAY_ARRAY_H

#include "array/storage.h"

#define ARRAY_MAX_NDIM 64

typedef struct Array {
    int32_t refcount;
    uint8_t dtype;    /* DType */
    uint8_t weak;     /* Weak: made from a Python scalar */
    bool readonly;    /* a view that must not be written */
    bool is_scalar;   /* immutable 0-d copy: full indexing, full reductions, iteration */
    int32_t ndim;
    int64_t size;     /* elements */
    int64_t offset;   /* bytes from storage->data to the first element */
    Storage *storage;
    int64_t *strides; /* bytes; points into dims */
    int64_t shape[];  /* ndim sizes, then ndim strides */
} Array;

/* New C-contiguous array with uninitialised elements; checks sizes for overflow
 * (ERR_VALUE as NumPy's "array is too big") and ndim (ERR_VALUE). */
Array *array_new(Device *device, DType dtype, int ndim, const int64_t *shape);
Array *array_new_zeroed(Device *device, DType dtype, int ndim, const int64_t *shape);
/* The same over a virtual storage (no memory yet). */
Array *array_new_virtual(Device *device, DType dtype, int ndim, const int64_t *shape);
/* An array over part of a storage (retained). Strides and offset in bytes. Does not check bounds. */
Array *array_new_view(Storage *storage, DType dtype, int ndim, const int64_t *shape,
                      const int64_t *strides, int64_t offset);
/* 0-d array on the CPU holding *value, marked weak as given. */
Array *array_new_scalar(DType dtype, Weak weak, const void *value);

static inline Array *array_retain(Array *a) { a->refcount++; return a; }
void array_release(Array *array); /* NULL is fine */
void arrays_release(Array *const *arrays, int64_t count);

/* Arrays alive, for leak reports; give kept headers back to the allocator. */
int64_t array_live(void);
void array_trim(void);

bool array_is_contiguous(const Array *a);         /* C order; sizes 0 and 1 as in NumPy */
bool array_is_f_contiguous(const Array *a);
bool array_is_writable(const Array *a);
/* First element on the host; storage must have memory and be on a host device. */
static inline char *array_data(const Array *a) { return a->storage->data + a->offset; }
/* Bytes of the elements. */
static inline int64_t
array_bytes(const Array *a)
{
    return a->size * dtype_size((DType)a->dtype);
}
/* Is there a byte of both? Exact unless that takes too long to decide: then true. */
bool array_may_overlap(const Array *a, const Array *b);
/* Lowest and one past the highest byte touched, relative to the storage's data. */
void array_extent(const Array *a, int64_t *low, int64_t *high);

/* ---- geometry helpers, used by inference too ---- */
/* Strides of a C-contiguous array with this item size; returns the element count or -1
 * with ERR_VALUE set on overflow. */
int64_t shape_strides(int ndim, const int64_t *shape, int64_t itemsize, int64_t *strides);
static inline bool
shape_equal(int ndim, const int64_t *a, const int64_t *b)
{
    while (ndim > 0 && a[ndim - 1] == b[ndim - 1]) {
        ndim--;
    }
    return ndim == 0;
}
/* The same elements in the same order? */
static inline bool
array_is_same(const Array *a, const Array *b)
{
    return a->storage == b->storage && a->offset == b->offset && a->dtype == b->dtype &&
           a->ndim == b->ndim && shape_equal(a->ndim, a->shape, b->shape) &&
           shape_equal(a->ndim, a->strides, b->strides);
}
/* Broadcast `n` shapes together as NumPy; ERR_SHAPE with NumPy's text:
 * "operands could not be broadcast together with shapes (2,3) (4,)". */
Status shape_broadcast(int n, const int *ndims, const int64_t *const *shapes, int *out_ndim,
                       int64_t *out_shape);
/* Print "(3, 4)" into a buffer, truncated when long; returns the buffer. */
const char *shape_text(int ndim, const int64_t *shape, char *buffer, size_t size);
/* Normalise an axis that may count from the end; ERR_AXIS with NumPy's text. */
Status axis_normalise(int64_t axis, int ndim, int *out);

#endif
