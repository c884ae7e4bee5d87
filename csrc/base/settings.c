/* base/settings.c -- reading the environment; the only place that does */
#include "base/settings.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

extern char **environ;

typedef enum Kind { KIND_INT, KIND_CHOICE, KIND_TEXT, KIND_BUILD } Kind;

#define OFFSET_INT(name) offsetof(Settings, name)
#define OFFSET_CHOICE(name) offsetof(Settings, name)
#define OFFSET_TEXT(name) offsetof(Settings, name)
#define OFFSET_BUILD(name) 0

typedef struct Row {
    SettingInfo info;
    Kind kind;
    size_t offset;
} Row;

static const Row rows[] = {
#define SETTING(kind, name, variable, fallback, text)                                              \
    {{#name, variable, fallback, text}, KIND_##kind, OFFSET_##kind(name)},
#include "base/settings.def"
#undef SETTING
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], MAX_COMPLAINTS = 16, COMPLAINT_SIZE = 400 };

static Settings settings;
static char complaints[MAX_COMPLAINTS][COMPLAINT_SIZE];
static int complaint_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int64_t *
field_int(const Row *row)
{
    return (int64_t *)(void *)((char *)&settings + row->offset);
}

static char *
field_text(const Row *row)
{
    return (char *)&settings + row->offset;
}

/* The number of `value` among the words a|b|c, or -1. */
static int
word_find(const char *words, const char *value)
{
    const size_t size = strlen(value);
    int index = 0;
    for (const char *word = words; word != NULL; index++) {
        const char *end = strchr(word, '|');
        const size_t length = end != NULL ? (size_t)(end - word) : strlen(word);
        if (length == size && memcmp(word, value, size) == 0) {
            return index;
        }
        word = end != NULL ? end + 1 : NULL;
    }
    return -1;
}

/* Store `value`; what was wrong with it in `problem`, which is left alone if nothing. */
static Status
row_store(const Row *row, const char *value, char *problem, size_t size)
{
    switch (row->kind) {
    case KIND_INT: {
        char *end = NULL;
        errno = 0;
        const long long number = strtoll(value, &end, 10);
        if (end == value || *end != '\0' || errno != 0) {
            snprintf(problem, size, "%s: '%.100s' is not a whole number", row->info.variable,
                     value);
            return STATUS_ERROR;
        }
        *field_int(row) = number;
        return STATUS_OK;
    }
    case KIND_CHOICE: {
        const int index = word_find(row->info.fallback, value);
        if (index < 0) {
            snprintf(problem, size, "%s: '%.100s' is none of %s", row->info.variable, value,
                     row->info.fallback);
            return STATUS_ERROR;
        }
        *field_int(row) = index;
        return STATUS_OK;
    }
    case KIND_TEXT:
        if (strlen(value) >= SETTINGS_TEXT_SIZE) {
            snprintf(problem, size, "%s: longer than %d characters", row->info.variable,
                     SETTINGS_TEXT_SIZE - 1);
            return STATUS_ERROR;
        }
        strcpy(field_text(row), value);
        return STATUS_OK;
    case KIND_BUILD:
        break;
    }
    snprintf(problem, size, "%s: only read when pyarr is built", row->info.variable);
    return STATUS_ERROR;
}

static void
row_reset(const Row *row)
{
    switch (row->kind) {
    case KIND_INT:
        *field_int(row) = strtoll(row->info.fallback, NULL, 10);
        break;
    case KIND_CHOICE:
        *field_int(row) = 0;
        break;
    case KIND_TEXT:
        strcpy(field_text(row), row->info.fallback);
        break;
    case KIND_BUILD:
        break;
    }
}

static const Row *
row_find(const char *name)
{
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].info.name, name) == 0 && rows[i].kind != KIND_BUILD) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool
variable_known(const char *entry, size_t length)
{
    for (int i = 0; i < ROW_COUNT; i++) {
        const char *variable = rows[i].info.variable;
        if (strlen(variable) == length && memcmp(variable, entry, length) == 0) {
            return true;
        }
    }
    return false;
}

static void
check_unknown(void)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "PYARR_", 6) != 0 || equals == NULL) {
            continue;
        }
        const size_t length = (size_t)(equals - *entry);
        if (!variable_known(*entry, length) && complaint_count < MAX_COMPLAINTS) {
            snprintf(complaints[complaint_count++], COMPLAINT_SIZE,
                     "%.*s: there is no such setting", length < 100 ? (int)length : 100, *entry);
        }
    }
}

static void
read_environment(void)
{
    for (int i = 0; i < ROW_COUNT; i++) {
        row_reset(&rows[i]);
        const char *value = rows[i].kind != KIND_BUILD ? getenv(rows[i].info.variable) : NULL;
        if (value != NULL && value[0] != '\0' && complaint_count < MAX_COMPLAINTS
            && row_store(&rows[i], value, complaints[complaint_count], COMPLAINT_SIZE)
                   != STATUS_OK) {
            complaint_count++;
        }
    }
    const char *omp = getenv("OMP_NUM_THREADS");
    settings.omp_num_threads = omp != NULL ? strtoll(omp, NULL, 10) : 0;
    check_unknown();
}

const Settings *
settings_get(void)
{
    pthread_once(&once, read_environment);
    return &settings;
}

Status
settings_set(const char *name, const char *value)
{
    settings_get();
    const Row *row = row_find(name);
    if (row == NULL) {
        return err_set(ERR_VALUE, "there is no setting '%.100s'", name);
    }
    char problem[COMPLAINT_SIZE];
    if (row_store(row, value, problem, sizeof problem) != STATUS_OK) {
        return err_set(ERR_VALUE, "%s", problem);
    }
    if (row->offset == offsetof(Settings, num_threads)) {
        pool_set_size(settings.num_threads < POOL_MAX_THREADS ? (int)settings.num_threads
                                                              : POOL_MAX_THREADS);
    } else if (row->offset == offsetof(Settings, mem_limit)) {
        mem_set_limit(settings.mem_limit);
    } else if (row->offset == offsetof(Settings, mem_cache)) {
        mem_set_cache_limit(settings.mem_cache);
    } else if (row->offset == offsetof(Settings, fail_alloc)) {
        mem_fail_at(settings.fail_alloc);
    }
    return STATUS_OK;
}

Status
settings_text(const char *name, char *out, int64_t size)
{
    settings_get();
    const Row *row = row_find(name);
    if (row == NULL) {
        return err_set(ERR_VALUE, "there is no setting '%.100s'", name);
    }
    if (row->kind == KIND_INT) {
        snprintf(out, (size_t)size, "%jd", (intmax_t)*field_int(row));
    } else if (row->kind == KIND_TEXT) {
        snprintf(out, (size_t)size, "%s", field_text(row));
    } else {
        const char *word = row->info.fallback;
        for (int64_t i = *field_int(row); i > 0; i--) {
            word = strchr(word, '|') + 1;
        }
        snprintf(out, (size_t)size, "%.*s", (int)strcspn(word, "|"), word);
    }
    return STATUS_OK;
}

const SettingInfo *
settings_info(int index)
{
    return index >= 0 && index < ROW_COUNT ? &rows[index].info : NULL;
}

const char *
settings_complaint(int index)
{
    settings_get();
    return index >= 0 && index < complaint_count ? complaints[index] : NULL;
}
