/* python/foreign.c -- memory shared with NumPy, in both directions.
 *
 * There is one storage for each foreign owner: the object at the end of NumPy's .base chain.
 * A table that holds no references finds it, so that two views of one NumPy array are known to
 * overlap. The storage owns a reference to the owner (and, where the owner has one, a buffer,
 * so that a bytearray or mmap can't be resized or closed under us); it leaves the table when it
 * dies. Arrays that pyarr handed out come back as the storage they came from.
 */
#include "python/numpy_api.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

#define STORAGE_CAPSULE "pyarr.storage"

/* PyObject * -> Storage *, both borrowed. */
static HashMap storages_by_owner;

/* What a foreign storage keeps. */
typedef struct Owner {
    PyObject *object;
    Py_buffer buffer;
    bool has_buffer;
} Owner;

static void
owner_release(void *state)
{
    Owner *owner = state;
    hash_remove_ptr(&storages_by_owner, owner->object);
    if (owner->has_buffer) {
        PyBuffer_Release(&owner->buffer);
    }
    PyObject *object = owner->object;
    mem_free(owner, sizeof *owner);
    Py_DECREF(object); /* last: it may run any code */
}

/* ---- dtypes and types ---- */

DType
numpy_dtype(const PyArray_Descr *descr)
{
    const int64_t size = PyDataType_ELSIZE(descr);
    const int number = descr->type_num;
    if (number >= NPY_NTYPES_LEGACY || number == NPY_LONGDOUBLE || number == NPY_CLONGDOUBLE) {
        return DTYPE_COUNT;
    }
    switch (descr->kind) {
    case 'b': return DT_bool;
    case 'i': return size == 8 ? DT_i64 : size == 4 ? DT_i32 : size == 2 ? DT_i16 : DT_i8;
    case 'u': return size == 8 ? DT_u64 : size == 4 ? DT_u32 : size == 2 ? DT_u16 : DT_u8;
    case 'f': return size == 8 ? DT_f64 : size == 4 ? DT_f32 : DTYPE_COUNT;
    case 'c': return size == 16 ? DT_c128 : size == 8 ? DT_c64 : DTYPE_COUNT;
    default: return DTYPE_COUNT;
    }
}

int
numpy_refuse_dtype(PyArray_Descr *descr)
{
    const char *advice;
    if (PyDataType_HASFIELDS(descr)) {
        advice = "pass its fields one by one, x['name']";
    }
    else {
        switch (descr->kind) {
        case 'O': advice = "convert it first, as in numpy.asarray(x, dtype=float)"; break;
        case 'M':
        case 'm': advice = "convert it first, as in (x - x0) / numpy.timedelta64(1, 's')"; break;
        case 'S':
        case 'U':
        case 'T': advice = "pyarr holds numbers; convert it first with x.astype(float)"; break;
        default: advice = "convert it first, as in x.astype(numpy.float64)"; break;
        }
    }
    PyErr_Format(PyExc_TypeError, "pyarr has no dtype %S: %s", (PyObject *)descr, advice);
    return -1;
}

static PyTypeObject *memmap_type; /* numpy.memmap, borrowed for good */

int
numpy_check_type(PyObject *ndarray)
{
    PyTypeObject *type = Py_TYPE(ndarray);
    if (type == &PyArray_Type || type == memmap_type) {
        return 0;
    }
    if (memmap_type == NULL) {
        PyObject *numpy = PyImport_ImportModule("numpy");
        PyObject *found = numpy == NULL ? NULL : PyObject_GetAttrString(numpy, "memmap");
        Py_XDECREF(numpy);
        if (found == NULL) {
            return -1;
        }
        memmap_type = (PyTypeObject *)found;
        if (type == memmap_type) {
            return 0;
        }
    }
    const char *advice = "pass numpy.asarray(x)";
    for (PyTypeObject *t = type; t != NULL; t = t->tp_base) {
        if (strstr(t->tp_name, "MaskedArray") != NULL) {
            advice = "masks are not kept; pass x.filled(value), or x.data and x.mask";
        }
        else if (strcmp(t->tp_name, "matrix") == 0 || strcmp(t->tp_name, "numpy.matrix") == 0) {
            advice = "its * is a matrix product; pass numpy.asarray(x) and write @";
        }
    }
    PyErr_Format(PyExc_TypeError, "pyarr does not take %s, a subclass of numpy.ndarray: %s",
                 type->tp_name, advice);
    return -1;
}

/* ---- from NumPy ---- */

/* Lowest and one past the highest address that the array touches. */
static void
numpy_extent(PyArrayObject *a, char **low, char **high)
{
    char *first = PyArray_BYTES(a), *last = first;
    for (int i = 0; i < PyArray_NDIM(a); i++) {
        const npy_intp step = (PyArray_DIM(a, i) - 1) * PyArray_STRIDE(a, i);
        *(step < 0 ? &first : &last) += step;
    }
    *low = first;
    *high = last + PyArray_ITEMSIZE(a);
}

/* The end of the chain of bases; `root` is the last ndarray on the way. Borrowed. */
static PyObject *
chain_end(PyArrayObject *array, PyArrayObject **root)
{
    PyObject *at = (PyObject *)array;
    *root = array;
    for (;;) {
        PyObject *next = NULL;
        if (PyArray_Check(at)) {
            *root = (PyArrayObject *)at;
            next = PyArray_BASE((PyArrayObject *)at);
        }
        else if (PyMemoryView_Check(at)) {
            next = PyMemoryView_GET_BUFFER(at)->obj;
        }
        if (next == NULL) {
            return at;
        }
        at = next;
    }
}

/* The storage of memory that pyarr itself handed out, or NULL; borrowed. */
static Storage *
own_storage(PyObject *owner, const char *low, const char *high)
{
    Storage *storage = NULL;
    if (array_object_check(owner)) {
        storage = object_array(owner)->storage;
    }
    else if (PyCapsule_CheckExact(owner)) {
        const char *name = PyCapsule_GetName(owner);
        if (name != NULL && strcmp(name, STORAGE_CAPSULE) == 0) {
            storage = PyCapsule_GetPointer(owner, STORAGE_CAPSULE);
        }
        else {
            storage = dlpack_own_storage(owner);
        }
    }
    PyErr_Clear();
    /* A traced array may have been evaluated elsewhere: then its buffer came from there. */
    if (storage != NULL && storage->data != NULL && storage->data <= low &&
        high <= storage->data + storage->size) {
        return storage;
    }
    return NULL;
}

static Storage *
storage_for_owner(PyObject *object, PyArrayObject *root, char *low, char *high)
{
    Owner *owner = mem_new(sizeof *owner);
    if (owner == NULL) {
        return NULL;
    }
    *owner = (Owner){.object = Py_NewRef(object)};
    char *data, *end;
    numpy_extent(root, &data, &end);
    if (PyArray_SIZE(root) == 0 || low < data || high > end) {
        data = low;
        end = high;
    }
    if (object != (PyObject *)root && PyObject_CheckBuffer(object)) {
        if (PyObject_GetBuffer(object, &owner->buffer, PyBUF_SIMPLE) == 0) {
            owner->has_buffer = true;
            char *buffer = owner->buffer.buf;
            if (buffer <= low && high <= buffer + owner->buffer.len) {
                data = buffer;
                end = buffer + owner->buffer.len;
            }
        }
        else {
            PyErr_Clear(); /* not contiguous, or closed: the reference must do */
        }
    }
    if (hash_reserve(&storages_by_owner, storages_by_owner.size + 1) != STATUS_OK) {
        owner_release(owner);
        return NULL;
    }
    /* Writability is the view's: one owner has both kinds of views. */
    Storage *storage = storage_wrap(device_cpu(), data, (size_t)(end - data), false, owner,
                                    owner_release);
    if (storage != NULL) {
        hash_set_ptr(&storages_by_owner, object, storage); /* room was made */
    }
    return storage;
}

/* New reference. */
static Storage *
find_storage(PyArrayObject *array)
{
    char *low, *high;
    numpy_extent(array, &low, &high);
    PyArrayObject *root;
    PyObject *owner = chain_end(array, &root);
    Storage *storage = own_storage(owner, low, high);
    if (storage != NULL) {
        return storage_retain(storage);
    }
    storage = hash_get_ptr(&storages_by_owner, owner);
    if (storage == NULL) {
        return storage_for_owner(owner, root, low, high);
    }
    if (storage->data == NULL) {
        storage->data = low; /* was wrapped around an empty array */
    }
    if (high > storage->data + storage->size) {
        storage->size = (size_t)(high - storage->data); /* an owner that showed only a part */
    }
    return storage_retain(storage);
}

/* The elements in native byte order, aligned, as an array of our own. */
static Array *
copy_from_numpy(PyArrayObject *source, DType dtype)
{
    int64_t shape[ARRAY_MAX_NDIM];
    for (int i = 0; i < PyArray_NDIM(source); i++) {
        shape[i] = PyArray_DIM(source, i);
    }
    Array *copy = array_new(device_cpu(), dtype, PyArray_NDIM(source), shape);
    if (copy == NULL || copy->size == 0) {
        return copy != NULL ? copy : (Array *)error_raise();
    }
    PyArray_Descr *descr = (PyArray_Descr *)Py_NewRef(dtype_object(dtype));
    PyObject *target = PyArray_NewFromDescr(&PyArray_Type, descr, copy->ndim,
                                            (npy_intp *)copy->shape, NULL, array_data(copy),
                                            NPY_ARRAY_CARRAY, NULL);
    const int failed = target == NULL || PyArray_CopyInto((PyArrayObject *)target, source) < 0;
    Py_XDECREF(target);
    if (failed) {
        array_release(copy);
        return NULL;
    }
    return copy;
}

Array *
numpy_copy(PyArrayObject *source)
{
    const DType dtype = numpy_dtype(PyArray_DESCR(source));
    if (dtype == DTYPE_COUNT) {
        numpy_refuse_dtype(PyArray_DESCR(source));
        return NULL;
    }
    return copy_from_numpy(source, dtype);
}

Array *
numpy_share(PyArrayObject *source, bool *copied)
{
    PyArray_Descr *descr = PyArray_DESCR(source);
    const DType dtype = numpy_dtype(descr);
    *copied = false;
    if (dtype == DTYPE_COUNT) {
        numpy_refuse_dtype(descr);
        return NULL;
    }
    if (numpy_check_type((PyObject *)source) < 0) {
        return NULL;
    }
    if (!PyArray_ISBEHAVED_RO(source) || PyArray_SIZE(source) == 0) {
        *copied = PyArray_SIZE(source) != 0;
        Array *copy = copy_from_numpy(source, dtype);
        if (copy != NULL && !*copied && !PyArray_ISWRITEABLE(source)) {
            copy->readonly = true;
        }
        return copy;
    }
    int64_t shape[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    for (int i = 0; i < PyArray_NDIM(source); i++) {
        shape[i] = PyArray_DIM(source, i);
        strides[i] = PyArray_STRIDE(source, i);
    }
    Storage *storage = find_storage(source);
    if (storage == NULL) {
        return (Array *)error_raise();
    }
    Array *array = array_new_view(storage, dtype, PyArray_NDIM(source), shape, strides,
                                  PyArray_BYTES(source) - storage->data);
    storage_release(storage);
    if (array == NULL) {
        return (Array *)error_raise();
    }
    array->readonly = !PyArray_ISWRITEABLE(source) || storage->readonly;
    return array;
}

Array *
convert_from_numpy(PyObject *ndarray)
{
    if (!PyArray_Check(ndarray)) {
        PyErr_Format(PyExc_TypeError, "from_numpy: needs a numpy.ndarray, not %s",
                     Py_TYPE(ndarray)->tp_name);
        return NULL;
    }
    bool copied;
    return numpy_share((PyArrayObject *)ndarray, &copied);
}

/* ---- to NumPy ---- */

static void
capsule_release(PyObject *capsule)
{
    Storage *storage = PyCapsule_GetPointer(capsule, STORAGE_CAPSULE);
    storage->exports--;
    storage_release(storage);
}

PyObject *
storage_capsule(Storage *storage)
{
    PyObject *capsule = PyCapsule_New(storage, STORAGE_CAPSULE, capsule_release);
    if (capsule != NULL) {
        storage_retain(storage)->exports++;
    }
    return capsule;
}

PyObject *
convert_to_numpy(Array *concrete)
{
    Storage *storage = concrete->storage;
    if (concrete->size > 0 && storage_map_host(storage, MAP_READ) == NULL) {
        return error_raise();
    }
    const bool writable = !concrete->is_scalar && array_is_writable(concrete);
    PyArray_Descr *descr = (PyArray_Descr *)Py_NewRef(dtype_object(concrete->dtype));
    PyObject *result = PyArray_NewFromDescr(
        &PyArray_Type, descr, concrete->ndim, (npy_intp *)concrete->shape,
        concrete->size > 0 ? (npy_intp *)concrete->strides : NULL,
        concrete->size > 0 ? array_data(concrete) : NULL, writable ? NPY_ARRAY_WRITEABLE : 0, NULL);
    if (result == NULL || concrete->size == 0) {
        return result;
    }
    /* Memory of a NumPy array goes back under that array's own name. */
    PyObject *base = NULL;
    if (storage->foreign && storage->release == owner_release) {
        PyObject *object = ((Owner *)storage->owner)->object;
        base = PyArray_CheckExact(object) ? Py_NewRef(object) : NULL;
    }
    if (base == NULL) {
        base = storage_capsule(storage);
    }
    if (base == NULL || PyArray_SetBaseObject((PyArrayObject *)result, base) < 0) {
        Py_DECREF(result);
        return NULL;
    }
    PyArray_UpdateFlags((PyArrayObject *)result, NPY_ARRAY_UPDATE_ALL);
    return result;
}
