/* base/freelist.h -- dead blocks of one size, kept for reuse.
 *
 * For headers that are made and dropped with every op: cheaper than mem_new, since nothing is
 * counted. The interpreter lock guards a list, as it guards reference counts. Under a sanitizer,
 * and while requests are to fail (mem.h), every block goes through mem_new and mem_free.
 */
#ifndef BASE_FREELIST_H
#define BASE_FREELIST_H

#include "base/mem.h"

typedef struct FreeList {
    void *head;        /* each block begins with the pointer to the next */
    int32_t count;
    int32_t limit;     /* blocks to keep */
    const size_t size; /* of each block */
} FreeList;

static inline void *
freelist_new(FreeList *list)
{
    void *block = list->head;
    if (__builtin_expect(block == NULL || mem_is_checked(), 0)) {
        return mem_new(list->size);
    }
    list->head = *(void **)block;
    list->count--;
    return block;
}

static inline void
freelist_free(FreeList *list, void *block)
{
    if (__builtin_expect(list->count >= list->limit || MEM_PLAIN, 0)) {
        mem_free(block, list->size);
        return;
    }
    *(void **)block = list->head;
    list->head = block;
    list->count++;
}

/* Give all blocks back to the allocator. */
static inline void
freelist_trim(FreeList *list)
{
    for (void *block = list->head; block != NULL; block = list->head) {
        list->head = *(void **)block;
        mem_free(block, list->size);
    }
    list->count = 0;
}

#endif
