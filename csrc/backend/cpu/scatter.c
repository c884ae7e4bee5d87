/* backend/cpu/scatter.c -- advanced assignment and addition at the places that indices name.
 *
 * Places may repeat: the last one written wins, and additions happen in the order of the
 * places whatever the number of threads. So work is split over outer axes, or over columns
 * of long blocks, never over places. */
#include "backend/cpu/selection.h"
#include "backend/cpu/iterate.h"

#include "base/pool.h"

#include <string.h>

enum { POLL_BLOCKS = 256 };

typedef struct Scatter {
    Selection places; /* in the output */
    const Operand *out;
    Operand value;       /* outer axes, places, inner axes */
    Operand value_inner; /* one block of it */
    AddRun add;                 /* NULL: replace */
    int item;
    bool blocks_flat; /* both blocks are contiguous */
} Scatter;

static void
put(const Scatter *s, char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n)
{
    if (s->add != NULL) {
        s->add(to, to_step, from, from_step, n);
    } else {
        cpu_copy_run(to, to_step, from, from_step, n, s->item);
    }
}

static void
put_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    put(ctx, data[0], strides[0], data[1], strides[1], n);
}

static void
put_block(const Scatter *s, char *to, const char *from)
{
    Iterate it;
    char *data[2] = {to, (char *)(uintptr_t)from};
    iterate_init(&it, s->value_inner.ndim, s->value_inner.shape, 2,
                 (const int64_t *[]){s->places.inner.strides, s->value_inner.strides},
                 ITERATE_REORDER);
    iterate_run(&it, data, 0, it.size, put_run, (void *)(uintptr_t)s);
}

/* Rows of single elements: element i of a row's values goes to offsets[i] of the row. */
typedef struct PlaceRows {
    char *out;
    const char *value;
    int64_t out_stride, value_stride; /* from row to row */
    int64_t step;                     /* of the values in a row */
    const int64_t *offsets;
    int64_t n;
} PlaceRows;

enum { ROWS_TOGETHER = 4 }; /* additions at one place wait for each other, those of rows do not */

#define DTYPE(suffix, T, name, kind, format)                                                       \
    static inline void add_place_##suffix(char *out, const char *value)                            \
    {                                                                                              \
        T *y = (T *)out;                                                                           \
        const T x = *(const T *)value;                                                             \
        *y = kind == 'b' ? (T)(*y != 0 || x != 0) : PLUS(T, *y, x);                                \
    }                                                                                              \
    static void add_places_##suffix(const PlaceRows *p, int64_t rows)                              \
    {                                                                                              \
        char *out = p->out;                                                                        \
        const char *value = p->value;                                                              \
        int64_t r = 0;                                                                             \
        for (; r + ROWS_TOGETHER <= rows; r += ROWS_TOGETHER) {                                    \
            for (int64_t i = 0; i < p->n; i++) {                                                   \
                for (int64_t k = 0; k < ROWS_TOGETHER; k++) {                                      \
                    add_place_##suffix(out + k * p->out_stride + p->offsets[i],                    \
                                       value + k * p->value_stride + i * p->step);                 \
                }                                                                                  \
            }                                                                                      \
            out += ROWS_TOGETHER * p->out_stride;                                                  \
            value += ROWS_TOGETHER * p->value_stride;                                              \
        }                                                                                          \
        for (; r < rows; r++, out += p->out_stride, value += p->value_stride) {                    \
            for (int64_t i = 0; i < p->n; i++) {                                                   \
                add_place_##suffix(out + p->offsets[i], value + i * p->step);                      \
            }                                                                                      \
        }                                                                                          \
    }
#include "array/dtypes.def"
#undef DTYPE

typedef void (*AddPlaces)(const PlaceRows *, int64_t);
static const AddPlaces add_places[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) add_places_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

static void
put_places(const Scatter *s, const PlaceRows *p, int64_t rows)
{
    if (s->add != NULL) {
        add_places[s->out->dtype](p, rows);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        char *out = p->out + r * p->out_stride;
        const char *value = p->value + r * p->value_stride;
        if (s->item == 8) {
            for (int64_t i = 0; i < p->n; i++) {
                memcpy(out + p->offsets[i], value + i * p->step, 8);
            }
            continue;
        }
        for (int64_t i = 0; i < p->n; i++) {
            memcpy(out + p->offsets[i], value + i * p->step, (size_t)s->item);
        }
    }
}

/* Byte offset in the value of place t. */
static int64_t
value_offset(const Scatter *s, int64_t t)
{
    const int axis = s->places.axis;
    int64_t offset = 0;
    for (int a = s->value.ndim - s->value_inner.ndim - 1; a >= axis; a--) {
        offset += t % s->value.shape[a] * s->value.strides[a];
        t /= s->value.shape[a];
    }
    return offset;
}

/* Have the places one stride in the value? */
static bool
is_even(const Scatter *s)
{
    return s->value.ndim - s->value_inner.ndim - s->places.axis == 1;
}

/* Single elements at places [t, t + n) of outer elements o to `last`. How many that were. */
static int64_t
scatter_elements(const Scatter *s, int64_t o, int64_t last, int64_t t, int64_t n,
                 const int64_t *offsets)
{
    const Selection *p = &s->places;
    const bool one_axis = p->axis == 1; /* or each outer element lies by itself */
    const int64_t step = s->value.strides[p->axis];
    const PlaceRows rows = {
        .out = s->out->data + selection_outer_offset(p, s->out, o),
        .value = s->value.data + selection_outer_offset(p, &s->value, o) + t * step,
        .out_stride = one_axis ? s->out->strides[0] : 0,
        .value_stride = one_axis ? s->value.strides[0] : 0,
        .step = step,
        .offsets = offsets,
        .n = n,
    };
    const int64_t left = last - o < POLL_BLOCKS ? last - o : POLL_BLOCKS;
    const int64_t count = one_axis ? left : 1;
    put_places(s, &rows, count);
    return count;
}

/* Places [t, t + n) at outer element o; of each block the elements [begin, end), if it is flat. */
static void
scatter_places(const Scatter *s, int64_t o, int64_t t, int64_t n, const int64_t *offsets,
               int64_t begin, int64_t end)
{
    const Selection *p = &s->places;
    char *out = s->out->data + selection_outer_offset(p, s->out, o);
    const char *value = s->value.data + selection_outer_offset(p, &s->value, o);
    const bool even = is_even(s);
    const int64_t step = even ? s->value.strides[p->axis] : 0;
    for (int64_t i = 0; i < n; i++) {
        const char *from = value + (even ? (t + i) * step : value_offset(s, t + i));
        char *to = out + offsets[i];
        if (s->blocks_flat) {
            put(s, to + begin * s->item, s->item, from + begin * s->item, s->item, end - begin);
        } else {
            put_block(s, to, from);
        }
    }
}

/* All places at the outer elements from o to `last`: what addresses them is found once. */
static void
scatter_outer(const Scatter *s, int64_t o, int64_t last, int64_t begin, int64_t end)
{
    const Selection *p = &s->places;
    const bool single = p->inner_size == 1 && is_even(s);
    int64_t offsets[SELECTION_BLOCK], done = 0;
    for (int64_t t = 0; t < p->n; t += SELECTION_BLOCK) {
        const int64_t n = p->n - t < SELECTION_BLOCK ? p->n - t : SELECTION_BLOCK;
        selection_offsets(p, t, t + n, offsets);
        for (int64_t k = o, count = 1; k < last; k += count) {
            if (single) {
                count = scatter_elements(s, k, last, t, n, offsets);
            } else {
                scatter_places(s, k, t, n, offsets, begin, end);
            }
            done += count;
            if (done >= POLL_BLOCKS) {
                done = 0;
                if (pool_interrupted()) {
                    return;
                }
            }
        }
    }
}

static void
scatter_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const Scatter *s = ctx;
    scatter_outer(s, begin, end, 0, s->places.inner_size);
}

static void
scatter_columns(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const Scatter *s = ctx;
    scatter_outer(s, 0, s->places.outer, begin, end);
}

/* The value's axes of places merged into one where that is possible, so that the common case
 * of index arrays with several axes runs as fast as that with one. */
static void
merge_places(Scatter *s, int64_t *shape, int64_t *strides)
{
    const int axis = s->places.axis;
    const int inner = s->value_inner.ndim;
    const int last = s->value.ndim - inner - 1;
    if (last < axis) {
        return;
    }
    int64_t count = 1;
    for (int a = last; a >= axis; a--) {
        if (s->value.shape[a] != 1 && s->value.strides[a] != count * s->value.strides[last]) {
            return;
        }
        count *= s->value.shape[a];
    }
    for (int a = 0; a < axis; a++) {
        shape[a] = s->value.shape[a];
        strides[a] = s->value.strides[a];
    }
    shape[axis] = count;
    strides[axis] = s->value.strides[last];
    for (int a = 0; a < inner; a++) {
        shape[axis + 1 + a] = s->value_inner.shape[a];
        strides[axis + 1 + a] = s->value_inner.strides[a];
    }
    s->value.ndim = axis + 1 + inner;
    s->value.shape = shape;
    s->value.strides = strides;
    s->value_inner.shape = shape + axis + 1;
    s->value_inner.strides = strides + axis + 1;
}

static Status
scatter(const Call *call, bool add)
{
    Scatter s;
    int64_t shape[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    s.out = &call->out;
    s.value = call->in[1];
    s.add = add ? cpu_add_run(call->out.dtype) : NULL;
    s.item = dtype_size(call->out.dtype);
    selection_init(&s.places, s.out, &call->in[2], call->nin - 2, (int)call->params[0]);
    if (selection_check(&s.places) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (call->out.data != call->in[0].data && cpu_move(&call->out, &call->in[0]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const int inner = s.places.inner.ndim;
    s.value_inner = (Operand){NULL, s.value.dtype, inner, s.value.shape + s.value.ndim - inner,
                              s.value.strides + s.value.ndim - inner};
    s.blocks_flat = s.places.inner_flat && operand_is_contiguous(&s.value_inner);
    merge_places(&s, shape, strides);
    const int64_t outer = s.places.outer, block = s.places.inner_size;
    if (outer * s.places.n * block == 0) {
        return STATUS_OK;
    }
    const int64_t row_bytes = s.places.n * (block * s.item + 16);
    if (outer > 1 || !s.blocks_flat || block * s.item < 2048) {
        return pool_run(outer, move_index_grain() / row_bytes + 1, scatter_rows, &s);
    }
    const int64_t columns = MOVE_GRAIN_BYTES / (s.places.n * s.item) + 1;
    return pool_run(block, columns > 128 ? columns : 128, scatter_columns, &s);
}

Status
cpu_scatter(const Call *call)
{
    return scatter(call, false);
}

Status
cpu_scatter_add(const Call *call)
{
    return scatter(call, true);
}
