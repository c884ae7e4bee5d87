/* python/gradient.c -- the common path of value_and_grad: positional arguments that are floats,
 * arrays of pyarr, or plain arrays of NumPy; everything else is pyarr/transforms.py's. */
#include "python/kinds.h"
#include "python/numpy_api.h"
#include "python/object.h"

enum { MAX_ARGUMENTS = 8 };

/* The differentiated arguments of one call. */
typedef struct Given {
    int count;
    bool single; /* the gradient is no tuple */
    Py_ssize_t place[MAX_ARGUMENTS];
    Kind kind[MAX_ARGUMENTS];
    Array *elements[MAX_ARGUMENTS];
    Array *argument[MAX_ARGUMENTS]; /* of the transform */
} Given;

static Array *
take_numpy(PyObject *object)
{
    const DType dtype = numpy_dtype(PyArray_DESCR((PyArrayObject *)object));
    if (dtype == DTYPE_COUNT || !dtype_is_inexact(dtype)) {
        return NULL;
    }
    Array *x = kind_take_numpy(object);
    return x != NULL || PyErr_Occurred() ? x : convert_array(object);
}

/* The argument's elements. NULL without an exception when it is none of the common ones. */
static Array *
take_argument(PyObject *object, Kind *kind)
{
    if (PyArray_CheckExact(object)) {
        *kind = KIND_NUMPY;
        return take_numpy(object);
    }
    if (PyFloat_CheckExact(object)) {
        *kind = KIND_PYTHON;
        const double value = PyFloat_AS_DOUBLE(object);
        Array *scalar = array_new_scalar(DT_f64, WEAK_NONE, &value);
        return scalar != NULL ? scalar : (Array *)error_raise();
    }
    *kind = KIND_PYARR;
    return array_object_check_exact(object) && dtype_is_inexact((DType)object_array(object)->dtype)
               ? array_retain(object_array(object))
               : NULL;
}

/* Argument number `number` of the call, or of several; false where it is not a common one,
 * perhaps with an exception. */
static bool
given_add(Given *given, PyObject *number, PyObject *args)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    Py_ssize_t place = PyLong_AsSsize_t(number);
    if (place == -1 && PyErr_Occurred()) {
        return false;
    }
    place = place < 0 ? place + n : place;
    bool common = 0 <= place && place < n && given->count < MAX_ARGUMENTS;
    for (int i = 0; i < given->count; i++) {
        common = common && place != given->place[i];
    }
    if (!common) {
        return false;
    }
    Array *x = take_argument(PyTuple_GET_ITEM(args, place), &given->kind[given->count]);
    given->place[given->count] = place;
    given->elements[given->count] = x;
    given->count += x != NULL;
    return x != NULL;
}

/* False where something is not common, perhaps with an exception. */
static bool
given_init(Given *given, PyObject *argnums, PyObject *args)
{
    given->single = !PyTuple_CheckExact(argnums);
    if (PyTuple_GET_SIZE(args) > MAX_ARGUMENTS) {
        return false;
    }
    if (given->single) {
        return given_add(given, argnums, args);
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(argnums);
    bool common = n > 0;
    for (Py_ssize_t i = 0; i < n && common; i++) {
        common = given_add(given, PyTuple_GET_ITEM(argnums, i), args);
    }
    return common;
}

static void
given_fini(Given *given)
{
    for (int i = 0; i < given->count; i++) {
        array_release(given->elements[i]);
    }
}

/* f(*args, **kwargs) with fresh arrays of the transform in place of what is given. */
static PyObject *
call_with(PyObject *f, PyObject *args, PyObject *kwargs, Transform *t, Given *given)
{
    PyObject *stack[1 + MAX_ARGUMENTS], *fresh[MAX_ARGUMENTS], *out = NULL;
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    int made = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        stack[1 + i] = PyTuple_GET_ITEM(args, i);
    }
    for (; made < given->count; made++) {
        given->argument[made] = transform_argument(t, given->elements[made]);
        Array *alias = given->argument[made] == NULL
                           ? NULL
                           : transform_alias(t, given->argument[made]);
        fresh[made] = object_wrap(alias);
        if (fresh[made] == NULL) {
            break;
        }
        stack[1 + given->place[made]] = fresh[made];
    }
    if (made == given->count) {
        out = PyObject_VectorcallDict(f, stack + 1, (size_t)n | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                      PyDict_GET_SIZE(kwargs) > 0 ? kwargs : NULL);
    }
    while (made > 0) {
        Py_DECREF(fresh[--made]);
    }
    return out;
}

/* What the function gave as a real 0-d array; `check` turns other things into one, or raises.
 * Takes over `out`. */
static PyObject *
real_scalar(PyObject *out, PyObject *check)
{
    if (out == NULL || (array_object_check_exact(out) && object_array(out)->ndim == 0 &&
                        dtype_is_float((DType)object_array(out)->dtype))) {
        return out;
    }
    PyObject *value = PyObject_CallOneArg(check, out);
    Py_DECREF(out);
    if (value != NULL && !array_object_check_exact(value)) {
        PyErr_SetString(PyExc_TypeError, "value_and_grad: the check gave no array");
        Py_CLEAR(value);
    }
    return value;
}

/* out: the value and its gradients, zeros where it does not depend on an argument. */
static Status
compute(Transform *t, Array *value, const Given *given, Array **out)
{
    Status status = transform_value_and_grad(t, value, given->count, given->argument, out);
    for (int i = 0; i <= given->count && status != STATUS_OK; i++) {
        out[i] = NULL;
    }
    for (int i = 0; i < given->count && status == STATUS_OK; i++) {
        const Array *x = given->argument[i];
        if (out[1 + i] == NULL) {
            out[1 + i] =
                array_new_zeroed(x->storage->device, (DType)x->dtype, x->ndim, x->shape);
            status = out[1 + i] == NULL ? STATUS_ERROR : STATUS_OK;
        }
    }
    return status;
}

/* The gradient, or a tuple of them. */
static PyObject *
give_gradients(Array *const *gradients, const Given *given)
{
    if (given->single) {
        return kind_give(gradients[0], given->kind[0]);
    }
    PyObject *all = PyTuple_New(given->count);
    for (int i = 0; i < given->count && all != NULL; i++) {
        PyObject *one = kind_give(gradients[i], given->kind[i]);
        if (one == NULL) {
            Py_CLEAR(all);
        } else {
            PyTuple_SET_ITEM(all, i, one);
        }
    }
    return all;
}

/* (value, gradients) as they are after the transform has ended. */
static PyObject *
give_results(Array *const *out, const Given *given)
{
    Kind kind = KIND_PYTHON;
    for (int i = 0; i < given->count; i++) {
        kind = given->kind[i] == KIND_PYARR ? KIND_PYARR : kind;
    }
    PyObject *value = kind_give(out[0], kind);
    PyObject *gradients = value == NULL ? NULL : give_gradients(out + 1, given);
    PyObject *pair = gradients == NULL ? NULL : PyTuple_Pack(2, value, gradients);
    Py_XDECREF(value);
    Py_XDECREF(gradients);
    return pair;
}

/* Call f on what is given, differentiate, and end. */
static PyObject *
differentiate(PyObject *f, PyObject *args, PyObject *kwargs, PyObject *check, Given *given)
{
    Transform *t = transform_open();
    if (t == NULL) {
        return error_raise();
    }
    PyObject *result = NULL;
    Array *out[1 + MAX_ARGUMENTS] = {NULL};
    PyObject *value = real_scalar(call_with(f, args, kwargs, t, given), check);
    const bool ran = value != NULL;
    const bool computed = ran && compute(t, object_array(value), given, out) == STATUS_OK;
    if (ran && !computed) {
        error_raise();
    }
    Py_XDECREF(value); /* what nobody holds any more need not be computed when the trace ends */
    for (int i = 0; i < given->count; i++) {
        array_release(given->argument[i]);
    }
    if (!computed) {
        transform_give_up(t);
    } else if (transform_close(t, false) != STATUS_OK) {
        error_raise();
    } else {
        result = give_results(out, given);
    }
    for (int i = 0; i <= given->count; i++) {
        array_release(out[i]);
    }
    return result;
}

PyObject *
core_value_and_grad(PyObject *module, PyObject *const *v, Py_ssize_t count)
{
    (void)module;
    if (count != 5 || !PyTuple_CheckExact(v[2]) || !PyDict_CheckExact(v[3])) {
        PyErr_SetString(PyExc_TypeError, "value_and_grad(f, argnums, args, kwargs, check)");
        return NULL;
    }
    Given given = {0};
    PyObject *result = NULL;
    if (given_init(&given, v[1], v[2])) {
        result = differentiate(v[0], v[2], v[3], v[4], &given);
    } else if (!PyErr_Occurred()) {
        result = Py_NewRef(Py_NotImplemented);
    }
    given_fini(&given);
    return result;
}
