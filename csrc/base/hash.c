/* base/hash.c -- hash tables with linear probing, and hashes of bytes */
#include "base/hash.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_SLOTS = 16 };

static int64_t
slot_of(const HashMap *map, uint64_t key)
{
    return (int64_t)(hash_mix(key) & (uint64_t)(map->capacity - 1));
}

/* The slot that holds the key, or the free one where it would go. */
static HashSlot *
find(const HashMap *map, uint64_t key)
{
    int64_t at = slot_of(map, key);
    while (map->slots[at].used && map->slots[at].key != key) {
        at = (at + 1) & (map->capacity - 1);
    }
    return &map->slots[at];
}

void
hash_fini(HashMap *map)
{
    mem_free(map->slots, (size_t)map->capacity * sizeof *map->slots);
    *map = (HashMap){0};
}

void
hash_clear(HashMap *map)
{
    if (map->capacity > 0) {
        memset(map->slots, 0, (size_t)map->capacity * sizeof *map->slots);
    }
    map->size = 0;
}

Status
hash_reserve(HashMap *map, int64_t count)
{
    /* At most three quarters full. */
    int64_t capacity = map->capacity > 0 ? map->capacity : FIRST_SLOTS;
    while (capacity / 4 * 3 < count) {
        if (capacity > INT64_MAX / 4 / (int64_t)sizeof(HashSlot)) {
            return err_set(ERR_MEMORY, "a table of %jd entries is too large", (intmax_t)count);
        }
        capacity *= 2;
    }
    if (capacity == map->capacity) {
        return STATUS_OK;
    }
    HashMap larger = {NULL, map->size, capacity};
    larger.slots = mem_new_zeroed((size_t)capacity * sizeof *larger.slots);
    if (larger.slots == NULL) {
        return STATUS_ERROR;
    }
    for (int64_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].used) {
            *find(&larger, map->slots[i].key) = map->slots[i];
        }
    }
    mem_free(map->slots, (size_t)map->capacity * sizeof *map->slots);
    *map = larger;
    return STATUS_OK;
}

Status
hash_set(HashMap *map, uint64_t key, uint64_t value)
{
    if (map->capacity > 0) {
        HashSlot *slot = find(map, key);
        if (slot->used) {
            slot->value = value;
            return STATUS_OK;
        }
    }
    if (hash_reserve(map, map->size + 1) != STATUS_OK) {
        return STATUS_ERROR;
    }
    *find(map, key) = (HashSlot){key, value, 1};
    map->size++;
    return STATUS_OK;
}

bool
hash_get(const HashMap *map, uint64_t key, uint64_t *value)
{
    if (map->size == 0) {
        return false;
    }
    const HashSlot *slot = find(map, key);
    if (!slot->used) {
        return false;
    }
    if (value != NULL) {
        *value = slot->value;
    }
    return true;
}

bool
hash_remove(HashMap *map, uint64_t key)
{
    if (map->size == 0) {
        return false;
    }
    HashSlot *hole = find(map, key);
    if (!hole->used) {
        return false;
    }
    /* Knuth's algorithm R: later entries of the run move back over the hole, unless that
     * would put them before their own slot. */
    const int64_t mask = map->capacity - 1;
    int64_t empty = hole - map->slots;
    for (int64_t at = (empty + 1) & mask; map->slots[at].used; at = (at + 1) & mask) {
        const int64_t home = slot_of(map, map->slots[at].key);
        if (((at - home) & mask) >= ((at - empty) & mask)) {
            map->slots[empty] = map->slots[at];
            empty = at;
        }
    }
    map->slots[empty].used = 0;
    map->size--;
    return true;
}

bool
hash_next(const HashMap *map, int64_t *at, uint64_t *key, uint64_t *value)
{
    for (; *at < map->capacity; ++*at) {
        const HashSlot *slot = &map->slots[*at];
        if (slot->used) {
            *key = slot->key;
            *value = slot->value;
            ++*at;
            return true;
        }
    }
    return false;
}

Status
hash_set_ptr(HashMap *map, const void *key, void *value)
{
    return hash_set(map, (uint64_t)(uintptr_t)key, (uint64_t)(uintptr_t)value);
}

void *
hash_get_ptr(const HashMap *map, const void *key)
{
    uint64_t value = 0;
    hash_get(map, (uint64_t)(uintptr_t)key, &value);
    return (void *)(uintptr_t)value;
}

bool
hash_remove_ptr(HashMap *map, const void *key)
{
    return hash_remove(map, (uint64_t)(uintptr_t)key);
}

/* Odd constants with about half of their bits set. */
static const uint64_t MIX_1 = 0x9e3779b97f4a7c15u;
static const uint64_t MIX_2 = 0xd6e8feb86659fd93u;

uint64_t
hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= MIX_2;
    x ^= x >> 32;
    x *= MIX_2;
    x ^= x >> 32;
    return x;
}

uint64_t
hash_combine(uint64_t hash, uint64_t x)
{
    return hash_mix(hash * MIX_1 + x + 1);
}

uint64_t
hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = hash_combine(seed, size);
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * MIX_1;
        hash ^= hash >> 29;
    }
    uint64_t rest = 0;
    if (size > 0) {
        memcpy(&rest, at, size);
    }
    return hash_combine(hash, rest);
}
