/* backend/cpu/native_plan.c -- the native executor's plan of a block: which instructions are
 * emitted together, in which order with calls of kernels, and where registers have their homes. */
#include "backend/cpu/native.h"

#include "backend/cpu/cpu.h"

#include <string.h>

enum {
    MOST_NODES = 4000,  /* of a segment: its code should fit into the instruction cache */
    WINDOW_NODES = 110, /* that a processor looks ahead over, about */
    MANY_LANES = 256    /* for which loads and stores between segments are cheap */
};

typedef struct Planner {
    const Compiler *c;
    Native *native;
    uint8_t *known; /* by register: its value is there */
    uint8_t *done;  /* by instruction */
    int left;
} Planner;

static bool
is_ready(const Planner *p, int k)
{
    const Instruction *in = &p->c->spec->instructions[k];
    for (int i = 0; i < in->nin; i++) {
        if (p->known[in->in[i]] == 0) {
            return false;
        }
    }
    return p->done[k] == 0;
}

/* The nodes after which a segment ends. Iterations of a long loop do not overlap, so that it runs
 * at the speed of its longest chain: loops that pass their values on in memory are faster. */
static int
most_nodes(const BlockSpec *spec)
{
    const int64_t lanes = spec->lanes == 0 ? BLOCK_LANES : spec->lanes;
    return lanes >= MANY_LANES && !spec->in_place ? WINDOW_NODES : MOST_NODES;
}

/* All instructions of one kind whose inputs are known, and those that then follow. */
static bool
plan_stage(Planner *p, bool emitted)
{
    Native *native = p->native;
    const int first = (int)native->order.size;
    const int most = most_nodes(p->c->spec);
    int nodes = 0;
    for (int k = 0; k < p->c->spec->ninstructions && nodes < most; k++) {
        const Instruction *in = &p->c->spec->instructions[k];
        if (!is_ready(p, k) || native_supports(p->c, in, native->wide) != emitted) {
            continue;
        }
        p->done[k] = 1;
        p->known[in->out] = 1;
        p->left--;
        nodes += (op_info((OpCode)in->op)->flags & FLAG_CHEAP) != 0 ? 4 : 60;
        if (vec_push(&native->order, (uint16_t)k) != STATUS_OK) {
            return false;
        }
    }
    const int count = (int)native->order.size - first;
    return count == 0 ||
           vec_push(&native->stages, (Stage){emitted, first, count, 0}) == STATUS_OK;
}

static bool
new_homes(Planner *p)
{
    Native *native = p->native;
    const int count = p->c->code->nregisters;
    if (vec_reserve(&native->homes, count) != STATUS_OK) {
        return false;
    }
    native->homes.size = count;
    for (int r = 0; r < count; r++) {
        native->homes.data[r] = (Home){.slot = NOWHERE, .cell = NOWHERE, .stage = NOWHERE};
    }
    for (int64_t t = 0; t < native->stages.size; t++) {
        const Stage *stage = &native->stages.data[t];
        for (int k = stage->first; k < stage->first + stage->count; k++) {
            const uint16_t reg = p->c->spec->instructions[native->order.data[k]].out;
            native->homes.data[reg].stage = (int16_t)t;
        }
    }
    return true;
}

/* Outputs that instructions write where they go: all those of vectors. In place only if nothing
 * is read after the first is written: with one stage, whose stores come last. */
static bool
plan_outputs(Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    Native *native = p->native;
    const bool one = native->stages.size == 1 && native->stages.data[0].emitted;
    for (int o = 0; o < spec->nout; o++) {
        const uint16_t reg = spec->out_registers[o];
        Home *home = &native->homes.data[reg];
        const bool uniform = p->c->registers[reg].uniform;
        const uint8_t size = (uint8_t)dtype_size((DType)p->c->dtypes[reg]);
        if (home->stage != NOWHERE && !home->direct && (one || !spec->in_place)) {
            home->direct = true;
            if (vec_push(&native->direct, (Direct){reg, (uint16_t)o}) != STATUS_OK ||
                vec_push(&native->direct_widths, size) != STATUS_OK) {
                return false;
            }
            continue;
        }
        home->outside = true;
        if (vec_push(&native->copies, (Copy){reg, (uint16_t)o, size, uniform}) != STATUS_OK) {
            return false;
        }
    }
    return true;
}

/* Sums of float64 values are part of a segment; others are added up after all stages. */
static bool
plan_sums(Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    const Stage *stages = p->native->stages.data;
    const bool last_emitted = stages[p->native->stages.size - 1].emitted;
    for (int s = 0; s < spec->nsum; s++) {
        const uint16_t reg = spec->sum_registers[s];
        Home *home = &p->native->homes.data[reg];
        const bool emitted = home->stage != NOWHERE ? stages[home->stage].emitted
                                                    : reg < spec->nin && last_emitted;
        if (emitted && p->c->dtypes[reg] == DT_f64 && !p->c->registers[reg].uniform) {
            home->summed = true;
            continue;
        }
        home->outside = true;
        if (vec_push(&p->native->sums, (uint16_t)s) != STATUS_OK) {
            return false;
        }
    }
    return true;
}

/* Slots for values that leave their segments; their numbers, for now. */
static void
plan_slots(Planner *p, int *nslots)
{
    Native *native = p->native;
    for (int64_t t = 0; t < native->stages.size; t++) {
        const Stage *stage = &native->stages.data[t];
        for (int k = stage->first; k < stage->first + stage->count; k++) {
            const Instruction *in = &p->c->spec->instructions[native->order.data[k]];
            for (int i = 0; i < in->nin; i++) {
                Home *home = &native->homes.data[in->in[i]];
                home->outside = home->outside || home->stage != t;
            }
        }
    }
    for (int64_t r = 0; r < native->homes.size; r++) {
        Home *home = &native->homes.data[r];
        if (home->stage != NOWHERE && !home->direct &&
            (home->outside || !native->stages.data[home->stage].emitted)) {
            home->slot = (*nslots)++;
        }
    }
}

static bool
plan_inputs(Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    for (int i = 0; i < spec->nin; i++) {
        const int size = spec->in_uniform[i] ? 0 : dtype_size((DType)spec->in_dtypes[i]);
        if (vec_push(&p->native->widths, (uint8_t)size) != STATUS_OK) {
            return false;
        }
    }
    return true;
}

static bool
plan_all(Planner *p, int *nslots)
{
    const BlockSpec *spec = p->c->spec;
    for (int r = 0; r < p->c->code->nregisters; r++) {
        p->known[r] = r < spec->nin || p->c->registers[r].uniform;
    }
    for (int k = 0; k < spec->ninstructions; k++) {
        p->done[k] = p->c->registers[spec->instructions[k].out].uniform;
        p->left += p->done[k] == 0;
    }
    bool any = false;
    while (p->left > 0) {
        const int before = p->left;
        if (!plan_stage(p, true)) {
            return false;
        }
        any = any || p->left < before;
        if (!plan_stage(p, false) || p->left == before) {
            return false; /* no memory, or a register is read before it is written */
        }
    }
    if (!any || !plan_inputs(p) || !new_homes(p) || !plan_outputs(p) || !plan_sums(p)) {
        return false;
    }
    plan_slots(p, nslots);
    return true;
}

Native *
native_plan(const Compiler *c, int *nslots)
{
    const bool wide = strcmp(cpu_isa(), "v4") == 0;
    if (!wide && strcmp(cpu_isa(), "v3") != 0) {
        return NULL;
    }
    const size_t bytes = (size_t)(c->code->nregisters + c->spec->ninstructions);
    uint8_t *marks = mem_new_zeroed(bytes);
    Native *native = marks == NULL ? NULL : mem_new_zeroed(sizeof *native);
    if (native != NULL) {
        native->wide = wide;
        native->lanes = wide ? 8 : 4;
        Planner p = {c, native, marks, marks + c->code->nregisters, 0};
        if (!plan_all(&p, nslots)) {
            native_free(native);
            native = NULL;
            *nslots = 0;
        }
    }
    mem_free(marks, bytes);
    return native;
}
