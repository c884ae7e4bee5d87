/* python/sorting.c -- sorting and searching with NumPy's signatures. */
#include "python/functions.h"

static int
sort_stable(PyObject *kind, PyObject *stable, bool *out)
{
    if (args_bool(stable, false, out) < 0) {
        return -1;
    }
    if (kind == NULL || kind == Py_None) {
        return 0;
    }
    static const char *const kinds[] = {"quicksort", "heapsort", "mergesort", "stable"};
    for (int i = 0; PyUnicode_Check(kind) && i < 4; i++) {
        if (PyUnicode_CompareWithASCIIString(kind, kinds[i]) == 0) {
            *out = *out || i >= 2;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "sort kind must be one of 'quick', 'heap', or 'stable' (got %R)", kind);
    return -1;
}

/* (a, axis=-1, kind=None, order=None, *, stable=None) */
static PyObject *
sort_bound(OpCode op, const Signature *s, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    PyObject *v[ARGS_MAX];
    bool stable;
    if (args_bind(s, args, nargs, kwnames, v) < 0 || sort_stable(v[2], v[4], &stable) < 0) {
        return NULL;
    }
    if (v[3] != NULL && v[3] != Py_None) {
        PyErr_SetString(PyExc_ValueError, "Cannot specify order when the array has no fields.");
        return NULL;
    }
    Array *given = object_operand(v[0]);
    if (given == NULL) {
        return NULL;
    }
    const bool flat = v[1] == Py_None;
    Array *x = flat || (given->ndim == 0 && op == OP_argsort) ? function_flat(given)
                                                              : array_retain(given);
    array_release(given);
    if (x == NULL) {
        return error_raise();
    }
    int axis = x->ndim - 1;
    if (!flat && (x->ndim == 0 || v[1] != NULL) &&
        args_axis(v[1] == NULL ? NULL : v[1], x->ndim, &axis) < 0) {
        array_release(x);
        return NULL;
    }
    const int64_t params[2] = {axis, stable};
    Array *result = graph_apply(op, &x, 1, params, 2);
    array_release(x);
    return object_wrap(result);
}

FUNCTION(sort)
{
    static const Signature signature = {
        "sort", 5, 1, 4, {"a", "axis", "kind", "order", "stable"}};
    (void)self;
    return sort_bound(OP_sort, &signature, args, nargs, kwnames);
}

FUNCTION(argsort)
{
    static const Signature signature = {
        "argsort", 5, 1, 4, {"a", "axis", "kind", "order", "stable"}};
    (void)self;
    return sort_bound(OP_argsort, &signature, args, nargs, kwnames);
}

FUNCTION(searchsorted)
{
    static const Signature signature = {
        "searchsorted", 4, 2, 4, {"a", "v", "side", "sorter"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    int64_t right = 0;
    if (v[2] != NULL) {
        right = PyUnicode_Check(v[2]) && PyUnicode_CompareWithASCIIString(v[2], "right") == 0;
        if (!right &&
            !(PyUnicode_Check(v[2]) && PyUnicode_CompareWithASCIIString(v[2], "left") == 0)) {
            PyErr_Format(PyExc_ValueError, "search side must be 'left' or 'right' (got %R)", v[2]);
            return NULL;
        }
    }
    Array *in[2], *common[2] = {NULL, NULL};
    PyObject *result = NULL;
    if (v[3] != NULL && v[3] != Py_None) {
        PyObject *pair[2] = {v[0], v[3]};
        PyObject *sorted = function_take(NULL, pair, 2, NULL);
        if (sorted == NULL) {
            return NULL;
        }
        PyObject *again[3] = {sorted, v[1], v[2]};
        result = function_searchsorted(NULL, again, v[2] == NULL ? 2 : 3, NULL);
        Py_DECREF(sorted);
        return result;
    }
    if (function_two(v, in) < 0) {
        return NULL;
    }
    if (in[0]->ndim != 1) {
        PyErr_SetString(PyExc_ValueError, "object of too small depth for desired array");
    } else if (function_common(in, common) != STATUS_OK) {
        error_raise();
    } else {
        result = object_wrap_result(graph_apply(OP_searchsorted, common, 2, &right, 1));
    }
    arrays_release(in, 2);
    arrays_release(common, 2);
    return result;
}
