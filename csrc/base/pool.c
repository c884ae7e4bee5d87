/*
 * base/pool.c -- threads that sleep until there is a loop to share
 *
 * One run at a time owns the pool. It publishes a job under the lock and wakes sleepers;
 * a worker joins a job under the lock, so that the owner, who withdraws the job under
 * the lock and then waits for those inside, never leaves while one still uses it. Chunks
 * are handed out by an atomic counter.
 */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "base/poll.h"
#include "base/settings.h"

/* Turns of an idle loop before a thread goes to sleep: some 100 microseconds. The steps of one
 * evaluation follow each other sooner than that, and waking a thread costs more than a step. */
enum { SPINS = 4000 };

typedef struct Job {
    PoolFn fn;
    void *ctx;
    int64_t n;
    int64_t grain;
    int64_t chunks;
    _Atomic int64_t next; /* the first chunk not given out */
} Job;

static struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;          /* for workers: a job was published */
    pthread_cond_t left;          /* for the owner: the last worker left */
    Job *job;                     /* under lock */
    int seats;                    /* workers that may still join the job, under lock */
    int sleeping;                 /* under lock */
    int workers;                  /* started, under lock */
    _Atomic int running;          /* workers inside the job; grows under lock */
    _Atomic unsigned generation;  /* counts jobs, for spinning workers */
    _Atomic bool busy;            /* a run owns the pool */
    _Atomic int size;             /* 0: not worked out yet */
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .left = PTHREAD_COND_INITIALIZER,
};

static _Thread_local bool inside; /* this thread is running a chunk */

static inline void
spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int
available_cpus(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
#endif
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 0 ? (int)cpus : 1;
}

static int
default_size(void)
{
    const Settings *settings = settings_get();
    int64_t size = settings->num_threads;
    if (size < 1) {
        size = settings->omp_num_threads;
    }
    if (size < 1) {
        size = available_cpus();
    }
    return size < POOL_MAX_THREADS ? (int)size : POOL_MAX_THREADS;
}

int
pool_size(void)
{
    int size = atomic_load_explicit(&pool.size, memory_order_relaxed);
    if (size == 0) {
        size = default_size();
        atomic_store(&pool.size, size);
    }
    return size;
}

void
pool_set_size(int n)
{
    const int size = n < 1 ? default_size() : n < POOL_MAX_THREADS ? n : POOL_MAX_THREADS;
    atomic_store(&pool.size, size);
}

static void
run_chunk(const Job *job, int64_t chunk, int thread)
{
    const int64_t begin = chunk * job->grain;
    const int64_t end = job->n - begin > job->grain ? begin + job->grain : job->n;
    job->fn(job->ctx, begin, end, thread);
}

/* Nobody takes another chunk. */
static void
stop_job(Job *job)
{
    atomic_store(&job->next, job->chunks);
}

static void
work(Job *job, int thread)
{
    for (;;) {
        if (atomic_load_explicit(&job->next, memory_order_relaxed) >= job->chunks) {
            return;
        }
        const int64_t chunk = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (chunk >= job->chunks) {
            return;
        }
        run_chunk(job, chunk, thread);
    }
}

/* The owner's share; false when the user interrupted. */
static bool
work_and_poll(Job *job)
{
    for (;;) {
        const int64_t chunk = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (chunk >= job->chunks) {
            return true;
        }
        run_chunk(job, chunk, 0);
        if (poll_interrupted()) {
            stop_job(job);
            return false;
        }
    }
}

/* Sleep, with the lock held, until there is a job with a seat. */
static Job *
wait_for_job(int thread)
{
    while (pool.job == NULL || pool.seats == 0 || thread >= pool_size()) {
        const unsigned seen = atomic_load(&pool.generation);
        pthread_mutex_unlock(&pool.lock);
        bool changed = false;
        for (int i = 0; i < SPINS && !changed; i++) {
            spin_pause();
            changed = atomic_load_explicit(&pool.generation, memory_order_relaxed) != seen;
        }
        pthread_mutex_lock(&pool.lock);
        if (!changed && atomic_load(&pool.generation) == seen) {
            pool.sleeping++;
            pthread_cond_wait(&pool.wake, &pool.lock);
            pool.sleeping--;
        }
    }
    return pool.job;
}

static void *
worker_main(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    inside = true; /* whatever a worker calls runs inline */
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        Job *job = wait_for_job(thread);
        pool.seats--;
        atomic_fetch_add(&pool.running, 1);
        pthread_mutex_unlock(&pool.lock);
        work(job, thread);
        pthread_mutex_lock(&pool.lock);
        if (atomic_fetch_sub(&pool.running, 1) == 1) {
            pthread_cond_signal(&pool.left);
        }
        /* Its job is out of chunks: wait for the next one. */
        if (pool.job == job) {
            pool.seats = 0;
        }
    }
    return NULL;
}

/* Start workers until there are `wanted`; fewer if the system refuses. Lock held. */
static void
start_workers(int wanted)
{
    sigset_t all;
    sigset_t old;
    if (pool.workers >= wanted) {
        return;
    }
    /* Signals are for the threads of the host. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (pool.workers < wanted) {
        pthread_t thread;
        const int id = pool.workers + 1;
        if (pthread_create(&thread, NULL, worker_main, (void *)(intptr_t)id) != 0) {
            break;
        }
        pthread_detach(thread);
        pool.workers = id;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void
before_fork(void)
{
    pthread_mutex_lock(&pool.lock);
}

static void
after_fork_parent(void)
{
    pthread_mutex_unlock(&pool.lock);
}

/* Only the forking thread lives on. */
static void
after_fork_child(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.left, NULL);
    pool.job = NULL;
    pool.seats = 0;
    pool.sleeping = 0;
    pool.workers = 0;
    atomic_store(&pool.running, 0);
    atomic_store(&pool.busy, false);
}

static void
register_fork(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void
publish(Job *job, int helpers)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork);
    pthread_mutex_lock(&pool.lock);
    start_workers(helpers);
    pool.job = job;
    pool.seats = helpers;
    atomic_fetch_add(&pool.generation, 1);
    if (pool.sleeping > 0) {
        pthread_cond_broadcast(&pool.wake);
    }
    pthread_mutex_unlock(&pool.lock);
}

static void
withdraw(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.job = NULL;
    pool.seats = 0;
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < SPINS && atomic_load(&pool.running) > 0; i++) {
        spin_pause();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.running) > 0) {
        pthread_cond_wait(&pool.left, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
}

static Status
interrupted(void)
{
    return err_set(ERR_INTERRUPT, "interrupted");
}

/* Chunk by chunk on this thread. Nested calls leave the polling to the outer one. */
static Status
run_inline(Job *job)
{
    for (int64_t chunk = 0; chunk < job->chunks; chunk++) {
        run_chunk(job, chunk, 0);
        if (!inside && chunk + 1 < job->chunks && poll_interrupted()) {
            return interrupted();
        }
    }
    return STATUS_OK;
}

Status
pool_run(int64_t n, int64_t grain, PoolFn fn, void *ctx)
{
    assert(n >= 0 && grain >= 1);
    if (n <= grain) {
        if (n > 0) {
            fn(ctx, 0, n, 0);
        }
        return STATUS_OK;
    }
    Job job = {fn, ctx, n, grain, n / grain + (n % grain != 0), 0};
    const int size = pool_size();
    const int64_t seats = job.chunks < size ? job.chunks : size;
    if (inside || seats < 2 || atomic_exchange(&pool.busy, true)) {
        return run_inline(&job);
    }
    publish(&job, (int)seats - 1);
    inside = true;
    const bool done = work_and_poll(&job);
    inside = false;
    withdraw();
    atomic_store(&pool.busy, false);
    return done ? STATUS_OK : interrupted();
}
