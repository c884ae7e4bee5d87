/* base/profile.c -- a ring buffer of events. */
#include "base/profile.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

bool profile_on;

static _Atomic(ProfileEvent *) ring;
static _Atomic int writers; /* other threads' runs go on while the ring is taken away */
static int64_t ring_size, kept_size;
static _Atomic int64_t ring_next;
static _Atomic uint32_t thread_count;
static _Thread_local uint32_t thread_number;

Status
profile_start(int64_t capacity)
{
    if (atomic_load(&ring) != NULL) {
        return err_set(ERR_RUNTIME, "profile: another one is running");
    }
    ProfileEvent *fresh = mem_new((size_t)capacity * sizeof *fresh);
    if (fresh == NULL) {
        return STATUS_ERROR;
    }
    memset(fresh, 0, (size_t)capacity * sizeof *fresh); /* its pages come now, not while timed */
    ring_size = capacity;
    atomic_store(&ring_next, 0);
    atomic_store(&ring, fresh);
    profile_on = true;
    return STATUS_OK;
}

static void
reverse(ProfileEvent *from, ProfileEvent *to)
{
    while (from < --to) {
        const ProfileEvent event = *from;
        *from++ = *to;
        *to = event;
    }
}

ProfileEvent *
profile_stop(int64_t *count, int64_t *lost)
{
    profile_on = false;
    ProfileEvent *events = atomic_exchange(&ring, NULL);
    while (atomic_load(&writers) > 0) { /* each for some nanoseconds */
    }
    const int64_t next = events == NULL ? 0 : atomic_load(&ring_next);
    *count = next < ring_size ? next : ring_size;
    *lost = next - *count;
    if (*lost > 0) { /* rotate, so that the oldest comes first */
        ProfileEvent *oldest = events + next % ring_size;
        reverse(events, oldest);
        reverse(oldest, events + ring_size);
        reverse(events, events + ring_size);
    }
    kept_size = events == NULL ? 0 : ring_size;
    return events;
}

void
profile_free(ProfileEvent *events)
{
    mem_free(events, (size_t)kept_size * sizeof *events);
}

int64_t
profile_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
write_event(ProfileEvent *to, ProfileKind kind, const char *name, int64_t begin, int64_t bytes,
            int64_t flops)
{
    if (thread_number == 0) {
        thread_number = atomic_fetch_add(&thread_count, 1) + 1;
    }
    ProfileEvent *event = &to[atomic_fetch_add(&ring_next, 1) % ring_size];
    *event = (ProfileEvent){.kind = (uint8_t)kind,
                            .thread = thread_number,
                            .begin = begin,
                            .end = profile_now(),
                            .bytes = bytes,
                            .flops = flops};
    strncpy(event->name, name, sizeof event->name - 1);
}

void
profile_add(ProfileKind kind, const char *name, int64_t begin, int64_t bytes, int64_t flops)
{
    if (begin == 0 || !profile_on) {
        return;
    }
    atomic_fetch_add(&writers, 1);
    ProfileEvent *to = atomic_load(&ring);
    if (to != NULL) {
        write_event(to, kind, name, begin, bytes, flops);
    }
    atomic_fetch_sub(&writers, 1);
}
