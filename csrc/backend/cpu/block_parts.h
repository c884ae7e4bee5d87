/* backend/cpu/block_parts.h -- compiled blocks as their executors see them. */
#ifndef PYARR_BACKEND_CPU_BLOCK_PARTS_H
#define PYARR_BACKEND_CPU_BLOCK_PARTS_H

#include "backend/cpu/block.h"
#include "backend/cpu/kernels/reduce.h"

enum { NOWHERE = -1, STAYS = INT32_MAX, CACHE_LINE = 64 };

/* A call of a kernel. */
typedef struct Step {
    BlockKernel kernel;
    uint16_t out; /* a register, or behind all of them the accumulator of a sum */
    uint16_t in[3];
    uint8_t uniform;  /* bit i: input i is one element */
    uint8_t exponent; /* dtype of a signed integer exponent, which must not be negative, or 0 */
} Step;

/* An output that no instruction writes itself. */
typedef struct Copy {
    uint16_t reg, out;
    uint8_t size;
    bool uniform;
} Copy;

/* What is added up; of a register that is not uniform the interpreter does it by a step. */
typedef struct Sum {
    const ReduceKernels *kernels;
    uint16_t reg;
    uint8_t size;
    int32_t filled; /* where a round of lanes of a uniform register lies, or NOWHERE */
} Sum;

/* An output that its instruction writes. */
typedef struct Direct {
    uint16_t reg, out;
} Direct;

/* An input whose next lanes are fetched while a block is computed. */
typedef struct Fetch {
    uint16_t in;
    uint8_t size;
    int32_t share; /* lines of the cache that fall to each step */
} Fetch;

typedef struct Native Native;

struct BlockCode {
    size_t bytes; /* of this block of memory, which holds the arrays too */
    int nin, nregisters, nsum, nout;
    int nprologue, nsteps, ncopies, ndirect, nfetches;
    bool in_place;
    int64_t scratch_bytes, lanes;
    Step *steps; /* the prologue's first */
    Copy *copies;
    Direct *direct;
    Fetch *fetches;
    Sum *sums;
    int32_t *at;    /* by register: its place in the scratch, or NOWHERE */
    Native *native; /* NULL: the interpreter runs */
};

/* What is known of a register while the block is compiled. */
typedef struct Register {
    bool uniform, value; /* value: some instruction writes it */
    bool direct;
    bool unstored;    /* a product that is only added up: its step does both */
    int32_t uses;     /* as an input, an output, or what is added up */
    int32_t last_use; /* number of the instruction, or STAYS */
} Register;

typedef struct Compiler {
    const BlockSpec *spec;
    BlockCode *code;
    Register *registers;
    uint8_t *dtypes; /* by register */
    int32_t *free_slots;
    int nfree, nslots;
    int64_t cells, slot_bytes;
    int64_t slots, slot; /* where slots begin, and from one to the next */
} Compiler;

/* The scratch begins with a pointer to each register; then come those to accumulators. */
Status block_step(const Compiler *c, const Instruction *in, Step *step);
bool block_run_steps(const Step *steps, int count, char **values, int64_t n);
void block_run_sum(const Sum *sum, void *accumulators, const char *scratch, char *const *values,
                   int64_t n);
void block_run_copy(const Copy *copy, char *const *values, char *to, int64_t n);
void block_bind_registers(const BlockCode *code, char *scratch);
bool block_interpret(const BlockCode *code, const BlockFrame *frame, int64_t n);

static inline int64_t
block_round_up(int64_t n)
{
    return (n + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
}

/*
 * The native executor (block_native.c). Planning says how many slots it needs: the compiler
 * makes room for as many, then has the code emitted. All give NULL or false, without an error,
 * where the interpreter is to run instead.
 */
Native *native_plan(const Compiler *c, int *nslots);
bool native_emit(Native *native, Compiler *c);
void native_free(Native *native);
int64_t native_bytes(const Native *native); /* about; NULL has none */
/* Do all values stay in registers, whatever happens? Then any number of lanes can run at once. */
bool native_keeps_nothing(const Native *native);
void native_prologue(const BlockCode *code, const BlockFrame *frame);
bool native_run(const BlockCode *code, const BlockFrame *frame, int64_t n);

#endif
