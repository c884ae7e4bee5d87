/* base/err.h -- the thread's error record: a kind and a message, set where a call failed */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

typedef enum Status { STATUS_OK = 0, STATUS_ERROR = -1 } Status;

typedef enum ErrKind {
#define ERROR_KIND(name, exception) ERR_##name,
#include "base/errors.def"
#undef ERROR_KIND
    ERR_KIND_COUNT
} ErrKind;

/* Bytes of a message with its end; longer texts are cut. Nothing here allocates. */
enum { ERR_MESSAGE_SIZE = 1024 };

/* A copy of the record, for code that must clean up through calls that may fail themselves. */
typedef struct ErrRecord {
    ErrKind kind;
    char message[ERR_MESSAGE_SIZE];
} ErrRecord;

#if defined(__GNUC__)
#define ERR_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define ERR_PRINTF(at, first)
#endif

/*
 * Replace this thread's record. Returns STATUS_ERROR, so that a failing function
 * ends with `return err_set(...)`. Arguments may point into the old message.
 */
Status err_set(ErrKind kind, const char *format, ...) ERR_PRINTF(2, 3);

/* The same for functions that return a pointer: `return err_null(ERR_INDEX, ...)`. */
#define err_null(...) (err_set(__VA_ARGS__), NULL)

/* ERR_NONE when no error is set. */
ErrKind err_kind(void);

/* Borrowed, "" when no error is set; valid until this thread's next err_ call. */
const char *err_message(void);

/* The name of the Python exception that `kind` becomes ("ValueError", ...); static. */
const char *err_exception_name(ErrKind kind);

void err_clear(void);

/* Copy the record out and clear it; put it back, replacing what is set. */
void err_save(ErrRecord *record);
void err_restore(const ErrRecord *record);

/*
 * Put context in front of the message that is set ("matmul: "); without an error it
 * does nothing. Returns STATUS_ERROR.
 */
Status err_prefix(const char *format, ...) ERR_PRINTF(1, 2);

#endif
