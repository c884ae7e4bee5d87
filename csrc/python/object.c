/* python/object.c -- the type pyarr.ndarray: life cycle, truth, hash, comparison, conversion. */
#include "python/object.h"
#include "python/args.h"

#define FREE_MAX 64

/* Dead objects ready for reuse, linked by their `array` field. */
static ArrayObject *free_objects;
static int free_count;

PyObject *
object_wrap(Array *array)
{
    if (array == NULL) {
        return error_raise();
    }
    ArrayObject *self = free_objects;
    if (self != NULL) {
        free_objects = (ArrayObject *)(void *)self->array;
        free_count--;
        PyObject_Init((PyObject *)self, &ArrayObject_Type);
    } else {
        self = PyObject_New(ArrayObject, &ArrayObject_Type);
        if (self == NULL) {
            array_release(array);
            return NULL;
        }
    }
    self->array = array;
    self->base = NULL;
    self->weakrefs = NULL;
    return (PyObject *)self;
}

PyObject *
object_wrap_result(Array *result)
{
    if (result != NULL && result->ndim == 0) {
        result->is_scalar = true;
        result->readonly = true;
    }
    if (result != NULL) {
        result->weak = WEAK_NONE;
    }
    return object_wrap(result);
}

PyObject *
object_wrap_view(Array *view, PyObject *of)
{
    PyObject *self = object_wrap(view);
    if (self != NULL && array_object_check(of)) {
        PyObject *root = ((ArrayObject *)of)->base;
        ((ArrayObject *)self)->base = Py_NewRef(root != NULL ? root : of);
    }
    return self;
}

Array *
object_mark_scalar(Array *array)
{
    if (array == NULL) {
        return NULL;
    }
    Array *copy = graph_value(array);
    array_release(array);
    if (copy != NULL) {
        copy->is_scalar = true;
        copy->readonly = true;
        copy->weak = WEAK_NONE;
    }
    return copy;
}

static void
object_dealloc(PyObject *object)
{
    ArrayObject *self = (ArrayObject *)object;
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_CLEAR(self->base);
    array_release(self->array);
    if (free_count < FREE_MAX) {
        self->array = (Array *)(void *)free_objects;
        free_objects = self;
        free_count++;
    } else {
        PyObject_Free(self);
    }
}

/* ---- operands and results ---- */

int
object_check_int(PyObject *integer, DType dtype)
{
    if (!dtype_is_integer(dtype)) {
        return 0;
    }
    const DTypeInfo *info = dtype_info(dtype);
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    bool fits;
    if (info->kind == 'u') {
        if (overflow > 0 && info->size == 8) {
            const unsigned long long big = PyLong_AsUnsignedLongLong(integer);
            fits = !(big == (unsigned long long)-1 && PyErr_Occurred());
            PyErr_Clear();
        } else {
            fits = overflow == 0 && value >= 0 &&
                   (info->size == 8 || (value >> (8 * info->size)) == 0);
        }
    } else {
        const long long half = info->size == 8 ? 0 : 1LL << (8 * info->size - 1);
        fits = overflow == 0 && (info->size == 8 || (-half <= value && value < half));
    }
    if (!fits) {
        PyErr_Format(PyExc_OverflowError, "Python integer %R out of bounds for %s", integer,
                     info->name);
        return -1;
    }
    return 0;
}

Array *
object_operand(PyObject *object)
{
    Array *array;
    if (array_object_check_exact(object)) {
        return array_retain(object_array(object));
    }
    if (PyFloat_CheckExact(object)) {
        const double value = PyFloat_AS_DOUBLE(object);
        array = array_new_scalar(DT_f64, WEAK_FLOAT, &value);
    } else if (PyLong_CheckExact(object)) {
        int overflow;
        const int64_t value = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (overflow != 0) {
            return convert_array(object);
        }
        array = array_new_scalar(DT_i64, WEAK_INT, &value);
    } else {
        return convert_array(object);
    }
    if (array == NULL) {
        error_raise();
    }
    return array;
}

/* Write the shape "(2,3)" as NumPy's messages print it. */
static const char *
shape_words(const Array *a, char *buffer, size_t size)
{
    shape_text(a->ndim, a->shape, buffer, size);
    char *to = buffer;
    for (const char *from = buffer; *from != '\0'; from++) {
        if (*from != ' ') {
            *to++ = *from;
        }
    }
    *to = '\0';
    return buffer;
}

static bool
same_shape(const Array *a, const Array *b)
{
    if (a->ndim != b->ndim) {
        return false;
    }
    for (int i = 0; i < a->ndim; i++) {
        if (a->shape[i] != b->shape[i]) {
            return false;
        }
    }
    return true;
}

/* May `from` be broadcast to the shape of `to`? */
static bool
shape_fits(const Array *from, const Array *to)
{
    for (int i = 0; i < from->ndim; i++) {
        const int64_t size = from->shape[from->ndim - 1 - i];
        if (i >= to->ndim || (size != 1 && size != to->shape[to->ndim - 1 - i])) {
            return false;
        }
    }
    return true;
}

int
object_write_output(Array *dst, Array *result, const char *name, char casting)
{
    static const char *const words[256] = {['n'] = "no",
                                           ['e'] = "equiv",
                                           ['s'] = "safe",
                                           ['k'] = "same_kind",
                                           ['u'] = "unsafe"};
    if (!array_is_writable(dst) || dst->is_scalar) {
        PyErr_SetString(PyExc_ValueError, "output array is read-only");
        return -1;
    }
    if (!dtype_can_cast(result->dtype, dst->dtype, casting)) {
        PyErr_Format(PyExc_TypeError,
                     "Cannot cast ufunc '%s' output from dtype('%s') to dtype('%s') with casting "
                     "rule '%s'",
                     name, dtype_info(result->dtype)->name, dtype_info(dst->dtype)->name,
                     words[(unsigned char)casting]);
        return -1;
    }
    if (!same_shape(dst, result) && !shape_fits(result, dst)) {
        char a[256], b[256];
        PyErr_Format(PyExc_ValueError,
                     "non-broadcastable output operand with shape %s doesn't match the broadcast "
                     "shape %s",
                     shape_words(dst, a, sizeof a), shape_words(result, b, sizeof b));
        return -1;
    }
    return graph_write(dst, result) == STATUS_OK ? 0 : error_raise_int();
}

PyObject *
object_store(PyObject *out, Array *result, const char *name, char casting)
{
    if (result == NULL) {
        return PyErr_Occurred() ? NULL : error_raise();
    }
    if (out != NULL && PyTuple_CheckExact(out)) {
        if (PyTuple_GET_SIZE(out) != 1) {
            array_release(result);
            PyErr_Format(PyExc_ValueError, "%s: the 'out' tuple must have exactly one entry", name);
            return NULL;
        }
        out = PyTuple_GET_ITEM(out, 0);
    }
    if (out == NULL || out == Py_None) {
        return object_wrap_result(result);
    }
    Array *dst = NULL;
    if (array_object_check(out)) {
        dst = array_retain(object_array(out));
    } else if (PyObject_CheckBuffer(out) && PyObject_HasAttrString(out, "__array_interface__")) {
        dst = convert_array(out);
    } else {
        PyErr_SetString(PyExc_TypeError, "return arrays must be of ArrayType");
    }
    int status = -1;
    if (dst != NULL) {
        status = object_write_output(dst, result, name, casting);
        array_release(dst);
    }
    array_release(result);
    return status < 0 ? NULL : Py_NewRef(out);
}

Array *
object_export_value(Array *array, const char *what)
{
    Array *value;
    if (graph_is_active(array)) {
        value = graph_export(array, what);
    } else {
        value = graph_evaluate(array);
    }
    if (value != NULL && !value->storage->device->host_memory) {
        Array *host = graph_to_device(value, device_cpu());
        array_release(value);
        value = host;
    }
    if (value != NULL && storage_map_host(value->storage, MAP_READ) == NULL) {
        array_release(value);
        value = NULL;
    }
    if (value == NULL) {
        error_raise();
    }
    return value;
}

PyObject *
object_item(Array *array)
{
    Device *device = array->storage->device;
    Array *value = graph_to_device(array, device->host_memory ? device : device_cpu());
    if (value == NULL) {
        return error_raise();
    }
    PyObject *item = NULL;
    if (storage_map_host(value->storage, MAP_READ) == NULL) {
        error_raise();
    } else {
        item = convert_item(value, 0);
    }
    array_release(value);
    return item;
}

/* ---- slots of the type ---- */

static Py_hash_t
object_hash(PyObject *self)
{
    const Array *a = object_array(self);
    if (!a->is_scalar || a->ndim != 0) {
        PyErr_SetString(PyExc_TypeError, "unhashable type: 'pyarr.ndarray'");
        return -1;
    }
    PyObject *item = object_item(object_array(self));
    if (item == NULL) {
        return -1;
    }
    const Py_hash_t hash = PyObject_Hash(item);
    Py_DECREF(item);
    return hash;
}

/* What == (or !=) gives for an operand that no array can equal. */
static PyObject *
never_equal(const Array *a, int comparison)
{
    Array *result = array_new_zeroed(device_cpu(), DT_bool, a->ndim, a->shape);
    PyObject *wrapped = object_wrap_result(result);
    if (wrapped == NULL || comparison == Py_EQ) {
        return wrapped;
    }
    Array *inverse = graph_apply1(OP_logical_not, result);
    Py_DECREF(wrapped);
    return object_wrap_result(inverse);
}

static PyObject *
object_richcompare(PyObject *self, PyObject *other, int comparison)
{
    OpCode op = OP_equal;
    switch (comparison) {
    case Py_LT: op = OP_less; break;
    case Py_LE: op = OP_less_equal; break;
    case Py_EQ: op = OP_equal; break;
    case Py_NE: op = OP_not_equal; break;
    case Py_GT: op = OP_greater; break;
    default: op = OP_greater_equal; break;
    }
    const bool equality = comparison == Py_EQ || comparison == Py_NE;
    if (equality && (other == Py_None || PyUnicode_Check(other) || PyBytes_Check(other))) {
        return never_equal(object_array(self), comparison);
    }
    return number_binary(op, self, other);
}

static PyObject *
object_iter(PyObject *self)
{
    if (object_array(self)->ndim == 0) {
        PyErr_SetString(PyExc_TypeError, "iteration over a 0-d array");
        return NULL;
    }
    return PySeqIter_New(self);
}

static PyObject *
object_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)type;
    static char *names[] = {"shape", "dtype", "buffer", "offset", "strides", "order", NULL};
    PyObject *shape_object, *dtype_object = NULL, *buffer = Py_None, *strides = Py_None;
    PyObject *order = Py_None;
    Py_ssize_t offset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OOnOO:ndarray", names, &shape_object,
                                     &dtype_object, &buffer, &offset, &strides, &order)) {
        return NULL;
    }
    DType dtype;
    int64_t shape[ARRAY_MAX_NDIM];
    if (args_dtype(dtype_object, &dtype) < 0) {
        return NULL;
    }
    dtype = dtype == DTYPE_COUNT ? DT_f64 : dtype;
    if (buffer == Py_None && strides == Py_None) {
        const int ndim = convert_shape(shape_object, shape);
        return ndim < 0 ? NULL : object_wrap(array_new(device_default(), dtype, ndim, shape));
    }
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (numpy == NULL) {
        return NULL;
    }
    PyObject *view = PyObject_CallMethod(numpy, "ndarray", "OOOnOO", shape_object,
                                         (PyObject *)(dtype_object == NULL ? Py_None : dtype_object),
                                         buffer, offset, strides, order);
    Py_DECREF(numpy);
    if (view == NULL) {
        return NULL;
    }
    Array *array = convert_from_numpy(view);
    Py_DECREF(view);
    return array == NULL ? NULL : object_wrap(array);
}

PyObject *
int_tuple(int64_t n, const int64_t *values)
{
    PyObject *tuple = PyTuple_New(n);
    for (int64_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *item = PyLong_FromLongLong(values[i]);
        if (item == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, item);
        }
    }
    return tuple;
}

PyDoc_STRVAR(object_doc,
             "ndarray(shape, dtype=float, buffer=None, offset=0, strides=None, order=None)\n--\n\n"
             "An n-dimensional array with NumPy's interface, whose operations can be\n"
             "differentiated. Made by `array`, `zeros`, `arange`, ...; called directly it gives\n"
             "uninitialised elements (or a view of `buffer`).\n\n"
             "Raises ValueError for negative or overflowing shapes, TypeError for dtypes that\n"
             "pyarr does not have.\n\n"
             ">>> import pyarr as pa\n"
             ">>> pa.array([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)\n"
             "array([4., 6.])\n");

PyTypeObject ArrayObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyarr.ndarray",
    .tp_basicsize = sizeof(ArrayObject),
    .tp_dealloc = object_dealloc,
    .tp_repr = array_repr,
    .tp_str = array_str,
    .tp_as_number = &array_number_methods,
    .tp_as_sequence = &array_sequence_methods,
    .tp_as_mapping = &array_mapping_methods,
    .tp_as_buffer = &array_buffer_methods,
    .tp_hash = object_hash,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = object_doc,
    .tp_richcompare = object_richcompare,
    .tp_weaklistoffset = offsetof(ArrayObject, weakrefs),
    .tp_iter = object_iter,
    .tp_methods = array_methods,
    .tp_getset = array_getset,
    .tp_new = object_new,
};
