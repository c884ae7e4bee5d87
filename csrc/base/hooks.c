/* base/hooks.c -- default host hooks, for programs without an interpreter. */
#include "base/hooks.h"

#include <stddef.h>

static void *
nothing_unlock(void)
{
    return NULL;
}

static void
nothing_lock(void *token)
{
    (void)token;
}

static uintptr_t
nothing_line_now(int32_t *instruction)
{
    *instruction = -1;
    return 0;
}

static void
nothing_line_release(uintptr_t handle)
{
    (void)handle;
}

static void
nothing_line_text(uintptr_t handle, int32_t instruction, char *buffer, int size)
{
    (void)handle;
    (void)instruction;
    if (size > 0) {
        buffer[0] = '\0';
    }
}

static int
nothing_backward(uintptr_t rule, void *cotangent, int narg, void **out)
{
    (void)rule;
    (void)cotangent;
    for (int i = 0; i < narg; i++) {
        out[i] = NULL;
    }
    return 0;
}

HostHooks host_hooks = {.unlock = nothing_unlock,
                        .lock = nothing_lock,
                        .line_now = nothing_line_now,
                        .line_release = nothing_line_release,
                        .line_retain = nothing_line_release,
                        .line_text = nothing_line_text,
                        .backward = nothing_backward,
                        .rule_release = nothing_line_release};
