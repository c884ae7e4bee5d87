/* python/ranges.c -- arange, linspace, eye and identity, with NumPy's signatures and dtype rules. */
#include "python/functions.h"

#include <math.h>
#include <string.h>

#define CREATION(name)                                                                             \
    static PyObject *creation_##name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,      \
                                     PyObject *kwnames)

/* ---- ranges ---- */

/* A number of a range: exact as an integer where it is one. */
typedef struct Number {
    DType dtype;
    bool whole;
    int64_t integer;
    double value;
} Number;

static int
read_number(PyObject *object, Number *out)
{
    *out = (Number){DT_f64, false, 0, 0};
    if (PyFloat_CheckExact(object)) {
        out->value = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    if (!PyLong_Check(object)) {
        Array *array = object_operand(object);
        if (array == NULL) {
            return -1;
        }
        out->dtype = array->dtype;
        const bool bad = array->size != 1 || dtype_is_complex(array->dtype);
        array_release(array);
        if (bad) {
            PyErr_Format(PyExc_TypeError, "arange needs real numbers, got %R", object);
            return -1;
        }
    } else {
        out->dtype = DT_i64;
    }
    if (dtype_is_integer(out->dtype) || out->dtype == DT_bool) {
        PyObject *integer = PyNumber_Long(object);
        if (integer == NULL) {
            return -1;
        }
        out->whole = true;
        out->integer = PyLong_AsLongLong(integer);
        out->value = (double)out->integer;
        Py_DECREF(integer);
        return out->integer == -1 && PyErr_Occurred() ? -1 : 0;
    }
    out->value = PyFloat_AsDouble(object);
    return out->value == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* Elements of a range, or -1 with an exception. */
static int64_t
range_count(const Number *start, const Number *stop, const Number *step)
{
    if (step->value == 0) {
        PyErr_SetString(PyExc_ZeroDivisionError, "arange: the step is zero");
        return -1;
    }
    const double count = ceil((stop->value - start->value) / step->value);
    if (isnan(count)) {
        PyErr_SetString(PyExc_ValueError, "arange: cannot compute length");
        return -1;
    }
    if (count > 4.6e18) {
        PyErr_SetString(PyExc_ValueError, "Maximum allowed size exceeded");
        return -1;
    }
    return count < 0 ? 0 : (int64_t)count;
}

/* start, start + step, ... as int64 or float64, as NumPy computes them. */
static Array *
range_values(int64_t count, const Number *start, const Number *step, bool whole)
{
    Array *array = array_new(device_cpu(), whole ? DT_i64 : DT_f64, 1, &count);
    if (array == NULL || count == 0) {
        return array;
    }
    if (whole) {
        int64_t *out = (int64_t *)(void *)array_data(array);
        const int64_t first = start->whole ? start->integer : (int64_t)start->value;
        const int64_t second = start->whole && step->whole
                                   ? (int64_t)((uint64_t)first + (uint64_t)step->integer)
                                   : (int64_t)(start->value + step->value);
        const uint64_t delta = (uint64_t)second - (uint64_t)first;
        for (int64_t i = 0; i < count; i++) {
            out[i] = (int64_t)((uint64_t)first + (uint64_t)i * delta);
        }
    } else {
        double *out = (double *)(void *)array_data(array);
        const double first = start->value;
        const double delta = (first + step->value) - first;
        for (int64_t i = 0; i < count; i++) {
            out[i] = first + (double)i * delta;
        }
    }
    return array;
}

CREATION(arange)
{
    static const Signature signature = {
        "arange", 6, 0, 4, {"start", "stop", "step", "dtype", "device", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[3], &dtype) < 0) {
        return NULL;
    }
    PyObject *stop_object = v[1] == NULL || v[1] == Py_None ? v[0] : v[1];
    if (stop_object == NULL) {
        PyErr_SetString(PyExc_TypeError, "arange() requires stop to be specified.");
        return NULL;
    }
    Number start = {DT_i64, true, 0, 0}, stop, step = {DT_i64, true, 1, 1};
    if (read_number(stop_object, &stop) < 0 ||
        (stop_object != v[0] && v[0] != NULL && read_number(v[0], &start) < 0) ||
        (v[2] != NULL && v[2] != Py_None && read_number(v[2], &step) < 0)) {
        return NULL;
    }
    if (dtype == DTYPE_COUNT) {
        dtype = dtype_promote(dtype_promote(stop.dtype, start.dtype), step.dtype);
        dtype = dtype == DT_bool ? DT_i64 : dtype;
    }
    const int64_t count = range_count(&start, &stop, &step);
    if (count < 0) {
        return NULL;
    }
    Array *values = range_values(count, &start, &step, !dtype_is_inexact(dtype));
    Array *result = values == NULL ? NULL : graph_cast(values, dtype, false);
    array_release(values);
    return creation_place(object_wrap(result), v[4]);
}

/* ---- linspace ---- */

/* y[i] = i * step + start, the last exactly stop. */
static Array *
linspace_numbers(double start, double stop, int64_t count, bool endpoint, double *step_out)
{
    Array *array = array_new(device_cpu(), DT_f64, 1, &count);
    if (array == NULL) {
        return NULL;
    }
    double *out = (double *)(void *)array_data(array);
    const int64_t divisions = endpoint ? count - 1 : count;
    const double delta = stop - start;
    const double step = divisions > 0 ? delta / (double)divisions : NAN;
    for (int64_t i = 0; i < count; i++) {
        out[i] = step == 0 && divisions > 0 ? (double)i / (double)divisions * delta + start
                 : divisions > 0            ? (double)i * step + start
                                            : start;
    }
    if (endpoint && count > 1) {
        out[count - 1] = stop;
    }
    *step_out = step;
    return array;
}

/* The same for arrays, by recorded operations; the new axis comes first. */
static PyObject *
linspace_arrays(PyObject *start, PyObject *stop, int64_t count, bool endpoint)
{
    const int64_t divisions = endpoint ? count - 1 : count;
    const double divisor = divisions > 0 ? (double)divisions : 1.0;
    Array *in[2] = {object_operand(start), NULL};
    in[1] = in[0] == NULL ? NULL : object_operand(stop);
    Array *delta = NULL, *step = NULL, *ramp = NULL, *column = NULL, *scaled = NULL, *y = NULL;
    Array *divide = array_new_scalar(DT_f64, WEAK_FLOAT, &divisor);
    if (in[1] == NULL) {
        goto done;
    }
    delta = graph_apply2(OP_subtract, in[1], in[0]);
    step = delta == NULL || divide == NULL ? NULL : graph_apply2(OP_divide, delta, divide);
    ramp = array_new(device_cpu(), DT_f64, 1, &count);
    if (step == NULL || ramp == NULL) {
        goto done;
    }
    int64_t shape[ARRAY_MAX_NDIM] = {count};
    for (int i = 0; i < step->ndim; i++) {
        shape[i + 1] = 1;
    }
    for (int64_t i = 0; i < count; i++) {
        ((double *)(void *)array_data(ramp))[i] = (double)i;
    }
    column = step->ndim >= ARRAY_MAX_NDIM ? err_null(ERR_VALUE, "linspace: too many dimensions")
                                          : view_reshape(ramp, step->ndim + 1, shape);
    scaled = column == NULL ? NULL : graph_apply2(OP_multiply, column, step);
    y = scaled == NULL ? NULL : graph_apply2(OP_add, scaled, in[0]);
    if (y != NULL && endpoint && count > 1) {
        Array *last = view_index(y, 0, count - 1);
        if (last == NULL || graph_write(last, in[1]) != STATUS_OK) {
            array_release(y);
            y = NULL;
        }
        array_release(last);
    }
done:
    if (y == NULL && !PyErr_Occurred()) {
        error_raise();
    }
    PyObject *result = y == NULL ? NULL : object_wrap(y);
    Array *const all[] = {in[0], in[1], delta, step, ramp, column, scaled, divide};
    arrays_release(all, sizeof all / sizeof *all);
    return result;
}

/* linspace's result in its dtype and axis, with the step when asked. Takes over `result`. */
static PyObject *
linspace_finish(PyObject *result, DType dtype, int64_t axis, bool retstep, PyObject *step)
{
    if (result != NULL && dtype != DTYPE_COUNT && dtype != object_array(result)->dtype) {
        Array *x = object_array(result);
        Array *whole = dtype_is_inexact(dtype) ? array_retain(x) : graph_apply1(OP_floor, x);
        Array *cast = whole == NULL ? NULL : graph_cast(whole, dtype, false);
        array_release(whole);
        Py_SETREF(result, object_wrap(cast));
    }
    if (result != NULL && axis != 0) {
        int at, axes[ARRAY_MAX_NDIM];
        const int ndim = object_array(result)->ndim;
        if (axis_normalise(axis, ndim, &at) != STATUS_OK) {
            Py_SETREF(result, error_raise());
        } else {
            for (int i = 0; i < ndim; i++) {
                axes[i] = i < at ? i + 1 : i == at ? 0 : i;
            }
            Py_SETREF(result, object_wrap(view_transpose(object_array(result), axes)));
        }
    }
    if (result != NULL && retstep) {
        PyObject *pair = PyTuple_Pack(2, result, step);
        Py_SETREF(result, pair);
    }
    return result;
}

static PyObject *
linspace_step(PyObject *start, PyObject *stop, int64_t divisions)
{
    if (divisions <= 0) {
        return PyFloat_FromDouble(NAN);
    }
    PyObject *delta = PyNumber_Subtract(stop, start);
    PyObject *count = PyFloat_FromDouble((double)divisions);
    PyObject *step = delta == NULL || count == NULL ? NULL : PyNumber_TrueDivide(delta, count);
    Py_XDECREF(delta);
    Py_XDECREF(count);
    return step;
}

CREATION(linspace)
{
    static const Signature signature = {
        "linspace", 8, 2, 7,
        {"start", "stop", "num", "endpoint", "retstep", "dtype", "axis", "device"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t count, axis;
    bool endpoint, retstep;
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_int64(v[2], 50, &count) < 0 ||
        args_bool(v[3], true, &endpoint) < 0 || args_bool(v[4], false, &retstep) < 0 ||
        args_dtype(v[5], &dtype) < 0 || args_int64(v[6], 0, &axis) < 0) {
        return NULL;
    }
    if (count < 0) {
        return PyErr_Format(PyExc_ValueError, "Number of samples, %lld, must be non-negative.",
                            (long long)count);
    }
    PyObject *result, *step = NULL;
    const bool numbers = (PyFloat_CheckExact(v[0]) || PyLong_CheckExact(v[0])) &&
                         (PyFloat_CheckExact(v[1]) || PyLong_CheckExact(v[1]));
    if (numbers) {
        double step_value = NAN;
        const double start = PyFloat_AsDouble(v[0]), stop = PyFloat_AsDouble(v[1]);
        if (PyErr_Occurred()) {
            return NULL;
        }
        result = object_wrap(linspace_numbers(start, stop, count, endpoint, &step_value));
        step = PyFloat_FromDouble(step_value);
    } else {
        result = linspace_arrays(v[0], v[1], count, endpoint);
        step = retstep && result != NULL ? linspace_step(v[0], v[1], endpoint ? count - 1 : count)
                                         : Py_NewRef(Py_None);
    }
    if (step == NULL) {
        Py_CLEAR(result);
    }
    result = linspace_finish(result, dtype, axis, retstep, step);
    Py_XDECREF(step);
    return creation_place(result, v[7]);
}

/* ---- eye ---- */

static PyObject *
make_eye(int64_t rows, int64_t columns, int64_t k, DType dtype, PyObject *device)
{
    const int64_t shape[2] = {rows, columns};
    Array *array = array_new_zeroed(device_cpu(), dtype, 2, shape);
    const int64_t one = 1;
    Array *unit = array == NULL ? NULL : array_new_scalar(DT_i64, WEAK_INT, &one);
    Array *diagonal = NULL;
    Status status = unit == NULL ? STATUS_ERROR : STATUS_OK;
    if (status == STATUS_OK && k > -rows && k < columns) {
        diagonal = view_diagonal(array, k, 0, 1);
        status = diagonal == NULL ? STATUS_ERROR : graph_write(diagonal, unit);
    }
    array_release(diagonal);
    array_release(unit);
    if (status != STATUS_OK) {
        array_release(array);
        return error_raise();
    }
    return creation_place(object_wrap(array), device);
}

CREATION(eye)
{
    static const Signature signature = {
        "eye", 7, 1, 5, {"N", "M", "k", "dtype", "order", "device", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t rows, columns, k;
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_int64(v[0], 0, &rows) < 0 ||
        args_int64(v[1] == Py_None ? NULL : v[1], rows, &columns) < 0 ||
        args_int64(v[2], 0, &k) < 0 || args_dtype(v[3], &dtype) < 0) {
        return NULL;
    }
    return make_eye(rows, columns, k, dtype == DTYPE_COUNT ? DT_f64 : dtype, v[5]);
}

CREATION(identity)
{
    static const Signature signature = {"identity", 3, 1, 2, {"n", "dtype", "like"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t n;
    DType dtype;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_int64(v[0], 0, &n) < 0 ||
        args_dtype(v[1], &dtype) < 0) {
        return NULL;
    }
    return make_eye(n, n, 0, dtype == DTYPE_COUNT ? DT_f64 : dtype, NULL);
}

#define ROW(name, doc)                                                                             \
    {#name, (PyCFunction)(void (*)(void))creation_##name, METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef functions[] = {
    ROW(arange, "arange(start=None, stop=None, step=1, dtype=None, *, device=None)\n--\n\n"
                "Numbers from start up to but not stop; a single number is stop, from 0. Integers\n"
                "give int64. ZeroDivisionError for a step of zero.\n\n"
                ">>> import pyarr as pa\n>>> pa.arange(1, 7, 2)\narray([1, 3, 5])\n"),
    ROW(linspace, "linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, "
                  "axis=0, *, device=None)\n--\n\n"
                  "`num` numbers evenly from start to stop; arrays give a new axis. ValueError for\n"
                  "negative num. Differentiable in start and stop.\n\n"
                  ">>> import pyarr as pa\n>>> pa.linspace(0, 1, 3)\narray([0. , 0.5, 1. ])\n"),
    ROW(eye, "eye(N, M=None, k=0, dtype=None, order='C', *, device=None)\n--\n\n"
             "Ones on the k-th diagonal of an N x M matrix.\n\n"
             ">>> import pyarr as pa\n>>> pa.eye(2)\narray([[1., 0.],\n       [0., 1.]])\n"),
    ROW(identity, "identity(n, dtype=None)\n--\n\nThe n x n identity matrix.\n\n"
                  ">>> import pyarr as pa\n>>> pa.identity(1)\narray([[1.]])\n"),
    {NULL, NULL, 0, NULL},
};

int
module_add_ranges(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
