/* base/mem.h -- all memory of the core: cached, counted, limited, failing on demand */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks come straight from malloc, so that sanitizers see every error. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(PYARR_CHECKS)
#define MEM_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEM_PLAIN 1
#endif
#endif
#ifndef MEM_PLAIN
#define MEM_PLAIN 0
#endif

enum { MEM_ALIGNMENT = 64 };

typedef struct MemStats {
    int64_t bytes_live;   /* requested and not freed, all threads */
    int64_t blocks_live;
    int64_t bytes_peak;   /* largest bytes_live seen; approximate by at most 64 KiB a thread */
    int64_t bytes_cached; /* freed by us, not yet given back to the system (large blocks) */
    int64_t requests;     /* calls that asked for memory since the start */
} MemStats;

/*
 * A block of at least `size` bytes, contents undefined, aligned to 64 bytes from 64 bytes
 * on and to 16 below. `size` 0 gives a valid pointer. NULL with ERR_MEMORY set on failure.
 * Blocks may be freed by any thread.
 */
void *mem_new(size_t size);
void *mem_new_zeroed(size_t size);

/* mem_new of count * size bytes; ERR_MEMORY when the product overflows. */
void *mem_new_array(int64_t count, size_t size);

/*
 * Move the block to `new_size` bytes, keeping the common prefix; `block` may be NULL
 * (then old_size is 0). On failure returns NULL with ERR_MEMORY set and `block` stands.
 */
void *mem_resize(void *block, size_t old_size, size_t new_size);

/* Give back a block; `size` is the size it was asked with. NULL does nothing. */
void mem_free(void *block, size_t size);

MemStats mem_stats(void);
void mem_reset_peak(void);

/*
 * Requests that would make bytes_live exceed `bytes` (as exactly as bytes_peak) fail;
 * negative removes the limit.
 */
void mem_set_limit(int64_t bytes);

/*
 * Let the n-th request from now (1 is the next one) fail, whichever thread makes it;
 * only that one. 0 switches it off. Returns what was left of the previous setting: 0 if
 * its failure has happened or none was set.
 */
int64_t mem_fail_at(int64_t n);

/* Give cached memory back to the system: this thread's lists and the shared blocks. */
void mem_trim(void);

/* Bytes of large freed blocks kept for reuse; default 256 MiB. */
void mem_set_cache_limit(int64_t bytes);

/* Is there a limit, or a request that is to fail? */
extern _Atomic bool mem_checks;
static inline bool mem_is_checked(void)
{
    return atomic_load_explicit(&mem_checks, memory_order_relaxed);
}

#endif
