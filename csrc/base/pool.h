/* base/pool.h -- the one thread pool */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { POOL_MAX_THREADS = 256 };

/*
 * Work on [begin, end). `thread` is in [0, pool_size()), 0 for the caller, and no two
 * calls of one run have the same `thread` at the same time.
 */
typedef void (*PoolFn)(void *ctx, int64_t begin, int64_t end, int thread);

/*
 * Call fn over [0, n) in chunks that begin at multiples of `grain` (>= 1), and return
 * when all are done. The caller takes part; each thread begins with its own share of the
 * chunks, in increasing order, the same in each run of as many, and goes on with what
 * others have left. One chunk (n <= grain), one thread, a nested call, and a call while
 * another thread uses the pool run inline, chunk by chunk, without synchronisation.
 * A function that fails keeps its error in ctx: workers' error records are not seen.
 * Between chunks the caller polls; on Ctrl-C the remaining chunks are skipped and
 * ERR_INTERRUPT is set. There is no other error.
 */
Status pool_run(int64_t n, int64_t grain, PoolFn fn, void *ctx);

/* The same on this thread alone, one chunk after the other in order. */
Status pool_run_in_order(int64_t n, int64_t grain, PoolFn fn, void *ctx);

/*
 * For functions whose chunks may take longer than some 20 ms, to be asked meanwhile: true when
 * the run was interrupted. Then the function returns with its work undone, and pool_run gives
 * the error. Only within a PoolFn.
 */
bool pool_interrupted(void);

/* Does another thread wait for work, awake? Then runs of some microseconds pay. */
bool pool_is_awake(void);

/* Threads that take part in a run, the caller included: at least 1. */
int pool_size(void);

/* n < 1 goes back to PYARR_NUM_THREADS, OMP_NUM_THREADS or the affinity mask. */
void pool_set_size(int n);

#endif
