/* array/storage.c -- blocks of memory: making, sharing, mapping. */
#include "array/storage.h"

#include "base/freelist.h"

#include <assert.h>
#include <string.h>

void (*storage_unbind_hook)(Storage *storage);
_Thread_local uint64_t storage_era;

static FreeList headers = {.limit = 256, .size = sizeof(Storage)};
static int64_t live_count;

static Storage *
header_new(Device *device, size_t size)
{
    Storage *storage = freelist_new(&headers);
    if (storage == NULL) {
        return NULL;
    }
    storage->refcount = 1; /* every field but `small`: this is done for each result */
    storage->exports = 0;
    storage->readonly = storage->foreign = storage->exported = false;
    storage->version = storage->ready = 0;
    storage->device = device;
    storage->data = NULL;
    storage->size = size;
    storage->owner = NULL;
    storage->release = NULL;
    storage->bindings = NULL;
    storage->era = storage_era;
    live_count++;
    return storage;
}

static void
header_free(Storage *storage)
{
    live_count--;
    freelist_free(&headers, storage);
}

void
storage_trim(void)
{
    freelist_trim(&headers);
}

int64_t
storage_live(void)
{
    return live_count;
}

/* Memory for a storage that has none. */
static Status
allocate(Storage *storage)
{
    Device *device = storage->device;
    const bool small = storage->size <= sizeof storage->small && device == device_cpu();
    storage->data = small ? storage->small : device->alloc(device, storage->size);
    return storage->data == NULL ? STATUS_ERROR : STATUS_OK;
}

Storage *
storage_new(Device *device, size_t size)
{
    Storage *storage = header_new(device, size);
    if (storage != NULL && size > 0 && allocate(storage) != STATUS_OK) {
        header_free(storage);
        return NULL;
    }
    return storage;
}

static Status
fill_zero_from_host(Device *device, char *data, size_t size)
{
    static const char zeros[4096];
    for (size_t at = 0; at < size; at += sizeof zeros) {
        const size_t n = size - at < sizeof zeros ? size - at : sizeof zeros;
        if (device->from_host(device, data + at, zeros, n) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

Storage *
storage_new_zeroed(Device *device, size_t size)
{
    if (size > sizeof(((Storage *)NULL)->small) && device->alloc_zeroed != NULL) {
        Storage *storage = header_new(device, size);
        if (storage != NULL && (storage->data = device->alloc_zeroed(device, size)) == NULL) {
            header_free(storage);
            return NULL;
        }
        return storage;
    }
    Storage *storage = storage_new(device, size);
    if (storage == NULL || size == 0) {
        return storage;
    }
    if (device->host_memory) {
        memset(storage->data, 0, size);
    } else if (fill_zero_from_host(device, storage->data, size) != STATUS_OK) {
        storage_release(storage);
        return NULL;
    }
    return storage;
}

Storage *
storage_wrap(Device *device, void *data, size_t size, bool readonly, void *owner,
             void (*release)(void *))
{
    Storage *storage = header_new(device, size);
    if (storage == NULL) {
        if (release != NULL) {
            release(owner);
        }
        return NULL;
    }
    storage->data = data;
    storage->readonly = readonly;
    storage->foreign = true;
    storage->owner = owner;
    storage->release = release;
    return storage;
}

Storage *
storage_new_virtual(Device *device, size_t size)
{
    return header_new(device, size);
}

Status
storage_materialise(Storage *storage)
{
    if (!storage_is_virtual(storage)) {
        return STATUS_OK;
    }
    return allocate(storage);
}

void
storage_hand_over(Storage *from, Storage *to)
{
    assert(to->data == NULL && to->size == from->size && to->device == from->device);
    if (from->data == from->small) {
        memcpy(to->small, from->small, sizeof to->small);
        to->data = to->small;
    } else {
        to->data = from->data;
    }
    from->data = NULL;
}

void
storage_release(Storage *storage)
{
    if (storage == NULL || --storage->refcount > 0) {
        return;
    }
    assert(storage->refcount == 0 && storage->exports == 0);
    if (storage->bindings != NULL && storage_unbind_hook != NULL) {
        storage_unbind_hook(storage);
    }
    if (!storage->foreign && storage->data != NULL && storage->data != storage->small) {
        storage->device->free(storage->device, storage->data, storage->size);
    }
    void (*release)(void *) = storage->release;
    void *owner = storage->owner;
    header_free(storage);
    if (release != NULL) {
        release(owner); /* last: it may run arbitrary code of the owner */
    }
}

char *
storage_map_host(Storage *storage, MapMode mode)
{
    static char nothing[1];
    Device *device = storage->device;
    if (!device->host_memory) {
        return err_null(ERR_DEVICE,
                        "memory on device '%s' cannot be reached from the host; copy it with "
                        ".to(\"cpu\")",
                        device->name);
    }
    if (mode != MAP_READ && storage->readonly) {
        return err_null(ERR_VALUE, "assignment destination is read-only");
    }
    if (storage->ready != 0) {
        if (device->wait != NULL && device->wait(device, storage->ready) != STATUS_OK) {
            return NULL;
        }
        storage->ready = 0;
    }
    assert(!storage_is_virtual(storage));
    return storage->data != NULL ? storage->data : nothing;
}
