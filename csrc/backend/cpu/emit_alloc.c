/* backend/cpu/emit_alloc.c -- see emit_alloc.h. */
#include "backend/cpu/emit_alloc.h"

#include <string.h>

const Opcode asm_vmovupd_load = {MAP_0F, PP_66, 1, 0x10};
const Opcode asm_vmovupd_store = {MAP_0F, PP_66, 1, 0x11};
static const Opcode vbroadcastsd = {MAP_0F38, PP_66, 1, 0x19};
static const Opcode kmovb_load = {MAP_0F, PP_66, 0, 0x90};
static const Opcode kmovb_store = {MAP_0F, PP_66, 0, 0x91};

static const Masking no_mask = {0, false};

static bool
has_effect(const IrNode *node)
{
    return node->op >= IR_STORE;
}

void
alloc_start(Alloc *a)
{
    for (Ir n = 0; n < a->count; n++) {
        NodeState *s = &a->states[n];
        s->next = ALLOC_NEVER;
        s->frame = ALLOC_NONE;
        s->reg = ALLOC_NONE;
        s->live = has_effect(&a->nodes[n]);
    }
    for (Ir n = a->count - 1; n > 0; n--) {
        NodeState *s = &a->states[n];
        if (!s->live) {
            continue;
        }
        for (int i = 0; i < 3; i++) {
            s->next_use[i] = a->states[a->nodes[n].in[i]].next;
        }
        for (int i = 0; i < 3; i++) {
            a->states[a->nodes[n].in[i]].live = true;
            a->states[a->nodes[n].in[i]].next = n;
        }
    }
    a->states[0].live = false;
    a->states[0].next = ALLOC_NEVER;
    memset(a->vector, 0, sizeof a->vector);
    memset(a->mask, 0, sizeof a->mask);
    a->locked = a->locked_masks = 0;
    a->most_vectors = 0;
    a->frame_bytes = 0;
}

bool
alloc_in_register(const Alloc *a, Ir x)
{
    return a->states[x].reg != ALLOC_NONE || a->states[x].pinned != ALLOC_NONE;
}

static bool
is_literal(const Alloc *a, Ir x)
{
    return a->nodes[x].op == IR_CONSTANT || a->nodes[x].op == IR_UNIFORM;
}

static bool
can_read_again(const Alloc *a, Ir x)
{
    return is_literal(a, x) || a->nodes[x].op == IR_LOAD || a->states[x].frame != ALLOC_NONE;
}

bool
alloc_is_memory(const Alloc *a, Ir x)
{
    return !alloc_in_register(a, x) && can_read_again(a, x);
}

static Rm
frame_slot(int32_t offset)
{
    return (Rm){.kind = RM_MEMORY, .reg = RSP, .index = NO_INDEX, .offset = offset};
}

Rm
alloc_address(Alloc *a, uint64_t word, bool bytes)
{
    Rm rm = {.kind = RM_MEMORY, .reg = ALLOC_SCRATCH};
    rm.index = bytes ? ALLOC_LANE : ALLOC_AT;
    rm.scale = word > ALLOC_PLACE;
    rm.offset = (word & ALLOC_SECOND) == 0 ? 0 : a->wide ? 64 : 32;
    word &= ALLOC_PLACE;
    if ((word & ALLOC_INDIRECT) == 0) {
        rm.offset += (int32_t)word;
        return rm;
    }
    for (int reg = 0; reg < 16; reg++) {
        if (a->pointers[reg] == word) {
            rm.reg = (uint8_t)reg;
            return rm;
        }
    }
    asm_load(a->code, ALLOC_POINTER, ALLOC_SCRATCH, (int32_t)(word & ~ALLOC_INDIRECT));
    rm.reg = ALLOC_POINTER;
    return rm;
}

/* Where a value that is in no register lies. */
static Rm
memory_of(Alloc *a, Ir x)
{
    const IrNode *node = &a->nodes[x];
    if (a->states[x].frame != ALLOC_NONE) {
        return frame_slot(a->states[x].frame);
    }
    if (node->op == IR_LOAD) {
        return alloc_address(a, node->word, false);
    }
    if (node->op == IR_CONSTANT) {
        NodeState *s = &a->states[x];
        if (s->pool == ALLOC_NONE) {
            s->pool = asm_constant(a->code, node->word, a->wide ? 1 : 4);
        }
        return (Rm){.kind = RM_POOL, .broadcast = a->wide, .offset = s->pool};
    }
    return (Rm){.kind = RM_MEMORY, .reg = ALLOC_SCRATCH, .index = NO_INDEX,
                .broadcast = a->wide, .offset = (int32_t)node->word};
}

/* Make room: the value whose next use is furthest leaves its register. */
static void
spill(Alloc *a, Ir x)
{
    NodeState *s = &a->states[x];
    const IrNode *node = &a->nodes[x];
    if (!can_read_again(a, x)) {
        s->frame = a->frame_bytes;
        a->frame_bytes += 64;
        if (node->mask) {
            asm_vex(a->code, kmovb_store, 0, s->reg, 0, frame_slot(s->frame), -1);
        } else {
            asm_vector(a->code, asm_vmovupd_store, s->reg, 0, frame_slot(s->frame), no_mask, -1);
        }
    }
    s->reg = ALLOC_NONE;
}

/* A free register of `count`, from `first` on; if there is none, that of the furthest use. */
static int
choose(Alloc *a, int32_t *holders, int first, int count, uint32_t locked)
{
    int best = first;
    int32_t furthest = -1;
    for (int reg = first; reg < count; reg++) {
        if ((locked >> reg & 1) != 0) {
            continue;
        }
        if (holders[reg] == 0) {
            return reg;
        }
        const int32_t next = a->states[holders[reg]].next;
        if (next > furthest) {
            furthest = next;
            best = reg;
        }
    }
    spill(a, holders[best]);
    holders[best] = 0;
    return best;
}

int
alloc_vector(Alloc *a, Ir node)
{
    const int reg = choose(a, a->vector, 0, a->vectors, a->locked);
    a->most_vectors = reg >= a->most_vectors ? reg + 1 : a->most_vectors;
    a->locked |= UINT32_C(1) << reg;
    a->vector[reg] = node;
    if (node != 0) {
        a->states[node].reg = (int8_t)reg;
    }
    return reg;
}

int
alloc_mask(Alloc *a, Ir node)
{
    const int reg = choose(a, a->mask, 1, ALLOC_MASKS, a->locked_masks);
    a->locked_masks |= UINT32_C(1) << reg;
    a->mask[reg] = node;
    a->states[node].reg = (int8_t)reg;
    return reg;
}

void
alloc_drop(Alloc *a, int reg)
{
    a->locked &= ~(UINT32_C(1) << reg);
    a->vector[reg] = 0;
}

void
alloc_load(Alloc *a, int reg, Ir x)
{
    if (a->nodes[x].mask) {
        asm_vex(a->code, kmovb_load, 0, reg, 0, frame_slot(a->states[x].frame), -1);
        return;
    }
    if (alloc_in_register(a, x)) {
        const NodeState *s = &a->states[x];
        asm_vector(a->code, asm_vmovupd_load, reg, 0,
                   rm_register(s->reg != ALLOC_NONE ? s->reg : s->pinned), no_mask, -1);
        return;
    }
    Rm from = memory_of(a, x);
    if (from.broadcast) {
        from.broadcast = false;
        from.unit = 8;
        asm_vector(a->code, vbroadcastsd, reg, 0, from, no_mask, -1);
    } else {
        asm_vector(a->code, asm_vmovupd_load, reg, 0, from, no_mask, -1);
    }
}

int
alloc_want(Alloc *a, Ir x)
{
    NodeState *s = &a->states[x];
    if (s->reg == ALLOC_NONE && s->pinned != ALLOC_NONE) {
        return s->pinned;
    }
    if (s->reg == ALLOC_NONE) {
        /* not known to be in the register before it is loaded */
        const int reg = a->nodes[x].mask ? alloc_mask(a, 0) : alloc_vector(a, 0);
        alloc_load(a, reg, x);
        (a->nodes[x].mask ? a->mask : a->vector)[reg] = x;
        s->reg = (int8_t)reg;
    }
    *(a->nodes[x].mask ? &a->locked_masks : &a->locked) |= UINT32_C(1) << s->reg;
    return s->reg;
}

Rm
alloc_want_rm(Alloc *a, Ir x)
{
    const NodeState *s = &a->states[x];
    if (alloc_is_memory(a, x) && !a->nodes[x].mask) {
        /* next is this very node: what counts is whether another comes after it */
        const NodeState *user = &a->states[s->next];
        const Ir *in = a->nodes[s->next].in;
        int times = 0;
        int32_t after = ALLOC_NEVER;
        for (int i = 0; i < 3; i++) {
            times += in[i] == x;
            after = in[i] == x ? user->next_use[i] : after;
        }
        if (is_literal(a, x) || (times == 1 && after == ALLOC_NEVER)) {
            return memory_of(a, x);
        }
    }
    return rm_register(alloc_want(a, x));
}

void
alloc_consume(Alloc *a, Ir node)
{
    const NodeState *user = &a->states[node];
    for (int i = 0; i < 3; i++) {
        const Ir x = a->nodes[node].in[i];
        NodeState *s = &a->states[x];
        if (x == 0) {
            continue;
        }
        s->next = user->next_use[i];
        if (s->next == ALLOC_NEVER && s->reg != ALLOC_NONE) {
            (a->nodes[x].mask ? a->mask : a->vector)[s->reg] = 0;
            s->reg = ALLOC_NONE;
        }
    }
    a->locked = a->locked_masks = 0;
}

void
alloc_place(Alloc *a, Ir node, int reg)
{
    a->vector[reg] = node;
    a->states[node].reg = (int8_t)reg;
}
