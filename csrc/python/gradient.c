/* python/gradient.c -- the common path of value_and_grad: one positional argument that is a float,
 * an array of pyarr, or a small plain array of NumPy; everything else is pyarr/transforms.py's. */
#include "python/kinds.h"
#include "python/numpy_api.h"
#include "python/object.h"

enum { MAX_ARGUMENTS = 8 };

/* The argument's elements. NULL without an exception when it is none of the common ones. */
static Array *
take_argument(PyObject *object, Kind *kind)
{
    if (PyArray_CheckExact(object)) {
        *kind = KIND_NUMPY;
        Array *x = kind_take_numpy(object);
        if (x != NULL && !dtype_is_inexact((DType)x->dtype)) {
            array_release(x);
            x = NULL;
        }
        return x;
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

/* f(*args, **kwargs) with another object at `place`. */
static PyObject *
call_with(PyObject *f, PyObject *args, PyObject *kwargs, Py_ssize_t place, PyObject *given)
{
    PyObject *stack[1 + MAX_ARGUMENTS];
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    for (Py_ssize_t i = 0; i < n; i++) {
        stack[1 + i] = i == place ? given : PyTuple_GET_ITEM(args, i);
    }
    return PyObject_VectorcallDict(f, stack + 1, (size_t)n | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                   PyDict_GET_SIZE(kwargs) > 0 ? kwargs : NULL);
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

/* out: the value and its gradient, zeros where it does not depend on the argument. */
static Status
compute(Transform *t, Array *value, Array *argument, Array **out)
{
    if (transform_value_and_grad(t, value, 1, &argument, out) != STATUS_OK) {
        out[0] = out[1] = NULL;
        return STATUS_ERROR;
    }
    if (out[1] == NULL) {
        out[1] = array_new_zeroed(argument->storage->device, (DType)argument->dtype,
                                  argument->ndim, argument->shape);
    }
    return out[1] == NULL ? STATUS_ERROR : STATUS_OK;
}

/* (value, gradient) as they are after the transform has ended. */
static PyObject *
give_results(Array *const *out, Kind kind)
{
    PyObject *value = kind_give(out[0], kind == KIND_NUMPY ? KIND_PYTHON : kind);
    PyObject *gradient = value == NULL ? NULL : kind_give(out[1], kind);
    PyObject *pair = gradient == NULL ? NULL : PyTuple_Pack(2, value, gradient);
    Py_XDECREF(value);
    Py_XDECREF(gradient);
    return pair;
}

/* Call f on the elements `x`, differentiate, and end. */
static PyObject *
differentiate(PyObject *f, PyObject *args, PyObject *kwargs, Py_ssize_t place, PyObject *check,
              Array *x, Kind kind)
{
    Transform *t = transform_open();
    if (t == NULL) {
        return error_raise();
    }
    PyObject *value = NULL, *result = NULL;
    Array *out[2] = {NULL, NULL}, *argument = transform_argument(t, x);
    Array *alias = argument == NULL ? NULL : transform_alias(t, argument);
    PyObject *given = object_wrap(alias);
    if (given != NULL) {
        value = real_scalar(call_with(f, args, kwargs, place, given), check);
        Py_DECREF(given);
    }
    const bool ran = value != NULL;
    const bool computed = ran && compute(t, object_array(value), argument, out) == STATUS_OK;
    if (ran && !computed) {
        error_raise();
    }
    Py_XDECREF(value); /* what nobody holds any more need not be computed when the trace ends */
    array_release(argument);
    if (!computed) {
        transform_give_up(t);
    } else if (transform_close(t, false) != STATUS_OK) {
        error_raise();
    } else {
        result = give_results(out, kind);
    }
    array_release(out[0]);
    array_release(out[1]);
    return result;
}

PyObject *
core_value_and_grad(PyObject *module, PyObject *const *v, Py_ssize_t count)
{
    (void)module;
    if (count != 5 || !PyTuple_CheckExact(v[2]) || !PyDict_CheckExact(v[3])) {
        PyErr_SetString(PyExc_TypeError, "value_and_grad(f, argnum, args, kwargs, check)");
        return NULL;
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(v[2]);
    Py_ssize_t place = PyLong_AsSsize_t(v[1]);
    if (place == -1 && PyErr_Occurred()) {
        return NULL;
    }
    place = place < 0 ? place + n : place;
    Kind kind;
    Array *x = 0 <= place && place < n && n <= MAX_ARGUMENTS
                   ? take_argument(PyTuple_GET_ITEM(v[2], place), &kind)
                   : NULL;
    if (x == NULL) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_NotImplemented);
    }
    PyObject *result = differentiate(v[0], v[2], v[3], place, v[4], x, kind);
    array_release(x);
    return result;
}
