/* backend/cpu/native_plan.c -- the native executor's plan of a block: which instructions are
 * emitted together, in which order with calls of kernels, and where registers have their homes. */
#include "backend/cpu/native.h"

#include "backend/cpu/cpu.h"

#include <string.h>

enum {
    MOST_NODES = 4000, /* of a segment: its code should fit into the instruction cache */
    TWIN_SHARE = 4,    /* of an instruction is its own where another computes the rest */
    LONG_NODES = 64,   /* from here on iterations hardly overlap */
    MANY_LANES = 256,  /* for which loads and stores between segments are cheap */
    AFTER_ALL = INT16_MAX /* later than any section */
};

typedef VEC(int32_t) PlaceList;

typedef struct Planner {
    const Compiler *c;
    Native *native;
    uint8_t *known; /* by register: its value is there */
    uint8_t *done;  /* by instruction */
    int left;
    int nodes, share; /* in segments so far, and of each segment */
    int segments;
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

/* The op that computes much in common with this one, of one operand; OP_COUNT where none does. */
static int
twin_op(int op, int *operand)
{
    *operand = op == OP_sin || op == OP_cos ? 0 : 2;
    switch (op) {
    case OP_sin:
        return OP_cos;
    case OP_cos:
        return OP_sin;
    case OP_exp_real:
        return OP_exp_imag;
    case OP_exp_imag:
        return OP_exp_real;
    default:
        return OP_COUNT;
    }
}

/* Is there an instruction among these (`order`: their numbers, else the first ones) whose segment
 * would compute the most of this one, too? */
static bool
has_twin(const BlockSpec *spec, const Instruction *in, const uint16_t *order, int64_t count)
{
    int operand;
    const int twin = twin_op(in->op, &operand);
    for (int64_t t = 0; t < count && twin != OP_COUNT; t++) {
        const Instruction *other = &spec->instructions[order == NULL ? t : order[t]];
        if (other->op == twin && other->in[operand] == in->in[operand]) {
            return true;
        }
    }
    return false;
}

/* Nodes that an emitted instruction adds to a segment of which its twin is part, or not. */
static int
nodes_of(const Planner *p, const Instruction *in, bool twin)
{
    return native_nodes(in, p->native->wide) / (twin ? TWIN_SHARE : 1);
}

/* The nodes of each segment. Iterations of a long loop do not overlap, so that it runs at the
 * speed of its longest chain: loops of equal length that pass their values on in memory are
 * faster. */
static int
plan_share(const Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    const int64_t lanes = spec->lanes == 0 ? BLOCK_LANES : spec->lanes;
    int nodes = 0;
    for (int k = 0; k < spec->ninstructions; k++) {
        const Instruction *in = &spec->instructions[k];
        const bool emitted = p->done[k] == 0 && native_supports(p->c, in, p->native->wide);
        nodes += emitted ? nodes_of(p, in, has_twin(spec, in, NULL, k)) : 0;
    }
    const int count = lanes < MANY_LANES || spec->in_place ? nodes / MOST_NODES + 1
                                                           : nodes / LONG_NODES + 1;
    return nodes / count + 1;
}

/* The nodes so far at which a segment that begins here ends: it makes up for what those before
 * it left, but for no more than one share. */
static int
segment_end(const Planner *p)
{
    const int even = (p->segments + 1) * p->share, most = p->nodes + 2 * p->share;
    return even < most ? even : most;
}

/* All instructions of one kind whose inputs are known, and those that then follow; of emitted
 * ones, until the segment is full. */
static bool
plan_section(Planner *p, bool emitted)
{
    Native *native = p->native;
    const int first = (int)native->order.size, end = segment_end(p);
    for (int k = 0; k < p->c->spec->ninstructions; k++) {
        const Instruction *in = &p->c->spec->instructions[k];
        if (!is_ready(p, k) || native_supports(p->c, in, native->wide) != emitted) {
            continue;
        }
        const bool twin = emitted && has_twin(p->c->spec, in, native->order.data + first,
                                              native->order.size - first);
        const int nodes = emitted ? nodes_of(p, in, twin) : 0;
        if (emitted && !twin && native->order.size > first && p->nodes + nodes / 2 > end) {
            break;
        }
        p->nodes += nodes;
        p->done[k] = 1;
        p->known[in->out] = 1;
        p->left--;
        if (vec_push(&native->order, (uint16_t)k) != STATUS_OK) {
            return false;
        }
    }
    const int count = (int)native->order.size - first;
    p->segments += emitted && count > 0;
    return count == 0 ||
           vec_push(&native->sections, (Section){emitted, first, count, 0}) == STATUS_OK;
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
        native->homes.data[r] = (Home){
            .slot = NOWHERE, .cell = NOWHERE, .section = NOWHERE, .last = NOWHERE};
    }
    for (int64_t t = 0; t < native->sections.size; t++) {
        const Section *section = &native->sections.data[t];
        for (int k = section->first; k < section->first + section->count; k++) {
            const uint16_t reg = p->c->spec->instructions[native->order.data[k]].out;
            native->homes.data[reg].section = (int16_t)t;
        }
    }
    return true;
}

/* Outputs that instructions write where they go: all those of vectors. In place only if nothing
 * is read after the first is written: with one section, whose stores come last. */
static bool
plan_outputs(Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    Native *native = p->native;
    const bool one = native->sections.size == 1 && native->sections.data[0].emitted;
    for (int o = 0; o < spec->nout; o++) {
        const uint16_t reg = spec->out_registers[o];
        Home *home = &native->homes.data[reg];
        const bool uniform = p->c->registers[reg].uniform;
        const uint8_t size = (uint8_t)dtype_size((DType)p->c->dtypes[reg]);
        if (home->section != NOWHERE && !home->direct && (one || !spec->in_place)) {
            home->direct = true;
            if (vec_push(&native->direct, (Direct){reg, (uint16_t)o}) != STATUS_OK ||
                vec_push(&native->direct_widths, size) != STATUS_OK) {
                return false;
            }
            continue;
        }
        home->outside = true;
        home->last = AFTER_ALL;
        if (vec_push(&native->copies, (Copy){reg, (uint16_t)o, size, uniform}) != STATUS_OK) {
            return false;
        }
    }
    return true;
}

/* Sums of float64 values are part of a segment; others are added up after all sections. */
static bool
plan_sums(Planner *p)
{
    const BlockSpec *spec = p->c->spec;
    const Section *sections = p->native->sections.data;
    const bool last_emitted = sections[p->native->sections.size - 1].emitted;
    for (int s = 0; s < spec->nsum; s++) {
        const uint16_t reg = spec->sum_registers[s];
        Home *home = &p->native->homes.data[reg];
        const bool emitted = home->section != NOWHERE ? sections[home->section].emitted
                                                    : reg < spec->nin && last_emitted;
        if (emitted && p->c->dtypes[reg] == DT_f64 && !p->c->registers[reg].uniform) {
            home->summed = true;
            continue;
        }
        home->outside = true;
        home->last = AFTER_ALL;
        if (vec_push(&p->native->sums, (uint16_t)s) != STATUS_OK) {
            return false;
        }
    }
    return true;
}

/* The last section that reads each register, if nothing reads it after all of them. */
static void
find_last_reads(Planner *p)
{
    Native *native = p->native;
    for (int64_t t = 0; t < native->sections.size; t++) {
        const Section *section = &native->sections.data[t];
        for (int k = section->first; k < section->first + section->count; k++) {
            const Instruction *in = &p->c->spec->instructions[native->order.data[k]];
            for (int i = 0; i < in->nin; i++) {
                Home *home = &native->homes.data[in->in[i]];
                home->outside = home->outside || home->section != t;
                home->last = home->last < t ? (int16_t)t : home->last;
            }
        }
    }
}

static void
free_slot(PlaceList *free_slots, Home *home, int64_t section)
{
    if (home->slot != NOWHERE && home->last <= section && !home->freed) {
        home->freed = true;
        (void)vec_push(free_slots, home->slot); /* else nobody has it after */
    }
}

/* Slots for values that leave their segments; their numbers, for now. A slot is free for others
 * when the section is over that reads it last. */
static void
plan_slots(Planner *p, int *nslots)
{
    Native *native = p->native;
    PlaceList free_slots = {0};
    find_last_reads(p);
    for (int64_t t = 0; t < native->sections.size; t++) {
        const Section *section = &native->sections.data[t];
        const int end = section->first + section->count;
        for (int k = section->first; k < end; k++) {
            Home *home =
                &native->homes.data[p->c->spec->instructions[native->order.data[k]].out];
            if (!home->direct && (home->outside || !section->emitted)) {
                home->slot = free_slots.size > 0 ? vec_pop(&free_slots) : (*nslots)++;
            }
        }
        for (int k = section->first; k < end; k++) {
            const Instruction *in = &p->c->spec->instructions[native->order.data[k]];
            for (int i = 0; i < in->nin; i++) {
                free_slot(&free_slots, &native->homes.data[in->in[i]], t);
            }
            free_slot(&free_slots, &native->homes.data[in->out], t);
        }
    }
    vec_fini(&free_slots);
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
    p->share = plan_share(p);
    bool any = false;
    while (p->left > 0) {
        const int before = p->left;
        if (!plan_section(p, true)) {
            return false;
        }
        any = any || p->left < before;
        if (!plan_section(p, false) || p->left == before) {
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
        Planner p = {.c = c, .native = native, .known = marks};
        p.done = marks + c->code->nregisters;
        if (!plan_all(&p, nslots)) {
            native_free(native);
            native = NULL;
            *nslots = 0;
        }
    }
    mem_free(marks, bytes);
    return native;
}
