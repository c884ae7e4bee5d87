/* base/vec.c -- growing of vectors */
#include "base/vec.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

enum { FIRST_CAPACITY = 8 };

void *
vec_grow(void *data, int64_t *capacity, int64_t count, size_t element)
{
    assert(count > *capacity);
    int64_t target = *capacity < FIRST_CAPACITY / 2 ? FIRST_CAPACITY : *capacity * 2;
    int64_t bytes = 0;
    if (target < count) {
        target = count;
    }
    if (!checked_mul_i64(target, (int64_t)element, &bytes)) {
        err_set(ERR_MEMORY, "a vector of %jd elements is too large", (intmax_t)target);
        return data;
    }
    void *moved = mem_resize(data, (size_t)*capacity * element, (size_t)bytes);
    if (moved == NULL) {
        return data;
    }
    *capacity = target;
    return moved;
}

void
vec_copy(void *data, int64_t at, const void *from, int64_t count, size_t element)
{
    if (count > 0) {
        memcpy((char *)data + (size_t)at * element, from, (size_t)count * element);
    }
}
