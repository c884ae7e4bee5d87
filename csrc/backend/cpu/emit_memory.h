/* backend/cpu/emit_memory.h -- memory for emitted code: never writable and executable at once. */
#ifndef PYARR_BACKEND_CPU_EMIT_MEMORY_H
#define PYARR_BACKEND_CPU_EMIT_MEMORY_H

#include "backend/cpu/emit_x86.h"

typedef struct EmitMemory {
    uint8_t *base; /* NULL without */
    size_t bytes;  /* of the mapping */
    size_t code_bytes;
} EmitMemory;

/* Put the code and, behind it, its pool into executable memory. False where the system refuses:
 * then there is no memory, and no error is set. */
bool emit_memory_map(EmitMemory *memory, Assembler *code);
void emit_memory_unmap(EmitMemory *memory);

/* For tests: refuse from now on, as hardened systems do; bytes mapped now. */
void emit_memory_refuse(bool refuse);
int64_t emit_memory_live(void);

#endif
