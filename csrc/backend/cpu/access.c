/* backend/cpu/access.c -- operands of any strides as blocks of contiguous elements. */
#include "backend/cpu/access.h"

#include "backend/cpu/move.h"

#include <string.h>

void
access_init(Access *access, const Operand *operand, int naxes, const int *order)
{
    Access *const a = access;
    a->data = operand->data;
    a->size = dtype_size(operand->dtype);
    a->ndim = 0;
    uintptr_t bits = (uintptr_t)operand->data;
    for (int i = 0; i < naxes; i++) {
        const int axis = order == NULL ? i : order[i];
        const int64_t size = operand->shape[axis];
        const int64_t stride = operand->strides[axis];
        if (size == 1) {
            continue;
        }
        bits |= (uintptr_t)stride;
        if (a->ndim > 0 && a->strides[a->ndim - 1] == size * stride) {
            a->shape[a->ndim - 1] *= size;
            a->strides[a->ndim - 1] = stride;
            continue;
        }
        a->shape[a->ndim] = size;
        a->strides[a->ndim] = stride;
        a->ndim++;
    }
    const uintptr_t alignment = a->size > 8 ? 8 : (uintptr_t)a->size;
    a->aligned = bits % alignment == 0;
    a->uniform = a->aligned && (a->ndim == 0 || (a->ndim == 1 && a->strides[0] == 0));
    a->contiguous = a->aligned && (a->ndim == 0 || (a->ndim == 1 && a->strides[0] == a->size));
}

int64_t
access_offset(const Access *a, int64_t at)
{
    int64_t offset = 0;
    for (int d = a->ndim - 1; d >= 0 && at != 0; d--) {
        offset += at % a->shape[d] * a->strides[d];
        at /= a->shape[d];
    }
    return offset;
}

typedef struct Pair {
    uint64_t first, second;
} Pair;

/* n elements at one stride, of any alignment */
#define STRIDED(type)                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type v;                                                                                    \
        memcpy(&v, from + i * from_stride, sizeof v);                                              \
        memcpy(to + i * to_stride, &v, sizeof v);                                                  \
    }

enum { SHORT_RUN = 64 }; /* elements; longer ones pay for the call of a function */

/* The elements of a short run, eight bytes each, in order. */
static inline void
load_short(char *to, const char *from, int64_t stride, int64_t n)
{
    int64_t i = 0;
    if (stride == 8) {
        cpu_copy_short(to, from, 8 * n);
        return;
    }
    if (stride == 0) {
        Pair pair;
        memcpy(&pair.first, from, 8);
        pair.second = pair.first;
        for (; i + 2 <= n; i += 2) {
            memcpy(to + 8 * i, &pair, sizeof pair);
        }
    }
    for (; i < n; i++) {
        memcpy(to + 8 * i, from + stride * i, 8);
    }
}

static void
copy_strided(char *to, int64_t to_stride, const char *from, int64_t from_stride, int size,
             int64_t n)
{
    if (to_stride == size && from_stride == size) {
        memcpy(to, from, (size_t)(n * size));
        return;
    }
    if (to_stride == size && from_stride == 0) {
        cpu_fill(to, from, size, n);
        return;
    }
    switch (size) {
    case 1:
        STRIDED(uint8_t)
        break;
    case 2:
        STRIDED(uint16_t)
        break;
    case 4:
        STRIDED(uint32_t)
        break;
    case 8:
        STRIDED(uint64_t)
        break;
    default:
        STRIDED(Pair)
        break;
    }
}

/* Walks [at, at + n) run by run; `buffer` is the contiguous side. */
static void
copy_runs(const Access *a, char *data, int64_t at, int64_t n, char *buffer, bool store)
{
    int64_t index[ARRAY_MAX_NDIM];
    int64_t offset = 0;
    int64_t rest = at;
    const int last = a->ndim - 1;
    for (int d = last; d >= 0; d--) {
        index[d] = rest % a->shape[d];
        rest /= a->shape[d];
        offset += index[d] * a->strides[d];
    }
    while (n > 0) {
        const int64_t left = a->shape[last] - index[last];
        const int64_t count = left < n ? left : n;
        if (store) {
            copy_strided(data + offset, a->strides[last], buffer, a->size, a->size, count);
        } else if (a->size == 8 && count <= SHORT_RUN) {
            load_short(buffer, data + offset, a->strides[last], count);
        } else {
            copy_strided(buffer, a->size, data + offset, a->strides[last], a->size, count);
        }
        buffer += count * a->size;
        n -= count;
        offset -= index[last] * a->strides[last];
        index[last] = 0;
        for (int d = last - 1; d >= 0 && n > 0; d--) {
            offset += a->strides[d];
            if (++index[d] < a->shape[d]) {
                break;
            }
            offset -= a->shape[d] * a->strides[d];
            index[d] = 0;
        }
    }
}

const void *
access_load(const Access *a, int64_t at, int64_t n, void *scratch, bool *uniform)
{
    *uniform = a->uniform;
    if (a->uniform) {
        return a->data;
    }
    if (a->contiguous) {
        return a->data + at * a->size;
    }
    if (a->ndim == 0) {
        memcpy(scratch, a->data, (size_t)a->size);
        *uniform = true;
        return scratch;
    }
    const int last = a->ndim - 1;
    const int64_t stride = a->strides[last];
    const bool one_run = at % a->shape[last] + n <= a->shape[last];
    if (one_run && a->aligned && (stride == a->size || stride == 0)) {
        *uniform = stride == 0;
        return a->data + access_offset(a, at);
    }
    if (one_run) {
        copy_strided(scratch, a->size, a->data + access_offset(a, at), stride, a->size, n);
        return scratch;
    }
    copy_runs(a, a->data, at, n, scratch, false);
    return scratch;
}

const void *
access_gather(const Access *a, const char *data, int64_t at, int64_t n, void *scratch)
{
    if (a->contiguous) {
        return data + at * a->size;
    }
    if (a->ndim == 0) {
        cpu_fill(scratch, data, a->size, n);
        return scratch;
    }
    const int last = a->ndim - 1;
    if (at % a->shape[last] + n <= a->shape[last]) {
        const char *from = data + access_offset(a, at);
        if (a->aligned && a->strides[last] == a->size) {
            return from;
        }
        copy_strided(scratch, a->size, from, a->strides[last], a->size, n);
        return scratch;
    }
    copy_runs(a, (char *)(uintptr_t)data, at, n, scratch, false);
    return scratch;
}

void
access_scatter(const Access *a, char *data, int64_t at, int64_t n, const void *from)
{
    if (a->ndim == 0) {
        memcpy(data, from, (size_t)a->size);
        return;
    }
    copy_runs(a, data, at, n, (char *)(uintptr_t)from, true);
}
