/* base/profile.h -- what ran when: events in a ring buffer, while somebody asks for them.
 *
 * Off, an event costs its client one test of profile_on. */
#ifndef PYARR_BASE_PROFILE_H
#define PYARR_BASE_PROFILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ProfileKind {
    PROFILE_TRACE,    /* a transform, from opening to closing its trace */
    PROFILE_PLANNING, /* making a plan */
    PROFILE_PLAN,     /* running one */
    PROFILE_STEP,     /* a step of it */
    PROFILE_EAGER     /* an op outside plans */
} ProfileKind;

typedef struct ProfileEvent {
    char name[52];
    uint8_t kind;     /* ProfileKind */
    uint32_t thread;  /* numbered as they come */
    int64_t begin, end; /* nanoseconds of a clock that never goes back */
    int64_t bytes, flops;
} ProfileEvent;

extern bool profile_on;

/* Start with an empty ring; ERR_RUNTIME when it is on already. */
Status profile_start(int64_t capacity);
/* Off; the events, oldest first, to be freed with profile_free. lost: overwritten ones. */
ProfileEvent *profile_stop(int64_t *count, int64_t *lost);
void profile_free(ProfileEvent *events);

int64_t profile_now(void);
/* An event that began at `begin` and ends now. */
void profile_add(ProfileKind kind, const char *name, int64_t begin, int64_t bytes, int64_t flops);

#endif
