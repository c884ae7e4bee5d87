/* backend/cpu/program.h -- programs as they are prepared, before they run. */
#ifndef PYARR_BACKEND_CPU_PROGRAM_H
#define PYARR_BACKEND_CPU_PROGRAM_H

#include "backend/cpu/access.h"
#include "backend/cpu/block.h"
#include "backend/cpu/cpu.h"

/* How the elements of an operand in one block are reached. */
typedef enum Reach {
    REACH_UNIFORM,    /* one element for all blocks */
    REACH_BLOCKWISE,  /* one element for each run of blocks */
    REACH_CONTIGUOUS, /* where they lie */
    REACH_RUN,        /* where they lie, the offset being that of an index */
    REACH_COPIED      /* copied from and to a buffer */
} Reach;

struct Prepared {
    size_t bytes; /* of this block of memory, which holds the arrays too */
    Program program;
    BlockCode *code; /* NULL for plain programs */
    BlockKernel plain;
    int64_t n;
    int64_t run_length; /* blocks do not cross multiples of it */
    int64_t grain; /* elements of a task */
    int64_t fine;  /* where one task is all, of those for threads that are awake */
    Access *access; /* inputs, then outputs; their pointers come with each run */
    uint8_t *reach;
    bool blockwise;      /* some input changes from run to run of blocks */
    int64_t frame_bytes; /* of one thread */
};

/* cpu_prepare; `once` says that it runs only once. */
Prepared *program_prepare(const Program *program, bool once);
/* Elements of the index space. */
int64_t program_size(const Program *p);
/* Elements of a task, which pays for waking a thread. */
int64_t program_grain(const Program *p, int64_t n);
/* The same for threads that are awake, where the program is worth that. */
int64_t program_fine_grain(const Program *p, int64_t n);
/* How the operands, inputs and then outputs, are walked; gives the length of runs that blocks do
 * not cross. */
int64_t program_access(const Program *p, int64_t n, Access *access);
/* Is it one instruction on contiguous memory? Then this kernel runs it; NULL with the error set. */
bool program_is_plain(const Program *p, const Access *access);
BlockKernel program_plain_kernel(const Program *p);
/* Up to the next multiple of the alignment of blocks. */
size_t program_round_up(size_t n);
/* Bytes of one buffer of a copied operand. */
int64_t program_buffer_bytes(const Prepared *prepared);

#endif
