/* backend/cpu/emit_memory.c -- see emit_memory.h. Pages are written first and made executable, and
 * read-only, then; a mapping is private, so that code survives fork. */
#include "backend/cpu/emit_memory.h"

#include <stdatomic.h>
#include <string.h>

static atomic_bool refused;
static atomic_llong live;

void
emit_memory_refuse(bool refuse)
{
    atomic_store(&refused, refuse);
}

int64_t
emit_memory_live(void)
{
    return atomic_load(&live);
}

#if defined(__x86_64__) && !defined(_WIN32)

#include <sys/mman.h>
#include <unistd.h>

static size_t
round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

bool
emit_memory_map(EmitMemory *memory, Assembler *code)
{
    const size_t pool = round_up((size_t)code->code.size, 64);
    const size_t used = pool + (size_t)code->pool.size;
    const size_t bytes = round_up(used, (size_t)sysconf(_SC_PAGESIZE));
    *memory = (EmitMemory){NULL, 0, 0};
    if (atomic_load(&refused)) {
        return false;
    }
    uint8_t *base =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    asm_resolve(code, (int64_t)pool);
    memcpy(base, code->code.data, (size_t)code->code.size);
    if (code->pool.size > 0) {
        memcpy(base + pool, code->pool.data, (size_t)code->pool.size);
    }
    if (mprotect(base, bytes, PROT_READ | PROT_EXEC) != 0) {
        munmap(base, bytes);
        return false;
    }
    *memory = (EmitMemory){base, bytes, (size_t)code->code.size};
    atomic_fetch_add(&live, (long long)bytes);
    return true;
}

void
emit_memory_unmap(EmitMemory *memory)
{
    if (memory->base != NULL) {
        munmap(memory->base, memory->bytes);
        atomic_fetch_sub(&live, (long long)memory->bytes);
    }
    *memory = (EmitMemory){NULL, 0, 0};
}

#else

bool
emit_memory_map(EmitMemory *memory, Assembler *code)
{
    (void)code;
    *memory = (EmitMemory){NULL, 0, 0};
    return false;
}

void
emit_memory_unmap(EmitMemory *memory)
{
    (void)memory;
}

#endif
