/* python/reduce.c -- reductions and scans with NumPy's signatures. */
#include "python/functions.h"

/* The name of the ufunc whose reduction `op` is, for messages; the neutral element. */
typedef struct Reduction {
    const char *ufunc;
    bool has_identity;
    double identity;
    OpCode combine; /* with initial= */
} Reduction;

static Reduction
reduction_of(OpCode op)
{
    switch (op) {
    case OP_sum: return (Reduction){"add", true, 0, OP_add};
    case OP_prod: return (Reduction){"multiply", true, 1, OP_multiply};
    case OP_any: return (Reduction){"logical_or", true, 0, OP_logical_or};
    case OP_all: return (Reduction){"logical_and", true, 1, OP_logical_and};
    case OP_reduce_min: return (Reduction){"minimum", false, 0, OP_minimum};
    default: return (Reduction){"maximum", false, 0, OP_maximum};
    }
}

/* The dtype in which sum, prod and scans add up: at least 64 bits for integers. */
static DType
accumulator(DType dtype)
{
    if (dtype == DT_bool || (dtype_is_integer(dtype) && dtype_info(dtype)->kind == 'i')) {
        return DT_i64;
    }
    return dtype_is_integer(dtype) ? DT_u64 : dtype;
}

/* x, or where(mask, x, neutral) so that elements left out do not count. New reference, or
 * NULL with an exception. */
static Array *
mask_elements(Array *x, const Reduction *r, const char *name, PyObject *where, PyObject *initial)
{
    if (where == NULL || where == Py_None || where == Py_True) {
        return array_retain(x);
    }
    if (!r->has_identity && initial == NULL) {
        PyErr_Format(PyExc_ValueError,
                     "reduction operation '%s' does not have an identity, so to use a where mask "
                     "one has to specify 'initial'",
                     name);
        return NULL;
    }
    Array *neutral = NULL, *result = NULL;
    Array *mask = object_operand(where);
    if (mask == NULL) {
        return NULL;
    }
    if (mask->dtype != DT_bool) {
        PyErr_Format(PyExc_TypeError,
                     "Cannot cast array data from dtype('%s') to dtype('bool') according to the "
                     "rule 'safe'",
                     dtype_info(mask->dtype)->name);
        goto done;
    }
    if (r->has_identity) {
        const int64_t value = (int64_t)r->identity;
        neutral = array_new_scalar(DT_i64, WEAK_INT, &value);
        if (neutral == NULL) {
            error_raise();
        }
    } else {
        neutral = object_operand(initial);
    }
    if (neutral != NULL) {
        Array *in[3] = {mask, x, neutral};
        result = graph_apply(OP_where, in, 3, NULL, 0);
        if (result == NULL) {
            error_raise();
        }
    }
done:
    array_release(mask);
    array_release(neutral);
    return result;
}

/* result combined with initial=. Takes over `result`. NULL with an exception. */
static Array *
combine_initial(Array *result, OpCode combine, PyObject *initial)
{
    if (result == NULL) {
        return NULL;
    }
    Array *start = object_operand(initial);
    Array *combined = start == NULL ? NULL : graph_apply2(combine, result, start);
    if (start != NULL && combined == NULL) {
        error_raise();
    }
    array_release(start);
    array_release(result);
    return combined;
}

/* An array of `initial` with the shape that reducing an empty array gives. */
static Array *
empty_result(Array *x, int naxes, const int *axes, bool keepdims, PyObject *initial)
{
    int64_t shape[ARRAY_MAX_NDIM];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        bool reduced = naxes < 0;
        for (int j = 0; j < naxes; j++) {
            reduced |= axes[j] == i;
        }
        if (!reduced || keepdims) {
            shape[ndim++] = reduced ? 1 : x->shape[i];
        }
    }
    Array *value = object_operand(initial);
    if (value == NULL) {
        return NULL;
    }
    Array *result = array_new(x->storage->device, x->dtype, ndim, shape);
    if (result == NULL || graph_write(result, value) != STATUS_OK) {
        array_release(result);
        result = NULL;
        error_raise();
    }
    array_release(value);
    return result;
}

/* Does the reduction run over no element at all? */
static bool
is_empty_reduction(const Array *x, int naxes, const int *axes)
{
    bool empty = naxes < 0 && x->size == 0;
    for (int i = 0; i < naxes; i++) {
        empty |= x->shape[axes[i]] == 0;
    }
    return empty;
}

int
function_check_reduced(OpCode op, const Array *x, int naxes, const int *axes)
{
    const Reduction r = reduction_of(op);
    if (r.has_identity || !is_empty_reduction(x, naxes, axes)) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError,
                 "zero-size array to reduction operation %s which has no identity", r.ufunc);
    return -1;
}

/* Small integers add up in 64 bits; a dtype= that asks for fewer gets the low ones. Takes over
 * `result` (NULL passes). NULL with an exception. */
static Array *
narrow(Array *result, DType dtype)
{
    if (result == NULL || result->dtype == dtype) {
        return result;
    }
    Array *cast = graph_cast(result, dtype, false);
    array_release(result);
    if (cast == NULL) {
        error_raise();
    }
    return cast;
}

PyObject *
function_reduce(OpCode op, Array *x, const ReduceArgs *args)
{
    const Reduction r = reduction_of(op);
    int axes[ARRAY_MAX_NDIM], naxes = -1;
    bool keepdims;
    DType dtype;
    /* NumPy lets numbers be reduced along axis 0 or -1, but not along (0,). */
    const bool number = x->ndim == 0 && args->axis != NULL && PyIndex_Check(args->axis);
    if (convert_axes(args->axis == NULL ? Py_None : args->axis, number ? 1 : x->ndim, axes,
                     &naxes) < 0 ||
        args_bool(args->keepdims, false, &keepdims) < 0 || args_dtype(args->dtype, &dtype) < 0) {
        return NULL;
    }
    naxes = number ? -1 : naxes;
    PyObject *initial = args->initial == Py_None ? NULL : args->initial;
    if (dtype == DTYPE_COUNT && (op == OP_sum || op == OP_prod)) {
        dtype = accumulator(x->dtype);
    } else if (dtype == DTYPE_COUNT && (op == OP_any || op == OP_all)) {
        dtype = DT_bool;
    }
    Array *elements;
    if (dtype == DTYPE_COUNT || dtype == x->dtype) {
        elements = array_retain(x);
    } else if ((elements = graph_cast(x, dtype, false)) == NULL) {
        return error_raise();
    }
    Array *masked = mask_elements(elements, &r, r.ufunc, args->where, initial);
    array_release(elements);
    if (masked == NULL) {
        return NULL;
    }
    Array *result = NULL;
    if (initial != NULL && !r.has_identity && is_empty_reduction(masked, naxes, axes)) {
        result = empty_result(masked, naxes, axes, keepdims, initial);
    } else if (function_check_reduced(op, masked, naxes, axes) == 0) {
        result = graph_reduce(op, masked, naxes, axes, keepdims);
        if (result == NULL) {
            error_raise();
        } else if (initial != NULL) {
            result = combine_initial(result, r.combine, initial);
        }
        if (dtype != DTYPE_COUNT) {
            result = narrow(result, dtype);
        }
    }
    array_release(masked);
    return result == NULL ? NULL : object_store(args->out, result, r.ufunc, 'k');
}

enum { A, AXIS, DTYPE, OUT, KEEPDIMS, INITIAL, WHERE };

static PyObject *
reduce_bound(OpCode op, PyObject *a, const ReduceArgs *args)
{
    Array *x = object_operand(a);
    if (x == NULL) {
        return NULL;
    }
    PyObject *result = function_reduce(op, x, args);
    array_release(x);
    return result;
}

/* (a, axis, dtype, out, keepdims, initial, where) */
static PyObject *
reduce_numbers(OpCode op, const Signature *s, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    PyObject *v[ARGS_MAX];
    if (args_bind(s, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    const ReduceArgs r = {v[AXIS], v[DTYPE], v[OUT], v[KEEPDIMS], v[INITIAL], v[WHERE]};
    return reduce_bound(op, v[A], &r);
}

/* (a, axis, out, keepdims, initial, where) */
static PyObject *
reduce_order(OpCode op, const Signature *s, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    PyObject *v[ARGS_MAX];
    if (args_bind(s, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    const ReduceArgs r = {v[1], NULL, v[2], v[3], v[4], v[5]};
    return reduce_bound(op, v[A], &r);
}

/* (a, axis, out, keepdims, *, where) */
static PyObject *
reduce_truth(OpCode op, const Signature *s, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    PyObject *v[ARGS_MAX];
    if (args_bind(s, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    const ReduceArgs r = {v[1], NULL, v[2], v[3], NULL, v[4]};
    return reduce_bound(op, v[A], &r);
}

#define NUMBERS(name, op)                                                                          \
    FUNCTION(name)                                                                                 \
    {                                                                                              \
        static const Signature signature = {                                                       \
            #name, 7, 1, 7, {"a", "axis", "dtype", "out", "keepdims", "initial", "where"}};        \
        (void)self;                                                                                \
        return reduce_numbers(op, &signature, args, nargs, kwnames);                               \
    }
NUMBERS(sum, OP_sum)
NUMBERS(prod, OP_prod)

#define ORDER(name, op)                                                                            \
    FUNCTION(name)                                                                                 \
    {                                                                                              \
        static const Signature signature = {                                                       \
            #name, 6, 1, 6, {"a", "axis", "out", "keepdims", "initial", "where"}};                 \
        (void)self;                                                                                \
        return reduce_order(op, &signature, args, nargs, kwnames);                                 \
    }
ORDER(min, OP_reduce_min)
ORDER(max, OP_reduce_max)

#define TRUTH(name, op)                                                                            \
    FUNCTION(name)                                                                                 \
    {                                                                                              \
        static const Signature signature = {                                                       \
            #name, 5, 1, 4, {"a", "axis", "out", "keepdims", "where"}};                            \
        (void)self;                                                                                \
        return reduce_truth(op, &signature, args, nargs, kwnames);                                 \
    }
TRUTH(any, OP_any)
TRUTH(all, OP_all)

/* ---- argmin, argmax ---- */

static PyObject *
arg_bound(OpCode op, const char *name, PyObject *const *v)
{
    bool keepdims;
    if (args_bool(v[3], false, &keepdims) < 0) {
        return NULL;
    }
    Array *x = object_operand(v[0]);
    if (x == NULL) {
        return NULL;
    }
    int axis = 0;
    const bool flat = v[1] == NULL || v[1] == Py_None;
    Array *result = NULL;
    if (!flat && args_axis(v[1], x->ndim == 0 ? 1 : x->ndim, &axis) < 0) {
        goto done;
    }
    if ((flat || x->ndim == 0 ? x->size : x->shape[axis]) == 0) {
        PyErr_Format(PyExc_ValueError, "attempt to get %s of an empty sequence", name);
        goto done;
    }
    result = graph_reduce(op, x, flat || x->ndim == 0 ? -1 : 1, &axis, keepdims);
    if (result == NULL) {
        error_raise();
    }
done:
    array_release(x);
    return result == NULL ? NULL : object_store(v[2], result, name, 'k');
}

#define ARG(name, op)                                                                              \
    FUNCTION(name)                                                                                 \
    {                                                                                              \
        static const Signature signature = {#name, 4, 1, 3, {"a", "axis", "out", "keepdims"}};     \
        (void)self;                                                                                \
        PyObject *v[ARGS_MAX];                                                                     \
        if (args_bind(&signature, args, nargs, kwnames, v) < 0) {                                  \
            return NULL;                                                                           \
        }                                                                                          \
        return arg_bound(op, #name, v);                                                            \
    }
ARG(argmin, OP_argmin)
ARG(argmax, OP_argmax)

/* ---- scans ---- */

PyObject *
function_scan(OpCode op, Array *x, PyObject *axis_object, PyObject *dtype_object, PyObject *out)
{
    DType dtype;
    int axis = 0;
    if (args_dtype(dtype_object, &dtype) < 0) {
        return NULL;
    }
    dtype = dtype == DTYPE_COUNT ? accumulator(x->dtype) : dtype;
    const bool flat = axis_object == NULL || axis_object == Py_None || x->ndim == 0;
    if (axis_object != NULL && axis_object != Py_None &&
        args_axis(axis_object, x->ndim == 0 ? 1 : x->ndim, &axis) < 0) {
        return NULL;
    }
    Array *elements = graph_cast(x, dtype, false);
    Array *line = elements == NULL ? NULL : flat ? function_flat(elements) : array_retain(elements);
    const int64_t params[2] = {axis, 0};
    Array *result = line == NULL ? NULL : graph_apply(op, &line, 1, params, 2);
    array_release(elements);
    array_release(line);
    if (result != NULL && result->dtype != dtype) {
        result = narrow(result, dtype);
    }
    return object_store(out, result, op == OP_cumsum ? "add" : "multiply", 'k');
}

#define SCAN(name, op)                                                                             \
    FUNCTION(name)                                                                                 \
    {                                                                                              \
        static const Signature signature = {#name, 4, 1, 4, {"a", "axis", "dtype", "out"}};        \
        (void)self;                                                                                \
        PyObject *v[ARGS_MAX];                                                                     \
        if (args_bind(&signature, args, nargs, kwnames, v) < 0) {                                  \
            return NULL;                                                                           \
        }                                                                                          \
        Array *x = object_operand(v[0]);                                                           \
        if (x == NULL) {                                                                           \
            return NULL;                                                                           \
        }                                                                                          \
        PyObject *result = function_scan(op, x, v[1], v[2], v[3]);                                 \
        array_release(x);                                                                          \
        return result;                                                                             \
    }
SCAN(cumsum, OP_cumsum)
SCAN(cumprod, OP_cumprod)
