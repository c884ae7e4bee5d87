/* base/hash.h -- hash tables from 64-bit keys (or pointers) to 64-bit values, and hashes */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* One slot; `used` is private to hash.c. */
typedef struct HashSlot {
    uint64_t key;
    uint64_t value;
    uint64_t used;
} HashSlot;

/*
 * Open addressing, deletion without tombstones. `HashMap map = {0}` is an empty map that
 * owns no memory. Not for use by two threads at once.
 */
typedef struct HashMap {
    HashSlot *slots;
    int64_t size;     /* entries */
    int64_t capacity; /* slots: 0 or a power of two */
} HashMap;

void hash_fini(HashMap *map); /* frees; the map is empty again */
void hash_clear(HashMap *map);

/* Make room for `count` entries, so that sets up to there cannot fail. */
Status hash_reserve(HashMap *map, int64_t count);

/* Add or replace. On ERR_MEMORY the map is unchanged. */
Status hash_set(HashMap *map, uint64_t key, uint64_t value);

/* True and *value (may be NULL) when the key is there. */
bool hash_get(const HashMap *map, uint64_t key, uint64_t *value);

/* True when the key was there. Never fails, never allocates. */
bool hash_remove(HashMap *map, uint64_t key);

/*
 * Walk through all entries in no particular order: `int64_t at = 0; while (hash_next(&map,
 * &at, &key, &value)) ...`. The map must not change meanwhile.
 */
bool hash_next(const HashMap *map, int64_t *at, uint64_t *key, uint64_t *value);

/* The same with pointers. hash_get_ptr gives NULL when the key is not there. */
Status hash_set_ptr(HashMap *map, const void *key, void *value);
void *hash_get_ptr(const HashMap *map, const void *key);
bool hash_remove_ptr(HashMap *map, const void *key);

/* A well mixed 64-bit hash; the same on every machine of one byte order. */
uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed);
uint64_t hash_mix(uint64_t x);
uint64_t hash_combine(uint64_t hash, uint64_t x);

#endif
