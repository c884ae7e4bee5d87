/* python/number.c -- the number protocol of pyarr.ndarray: operators as rows of the table. */
#include "python/functions.h"
#include "python/object.h"

#include <float.h>

/* Rows for which a Python int beyond an array's dtype is no error: comparisons and logic decide
 * by value, and inexact rows compute in a floating dtype that holds it. */
static bool
takes_any_integer(OpCode op)
{
    const OpInfo *info = op_info(op);
    return info->rule == RULE_BOOL || info->cls == CLASS_INEXACT || info->cls == CLASS_FLOAT;
}

/* A Python int beside an integer array: OverflowError where it does not fit, or the same
 * number as a strong float64 for rows that take it. 0 / -1. */
static int
fit_integer(OpCode op, PyObject *object, Array **operand, const Array *other)
{
    if (!PyLong_CheckExact(object) || !dtype_is_integer(other->dtype) ||
        other->weak != WEAK_NONE || object_check_int(object, other->dtype) == 0) {
        return 0;
    }
    if (!takes_any_integer(op)) {
        return -1;
    }
    PyErr_Clear();
    const double value = PyLong_AsDouble(object);
    if (value == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    Array *wide = array_new_scalar(DT_f64, WEAK_NONE, &value);
    if (wide == NULL) {
        return error_raise_int();
    }
    array_release(*operand);
    *operand = wide;
    return 0;
}

int
number_fit(OpCode op, PyObject *const *objects, Array **in)
{
    if (fit_integer(op, objects[0], &in[0], in[1]) < 0) {
        return -1;
    }
    return fit_integer(op, objects[1], &in[1], in[0]);
}

/* Both operands as arrays: 1, or 0 for NotImplemented, or -1. */
static int
take_operands(OpCode op, PyObject *left, PyObject *right, Array **in)
{
    in[0] = in[1] = NULL;
    PyObject *objects[2] = {left, right};
    for (int i = 0; i < 2; i++) {
        PyObject *o = objects[i];
        const bool plain = array_object_check_exact(o) || PyFloat_CheckExact(o) ||
                           PyLong_CheckExact(o) || PyBool_Check(o) || PyComplex_CheckExact(o);
        if (!plain && convert_defers(o)) {
            return 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        in[i] = object_operand(objects[i]);
        if (in[i] == NULL) {
            return -1;
        }
    }
    return number_fit(op, objects, in) < 0 ? -1 : 1;
}

static void
drop_operands(Array **in)
{
    array_release(in[0]);
    array_release(in[1]);
}

/* A Python number beside a floating array as a weak float, which gives what an int does where
 * float64 holds it exactly. NULL without an exception for anything else. */
static Array *
number_beside(PyObject *number, PyObject *array)
{
    double value;
    if (!array_object_check_exact(array) || !dtype_is_inexact(object_array(array)->dtype)) {
        return NULL;
    }
    if (PyFloat_CheckExact(number)) {
        value = PyFloat_AS_DOUBLE(number);
    } else if (PyLong_CheckExact(number)) {
        const int64_t exact = INT64_C(1) << DBL_MANT_DIG;
        int overflow;
        const int64_t integer = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (overflow != 0 || integer < -exact || integer > exact) {
            return NULL;
        }
        value = (double)integer;
    } else {
        return NULL;
    }
    Array *scalar = array_new_scalar(DT_f64, WEAK_FLOAT, &value);
    return scalar != NULL ? scalar : (Array *)error_raise();
}

PyObject *
number_binary(OpCode op, PyObject *left, PyObject *right)
{
    Array *in[2];
    if (array_object_check_exact(left) && array_object_check_exact(right)) {
        in[0] = object_array(left);
        in[1] = object_array(right);
        return object_wrap_result(graph_apply(op, in, 2, NULL, 0));
    }
    const int which = array_object_check_exact(left); /* of the two may be a number */
    Array *number = number_beside(which ? right : left, which ? left : right);
    if (number != NULL) {
        in[which] = number;
        in[1 - which] = object_array(which ? left : right);
        PyObject *result = object_wrap_result(graph_apply(op, in, 2, NULL, 0));
        array_release(number);
        return result;
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    const int taken = take_operands(op, left, right, in);
    PyObject *result = NULL;
    if (taken > 0) {
        result = object_wrap_result(graph_apply(op, in, 2, NULL, 0));
    } else if (taken == 0) {
        result = Py_NewRef(Py_NotImplemented);
    }
    drop_operands(in);
    return result;
}

/* self op= other: in place, unless self is a scalar, which is rebound. */
static PyObject *
binary_inplace(OpCode op, PyObject *self, PyObject *other)
{
    if (object_array(self)->is_scalar) {
        return number_binary(op, self, other);
    }
    Array *in[2];
    Array *result = NULL;
    int status = take_operands(op, self, other, in);
    bool done = false;
    if (status > 0 && graph_elementwise_into(op, in, 2, in[0], &done) != STATUS_OK) {
        status = error_raise_int();
    }
    if (status > 0 && !done) {
        result = graph_apply(op, in, 2, NULL, 0);
        status = result == NULL ? error_raise_int()
                                : object_write_output(in[0], result, op_info(op)->name, 'k');
        status = status < 0 ? -1 : 1;
    }
    drop_operands(in);
    array_release(result);
    if (status < 0) {
        return NULL;
    }
    return Py_NewRef(status == 0 ? Py_NotImplemented : self);
}

static PyObject *
unary(OpCode op, PyObject *self)
{
    return object_wrap_result(graph_apply1(op, object_array(self)));
}

#define BINARY(slot, op)                                                                           \
    static PyObject *number_##slot(PyObject *a, PyObject *b)                                       \
    {                                                                                              \
        return number_binary(OP_##op, a, b);                                                       \
    }                                                                                              \
    static PyObject *number_inplace_##slot(PyObject *a, PyObject *b)                               \
    {                                                                                              \
        return binary_inplace(OP_##op, a, b);                                                      \
    }
BINARY(add, add)
BINARY(subtract, subtract)
BINARY(multiply, multiply)
BINARY(true_divide, divide)
BINARY(floor_divide, floor_divide)
BINARY(remainder, remainder)
BINARY(and, bitwise_and)
BINARY(or, bitwise_or)
BINARY(xor, bitwise_xor)
BINARY(lshift, left_shift)
BINARY(rshift, right_shift)

#define UNARY(slot, op)                                                                            \
    static PyObject *number_##slot(PyObject *self)                                                 \
    {                                                                                              \
        return unary(OP_##op, self);                                                               \
    }
UNARY(negative, negative)
UNARY(positive, positive)
UNARY(absolute, absolute)
UNARY(invert, invert)

static PyObject *
number_divmod(PyObject *a, PyObject *b)
{
    PyObject *quotient = number_binary(OP_floor_divide, a, b);
    if (quotient == NULL || quotient == Py_NotImplemented) {
        return quotient;
    }
    PyObject *rest = number_binary(OP_remainder, a, b);
    PyObject *pair = rest == NULL ? NULL : PyTuple_Pack(2, quotient, rest);
    Py_DECREF(quotient);
    Py_XDECREF(rest);
    return pair;
}

/*
 * The row that x ** exponent stands for when the exponent is one of NumPy's special Python
 * numbers, else OP_power. Powers of a float array only, but squares of any.
 */
static OpCode
power_row(const Array *x, PyObject *exponent)
{
    double value;
    if (PyFloat_CheckExact(exponent)) {
        value = PyFloat_AS_DOUBLE(exponent);
    } else if (PyLong_CheckExact(exponent)) {
        int overflow;
        value = (double)PyLong_AsLongAndOverflow(exponent, &overflow);
        if (overflow != 0) {
            return OP_power;
        }
    } else {
        return OP_power;
    }
    const bool inexact = dtype_is_inexact(x->dtype);
    if (value == 2.0 && (inexact || (PyLong_CheckExact(exponent) && x->dtype != DT_bool))) {
        return OP_square;
    }
    if (value == 1.0 && inexact) {
        return OP_positive;
    }
    if (value == 0.5 && inexact) {
        return OP_sqrt;
    }
    if (value == -1.0 && inexact) {
        return OP_reciprocal;
    }
    return OP_power;
}

/* Integers to negative integer powers have no integer result. 0 / -1 with ValueError. */
static int
check_integer_power(PyObject *left, PyObject *exponent)
{
    if (PyLong_CheckExact(exponent) && array_object_check(left) &&
        (dtype_is_integer(object_array(left)->dtype) || object_array(left)->dtype == DT_bool)) {
        int overflow;
        if (PyLong_AsLongAndOverflow(exponent, &overflow) < 0 && overflow <= 0) {
            PyErr_SetString(PyExc_ValueError,
                            "Integers to negative integer powers are not allowed.");
            return -1;
        }
    }
    return 0;
}

static PyObject *
number_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    if (modulus != Py_None) {
        return Py_NewRef(Py_NotImplemented);
    }
    if (array_object_check_exact(base)) {
        const OpCode op = power_row(object_array(base), exponent);
        if (op != OP_power) {
            return unary(op, base);
        }
        if (check_integer_power(base, exponent) < 0) {
            return NULL;
        }
    }
    return number_binary(OP_power, base, exponent);
}

static PyObject *
number_inplace_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    if (modulus != Py_None) {
        return Py_NewRef(Py_NotImplemented);
    }
    const OpCode op = power_row(object_array(base), exponent);
    if (op == OP_power) {
        return check_integer_power(base, exponent) < 0 ? NULL
                                                       : binary_inplace(OP_power, base, exponent);
    }
    if (object_array(base)->is_scalar) {
        return unary(op, base);
    }
    Array *result = graph_apply1(op, object_array(base));
    if (result == NULL) {
        return error_raise();
    }
    const int status = object_write_output(object_array(base), result, "power", 'k');
    array_release(result);
    return status < 0 ? NULL : Py_NewRef(base);
}

static PyObject *
number_matmul(PyObject *a, PyObject *b)
{
    Array *in[2];
    const int taken = take_operands(OP_multiply, a, b, in);
    PyObject *result = NULL;
    if (taken > 0) {
        result = object_wrap_result(function_apply_matmul(in[0], in[1]));
    } else if (taken == 0) {
        result = Py_NewRef(Py_NotImplemented);
    }
    drop_operands(in);
    return result;
}

static PyObject *
number_inplace_matmul(PyObject *a, PyObject *b)
{
    Array *in[2];
    Array *result = NULL;
    int status = take_operands(OP_multiply, a, b, in);
    if (status > 0) {
        result = function_apply_matmul(in[0], in[1]);
        status = result == NULL ? error_raise_int()
                                : object_write_output(in[0], result, "matmul", 'k');
        status = status < 0 ? -1 : 1;
    }
    drop_operands(in);
    array_release(result);
    if (status < 0) {
        return NULL;
    }
    return Py_NewRef(status == 0 ? Py_NotImplemented : a);
}

static int
number_bool(PyObject *self)
{
    Array *a = object_array(self);
    if (a->size != 1) {
        PyErr_SetString(PyExc_ValueError,
                        a->size == 0
                            ? "The truth value of an empty array is ambiguous. Use `array.size > "
                              "0` to check that an array is not empty."
                            : "The truth value of an array with more than one element is "
                              "ambiguous. Use a.any() or a.all()");
        return -1;
    }
    PyObject *item = object_item(a);
    if (item == NULL) {
        return -1;
    }
    const int truth = PyObject_IsTrue(item);
    Py_DECREF(item);
    return truth;
}

/* The one element as a Python number for a conversion named `what`, refused when active. */
static PyObject *
scalar_item(PyObject *self, const char *what)
{
    Array *a = object_array(self);
    if (a->ndim != 0) {
        PyErr_SetString(PyExc_TypeError,
                        "only 0-dimensional arrays can be converted to Python scalars");
        return NULL;
    }
    Array *value = object_export_value(a, what);
    if (value == NULL) {
        return NULL;
    }
    PyObject *item = convert_item(value, 0);
    array_release(value);
    return item;
}

static PyObject *
number_float(PyObject *self)
{
    PyObject *item = scalar_item(self, "float()");
    if (item == NULL || PyFloat_CheckExact(item)) {
        return item;
    }
    PyObject *result = PyNumber_Float(item);
    Py_DECREF(item);
    return result;
}

static PyObject *
number_int(PyObject *self)
{
    PyObject *item = scalar_item(self, "int()");
    if (item == NULL) {
        return NULL;
    }
    PyObject *result = PyNumber_Long(item);
    Py_DECREF(item);
    return result;
}

static PyObject *
number_index(PyObject *self)
{
    const Array *a = object_array(self);
    if (a->ndim != 0 || !dtype_is_integer(a->dtype)) {
        PyErr_SetString(PyExc_TypeError,
                        "only integer scalar arrays can be converted to a scalar index");
        return NULL;
    }
    return scalar_item(self, "an index");
}

PyNumberMethods array_number_methods = {
    .nb_add = number_add,
    .nb_subtract = number_subtract,
    .nb_multiply = number_multiply,
    .nb_remainder = number_remainder,
    .nb_divmod = number_divmod,
    .nb_power = number_power,
    .nb_negative = number_negative,
    .nb_positive = number_positive,
    .nb_absolute = number_absolute,
    .nb_bool = number_bool,
    .nb_invert = number_invert,
    .nb_lshift = number_lshift,
    .nb_rshift = number_rshift,
    .nb_and = number_and,
    .nb_xor = number_xor,
    .nb_or = number_or,
    .nb_int = number_int,
    .nb_float = number_float,
    .nb_inplace_add = number_inplace_add,
    .nb_inplace_subtract = number_inplace_subtract,
    .nb_inplace_multiply = number_inplace_multiply,
    .nb_inplace_remainder = number_inplace_remainder,
    .nb_inplace_power = number_inplace_power,
    .nb_inplace_lshift = number_inplace_lshift,
    .nb_inplace_rshift = number_inplace_rshift,
    .nb_inplace_and = number_inplace_and,
    .nb_inplace_xor = number_inplace_xor,
    .nb_inplace_or = number_inplace_or,
    .nb_floor_divide = number_floor_divide,
    .nb_true_divide = number_true_divide,
    .nb_inplace_floor_divide = number_inplace_floor_divide,
    .nb_inplace_true_divide = number_inplace_true_divide,
    .nb_index = number_index,
    .nb_matrix_multiply = number_matmul,
    .nb_inplace_matrix_multiply = number_inplace_matmul,
};
