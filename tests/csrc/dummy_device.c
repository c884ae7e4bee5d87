/* A second device for the tests: host memory behind pointers that cannot be followed.
 *
 * Every pointer it gives out has its high bits changed, so that the core faults at once when
 * it touches memory of a device as if it were the host's. Work is handed to the CPU device
 * with the true pointers; everything is counted. Compiled into a shared library of its own. */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define DISGUISE ((uintptr_t)0x5a5 << 48)
#define DISGUISE_BITS ((uintptr_t)0xffff << 48)

typedef struct Counts {
    int64_t allocations, frees, bytes;
    int64_t to_host, from_host, waits;
    int64_t programs, primitives;
    int64_t strangers; /* operands that were no memory of this device */
} Counts;

EXPORT Counts dummy_counts;

static Device *cpu;

static void *
disguise(void *p)
{
    return p == NULL ? NULL : (void *)((uintptr_t)p ^ DISGUISE);
}

static char *
reveal(const void *p, int64_t size)
{
    if (((uintptr_t)p & DISGUISE_BITS) != (DISGUISE & DISGUISE_BITS)) {
        dummy_counts.strangers += size > 0;
        return (char *)(uintptr_t)p;
    }
    return (char *)((uintptr_t)p ^ DISGUISE);
}

static void *
dummy_alloc(Device *self, size_t size)
{
    (void)self;
    void *p = cpu->alloc(cpu, size);
    if (p != NULL) {
        memset(p, 0xa5, size); /* nobody may count on zeros */
        dummy_counts.allocations++;
        dummy_counts.bytes += (int64_t)size;
    }
    return disguise(p);
}

static void
dummy_free(Device *self, void *data, size_t size)
{
    (void)self;
    dummy_counts.frees++;
    dummy_counts.bytes -= (int64_t)size;
    cpu->free(cpu, reveal(data, 1), size);
}

static Status
dummy_to_host(Device *self, void *host, const void *data, size_t size)
{
    (void)self;
    dummy_counts.to_host++;
    return cpu->to_host(cpu, host, reveal(data, (int64_t)size), size);
}

static Status
dummy_from_host(Device *self, void *data, const void *host, size_t size)
{
    (void)self;
    dummy_counts.from_host++;
    return cpu->from_host(cpu, reveal(data, (int64_t)size), host, size);
}

static Status
dummy_wait(Device *self, uint64_t ready)
{
    (void)self;
    (void)ready;
    dummy_counts.waits++;
    return STATUS_OK;
}

static Operand
reveal_operand(const Operand *operand)
{
    Operand revealed = *operand;
    int64_t size = 1;
    for (int axis = 0; axis < operand->ndim; axis++) {
        size *= operand->shape[axis];
    }
    revealed.data = reveal(operand->data, size);
    return revealed;
}

/* The program with true pointers: run at once, or prepared for later. */
static Status
reveal_program(const Program *program, struct Prepared **prepared)
{
    Operand in[PROGRAM_MAX_REGISTERS], out[PROGRAM_MAX_REGISTERS], sums[PROGRAM_MAX_SUMS];
    Program revealed = *program;
    for (int k = 0; k < program->nin; k++) {
        in[k] = reveal_operand(&program->in[k]);
    }
    for (int k = 0; k < program->nout; k++) {
        out[k] = reveal_operand(&program->out[k]);
    }
    for (int k = 0; k < program->nsum; k++) {
        sums[k] = reveal_operand(&program->sums[k]);
    }
    revealed.in = in;
    revealed.out = out;
    revealed.sums = sums;
    if (prepared == NULL) {
        return cpu->run_program(cpu, &revealed);
    }
    *prepared = cpu->prepare(cpu, &revealed);
    return *prepared == NULL ? STATUS_ERROR : STATUS_OK;
}

static Status
dummy_program(Device *self, const Program *program)
{
    (void)self;
    dummy_counts.programs++;
    return reveal_program(program, NULL);
}

struct Prepared {
    struct Prepared *of_cpu;
    int nin, nout, nsum;
};

static struct Prepared *
dummy_prepare(Device *self, const Program *program)
{
    (void)self;
    struct Prepared *prepared = malloc(sizeof *prepared);
    *prepared = (struct Prepared){NULL, program->nin, program->nout, program->nsum};
    if (reveal_program(program, &prepared->of_cpu) != STATUS_OK) {
        free(prepared);
        return NULL;
    }
    return prepared;
}

static char *const *
reveal_pointers(char *const *pointers, int count, char **revealed)
{
    for (int k = 0; k < count; k++) {
        revealed[k] = reveal(pointers[k], 1);
    }
    return revealed;
}

static Status
dummy_run_prepared(Device *self, const struct Prepared *p, char *const *in, char *const *out,
                   char *const *sums)
{
    (void)self;
    char *ins[PROGRAM_MAX_REGISTERS], *outs[PROGRAM_MAX_REGISTERS], *totals[PROGRAM_MAX_SUMS];
    dummy_counts.programs++;
    return cpu->run_prepared(cpu, p->of_cpu, reveal_pointers(in, p->nin, ins),
                             reveal_pointers(out, p->nout, outs),
                             reveal_pointers(sums, p->nsum, totals));
}

static int64_t
dummy_prepared_bytes(Device *self, const struct Prepared *prepared)
{
    (void)self;
    return prepared == NULL ? 0 : cpu->prepared_bytes(cpu, prepared->of_cpu);
}

static void
dummy_release(Device *self, struct Prepared *prepared)
{
    (void)self;
    if (prepared != NULL) {
        cpu->release(cpu, prepared->of_cpu);
    }
    free(prepared);
}

static Status
dummy_primitive(Device *self, const Call *call)
{
    (void)self;
    Call revealed = *call;
    dummy_counts.primitives++;
    for (int k = 0; k < call->nin; k++) {
        revealed.in[k] = reveal_operand(&call->in[k]);
    }
    revealed.out = reveal_operand(&call->out);
    return cpu->run_primitive(cpu, &revealed);
}

static bool
dummy_supports(Device *self, int op, DType dtype)
{
    (void)self;
    return cpu->supports(cpu, op, dtype);
}

static Device device = {
    .name = "dummy",
    .host_memory = false,
    .alloc = dummy_alloc,
    .free = dummy_free,
    .to_host = dummy_to_host,
    .from_host = dummy_from_host,
    .wait = dummy_wait,
    .run_program = dummy_program,
    .prepare = dummy_prepare,
    .run_prepared = dummy_run_prepared,
    .release = dummy_release,
    .prepared_bytes = dummy_prepared_bytes,
    .run_primitive = dummy_primitive,
    .supports = dummy_supports,
};

/* The device to register, given the CPU's. */
EXPORT Device *dummy_device(Device *cpu_device);

Device *
dummy_device(Device *cpu_device)
{
    cpu = cpu_device;
    return &device;
}
