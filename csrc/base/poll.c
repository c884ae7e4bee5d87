/* base/poll.c -- asking the host, not too often, whether the user wants to stop */
#include "base/poll.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { INTERVAL_NS = 20 * 1000 * 1000 };

static _Atomic(PollHook) hook;
static _Atomic int64_t last_ns;

void
poll_set_hook(PollHook function)
{
    atomic_store(&hook, function);
}

bool
poll_interrupted(void)
{
    const PollHook function = atomic_load_explicit(&hook, memory_order_relaxed);
    if (function == NULL) {
        return false;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    const int64_t last = atomic_load_explicit(&last_ns, memory_order_relaxed);
    if (ns - last < INTERVAL_NS) {
        return false;
    }
    atomic_store_explicit(&last_ns, ns, memory_order_relaxed);
    return function();
}
