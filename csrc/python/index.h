/* python/index.h -- index expressions: what a key means, before anything is read or written. */
#ifndef PYARR_PYTHON_INDEX_H
#define PYARR_PYTHON_INDEX_H

#include "python/functions.h"

#define INDEX_MAX_ITEMS (2 * ARRAY_MAX_NDIM + 2)
#define INDEX_MAX_ARRAYS 32

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

/* Read a key for `a`. -1 with IndexError (then nothing is held). */
int index_read(Index *index, const Array *a, PyObject *key);
void index_fini(Index *index);

/* Work out view and arrays. -1 with an exception (then nothing is held). */
int index_place(const Index *index, const Array *a, Place *place);
void place_fini(Place *place);

/* Raise the recorded error; an index out of bounds is worded with the user's axis. -1. */
int place_raise(const Place *place);

/* Is the memory of `a` current, on the host, and not part of a recording? */
static inline bool
index_is_plain(const Array *a)
{
    return !graph_is_recorded(a) && a->storage->data != NULL && a->storage->ready == 0 &&
           a->storage->device->host_memory;
}

/* Where the element a[key] is, for plain memory and a key of as many ints as axes; false when
 * the key is anything else or out of bounds. */
bool index_element(const Array *a, PyObject *key, int64_t *offset);

#endif
