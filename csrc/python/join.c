/* python/join.c -- joining and broadcasting arrays with NumPy's signatures. */
#include "python/functions.h"

#include "base/mem.h"

/* Join n arrays of one dtype along `axis`, in groups when they are many. */
static Array *
join(Array *const *in, int64_t n, int64_t axis)
{
    enum { GROUP = 32 };
    if (n <= GROUP) {
        return graph_apply(OP_concatenate, in, (int)n, &axis, 1);
    }
    const int64_t groups = (n + GROUP - 1) / GROUP;
    Array **parts = mem_new_array(groups, sizeof *parts);
    if (parts == NULL) {
        return NULL;
    }
    Array *result = NULL;
    int64_t made = 0;
    for (; made < groups; made++) {
        const int64_t from = made * GROUP;
        const int64_t count = n - from < GROUP ? n - from : GROUP;
        parts[made] = graph_apply(OP_concatenate, in + from, (int)count, &axis, 1);
        if (parts[made] == NULL) {
            break;
        }
    }
    if (made == groups) {
        result = join(parts, groups, axis);
    }
    arrays_release(parts, made);
    mem_free(parts, (size_t)groups * sizeof *parts);
    return result;
}

/* The dtype that holds all, weak scalars counting as such. */
static DType
common_dtype(Array *const *in, int64_t n)
{
    DType dtype = in[0]->dtype;
    for (int64_t i = 1; i < n; i++) {
        dtype = dtype_promote(dtype, in[i]->dtype);
    }
    return dtype;
}

static Status
prepare_join(Array **in, int64_t n, bool flat, DType dtype)
{
    for (int64_t i = 0; i < n; i++) {
        if (in[i]->ndim == 0 && !flat) {
            return err_set(ERR_VALUE, "zero-dimensional arrays cannot be concatenated");
        }
        if (in[i]->ndim != in[0]->ndim && !flat) {
            return err_set(ERR_SHAPE,
                           "all the input arrays must have same number of dimensions, but the "
                           "array at index 0 has %d dimension(s) and the array at index %lld has "
                           "%d dimension(s)",
                           in[0]->ndim, (long long)i, in[i]->ndim);
        }
        Array *line = flat ? function_flat(in[i]) : array_retain(in[i]);
        Array *cast = line == NULL ? NULL : graph_cast(line, dtype, false);
        array_release(line);
        if (cast == NULL) {
            return STATUS_ERROR;
        }
        array_release(in[i]);
        in[i] = cast;
    }
    return STATUS_OK;
}

/* Do all agree in the axes but `axis`? NumPy's message where not. */
static Status
check_join(Array *const *in, int64_t n, int axis)
{
    for (int64_t i = 1; i < n; i++) {
        for (int d = 0; d < in[0]->ndim; d++) {
            if (d != axis && in[i]->shape[d] != in[0]->shape[d]) {
                return err_set(ERR_SHAPE,
                               "all the input array dimensions except for the concatenation axis "
                               "must match exactly, but along dimension %d, the array at index 0 "
                               "has size %lld and the array at index %lld has size %lld",
                               d, (long long)in[0]->shape[d], (long long)i,
                               (long long)in[i]->shape[d]);
            }
        }
    }
    return STATUS_OK;
}

static Array *
concatenate_arrays(Array **in, int64_t n, bool flat, int64_t axis_given, DType dtype, char casting)
{
    if (dtype != DTYPE_COUNT) {
        for (int64_t i = 0; i < n; i++) {
            if (!dtype_can_cast(in[i]->dtype, dtype, casting)) {
                return err_null(ERR_TYPE, "Cannot cast array data from dtype('%s') to dtype('%s')",
                                dtype_info(in[i]->dtype)->name, dtype_info(dtype)->name);
            }
        }
    }
    int axis = 0;
    if (prepare_join(in, n, flat, dtype == DTYPE_COUNT ? common_dtype(in, n) : dtype) !=
            STATUS_OK ||
        (!flat && axis_normalise(axis_given, in[0]->ndim, &axis) != STATUS_OK) ||
        check_join(in, n, axis) != STATUS_OK) {
        return NULL;
    }
    return join(in, n, axis);
}

/* A Python sequence of array-likes as arrays. */
typedef struct Arrays {
    Array **in;
    int64_t n, capacity;
} Arrays;

static void
arrays_fini(Arrays *arrays)
{
    arrays_release(arrays->in, arrays->n);
    mem_free(arrays->in, (size_t)arrays->capacity * sizeof *arrays->in);
}

static int
arrays_init(Arrays *arrays, PyObject *object, const char *name)
{
    *arrays = (Arrays){NULL, 0, 0};
    if (array_object_check(object) && object_array(object)->ndim == 0) {
        PyErr_SetString(PyExc_TypeError, "iteration over a 0-d array");
        return -1;
    }
    PyObject *list = PySequence_Fast(object, "The first input argument needs to be a sequence");
    if (list == NULL) {
        return -1;
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(list);
    int status = -1;
    if (n == 0) {
        PyErr_Format(PyExc_ValueError, "need at least one array to %s", name);
    } else if ((arrays->in = mem_new_array(n, sizeof *arrays->in)) == NULL) {
        error_raise();
    } else {
        arrays->capacity = n;
        for (status = 0; arrays->n < n && status == 0; arrays->n++) {
            arrays->in[arrays->n] = object_operand(PySequence_Fast_GET_ITEM(list, arrays->n));
            if (arrays->in[arrays->n] == NULL) {
                status = -1;
                break;
            }
        }
    }
    Py_DECREF(list);
    if (status < 0) {
        arrays_fini(arrays);
    }
    return status;
}

/* The result given back, or written to out=. Takes over `result`. */
static PyObject *
finish(Array *result, PyObject *out, const char *name, char casting)
{
    if (result == NULL) {
        return error_raise();
    }
    result->weak = WEAK_NONE;
    return out == NULL || out == Py_None ? object_wrap(result)
                                         : object_store(out, result, name, casting);
}

static FUNCTION(concatenate)
{
    static const Signature signature = {
        "concatenate", 5, 1, 3, {"arrays", "axis", "out", "dtype", "casting"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    DType dtype;
    char casting = 'k';
    int64_t axis = 0;
    Arrays arrays;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[3], &dtype) < 0 ||
        args_casting(v[4], &casting) < 0) {
        return NULL;
    }
    const bool flat = v[1] == Py_None;
    if ((!flat && args_int64(v[1], 0, &axis) < 0) ||
        arrays_init(&arrays, v[0], "concatenate") < 0) {
        return NULL;
    }
    PyObject *result = finish(concatenate_arrays(arrays.in, arrays.n, flat, axis, dtype, casting),
                              v[2], "concatenate", casting);
    arrays_fini(&arrays);
    return result;
}

/* All with a new axis of size 1 at `axis`. */
static Status
expand_all(Arrays *arrays, int64_t given)
{
    int axis = 0;
    if (axis_normalise(given, arrays->in[0]->ndim + 1, &axis) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int64_t i = 0; i < arrays->n; i++) {
        const Array *first = arrays->in[0], *x = arrays->in[i];
        bool same = i == 0 || x->ndim + 1 == first->ndim;
        for (int d = 0; i > 0 && same && d < x->ndim; d++) {
            same = x->shape[d] == first->shape[d < axis ? d : d + 1];
        }
        if (!same) {
            return err_set(ERR_VALUE, "all input arrays must have the same shape");
        }
        Array *wide = view_expand(x, axis);
        if (wide == NULL) {
            return STATUS_ERROR;
        }
        array_release(arrays->in[i]);
        arrays->in[i] = wide;
    }
    return STATUS_OK;
}

static FUNCTION(stack)
{
    static const Signature signature = {
        "stack", 5, 1, 3, {"arrays", "axis", "out", "dtype", "casting"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    DType dtype;
    char casting = 'k';
    int64_t axis = 0;
    Arrays arrays;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[3], &dtype) < 0 ||
        args_casting(v[4], &casting) < 0 || args_int64(v[1], 0, &axis) < 0 ||
        arrays_init(&arrays, v[0], "stack") < 0) {
        return NULL;
    }
    Array *joined = NULL;
    if (expand_all(&arrays, axis) == STATUS_OK) {
        joined = concatenate_arrays(arrays.in, arrays.n, false, axis, dtype, casting);
    }
    PyObject *result = finish(joined, v[2], "stack", casting);
    arrays_fini(&arrays);
    return result;
}

static FUNCTION(broadcast_to)
{
    static const Signature signature = {"broadcast_to", 3, 2, 3, {"array", "shape", "subok"}};
    (void)self;
    PyObject *v[ARGS_MAX];
    int64_t shape[ARRAY_MAX_NDIM];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    const int ndim = convert_shape(v[1], shape);
    Array *x = ndim < 0 ? NULL : object_operand(v[0]);
    if (x == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    bool negative = false;
    for (int i = 0; i < ndim; i++) {
        negative |= shape[i] < 0;
    }
    if (negative) {
        PyErr_SetString(PyExc_ValueError,
                        "all elements of broadcast shape must be non-negative");
    } else {
        Array *view = view_broadcast(x, ndim, shape);
        if (view != NULL) {
            view->readonly = true; /* its elements share memory */
            view->weak = WEAK_NONE;
        }
        result = object_wrap_view(view, v[0]);
    }
    array_release(x);
    return result;
}

#define ROW(name, doc)                                                                             \
    {#name, (PyCFunction)(void (*)(void))function_##name, METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef functions[] = {
    ROW(concatenate, "concatenate(arrays, axis=0, out=None, *, dtype=None, "
                     "casting='same_kind')\n--\n\n"
                     "Join arrays along an axis that they have; None flattens them first.\n"
                     "ValueError when other axes differ.\n\n"
                     ">>> import pyarr as pa\n>>> pa.concatenate([[1.0], [2.0, 3.0]])\n"
                     "array([1., 2., 3.])\n"),
    ROW(stack, "stack(arrays, axis=0, out=None, *, dtype=None, casting='same_kind')\n--\n\n"
               "Join arrays of one shape along a new axis. ValueError when shapes differ.\n\n"
               ">>> import pyarr as pa\n>>> pa.stack([[1.0, 2.0], [3.0, 4.0]], axis=1)\n"
               "array([[1., 3.],\n       [2., 4.]])\n"),
    ROW(broadcast_to, "broadcast_to(array, shape, subok=False)\n--\n\n"
                      "Read-only view with sizes of 1 repeated to `shape`. ValueError where they\n"
                      "do not fit.\n\n"
                      ">>> import pyarr as pa\n>>> pa.broadcast_to([1.0, 2.0], (2, 2))\n"
                      "array([[1., 2.],\n       [1., 2.]])\n"),
    {NULL, NULL, 0, NULL},
};

int
module_add_joining(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
