/* python/logsumexp.c -- log(sum(b exp(a))): one function of many ops, which are recorded here
 * since in Python they take longer than the sweep over a thousand elements. */
#include "python/functions.h"

/* The arrays that a formula is made of; NULL passes through its steps. */
typedef struct Formula {
    Array *made[32];
    int count;
} Formula;

static Array *
keep(Formula *f, Array *x)
{
    if (x != NULL) {
        f->made[f->count++] = x;
    }
    return x;
}

static Array *
op1(Formula *f, OpCode op, Array *x)
{
    return x == NULL ? NULL : keep(f, graph_apply1(op, x));
}

static Array *
op2(Formula *f, OpCode op, Array *x, Array *y)
{
    return x == NULL || y == NULL ? NULL : keep(f, graph_apply2(op, x, y));
}

static Array *
where(Formula *f, Array *condition, Array *x, Array *y)
{
    Array *in[3] = {condition, x, y};
    return condition == NULL || x == NULL || y == NULL
               ? NULL
               : keep(f, graph_apply(OP_where, in, 3, NULL, 0));
}

static Array *
number(Formula *f, double value)
{
    return keep(f, array_new_scalar(DT_f64, WEAK_FLOAT, &value));
}

static Array *
detached(Formula *f, Array *x)
{
    return x == NULL ? NULL : keep(f, graph_detach(x));
}

static Array *
reduced(Formula *f, OpCode op, Array *x, int naxes, const int *axes)
{
    return x == NULL ? NULL : keep(f, graph_reduce(op, x, naxes, axes, true));
}

/* What is taken off all exponents: the greatest, or 0 where that is not finite. */
static Array *
greatest(Formula *f, Array *a, int naxes, const int *axes)
{
    Array *real = a != NULL && dtype_is_complex(a->dtype) ? op1(f, OP_real, a) : a;
    Array *top = detached(f, reduced(f, OP_reduce_max, real, naxes, axes));
    return where(f, op1(f, OP_isfinite, top), top, number(f, 0.0));
}

typedef struct LogSum {
    Array *result, *sign; /* with the reduced axes as size 1; no sign unless it is asked for */
} LogSum;

static LogSum
log_sum(Formula *f, Array *a, Array *b, int naxes, const int *axes, bool signed_)
{
    LogSum out = {NULL, NULL};
    Array *nothing = number(f, -Py_HUGE_VAL);
    if (b != NULL) {
        a = where(f, op2(f, OP_equal, b, number(f, 0.0)), nothing, a);
    }
    Array *top = greatest(f, a, naxes, axes);
    Array *terms = op1(f, OP_exp, op2(f, OP_subtract, a, top));
    terms = b == NULL ? terms : op2(f, OP_multiply, b, terms);
    Array *total = reduced(f, OP_sum, terms, naxes, axes);
    if (signed_) {
        out.sign = op1(f, OP_sign, total);
        total = op2(f, OP_multiply, total, op1(f, OP_conjugate, out.sign));
    }
    /* An empty sum is replaced off the path of derivatives: there its terms are 0, so the
     * slope is without a mask, which would follow the cotangent through all of the formula. */
    Array *empty = op2(f, OP_equal, detached(f, total), number(f, 0.0));
    out.result = op2(f, OP_add, op1(f, OP_log, op2(f, OP_add, total, empty)),
                     where(f, empty, nothing, top));
    return out;
}

/* x without its reduced axes, unless they are kept; the error is raised. */
static PyObject *
finished(Array *x, int naxes, const int *axes, bool keepdims)
{
    int64_t shape[ARRAY_MAX_NDIM];
    int ndim = 0;
    if (x == NULL) {
        return error_raise();
    }
    for (int i = 0, k = 0; i < x->ndim && naxes >= 0; i++) {
        if (k < naxes && axes[k] == i) {
            k++;
        } else {
            shape[ndim++] = x->shape[i];
        }
    }
    Array *result = keepdims ? array_retain(x) : graph_reshape(x, ndim, shape);
    return result == NULL ? error_raise() : object_wrap(result);
}

static PyObject *
log_sum_of(Array *a, Array *b, PyObject *axis, bool keepdims, bool signed_)
{
    int axes[ARRAY_MAX_NDIM], naxes;
    if (convert_axes(axis == NULL ? Py_None : axis, a->ndim, axes, &naxes) < 0 ||
        function_check_reduced(OP_reduce_max, a, naxes, axes) < 0) {
        return NULL;
    }
    Formula f = {.count = 0};
    if (!dtype_is_inexact(a->dtype)) {
        a = keep(&f, graph_cast(a, DT_f64, false));
    }
    const LogSum s = a == NULL ? (LogSum){NULL, NULL} : log_sum(&f, a, b, naxes, axes, signed_);
    PyObject *out = finished(s.result, naxes, axes, keepdims);
    if (out != NULL && signed_) {
        PyObject *sign = finished(s.sign, naxes, axes, keepdims);
        PyObject *pair = sign == NULL ? NULL : PyTuple_Pack(2, out, sign);
        Py_XDECREF(sign);
        Py_SETREF(out, pair);
    }
    while (f.count > 0) {
        array_release(f.made[--f.count]);
    }
    return out;
}

FUNCTION(logsumexp)
{
    static const Signature signature = {
        "logsumexp", 5, 1, 5, {"a", "axis", "b", "keepdims", "return_sign"}};
    PyObject *v[ARGS_MAX];
    bool keepdims, signed_;
    (void)self;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 ||
        args_bool(v[3], false, &keepdims) < 0 || args_bool(v[4], false, &signed_) < 0) {
        return NULL;
    }
    Array *a = object_operand(v[0]), *b = NULL;
    const bool weighted = v[2] != NULL && v[2] != Py_None;
    if (a == NULL || (weighted && (b = object_operand(v[2])) == NULL)) {
        array_release(a);
        return NULL;
    }
    PyObject *out = log_sum_of(a, b, v[1], keepdims, signed_);
    array_release(a);
    array_release(b);
    return out;
}
