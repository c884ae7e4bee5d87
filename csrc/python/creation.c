/* python/creation.c -- functions that make arrays, with NumPy's signatures and dtype rules. */
#include "python/functions.h"

#include <math.h>
#include <string.h>

#define CREATION(name)                                                                             \
    static PyObject *creation_##name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,      \
                                     PyObject *kwnames)

/* ---- from objects ---- */

/* `array` (taken over) in the given order, with at least ndmin axes. NULL with the error. */
static Array *
arrange(Array *array, char order, int64_t ndmin)
{
    if (array != NULL && order == 'C' && !array_is_contiguous(array)) {
        Array *copy = graph_copy(array);
        array_release(array);
        array = copy;
    } else if (array != NULL && order == 'F' && !array_is_f_contiguous(array)) {
        Array *turned = view_transpose(array, NULL);
        Array *copy = turned == NULL ? NULL : graph_copy(turned);
        array_release(turned);
        array_release(array);
        array = copy == NULL ? NULL : view_transpose(copy, NULL);
        array_release(copy);
    }
    while (array != NULL && array->ndim < ndmin) {
        Array *wide = view_expand(array, 0);
        array_release(array);
        array = wide;
    }
    return array;
}

/* `object` moved to the device named, if one is. Takes over the reference. */
static PyObject *
move_to(PyObject *object, PyObject *device)
{
    if (object == NULL || device == NULL || device == Py_None) {
        return object;
    }
    PyObject *moved = PyObject_CallMethod(object, "to", "O", device);
    Py_DECREF(object);
    return moved;
}

PyObject *
creation_place(PyObject *object, PyObject *device)
{
    if (object == NULL || device_default() == device_cpu() ||
        (device != NULL && device != Py_None)) {
        return move_to(object, device);
    }
    if (!array_object_check(object) ||
        object_array(object)->storage->device == device_default()) {
        return object;
    }
    Array *moved = graph_to_device(object_array(object), device_default());
    Py_DECREF(object);
    return object_wrap(moved);
}

static PyObject *
from_object(PyObject *object, PyObject *dtype_object_, int copy, PyObject *order_object,
            int64_t ndmin, PyObject *device)
{
    DType dtype;
    char order;
    if (args_dtype(dtype_object_, &dtype) < 0 || args_order(order_object, 'K', &order) < 0) {
        return NULL;
    }
    if (ndmin > ARRAY_MAX_NDIM) {
        return PyErr_Format(PyExc_ValueError, "ndmin must be <= %d", ARRAY_MAX_NDIM);
    }
    if (array_object_check_exact(object) && copy != 1) {
        const Array *x = object_array(object);
        const bool ordered = (order != 'C' || array_is_contiguous(x)) &&
                             (order != 'F' || array_is_f_contiguous(x));
        if ((dtype == DTYPE_COUNT || dtype == x->dtype) && ordered && x->ndim >= ndmin) {
            return move_to(Py_NewRef(object), device);
        }
    }
    Array *array = convert_array_full(object, dtype, copy);
    if (array == NULL) {
        return NULL;
    }
    array->weak = WEAK_NONE;
    return move_to(object_wrap(arrange(array, order, ndmin)), device);
}

/* NumPy's copy=: None if needed, False never, True always. -2 on error. */
static int
read_copy(PyObject *object, int fallback)
{
    if (object == NULL) {
        return fallback;
    }
    if (object == Py_None) {
        return -1;
    }
    const int truth = PyObject_IsTrue(object);
    return truth < 0 ? -2 : truth;
}

CREATION(array)
{
    static const Signature signature = {
        "array", 8, 1, 2,
        {"object", "dtype", "copy", "order", "subok", "ndmin", "like", "device"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t ndmin;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_int64(v[5], 0, &ndmin) < 0) {
        return NULL;
    }
    const int copy = read_copy(v[2], 1);
    return copy == -2 ? NULL : from_object(v[0], v[1], copy, v[3], ndmin, v[7]);
}

CREATION(asarray)
{
    static const Signature signature = {
        "asarray", 6, 1, 3, {"a", "dtype", "order", "device", "copy", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    const int copy = read_copy(v[4], -1);
    return copy == -2 ? NULL : from_object(v[0], v[1], copy, v[2], 0, v[3]);
}

CREATION(ascontiguousarray)
{
    static const Signature signature = {"ascontiguousarray", 3, 1, 2, {"a", "dtype", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    PyObject *order = PyUnicode_FromString("C");
    PyObject *result = order == NULL ? NULL : from_object(v[0], v[1], -1, order, 1, NULL);
    Py_XDECREF(order);
    return result;
}

CREATION(copy)
{
    static const Signature signature = {"copy", 3, 1, 3, {"a", "order", "subok"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    return args_bind(&signature, args, nargs, kwnames, v) < 0
               ? NULL
               : from_object(v[0], NULL, 1, v[1], 0, NULL);
}

/* ---- of one value ---- */

/* Set every element of fresh host memory to the bytes at `element`. */
static void
fill_bytes(Array *array, const void *element)
{
    const size_t item = (size_t)dtype_size(array->dtype);
    const size_t total = (size_t)array->size * item;
    char *data = array_data(array);
    if (total == 0) {
        return;
    }
    memcpy(data, element, item);
    for (size_t done = item; done < total;) {
        const size_t step = done < total - done ? done : total - done;
        memcpy(data + done, data, step);
        done += step;
    }
}

/* Fill a fresh array with a value that broadcasts to it. 0 / -1 with an exception. */
static int
fill_value(Array *array, Array *value)
{
    if (value->size == 1 && value->dtype == array->dtype && !graph_is_recorded(value) &&
        value->storage->device->host_memory && array->storage->device->host_memory &&
        storage_map_host(value->storage, MAP_READ) != NULL) {
        fill_bytes(array, array_data(value));
        return 0;
    }
    return graph_write(array, value) == STATUS_OK ? 0 : error_raise_int();
}

/* A new array of a shape object; fill: 0 zeros, 1 ones, -1 nothing. */
static PyObject *
make_filled(PyObject *shape_object, DType dtype, int fill, PyObject *order_object,
            PyObject *device_object)
{
    int64_t shape[ARRAY_MAX_NDIM], turned[ARRAY_MAX_NDIM];
    char order;
    Device *device = args_device(device_object);
    if (device == NULL || args_order(order_object, 'C', &order) < 0) {
        return NULL;
    }
    const int ndim = convert_shape(shape_object, shape);
    if (ndim < 0) {
        return NULL;
    }
    for (int i = 0; i < ndim; i++) {
        turned[i] = order == 'F' ? shape[ndim - 1 - i] : shape[i];
    }
    Array *array = fill == 0 ? array_new_zeroed(device, dtype, ndim, turned)
                             : array_new(device, dtype, ndim, turned);
    if (array == NULL) {
        return error_raise();
    }
    if (fill == 1) {
        const int64_t one = 1;
        Array *unit = array_new_scalar(DT_i64, WEAK_INT, &one);
        Array *value = unit == NULL ? NULL : graph_cast(unit, dtype, false);
        Array *concrete = value == NULL ? NULL : graph_evaluate(value);
        const int status = concrete == NULL ? error_raise_int() : fill_value(array, concrete);
        array_release(unit);
        array_release(value);
        array_release(concrete);
        if (status < 0) {
            array_release(array);
            return NULL;
        }
    }
    if (order == 'F' && ndim > 1) {
        Array *view = view_transpose(array, NULL);
        array_release(array);
        array = view;
    }
    return object_wrap(array);
}

/* (shape, dtype=None, order='C', *, device=None, like=None) */
static PyObject *
make_bound(const char *name, int fill, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const Signature signature = {name, 5, 1, 3, {"shape", "dtype", "order", "device", "like"}};
    PyObject *v[ARGS_MAX];
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[1], &dtype) < 0) {
        return NULL;
    }
    return make_filled(v[0], dtype == DTYPE_COUNT ? DT_f64 : dtype, fill, v[2], v[3]);
}

#define MAKER(name, fill)                                                                          \
    CREATION(name)                                                                                 \
    {                                                                                              \
        (void)self;                                                                                \
        return make_bound(#name, fill, args, nargs, kwnames);                                      \
    }
MAKER(empty, -1)
MAKER(zeros, 0)
MAKER(ones, 1)

/* An array of `shape` filled with an object; dtype DTYPE_COUNT takes the object's. */
static PyObject *
make_full(PyObject *shape, PyObject *object, DType dtype, PyObject *order, PyObject *device)
{
    if (dtype != DTYPE_COUNT && PyLong_CheckExact(object) && object_check_int(object, dtype) < 0) {
        return NULL;
    }
    Array *value = convert_array_full(object, dtype, -1);
    if (value == NULL) {
        return NULL;
    }
    PyObject *result = make_filled(shape, value->dtype, -1, order, device);
    if (result != NULL) {
        Array *array = object_array(result);
        const int status = value->size == 1 && value->ndim == 0
                               ? fill_value(array, value)
                               : subscript_assign(array, object);
        if (status < 0) {
            Py_CLEAR(result);
        }
    }
    array_release(value);
    return result;
}

CREATION(full)
{
    static const Signature signature = {
        "full", 6, 2, 4, {"shape", "fill_value", "dtype", "order", "device", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[2], &dtype) < 0) {
        return NULL;
    }
    return make_full(v[0], v[1], dtype, v[3], v[4]);
}

/* ---- like another array ---- */

/* What x_like(a, dtype, order, subok, shape, device) takes from `a`. 0 / -1. */
typedef struct Like {
    DType dtype;
    PyObject *shape; /* owned */
    PyObject *order; /* owned */
    PyObject *device; /* owned */
} Like;

static void
like_fini(Like *like)
{
    Py_XDECREF(like->shape);
    Py_XDECREF(like->order);
    Py_XDECREF(like->device);
}

static int
like_init(Like *like, PyObject *prototype, PyObject *dtype, PyObject *order, PyObject *shape,
          PyObject *device)
{
    *like = (Like){DTYPE_COUNT, NULL, NULL, NULL};
    char letter;
    if (args_dtype(dtype, &like->dtype) < 0 || args_order(order, 'K', &letter) < 0) {
        return -1;
    }
    Array *a = object_operand(prototype);
    if (a == NULL) {
        return -1;
    }
    like->dtype = like->dtype == DTYPE_COUNT ? a->dtype : like->dtype;
    if (letter == 'A' || letter == 'K') {
        letter = array_is_f_contiguous(a) && !array_is_contiguous(a) ? 'F' : 'C';
    }
    like->order = PyUnicode_FromFormat("%c", letter);
    if (shape != NULL && shape != Py_None) {
        like->shape = Py_NewRef(shape);
    } else {
        like->shape = PyTuple_New(a->ndim);
        for (int i = 0; like->shape != NULL && i < a->ndim; i++) {
            PyTuple_SET_ITEM(like->shape, i, PyLong_FromLongLong(a->shape[i]));
        }
    }
    like->device = device != NULL && device != Py_None
                       ? Py_NewRef(device)
                       : PyUnicode_FromString(a->storage->device->name);
    array_release(a);
    if (like->shape == NULL || like->order == NULL || like->device == NULL) {
        like_fini(like);
        return -1;
    }
    return 0;
}

static PyObject *
make_like(const char *name, int fill, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const Signature signature = {
        name, 6, 1, 5, {fill < 0 ? "prototype" : "a", "dtype", "order", "subok", "shape", "device"}};
    PyObject *v[ARGS_MAX];
    Like like;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 ||
        like_init(&like, v[0], v[1], v[2], v[4], v[5]) < 0) {
        return NULL;
    }
    PyObject *result = make_filled(like.shape, like.dtype, fill, like.order, like.device);
    like_fini(&like);
    return result;
}

#define LIKE(name, fill)                                                                           \
    CREATION(name##_like)                                                                          \
    {                                                                                              \
        (void)self;                                                                                \
        return make_like(#name "_like", fill, args, nargs, kwnames);                               \
    }
LIKE(empty, -1)
LIKE(zeros, 0)
LIKE(ones, 1)

CREATION(full_like)
{
    static const Signature signature = {
        "full_like", 7, 2, 6, {"a", "fill_value", "dtype", "order", "subok", "shape", "device"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    Like like;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 ||
        like_init(&like, v[0], v[2], v[3], v[5], v[6]) < 0) {
        return NULL;
    }
    PyObject *result = make_full(like.shape, v[1], like.dtype, like.order, like.device);
    like_fini(&like);
    return result;
}

#define ROW(name, doc)                                                                             \
    {#name, (PyCFunction)(void (*)(void))creation_##name, METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef functions[] = {
    ROW(array, "array(object, dtype=None, *, copy=True, order='K', ndmin=0, device=None)\n--\n\n"
               "An array of what `object` holds: numbers, nested sequences (also of traced\n"
               "scalars), arrays. A copy unless copy is None or False. TypeError for dtypes that\n"
               "pyarr does not have, ValueError for ragged sequences.\n\n"
               ">>> import pyarr as pa\n>>> pa.array([1.0, 2.0])\narray([1., 2.])\n"),
    ROW(asarray, "asarray(a, dtype=None, order=None, *, device=None, copy=None)\n--\n\n"
                 "`a` as an array, without copying where possible: NumPy arrays share memory.\n\n"
                 ">>> import pyarr as pa\n>>> pa.asarray([1, 2]).dtype\ndtype('int64')\n"),
    ROW(ascontiguousarray, "ascontiguousarray(a, dtype=None)\n--\n\n"
                           "`a` in C order with at least one axis, copied only if needed.\n\n"
                           ">>> import pyarr as pa\n>>> pa.ascontiguousarray(1.0).shape\n(1,)\n"),
    ROW(copy, "copy(a, order='K', subok=False)\n--\n\n"
              "An array with the elements of `a` in memory of its own; differentiable.\n\n"
              ">>> import pyarr as pa\n>>> pa.copy([1.0, 2.0])\narray([1., 2.])\n"),
    ROW(empty, "empty(shape, dtype=None, order='C', *, device=None)\n--\n\n"
               "An array whose elements are not set. ValueError for negative sizes.\n\n"
               ">>> import pyarr as pa\n>>> pa.empty((2, 3)).shape\n(2, 3)\n"),
    ROW(zeros, "zeros(shape, dtype=None, order='C', *, device=None)\n--\n\n"
               "An array of zeros. ValueError for negative sizes.\n\n"
               ">>> import pyarr as pa\n>>> pa.zeros(2)\narray([0., 0.])\n"),
    ROW(ones, "ones(shape, dtype=None, order='C', *, device=None)\n--\n\n"
              "An array of ones. ValueError for negative sizes.\n\n"
              ">>> import pyarr as pa\n>>> pa.ones(2)\narray([1., 1.])\n"),
    ROW(full, "full(shape, fill_value, dtype=None, order='C', *, device=None)\n--\n\n"
              "An array filled with one value, in the value's dtype unless one is given.\n\n"
              ">>> import pyarr as pa\n>>> pa.full(2, 7)\narray([7, 7])\n"),
    ROW(empty_like, "empty_like(prototype, dtype=None, order='K', subok=True, shape=None, *, "
                    "device=None)\n--\n\nempty() with the shape, dtype and device of another.\n\n"
                    ">>> import pyarr as pa\n>>> pa.empty_like([1, 2]).dtype\n"
                    "dtype('int64')\n"),
    ROW(zeros_like, "zeros_like(a, dtype=None, order='K', subok=True, shape=None, *, "
                    "device=None)\n--\n\nzeros() with the shape, dtype and device of another.\n\n"
                    ">>> import pyarr as pa\n>>> pa.zeros_like([1, 2])\narray([0, 0])\n"),
    ROW(ones_like, "ones_like(a, dtype=None, order='K', subok=True, shape=None, *, "
                   "device=None)\n--\n\nones() with the shape, dtype and device of another.\n\n"
                   ">>> import pyarr as pa\n>>> pa.ones_like([3, 2])\narray([1, 1])\n"),
    ROW(full_like, "full_like(a, fill_value, dtype=None, order='K', subok=True, shape=None, *, "
                   "device=None)\n--\n\nfull() with the shape, dtype and device of another.\n\n"
                   ">>> import pyarr as pa\n>>> pa.full_like([3, 2], 5)\narray([5, 5])\n"),
    {NULL, NULL, 0, NULL},
};

int
module_add_creation(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
