/* The error record: messages, context, cutting, threads. */
#include "base/err.h"

#include <pthread.h>
#include <string.h>

#include "check.h"

static void *
other_thread(void *unused)
{
    CHECK(err_kind() == ERR_NONE);
    err_set(ERR_TYPE, "other");
    return unused;
}

int
main(void)
{
    CHECK(err_kind() == ERR_NONE && strcmp(err_message(), "") == 0);
    CHECK(err_prefix("nothing: ") == STATUS_ERROR && err_kind() == ERR_NONE);

    CHECK(err_set(ERR_SHAPE, "shapes (%d,) and (%d,)", 3, 4) == STATUS_ERROR);
    CHECK(err_kind() == ERR_SHAPE && strcmp(err_message(), "shapes (3,) and (4,)") == 0);
    CHECK(strcmp(err_exception_name(ERR_SHAPE), "ValueError") == 0);
    CHECK(strcmp(err_exception_name(ERR_PYTHON), "") == 0);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(err_kind() == ERR_SHAPE);

    CHECK(err_prefix("%s: ", "add") == STATUS_ERROR);
    CHECK(strcmp(err_message(), "add: shapes (3,) and (4,)") == 0);
    err_set(ERR_VALUE, "<%s>", err_message());
    CHECK(strcmp(err_message(), "<add: shapes (3,) and (4,)>") == 0);

    ErrRecord record;
    err_save(&record);
    CHECK(err_kind() == ERR_NONE);
    err_set(ERR_INDEX, "another");
    err_restore(&record);
    CHECK(err_kind() == ERR_VALUE && err_message()[0] == '<');

    char text[3 * ERR_MESSAGE_SIZE];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    void *nothing = err_null(ERR_RUNTIME, "%s", text);
    CHECK(nothing == NULL && strlen(err_message()) == ERR_MESSAGE_SIZE - 1);
    err_prefix("front: ");
    CHECK(strlen(err_message()) == ERR_MESSAGE_SIZE - 1);
    CHECK(strncmp(err_message(), "front: aaa", 10) == 0);
    err_prefix("%s", text);
    CHECK(err_message()[0] == 'a');

    err_clear();
    CHECK(err_kind() == ERR_NONE && err_message()[0] == '\0');
    return 0;
}
