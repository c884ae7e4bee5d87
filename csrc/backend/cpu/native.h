/* backend/cpu/native.h -- the native executor's parts: sections of a block, and their code. */
#ifndef PYARR_BACKEND_CPU_NATIVE_H
#define PYARR_BACKEND_CPU_NATIVE_H

#include "backend/cpu/block_parts.h"
#include "backend/cpu/emit_ir.h"
#include "backend/cpu/emit_memory.h"

typedef int (*Segment)(char *scratch, int64_t bytes, char *sums);

/* Instructions that run one after the other: emitted code, or calls of kernels. */
typedef struct Section {
    bool emitted;
    int first, count; /* in `order`; of kernels also in `steps` */
    int64_t at;       /* of the function in the code */
} Section;

/* A uniform register as emitted code reads it. */
typedef struct Cell {
    uint16_t reg;
    bool mask;
    int32_t at;
} Cell;

/* What emitted code and kernels know of a register. */
typedef struct Home {
    int32_t slot;  /* in the scratch, or NOWHERE: where a pointer says */
    int32_t cell;  /* of uniform ones, or NOWHERE */
    int16_t section, last; /* that computes it, that reads it last; or NOWHERE */
    bool direct;   /* an output's memory */
    bool outside;  /* something besides its section's code reads it */
    bool summed;   /* by the code of its section */
    bool freed;    /* its slot is another's now */
} Home;

struct Native {
    EmitMemory memory;
    bool wide, guarded;
    int lanes; /* of a vector */
    VEC(Section) sections;
    VEC(uint16_t) order; /* of instructions */
    VEC(Step) steps;
    VEC(Cell) cells;
    VEC(Copy) copies;
    VEC(Direct) direct;
    VEC(uint16_t) sums; /* that emitted code does not add up itself, by number */
    VEC(uint8_t) widths; /* of each input's elements; 0: uniform */
    VEC(uint8_t) direct_widths;
    VEC(Home) homes; /* by register */
    int nfetches;
    int32_t cells_at, buffers_at, sums_at, fetches_at; /* in the scratch */
};

/* Can this instruction be emitted? May it need a guard? (native_select.c) */
bool native_supports(const Compiler *c, const Instruction *in, bool wide);
/* Is it a complex number of two parts, or a part of one? */
bool native_joins_parts(const Compiler *c, const Instruction *in);
bool native_takes_part(const Compiler *c, const Instruction *in);
/* How many nodes a supported one takes, constants among them. */
int native_nodes(const Instruction *in, bool wide);
/* Its value, given those of its inputs. */
Ir native_value(IrBuilder *b, const Compiler *c, const Instruction *in, const Ir *inputs);

#endif
