/* The pool: all chunks once, nesting, several callers, interruption, fork. */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/poll.h"
#include "check.h"

enum { N = 100003, MAX_SIZE = 4 };

typedef struct Counts {
    _Atomic int seen[N];
    _Atomic int inside[POOL_MAX_THREADS];
    int64_t grain;
    bool nested;
} Counts;

static void
add_one(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        atomic_fetch_add((_Atomic int64_t *)ctx, 1);
    }
}

static void
mark(void *ctx, int64_t begin, int64_t end, int thread)
{
    Counts *counts = ctx;
    CHECK(0 <= thread && thread < MAX_SIZE);
    CHECK(atomic_fetch_add(&counts->inside[thread], 1) == 0);
    CHECK(begin % counts->grain == 0 && begin < end && end - begin <= counts->grain);
    for (int64_t i = begin; i < end; i++) {
        atomic_fetch_add_explicit(&counts->seen[i], 1, memory_order_relaxed);
    }
    if (counts->nested) {
        _Atomic int64_t sum = 0;
        CHECK(pool_run(100, 7, add_one, &sum) == STATUS_OK && sum == 100);
    }
    atomic_fetch_sub(&counts->inside[thread], 1);
}

static void
run_once(Counts *counts, int64_t n, int64_t grain, bool nested)
{
    memset(counts, 0, sizeof *counts);
    counts->grain = grain;
    counts->nested = nested;
    CHECK(pool_run(n, grain, mark, counts) == STATUS_OK);
    for (int64_t i = 0; i < N; i++) {
        CHECK(counts->seen[i] == (i < n));
    }
}

static void
run_sizes(Counts *counts)
{
    const int64_t sizes[] = {0, 1, 2, 999, 1000, 1001, 30000, N};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        run_once(counts, sizes[i], 1000, false);
        run_once(counts, sizes[i], 123, true);
    }
}

static void *
caller(void *unused)
{
    static _Thread_local Counts counts;
    run_sizes(&counts);
    return unused;
}

static _Atomic int polls;

static bool
interrupt(void)
{
    return atomic_fetch_add(&polls, 1) >= 2;
}

static void
slow(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)begin;
    (void)end;
    (void)thread;
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

static void
test_interrupt(void)
{
    _Atomic int done = 0;
    CHECK(!poll_interrupted());
    poll_set_hook(interrupt);
    CHECK(pool_run(10000, 1, slow, &done) == STATUS_ERROR);
    CHECK(err_kind() == ERR_INTERRUPT && done < 1000);
    poll_set_hook(NULL);
    done = 0;
    CHECK(pool_run(10, 1, slow, &done) == STATUS_OK && done == 10);
}

/* A chunk that would take for ever, were it not told to stop. */
static void
endless(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)begin;
    (void)end;
    (void)thread;
    if (ctx != NULL) {
        CHECK(pool_run(1, 1, endless, NULL) == STATUS_ERROR);
    }
    while (!pool_interrupted()) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    CHECK(pool_interrupted());
}

static void
test_interrupted_chunks(void)
{
    int nested;
    const int64_t sizes[] = {1, 2, 3 * MAX_SIZE};
    poll_set_hook(interrupt);
    for (int i = 0; i < 6; i++) {
        const int64_t n = sizes[i % 3];
        const unsigned before = poll_interruptions();
        polls = 0;
        CHECK(pool_run(n, 1, endless, i < 3 ? NULL : &nested) == STATUS_ERROR);
        CHECK(err_kind() == ERR_INTERRUPT && poll_interruptions() == before + 1);
        polls = 0;
        CHECK(pool_run_in_order(n, 1, endless, NULL) == STATUS_ERROR);
    }
    poll_set_hook(NULL);
    _Atomic int64_t sum = 0;
    CHECK(pool_run(1, 1, add_one, &sum) == STATUS_OK && sum == 1);
    CHECK(pool_run(100, 7, add_one, &sum) == STATUS_OK && sum == 101);
    CHECK(pool_run_in_order(100, 7, add_one, &sum) == STATUS_OK && sum == 201);
}

static void
test_fork(Counts *counts)
{
    const pid_t child = fork();
    if (child == 0) {
        run_sizes(counts);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run_sizes(counts);
}

int
main(void)
{
    static Counts counts;
    CHECK(pool_size() >= 1);
    for (int size = 1; size <= MAX_SIZE; size++) {
        pool_set_size(size);
        CHECK(pool_size() == size);
        run_sizes(&counts);
    }
    for (int i = 0; i < 3000; i++) {
        _Atomic int64_t sum = 0;
        CHECK(pool_run(8, 1, add_one, &sum) == STATUS_OK && sum == 8);
    }
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_create(&threads[i], NULL, caller, NULL) == 0);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    test_interrupt();
    test_interrupted_chunks();
#if !defined(__SANITIZE_THREAD__)
    test_fork(&counts);
#else
    (void)test_fork;
#endif
    pool_set_size(2);
    run_sizes(&counts);
    pool_set_size(0);
    CHECK(pool_size() >= 1);
    return 0;
}
