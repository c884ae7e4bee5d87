/* python/subscript.c -- reading elements and views by NumPy's indexing, length and membership. */
#include "python/index.h"

#include <string.h>

static PyObject *
scalar_at(const Array *a, int64_t offset)
{
    Array *scalar = array_new_scalar(a->dtype, WEAK_NONE, a->storage->data + offset);
    if (scalar != NULL) {
        scalar->is_scalar = true;
        scalar->readonly = true;
    }
    return object_wrap(scalar);
}

/* self[at] for one integer */
static PyObject *
get_integer(PyObject *self, int64_t at)
{
    Array *a = object_array(self);
    if (a->ndim == 0) {
        PyErr_SetString(PyExc_IndexError, "too many indices for array: array is 0-dimensional, "
                                          "but 1 were indexed");
        return NULL;
    }
    if (a->ndim > 1) {
        Array *view = view_index(a, 0, at);
        return view == NULL ? error_raise() : object_wrap_view(view, self);
    }
    const int64_t from_start = at < 0 ? at + a->shape[0] : at;
    if (index_is_plain(a) && 0 <= from_start && from_start < a->shape[0]) {
        return scalar_at(a, a->offset + from_start * a->strides[0]);
    }
    Array *scalar = object_mark_scalar(view_index(a, 0, at));
    return scalar == NULL ? error_raise() : object_wrap(scalar);
}

static PyObject *
get_gathered(Place *place)
{
    Array *in[INDEX_MAX_ARRAYS + 1];
    in[0] = place->view;
    memcpy(in + 1, place->arrays, (size_t)place->k * sizeof *in);
    const int64_t axis = place->axis;
    Array *result = graph_apply(OP_gather, in, place->k + 1, &axis, 1);
    if (result == NULL) {
        place_raise(place);
        return NULL;
    }
    return object_wrap(result);
}

PyObject *
subscript_get(PyObject *self, PyObject *key)
{
    Array *a = object_array(self);
    int64_t offset;
    if (index_element(a, key, &offset)) {
        return scalar_at(a, offset);
    }
    if (PyLong_CheckExact(key)) {
        const Py_ssize_t at = PyNumber_AsSsize_t(key, PyExc_IndexError);
        return at == -1 && PyErr_Occurred() ? NULL : get_integer(self, at);
    }
    Index index;
    Place place;
    if (index_read(&index, a, key) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (index_place(&index, a, &place) == 0) {
        if (place.k > 0) {
            result = get_gathered(&place);
        } else if (index.advanced) {
            result = object_wrap(graph_copy(place.view));
        } else if (place.view->ndim == 0 && !index.has_ellipsis) {
            if (index_is_plain(a)) {
                result = scalar_at(a, place.view->offset);
            } else {
                result = object_wrap(object_mark_scalar(array_retain(place.view)));
            }
        } else if (index.copies) {
            result = object_wrap(graph_copy(place.view));
        } else {
            result = object_wrap_view(array_retain(place.view), self);
        }
        place_fini(&place);
    }
    index_fini(&index);
    return result;
}

/* ---- the sequence protocol ---- */

static Py_ssize_t
subscript_length(PyObject *self)
{
    const Array *a = object_array(self);
    if (a->ndim == 0) {
        PyErr_SetString(PyExc_TypeError, "len() of unsized object");
        return -1;
    }
    return a->shape[0];
}

static PyObject *
sequence_item(PyObject *self, Py_ssize_t at)
{
    const Array *a = object_array(self);
    if (a->ndim > 0 && at >= a->shape[0]) {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds for axis 0 with size %lld", at,
                     (long long)a->shape[0]);
        return NULL;
    }
    return get_integer(self, at);
}

static int
sequence_contains(PyObject *self, PyObject *value)
{
    PyObject *equal = PyObject_RichCompare(self, value, Py_EQ);
    if (equal == NULL) {
        return -1;
    }
    if (!array_object_check(equal)) {
        const int truth = PyObject_IsTrue(equal);
        Py_DECREF(equal);
        return truth;
    }
    Array *found = graph_reduce(OP_any, object_array(equal), -1, NULL, false);
    Py_DECREF(equal);
    if (found == NULL) {
        return error_raise_int();
    }
    PyObject *item = object_item(found);
    array_release(found);
    if (item == NULL) {
        return -1;
    }
    const int truth = PyObject_IsTrue(item);
    Py_DECREF(item);
    return truth;
}

PyMappingMethods array_mapping_methods = {
    .mp_length = subscript_length,
    .mp_subscript = subscript_get,
    .mp_ass_subscript = subscript_set,
};

PySequenceMethods array_sequence_methods = {
    .sq_length = subscript_length,
    .sq_item = sequence_item,
    .sq_contains = sequence_contains,
};
