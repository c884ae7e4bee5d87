/* array/device.c -- the registry of devices. */
#include "array/device.h"

#include <assert.h>
#include <string.h>

enum { DEVICE_MAX = 16 };

Device *device_list[DEVICE_MAX];
static int device_count;
static Device *device_chosen; /* NULL: the CPU */

Status
device_register(Device *device)
{
    assert(device != NULL && device->alloc != NULL && device->free != NULL);
    for (int i = 0; i < device_count; i++) {
        if (strcmp(device_list[i]->name, device->name) == 0) {
            return err_set(ERR_VALUE, "device '%s' is already registered", device->name);
        }
    }
    if (device_count == DEVICE_MAX) {
        return err_set(ERR_RUNTIME, "too many devices: at most %d", (int)DEVICE_MAX);
    }
    device->index = device_count;
    device_list[device_count++] = device;
    return STATUS_OK;
}

Device *
device_find(const char *name)
{
    char known[256] = "";
    for (int i = 0; i < device_count; i++) {
        if (strcmp(device_list[i]->name, name) == 0) {
            return device_list[i];
        }
        const size_t used = strlen(known);
        if (used + strlen(device_list[i]->name) + 5 < sizeof known) {
            strcat(known, i > 0 ? ", '" : "'");
            strcat(known, device_list[i]->name);
            strcat(known, "'");
        }
    }
    return err_null(ERR_VALUE, "no device '%s'; there is %s", name, known);
}

Device *
device_at(int index)
{
    return 0 <= index && index < device_count ? device_list[index] : NULL;
}

Device *
device_default(void)
{
    return device_chosen != NULL ? device_chosen : device_list[0];
}

void
device_set_default(Device *device)
{
    device_chosen = device;
}
