/* backend/cpu/emit_lower.c -- see emit_lower.h.
 *
 * The segment is lowered twice: the first time shows how many registers it needs; the second
 * time those that are left hold the constants that are read most often. */
#include "backend/cpu/emit_lower.h"

#include "backend/cpu/block.h"

#include <string.h>

enum {
    LEAST_VECTORS = 6 /* registers that any node can be lowered with */
};

/* ---- the function around the loop ---- */

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};
enum { SAVED_COUNT = sizeof saved / sizeof saved[0] };

static void
leave(Lower *l)
{
    asm_move(l->code, RSP, RBP);
    for (int k = SAVED_COUNT - 1; k >= 0; k--) {
        asm_pop(l->code, saved[k]);
    }
    asm_return(l->code);
}

static void
enter(Lower *l, int32_t frame_bytes)
{
    const Alloc *a = &l->alloc;
    asm_branch_target(l->code);
    for (int k = 0; k < SAVED_COUNT; k++) {
        asm_push(l->code, saved[k]);
    }
    asm_move(l->code, RBP, RSP);
    asm_and(l->code, RSP, -64);
    asm_add(l->code, RSP, -frame_bytes);
    asm_clear(l->code, ALLOC_AT);
    if (l->bytes) {
        asm_clear(l->code, ALLOC_LANE);
    }
    for (int reg = 0; reg < 16; reg++) {
        if (a->pointers[reg] != 0) {
            asm_load(l->code, reg, ALLOC_SCRATCH, (int32_t)(a->pointers[reg] & ~ALLOC_INDIRECT));
        }
    }
    for (Ir n = 1; n < a->count; n++) {
        if (a->states[n].pinned != ALLOC_NONE) {
            const int reg = a->states[n].pinned;
            l->alloc.states[n].pinned = ALLOC_NONE;
            alloc_load(&l->alloc, reg, n);
            l->alloc.states[n].pinned = (int8_t)reg;
        }
    }
}

static void
lower_function(Lower *l, int32_t frame_bytes)
{
    alloc_start(&l->alloc);
    vec_clear(&l->exits);
    enter(l, frame_bytes);
    const int64_t loop = l->code->code.size;
    if (l->sums) {
        asm_move(l->code, ALLOC_ROUND, ALLOC_AT);
        asm_and(l->code, ALLOC_ROUND, SUM_WIDTH * 8 - 1);
    }
    for (Ir n = 1; n < l->alloc.count; n++) {
        if (l->alloc.states[n].live) {
            emit_node(l, n);
        }
    }
    const int lanes = l->wide ? LANES_WIDE : LANES_NARROW;
    asm_add(l->code, ALLOC_AT, lanes * 8);
    if (l->bytes) {
        asm_add(l->code, ALLOC_LANE, lanes);
    }
    asm_compare(l->code, ALLOC_AT, ALLOC_END);
    asm_jump_back(l->code, JUMP_LESS, loop);
    asm_clear(l->code, RAX);
    leave(l);
    if (l->exits.size > 0) {
        for (int64_t k = 0; k < l->exits.size; k++) {
            asm_land(l->code, l->exits.data[k]);
        }
        asm_set_one(l->code, RAX);
        leave(l);
    }
}

/* ---- what stays in registers all through the loop ---- */

/* Vectors in memory whose pointers have a register. */
static void
keep_pointers(Lower *l)
{
    static const uint8_t registers[] = {R8, R9, R12, R13, R14, R15};
    Alloc *a = &l->alloc;
    int used = 0;
    for (Ir n = 1; n < a->count; n++) {
        const IrOp op = (IrOp)a->nodes[n].op;
        const bool memory = op == IR_LOAD || op == IR_LOAD_BYTES || op == IR_STORE ||
                            op == IR_STORE_BYTES;
        l->sums = l->sums || op == IR_SUM;
        l->bytes = l->bytes || op == IR_LOAD_BYTES || op == IR_STORE_BYTES;
        const uint64_t place = a->nodes[n].word & ALLOC_PLACE;
        bool known = !memory || (place & ALLOC_INDIRECT) == 0;
        for (int k = 0; k < used && !known; k++) {
            known = a->pointers[registers[k]] == place;
        }
        if (!known && used < (int)sizeof registers) {
            a->pointers[registers[used++]] = place;
        }
    }
}

/* Constants into the registers that the loop leaves free, those of most uses first. */
static void
pin_constants(Lower *l, int32_t *uses)
{
    Alloc *a = &l->alloc;
    memset(uses, 0, (size_t)a->count * sizeof *uses);
    for (Ir n = 1; n < a->count; n++) {
        for (int i = 0; i < 3 && a->states[n].live; i++) {
            const IrOp op = (IrOp)a->nodes[a->nodes[n].in[i]].op;
            uses[a->nodes[n].in[i]] += op == IR_CONSTANT || op == IR_UNIFORM;
        }
    }
    const int all = a->vectors;
    a->vectors = a->most_vectors > LEAST_VECTORS ? a->most_vectors : LEAST_VECTORS;
    for (int reg = a->vectors; reg < all; reg++) {
        Ir best = 0;
        for (Ir n = 1; n < a->count; n++) {
            best = uses[n] > uses[best] ? n : best;
        }
        if (uses[best] == 0) {
            return;
        }
        uses[best] = 0;
        a->states[best].pinned = (int8_t)reg;
    }
}

int64_t
emit_lower(Assembler *code, const IrBuilder *segment)
{
    const int64_t at = code->code.size, fixups = code->fixups.size;
    const int32_t count = (int32_t)segment->nodes.size;
    const size_t bytes = (size_t)count * (sizeof(NodeState) + sizeof(int32_t));
    Lower l = {.code = code, .wide = segment->wide};
    Alloc *a = &l.alloc;
    a->nodes = segment->nodes.data;
    a->count = count;
    a->code = code;
    a->wide = segment->wide;
    a->vectors = segment->wide ? ALLOC_VECTORS : ALLOC_VECTORS / 2;
    a->states = mem_new(bytes);
    if (a->states == NULL) {
        code->failed = true;
        return at;
    }
    if (segment->ntables > 0) {
        a->table = asm_table(code, segment->tables[0], segment->ntables * 16);
    }
    for (int32_t n = 0; n < count; n++) {
        a->states[n].pinned = ALLOC_NONE;
        a->states[n].pool = ALLOC_NONE;
    }
    keep_pointers(&l);
    lower_function(&l, 0);
    pin_constants(&l, (int32_t *)(a->states + count));
    code->code.size = at;
    code->fixups.size = fixups;
    const int32_t frame_bytes = a->frame_bytes;
    lower_function(&l, frame_bytes);
    if (a->frame_bytes > frame_bytes) { /* pins took a register from the loop */
        code->code.size = at;
        code->fixups.size = fixups;
        lower_function(&l, a->frame_bytes);
    }
    vec_fini(&l.exits);
    mem_free(a->states, bytes);
    return at;
}
