/* python/subscript.c -- NumPy's indexing: an index expression becomes one view and, for
 * advanced indices, a gather or an indexed write. */
#include "python/functions.h"

#include <math.h>
#include <string.h>

#define INDEX_MAX_ITEMS (2 * ARRAY_MAX_NDIM + 2)
#define INDEX_MAX_ARRAYS 32

static const char invalid_index[] =
    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
    "boolean arrays are valid indices";

typedef enum ItemKind {
    ITEM_INTEGER,
    ITEM_SLICE,
    ITEM_ELLIPSIS,
    ITEM_NEW,
    ITEM_ARRAY, /* integers */
    ITEM_MASK,  /* booleans, one or more dimensions */
    ITEM_TRUTH  /* one boolean: a new axis of size 0 or 1 */
} ItemKind;

typedef struct Item {
    ItemKind kind;
    int64_t integer; /* of ITEM_INTEGER and ITEM_TRUTH */
    PyObject *slice; /* borrowed from the key */
    Array *array;    /* owned */
} Item;

typedef struct Index {
    int n;
    int consumed;      /* axes that items other than the ellipsis take */
    bool has_ellipsis;
    bool advanced;     /* the result is a copy */
    bool copies;       /* a 0-d integer array: as an integer, but the result is a copy */
    Item items[INDEX_MAX_ITEMS];
} Index;

/* What an index means for one array: `view`, whose axes [axis, axis + k) the arrays address. */
typedef struct Place {
    Array *view;
    int axis;
    int k;
    int masked; /* only a mask: NumPy words its errors differently */
    Array *arrays[INDEX_MAX_ARRAYS];
    int origin[INDEX_MAX_ARRAYS]; /* the user's axis of each array */
} Place;

static void
index_fini(Index *index)
{
    for (int i = 0; i < index->n; i++) {
        array_release(index->items[i].array);
    }
}

static void
place_fini(Place *place)
{
    array_release(place->view);
    for (int i = 0; i < place->k; i++) {
        array_release(place->arrays[i]);
    }
}

/* ---- reading the key ---- */

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

static int
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

static int
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

/* Raise the recorded error; an index out of bounds is worded with the axis of the user's array. */
static int
raise_indexed(const Place *place)
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

/* ---- reading ---- */

/* Is the memory of `a` current, on the host, and not part of a recording? */
static inline bool
is_plain(const Array *a)
{
    return !graph_is_recorded(a) && a->storage->data != NULL && a->storage->ready == 0 &&
           a->storage->device->host_memory;
}

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
        refuse("too many indices for array: array is 0-dimensional, but 1 were indexed");
        return NULL;
    }
    if (a->ndim > 1) {
        Array *view = view_index(a, 0, at);
        return view == NULL ? error_raise() : object_wrap_view(view, self);
    }
    const int64_t from_start = at < 0 ? at + a->shape[0] : at;
    if (is_plain(a) && 0 <= from_start && from_start < a->shape[0]) {
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
        raise_indexed(place);
        return NULL;
    }
    return object_wrap(result);
}

PyObject *
subscript_get(PyObject *self, PyObject *key)
{
    Array *a = object_array(self);
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
            if (is_plain(a)) {
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

/* ---- writing ---- */

/* Python numbers that the dtype can't hold are refused as NumPy's assignment does. 0 / -1. */
static int
check_number(PyObject *value, DType dtype)
{
    if (PyLong_CheckExact(value)) {
        return object_check_int(value, dtype);
    }
    if (PyFloat_Check(value) && dtype_is_integer(dtype)) {
        const double number = PyFloat_AS_DOUBLE(value);
        if (isnan(number)) {
            PyErr_SetString(PyExc_ValueError, "cannot convert float NaN to integer");
            return -1;
        }
        if (isinf(number)) {
            PyErr_SetString(PyExc_OverflowError, "cannot convert float infinity to integer");
            return -1;
        }
    }
    if (PyComplex_Check(value) && !dtype_is_complex(dtype) && dtype != DT_bool) {
        PyErr_Format(PyExc_TypeError,
                     "%s() argument must be a string or a real number, not 'complex'",
                     dtype_is_integer(dtype) ? "int" : "float");
        return -1;
    }
    return 0;
}

int
object_warn_complex(void)
{
    static PyObject *category;
    if (category == NULL) {
        PyObject *module = PyImport_ImportModule("numpy.exceptions");
        category = module == NULL ? NULL : PyObject_GetAttrString(module, "ComplexWarning");
        Py_XDECREF(module);
        if (category == NULL) {
            return -1;
        }
    }
    return PyErr_WarnEx(category, "Casting complex values to real discards the imaginary part", 1);
}

/* The value of an assignment to elements of `dtype`, or NULL with an exception. */
static Array *
take_value(PyObject *object, DType dtype)
{
    if (check_number(object, dtype) < 0) {
        return NULL;
    }
    Array *value = object_operand(object);
    if (value == NULL) {
        return NULL;
    }
    if (dtype_is_complex(value->dtype) && !dtype_is_complex(dtype)) {
        if (dtype != DT_bool && object_warn_complex() < 0) {
            array_release(value);
            return NULL;
        }
    }
    return value;
}

/* Drop leading axes of size 1 beyond `ndim`, as NumPy's assignment does. Takes over `value`. */
static Array *
drop_leading(Array *value, int ndim)
{
    while (value != NULL && value->ndim > ndim && value->shape[0] == 1) {
        Array *inner = view_index(value, 0, 0);
        array_release(value);
        value = inner;
    }
    return value;
}

static bool
shape_fits(const Array *value, int ndim, const int64_t *shape)
{
    for (int i = 1; i <= value->ndim; i++) {
        const int64_t size = value->shape[value->ndim - i];
        if (i > ndim || (size != 1 && size != shape[ndim - i])) {
            return false;
        }
    }
    return true;
}

static void
shape_words(int ndim, const int64_t *shape, char *buffer, size_t size)
{
    shape_text(ndim, shape, buffer, size);
    char *to = buffer;
    for (const char *from = buffer; *from != '\0'; from++) {
        if (*from != ' ') {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static int
check_writable(const Array *dst)
{
    if (dst->is_scalar) {
        PyErr_SetString(PyExc_TypeError,
                        "a scalar element of a pyarr.ndarray does not support item assignment");
        return -1;
    }
    if (!array_is_writable(dst)) {
        PyErr_SetString(PyExc_ValueError, "assignment destination is read-only");
        return -1;
    }
    return 0;
}

/* Write the array `value` (taken over) to `dst`, with NumPy's message about shapes. */
static int
assign_array(Array *dst, Array *value)
{
    value = drop_leading(value, dst->ndim);
    if (value == NULL) {
        return error_raise_int();
    }
    int status = -1;
    if (!shape_fits(value, dst->ndim, dst->shape)) {
        char from[256], to[256];
        shape_words(value->ndim, value->shape, from, sizeof from);
        shape_words(dst->ndim, dst->shape, to, sizeof to);
        PyErr_Format(PyExc_ValueError,
                     "could not broadcast input array from shape %s into shape %s", from, to);
    } else {
        status = graph_write(dst, value) == STATUS_OK ? 0 : error_raise_int();
    }
    array_release(value);
    return status;
}

int
subscript_assign(Array *dst, PyObject *object)
{
    if (check_writable(dst) < 0) {
        return -1;
    }
    Array *value = take_value(object, dst->dtype);
    return value == NULL ? -1 : assign_array(dst, value);
}

static int
assign_element(Array *dst, PyObject *object)
{
    Array *value = take_value(object, dst->dtype);
    if (value == NULL) {
        return -1;
    }
    if (value->ndim != 0) {
        array_release(value);
        PyErr_SetString(PyExc_ValueError, "setting an array element with a sequence.");
        return -1;
    }
    return assign_array(dst, value);
}

/* The shape that indexing gives: the view's plain axes with the index shape in their midst. */
static int
indexed_shape(const Place *place, int64_t *shape)
{
    int ndim = 0;
    const Array *view = place->view;
    const Array *index = place->arrays[0];
    for (int i = 0; i < place->axis; i++) {
        shape[ndim++] = view->shape[i];
    }
    for (int i = 0; i < index->ndim; i++) {
        shape[ndim++] = index->shape[i];
    }
    for (int i = place->axis + place->k; i < view->ndim; i++) {
        shape[ndim++] = view->shape[i];
    }
    return ndim;
}

static int
assign_indexed(Place *place, PyObject *object, bool accumulate)
{
    Array *value = take_value(object, place->view->dtype);
    if (value == NULL) {
        return -1;
    }
    int64_t shape[2 * ARRAY_MAX_NDIM];
    const int ndim = indexed_shape(place, shape);
    value = drop_leading(value, ndim);
    if (value == NULL) {
        return error_raise_int();
    }
    int status = -1;
    if (place->masked && place->view->ndim == place->k && value->ndim == 1 &&
        value->shape[0] != 1 && value->shape[0] != shape[0]) {
        PyErr_Format(PyExc_ValueError,
                     "NumPy boolean array indexing assignment cannot assign %lld input values to "
                     "the %lld output values where the mask is true",
                     (long long)value->shape[0], (long long)shape[0]);
    } else if (!shape_fits(value, ndim, shape)) {
        char from[256], to[256];
        shape_words(value->ndim, value->shape, from, sizeof from);
        shape_words(ndim, shape, to, sizeof to);
        PyErr_Format(PyExc_ValueError,
                     "shape mismatch: value array of shape %s could not be broadcast to indexing "
                     "result of shape %s",
                     from, to);
    } else if (graph_write_indexed(place->view, place->axis, place->arrays, place->k, value,
                                   accumulate) == STATUS_OK) {
        status = 0;
    } else {
        raise_indexed(place);
    }
    array_release(value);
    return status;
}

/* dst[...] += value, for the basic indices of numpy.add.at. */
static int
add_basic(Array *dst, PyObject *object)
{
    Array *value = take_value(object, dst->dtype);
    if (value == NULL) {
        return -1;
    }
    Array *sum = graph_apply2(OP_add, dst, value);
    array_release(value);
    return sum == NULL ? error_raise_int() : assign_array(dst, sum);
}

static int
set_general(PyObject *self, PyObject *key, PyObject *value, bool accumulate)
{
    Array *a = object_array(self);
    Index index;
    Place place;
    if (check_writable(a) < 0 || index_read(&index, a, key) < 0) {
        return -1;
    }
    int status = index_place(&index, a, &place);
    if (status == 0) {
        if (place.k > 0) {
            status = assign_indexed(&place, value, accumulate);
        } else if (accumulate) {
            status = add_basic(place.view, value);
        } else if (place.view->ndim == 0 && !index.has_ellipsis) {
            status = assign_element(place.view, value);
        } else {
            status = subscript_assign(place.view, value);
        }
        place_fini(&place);
    }
    index_fini(&index);
    return status;
}

/* self[key] = value for an int and a Python float into plain float64 memory: 1 when done. */
static int
set_fast(Array *a, PyObject *key, PyObject *value)
{
    if (!PyLong_CheckExact(key) || !PyFloat_CheckExact(value) || a->ndim != 1 ||
        a->dtype != DT_f64 || a->is_scalar || !array_is_writable(a) || graph_is_tracing() ||
        !is_plain(a)) {
        return 0;
    }
    int overflow;
    int64_t at = PyLong_AsLongLongAndOverflow(key, &overflow);
    at = at < 0 ? at + a->shape[0] : at;
    if (overflow != 0 || at < 0 || at >= a->shape[0]) {
        return 0;
    }
    const double number = PyFloat_AS_DOUBLE(value);
    memcpy(a->storage->data + a->offset + at * a->strides[0], &number, sizeof number);
    a->storage->version++;
    return 1;
}

int
subscript_set(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_ValueError, "cannot delete array elements");
        return -1;
    }
    if (set_fast(object_array(self), key, value)) {
        return 0;
    }
    return set_general(self, key, value, false);
}

int
subscript_add(PyObject *self, PyObject *key, PyObject *value)
{
    return set_general(self, key, value, true);
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
