/* base/settings.h -- the settings of settings.def, read once from the environment */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A CHOICE is stored as the number of its word, 0 being the default. */
typedef enum Executor {
    EXECUTOR_AUTO,
    EXECUTOR_INTERPRETER,
    EXECUTOR_NATIVE,
    EXECUTOR_NODES,
} Executor;
typedef enum Rounding { ROUNDING_FAST, ROUNDING_STRICT } Rounding;

enum { SETTINGS_TEXT_SIZE = 256 };

#define SETTINGS_FIELD_INT(name) int64_t name;
#define SETTINGS_FIELD_CHOICE(name) int64_t name;
#define SETTINGS_FIELD_TEXT(name) char name[SETTINGS_TEXT_SIZE];
#define SETTINGS_FIELD_BUILD(name)

typedef struct Settings {
#define SETTING(kind, name, variable, fallback, text) SETTINGS_FIELD_##kind(name)
#include "base/settings.def"
#undef SETTING
    int64_t omp_num_threads; /* the first number of OMP_NUM_THREADS, 0 without */
} Settings;

/* The process-wide settings; read from the environment by the first call. */
const Settings *settings_get(void);

/*
 * Change one by its field name ("executor") with the text a variable would hold.
 * ERR_VALUE when there is no such setting or the text does not fit. Takes effect at
 * once (pool size, memory limits). Not for use by two threads at once.
 */
Status settings_set(const char *name, const char *value);

/* The text of a setting as a variable would hold it, in `out`; ERR_VALUE if unknown. */
Status settings_text(const char *name, char *out, int64_t size);

typedef struct SettingInfo {
    const char *name;
    const char *variable;
    const char *fallback;
    const char *text;
} SettingInfo;

/* The rows of settings.def in order; NULL past the end. */
const SettingInfo *settings_info(int index);

/*
 * What was wrong in the environment: unknown PYARR_ variables and values that do not fit
 * (they are ignored). The index-th complaint, NULL past the end. For the Python layer to
 * warn with.
 */
const char *settings_complaint(int index);

#endif
