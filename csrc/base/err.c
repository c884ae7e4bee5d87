/* base/err.c -- the thread's error record */
#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local ErrRecord current;

static void
store(ErrKind kind, const char *message)
{
    current.kind = kind;
    snprintf(current.message, sizeof current.message, "%s", message);
}

Status
err_set(ErrKind kind, const char *format, ...)
{
    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    /* Formatted aside, as arguments may point into the old message. */
    char text[ERR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    store(kind, text);
    return STATUS_ERROR;
}

ErrKind
err_kind(void)
{
    return current.kind;
}

const char *
err_message(void)
{
    return current.message;
}

const char *
err_exception_name(ErrKind kind)
{
    static const char *const names[] = {
#define ERROR_KIND(name, exception) exception,
#include "base/errors.def"
#undef ERROR_KIND
    };
    assert(kind >= ERR_NONE && kind < ERR_KIND_COUNT);
    return names[kind];
}

void
err_clear(void)
{
    current.kind = ERR_NONE;
    current.message[0] = '\0';
}

void
err_save(ErrRecord *record)
{
    record->kind = current.kind;
    memcpy(record->message, current.message, sizeof record->message);
    err_clear();
}

void
err_restore(const ErrRecord *record)
{
    current.kind = record->kind;
    memcpy(current.message, record->message, sizeof current.message);
}

Status
err_prefix(const char *format, ...)
{
    if (current.kind == ERR_NONE) {
        return STATUS_ERROR;
    }
    char text[ERR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof text) {
        /* The rest is cut where it does not fit. */
        const size_t room = sizeof text - (size_t)length - 1;
        const size_t rest = strlen(current.message);
        const size_t take = rest < room ? rest : room;
        memcpy(text + length, current.message, take);
        text[(size_t)length + take] = '\0';
    }
    store(current.kind, text);
    return STATUS_ERROR;
}
