/*
 * base/pool.c -- threads that sleep until there is a loop to share
 *
 * One run at a time owns the pool. It publishes a job under the lock and wakes sleepers;
 * a worker joins a job under the lock, so that the owner, who withdraws the job under
 * the lock and then waits for those inside, never leaves while one still uses it.
 *
 * Each thread has a share of the chunks, those next to each other, and takes what is left
 * of the others' when it is done: steps that follow each other, and evaluations that do, then
 * find in their cores' own caches what they work on.
 */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "base/poll.h"
#include "base/settings.h"

/*
 * Turns of an idle loop before a thread goes to sleep. Waking it costs more than a step of an
 * evaluation: so workers wait for the next step, and for the next evaluation of an optimiser,
 * some 300 microseconds. Those whom the owner waits for are in their last chunks.
 */
enum { SPINS_FOR_JOB = 12000, SPINS_FOR_WORKERS = 4000 };

/* Chunks that lie next to each other. */
typedef struct Share {
    _Alignas(64) _Atomic int64_t next; /* the first one not given out */
    int64_t end;
} Share;

typedef struct Job {
    PoolFn fn;
    void *ctx;
    int64_t n;
    int64_t grain;
    int64_t chunks;
    _Atomic bool stopped; /* interrupted: nobody takes another one */
    int nshares;          /* 0: chunks are not given out */
    Share shares[POOL_MAX_THREADS];
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
    _Atomic int spinning;         /* workers that wait for a job, awake */
    _Atomic unsigned generation;  /* counts jobs, for spinning workers */
    _Atomic bool busy;            /* a run owns the pool */
    _Atomic int size;             /* 0: not worked out yet */
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .left = PTHREAD_COND_INITIALIZER,
};

static _Thread_local Job *here;    /* what this thread runs chunks of: the outermost job */
static _Thread_local bool helps;   /* a thread of the pool, which does not ask the host */
static _Thread_local int alone;    /* single chunks that this thread is in, which have no job */
static _Thread_local bool stopped; /* the same as a job's, until those are left */

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

bool
pool_is_awake(void)
{
    return atomic_load_explicit(&pool.spinning, memory_order_relaxed) > 0;
}

static void
run_chunk(const Job *job, int64_t chunk, int thread)
{
    const int64_t begin = chunk * job->grain;
    const int64_t end = job->n - begin > job->grain ? begin + job->grain : job->n;
    job->fn(job->ctx, begin, end, thread);
}

static void
stop_job(Job *job)
{
    atomic_store(&job->stopped, true);
    for (int s = 0; s < job->nshares; s++) {
        atomic_store(&job->shares[s].next, job->shares[s].end);
    }
}

bool
pool_interrupted(void)
{
    Job *job = here;
    if (job != NULL && atomic_load_explicit(&job->stopped, memory_order_relaxed)) {
        return true;
    }
    if (helps || stopped || !poll_interrupted()) {
        return stopped;
    }
    stopped = alone > 0;
    if (job != NULL) {
        stop_job(job);
    }
    return true;
}

static void
job_share(Job *job, int nshares)
{
    job->nshares = nshares;
    for (int s = 0; s < nshares; s++) {
        atomic_init(&job->shares[s].next, job->chunks * s / nshares);
        job->shares[s].end = job->chunks * (s + 1) / nshares;
    }
}

/* A chunk for the thread that has been through `*passed` shares, its own first; -1: no more. */
static int64_t
take_chunk(Job *job, int thread, int *passed)
{
    for (; *passed < job->nshares; ++*passed) {
        Share *const share = &job->shares[(thread + *passed) % job->nshares];
        if (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end) {
            const int64_t chunk = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (chunk < share->end) {
                return chunk;
            }
        }
    }
    return -1;
}

static void
work(Job *job, int thread)
{
    int passed = 0;
    int64_t chunk = take_chunk(job, thread, &passed);
    while (chunk >= 0) {
        run_chunk(job, chunk, thread);
        chunk = take_chunk(job, thread, &passed);
        if (chunk >= 0 && pool_interrupted()) {
            return;
        }
    }
}

#ifdef __linux__
/* Workers that sleep, by number; under lock. */
static struct Sleeper {
    bool asleep, moved;
    pid_t thread;   /* as the system counts */
    cpu_set_t cpus; /* that it may use, if it was moved */
} sleepers[POOL_MAX_THREADS];

static void
sleeper_begin(int worker)
{
    sleepers[worker].asleep = true;
    sleepers[worker].moved = false;
    sleepers[worker].thread = (pid_t)syscall(SYS_gettid);
}

static void
sleeper_end(int worker)
{
    struct Sleeper *const s = &sleepers[worker];
    s->asleep = false;
    if (s->moved) {
        sched_setaffinity(0, sizeof s->cpus, &s->cpus);
    }
}

/*
 * Workers are not woken where the caller runs. Where there are few CPUs Linux does not look for
 * an idle one, and halted ones of a virtual machine it takes for occupied: it would leave a worker
 * there, and the two would take turns, until loads are balanced some 10 to 100 ms later.
 */
static void
sleepers_place(void)
{
    const int cpu = sched_getcpu();
    for (int worker = 1; worker <= pool.workers && cpu >= 0; worker++) {
        struct Sleeper *const s = &sleepers[worker];
        if (!s->asleep || s->moved ||
            sched_getaffinity(s->thread, sizeof s->cpus, &s->cpus) != 0 ||
            CPU_COUNT(&s->cpus) < pool_size()) {
            continue;
        }
        cpu_set_t others = s->cpus;
        CPU_CLR(cpu, &others);
        s->moved = sched_setaffinity(s->thread, sizeof others, &others) == 0;
    }
}

static void
sleepers_forget(void)
{
    memset(sleepers, 0, sizeof sleepers);
}
#else
static void
sleeper_begin(int worker)
{
    (void)worker;
}

static void
sleeper_end(int worker)
{
    (void)worker;
}

static void
sleepers_place(void)
{
}

static void
sleepers_forget(void)
{
}
#endif

/* Is there a job with a seat for this worker? Lock held. */
static bool
job_is_open(int thread)
{
    return pool.job != NULL && pool.seats > 0 && thread < pool_size();
}

/* Sleep, with the lock held, until there is a job with a seat. */
static Job *
wait_for_job(int thread)
{
    while (!job_is_open(thread)) {
        const unsigned seen = atomic_load(&pool.generation);
        pthread_mutex_unlock(&pool.lock);
        bool changed = false;
        atomic_fetch_add_explicit(&pool.spinning, 1, memory_order_relaxed);
        for (int i = 0; i < SPINS_FOR_JOB && !changed; i++) {
            spin_pause();
            changed = atomic_load_explicit(&pool.generation, memory_order_relaxed) != seen;
        }
        atomic_fetch_sub_explicit(&pool.spinning, 1, memory_order_relaxed);
        pthread_mutex_lock(&pool.lock);
        /* A job is there before it is counted. */
        if (!changed && !job_is_open(thread)) {
            pool.sleeping++;
            sleeper_begin(thread);
            pthread_cond_wait(&pool.wake, &pool.lock);
            sleeper_end(thread);
            pool.sleeping--;
        }
    }
    return pool.job;
}

static void *
worker_main(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    helps = true;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        Job *job = wait_for_job(thread);
        pool.seats--;
        atomic_fetch_add(&pool.running, 1);
        pthread_mutex_unlock(&pool.lock);
        here = job; /* whatever a chunk calls runs inline */
        work(job, thread);
        here = NULL;
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

/* Only the forking thread lives on. If it forked amid a run, the chunks of others are lost. */
static void
after_fork_child(void)
{
    if (here != NULL) {
        stop_job(here);
    }
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.left, NULL);
    pool.job = NULL;
    pool.seats = 0;
    pool.sleeping = 0;
    pool.workers = 0;
    sleepers_forget();
    atomic_store(&pool.spinning, 0);
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
    if (pool.sleeping > 0) {
        sleepers_place();
        pthread_cond_broadcast(&pool.wake);
    }
    pthread_mutex_unlock(&pool.lock);
    /* Last, for who sees it takes the lock at once. */
    atomic_fetch_add(&pool.generation, 1);
}

static void
withdraw(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.job = NULL;
    pool.seats = 0;
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < SPINS_FOR_WORKERS && atomic_load(&pool.running) > 0; i++) {
        spin_pause();
    }
    if (atomic_load(&pool.running) == 0) {
        return; /* nobody joins a job that is withdrawn */
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.running) > 0) {
        pthread_cond_wait(&pool.left, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
}

static Status
job_status(const Job *job)
{
    return atomic_load(&job->stopped) ? err_set(ERR_INTERRUPT, "interrupted") : STATUS_OK;
}

/* Chunk by chunk on this thread; nested calls stop with the outer one. */
static Status
run_inline(Job *job)
{
    Job *const outer = here;
    Job *const whole = outer != NULL ? outer : job;
    here = whole;
    for (int64_t chunk = 0; chunk < job->chunks && !atomic_load(&whole->stopped); chunk++) {
        run_chunk(job, chunk, 0);
        if (chunk + 1 < job->chunks) {
            (void)pool_interrupted();
        }
    }
    here = outer;
    return job_status(whole);
}

/* A single chunk, without a job of its own: most calls of eager mode. */
static Status
run_alone(int64_t n, PoolFn fn, void *ctx)
{
    alone++;
    fn(ctx, 0, n, 0);
    alone--;
    const bool told = stopped;
    stopped = told && alone > 0; /* those around it stop too */
    return told ? err_set(ERR_INTERRUPT, "interrupted")
                : here != NULL ? job_status(here) : STATUS_OK;
}

/* Not the shares, which are many. */
static void
job_init(Job *job, int64_t n, int64_t grain, PoolFn fn, void *ctx)
{
    job->fn = fn;
    job->ctx = ctx;
    job->n = n;
    job->grain = grain;
    job->chunks = n / grain + (n % grain != 0);
    job->nshares = 0;
    atomic_init(&job->stopped, false);
}

Status
pool_run_in_order(int64_t n, int64_t grain, PoolFn fn, void *ctx)
{
    assert(n >= 0 && grain >= 1);
    Job job;
    job_init(&job, n, grain, fn, ctx);
    return run_inline(&job);
}

Status
pool_run(int64_t n, int64_t grain, PoolFn fn, void *ctx)
{
    assert(n >= 0 && grain >= 1);
    if (n <= grain) {
        return n > 0 ? run_alone(n, fn, ctx) : STATUS_OK;
    }
    Job job;
    job_init(&job, n, grain, fn, ctx);
    const int size = pool_size();
    const int64_t seats = job.chunks < size ? job.chunks : size;
    if (here != NULL || seats < 2 || atomic_exchange(&pool.busy, true)) {
        return run_inline(&job);
    }
    job_share(&job, (int)seats);
    publish(&job, (int)seats - 1);
    here = &job;
    work(&job, 0);
    here = NULL;
    withdraw();
    atomic_store(&pool.busy, false);
    return job_status(&job);
}
