/* python/buffer.c -- the buffer protocol of pyarr.ndarray (PEP 3118). */
#include "python/pyarr.h"

#include "base/mem.h"

/* Kept in Py_buffer.internal: the array whose memory is shown, which need not be the object's
 * own (a recorded array is evaluated first). */
typedef struct Shown {
    Array *array;
    Py_ssize_t dims[2 * ARRAY_MAX_NDIM]; /* shape, then strides */
} Shown;

/* NumPy's letters for 64-bit integers, so that numpy.asarray gives its usual int64. */
static char *
buffer_format(DType dtype)
{
    if (sizeof(long) == 8 && dtype == DT_i64) {
        return "l";
    }
    if (sizeof(long) == 8 && dtype == DT_u64) {
        return "L";
    }
    return (char *)dtype_info(dtype)->format;
}

static int
check_flags(const Array *array, int flags)
{
    const char *problem = NULL;
    const bool c = array_is_contiguous(array), f = array_is_f_contiguous(array);
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !c) {
        problem = "ndarray is not C-contiguous";
    }
    else if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !f) {
        problem = "ndarray is not Fortran contiguous";
    }
    else if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS && !c && !f) {
        problem = "ndarray is not contiguous";
    }
    else if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !c) {
        problem = "ndarray is not C-contiguous";
    }
    else if ((flags & PyBUF_WRITABLE) != 0 && (array->is_scalar || !array_is_writable(array))) {
        problem = "buffer source array is read-only";
    }
    if (problem != NULL) {
        PyErr_SetString(PyExc_ValueError, problem);
        return -1;
    }
    return 0;
}

static void
fill_view(Py_buffer *view, Shown *shown, int flags)
{
    const Array *array = shown->array;
    for (int i = 0; i < array->ndim; i++) {
        shown->dims[i] = (Py_ssize_t)array->shape[i];
        shown->dims[array->ndim + i] = (Py_ssize_t)array->strides[i];
    }
    static char nothing[16]; /* some consumers refuse a NULL buffer even when it is empty */
    view->buf = array->size > 0 ? array_data(array) : nothing;
    view->itemsize = dtype_size(array->dtype);
    view->len = (Py_ssize_t)array->size * view->itemsize;
    view->readonly = array->is_scalar || !array_is_writable(array);
    view->format = (flags & PyBUF_FORMAT) != 0 ? buffer_format(array->dtype) : NULL;
    view->ndim = array->ndim;
    view->shape = (flags & PyBUF_ND) == PyBUF_ND ? shown->dims : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? shown->dims + array->ndim : NULL;
    if (view->shape == NULL && array->ndim > 1) {
        view->ndim = 1;
    }
    view->suboffsets = NULL;
    view->internal = shown;
}

static int
buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    if (view == NULL) {
        PyErr_SetString(PyExc_ValueError, "NULL view in getbuffer");
        return -1;
    }
    view->obj = NULL;
    const Device *device = object_array(self)->storage->device;
    if (!device->host_memory) {
        PyErr_Format(PyExc_BufferError,
                     "the buffer protocol: the array is on device %s; write x.to(\"cpu\") first",
                     device->name);
        return -1;
    }
    Shown *shown = NULL;
    Array *array = graph_export(object_array(self), "the buffer protocol");
    if (array == NULL ||
        (array->size > 0 && storage_map_host(array->storage, MAP_READ) == NULL) ||
        (shown = mem_new(sizeof *shown)) == NULL) {
        array_release(array);
        return error_raise_int();
    }
    if (check_flags(array, flags) < 0) {
        mem_free(shown, sizeof *shown);
        array_release(array);
        return -1;
    }
    shown->array = array;
    array->storage->exports++;
    fill_view(view, shown, flags);
    view->obj = Py_NewRef(self);
    return 0;
}

static void
buffer_release(PyObject *self, Py_buffer *view)
{
    (void)self;
    Shown *shown = view->internal;
    shown->array->storage->exports--;
    array_release(shown->array);
    mem_free(shown, sizeof *shown);
}

PyBufferProcs array_buffer_methods = {buffer_get, buffer_release};
