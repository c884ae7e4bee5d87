/* backend/cpu/emit_alloc.h -- registers for the nodes of a segment, given out as code is written.
 *
 * Values stay in registers until one is needed for another; then the value whose next use is
 * furthest goes to the frame. What can be read again (constants, uniform cells, inputs) is
 * dropped instead, and is a memory operand where an instruction can take one. */
#ifndef PYARR_BACKEND_CPU_EMIT_ALLOC_H
#define PYARR_BACKEND_CPU_EMIT_ALLOC_H

#include "backend/cpu/emit_ir.h"
#include "backend/cpu/emit_x86.h"

enum { ALLOC_NEVER = INT32_MAX, ALLOC_NONE = -1, ALLOC_VECTORS = 32, ALLOC_MASKS = 8 };

/* Registers with a fixed meaning in emitted code. */
enum {
    ALLOC_SCRATCH = RDI, /* of the block: pointers to registers first */
    ALLOC_END = RSI,     /* bytes of 8 times the lanes */
    ALLOC_SUMS = RDX,
    ALLOC_AT = RAX,      /* bytes of 8 times the lanes done */
    ALLOC_LANE = R11,    /* lanes done, for bools */
    ALLOC_ROUND = R10,   /* ALLOC_AT within a round of accumulators */
    ALLOC_POINTER = RCX, /* a pointer for the next instruction */
    ALLOC_BITS = RBX
};

/* Where a vector lies: at an offset in the scratch, or where the pointer at that offset says; of
 * pairs the first vector of every two, or the second. */
#define ALLOC_INDIRECT (UINT64_C(1) << 32)
#define ALLOC_FIRST (UINT64_C(1) << 33)
#define ALLOC_SECOND (UINT64_C(1) << 34)
#define ALLOC_PLACE (ALLOC_FIRST - 1) /* the bits without the last two */

typedef struct NodeState {
    int32_t next_use[3]; /* of each input, after this node */
    int32_t next;        /* use of this node that comes next; ALLOC_NEVER */
    int32_t pool;        /* where a constant lies there, or ALLOC_NONE */
    int32_t frame;       /* where it was spilled, or ALLOC_NONE */
    int8_t reg;          /* or ALLOC_NONE */
    int8_t pinned;       /* register that holds it all through the loop, or ALLOC_NONE */
    bool live;
} NodeState;

typedef struct Alloc {
    const IrNode *nodes;
    int32_t count;
    NodeState *states;
    Assembler *code;
    bool wide;
    int vectors; /* registers that may be used */
    int32_t vector[ALLOC_VECTORS], mask[ALLOC_MASKS]; /* which node is there, or 0 */
    uint32_t locked, locked_masks;
    int most_vectors;  /* the highest number used, plus 1 */
    int32_t frame_bytes;
    uint64_t pointers[16]; /* kept in registers: their word, by number; 0 is none */
    int32_t table;         /* where the builder's tables begin in the pool */
} Alloc;

/* Find next uses and what is live; forget all registers. */
void alloc_start(Alloc *a);

/* Is the value of a node read where it lies, and need not be kept? */
bool alloc_is_memory(const Alloc *a, Ir x);
bool alloc_in_register(const Alloc *a, Ir x);

/* A register for a new value, locked; `node` 0 for a temporary, which alloc_drop gives back. */
int alloc_vector(Alloc *a, Ir node);
int alloc_mask(Alloc *a, Ir node);
void alloc_drop(Alloc *a, int reg);

/* The register where a value is, which is loaded if it must be, locked. */
int alloc_want(Alloc *a, Ir x);
/* The same, or memory if it lies there and is not read again. Right before the instruction. */
Rm alloc_want_rm(Alloc *a, Ir x);
/* Into a register, whatever it holds. */
void alloc_load(Alloc *a, int reg, Ir x);
/* Where a load or store finds its data; `bytes`: of bools. Right before the instruction. */
Rm alloc_address(Alloc *a, uint64_t word, bool bytes);

/* The inputs of a node have been read: registers of values that are not read again are free, and
 * none is locked. */
void alloc_consume(Alloc *a, Ir node);
/* Put a node into a register that alloc_consume has freed. */
void alloc_place(Alloc *a, Ir node, int reg);

/* The opcodes of moving whole vectors. */
extern const Opcode asm_vmovupd_load, asm_vmovupd_store;

#endif
