/* Settings: defaults, environment, changes, complaints. */
#include "base/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "check.h"

static bool
complained(const char *about)
{
    for (int i = 0; settings_complaint(i) != NULL; i++) {
        if (strstr(settings_complaint(i), about) != NULL) {
            return true;
        }
    }
    return false;
}

int
main(void)
{
    setenv("PYARR_NUM_THREADS", "3", 1);
    setenv("PYARR_EXECUTOR", "interpreter", 1);
    setenv("PYARR_DEBUG", "much", 1);
    setenv("PYARR_ROUNDING", "wild", 1);
    setenv("PYARR_DEVICES", "cuda", 1);
    setenv("PYARR_JOBS", "2", 1);
    setenv("OMP_NUM_THREADS", "5,2", 1);

    const Settings *settings = settings_get();
    CHECK(settings->num_threads == 3 && settings->omp_num_threads == 5);
    CHECK(settings->executor == EXECUTOR_INTERPRETER);
    CHECK(settings->debug == 0 && settings->rounding == ROUNDING_FAST);
    CHECK(strcmp(settings->device, "cpu") == 0);
    CHECK(complained("PYARR_DEBUG: 'much'") && complained("PYARR_DEVICES: there is no"));
    CHECK(complained("PYARR_ROUNDING: 'wild' is none of fast|strict"));
    CHECK(!complained("PYARR_JOBS") && !complained("PYARR_EXECUTOR"));
    CHECK(pool_size() == 3);

    CHECK(settings_set("rounding", "strict") == STATUS_OK);
    CHECK(settings->rounding == ROUNDING_STRICT);
    CHECK(settings_set("executor", "nodes") == STATUS_OK);
    CHECK(settings->executor == EXECUTOR_NODES);
    CHECK(settings_set("executor", "interp") == STATUS_ERROR && err_kind() == ERR_VALUE);
    CHECK(settings_set("executor", "") == STATUS_ERROR);
    CHECK(settings_set("executor", "auto|interpreter") == STATUS_ERROR);
    CHECK(settings_set("nothing", "1") == STATUS_ERROR);
    CHECK(settings_set("jobs", "1") == STATUS_ERROR);
    CHECK(settings_set("num_threads", "2") == STATUS_OK && pool_size() == 2);
    CHECK(settings_set("num_threads", "2x") == STATUS_ERROR && pool_size() == 2);

    char text[SETTINGS_TEXT_SIZE];
    CHECK(settings_text("executor", text, sizeof text) == STATUS_OK);
    CHECK(strcmp(text, "nodes") == 0);
    CHECK(settings_text("num_threads", text, sizeof text) == STATUS_OK);
    CHECK(strcmp(text, "2") == 0);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    CHECK(settings_set("device", text) == STATUS_OK);
    CHECK(strcmp(settings->device, text) == 0);

    int count = 0;
    while (settings_info(count) != NULL) {
        CHECK(strncmp(settings_info(count++)->variable, "PYARR_", 6) == 0);
    }
    CHECK(count > 5 && settings_info(-1) == NULL);
    return 0;
}
