/* python/functions.c -- products and selection with NumPy's signatures. */
#include "python/functions.h"

#include "backend/backend.h"

#include <string.h>

Array *
function_flat(Array *x)
{
    const int64_t shape[1] = {-1};
    return graph_reshape(x, 1, x->size == 0 ? (const int64_t[1]){0} : shape);
}

Status
function_common(Array *const *in, Array **out)
{
    const DType dtypes[2] = {in[0]->dtype, in[1]->dtype};
    const Weak weak[2] = {in[0]->weak, in[1]->weak};
    const DType dtype = dtype_result(dtypes, weak, 2);
    out[0] = out[1] = NULL;
    for (int i = 0; i < 2; i++) {
        out[i] = graph_cast(in[i], dtype, false);
        if (out[i] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* ---- products ---- */

static Status
matmul_check(const Array *a, const Array *b)
{
    const Array *in[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        if (in[i]->ndim == 0) {
            return err_set(ERR_VALUE,
                           "matmul: Input operand %d does not have enough dimensions (has 0, gufunc "
                           "core with signature (n?,k),(k,m?)->(n?,m?) requires 1)",
                           i);
        }
    }
    const int64_t ka = a->shape[a->ndim - 1];
    const int64_t kb = b->shape[b->ndim == 1 ? 0 : b->ndim - 2];
    if (ka != kb) {
        char ta[256], tb[256];
        return err_set(ERR_SHAPE, "matmul: shapes %s and %s: %lld does not match %lld",
                       shape_text(a->ndim, a->shape, ta, sizeof ta),
                       shape_text(b->ndim, b->shape, tb, sizeof tb), (long long)ka, (long long)kb);
    }
    return STATUS_OK;
}

/* Both with the axes that matmul adds to vectors. */
static Status
matmul_expand(Array **in, bool *row, bool *column)
{
    *row = in[0]->ndim == 1;
    *column = in[1]->ndim == 1;
    const bool expand[2] = {*row, *column};
    for (int i = 0; i < 2; i++) {
        if (expand[i]) {
            Array *wide = view_expand(in[i], i);
            if (wide == NULL) {
                return STATUS_ERROR;
            }
            array_release(in[i]);
            in[i] = wide;
        }
    }
    return STATUS_OK;
}

Array *
function_apply_matmul(Array *a, Array *b)
{
    Array *in[2] = {NULL, NULL};
    Array *operands[2] = {a, b};
    Array *product = NULL, *result = NULL;
    bool row, column;
    if (matmul_check(a, b) != STATUS_OK || function_common(operands, in) != STATUS_OK ||
        matmul_expand(in, &row, &column) != STATUS_OK) {
        goto done;
    }
    product = graph_apply(OP_matmul, in, 2, NULL, 0);
    if (product == NULL || !(row || column)) {
        result = product;
        product = NULL;
        goto done;
    }
    int axes[2], n = 0;
    if (row) {
        axes[n++] = product->ndim - 2;
    }
    if (column) {
        axes[n++] = product->ndim - 1;
    }
    result = view_squeeze(product, n, axes);
done:
    arrays_release(in, 2);
    array_release(product);
    return result;
}

int
function_two(PyObject *const *v, Array **in)
{
    in[0] = object_operand(v[0]);
    in[1] = in[0] == NULL ? NULL : object_operand(v[1]);
    if (in[1] == NULL) {
        array_release(in[0]);
        return -1;
    }
    return 0;
}

FUNCTION(matmul)
{
    static const Signature signature = {"matmul", 3, 2, 3, {"x1", "x2", "out"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    Array *in[2];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || function_two(v, in) < 0) {
        return NULL;
    }
    Array *result = function_apply_matmul(in[0], in[1]);
    arrays_release(in, 2);
    return object_store(v[2], result, "matmul", 'k');
}

FUNCTION(dot)
{
    static const Signature signature = {"dot", 3, 2, 3, {"a", "b", "out"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    Array *in[2];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || function_two(v, in) < 0) {
        return NULL;
    }
    if (in[1]->ndim > 2 || (in[0]->ndim > 2 && in[1]->ndim == 2)) {
        arrays_release(in, 2);
        return args_call_python("dot", args, nargs, kwnames);
    }
    Array *result;
    if (in[0]->ndim == 0 || in[1]->ndim == 0) {
        result = graph_apply(OP_multiply, in, 2, NULL, 0);
    } else {
        result = function_apply_matmul(in[0], in[1]);
        if (result == NULL && err_kind() == ERR_SHAPE) {
            char ta[256], tb[256];
            const Array *a = in[0], *b = in[1];
            const int at = b->ndim == 1 ? 0 : b->ndim - 2;
            err_set(ERR_SHAPE, "shapes %s and %s not aligned: %lld (dim %d) != %lld (dim %d)",
                    shape_text(a->ndim, a->shape, ta, sizeof ta),
                    shape_text(b->ndim, b->shape, tb, sizeof tb),
                    (long long)a->shape[a->ndim - 1], a->ndim - 1, (long long)b->shape[at], at);
        }
    }
    arrays_release(in, 2);
    return object_store(v[2], result, "dot", 'k');
}

/* ---- selection ---- */

/* How many elements of a concrete bool array are true, or -1 with the error recorded. */
static int64_t
count_true(Array *truth)
{
    int64_t count = 0;
    if (array_is_contiguous(truth) && truth->storage->device->host_memory) {
        if (truth->size > 0 && storage_map_host(truth->storage, MAP_READ) == NULL) {
            return -1;
        }
        const char *data = array_data(truth);
        for (int64_t i = 0; i < truth->size; i++) {
            count += data[i] != 0;
        }
        return count;
    }
    Array *integers = graph_cast(truth, DT_i64, false);
    Array *total = integers == NULL ? NULL : graph_reduce(OP_sum, integers, -1, NULL, false);
    Array *value = total == NULL ? NULL : graph_to_device(total, device_cpu());
    char *data = value == NULL ? NULL : storage_map_host(value->storage, MAP_READ);
    if (data == NULL) {
        count = -1;
    } else {
        memcpy(&count, data + value->offset, sizeof count);
    }
    array_release(integers);
    array_release(total);
    array_release(value);
    return count;
}

Array *
function_nonzero_rows(Array *x)
{
    Array *truth = graph_cast(x, DT_bool, false);
    Array *value = truth == NULL ? NULL : graph_evaluate(truth);
    Array *rows = NULL;
    const int64_t count = value == NULL ? -1 : count_true(value);
    if (count >= 0) {
        rows = graph_apply(OP_nonzero, &value, 1, &count, 1);
    }
    array_release(truth);
    array_release(value);
    return rows;
}

/* The indices of true elements as a tuple of 1-d arrays, one for each axis. */
static PyObject *
nonzero_tuple(Array *x)
{
    if (x->ndim == 0) {
        PyErr_SetString(PyExc_ValueError, "Calling nonzero on 0d arrays is not allowed. Use "
                                          "np.atleast_1d(scalar).nonzero() instead.");
        return NULL;
    }
    Array *found = function_nonzero_rows(x);
    if (found == NULL) {
        return error_raise();
    }
    PyObject *tuple = PyTuple_New(x->ndim);
    for (int i = 0; tuple != NULL && i < x->ndim; i++) {
        PyObject *column = object_wrap(view_index(found, 1, i));
        if (column == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, column);
        }
    }
    array_release(found);
    return tuple;
}

FUNCTION(nonzero)
{
    static const Signature signature = {"nonzero", 1, 1, 1, {"a"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    Array *x = object_operand(v[0]);
    PyObject *result = x == NULL ? NULL : nonzero_tuple(x);
    array_release(x);
    return result;
}

FUNCTION(where)
{
    static const Signature signature = {"where", 3, 1, 3, {"condition", "x", "y"}};
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    if (v[1] == NULL && v[2] == NULL) {
        return function_nonzero(self, v, 1, NULL);
    }
    if (v[1] == NULL || v[2] == NULL) {
        PyErr_SetString(PyExc_ValueError, "either both or neither of x and y should be given");
        return NULL;
    }
    Array *in[3] = {NULL, NULL, NULL};
    PyObject *result = NULL;
    for (int i = 0; i < 3; i++) {
        in[i] = object_operand(v[i]);
        if (in[i] == NULL) {
            goto done;
        }
    }
    for (int i = 1; i < 3; i++) {
        const Array *other = in[3 - i];
        if (in[i]->weak == WEAK_INT && other->weak == WEAK_NONE &&
            object_check_int(v[i], (DType)other->dtype) < 0) {
            goto done;
        }
    }
    if (in[0]->dtype != DT_bool) {
        Array *truth = graph_cast(in[0], DT_bool, false);
        if (truth == NULL) {
            error_raise();
            goto done;
        }
        array_release(in[0]);
        in[0] = truth;
    }
    result = object_wrap_result(graph_apply(OP_where, in, 3, NULL, 0));
done:
    arrays_release(in, 3);
    return result;
}

/* Indices outside [0, size) brought inside by mode= "wrap" or "clip". Takes over `index`. */
static Array *
take_mode(Array *index, PyObject *mode, int64_t size)
{
    if (index == NULL || mode == NULL || PyUnicode_CompareWithASCIIString(mode, "raise") == 0) {
        return index;
    }
    Array *result = NULL;
    Array *high = NULL, *low = NULL;
    const int64_t zero = 0;
    if (PyUnicode_CompareWithASCIIString(mode, "wrap") == 0) {
        high = array_new_scalar(DT_i64, WEAK_NONE, &size);
        result = high == NULL ? NULL : graph_apply2(OP_remainder, index, high);
    } else if (PyUnicode_CompareWithASCIIString(mode, "clip") == 0) {
        const int64_t last = size - 1;
        high = array_new_scalar(DT_i64, WEAK_NONE, &last);
        low = array_new_scalar(DT_i64, WEAK_NONE, &zero);
        if (high != NULL && low != NULL) {
            Array *in[3] = {index, low, high};
            result = graph_apply(OP_clip, in, 3, NULL, 0);
        }
    } else {
        err_set(ERR_VALUE, "clipmode must be one of 'clip', 'raise', or 'wrap'");
    }
    array_release(high);
    array_release(low);
    array_release(index);
    return result;
}

static Array *
take_index(PyObject *object)
{
    Array *given = object_operand(object);
    if (given == NULL) {
        return NULL;
    }
    Array *index = NULL;
    if (given->dtype != DT_bool && !dtype_is_integer(given->dtype) && given->size > 0) {
        PyErr_Format(PyExc_TypeError,
                     "Cannot cast array data from dtype('%s') to dtype('int64') according to the "
                     "rule 'safe'",
                     dtype_info(given->dtype)->name);
    } else {
        index = graph_cast(given, DT_i64, false);
        if (index == NULL) {
            error_raise();
        }
    }
    array_release(given);
    return index;
}

FUNCTION(take)
{
    static const Signature signature = {"take", 5, 2, 5, {"a", "indices", "axis", "out", "mode"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    if (v[4] != NULL && !PyUnicode_Check(v[4])) {
        PyErr_SetString(PyExc_TypeError, "clipmode must be a string");
        return NULL;
    }
    Array *given = object_operand(v[0]);
    if (given == NULL) {
        return NULL;
    }
    Array *in[2] = {NULL, NULL};
    Array *result = NULL;
    int at = 0;
    const bool flat = v[2] == NULL || v[2] == Py_None || given->ndim == 0;
    if (!flat && args_axis(v[2], given->ndim, &at) < 0) {
        array_release(given);
        return NULL;
    }
    in[0] = flat ? function_flat(given) : array_retain(given);
    array_release(given);
    if (in[0] == NULL) {
        return error_raise();
    }
    in[1] = take_index(v[1]);
    if (in[1] == NULL) {
        array_release(in[0]);
        return NULL;
    }
    in[1] = take_mode(in[1], v[4], in[0]->shape[at]);
    const int64_t axis = at;
    if (in[1] != NULL) {
        if (in[0]->shape[at] == 0 && in[1]->size > 0) {
            err_set(ERR_INDEX, "cannot do a non-empty take from an empty axes.");
        } else {
            result = graph_apply(OP_gather, in, 2, &axis, 1);
        }
    }
    arrays_release(in, 2);
    return object_store(v[3], result, "take", 'k');
}

FUNCTION(diagonal)
{
    static const Signature signature = {"diagonal", 4, 1, 4, {"a", "offset", "axis1", "axis2"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t offset, axis1, axis2;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_int64(v[1], 0, &offset) < 0 ||
        args_int64(v[2], 0, &axis1) < 0 || args_int64(v[3], 1, &axis2) < 0) {
        return NULL;
    }
    Array *x = object_operand(v[0]);
    if (x == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    int a1, a2;
    if (x->ndim < 2) {
        PyErr_SetString(PyExc_ValueError, "diag requires an array of at least two dimensions");
    } else if (axis_normalise(axis1, x->ndim, &a1) != STATUS_OK ||
               axis_normalise(axis2, x->ndim, &a2) != STATUS_OK) {
        error_raise();
    } else if (a1 == a2) {
        PyErr_SetString(PyExc_ValueError, "axis1 and axis2 cannot be the same");
    } else {
        Array *view = view_diagonal(x, offset, a1, a2);
        if (view != NULL) {
            view->readonly = true; /* as NumPy's */
        }
        result = view == NULL ? error_raise() : object_wrap_view(view, v[0]);
    }
    array_release(x);
    return result;
}

#define ROW(name, doc)                                                                             \
    {#name, (PyCFunction)(void (*)(void))function_##name, METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef functions[] = {
    ROW(sum, "sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=0, where=True)\n"
             "--\n\nSum of elements over the given axes, as numpy.sum.\n\n"
             "Shapes: the axes go away, or have size 1 with keepdims. Integers add up in 64 bits.\n"
             "AxisError for axes that `a` lacks, TypeError for an `out` that can't hold it.\n\n"
             ">>> import pyarr as pa\n>>> pa.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)\n"
             "array([4., 6.])\n"),
    ROW(prod, "prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=1, where=True)\n"
              "--\n\nProduct of elements over the given axes, as numpy.prod.\n\n"
              ">>> import pyarr as pa\n>>> pa.prod([2.0, 3.0])\narray(6.)\n"),
    ROW(min, "min(a, axis=None, out=None, keepdims=False, initial=None, where=True)\n--\n\n"
             "Least element over the given axes, NaN if any is NaN. ValueError when there is\n"
             "none. In the derivative ties share equally.\n\n"
             ">>> import pyarr as pa\n>>> pa.min([2.0, 3.0])\narray(2.)\n"),
    ROW(max, "max(a, axis=None, out=None, keepdims=False, initial=None, where=True)\n--\n\n"
             "Greatest element over the given axes, NaN if any is NaN. ValueError when there is\n"
             "none. In the derivative ties share equally.\n\n"
             ">>> import pyarr as pa\n>>> pa.max([2.0, 3.0])\narray(3.)\n"),
    ROW(any, "any(a, axis=None, out=None, keepdims=False, *, where=True)\n--\n\n"
             "Is any element over the given axes true (not zero)?\n\n"
             ">>> import pyarr as pa\n>>> pa.any([0.0, 3.0])\narray(True)\n"),
    ROW(all, "all(a, axis=None, out=None, keepdims=False, *, where=True)\n--\n\n"
             "Are all elements over the given axes true (not zero)?\n\n"
             ">>> import pyarr as pa\n>>> pa.all([0.0, 3.0])\narray(False)\n"),
    ROW(argmin, "argmin(a, axis=None, out=None, *, keepdims=False)\n--\n\n"
                "Index of the least element along an axis, of the first of equals; of the first\n"
                "NaN. ValueError for no elements.\n\n"
                ">>> import pyarr as pa\n>>> pa.argmin([3.0, 2.0])\narray(1)\n"),
    ROW(argmax, "argmax(a, axis=None, out=None, *, keepdims=False)\n--\n\n"
                "Index of the greatest element along an axis, of the first of equals; of the\n"
                "first NaN. ValueError for no elements.\n\n"
                ">>> import pyarr as pa\n>>> pa.argmax([3.0, 2.0])\narray(0)\n"),
    ROW(cumsum, "cumsum(a, axis=None, dtype=None, out=None)\n--\n\n"
                "Cumulative sum along an axis, or of the flattened array.\n\n"
                ">>> import pyarr as pa\n>>> pa.cumsum([1.0, 2.0])\narray([1., 3.])\n"),
    ROW(cumprod, "cumprod(a, axis=None, dtype=None, out=None)\n--\n\n"
                 "Cumulative product along an axis, or of the flattened array.\n\n"
                 ">>> import pyarr as pa\n>>> pa.cumprod([2.0, 3.0])\narray([2., 6.])\n"),
    ROW(logsumexp, "logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False)\n--\n\n"
                   "log(sum(b * exp(a))) without overflow; -inf, with gradient 0, where the sum\n"
                   "is 0. `b` are weights (default 1); with `return_sign` the sign of a sum that\n"
                   "may be negative comes as a second result, else a negative sum gives NaN.\n\n"
                   ">>> import pyarr as pa\n>>> round(float(pa.logsumexp([1000.0, 1000.0])), 4)\n"
                   "1000.6931\n"),
    ROW(matmul, "matmul(x1, x2, out=None)\n--\n\n"
                "Matrix product; stacks of matrices (..., n, k) and (..., k, m) broadcast; a\n"
                "vector is a row on the left, a column on the right. ValueError when the inner\n"
                "sizes differ or an operand is a scalar.\n\n"
                ">>> import pyarr as pa\n>>> pa.matmul([[1.0, 2.0]], [3.0, 4.0])\n"
                "array([11.])\n"),
    ROW(dot, "dot(a, b, out=None)\n--\n\n"
             "Dot product over the last axis of `a` and the second last of `b`, as numpy.dot.\n\n"
             ">>> import pyarr as pa\n>>> pa.dot([1.0, 2.0], [3.0, 4.0])\narray(11.)\n"),
    ROW(where, "where(condition, x, y)\n--\n\n"
               "x where the condition is true, else y; shapes broadcast. With the condition\n"
               "alone the indices of its true elements. The derivative never takes a NaN or\n"
               "infinity from the branch that was not taken.\n\n"
               ">>> import pyarr as pa\n>>> pa.where([True, False], 1.0, 2.0)\n"
               "array([1., 2.])\n"),
    ROW(nonzero, "nonzero(a)\n--\n\n"
                 "Indices of the elements that are not zero: a tuple of arrays, one an axis.\n"
                 "ValueError for 0-d.\n\n"
                 ">>> import pyarr as pa\n>>> pa.nonzero([0.0, 3.0])\n(array([1]),)\n"),
    ROW(take, "take(a, indices, axis=None, out=None, mode='raise')\n--\n\n"
              "Elements at integer indices along an axis (None: of the flattened array).\n"
              "IndexError where out of bounds, unless mode is 'wrap' or 'clip'.\n\n"
              ">>> import pyarr as pa\n>>> pa.take([1.0, 2.0, 3.0], [2, 0])\n"
              "array([3., 1.])\n"),
    ROW(sort, "sort(a, axis=-1, kind=None, order=None, *, stable=None)\n--\n\n"
              "Sorted copy along an axis (None: flattened); NaN last.\n\n"
              ">>> import pyarr as pa\n>>> pa.sort([3.0, 1.0])\narray([1., 3.])\n"),
    ROW(argsort, "argsort(a, axis=-1, kind=None, order=None, *, stable=None)\n--\n\n"
                 "Indices that sort along an axis (None: flattened); NaN last.\n\n"
                 ">>> import pyarr as pa\n>>> pa.argsort([3.0, 1.0])\narray([1, 0])\n"),
    ROW(searchsorted, "searchsorted(a, v, side='left', sorter=None)\n--\n\n"
                      "Where to insert the elements of v to keep the 1-d array a sorted.\n\n"
                      ">>> import pyarr as pa\n>>> pa.searchsorted([1.0, 2.0], 1.5)\n"
                      "array(1)\n"),
    ROW(diagonal, "diagonal(a, offset=0, axis1=0, axis2=1)\n--\n\n"
                  "Read-only view of a diagonal; its axis comes last. ValueError below 2-d.\n\n"
                  ">>> import pyarr as pa\n>>> pa.diagonal([[1.0, 2.0], [3.0, 4.0]])\n"
                  "array([1., 4.])\n"),
    {NULL, NULL, 0, NULL},
};

int
module_add_functions(PyObject *module)
{
    return module_add_joining(module) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
