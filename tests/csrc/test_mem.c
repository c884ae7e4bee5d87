/* The allocator: alignment, contents, counts, limits, failures, threads, reuse. */
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "check.h"

enum { BLOCKS = 3000, THREADS = 4 };

static uint32_t
next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t
random_size(uint32_t *state)
{
    const uint32_t r = next_random(state);
    switch (r % 8) {
    case 0:
        return next_random(state) % 100000;
    case 1:
        return next_random(state) % 5000;
    default:
        return next_random(state) % 300;
    }
}

static void
test_alignment(void)
{
    for (size_t size = 0; size < 5000; size++) {
        char *block = mem_new(size);
        CHECK(block != NULL);
        CHECK((uintptr_t)block % (size >= 64 ? 64 : 16) == 0);
        memset(block, 1, size);
        mem_free(block, size);
    }
    for (int shift = 12; shift < 24; shift++) {
        for (int delta = -1; delta <= 1; delta++) {
            const size_t size = ((size_t)1 << shift) + (size_t)delta;
            char *block = mem_new_zeroed(size);
            CHECK(block != NULL && (uintptr_t)block % 64 == 0);
            CHECK(block[0] == 0 && block[size / 2] == 0 && block[size - 1] == 0);
            memset(block, 1, size);
            mem_free(block, size);
            block = mem_new_zeroed(size);
            CHECK(block != NULL && block[0] == 0 && block[size - 1] == 0);
            mem_free(block, size);
        }
    }
}

/* Blocks do not overlap: each keeps its own byte. */
static void *
churn(void *argument)
{
    uint32_t state = (uint32_t)(uintptr_t)argument;
    static _Thread_local unsigned char *blocks[BLOCKS];
    static _Thread_local size_t sizes[BLOCKS];
    for (int round = 0; round < 10 * BLOCKS; round++) {
        const int i = (int)(next_random(&state) % BLOCKS);
        for (size_t k = 0; blocks[i] != NULL && k < sizes[i]; k += 37) {
            CHECK(blocks[i][k] == (unsigned char)i);
        }
        if (blocks[i] != NULL && round % 3 == 0) {
            const size_t size = random_size(&state);
            blocks[i] = mem_resize(blocks[i], sizes[i], size);
            CHECK(blocks[i] != NULL);
            CHECK(size == 0 || sizes[i] == 0 || blocks[i][0] == (unsigned char)i);
            sizes[i] = size;
        } else {
            mem_free(blocks[i], sizes[i]);
            sizes[i] = random_size(&state);
            blocks[i] = mem_new(sizes[i]);
            CHECK(blocks[i] != NULL);
        }
        memset(blocks[i], i, sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        mem_free(blocks[i], sizes[i]);
        blocks[i] = NULL;
    }
    return NULL;
}

static void
test_counts(void)
{
    const MemStats before = mem_stats();
    void *a = mem_new(1000);
    void *b = mem_new(1000000);
    MemStats stats = mem_stats();
    CHECK(stats.bytes_live - before.bytes_live == 1001000);
    CHECK(stats.blocks_live - before.blocks_live == 2);
    CHECK(stats.requests - before.requests == 2);
    CHECK(stats.bytes_peak >= stats.bytes_live);
    mem_free(a, 1000);
    mem_free(b, 1000000);
    mem_free(NULL, 0);
    stats = mem_stats();
    CHECK(stats.bytes_live == before.bytes_live && stats.blocks_live == before.blocks_live);
    CHECK(stats.bytes_peak >= before.bytes_live + 1000000);
    mem_reset_peak();
    CHECK(mem_stats().bytes_peak < before.bytes_live + 1000000);
}

static void
test_threads(void)
{
    const MemStats before = mem_stats();
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    }
    churn((void *)(intptr_t)THREADS);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    const MemStats after = mem_stats();
    CHECK(after.bytes_live == before.bytes_live && after.blocks_live == before.blocks_live);
}

static void *
free_blocks(void *argument)
{
    void **blocks = argument;
    for (int i = 0; i < BLOCKS; i++) {
        mem_free(blocks[i], 40);
    }
    return NULL;
}

/* Blocks freed by another thread come back to this one when that thread ends. */
static void
test_foreign_free(void)
{
    static void *blocks[BLOCKS];
    const MemStats before = mem_stats();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = mem_new(40);
            CHECK(blocks[i] != NULL);
        }
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, free_blocks, blocks) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(mem_stats().bytes_live == before.bytes_live);
}

static void
test_failures(void)
{
    CHECK(mem_fail_at(3) == 0);
    void *a = mem_new(10);
    void *b = mem_new(5000);
    CHECK(a != NULL && b != NULL);
    CHECK(mem_new(10) == NULL && err_kind() == ERR_MEMORY);
    void *c = mem_new(10);
    CHECK(c != NULL && mem_fail_at(5) == 0 && mem_fail_at(0) == 5);
    CHECK(mem_fail_at(1) == 0);
    CHECK(mem_resize(a, 10, 100) == NULL); /* and `a` stands */
    mem_free(a, 10);
    mem_free(b, 5000);
    mem_free(c, 10);

    err_clear();
    mem_set_limit(mem_stats().bytes_live + 100000);
    a = mem_new(90000);
    CHECK(a != NULL && mem_new(20000) == NULL && err_kind() == ERR_MEMORY);
    CHECK(mem_new(SIZE_MAX) == NULL);
    mem_set_limit(-1);
    mem_free(a, 90000);

    err_clear();
    CHECK(mem_new(SIZE_MAX) == NULL && err_kind() == ERR_MEMORY);
    CHECK(mem_new(SIZE_MAX / 2) == NULL);
    CHECK(mem_new_array(INT64_MAX, 16) == NULL && err_kind() == ERR_MEMORY);
    CHECK(mem_new_array(-1, 1) == NULL);
    err_clear();
}

static void
test_reuse(void)
{
    if (MEM_PLAIN) {
        return;
    }
    const size_t size = 8000000;
    mem_trim();
    CHECK(mem_stats().bytes_cached == 0);
    char *first = mem_new(size);
    first[0] = 1;
    mem_free(first, size);
    CHECK(mem_stats().bytes_cached >= (int64_t)size);
    char *second = mem_new(size - 1000);
    CHECK(second == first);
    mem_free(second, size - 1000);
    mem_set_cache_limit(1000000);
    CHECK(mem_stats().bytes_cached == 0);
    mem_free(mem_new(size), size);
    CHECK(mem_stats().bytes_cached == 0);
    mem_set_cache_limit(20000000);
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = mem_new(size);
    }
    for (int i = 0; i < 4; i++) {
        mem_free(blocks[i], size);
    }
    CHECK(mem_stats().bytes_cached >= (int64_t)size && mem_stats().bytes_cached <= 20000000);
    CHECK(mem_new(size) == blocks[3]);
    mem_free(blocks[3], size);
    mem_trim();
    CHECK(mem_stats().bytes_cached == 0);
}

int
main(void)
{
    test_alignment();
    test_counts();
    churn((void *)7);
    test_threads();
    test_foreign_free();
    test_failures();
    test_reuse();
    return 0;
}
