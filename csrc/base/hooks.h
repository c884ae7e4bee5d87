/* base/hooks.h -- what the core asks of the host language, as functions the Python layer sets.
 * Without them (C tests) the defaults do nothing. */
#ifndef PYARR_BASE_HOOKS_H
#define PYARR_BASE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

/* Work on fewer bytes is over before another thread could take the interpreter lock. */
enum { UNLOCK_BYTES = 64 * 1024 };

/* Release and retake the interpreter lock around long kernels. */
typedef struct HostHooks {
    void *(*unlock)(void);
    void (*lock)(void *token);
    /* The user's line that is executing: an owned handle, 0 when unknown; its text. */
    uintptr_t (*line_now)(int32_t *instruction);
    void (*line_release)(uintptr_t handle);
    void (*line_retain)(uintptr_t handle);
    void (*line_text)(uintptr_t handle, int32_t instruction, char *buffer, int size);
    /* Backward rule of a custom_vjp: the cotangent (struct Array *) in, one new reference or
     * NULL for each argument out. Returns 0, or -1 with the error set. */
    int (*backward)(uintptr_t rule, void *cotangent, int narg, void **out);
    void (*rule_release)(uintptr_t rule);
    /* Run a primitive (struct Call *) that the host language does. Takes the interpreter lock
     * itself. Returns 0, or -1 with the error set. */
    int (*primitive)(const void *call);
} HostHooks;

extern HostHooks host_hooks;

#endif
