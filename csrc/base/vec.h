/* base/vec.h -- growable arrays of one element type */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/*
 * VEC(Node *) nodes = {0};                      an empty vector
 * if (vec_push(&nodes, node) != STATUS_OK) ...  append one element
 * nodes.data[i], nodes.size                     use
 * vec_fini(&nodes);                             free; the vector is empty again
 *
 * VEC makes an anonymous struct: give it a typedef to pass it between functions.
 */
#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *data;                                                                                   \
        int64_t size;                                                                              \
        int64_t capacity;                                                                          \
    }

/* Make room for `count` elements in all; the size stays. */
#define vec_reserve(v, count)                                                                      \
    ((count) <= (v)->capacity ? STATUS_OK                                                          \
                              : ((v)->data = vec_grow((v)->data, &(v)->capacity, (count),          \
                                                      sizeof *(v)->data),                          \
                                 (count) <= (v)->capacity ? STATUS_OK : STATUS_ERROR))

/* Append by assignment. STATUS_ERROR with ERR_MEMORY set leaves the vector as it was. */
#define vec_push(v, ...)                                                                           \
    (vec_reserve((v), (v)->size + 1) != STATUS_OK                                                  \
         ? STATUS_ERROR                                                                            \
         : ((v)->data[(v)->size] = (__VA_ARGS__), (v)->size++, STATUS_OK))

/* Append `count` elements copied from `from`, which must not lie in the vector. */
#define vec_append(v, from, count)                                                                 \
    (vec_reserve((v), (v)->size + (count)) != STATUS_OK                                            \
         ? STATUS_ERROR                                                                            \
         : (vec_copy((v)->data, (v)->size, 1 ? (from) : (v)->data, (count), sizeof *(v)->data),    \
            (v)->size += (count), STATUS_OK))

/* Remove and give the last element; the vector must not be empty. */
#define vec_pop(v) ((v)->data[--(v)->size])

#define vec_last(v) ((v)->data[(v)->size - 1])

#define vec_clear(v) ((void)((v)->size = 0))

#define vec_fini(v)                                                                                \
    (mem_free((v)->data, (size_t)(v)->capacity * sizeof *(v)->data), (v)->data = NULL,             \
     (void)((v)->size = (v)->capacity = 0))

/*
 * What the macros call. vec_grow gives the moved block and the new capacity, which at
 * least doubles, so that n appends cost O(n); on failure the old block, with ERR_MEMORY
 * set and the capacity unchanged.
 */
void *vec_grow(void *data, int64_t *capacity, int64_t count, size_t element);
void vec_copy(void *data, int64_t at, const void *from, int64_t count, size_t element);

#endif
