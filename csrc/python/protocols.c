/* python/protocols.c -- NumPy's protocols: np.sin(x), np.sum(x), a_numpy * x, scipy.special.erf(x)
 * reach pyarr, and ufuncs that pyarr lacks run on views of arrays without derivative. */
#include "python/numpy_api.h"

#include <stdio.h>
#include <string.h>

/* ---- which function of pyarr a ufunc is ---- */

/* scipy.special's ufuncs that are rows of the table, and their names there. */
static const char *const special_names[][2] = {
    {"erf", "erf"},       {"erfc", "erfc"},   {"gammaln", "lgamma"},     {"psi", "digamma"},
    {"expit", "expit"},   {"logit", "logit"}, {"log_expit", "log_expit"}, {"xlogy", "xlogy"},
    {"i0", "i0"},         {"cbrt", "cbrt"},   {"exp2", "exp2"},          {"expm1", "expm1"},
    {"log1p", "log1p"},   {"softplus", "softplus"}, {"gamma", "gamma"},  {"erfinv", "erfinv"},
    {"i1", "i1"},         {"xlog1py", "xlog1py"},
};

/* Is `object` what the imported module holds under this name? */
static bool
is_attribute_of(const char *module_name, const char *name, PyObject *object)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_GetItemString(modules, module_name);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyErr_Clear();
    Py_XDECREF(found);
    return found == object; /* only compared */
}

static const char *
own_name(PyObject *ufunc, const char *name)
{
    if (is_attribute_of("numpy", name, ufunc)) {
        return name;
    }
    for (size_t i = 0; i < sizeof special_names / sizeof *special_names; i++) {
        if (strcmp(special_names[i][0], name) == 0 &&
            is_attribute_of("scipy.special", name, ufunc)) {
            return special_names[i][1];
        }
    }
    return NULL;
}

/* pyarr's function for a ufunc: borrowed, Py_None when there is none, NULL with an exception.
 * Kept for good: ufuncs are few and live as long as their modules. */
static PyObject *
find_own(PyObject *ufunc)
{
    static PyObject *known;
    if (known == NULL && (known = PyDict_New()) == NULL) {
        return NULL;
    }
    PyObject *own = PyDict_GetItemWithError(known, ufunc);
    if (own != NULL || PyErr_Occurred()) {
        return own;
    }
    PyObject *name = PyObject_GetAttrString(ufunc, "__name__");
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    if (text == NULL) {
        Py_XDECREF(name);
        return NULL;
    }
    const char *mine = own_name(ufunc, text);
    PyObject *module = mine == NULL ? NULL : PyImport_ImportModule("pyarr");
    own = module == NULL ? NULL : PyObject_GetAttrString(module, mine);
    Py_XDECREF(module);
    Py_DECREF(name);
    if (own == NULL) {
        PyErr_Clear();
        own = Py_NewRef(Py_None);
    }
    const int status = PyDict_SetItem(known, ufunc, own);
    Py_DECREF(own);
    return status < 0 ? NULL : own;
}

/* ---- running pyarr's function ---- */

static bool
any_active(PyObject *inputs)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); i++) {
        PyObject *item = PyTuple_GET_ITEM(inputs, i);
        if (array_object_check(item) && graph_is_active(object_array(item))) {
            return true;
        }
    }
    return false;
}

/* A pyarr array over the memory of an ndarray that is to be written; new reference. */
static PyObject *
writable_view(PyObject *target, PyObject *inputs, const char *what)
{
    if (!PyArray_Check(target)) {
        return Py_NewRef(target);
    }
    if (any_active(inputs)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: the result would be written into a numpy.ndarray and lose its "
                     "derivative; write into a pyarr array, or pass pyarr.detach(x)",
                     what);
        return NULL;
    }
    bool copied;
    Array *array = numpy_share((PyArrayObject *)target, &copied);
    if (array != NULL && copied) {
        array_release(array);
        PyErr_Format(PyExc_TypeError,
                     "%s: a numpy.ndarray in foreign byte order or not aligned can't be written",
                     what);
        return NULL;
    }
    return array == NULL ? NULL : object_wrap(array);
}

/* out=(a, b) with ndarrays replaced; a tuple of one is unpacked. New reference. */
static PyObject *
prepare_out(PyObject *out, PyObject *inputs, const char *what)
{
    if (!PyTuple_Check(out)) {
        return writable_view(out, inputs, what);
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(out);
    if (n == 1) {
        return writable_view(PyTuple_GET_ITEM(out, 0), inputs, what);
    }
    PyObject *result = PyTuple_New(n);
    for (Py_ssize_t i = 0; result != NULL && i < n; i++) {
        PyObject *item = writable_view(PyTuple_GET_ITEM(out, i), inputs, what);
        if (item == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, i, item);
    }
    return result;
}

/* Callers get the very objects they passed as out=. Steals result. */
static PyObject *
restore_out(PyObject *result, PyObject *out)
{
    if (result == NULL || out == NULL) {
        return result;
    }
    if (!PyTuple_Check(out)) {
        Py_DECREF(result);
        return Py_NewRef(out);
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(out);
    if (n == 1) {
        PyObject *only = PyTuple_GET_ITEM(out, 0);
        Py_DECREF(result);
        return Py_NewRef(only);
    }
    PyObject *all = PyTuple_New(n);
    for (Py_ssize_t i = 0; all != NULL && i < n; i++) {
        PyObject *item = PyTuple_GET_ITEM(out, i);
        if (item == Py_None) {
            item = PyTuple_GetItem(result, i);
            if (item == NULL) {
                Py_CLEAR(all);
                break;
            }
        }
        PyTuple_SET_ITEM(all, i, Py_NewRef(item));
    }
    Py_DECREF(result);
    return all;
}

static PyObject *
call_own(PyObject *function, PyObject *inputs, PyObject *kwargs, bool writes_first,
         const char *what)
{
    PyObject *result = NULL, *out = NULL, *ready = NULL, *arguments = Py_NewRef(inputs);
    PyObject *options = kwargs == NULL ? PyDict_New() : PyDict_Copy(kwargs);
    if (options == NULL) {
        goto done;
    }
    out = Py_XNewRef(PyDict_GetItemString(options, "out"));
    if (out != NULL && out != Py_None) {
        ready = prepare_out(out, inputs, what);
        if (ready == NULL || PyDict_SetItemString(options, "out", ready) < 0) {
            goto done;
        }
    }
    if (writes_first && PyTuple_GET_SIZE(inputs) > 0) { /* ufunc.at */
        PyObject *target = writable_view(PyTuple_GET_ITEM(inputs, 0), inputs, what);
        if (target == NULL) {
            goto done;
        }
        PyObject *rest = PyTuple_GetSlice(inputs, 1, PyTuple_GET_SIZE(inputs));
        PyObject *first = PyTuple_Pack(1, target);
        Py_DECREF(target);
        Py_SETREF(arguments,
                  first == NULL || rest == NULL ? NULL : PySequence_Concat(first, rest));
        Py_XDECREF(first);
        Py_XDECREF(rest);
        if (arguments == NULL) {
            goto done;
        }
    }
    result = restore_out(PyObject_Call(function, arguments, options), ready == NULL ? NULL : out);
done:
    Py_XDECREF(ready);
    Py_XDECREF(out);
    Py_XDECREF(options);
    Py_XDECREF(arguments);
    return result;
}

/* ---- running NumPy's function on views ---- */

/* A view for NumPy of an array without derivative; other objects as they are. New reference. */
static PyObject *
plain_view(PyObject *item, const char *what)
{
    if (!array_object_check(item)) {
        return Py_NewRef(item);
    }
    Array *array = graph_export(object_array(item), what);
    PyObject *view = array == NULL ? error_raise() : convert_to_numpy(array);
    array_release(array);
    return view;
}

static PyObject *
plain_views(PyObject *items, const char *what, bool copies)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(items);
    PyObject *views = PyTuple_New(n);
    for (Py_ssize_t i = 0; views != NULL && i < n; i++) {
        PyObject *view = plain_view(PyTuple_GET_ITEM(items, i), what);
        if (view != NULL && copies && array_object_check(PyTuple_GET_ITEM(items, i))) {
            Py_SETREF(view, PyArray_NewCopy((PyArrayObject *)view, NPY_KEEPORDER));
        }
        if (view == NULL) {
            Py_CLEAR(views);
            break;
        }
        PyTuple_SET_ITEM(views, i, view);
    }
    return views;
}

/* NumPy's result as pyarr's (stolen); dtypes that pyarr lacks stay with NumPy. */
static PyObject *
wrap_result(PyObject *result)
{
    if (result == NULL) {
        return NULL;
    }
    if (PyTuple_CheckExact(result)) {
        const Py_ssize_t n = PyTuple_GET_SIZE(result);
        PyObject *all = PyTuple_New(n);
        for (Py_ssize_t i = 0; all != NULL && i < n; i++) {
            PyObject *item = wrap_result(Py_NewRef(PyTuple_GET_ITEM(result, i)));
            if (item == NULL) {
                Py_CLEAR(all);
                break;
            }
            PyTuple_SET_ITEM(all, i, item);
        }
        Py_DECREF(result);
        return all;
    }
    Array *array = NULL;
    if (PyArray_CheckExact(result)) {
        if (numpy_dtype(PyArray_DESCR((PyArrayObject *)result)) == DTYPE_COUNT) {
            return result;
        }
        array = convert_from_numpy(result);
    }
    else if (PyArray_IsScalar(result, Number) || PyArray_IsScalar(result, Bool)) {
        array = convert_array(result);
        if (array != NULL) {
            array->is_scalar = true;
        }
    }
    else {
        return result;
    }
    Py_DECREF(result);
    return array == NULL ? NULL : object_wrap(array);
}

/* Write what NumPy computed into pyarr arrays given as out=, so that versions and traces know. */
static int
write_back(PyObject *out, PyObject *computed)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(out); i++) {
        PyObject *target = PyTuple_GET_ITEM(out, i);
        if (!array_object_check(target)) {
            continue;
        }
        Array *value = convert_from_numpy(PyTuple_GET_ITEM(computed, i));
        if (value == NULL) {
            return -1;
        }
        const Status status = graph_write(object_array(target), value);
        array_release(value);
        if (status != STATUS_OK) {
            return error_raise_int();
        }
    }
    return 0;
}

static PyObject *
call_numpy(PyObject *function, PyObject *inputs, PyObject *kwargs, const char *what)
{
    PyObject *result = NULL, *out = NULL, *computed = NULL;
    PyObject *options = kwargs == NULL ? PyDict_New() : PyDict_Copy(kwargs);
    PyObject *views = options == NULL ? NULL : plain_views(inputs, what, false);
    if (views == NULL) {
        goto done;
    }
    PyObject *where = PyDict_GetItemString(options, "where");
    if (where != NULL && array_object_check(where)) {
        PyObject *view = plain_view(where, what);
        const int status = view == NULL ? -1 : PyDict_SetItemString(options, "where", view);
        Py_XDECREF(view);
        if (status < 0) {
            goto done;
        }
    }
    out = Py_XNewRef(PyDict_GetItemString(options, "out"));
    if (out != NULL && PyTuple_Check(out)) {
        computed = plain_views(out, what, true);
        if (computed == NULL || PyDict_SetItemString(options, "out", computed) < 0) {
            goto done;
        }
    }
    result = PyObject_Call(function, views, options);
    if (result != NULL && computed != NULL) {
        if (write_back(out, computed) < 0) {
            Py_CLEAR(result);
        }
        result = restore_out(result, out);
    }
    else {
        result = wrap_result(result);
    }
done:
    Py_XDECREF(computed);
    Py_XDECREF(out);
    Py_XDECREF(views);
    Py_XDECREF(options);
    return result;
}

/* ---- the methods ---- */

static bool
any_defers(PyObject *items)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        if (PyTuple_GET_ITEM(items, i) != Py_None && convert_defers(PyTuple_GET_ITEM(items, i))) {
            return true;
        }
    }
    return false;
}

/* at(x, indices, values): the indices are no operands. */
static bool
operands_defer(PyObject *inputs, PyObject *kwargs, bool is_at)
{
    if (!is_at && any_defers(inputs)) {
        return true;
    }
    PyObject *out = kwargs == NULL ? NULL : PyDict_GetItemString(kwargs, "out");
    return out != NULL && PyTuple_Check(out) && any_defers(out);
}

static PyObject *
apply_ufunc(PyObject *ufunc, PyObject *method, PyObject *inputs, PyObject *kwargs)
{
    const bool is_at = PyUnicode_CompareWithASCIIString(method, "at") == 0;
    const bool is_call = PyUnicode_CompareWithASCIIString(method, "__call__") == 0;
    if (operands_defer(inputs, kwargs, is_at)) {
        return Py_NewRef(Py_NotImplemented);
    }
    PyObject *own = find_own(ufunc);
    if (own == NULL) {
        return NULL;
    }
    if (is_call && own != Py_None && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0)) {
        return PyObject_Call(own, inputs, NULL);
    }
    PyObject *name = PyObject_GetAttrString(ufunc, "__name__");
    if (name == NULL) {
        return NULL;
    }
    char what[128], missing[192];
    snprintf(what, sizeof what, "%s%s%s", PyUnicode_AsUTF8(name), is_call ? "" : ".",
             is_call ? "" : PyUnicode_AsUTF8(method));
    Py_DECREF(name);
    PyObject *result = NULL, *function = NULL;
    if (own != Py_None) {
        function = is_call ? Py_NewRef(own) : PyObject_GetAttr(own, method);
        if (function != NULL) {
            result = call_own(function, inputs, kwargs, is_at, what);
            Py_DECREF(function);
            return result;
        }
        PyErr_Clear(); /* a function of pyarr that is no ufunc: NumPy's method, if inactive */
    }
    function = PyObject_GetAttr(ufunc, method);
    if (function != NULL) {
        snprintf(missing, sizeof missing, "the function %s, which pyarr does not have,", what);
        result = call_numpy(function, inputs, kwargs, missing);
        Py_DECREF(function);
    }
    return result;
}

/* __array_ufunc__(ufunc, method, *inputs, **kwargs) */
PyObject *
array_ufunc_protocol(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    if (PyTuple_GET_SIZE(args) < 2 || !PyUnicode_Check(PyTuple_GET_ITEM(args, 1))) {
        PyErr_SetString(PyExc_TypeError, "__array_ufunc__ needs a ufunc, a method and inputs");
        return NULL;
    }
    PyObject *inputs = PyTuple_GetSlice(args, 2, PyTuple_GET_SIZE(args));
    if (inputs == NULL) {
        return NULL;
    }
    PyObject *result =
        apply_ufunc(PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1), inputs, kwargs);
    Py_DECREF(inputs);
    return result;
}

/* __array_function__(func, types, args, kwargs): pyarr._dispatch knows the functions. */
PyObject *
array_function_protocol(PyObject *self, PyObject *args)
{
    (void)self;
    static PyObject *call;
    if (call == NULL) {
        PyObject *module = PyImport_ImportModule("pyarr._dispatch");
        call = module == NULL ? NULL : PyObject_GetAttrString(module, "call");
        Py_XDECREF(module);
        if (call == NULL) {
            return NULL;
        }
    }
    return PyObject_Call(call, args, NULL);
}

/* __array_namespace__(*, api_version=None) */
PyObject *
array_namespace_protocol(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"api_version", NULL};
    PyObject *version = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:__array_namespace__", names, &version)) {
        return NULL;
    }
    if (version != Py_None) {
        static const char *const versions[] = {"2021.12", "2022.12", "2023.12", "2024.12"};
        bool known = false;
        for (size_t i = 0; PyUnicode_Check(version) && i < sizeof versions / sizeof *versions;
             i++) {
            known = known || PyUnicode_CompareWithASCIIString(version, versions[i]) == 0;
        }
        if (!known) {
            PyErr_Format(PyExc_ValueError,
                         "__array_namespace__: version %R of the array API is not supported",
                         version);
            return NULL;
        }
    }
    return PyImport_ImportModule("pyarr");
}
