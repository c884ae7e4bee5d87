/* python/methods.c -- the methods of pyarr.ndarray, with NumPy's names and signatures; the
 * composite ones are written in Python (pyarr/_methods.py). */
#include "python/methods.h"

#include <string.h>

typedef PyObject *(*Function)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

/* Call function(self, *args, **kw). */
static PyObject *
call_with_self(Function function, const char *delegated, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *full[2 * ARGS_MAX + 1];
    const Py_ssize_t n = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (n > 2 * ARGS_MAX) {
        PyErr_SetString(PyExc_TypeError, "too many arguments");
        return NULL;
    }
    full[0] = self;
    memcpy(full + 1, args, (size_t)n * sizeof *full);
    if (function == NULL) {
        return args_call_python(delegated, full, nargs + 1, kwnames);
    }
    return function(NULL, full, nargs + 1, kwnames);
}

#define SAME_AS_FUNCTION(name)                                                                     \
    static METHOD(name)                                                                            \
    {                                                                                              \
        return call_with_self(function_##name, NULL, self, args, nargs, kwnames);                  \
    }
SAME_AS_FUNCTION(sum)
SAME_AS_FUNCTION(prod)
SAME_AS_FUNCTION(min)
SAME_AS_FUNCTION(max)
SAME_AS_FUNCTION(any)
SAME_AS_FUNCTION(all)
SAME_AS_FUNCTION(argmin)
SAME_AS_FUNCTION(argmax)
SAME_AS_FUNCTION(cumsum)
SAME_AS_FUNCTION(cumprod)
SAME_AS_FUNCTION(dot)
SAME_AS_FUNCTION(take)
SAME_AS_FUNCTION(argsort)
SAME_AS_FUNCTION(searchsorted)
SAME_AS_FUNCTION(diagonal)
SAME_AS_FUNCTION(nonzero)

#define IN_PYTHON(name)                                                                            \
    static METHOD(name)                                                                            \
    {                                                                                              \
        return call_with_self(NULL, #name, self, args, nargs, kwnames);                            \
    }
IN_PYTHON(mean)
IN_PYTHON(std)
IN_PYTHON(var)
IN_PYTHON(ptp)
IN_PYTHON(clip)
IN_PYTHON(round)
IN_PYTHON(trace)
IN_PYTHON(repeat)
IN_PYTHON(compress)
IN_PYTHON(put)
IN_PYTHON(choose)
IN_PYTHON(partition)
IN_PYTHON(argpartition)

/* ---- copies and casts ---- */

static PyObject *
copy_in_order(PyObject *self, char order)
{
    Array *x = object_array(self);
    if (order == 'K') {
        return object_wrap(graph_copy_in_order(x, DTYPE_COUNT));
    }
    if (!order_is_fortran(order, x)) {
        return object_wrap(graph_copy(x));
    }
    Array *turned = view_transpose(x, NULL);
    Array *copy = turned == NULL ? NULL : graph_copy(turned);
    Array *result = copy == NULL ? NULL : view_transpose(copy, NULL);
    array_release(turned);
    array_release(copy);
    return object_wrap(result);
}

static METHOD(copy)
{
    static const Signature signature = {"copy", 1, 0, 1, {"order"}};
    PyObject *v[ARGS_MAX];
    char order;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_order(v[0], 'C', &order) < 0) {
        return NULL;
    }
    return copy_in_order(self, order);
}

static METHOD(astype)
{
    static const Signature signature = {
        "astype", 5, 1, 5, {"dtype", "order", "casting", "subok", "copy"}};
    PyObject *v[ARGS_MAX];
    DType dtype;
    char casting = 'u', order;
    bool copy;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_dtype(v[0], &dtype) < 0 ||
        args_order(v[1], 'K', &order) < 0 || args_casting(v[2], &casting) < 0 ||
        args_bool(v[4], true, &copy) < 0) {
        return NULL;
    }
    Array *x = object_array(self);
    dtype = dtype == DTYPE_COUNT ? DT_f64 : dtype;
    if (!dtype_can_cast(x->dtype, dtype, casting)) {
        return PyErr_Format(PyExc_TypeError,
                            "Cannot cast array data from dtype('%s') to dtype('%s') according to "
                            "the rule %R",
                            dtype_info(x->dtype)->name, dtype_info(dtype)->name, v[2]);
    }
    if (dtype_is_complex(x->dtype) && !dtype_is_complex(dtype) && dtype != DT_bool &&
        object_warn_complex() < 0) {
        return NULL;
    }
    if (dtype == x->dtype && copy) {
        return copy_in_order(self, order);
    }
    if (dtype == x->dtype) {
        return Py_NewRef(self);
    }
    if (order == 'K') {
        return object_wrap(graph_copy_in_order(x, dtype));
    }
    PyObject *result = object_wrap(graph_cast(x, dtype, false));
    if (result != NULL && order_is_fortran(order, x)) {
        Py_SETREF(result, copy_in_order(result, 'F'));
    }
    return result;
}

static METHOD(view)
{
    static const Signature signature = {"view", 2, 0, 2, {"dtype", "type"}};
    PyObject *v[ARGS_MAX];
    DType dtype = DTYPE_COUNT;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    if (v[0] != NULL && v[0] != (PyObject *)&ArrayObject_Type && args_dtype(v[0], &dtype) < 0) {
        return NULL;
    }
    Array *x = object_array(self);
    return wrap_shared(dtype == DTYPE_COUNT ? view_alias(x) : view_dtype(x, dtype), self);
}

static PyObject *
method_to(PyObject *self, PyObject *name)
{
    Array *x = object_array(self);
    Device *device = args_device(name);
    if (device == NULL) {
        return NULL;
    }
    if (device == x->storage->device) {
        return Py_NewRef(self);
    }
    Array *value = graph_export(x, "to() another device");
    Array *result = value == NULL ? NULL : graph_to_device(value, device);
    array_release(value);
    return object_wrap(result);
}

/* ---- elements ---- */

static METHOD(tobytes)
{
    static const Signature signature = {"tobytes", 1, 0, 1, {"order"}};
    PyObject *v[ARGS_MAX];
    char order;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_order(v[0], 'C', &order) < 0) {
        return NULL;
    }
    Array *value = object_export_value(object_array(self), "tobytes()");
    if (value == NULL) {
        return NULL;
    }
    Array *turned = order_is_fortran(order, value) ? view_transpose(value, NULL)
                                                   : array_retain(value);
    Array *packed = turned == NULL ? NULL : graph_copy(turned);
    Array *ready = packed == NULL ? NULL : graph_evaluate(packed);
    PyObject *bytes = NULL;
    if (ready == NULL) {
        error_raise();
    } else {
        bytes = PyBytes_FromStringAndSize(ready->size == 0 ? "" : array_data(ready),
                                          array_bytes(ready));
    }
    array_release(value);
    array_release(turned);
    array_release(packed);
    array_release(ready);
    return bytes;
}

static PyObject *
method_fill(PyObject *self, PyObject *value)
{
    if (subscript_assign(object_array(self), value) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static METHOD(sort)
{
    PyObject *sorted = call_with_self(function_sort, NULL, self, args, nargs, kwnames);
    if (sorted == NULL) {
        return NULL;
    }
    const int status = subscript_assign(object_array(self), sorted);
    Py_DECREF(sorted);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
method_conjugate(PyObject *self, PyObject *unused)
{
    (void)unused;
    Array *x = object_array(self);
    return dtype_is_complex(x->dtype) ? object_wrap_result(graph_apply1(OP_conjugate, x))
                                      : Py_NewRef(self);
}

static METHOD(setflags)
{
    static const Signature signature = {"setflags", 3, 0, 3, {"write", "align", "uic"}};
    PyObject *v[ARGS_MAX];
    if (args_bind(&signature, args, nargs, kwnames, v) < 0) {
        return NULL;
    }
    if (v[0] != NULL && v[0] != Py_None) {
        PyObject *flags = PyObject_GetAttrString(self, "flags");
        const int status = flags == NULL ? -1 : PyObject_SetAttrString(flags, "writeable", v[0]);
        Py_XDECREF(flags);
        if (status < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

/* ---- derivatives, PyTorch's spelling ---- */

static PyObject *
method_detach(PyObject *self, PyObject *unused)
{
    (void)unused;
    return wrap_shared(graph_detach(object_array(self)), self);
}

static METHOD(requires_grad_)
{
    static const Signature signature = {"requires_grad_", 1, 0, 1, {"requires_grad"}};
    PyObject *v[ARGS_MAX];
    bool on;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_bool(v[0], true, &on) < 0) {
        return NULL;
    }
    if (tape_require_grad(object_array(self), on) != STATUS_OK) {
        return error_raise();
    }
    return Py_NewRef(self);
}

static METHOD(backward)
{
    static const Signature signature = {
        "backward", 3, 0, 3, {"gradient", "retain_graph", "create_graph"}};
    PyObject *v[ARGS_MAX];
    bool create;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 ||
        args_bool(v[2], false, &create) < 0) {
        return NULL;
    }
    Array *y = object_array(self);
    Array *cotangent = NULL;
    if (v[0] != NULL && v[0] != Py_None) {
        cotangent = object_operand(v[0]);
        if (cotangent == NULL) {
            return NULL;
        }
    } else if (y->size != 1) {
        PyErr_SetString(PyExc_RuntimeError,
                        "backward: the array has more than one element; pass gradient= with its "
                        "shape");
        return NULL;
    }
    const Status status = tape_backward(y, cotangent, create);
    array_release(cotangent);
    if (status != STATUS_OK) {
        return error_raise();
    }
    Py_RETURN_NONE;
}

static void
append_text(void *ctx, const char *text)
{
    PyObject *line = PyUnicode_FromString(text);
    if (line != NULL) {
        PyList_Append(ctx, line);
        Py_DECREF(line);
    }
}

static METHOD(graph)
{
    static const Signature signature = {"graph", 1, 0, 1, {"dot"}};
    PyObject *v[ARGS_MAX];
    bool dot;
    if (args_bind(&signature, args, nargs, kwnames, v) < 0 || args_bool(v[0], false, &dot) < 0) {
        return NULL;
    }
    PyObject *parts = PyList_New(0), *text = NULL;
    PyObject *nothing = PyUnicode_FromString("");
    if (parts != NULL && nothing != NULL) {
        if (graph_describe(object_array(self), dot, append_text, parts) != STATUS_OK) {
            error_raise();
        } else if (!PyErr_Occurred()) {
            text = PyUnicode_Join(nothing, parts);
        }
    }
    Py_XDECREF(parts);
    Py_XDECREF(nothing);
    return text;
}

#define ROW(name, doc)                                                                             \
    {#name, (PyCFunction)(void (*)(void))method_##name, METH_FASTCALL | METH_KEYWORDS, doc}
#define PLAIN(name, doc) {#name, (PyCFunction)(void (*)(void))method_##name, METH_FASTCALL, doc}
#define NOARGS(name, doc) {#name, method_##name, METH_NOARGS, doc}

PyMethodDef array_methods[] = {
    ROW(sum, "sum(axis=None, dtype=None, out=None, keepdims=False, initial=0, where=True)\n--\n\n"
             "Sum of the elements over axes: see pyarr.sum."),
    ROW(prod, "prod(axis=None, dtype=None, out=None, keepdims=False, initial=1, where=True)\n--\n\n"
              "Product of the elements over axes: see pyarr.prod."),
    ROW(min, "min(axis=None, out=None, keepdims=False, initial=None, where=True)\n--\n\n"
             "Least element over axes: see pyarr.min."),
    ROW(max, "max(axis=None, out=None, keepdims=False, initial=None, where=True)\n--\n\n"
             "Greatest element over axes: see pyarr.max."),
    ROW(any, "any(axis=None, out=None, keepdims=False, *, where=True)\n--\n\n"
             "Is any element true: see pyarr.any."),
    ROW(all, "all(axis=None, out=None, keepdims=False, *, where=True)\n--\n\n"
             "Are all elements true: see pyarr.all."),
    ROW(argmin, "argmin(axis=None, out=None, *, keepdims=False)\n--\n\n"
                "Index of the least element: see pyarr.argmin."),
    ROW(argmax, "argmax(axis=None, out=None, *, keepdims=False)\n--\n\n"
                "Index of the greatest element: see pyarr.argmax."),
    ROW(cumsum, "cumsum(axis=None, dtype=None, out=None)\n--\n\nCumulative sum."),
    ROW(cumprod, "cumprod(axis=None, dtype=None, out=None)\n--\n\nCumulative product."),
    ROW(mean, "mean(axis=None, dtype=None, out=None, keepdims=False, *, where=True)\n--\n\n"
              "Mean of the elements over axes: see pyarr.mean."),
    ROW(std, "std(axis=None, dtype=None, out=None, ddof=0, keepdims=False)\n--\n\n"
             "Standard deviation over axes: see pyarr.std."),
    ROW(var, "var(axis=None, dtype=None, out=None, ddof=0, keepdims=False)\n--\n\n"
             "Variance over axes: see pyarr.var."),
    ROW(ptp, "ptp(axis=None, out=None, keepdims=False)\n--\n\nGreatest minus least element."),
    ROW(clip, "clip(min=None, max=None, out=None)\n--\n\nElements limited to [min, max]."),
    ROW(round, "round(decimals=0, out=None)\n--\n\nElements rounded to decimals, half to even."),
    ROW(trace, "trace(offset=0, axis1=0, axis2=1, dtype=None, out=None)\n--\n\n"
               "Sum along a diagonal."),
    ROW(repeat, "repeat(repeats, axis=None)\n--\n\nElements repeated: see pyarr.repeat."),
    ROW(compress, "compress(condition, axis=None, out=None)\n--\n\nSlices where true."),
    ROW(put, "put(indices, values, mode='raise')\n--\n\nSet elements of the flattened array."),
    ROW(choose, "choose(choices, out=None, mode='raise')\n--\n\nPick among arrays by index."),
    ROW(partition, "partition(kth, axis=-1, kind='introselect', order=None)\n--\n\n"
                   "Reorder in place so that the kth element is where sorting would put it."),
    ROW(argpartition, "argpartition(kth, axis=-1, kind='introselect', order=None)\n--\n\n"
                      "Indices that partition."),
    ROW(dot, "dot(b, out=None)\n--\n\nDot product: see pyarr.dot."),
    ROW(take, "take(indices, axis=None, out=None, mode='raise')\n--\n\n"
              "Elements at indices along an axis: see pyarr.take."),
    ROW(argsort, "argsort(axis=-1, kind=None, order=None, *, stable=None)\n--\n\n"
                 "Indices that sort: see pyarr.argsort."),
    ROW(searchsorted, "searchsorted(v, side='left', sorter=None)\n--\n\n"
                      "Insertion indices into this sorted array."),
    ROW(diagonal, "diagonal(offset=0, axis1=0, axis2=1)\n--\n\nRead-only view of a diagonal."),
    ROW(nonzero, "nonzero()\n--\n\nIndices of the elements that are not zero."),
    ROW(reshape, "reshape(*shape, order='C', copy=None)\n--\n\n"
                 "The elements in another shape: a view where possible. One size may be -1.\n"
                 "ValueError when the sizes do not multiply to the size of the array."),
    ROW(ravel, "ravel(order='C')\n--\n\nThe elements as 1-d: a view where possible."),
    ROW(flatten, "flatten(order='C')\n--\n\nThe elements as 1-d: a copy."),
    PLAIN(transpose, "transpose(*axes)\n--\n\nView with its axes permuted, by default reversed.\n"
                     "ValueError unless axes are a permutation."),
    ROW(swapaxes, "swapaxes(axis1, axis2)\n--\n\nView with two axes exchanged."),
    ROW(squeeze, "squeeze(axis=None)\n--\n\nView without axes of size 1."),
    ROW(resize, "resize(*new_shape, refcheck=True)\n--\n\n"
                "Change the shape in place, repeating nothing: new elements are zero. ValueError\n"
                "while the memory is shared or exported."),
    ROW(copy, "copy(order='C')\n--\n\nA copy that owns its memory; differentiable."),
    ROW(astype, "astype(dtype, order='K', casting='unsafe', subok=True, copy=True)\n--\n\n"
                "The elements in another dtype. TypeError where `casting` forbids it."),
    ROW(view, "view(dtype=None, type=None)\n--\n\n"
              "The same memory, read as another dtype. ValueError where sizes do not fit."),
    {"to", method_to, METH_O,
     "to(device)\n--\n\nThe array on a device, itself if it is there. ValueError for an unknown\n"
     "name, TypeError for an active array."},
    {"to_device", method_to, METH_O, "to_device(device)\n--\n\nThe same as `to`."},
    ROW(tobytes, "tobytes(order='C')\n--\n\nThe bytes of the elements, in C or Fortran order."),
    {"fill", method_fill, METH_O, "fill(value)\n--\n\nSet all elements."},
    ROW(sort, "sort(axis=-1, kind=None, order=None, *, stable=None)\n--\n\n"
              "Sort in place along an axis; NaN last."),
    NOARGS(conjugate, "conjugate()\n--\n\nComplex conjugate of each element."),
    {"conj", method_conjugate, METH_NOARGS, "conj()\n--\n\nComplex conjugate of each element."},
    {"__format__", array_format, METH_O, NULL},
    {"__round__", (PyCFunction)(void (*)(void))method_round, METH_FASTCALL | METH_KEYWORDS, NULL},
    ROW(setflags, "setflags(write=None, align=None, uic=None)\n--\n\n"
                  "Make the array read-only, or writable where its memory is."),
    NOARGS(detach, "detach()\n--\n\nThe same elements without derivative; shares memory."),
    ROW(requires_grad_, "requires_grad_(requires_grad=True)\n--\n\n"
                        "Record what is computed from this array, so that `backward` fills in\n"
                        "its `.grad`. TypeError unless it is floating or complex. Returns it.\n\n"
                        ">>> import pyarr as pa\n"
                        ">>> x = pa.array([1.0, 2.0]).requires_grad_()\n"
                        ">>> (x * x).sum().backward()\n"
                        ">>> x.grad\n"
                        "array([2., 4.])\n"),
    ROW(backward, "backward(gradient=None, retain_graph=None, create_graph=False)\n--\n\n"
                  "Add the derivative of this array (times `gradient`, of its shape, by default 1\n"
                  "for a single element) to the `.grad` of each leaf it was computed from."),
    ROW(graph, "graph(dot=False)\n--\n\n"
               "The recorded operations behind the array as text, or as a graphviz drawing."),
    {NULL, NULL, 0, NULL},
};
