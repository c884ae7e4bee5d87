/* Checked arithmetic, vectors and hash tables, with failing memory too. */
#include <stdint.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "check.h"

typedef VEC(double) Doubles;

static void
test_checked(void)
{
    int64_t out = 0;
    CHECK(checked_add_i64(3, 4, &out) && out == 7);
    CHECK(!checked_add_i64(INT64_MAX, 1, &out));
    CHECK(checked_sub_i64(3, 4, &out) && out == -1);
    CHECK(!checked_sub_i64(INT64_MIN, 1, &out));
    CHECK(checked_mul_i64(1 << 20, 1 << 20, &out) && out == (int64_t)1 << 40);
    CHECK(!checked_mul_i64(INT64_MAX, 2, &out));
    const int64_t shape[] = {3, 4, 5};
    const int64_t large[] = {(int64_t)1 << 40, (int64_t)1 << 40, 0};
    const int64_t empty[] = {5, 0, 7};
    CHECK(checked_product(shape, 3, &out) && out == 60);
    CHECK(checked_product(shape, 0, &out) && out == 1);
    CHECK(checked_product(empty, 3, &out) && out == 0);
    CHECK(!checked_product(large, 3, &out));
}

static void
test_vec(void)
{
    Doubles v = {0};
    for (int i = 0; i < 1000; i++) {
        CHECK(vec_push(&v, i * 0.5) == STATUS_OK);
    }
    CHECK(v.size == 1000 && v.data[10] == 5.0 && vec_last(&v) == 499.5);
    CHECK(vec_pop(&v) == 499.5 && v.size == 999);
    const double more[] = {1, 2, 3};
    CHECK(vec_append(&v, more, 3) == STATUS_OK && v.size == 1002 && vec_last(&v) == 3);
    CHECK(vec_reserve(&v, 5000) == STATUS_OK && v.size == 1002 && v.capacity >= 5000);
    CHECK(vec_reserve(&v, INT64_MAX / 4) == STATUS_ERROR && v.data[10] == 5.0);
    vec_clear(&v);
    CHECK(v.size == 0);
    vec_fini(&v);
    CHECK(v.data == NULL && v.capacity == 0);

    mem_fail_at(1);
    CHECK(vec_push(&v, 1.0) == STATUS_ERROR && v.size == 0 && v.data == NULL);
    CHECK(vec_push(&v, 1.0) == STATUS_OK && v.size == 1);
    vec_fini(&v);
}

/* Against a plain array, with many keys that collide. */
static void
test_hash(void)
{
    enum { KEYS = 700 };
    static uint64_t truth[KEYS];
    static bool there[KEYS];
    HashMap map = {0};
    uint64_t value = 0;
    int64_t size = 0;
    uint32_t state = 1;
    CHECK(!hash_get(&map, 5, &value) && !hash_remove(&map, 5));
    for (int round = 0; round < 200000; round++) {
        state = state * 1664525u + 1013904223u;
        const int k = (int)(state >> 8) % KEYS;
        const uint64_t key = (uint64_t)k << (k % 3 * 20);
        if (key == 0 && k != 0) {
            continue;
        }
        CHECK(hash_get(&map, key, &value) == there[k] && (!there[k] || value == truth[k]));
        if (state & 64) {
            CHECK(hash_set(&map, key, state) == STATUS_OK);
            size += !there[k];
            there[k] = true;
            truth[k] = state;
        } else {
            CHECK(hash_remove(&map, key) == there[k]);
            size -= there[k];
            there[k] = false;
        }
        CHECK(map.size == size);
    }
    int64_t at = 0;
    int64_t seen = 0;
    uint64_t key = 0;
    while (hash_next(&map, &at, &key, &value)) {
        uint64_t again = 0;
        CHECK(hash_get(&map, key, &again) && again == value);
        seen++;
    }
    CHECK(seen == size);
    hash_clear(&map);
    CHECK(map.size == 0 && !hash_get(&map, 1, NULL));
    hash_fini(&map);

    int x = 0;
    CHECK(hash_get_ptr(&map, &x) == NULL);
    mem_fail_at(1);
    CHECK(hash_set_ptr(&map, &x, &map) == STATUS_ERROR && map.size == 0);
    CHECK(hash_set_ptr(&map, &x, &map) == STATUS_OK && hash_get_ptr(&map, &x) == &map);
    CHECK(hash_remove_ptr(&map, &x) && !hash_remove_ptr(&map, &x));
    CHECK(hash_reserve(&map, INT64_MAX) == STATUS_ERROR);
    hash_fini(&map);
}

static void
test_hash_bytes(void)
{
    enum { COUNT = 20000 };
    static uint64_t hashes[COUNT];
    unsigned char bytes[40] = {0};
    HashMap map = {0};
    /* Distinct contents, lengths and seeds give distinct hashes. */
    for (int i = 0; i < COUNT; i++) {
        memcpy(bytes + 3, &i, sizeof i);
        hashes[i] = hash_bytes(bytes, 7 + (size_t)(i % 20), 0);
        CHECK(!hash_get(&map, hashes[i], NULL));
        CHECK(hash_set(&map, hashes[i], 1) == STATUS_OK);
        CHECK(hash_bytes(bytes, 7 + (size_t)(i % 20), 0) == hashes[i]);
        CHECK(hash_bytes(bytes, 7 + (size_t)(i % 20), 1) != hashes[i]);
    }
    CHECK(hash_bytes(NULL, 0, 0) != hash_bytes(NULL, 0, 1));
    CHECK(hash_combine(1, 2) != hash_combine(2, 1));
    hash_fini(&map);
}

int
main(void)
{
    test_checked();
    test_vec();
    test_hash();
    test_hash_bytes();
    CHECK(mem_stats().bytes_live == 0 && mem_stats().blocks_live == 0);
    return 0;
}
