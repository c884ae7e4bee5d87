/* python/assign.c -- writing elements by NumPy's indexing, with its checks and messages. */
#include "python/index.h"

#include <math.h>
#include <string.h>

/* Python numbers that the dtype can't hold are refused as NumPy's assignment does. 0 / -1. */
static int
check_number(PyObject *value, DType dtype)
{
    if (PyLong_CheckExact(value)) {
        return object_check_int(value, dtype);
    }
    if (PyFloat_Check(value) && dtype_is_integer(dtype)) {
        const double number = PyFloat_AS_DOUBLE(value);
        if (isnan(number)) {
            PyErr_SetString(PyExc_ValueError, "cannot convert float NaN to integer");
            return -1;
        }
        if (isinf(number)) {
            PyErr_SetString(PyExc_OverflowError, "cannot convert float infinity to integer");
            return -1;
        }
    }
    if (PyComplex_Check(value) && !dtype_is_complex(dtype) && dtype != DT_bool) {
        PyErr_Format(PyExc_TypeError,
                     "%s() argument must be a string or a real number, not 'complex'",
                     dtype_is_integer(dtype) ? "int" : "float");
        return -1;
    }
    return 0;
}

int
object_warn_complex(void)
{
    static PyObject *category;
    if (category == NULL) {
        PyObject *module = PyImport_ImportModule("numpy.exceptions");
        category = module == NULL ? NULL : PyObject_GetAttrString(module, "ComplexWarning");
        Py_XDECREF(module);
        if (category == NULL) {
            return -1;
        }
    }
    return PyErr_WarnEx(category, "Casting complex values to real discards the imaginary part", 1);
}

/* The value of an assignment to elements of `dtype`, or NULL with an exception. */
static Array *
take_value(PyObject *object, DType dtype)
{
    if (check_number(object, dtype) < 0) {
        return NULL;
    }
    Array *value = object_operand(object);
    if (value == NULL) {
        return NULL;
    }
    if (dtype_is_complex(value->dtype) && !dtype_is_complex(dtype)) {
        if (dtype != DT_bool && object_warn_complex() < 0) {
            array_release(value);
            return NULL;
        }
    }
    return value;
}

/* Drop leading axes of size 1 beyond `ndim`, as NumPy's assignment does. Takes over `value`. */
static Array *
drop_leading(Array *value, int ndim)
{
    while (value != NULL && value->ndim > ndim && value->shape[0] == 1) {
        Array *inner = view_index(value, 0, 0);
        array_release(value);
        value = inner;
    }
    return value;
}

static bool
shape_fits(const Array *value, int ndim, const int64_t *shape)
{
    for (int i = 1; i <= value->ndim; i++) {
        const int64_t size = value->shape[value->ndim - i];
        if (i > ndim || (size != 1 && size != shape[ndim - i])) {
            return false;
        }
    }
    return true;
}

static void
shape_words(int ndim, const int64_t *shape, char *buffer, size_t size)
{
    shape_text(ndim, shape, buffer, size);
    char *to = buffer;
    for (const char *from = buffer; *from != '\0'; from++) {
        if (*from != ' ') {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static int
check_writable(const Array *dst)
{
    if (dst->is_scalar) {
        PyErr_SetString(PyExc_TypeError,
                        "a scalar element of a pyarr.ndarray does not support item assignment");
        return -1;
    }
    if (!array_is_writable(dst)) {
        PyErr_SetString(PyExc_ValueError, "assignment destination is read-only");
        return -1;
    }
    return 0;
}

/* Write the array `value` (taken over) to `dst`, with NumPy's message about shapes. */
static int
assign_array(Array *dst, Array *value)
{
    value = drop_leading(value, dst->ndim);
    if (value == NULL) {
        return error_raise_int();
    }
    int status = -1;
    if (!shape_fits(value, dst->ndim, dst->shape)) {
        char from[256], to[256];
        shape_words(value->ndim, value->shape, from, sizeof from);
        shape_words(dst->ndim, dst->shape, to, sizeof to);
        PyErr_Format(PyExc_ValueError,
                     "could not broadcast input array from shape %s into shape %s", from, to);
    } else {
        status = graph_write(dst, value) == STATUS_OK ? 0 : error_raise_int();
    }
    array_release(value);
    return status;
}

int
subscript_assign(Array *dst, PyObject *object)
{
    if (check_writable(dst) < 0) {
        return -1;
    }
    Array *value = take_value(object, dst->dtype);
    return value == NULL ? -1 : assign_array(dst, value);
}

static int
assign_element(Array *dst, PyObject *object)
{
    Array *value = take_value(object, dst->dtype);
    if (value == NULL) {
        return -1;
    }
    if (value->ndim != 0) {
        array_release(value);
        PyErr_SetString(PyExc_ValueError, "setting an array element with a sequence.");
        return -1;
    }
    return assign_array(dst, value);
}

/* The shape that indexing gives: the view's plain axes with the index shape in their midst. */
static int
indexed_shape(const Place *place, int64_t *shape)
{
    int ndim = 0;
    const Array *view = place->view;
    const Array *index = place->arrays[0];
    for (int i = 0; i < place->axis; i++) {
        shape[ndim++] = view->shape[i];
    }
    for (int i = 0; i < index->ndim; i++) {
        shape[ndim++] = index->shape[i];
    }
    for (int i = place->axis + place->k; i < view->ndim; i++) {
        shape[ndim++] = view->shape[i];
    }
    return ndim;
}

static int
assign_indexed(Place *place, PyObject *object, bool accumulate)
{
    Array *value = take_value(object, place->view->dtype);
    if (value == NULL) {
        return -1;
    }
    int64_t shape[2 * ARRAY_MAX_NDIM];
    const int ndim = indexed_shape(place, shape);
    value = drop_leading(value, ndim);
    if (value == NULL) {
        return error_raise_int();
    }
    int status = -1;
    if (place->masked && place->view->ndim == place->k && value->ndim == 1 &&
        value->shape[0] != 1 && value->shape[0] != shape[0]) {
        PyErr_Format(PyExc_ValueError,
                     "NumPy boolean array indexing assignment cannot assign %lld input values to "
                     "the %lld output values where the mask is true",
                     (long long)value->shape[0], (long long)shape[0]);
    } else if (!shape_fits(value, ndim, shape)) {
        char from[256], to[256];
        shape_words(value->ndim, value->shape, from, sizeof from);
        shape_words(ndim, shape, to, sizeof to);
        PyErr_Format(PyExc_ValueError,
                     "shape mismatch: value array of shape %s could not be broadcast to indexing "
                     "result of shape %s",
                     from, to);
    } else if (graph_write_indexed(place->view, place->axis, place->arrays, place->k, value,
                                   accumulate) == STATUS_OK) {
        status = 0;
    } else {
        place_raise(place);
    }
    array_release(value);
    return status;
}

/* dst[...] += value, for the basic indices of numpy.add.at. */
static int
add_basic(Array *dst, PyObject *object)
{
    Array *value = take_value(object, dst->dtype);
    if (value == NULL) {
        return -1;
    }
    Array *sum = graph_apply2(OP_add, dst, value);
    array_release(value);
    return sum == NULL ? error_raise_int() : assign_array(dst, sum);
}

static int
set_general(PyObject *self, PyObject *key, PyObject *value, bool accumulate)
{
    Array *a = object_array(self);
    Index index;
    Place place;
    if (check_writable(a) < 0 || index_read(&index, a, key) < 0) {
        return -1;
    }
    int status = index_place(&index, a, &place);
    if (status == 0) {
        if (place.k > 0) {
            status = assign_indexed(&place, value, accumulate);
        } else if (accumulate) {
            status = add_basic(place.view, value);
        } else if (place.view->ndim == 0 && !index.has_ellipsis) {
            status = assign_element(place.view, value);
        } else {
            status = subscript_assign(place.view, value);
        }
        place_fini(&place);
    }
    index_fini(&index);
    return status;
}

/* self[ints] = a Python float into plain float64 memory: 1 when done. */
static int
set_fast(Array *a, PyObject *key, PyObject *value)
{
    int64_t offset;
    if (!PyFloat_CheckExact(value) || a->dtype != DT_f64 || a->is_scalar ||
        !array_is_writable(a) || graph_is_tracing() || !index_element(a, key, &offset)) {
        return 0;
    }
    const double number = PyFloat_AS_DOUBLE(value);
    memcpy(a->storage->data + offset, &number, sizeof number);
    a->storage->version++;
    return 1;
}

int
subscript_set(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_ValueError, "cannot delete array elements");
        return -1;
    }
    if (set_fast(object_array(self), key, value)) {
        return 0;
    }
    return set_general(self, key, value, false);
}

int
subscript_add(PyObject *self, PyObject *key, PyObject *value)
{
    return set_general(self, key, value, true);
}
