/* python/dlpack.c -- DLPack 1.x in both directions, with the form before 1.0 as fallback.
 * The structures follow the specification (dmlc.github.io/dlpack). */
#include "python/numpy_api.h"

#include "array/view.h"
#include "base/mem.h"

#include <string.h>

enum { DL_CPU = 1, DL_CUDA = 2, DL_CUDA_HOST = 3 };
enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_COMPLEX = 5, DL_BOOL = 6 };
enum { DL_READ_ONLY = 1, DL_IS_COPIED = 2 };

typedef struct DLDevice { int32_t type; int32_t id; } DLDevice;
typedef struct DLDataType { uint8_t code; uint8_t bits; uint16_t lanes; } DLDataType;
typedef struct DLTensor {
    void *data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: C-contiguous */
    uint64_t byte_offset;
} DLTensor;

typedef struct Legacy {
    DLTensor tensor;
    void *context;
    void (*deleter)(struct Legacy *self);
} Legacy;

typedef struct Versioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct Versioned *self);
    uint64_t flags;
    DLTensor tensor;
} Versioned;

/* What we hand out: one block for either form. */
typedef struct Export {
    Versioned versioned;
    Legacy legacy;
    Storage *storage;
    size_t size; /* of this block */
    int64_t dims[];
} Export;

static void
export_release(Export *export)
{
    /* Consumers may call from any thread. */
    const PyGILState_STATE state = PyGILState_Ensure();
    export->storage->exports--;
    storage_release(export->storage);
    mem_free(export, export->size);
    PyGILState_Release(state);
}

static void
versioned_deleter(Versioned *self)
{
    export_release(self->context);
}

static void
legacy_deleter(Legacy *self)
{
    export_release(self->context);
}

static const char *
capsule_name(bool versioned)
{
    return versioned ? "dltensor_versioned" : "dltensor";
}

Storage *
dlpack_own_storage(PyObject *capsule)
{
    const char *name = PyCapsule_GetName(capsule);
    if (name == NULL || strstr(name, "dltensor") == NULL) {
        return NULL;
    }
    void *managed = PyCapsule_GetPointer(capsule, name);
    if (managed == NULL) {
        return NULL;
    }
    Export *export = NULL;
    if (strstr(name, "versioned") != NULL) {
        Versioned *v = managed;
        export = v->deleter == versioned_deleter ? v->context : NULL;
    }
    else {
        Legacy *l = managed;
        export = l->deleter == legacy_deleter ? l->context : NULL;
    }
    return export == NULL ? NULL : export->storage;
}

/* ---- handing out ---- */

static DLDataType
dl_dtype(DType dtype)
{
    DLDataType result = {.bits = (uint8_t)(8 * dtype_size(dtype)), .lanes = 1};
    switch (dtype_info(dtype)->kind) {
    case 'b': result.code = DL_BOOL; break;
    case 'i': result.code = DL_INT; break;
    case 'u': result.code = DL_UINT; break;
    case 'c': result.code = DL_COMPLEX; break;
    default: result.code = DL_FLOAT; break;
    }
    return result;
}

static DLDevice
dl_device(const Device *device)
{
    const bool is_cuda = strncmp(device->name, "cuda", 4) == 0;
    return (DLDevice){is_cuda ? DL_CUDA : DL_CPU, is_cuda ? device->index : 0};
}

static Export *
export_new(Array *array, bool is_copy)
{
    const int64_t itemsize = dtype_size(array->dtype);
    const size_t size = sizeof(Export) + 2 * (size_t)array->ndim * sizeof(int64_t);
    Export *export = mem_new(size);
    if (export == NULL) {
        return (Export *)error_raise();
    }
    int64_t *shape = export->dims, *strides = export->dims + array->ndim;
    for (int i = 0; i < array->ndim; i++) {
        shape[i] = array->shape[i];
        strides[i] = array->strides[i] / itemsize;
        if (array->strides[i] % itemsize != 0 && array->shape[i] > 1) {
            mem_free(export, size);
            PyErr_SetString(PyExc_BufferError, "DLPack: strides must be multiples of the item "
                                               "size; pass a copy");
            return NULL;
        }
    }
    char *data = array->size > 0 ? array->storage->data + array->offset : NULL;
    const DLTensor tensor = {data,  dl_device(array->storage->device), array->ndim,
                             dl_dtype(array->dtype), shape, strides, 0};
    uint64_t flags = is_copy ? DL_IS_COPIED : 0;
    if (array->is_scalar || !array_is_writable(array)) {
        flags |= DL_READ_ONLY;
    }
    export->versioned = (Versioned){1, 0, export, versioned_deleter, flags, tensor};
    export->legacy = (Legacy){tensor, export, legacy_deleter};
    export->size = size;
    export->storage = storage_retain(array->storage);
    export->storage->exports++;
    return export;
}

/* A capsule that nobody consumed. */
static void
capsule_unused(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        Versioned *v = PyCapsule_GetPointer(capsule, "dltensor_versioned");
        v->deleter(v);
    }
    else if (PyCapsule_IsValid(capsule, "dltensor")) {
        Legacy *l = PyCapsule_GetPointer(capsule, "dltensor");
        l->deleter(l);
    }
}

/* The device asked for must be the one the array is on; None asks for nothing. */
static int
check_device(PyObject *wanted, const Array *array)
{
    if (wanted == NULL || wanted == Py_None) {
        return 0;
    }
    int type, id;
    if (!PyTuple_Check(wanted) || !PyArg_ParseTuple(wanted, "ii", &type, &id)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "__dlpack__: dl_device must be a tuple of two int");
        }
        return -1;
    }
    const DLDevice has = dl_device(array->storage->device);
    if (has.type != type || has.id != id) {
        PyErr_Format(PyExc_BufferError,
                     "__dlpack__: the array is on device (%d, %d), not on (%d, %d)", has.type,
                     has.id, type, id);
        return -1;
    }
    return 0;
}

static int
check_stream(PyObject *stream, const Array *array)
{
    if (stream != NULL && stream != Py_None && array->storage->device->host_memory) {
        PyErr_SetString(PyExc_RuntimeError, "__dlpack__: arrays on the CPU take stream=None only");
        return -1;
    }
    return 0;
}

/* Is max_version absent or below 1.0? -1 with an exception. */
static int
wants_legacy(PyObject *max_version)
{
    if (max_version == NULL || max_version == Py_None) {
        return 1;
    }
    int major, minor;
    if (!PyTuple_Check(max_version) || !PyArg_ParseTuple(max_version, "ii", &major, &minor)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError,
                            "__dlpack__: max_version must be None or a tuple of two int");
        }
        return -1;
    }
    return major < 1;
}

/* __dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None) */
PyObject *
array_dlpack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = NULL, *max_version = NULL, *device = NULL, *copy = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream,
                                     &max_version, &device, &copy)) {
        return NULL;
    }
    const int legacy = wants_legacy(max_version);
    const int copies = copy == NULL || copy == Py_None ? 0 : PyObject_IsTrue(copy);
    Array *source = object_array(self);
    if (legacy < 0 || copies < 0 || check_device(device, source) < 0 ||
        check_stream(stream, source) < 0) {
        return NULL;
    }
    Array *array = graph_export(source, "DLPack");
    if (array != NULL && copies) {
        Array *copied = graph_copy(array);
        Array *concrete = copied == NULL ? NULL : graph_evaluate(copied);
        array_release(copied);
        array_release(array);
        array = concrete;
    }
    if (array == NULL) {
        return error_raise();
    }
    Export *export = export_new(array, copies);
    array_release(array);
    if (export == NULL) {
        return NULL;
    }
    if (legacy && (export->versioned.flags & DL_READ_ONLY) != 0) {
        export_release(export);
        PyErr_SetString(PyExc_BufferError,
                        "Cannot export readonly array since signalling readonly is unsupported "
                        "by DLPack (supported by newer DLPack version).");
        return NULL;
    }
    void *managed = legacy ? (void *)&export->legacy : (void *)&export->versioned;
    PyObject *capsule = PyCapsule_New(managed, capsule_name(!legacy), capsule_unused);
    if (capsule == NULL) {
        export_release(export);
    }
    return capsule;
}

PyObject *
array_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)unused;
    const DLDevice device = dl_device(object_array(self)->storage->device);
    return Py_BuildValue("ii", device.type, device.id);
}

/* ---- taking in ---- */

static void
release_versioned(void *managed)
{
    Versioned *v = managed;
    if (v->deleter != NULL) {
        v->deleter(v);
    }
}

static void
release_legacy(void *managed)
{
    Legacy *l = managed;
    if (l->deleter != NULL) {
        l->deleter(l);
    }
}

static DType
dtype_of(DLDataType d)
{
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        const DLDataType has = dl_dtype((DType)dtype);
        if (d.lanes == 1 && d.code == has.code && d.bits == has.bits) {
            return (DType)dtype;
        }
    }
    return DTYPE_COUNT;
}

/* Bytes from the first element to the lowest and to one past the highest; strides in bytes. */
static int
tensor_geometry(const DLTensor *t, int64_t itemsize, int64_t *strides, int64_t *low, int64_t *high)
{
    *low = 0;
    *high = itemsize;
    if (t->ndim < 0 || t->ndim > ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "from_dlpack: %d dimensions, at most %d are possible",
                     (int)t->ndim, ARRAY_MAX_NDIM);
        return -1;
    }
    if (shape_strides(t->ndim, t->shape, itemsize, strides) < 0) {
        return error_raise_int();
    }
    for (int i = 0; i < t->ndim; i++) {
        if (t->strides != NULL) {
            strides[i] = t->strides[i] * itemsize;
        }
        const int64_t step = (t->shape[i] - 1) * strides[i];
        *(step < 0 ? low : high) += step;
    }
    return 0;
}

static PyObject *
refuse_tensor(const DLTensor *t)
{
    if (t->device.type != DL_CPU && t->device.type != DL_CUDA_HOST) {
        PyErr_Format(PyExc_BufferError,
                     "from_dlpack: memory of device type %d is not supported here; move it to "
                     "the CPU first",
                     (int)t->device.type);
    }
    else {
        PyErr_Format(PyExc_BufferError,
                     "from_dlpack: unsupported dtype (code %d, %d bits, %d lanes)",
                     (int)t->dtype.code, (int)t->dtype.bits, (int)t->dtype.lanes);
    }
    return NULL;
}

/* An array over the managed tensor in a capsule, which is consumed on success. */
static PyObject *
array_from_capsule(PyObject *capsule)
{
    const bool versioned = PyCapsule_IsValid(capsule, capsule_name(true));
    void *managed = PyCapsule_GetPointer(capsule, capsule_name(versioned));
    if (managed == NULL) {
        return NULL;
    }
    const DLTensor *t = versioned ? &((Versioned *)managed)->tensor : &((Legacy *)managed)->tensor;
    if (versioned && ((Versioned *)managed)->major > 1) {
        PyErr_SetString(PyExc_BufferError, "from_dlpack: DLPack versions above 1 are not known");
        return NULL;
    }
    const DType dtype = dtype_of(t->dtype);
    if (dtype == DTYPE_COUNT || (t->device.type != DL_CPU && t->device.type != DL_CUDA_HOST)) {
        return refuse_tensor(t);
    }
    const bool readonly = versioned && (((Versioned *)managed)->flags & DL_READ_ONLY) != 0;
    int64_t strides[ARRAY_MAX_NDIM], low, high;
    if (tensor_geometry(t, dtype_size(dtype), strides, &low, &high) < 0) {
        return NULL;
    }
    char *data = (char *)t->data + t->byte_offset;
    bool empty = false;
    for (int i = 0; i < t->ndim; i++) {
        empty = empty || t->shape[i] == 0;
    }
    if (empty) { /* nothing is shared; the capsule frees its tensor */
        return object_wrap(array_new(device_cpu(), dtype, t->ndim, t->shape));
    }
    if ((uintptr_t)data % (uintptr_t)(dtype_size(dtype) < 8 ? dtype_size(dtype) : 8) != 0) {
        PyErr_SetString(PyExc_BufferError, "from_dlpack: the memory is not aligned; pass a copy");
        return NULL;
    }
    if (PyCapsule_SetName(capsule, versioned ? "used_dltensor_versioned" : "used_dltensor") < 0) {
        return NULL;
    }
    Storage *storage =
        storage_wrap(device_cpu(), data + low, (size_t)(high - low), readonly, managed,
                     versioned ? release_versioned : release_legacy);
    if (storage == NULL) {
        return error_raise();
    }
    Array *array = array_new_view(storage, dtype, t->ndim, t->shape, strides, -low);
    storage_release(storage);
    if (array != NULL && readonly) {
        array->readonly = true;
    }
    return object_wrap(array);
}

/* object.__dlpack__(...) with the arguments it understands. */
static PyObject *
ask_capsule(PyObject *object, PyObject *copy)
{
    PyObject *method = PyObject_GetAttrString(object, "__dlpack__");
    if (method == NULL) {
        return NULL;
    }
    PyObject *empty = PyTuple_New(0);
    PyObject *kwargs = Py_BuildValue("{s:(ii)}", "max_version", 1, 0);
    PyObject *capsule = NULL;
    if (empty != NULL && kwargs != NULL &&
        (copy == Py_None || PyDict_SetItemString(kwargs, "copy", copy) == 0)) {
        capsule = PyObject_Call(method, empty, kwargs);
        if (capsule == NULL && copy != Py_True && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear(); /* written before DLPack 1.0 */
            capsule = PyObject_CallNoArgs(method);
        }
    }
    Py_XDECREF(kwargs);
    Py_XDECREF(empty);
    Py_DECREF(method);
    return capsule;
}

/* pyarr and NumPy arrays by their own ways, which know about overlap; NULL without an
 * exception for others. */
static Array *
share_known(PyObject *object)
{
    if (array_object_check(object)) {
        Array *array = graph_export(object_array(object), "DLPack");
        Array *alias = array == NULL ? NULL : view_alias(array);
        array_release(array);
        return alias != NULL ? alias : (Array *)error_raise();
    }
    if (PyArray_CheckExact(object) &&
        numpy_dtype(PyArray_DESCR((PyArrayObject *)object)) != DTYPE_COUNT &&
        PyArray_ISBEHAVED_RO((PyArrayObject *)object)) {
        return convert_from_numpy(object);
    }
    return NULL;
}

static PyObject *
from_dlpack(PyObject *object, PyObject *copy)
{
    Array *known = share_known(object);
    if (known != NULL) {
        if (copy != Py_True) {
            return object_wrap(known);
        }
        Array *copied = graph_copy(known);
        array_release(known);
        return object_wrap(copied);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    PyObject *capsule = PyCapsule_CheckExact(object) ? Py_NewRef(object)
                                                     : ask_capsule(object, copy);
    if (capsule == NULL) {
        return NULL;
    }
    PyObject *result = array_from_capsule(capsule);
    Py_DECREF(capsule);
    return result;
}

PyObject *
convert_from_dlpack(PyObject *object)
{
    return from_dlpack(object, Py_None);
}

PyObject *
module_from_dlpack(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"x", "device", "copy", NULL};
    PyObject *object, *device = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:from_dlpack", names, &object, &device,
                                     &copy)) {
        return NULL;
    }
    if (device != Py_None) {
        const char *name = PyUnicode_Check(device) ? PyUnicode_AsUTF8(device) : NULL;
        if (name == NULL || strcmp(name, "cpu") != 0) {
            PyErr_Format(PyExc_ValueError, "from_dlpack: device must be None or 'cpu', got %R",
                         device);
            return NULL;
        }
    }
    return from_dlpack(object, copy);
}
