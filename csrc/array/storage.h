/* array/storage.h -- a block of memory on one device, with an owner, a version and exports.
 *
 * Reference counts here, in arrays and in nodes are plain integers: the interpreter lock
 * guards them; it is released only around kernels, which see raw pointers.
 */
#ifndef PYARR_ARRAY_STORAGE_H
#define PYARR_ARRAY_STORAGE_H

#include "array/device.h"

struct Binding; /* graph/trace.h: the node that a storage stands for in one trace */

typedef struct Storage {
    int32_t refcount;
    int32_t exports;   /* buffers handed out; the memory must not move while > 0 */
    bool readonly;     /* foreign memory that must not be written */
    bool foreign;      /* memory owned by `owner`, also reachable by others */
    bool exported;     /* was ever handed out (buffer, DLPack, __array__) */
    uint64_t version;  /* grows with every write */
    uint64_t ready;    /* device token of the last work on it; 0: done */
    uint64_t era;      /* storage_era when it was made */
    Device *device;
    char *data;        /* NULL while the value is only recorded, or when size is 0 */
    size_t size;
    void *owner;                    /* of foreign memory */
    void (*release)(void *owner);   /* called once, when the storage dies */
    struct Binding *bindings;       /* a list kept by the graph layer; NULL outside traces */
    _Alignas(16) char small[16];    /* on the CPU `data` of a scalar points here */
} Storage;

Storage *storage_new(Device *device, size_t size);
Storage *storage_new_zeroed(Device *device, size_t size);
/* Foreign memory; `release(owner)` runs when the storage dies, also if this fails. */
Storage *storage_wrap(Device *device, void *data, size_t size, bool readonly, void *owner,
                      void (*release)(void *));
/* A storage without memory yet, and the moment it gets it (nothing when it has some). */
Storage *storage_new_virtual(Device *device, size_t size);
static inline bool storage_is_virtual(const Storage *s) { return s->data == NULL && s->size > 0; }
Status storage_materialise(Storage *storage);
/* Give the memory of `from`, which nobody else sees, to the virtual `to` of the same size. */
void storage_hand_over(Storage *from, Storage *to);

static inline Storage *storage_retain(Storage *s) { s->refcount++; return s; }
void storage_release(Storage *storage); /* NULL is fine */

/* Storages alive, for leak reports; give kept headers back to the allocator. */
int64_t storage_live(void);
void storage_trim(void);

typedef enum MapMode { MAP_READ, MAP_WRITE, MAP_READ_WRITE } MapMode;
/* A host pointer to the memory after waiting for its pending work; ERR_DEVICE when the
 * memory is not reachable from the host, ERR_VALUE for a write to read-only memory. */
char *storage_map_host(Storage *storage, MapMode mode);

/* Tells what a recorded function makes from what it found (set by the graph layer). */
extern _Thread_local uint64_t storage_era;

/* Called with every storage that dies while it has bindings (set by the graph layer). */
extern void (*storage_unbind_hook)(Storage *storage);

#endif
