/* backend/cpu/block.h -- straight-line programs over one block of lanes, compiled once and run
 * many times.
 *
 * A block is up to BLOCK_LANES elements of each register. The program's client loops over
 * blocks: it says where the inputs of each lie and where its outputs go. Registers that depend
 * on uniform inputs alone (one element for all lanes) are computed by block_prologue, once for
 * as long as those inputs stay. Compiled code is never written to by a run, so threads share it;
 * what a run writes to is the client's frame. Running allocates nothing. */
#ifndef PYARR_BACKEND_CPU_BLOCK_H
#define PYARR_BACKEND_CPU_BLOCK_H

#include "backend/backend.h"
#include "base/sums.h"

enum {
    BLOCK_LANES = 512,
    BLOCK_ELEMENT_BYTES = 16,                            /* of the largest dtype */
    BLOCK_SUM_BYTES = SUM_WIDTH * BLOCK_ELEMENT_BYTES,   /* from one accumulator to the next */
    BLOCK_ALIGNMENT = 64
};

/* Registers 0..nin-1 are the inputs, then values in any order of numbers; see backend.h. */
typedef struct BlockSpec {
    int nin, ninstructions, nout, nsum;
    const uint8_t *in_dtypes;
    const bool *in_uniform;
    const bool *in_swept; /* what the next run reads follows in memory; NULL: of none */
    const Instruction *instructions;
    const uint16_t *out_registers;
    const uint16_t *sum_registers;
    int64_t lanes; /* most lanes of a run, up to BLOCK_LANES; 0 is BLOCK_LANES */
    int64_t elements; /* that will be run in all, if that is known; else 0 */
    int nfetches;  /* streams of 8 bytes a lane that a run fetches, for whoever comes next */
    bool in_place; /* outputs may lie exactly where inputs lie, unless they name an input */
} BlockSpec;

typedef struct BlockCode BlockCode;

/* What one run works on; of one thread. */
typedef struct BlockFrame {
    const void *const *in; /* of each input its lanes, aligned to the dtype; or its one element */
    void *const *out;      /* of each output room for the lanes, aligned to the dtype */
    void *sums;            /* nsum accumulators, BLOCK_SUM_BYTES apart, 64-byte aligned */
    void *scratch;         /* block_scratch_bytes(code), 64-byte aligned */
    const char *const *fetches; /* where the streams begin, or NULL: none this time */
} BlockFrame;

/* NULL with the error set: no kernel for a loop, too many registers, no memory. Copies the
 * spec's arrays. The executor is that of settings.def. */
BlockCode *block_compile(const BlockSpec *spec);
void block_free(BlockCode *code);

/* The kernel of an instruction, given the dtypes of registers; NULL with the error set. */
BlockKernel block_kernel(const Instruction *instruction, const uint8_t *dtypes);

int64_t block_scratch_bytes(const BlockCode *code);
/* Memory that the code takes, about. */
int64_t block_bytes(const BlockCode *code);
/* The machine code, NULL where the interpreter runs. */
const uint8_t *block_machine_code(const BlockCode *code, int64_t *size);
/* Most lanes of one run: those compiled for, or any number where nothing is put into the scratch. */
int64_t block_most_lanes(const BlockCode *code);
/* Does it fetch streams? The interpreter does not. */
bool block_fetches(const BlockCode *code);
/* May outputs lie exactly where inputs lie? */
bool block_is_in_place(const BlockCode *code);

/*
 * Compute the uniform registers, reading the uniform inputs of frame->in only. Before the first
 * run with a scratch memory, and again when a uniform input has changed. Results lie in the
 * scratch.
 *
 * Both give false when an integer was to be raised to a negative power, which has no value;
 * block_power_error sets the error that says so.
 */
bool block_prologue(const BlockCode *code, const BlockFrame *frame);
/* Compute `n` lanes, 1 <= n <= lanes: write the outputs, and add to the accumulators, lane i to
 * accumulator i % SUM_WIDTH (see base/sums.h). */
bool block_run(const BlockCode *code, const BlockFrame *frame, int64_t n);
Status block_power_error(void);

/* Accumulators as a chunk of a sum begins, and the s-th one's result into one element. */
void block_sums_start(const BlockCode *code, void *sums);
void block_sum_fold(const BlockCode *code, void *sums, int s, void *out);

#endif
