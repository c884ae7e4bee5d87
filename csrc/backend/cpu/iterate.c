/* backend/cpu/iterate.c -- strided loops: merging and ordering axes, walking runs. */
#include "backend/cpu/iterate.h"

#include <assert.h>
#include <string.h>

static int64_t
absolute(int64_t x)
{
    return x < 0 ? -x : x;
}

static void
swap_axes(Iterate *it, int a, int b)
{
    const int64_t size = it->shape[a];
    it->shape[a] = it->shape[b];
    it->shape[b] = size;
    for (int k = 0; k < it->nop; k++) {
        const int64_t stride = it->strides[a][k];
        it->strides[a][k] = it->strides[b][k];
        it->strides[b][k] = stride;
    }
}

/* Should axis a be outside axis b? The first operand that moves along both decides. */
static bool
is_outer(const Iterate *it, int a, int b)
{
    for (int k = 0; k < it->nop; k++) {
        const int64_t sa = absolute(it->strides[a][k]);
        const int64_t sb = absolute(it->strides[b][k]);
        if (sa != 0 && sb != 0 && sa != sb) {
            return sa > sb;
        }
    }
    return true;
}

/* Walk an axis backwards when no operand walks it forwards. */
static void
reverse_axis(Iterate *it, int axis)
{
    bool any = false;
    for (int k = 0; k < it->nop; k++) {
        if (it->strides[axis][k] > 0) {
            return;
        }
        any = any || it->strides[axis][k] < 0;
    }
    for (int k = 0; any && k < it->nop; k++) {
        it->start[k] += (it->shape[axis] - 1) * it->strides[axis][k];
        it->strides[axis][k] = -it->strides[axis][k];
    }
}

static void
reorder(Iterate *it)
{
    for (int axis = 0; axis < it->ndim; axis++) {
        reverse_axis(it, axis);
    }
    for (int i = 1; i < it->ndim; i++) { /* few axes: insertion sort keeps ties as they are */
        for (int j = i; j > 0 && !is_outer(it, j - 1, j); j--) {
            swap_axes(it, j - 1, j);
        }
    }
}

static bool
can_merge(const Iterate *it, int outer, int inner)
{
    for (int k = 0; k < it->nop; k++) {
        if (it->strides[outer][k] != it->strides[inner][k] * it->shape[inner]) {
            return false;
        }
    }
    return true;
}

static void
merge_axes(Iterate *it)
{
    int last = 0;
    for (int axis = 1; axis < it->ndim; axis++) {
        if (can_merge(it, last, axis)) {
            it->shape[last] *= it->shape[axis];
        } else {
            last++;
            it->shape[last] = it->shape[axis];
        }
        if (last != axis) {
            memcpy(it->strides[last], it->strides[axis], (size_t)it->nop * sizeof(int64_t));
        }
    }
    it->ndim = last + 1;
}

void
iterate_init(Iterate *it, int ndim, const int64_t *shape, int nop, const int64_t *const *strides,
             unsigned flags)
{
    assert(1 <= nop && nop <= ITERATE_MAX_OPERANDS && 0 <= ndim && ndim <= ARRAY_MAX_NDIM);
    it->nop = nop;
    it->ndim = 0;
    it->size = 1;
    memset(it->start, 0, (size_t)nop * sizeof(int64_t));
    for (int axis = 0; axis < ndim; axis++) {
        it->size *= shape[axis];
        if (shape[axis] == 1) {
            continue;
        }
        it->shape[it->ndim] = shape[axis];
        for (int k = 0; k < nop; k++) {
            it->strides[it->ndim][k] = strides[k] == NULL ? 0 : strides[k][axis];
        }
        it->ndim++;
    }
    if (it->ndim == 0 || it->size == 0) {
        it->ndim = 1;
        it->shape[0] = it->size;
        memset(it->strides[0], 0, (size_t)nop * sizeof(int64_t));
    } else if (it->ndim > 1 || (flags & ITERATE_REORDER) != 0) {
        if ((flags & ITERATE_REORDER) != 0) {
            reorder(it);
        }
        merge_axes(it);
    }
    it->inner = it->shape[it->ndim - 1];
}

void
iterate_run(const Iterate *it, char *const *data, int64_t begin, int64_t end, IterateFn fn, void *ctx)
{
    char *at[ITERATE_MAX_OPERANDS];
    char *run[ITERATE_MAX_OPERANDS];
    int64_t index[ARRAY_MAX_NDIM];
    if (begin >= end) {
        return;
    }
    const int nop = it->nop;
    const int last = it->ndim - 1;
    const int64_t inner = it->inner;
    const int64_t *step = it->strides[last];
    for (int k = 0; k < nop; k++) {
        at[k] = data[k] + it->start[k];
    }
    int64_t rest = begin / inner;
    int64_t skip = begin % inner;
    for (int axis = last - 1; axis >= 0; axis--) {
        index[axis] = rest % it->shape[axis];
        rest /= it->shape[axis];
        for (int k = 0; k < nop; k++) {
            at[k] += index[axis] * it->strides[axis][k];
        }
    }
    for (int64_t left = end - begin;;) {
        const int64_t n = inner - skip < left ? inner - skip : left;
        for (int k = 0; k < nop; k++) {
            run[k] = at[k] + skip * step[k];
        }
        fn(ctx, run, step, n);
        left -= n;
        if (left == 0) {
            return;
        }
        skip = 0;
        for (int axis = last - 1; axis >= 0; axis--) {
            const int64_t *strides = it->strides[axis];
            if (++index[axis] < it->shape[axis]) {
                for (int k = 0; k < nop; k++) {
                    at[k] += strides[k];
                }
                break;
            }
            index[axis] = 0;
            for (int k = 0; k < nop; k++) {
                at[k] -= (it->shape[axis] - 1) * strides[k];
            }
        }
    }
}

int64_t
operand_size(const Operand *operand)
{
    int64_t size = 1;
    for (int axis = 0; axis < operand->ndim; axis++) {
        size *= operand->shape[axis];
    }
    return size;
}

bool
operand_is_contiguous(const Operand *operand)
{
    int64_t expected = dtype_size(operand->dtype);
    bool contiguous = true;
    for (int axis = operand->ndim - 1; axis >= 0; axis--) {
        const int64_t size = operand->shape[axis];
        if (size == 0) {
            return true;
        }
        contiguous = contiguous && (size == 1 || operand->strides[axis] == expected);
        expected *= size;
    }
    return contiguous;
}

typedef struct Pack {
    char *block; /* advances from run to run */
    int itemsize;
    bool unpack;
} Pack;

/* The item size is a literal in each call, so that the moves become single loads and stores. */
static inline void
move_items(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, size_t item)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * to_step, from + i * from_step, item);
    }
}

static void
pack_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    Pack *pack = ctx;
    char *to = pack->unpack ? data[0] : pack->block;
    const char *from = pack->unpack ? pack->block : data[0];
    const int64_t item = pack->itemsize;
    const int64_t to_step = pack->unpack ? strides[0] : item;
    const int64_t from_step = pack->unpack ? item : strides[0];
    pack->block += n * item;
    if (strides[0] == item) {
        memcpy(to, from, (size_t)(n * item));
        return;
    }
    switch (item) {
    case 1: move_items(to, to_step, from, from_step, n, 1); break;
    case 2: move_items(to, to_step, from, from_step, n, 2); break;
    case 4: move_items(to, to_step, from, from_step, n, 4); break;
    case 8: move_items(to, to_step, from, from_step, n, 8); break;
    default: move_items(to, to_step, from, from_step, n, 16); break;
    }
}

void
iterate_pack(const Operand *operand, int64_t begin, int64_t end, void *out)
{
    Iterate it;
    Pack pack = {out, dtype_size(operand->dtype), false};
    iterate_init(&it, operand->ndim, operand->shape, 1, &operand->strides, ITERATE_C_ORDER);
    iterate_run(&it, &operand->data, begin, end, pack_run, &pack);
}

void
iterate_unpack(const Operand *operand, int64_t begin, int64_t end, const void *in)
{
    Iterate it;
    Pack pack = {(char *)(uintptr_t)in, dtype_size(operand->dtype), true};
    iterate_init(&it, operand->ndim, operand->shape, 1, &operand->strides, ITERATE_C_ORDER);
    iterate_run(&it, &operand->data, begin, end, pack_run, &pack);
}
