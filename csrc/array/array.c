/* array/array.c -- array headers: making, releasing, and questions about their layout. */
#include "array/header.h"

#include "base/freelist.h"

#include <assert.h>
#include <string.h>

/* Headers of up to HEADER_NDIM axes have one size and are kept for reuse; the interpreter
 * lock guards the list as it guards all reference counts. */
enum { HEADER_NDIM = 4 };
#define HEADER_SIZE(ndim) (sizeof(Array) + 2 * sizeof(int64_t) * (size_t)(ndim))

static FreeList headers = {.limit = 256, .size = HEADER_SIZE(HEADER_NDIM)};
static int64_t live_count;

Array *
array_new_header(DType dtype, int ndim)
{
    assert(ndim >= 0);
    if (ndim > ARRAY_MAX_NDIM) {
        return err_null(ERR_VALUE,
                        "maximum supported dimension for an ndarray is currently %d, found %d",
                        ARRAY_MAX_NDIM, ndim);
    }
    Array *a = ndim <= HEADER_NDIM ? freelist_new(&headers) : mem_new(HEADER_SIZE(ndim));
    if (a == NULL) {
        return NULL;
    }
    a->refcount = 1;
    a->dtype = (uint8_t)dtype;
    a->weak = WEAK_NONE;
    a->readonly = false;
    a->is_scalar = false;
    a->ndim = ndim;
    a->offset = 0;
    a->storage = NULL;
    a->strides = a->shape + ndim;
    live_count++;
    return a;
}

static void
header_free(Array *a)
{
    live_count--;
    if (a->ndim <= HEADER_NDIM) {
        freelist_free(&headers, a);
    } else {
        mem_free(a, HEADER_SIZE(a->ndim));
    }
}

void
array_trim(void)
{
    freelist_trim(&headers);
    storage_trim();
}

int64_t
array_live(void)
{
    return live_count;
}

/* A contiguous array over the storage that `make` gives for its size in bytes. */
static Array *
new_contiguous(Device *device, DType dtype, int ndim, const int64_t *shape,
               Storage *(*make)(Device *, size_t))
{
    Array *a = array_new_header(dtype, ndim);
    if (a == NULL) {
        return NULL;
    }
    for (int i = 0; i < ndim; i++) {
        a->shape[i] = shape[i];
    }
    const int64_t itemsize = dtype_size(dtype);
    a->size = shape_strides(ndim, shape, itemsize, a->strides);
    if (a->size < 0 || (a->storage = make(device, (size_t)(a->size * itemsize))) == NULL) {
        header_free(a);
        return NULL;
    }
    return a;
}

Array *
array_new(Device *device, DType dtype, int ndim, const int64_t *shape)
{
    return new_contiguous(device, dtype, ndim, shape, storage_new);
}

Array *
array_new_zeroed(Device *device, DType dtype, int ndim, const int64_t *shape)
{
    return new_contiguous(device, dtype, ndim, shape, storage_new_zeroed);
}

Array *
array_new_virtual(Device *device, DType dtype, int ndim, const int64_t *shape)
{
    return new_contiguous(device, dtype, ndim, shape, storage_new_virtual);
}

Array *
array_new_view(Storage *storage, DType dtype, int ndim, const int64_t *shape,
               const int64_t *strides, int64_t offset)
{
    Array *a = array_new_header(dtype, ndim);
    if (a == NULL) {
        return NULL;
    }
    a->size = 1;
    for (int i = 0; i < ndim; i++) {
        a->shape[i] = shape[i];
        a->strides[i] = strides[i];
        a->size *= shape[i];
    }
    a->offset = offset;
    a->readonly = storage->readonly;
    a->storage = storage_retain(storage);
    return a;
}

Array *
array_new_scalar(DType dtype, Weak weak, const void *value)
{
    Array *a = array_new(device_cpu(), dtype, 0, NULL);
    if (a != NULL) {
        a->weak = (uint8_t)weak;
        memcpy(a->storage->data, value, (size_t)dtype_size(dtype));
    }
    return a;
}

void
array_release(Array *array)
{
    if (array == NULL || --array->refcount > 0) {
        return;
    }
    assert(array->refcount == 0);
    Storage *storage = array->storage;
    header_free(array);
    storage_release(storage);
}

void
arrays_release(Array *const *arrays, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        array_release(arrays[i]);
    }
}

bool
array_is_contiguous(const Array *a)
{
    int64_t expected = dtype_size((DType)a->dtype);
    if (a->size == 0) {
        return true;
    }
    for (int axis = a->ndim - 1; axis >= 0; axis--) {
        if (a->shape[axis] != 1 && a->strides[axis] != expected) {
            return false;
        }
        expected *= a->shape[axis];
    }
    return true;
}

bool
array_is_f_contiguous(const Array *a)
{
    int64_t expected = dtype_size((DType)a->dtype);
    if (a->size == 0) {
        return true;
    }
    for (int axis = 0; axis < a->ndim; axis++) {
        if (a->shape[axis] != 1 && a->strides[axis] != expected) {
            return false;
        }
        expected *= a->shape[axis];
    }
    return true;
}

bool
array_is_writable(const Array *a)
{
    return !a->readonly && !a->is_scalar && !a->storage->readonly;
}
