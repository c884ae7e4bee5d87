/* python/convert.c -- anything array-like to an Array: scalars, NumPy arrays, nested sequences. */
#define PYARR_NUMPY_IMPORT
#include "python/nested.h"
#include "python/numpy_api.h"

#include "base/mem.h"

#include <string.h>

#define TOO_LARGE "Python int too large to convert to C long"

int
convert_init(void)
{
    static bool done = false;
    if (!done && PyArray_ImportNumPyAPI() < 0) {
        return -1;
    }
    done = true;
    return 0;
}

/* ---- Python and NumPy scalars ---- */

static Array *
wrap_scalar(DType dtype, Weak weak, const void *value)
{
    Array *array = array_new_scalar(dtype, weak, value);
    return array != NULL ? array : (Array *)error_raise();
}

/* Only Python's own types are weak, as in NumPy; subclasses (enums) insist on their dtype.
 * Integers beyond int64 are uint64 where that holds them. Beyond that a weak integer is kept as
 * float64, so that x * 10**30 works as in NumPy; integer loops refuse it. */
static Array *
scalar_from_int(PyObject *object)
{
    const Weak weak = PyLong_CheckExact(object) ? WEAK_INT : WEAK_NONE;
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        if (value == -1 && PyErr_Occurred()) {
            return NULL;
        }
        const int64_t exact = value;
        return wrap_scalar(DT_i64, weak, &exact);
    }
    if (overflow > 0) {
        const uint64_t large = PyLong_AsUnsignedLongLong(object);
        if (!(large == (uint64_t)-1 && PyErr_Occurred())) {
            return wrap_scalar(DT_u64, weak, &large);
        }
        PyErr_Clear();
    }
    if (weak == WEAK_NONE) {
        PyErr_SetString(PyExc_OverflowError, TOO_LARGE);
        return NULL;
    }
    const double rounded = PyLong_AsDouble(object);
    if (rounded == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return wrap_scalar(DT_f64, WEAK_INT, &rounded);
}

static Array *
scalar_from_complex(PyObject *object)
{
    const Py_complex value = PyComplex_AsCComplex(object);
    if (value.real == -1 && PyErr_Occurred()) {
        return NULL;
    }
    const double parts[2] = {value.real, value.imag};
    return wrap_scalar(DT_c128, PyComplex_CheckExact(object) ? WEAK_COMPLEX : WEAK_NONE, parts);
}

static Array *
scalar_from_numpy(PyObject *object)
{
    if (PyArray_IsScalar(object, Double)) { /* also a Python float, yet strong */
        const double value = PyFloat_AS_DOUBLE(object);
        return wrap_scalar(DT_f64, WEAK_NONE, &value);
    }
    PyArray_Descr *descr = PyArray_DescrFromScalar(object);
    if (descr == NULL) {
        return NULL;
    }
    const DType dtype = numpy_dtype(descr);
    if (dtype == DTYPE_COUNT) {
        numpy_refuse_dtype(descr);
        Py_DECREF(descr);
        return NULL;
    }
    Py_DECREF(descr);
    char value[16];
    PyArray_ScalarAsCtype(object, value);
    return wrap_scalar(dtype, WEAK_NONE, value);
}

/* A Python or NumPy scalar; NULL without an exception when it is neither. */
static Array *
convert_scalar(PyObject *object)
{
    if (PyArray_IsScalar(object, Generic)) {
        return scalar_from_numpy(object);
    }
    if (PyFloat_Check(object)) {
        const double value = PyFloat_AS_DOUBLE(object);
        return wrap_scalar(DT_f64, PyFloat_CheckExact(object) ? WEAK_FLOAT : WEAK_NONE, &value);
    }
    if (PyBool_Check(object)) {
        const uint8_t value = object == Py_True;
        return wrap_scalar(DT_bool, WEAK_NONE, &value);
    }
    if (PyLong_Check(object)) {
        return scalar_from_int(object);
    }
    if (PyComplex_Check(object)) {
        return scalar_from_complex(object);
    }
    return NULL;
}

/* ---- everything else, through NumPy ---- */

/* Python numbers, or sequences of them. */
static bool
is_fresh(PyObject *object)
{
    return nested_is_sequence(object) || PyFloat_Check(object) || PyLong_Check(object) ||
           PyComplex_Check(object);
}

/* Did NumPy take to Python objects only because an int was too large for it? */
static bool
holds_large_int(PyObject *object, PyArrayObject *objects)
{
    if (PyLong_Check(object)) {
        return true;
    }
    bool large = false;
    const npy_intp n = nested_is_sequence(object) ? PyArray_SIZE(objects) : 0;
    PyObject **items = PyArray_DATA(objects);
    for (npy_intp i = 0; i < n; i++) {
        if (items[i] == NULL || !PyNumber_Check(items[i])) {
            return false;
        }
        int overflow = 0;
        if (PyLong_Check(items[i])) {
            PyLong_AsLongLongAndOverflow(items[i], &overflow);
        }
        large = large || overflow != 0;
    }
    return large;
}

/* numpy.array(object, dtype): memory that others see is shared, fresh memory is copied. */
static Array *
convert_by_numpy(PyObject *object, DType dtype)
{
    PyArray_Descr *descr =
        dtype == DTYPE_COUNT ? NULL : (PyArray_Descr *)Py_NewRef(dtype_object(dtype));
    PyObject *array = PyArray_FromAny(object, descr, 0, 0, 0, NULL);
    if (array == NULL) {
        return NULL;
    }
    Array *result = NULL;
    PyArray_Descr *found = PyArray_DESCR((PyArrayObject *)array);
    if (found->kind == 'O' && !PyArray_Check(object)) {
        if (holds_large_int(object, (PyArrayObject *)array)) {
            PyErr_SetString(PyExc_OverflowError, TOO_LARGE);
        }
        else {
            PyErr_Format(PyExc_TypeError,
                         "pyarr can't make an array of numbers from %s; convert it first, as in "
                         "numpy.asarray(x, dtype=float)",
                         Py_TYPE(object)->tp_name);
        }
    }
    else if (is_fresh(object)) {
        result = numpy_copy((PyArrayObject *)array);
    }
    else {
        result = convert_from_numpy(array);
    }
    Py_DECREF(array);
    return result;
}

/* A list or tuple. */
static Array *
convert_sequence(PyObject *sequence, int depth)
{
    if (depth >= ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError,
                     "setting an array element with a sequence. The requested array would "
                     "exceed the maximum number of dimension of %d.",
                     ARRAY_MAX_NDIM);
        return NULL;
    }
    return nested_holds_arrays(sequence, depth) ? nested_join(sequence, depth)
                                         : convert_by_numpy(sequence, DTYPE_COUNT);
}

static bool
has_special(PyObject *object, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)Py_TYPE(object), name);
    if (found == NULL) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(found);
    return true;
}

/* Would NumPy make an array of it by one of its protocols? */
static bool
has_array_protocol(PyObject *object)
{
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        return false;
    }
    return PyObject_CheckBuffer(object) || has_special(object, "__array__") ||
           has_special(object, "__array_interface__") || has_special(object, "__array_struct__");
}

static bool
has_length_and_items(PyObject *object)
{
    return PySequence_Check(object) && !PyUnicode_Check(object) && !PyBytes_Check(object) &&
           PySequence_Size(object) >= 0;
}

static Array *
refuse_object(PyObject *object)
{
    const char *advice = "";
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        advice = "; convert text first, as in float(x)";
    }
    else if (PyIter_Check(object) || PyAnySet_Check(object)) {
        advice = "; make a list of it first";
    }
    else if (PyDict_Check(object)) {
        advice = "; pass its values one by one";
    }
    else if (has_special(object, "__float__")) {
        advice = "; pass float(x)";
    }
    PyErr_Format(PyExc_TypeError, "pyarr can't make an array of numbers from %s%s",
                 Py_TYPE(object)->tp_name, advice);
    return NULL;
}

/* What is no array, scalar, list or tuple. */
static Array *
convert_other(PyObject *object)
{
    if (PyArray_Check(object)) {
        return convert_from_numpy(object);
    }
    Array *scalar = convert_scalar(object);
    if (scalar != NULL || PyErr_Occurred()) {
        return scalar;
    }
    if (has_array_protocol(object)) {
        return convert_by_numpy(object, DTYPE_COUNT);
    }
    if (has_special(object, "__dlpack__")) {
        PyObject *made = convert_from_dlpack(object);
        Array *array = made == NULL ? NULL : array_retain(object_array(made));
        Py_XDECREF(made);
        return array;
    }
    if (has_length_and_items(object)) {
        PyObject *list = PySequence_List(object);
        Array *array = list == NULL ? NULL : convert_sequence(list, 0);
        Py_XDECREF(list);
        return array;
    }
    PyErr_Clear(); /* what asking for a length raised */
    return refuse_object(object);
}

Array *
nested_element(PyObject *object, int depth)
{
    if (array_object_check(object)) {
        return array_retain(object_array(object));
    }
    return nested_is_sequence(object) ? convert_sequence(object, depth) : convert_array(object);
}

/* Move what was converted (stolen) to the device of new arrays. Scalars stay: every device
 * takes them as arguments. */
static Array *
place(Array *array)
{
    Device *device = device_default();
    if (array == NULL || device == array->storage->device) {
        return array;
    }
    Array *source = array_is_contiguous(array) ? array_retain(array) : graph_copy(array);
    Array *moved = source == NULL ? NULL
                                  : array_new(device, source->dtype, source->ndim, source->shape);
    if (moved != NULL && moved->size > 0 &&
        device->from_host(device, moved->storage->data + moved->offset, array_data(source),
                          (size_t)array_bytes(moved)) != STATUS_OK) {
        array_release(moved);
        moved = NULL;
    }
    array_release(source);
    array_release(array);
    return moved != NULL ? moved : (Array *)error_raise();
}

static Array *
place_unless_scalar(Array *array)
{
    return array == NULL || array->ndim == 0 ? array : place(array);
}

Array *
convert_array(PyObject *object)
{
    if (array_object_check_exact(object)) {
        return array_retain(object_array(object));
    }
    if (PyFloat_CheckExact(object)) {
        const double value = PyFloat_AS_DOUBLE(object);
        return wrap_scalar(DT_f64, WEAK_FLOAT, &value);
    }
    if (PyLong_CheckExact(object)) {
        return scalar_from_int(object);
    }
    if (PyArray_CheckExact(object)) {
        return place_unless_scalar(convert_from_numpy(object));
    }
    if (array_object_check(object)) {
        return array_retain(object_array(object));
    }
    return place_unless_scalar(nested_is_sequence(object) ? convert_sequence(object, 0)
                                                   : convert_other(object));
}

/* ---- numpy.array(object, dtype, copy) ---- */

static Array *
refuse_copy(Array *array)
{
    array_release(array);
    PyErr_SetString(PyExc_ValueError,
                    "Unable to avoid copy while creating an array as requested.\n"
                    "If using `array(obj, copy=False)` replace it with `asarray(obj)` to allow a "
                    "copy when needed.");
    return NULL;
}

/* Does the conversion of `object` share memory with it? */
static bool
shares_memory(PyObject *object, const Array *array)
{
    if (array_object_check(object)) {
        return true;
    }
    if (is_fresh(object) || PyArray_IsScalar(object, Generic)) {
        return false;
    }
    return array->storage->foreign || array->storage->exports > 0 || array->size == 0;
}

/* Scalars and lists of numbers with a dtype: NumPy knows which values fit. */
static bool
is_left_to_numpy(PyObject *object, DType dtype)
{
    if (dtype == DTYPE_COUNT || array_object_check(object)) {
        return false;
    }
    if (nested_is_sequence(object)) {
        return !nested_holds_arrays(object, 0);
    }
    return PyLong_Check(object) || PyFloat_Check(object) || PyComplex_Check(object);
}

static Array *
strong_copy(const Array *scalar)
{
    Array *array = array_new(scalar->storage->device, scalar->dtype, 0, NULL);
    if (array == NULL) {
        return (Array *)error_raise();
    }
    memcpy(array_data(array), array_data(scalar), (size_t)dtype_size(scalar->dtype));
    return array;
}

Array *
convert_array_full(PyObject *object, DType dtype, int copy)
{
    Array *array = is_left_to_numpy(object, dtype) ? place(convert_by_numpy(object, dtype))
                                                   : convert_array(object);
    if (array == NULL) {
        return NULL;
    }
    const bool is_shared = shares_memory(object, array);
    if (copy == 0 && (!is_shared || (dtype != DTYPE_COUNT && dtype != array->dtype))) {
        return refuse_copy(array);
    }
    if (!array_object_check(object) && (array->weak != WEAK_NONE || array->is_scalar)) {
        if (array->weak == WEAK_INT && array->dtype == DT_f64) {
            array_release(array);
            PyErr_SetString(PyExc_OverflowError, TOO_LARGE);
            return NULL;
        }
        Array *strong = strong_copy(array);
        array_release(array);
        array = place(strong);
        if (array == NULL) {
            return NULL;
        }
    }
    Array *result = array_retain(array);
    if (dtype != DTYPE_COUNT && dtype != array->dtype) {
        array_release(result);
        result = graph_copy_in_order(array, dtype);
    } else if (copy == 1 && is_shared) {
        array_release(result);
        result = graph_copy_in_order(array, DTYPE_COUNT);
    }
    array_release(array);
    return result != NULL ? result : (Array *)error_raise();
}

/* ---- operators ---- */

/* Attribute of the type, found without running code; borrowed, NULL without an exception. */
static PyObject *
type_attribute(PyTypeObject *type, PyObject *name)
{
    return _PyType_Lookup(type, name);
}

bool
convert_defers(PyObject *object)
{
    if (array_object_check(object) || PyFloat_Check(object) || PyLong_Check(object) ||
        PyArray_CheckExact(object) || PyComplex_Check(object) || nested_is_sequence(object) ||
        PyArray_IsScalar(object, Generic)) {
        return false;
    }
    static PyObject *protocol, *priority, *inherited;
    if (inherited == NULL) {
        protocol = PyUnicode_InternFromString("__array_ufunc__");
        priority = PyUnicode_InternFromString("__array_priority__");
        if (protocol == NULL || priority == NULL) {
            PyErr_Clear();
            return false;
        }
        inherited = type_attribute(&PyArray_Type, protocol);
    }
    PyObject *own = type_attribute(Py_TYPE(object), protocol);
    if (own != NULL) {
        return own != inherited; /* also None, which asks for it */
    }
    if (type_attribute(Py_TYPE(object), priority) != NULL) {
        return true;
    }
    /* Not an array of any kind: its reflected operator may know what to do. */
    if (has_array_protocol(object) || has_special(object, "__dlpack__")) {
        return false;
    }
    const bool sequence = has_length_and_items(object);
    PyErr_Clear();
    return !sequence;
}
