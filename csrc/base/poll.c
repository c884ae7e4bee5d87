/* base/poll.c -- asking the host, not too often, whether the user wants to stop */
#include "base/poll.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { INTERVAL_NS = 20 * 1000 * 1000 };

/* Ticks of a few milliseconds are fine enough, and cost a fifth. */
#ifdef CLOCK_MONOTONIC_COARSE
#define CLOCK CLOCK_MONOTONIC_COARSE
#else
#define CLOCK CLOCK_MONOTONIC
#endif

static _Atomic(PollHook) hook;

/* Each thread asks for itself: signals may be for one thread only, and another that asks
 * oftener must not take its turns. */
static _Thread_local int64_t last_ns;
static _Thread_local unsigned interruptions;

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
    clock_gettime(CLOCK, &now);
    const int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (ns - last_ns < INTERVAL_NS) {
        return false;
    }
    last_ns = ns;
    if (!function()) {
        return false;
    }
    interruptions++;
    return true;
}

Status
poll_check(void)
{
    return poll_interrupted() ? err_set(ERR_INTERRUPT, "interrupted") : STATUS_OK;
}

unsigned
poll_interruptions(void)
{
    return interruptions;
}
