/* base/mem_large.h -- blocks beyond the small classes, for mem.c alone */
#ifndef BASE_MEM_LARGE_H
#define BASE_MEM_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A block aligned to 64 bytes, or NULL without an error set. *zero goes from true to
 * false when the block is known to hold zeros.
 */
void *mem_large_new(size_t size, bool *zero);
void mem_large_free(void *block, size_t size);

void mem_large_trim(void);
void mem_large_set_limit(int64_t bytes);
int64_t mem_large_cached(void);

#endif
