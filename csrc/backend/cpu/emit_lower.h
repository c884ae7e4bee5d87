/* backend/cpu/emit_lower.h -- a segment's nodes as the machine code of a loop over vectors. */
#ifndef PYARR_BACKEND_CPU_EMIT_LOWER_H
#define PYARR_BACKEND_CPU_EMIT_LOWER_H

#include "backend/cpu/emit_alloc.h"

/*
 * Append a function to the assembler's code:
 *
 *     int segment(char *scratch, int64_t bytes, char *sums)
 *
 * runs the nodes for lanes 0, 8, ... (4, 8, ... of AVX2) up to bytes / 8, a multiple of that. It
 * returns 0, or 1 where a guard found a lane that it is for. Loads, stores and uniform cells
 * name places in the scratch (see ALLOC_INDIRECT); the s-th sum adds to lane i % 32 of
 * sums + s BLOCK_SUM_BYTES. Gives the function's place in the code.
 */
int64_t emit_lower(Assembler *code, const IrBuilder *segment);

/* ---- between emit_lower.c and emit_nodes.c ---- */

enum { LANES_WIDE = 8, LANES_NARROW = 4 };

typedef struct Lower {
    Alloc alloc;
    Assembler *code;
    bool wide, sums, bytes, guards;
    VEC(int64_t) exits; /* jumps of guards */
} Lower;

/* Append the instructions of a live node. */
void emit_node(Lower *l, Ir n);

#endif
