/* base/poll.h -- the hook by which long loops learn of Ctrl-C */
#ifndef BASE_POLL_H
#define BASE_POLL_H

#include <stdbool.h>

#include "base/err.h"

/* Returns true when work should stop. Called from the thread that started the work. */
typedef bool (*PollHook)(void);

/* NULL removes the hook. */
void poll_set_hook(PollHook hook);

/*
 * True when the user asked to stop. Without a hook false. The hook runs at most about
 * every 20 ms on each thread whatever the number of calls, so this costs the reading of a
 * coarse clock. It says so once: whoever learns of it must stop.
 */
bool poll_interrupted(void);

/* The same as a status, for loops over work that is not the pool's: ERR_INTERRUPT. */
Status poll_check(void);

/* How often this thread was interrupted. */
unsigned poll_interruptions(void);

#endif
