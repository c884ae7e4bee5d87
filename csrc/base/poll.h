/* base/poll.h -- the hook by which long loops learn of Ctrl-C */
#ifndef BASE_POLL_H
#define BASE_POLL_H

#include <stdbool.h>

/* Returns true when work should stop. Called from the thread that started the work. */
typedef bool (*PollHook)(void);

/* NULL removes the hook. */
void poll_set_hook(PollHook hook);

/*
 * True when the user asked to stop. Without a hook false. The hook runs at most about
 * every 20 ms whatever the number of calls, so this costs a clock read.
 */
bool poll_interrupted(void);

#endif
