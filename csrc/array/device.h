/* array/device.h -- the table through which all memory and all work reach a device.
 *
 * A backend fills in a Device and registers it; nothing else in the core knows which
 * backends exist. Host pointers to an array's memory come only from storage_map_host.
 */
#ifndef PYARR_ARRAY_DEVICE_H
#define PYARR_ARRAY_DEVICE_H

#include "array/dtype.h"

typedef struct Device Device;
struct Call;    /* backend/backend.h */
struct Program; /* backend/backend.h */
struct Prepared; /* the device's own */

struct Device {
    const char *name; /* "cpu", "cuda:0" */
    int index;
    bool host_memory; /* pointers may be dereferenced by the CPU */
    /* Memory; NULL with the error set on failure. */
    void *(*alloc)(Device *self, size_t size);
    void *(*alloc_zeroed)(Device *self, size_t size); /* may be NULL: alloc and fill */
    void (*free)(Device *self, void *data, size_t size);
    /* Copy bytes: to_host / from_host as seen from the CPU, on_device within the device. */
    Status (*to_host)(Device *self, void *host, const void *data, size_t size);
    Status (*from_host)(Device *self, void *data, const void *host, size_t size);
    /* Wait until the work behind a storage's ready token is done (0: nothing to wait for). */
    Status (*wait)(Device *self, uint64_t ready);
    /* Elementwise programs and everything else; pointers in them belong to this device. */
    Status (*run_program)(Device *self, const struct Program *program);
    /*
     * A program that runs many times: planned once, for its shape, dtypes and strides; each run
     * gives the pointers of inputs, outputs and sums. Those in the program prepared may be NULL;
     * they only hint at alignment. Several threads may run one prepared program at once.
     */
    struct Prepared *(*prepare)(Device *self, const struct Program *program);
    Status (*run_prepared)(Device *self, const struct Prepared *prepared, char *const *in,
                           char *const *out, char *const *sums);
    void (*release)(Device *self, struct Prepared *prepared); /* NULL does nothing */
    int64_t (*prepared_bytes)(Device *self, const struct Prepared *prepared); /* about; NULL: 0 */
    Status (*run_primitive)(Device *self, const struct Call *call);
    /* The error that run_primitive gives for the values of indices (op_first_index), told without
     * running it: of other operands only the shapes are looked at. */
    Status (*check_indices)(Device *self, const struct Call *call); /* may be NULL: run it */
    bool (*supports)(Device *self, int op, DType dtype);
    void *state;
};

/* The registry: index 0 is the CPU. The device is borrowed for the process's life. */
Status device_register(Device *device);
Device *device_find(const char *name); /* NULL with ERR_VALUE set */
Device *device_at(int index);          /* NULL past the end, no error set */
extern Device *device_list[];
static inline Device *device_cpu(void) { return device_list[0]; }
/* The device of arrays made from now on (PYARR_DEVICE or pyarr.config(device=)). */
Device *device_default(void);
void device_set_default(Device *device);

#endif
