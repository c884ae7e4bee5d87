/* backend/cpu/cpu.c -- the CPU as a device: memory, programs, primitives, registration. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/emit_memory.h"
#include "base/mem.h"

#include <string.h>

static void *
cpu_alloc(Device *self, size_t size)
{
    (void)self;
    return mem_new(size);
}

static void *
cpu_alloc_zeroed(Device *self, size_t size)
{
    (void)self;
    return mem_new_zeroed(size);
}

static void
cpu_free(Device *self, void *data, size_t size)
{
    (void)self;
    mem_free(data, size);
}

static Status
cpu_to_host(Device *self, void *host, const void *data, size_t size)
{
    (void)self;
    memcpy(host, data, size);
    return STATUS_OK;
}

static Status
cpu_from_host(Device *self, void *data, const void *host, size_t size)
{
    (void)self;
    memcpy(data, host, size);
    return STATUS_OK;
}

/* Work is done when its call returns. */
static Status
cpu_wait(Device *self, uint64_t ready)
{
    (void)self;
    (void)ready;
    return STATUS_OK;
}

static Status
cpu_device_program(Device *self, const Program *program)
{
    (void)self;
    return cpu_run_program(program);
}

static Prepared *
cpu_device_prepare(Device *self, const Program *program)
{
    (void)self;
    return cpu_prepare(program);
}

static Status
cpu_device_run_prepared(Device *self, const Prepared *prepared, char *const *in, char *const *out,
                        char *const *sums)
{
    (void)self;
    return cpu_run_prepared(prepared, in, out, sums);
}

static void
cpu_device_release(Device *self, Prepared *prepared)
{
    (void)self;
    cpu_release(prepared);
}

static int64_t
cpu_device_prepared_bytes(Device *self, const Prepared *prepared)
{
    (void)self;
    return cpu_prepared_bytes(prepared);
}

typedef Status (*PrimitiveFn)(const Call *call);

static const PrimitiveFn primitives[OP_COUNT - OP_ELEMENTWISE_COUNT] = {
#define PRIMITIVE(name, nin, axis_map, flags, doc) [OP_##name - OP_ELEMENTWISE_COUNT] = cpu_##name,
#include "ops/primitives.def"
#undef PRIMITIVE
};

static Status
cpu_device_primitive(Device *self, const Call *call)
{
    (void)self;
    return primitives[call->op - OP_ELEMENTWISE_COUNT](call);
}

static Status
cpu_device_check_indices(Device *self, const Call *call)
{
    (void)self;
    return cpu_check_indices(call);
}

static bool
cpu_supports(Device *self, int op, DType dtype)
{
    (void)self;
    return !op_is_elementwise((OpCode)op) || backend_cpu_kernel((OpCode)op, dtype) != NULL;
}

static Device device = {
    .name = "cpu",
    .host_memory = true,
    .alloc = cpu_alloc,
    .alloc_zeroed = cpu_alloc_zeroed,
    .free = cpu_free,
    .to_host = cpu_to_host,
    .from_host = cpu_from_host,
    .wait = cpu_wait,
    .run_program = cpu_device_program,
    .prepare = cpu_device_prepare,
    .run_prepared = cpu_device_run_prepared,
    .release = cpu_device_release,
    .prepared_bytes = cpu_device_prepared_bytes,
    .run_primitive = cpu_device_primitive,
    .check_indices = cpu_device_check_indices,
    .supports = cpu_supports,
};

Status
backend_cpu_init(void)
{
    if (cpu_kernels_init() != STATUS_OK) {
        return STATUS_ERROR;
    }
    return device_register(&device);
}

bool
backend_cpu_has_fma(void)
{
    const char *isa = cpu_isa();
#if defined(__ARM_FEATURE_FMA)
    return true;
#else
    return strcmp(isa, "v3") == 0 || strcmp(isa, "v4") == 0;
#endif
}

void
backend_cpu_refuse_code(bool refuse)
{
    emit_memory_refuse(refuse);
}

int64_t
backend_cpu_code_bytes(void)
{
    return emit_memory_live();
}

const char *
backend_cpu_isa(void)
{
    return cpu_isa();
}
