/* python/index.c -- NumPy's index expressions: a key becomes one view and, for advanced indices,
 * arrays that address adjacent axes of it. */
#include "python/index.h"

#include <string.h>

void
index_fini(Index *index)
{
    for (int i = 0; i < index->n; i++) {
        array_release(index->items[i].array);
    }
}

void
place_fini(Place *place)
{
    array_release(place->view);
    arrays_release(place->arrays, place->k);
}

/* ---- reading the key ---- */

static const char invalid_index[] =
    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
    "boolean arrays are valid indices";

static int
refuse(const char *message)
{
    PyErr_SetString(PyExc_IndexError, message);
    return -1;
}

static int
read_integer(Item *item, PyObject *object)
{
    const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_IndexError);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    item->kind = ITEM_INTEGER;
    item->integer = value;
    return 0;
}

/* The one element of a 0-d integer or boolean array. */
static int
read_element(Index *index, Item *item, Array *array)
{
    PyObject *value = object_item(array);
    if (value == NULL) {
        return -1;
    }
    int status = 0;
    if (array->dtype == DT_bool) {
        item->kind = ITEM_TRUTH;
        item->integer = value == Py_True;
    } else {
        status = read_integer(item, value);
        index->copies |= !array->is_scalar;
    }
    Py_DECREF(value);
    return status;
}

/* An array as an index; `listed` when it came from a sequence. Takes over `array`. */
static int
read_array(Index *index, Item *item, Array *array, bool listed)
{
    if (array->ndim == 0 && (array->dtype == DT_bool || dtype_is_integer(array->dtype))) {
        const int status = read_element(index, item, array);
        array_release(array);
        return status;
    }
    if (listed && array->size == 0 && array->dtype == DT_f64) { /* [] has no dtype of its own */
        Array *empty = array_new(device_cpu(), DT_i64, array->ndim, array->shape);
        array_release(array);
        if (empty == NULL) {
            return error_raise_int();
        }
        array = empty;
    }
    if (array->dtype != DT_bool && !dtype_is_integer(array->dtype)) {
        array_release(array);
        return refuse(listed
                          ? invalid_index
                          : "arrays used as indices must be of integer (or boolean) type");
    }
    item->kind = array->dtype == DT_bool ? ITEM_MASK : ITEM_ARRAY;
    item->array = array;
    return 0;
}

static int
read_object(Index *index, Item *item, PyObject *object)
{
    if (array_object_check(object)) {
        return read_array(index, item, array_retain(object_array(object)), false);
    }
    const bool listed = PyList_Check(object) || PyTuple_Check(object);
    if (!listed && PyIndex_Check(object)) {
        PyObject *integer = PyNumber_Index(object);
        if (integer != NULL) {
            const int status = read_integer(item, integer);
            Py_DECREF(integer);
            index->copies |= PySequence_Check(object); /* a 0-d array, no scalar */
            return status;
        }
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear(); /* an array of more dimensions, or numpy.bool */
    }
    if (PyUnicode_Check(object) || PyBytes_Check(object) || PyFloat_Check(object)) {
        return refuse(invalid_index);
    }
    Array *array = convert_array(object);
    if (array == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            return refuse(invalid_index);
        }
        return -1;
    }
    return read_array(index, item, array, listed);
}

static int
read_item(Index *index, PyObject *object)
{
    if (index->n == INDEX_MAX_ITEMS) {
        return refuse("too many indices for array");
    }
    Item *item = &index->items[index->n];
    item->array = NULL;
    item->slice = NULL;
    item->integer = 0;
    index->n++;
    int status = 0;
    if (PyLong_CheckExact(object)) {
        status = read_integer(item, object);
    } else if (PySlice_Check(object)) {
        item->kind = ITEM_SLICE;
        item->slice = object;
    } else if (object == Py_None) {
        item->kind = ITEM_NEW;
    } else if (object == Py_Ellipsis) {
        if (index->has_ellipsis) {
            return refuse("an index can only have a single ellipsis ('...')");
        }
        item->kind = ITEM_ELLIPSIS;
        index->has_ellipsis = true;
    } else if (PyBool_Check(object)) {
        item->kind = ITEM_TRUTH;
        item->integer = object == Py_True;
    } else {
        status = read_object(index, item, object);
    }
    if (status < 0) {
        return -1;
    }
    index->advanced |= item->kind >= ITEM_ARRAY;
    if (item->kind == ITEM_MASK) {
        index->consumed += item->array->ndim;
    } else if (item->kind != ITEM_NEW && item->kind != ITEM_ELLIPSIS &&
               item->kind != ITEM_TRUTH) {
        index->consumed += 1;
    }
    return 0;
}

int
index_read(Index *index, const Array *a, PyObject *key)
{
    index->n = 0;
    index->consumed = 0;
    index->has_ellipsis = index->advanced = index->copies = false;
    int status = 0;
    if (PyTuple_Check(key)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key) && status == 0; i++) {
            status = read_item(index, PyTuple_GET_ITEM(key, i));
        }
    } else {
        status = read_item(index, key);
    }
    if (status == 0 && index->consumed > a->ndim) {
        PyErr_Format(PyExc_IndexError,
                     "too many indices for array: array is %d-dimensional, but %d were indexed",
                     a->ndim, index->consumed);
        status = -1;
    }
    if (status < 0) {
        index_fini(index);
        index->n = 0;
    }
    return status;
}

/* ---- from the key to a view and arrays ---- */

/* Axes of the view under construction; advanced ones are kept apart to be placed together. */
typedef struct Geometry {
    int64_t offset;
    int n, nadvanced;
    int64_t shape[ARRAY_MAX_NDIM + INDEX_MAX_ITEMS];
    int64_t strides[ARRAY_MAX_NDIM + INDEX_MAX_ITEMS];
    int64_t advanced_shape[INDEX_MAX_ARRAYS];
    int64_t advanced_strides[INDEX_MAX_ARRAYS];
} Geometry;

static void
geometry_push(Geometry *g, int64_t size, int64_t stride)
{
    g->shape[g->n] = size;
    g->strides[g->n] = stride;
    g->n++;
}

static int
place_integer(Geometry *g, const Array *a, int axis, int64_t value)
{
    const int64_t size = a->shape[axis];
    const int64_t at = value < 0 ? value + size : value;
    if (at < 0 || at >= size) {
        PyErr_Format(PyExc_IndexError, "index %lld is out of bounds for axis %d with size %lld",
                     (long long)value, axis, (long long)size);
        return -1;
    }
    g->offset += at * a->strides[axis];
    return 0;
}

static int
place_slice(Geometry *g, const Array *a, int axis, PyObject *slice)
{
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return -1;
    }
    const Py_ssize_t count = PySlice_AdjustIndices(a->shape[axis], &start, &stop, step);
    if (count > 0) {
        g->offset += start * a->strides[axis];
    }
    /* One element needs no stride; a huge step must not overflow. */
    geometry_push(g, count, count > 1 ? a->strides[axis] * step : a->strides[axis]);
    return 0;
}

static int
place_push(Place *place, Geometry *g, const Array *a, int axis, Array *array)
{
    if (place->k == INDEX_MAX_ARRAYS) {
        array_release(array);
        return refuse("too many advanced indices");
    }
    if (array->storage->device != a->storage->device) { /* indices may come from the host */
        Array *moved = graph_to_device(array, a->storage->device);
        array_release(array);
        if (moved == NULL) {
            return error_raise_int();
        }
        array = moved;
    }
    place->origin[place->k] = axis;
    place->arrays[place->k] = array;
    place->k++;
    g->advanced_shape[g->nadvanced] = a->shape[axis];
    g->advanced_strides[g->nadvanced] = a->strides[axis];
    g->nadvanced++;
    return 0;
}

static int
place_array(Place *place, Geometry *g, const Array *a, int axis, Array *array)
{
    Array *index = graph_cast(array, DT_i64, false);
    return index == NULL ? error_raise_int() : place_push(place, g, a, axis, index);
}

/* A mask is looked at: the indices of its true elements, one array for each of its axes. */
static int
place_mask(Place *place, Geometry *g, const Array *a, int axis, Array *mask)
{
    for (int i = 0; i < mask->ndim; i++) {
        if (mask->shape[i] != a->shape[axis + i]) {
            PyErr_Format(PyExc_IndexError,
                         "boolean index did not match indexed array along axis %d; size of axis "
                         "is %lld but size of corresponding boolean axis is %lld",
                         axis + i, (long long)a->shape[axis + i], (long long)mask->shape[i]);
            return -1;
        }
    }
    Array *found = function_nonzero_rows(mask);
    if (found == NULL) {
        return error_raise_int();
    }
    int status = 0;
    for (int i = 0; i < mask->ndim && status == 0; i++) {
        Array *column = view_index(found, 1, i);
        status = column == NULL ? error_raise_int() : place_push(place, g, a, axis + i, column);
    }
    array_release(found);
    return status;
}

/* Give all arrays the common shape of the indices (`truth` >= 0: with one more operand of
 * shape (truth,)). */
static int
place_broadcast(Place *place, int truth)
{
    int ndims[INDEX_MAX_ARRAYS + 1];
    const int64_t *shapes[INDEX_MAX_ARRAYS + 1];
    const int64_t truth_shape[1] = {truth};
    int n = place->k;
    for (int i = 0; i < n; i++) {
        ndims[i] = place->arrays[i]->ndim;
        shapes[i] = place->arrays[i]->shape;
    }
    if (truth >= 0) {
        ndims[n] = 1;
        shapes[n] = truth_shape;
        n++;
    }
    int ndim;
    int64_t shape[ARRAY_MAX_NDIM];
    if (shape_broadcast(n, ndims, shapes, &ndim, shape) != STATUS_OK) {
        const char *shapes_text = strchr(err_message(), '(');
        if (err_kind() != ERR_SHAPE || shapes_text == NULL) {
            return error_raise_int();
        }
        PyErr_Format(PyExc_IndexError,
                     "shape mismatch: indexing arrays could not be broadcast together with "
                     "shapes %s",
                     shapes_text);
        err_clear();
        return -1;
    }
    for (int i = 0; i < place->k; i++) {
        Array *wide = view_broadcast(place->arrays[i], ndim, shape);
        if (wide == NULL) {
            return error_raise_int();
        }
        array_release(place->arrays[i]);
        place->arrays[i] = wide;
    }
    return 0;
}

/* Build place->view: the plain axes, with the advanced ones together before plain axis `at`. */
static int
place_build(Place *place, const Geometry *g, const Array *a, int at)
{
    int64_t shape[2 * ARRAY_MAX_NDIM], strides[2 * ARRAY_MAX_NDIM];
    const int ndim = g->n + g->nadvanced;
    if (ndim > ARRAY_MAX_NDIM) {
        PyErr_Format(PyExc_IndexError,
                     "number of dimensions must be within [0, %d], indexing result would have %d",
                     ARRAY_MAX_NDIM, ndim);
        return -1;
    }
    int to = 0;
    for (int i = 0; i <= g->n; i++) {
        for (int j = 0; i == at && j < g->nadvanced; j++, to++) {
            shape[to] = g->advanced_shape[j];
            strides[to] = g->advanced_strides[j];
        }
        if (i < g->n) {
            shape[to] = g->shape[i];
            strides[to] = g->strides[i];
            to++;
        }
    }
    place->axis = at;
    place->view = array_new_view(a->storage, a->dtype, ndim, shape, strides, g->offset);
    if (place->view == NULL) {
        return error_raise_int();
    }
    place->view->readonly = a->readonly;
    return 0;
}

/* Where NumPy puts the advanced axes: where they stand when adjacent, else first. */
typedef struct Adjacency {
    int state; /* 0: none seen, 1: in a run, 2: after the run, 3: two runs */
    int at;
} Adjacency;

static void
adjacency_step(Adjacency *s, bool advanced, int position)
{
    if (advanced && s->state == 0) {
        s->state = 1;
        s->at = position;
    } else if (advanced && s->state == 2) {
        s->state = 3;
        s->at = 0;
    } else if (!advanced && s->state == 1) {
        s->state = 2;
    }
}

static void
push_rest(Geometry *g, const Array *a, int from, int to)
{
    for (int axis = from; axis < to; axis++) {
        geometry_push(g, a->shape[axis], a->strides[axis]);
    }
}

static int
place_item(Place *place, Geometry *g, const Array *a, const Item *item, int *axis, int rest)
{
    switch (item->kind) {
    case ITEM_INTEGER: return place_integer(g, a, (*axis)++, item->integer);
    case ITEM_SLICE: return place_slice(g, a, (*axis)++, item->slice);
    case ITEM_ELLIPSIS:
        push_rest(g, a, *axis, *axis + rest);
        *axis += rest;
        return 0;
    case ITEM_NEW: geometry_push(g, 1, 0); return 0;
    case ITEM_ARRAY: return place_array(place, g, a, (*axis)++, item->array);
    case ITEM_MASK:
        *axis += item->array->ndim;
        return place_mask(place, g, a, *axis - item->array->ndim, item->array);
    default: return 0;
    }
}

int
index_place(const Index *index, const Array *a, Place *place)
{
    Geometry g;
    g.offset = a->offset;
    g.n = g.nadvanced = 0;
    place->view = NULL;
    place->k = 0;
    place->masked = index->n == 1 && index->items[0].kind == ITEM_MASK;
    Adjacency adjacency = {0, 0};
    int axis = 0, truth = -1;
    const int rest = a->ndim - index->consumed;
    int status = 0;
    for (int i = 0; i < index->n && status == 0; i++) {
        const Item *item = &index->items[i];
        adjacency_step(&adjacency, item->kind == ITEM_INTEGER || item->kind >= ITEM_ARRAY, g.n);
        if (item->kind == ITEM_TRUTH) {
            truth = truth == 0 ? 0 : (int)item->integer;
        }
        status = place_item(place, &g, a, item, &axis, rest);
    }
    if (status == 0) {
        push_rest(&g, a, axis, a->ndim);
        if (place->k > 0) {
            status = place_broadcast(place, truth);
        } else if (truth >= 0) {
            g.advanced_shape[0] = truth;
            g.advanced_strides[0] = 0;
            g.nadvanced = 1;
        }
    }
    if (status == 0) {
        status = place_build(place, &g, a, index->advanced ? adjacency.at : g.n);
    }
    if (status < 0) {
        place_fini(place);
    }
    return status;
}

/* Add the offset of one int along an axis; false when it is no int or out of bounds. */
static bool
element_step(const Array *a, int axis, PyObject *key, int64_t *offset)
{
    if (!PyLong_CheckExact(key)) {
        return false;
    }
    int overflow;
    const int64_t value = PyLong_AsLongLongAndOverflow(key, &overflow);
    const int64_t at = value < 0 ? value + a->shape[axis] : value;
    if (overflow != 0 || at < 0 || at >= a->shape[axis]) {
        return false;
    }
    *offset += at * a->strides[axis];
    return true;
}

bool
index_element(const Array *a, PyObject *key, int64_t *offset)
{
    *offset = a->offset;
    if (!PyTuple_CheckExact(key)) {
        return a->ndim == 1 && element_step(a, 0, key, offset) && index_is_plain(a);
    }
    if (PyTuple_GET_SIZE(key) != a->ndim) {
        return false;
    }
    for (int i = 0; i < a->ndim; i++) {
        if (!element_step(a, i, PyTuple_GET_ITEM(key, i), offset)) {
            return false;
        }
    }
    return index_is_plain(a);
}

/* ---- errors of advanced indexing, with the user's axis ---- */

/* The first element of a concrete int64 array outside [-size, size). */
static bool
find_outside(const Array *index, int64_t size, int64_t *found)
{
    int64_t at[ARRAY_MAX_NDIM] = {0};
    const char *data = array_data(index);
    for (int64_t i = 0; i < index->size; i++) {
        int64_t value;
        memcpy(&value, data, sizeof value);
        if (value < -size || value >= size) {
            *found = value;
            return true;
        }
        for (int d = index->ndim - 1; d >= 0; d--) {
            data += index->strides[d];
            if (++at[d] < index->shape[d]) {
                break;
            }
            data -= at[d] * index->strides[d];
            at[d] = 0;
        }
    }
    return false;
}

int
place_raise(const Place *place)
{
    if (err_kind() != ERR_INDEX) {
        return error_raise_int();
    }
    ErrRecord record;
    err_save(&record);
    for (int i = 0; i < place->k; i++) {
        const int64_t size = place->view->shape[place->axis + i];
        Array *index = graph_evaluate(place->arrays[i]);
        int64_t value = 0;
        const bool found = index != NULL &&
                           storage_map_host(index->storage, MAP_READ) != NULL &&
                           find_outside(index, size, &value);
        array_release(index);
        if (found) {
            err_clear();
            PyErr_Format(PyExc_IndexError,
                         "index %lld is out of bounds for axis %d with size %lld",
                         (long long)value, place->origin[i], (long long)size);
            return -1;
        }
    }
    err_restore(&record);
    return error_raise_int();
}
