/* backend/cpu/native.c -- the native executor: machine code for runs of instructions, calls of
 * kernels between them.
 *
 * Instructions that can be emitted are gathered into as few segments as their order allows.
 * Within a segment values stay in registers; what others read goes to its home: the memory of an
 * output, or a slot of the scratch. Emitted code takes whole vectors only. The lanes left over
 * go through the same code once more, in buffers that are filled up with copies of the last one,
 * and with accumulators of which only the lanes that count are taken back. */
#include "backend/cpu/native.h"

#include "backend/cpu/emit_lower.h"

#include <string.h>

enum { LANES_MOST = 8, BUFFER_BYTES = LANES_MOST * BLOCK_ELEMENT_BYTES };

void
native_free(Native *native)
{
    if (native == NULL) {
        return;
    }
    emit_memory_unmap(&native->memory);
    vec_fini(&native->sections);
    vec_fini(&native->order);
    vec_fini(&native->steps);
    vec_fini(&native->cells);
    vec_fini(&native->copies);
    vec_fini(&native->direct);
    vec_fini(&native->direct_widths);
    vec_fini(&native->sums);
    vec_fini(&native->widths);
    vec_fini(&native->homes);
    mem_free(native, sizeof *native);
}

int64_t
native_bytes(const Native *native)
{
    return native == NULL ? 0
                          : (int64_t)(sizeof *native + native->memory.bytes) +
                                native->order.capacity * (int64_t)sizeof(uint16_t) +
                                native->steps.capacity * (int64_t)sizeof(Step) +
                                native->cells.capacity * (int64_t)sizeof(Cell) +
                                native->homes.capacity * (int64_t)sizeof(Home);
}

bool
native_keeps_nothing(const Native *native)
{
    bool nothing = native->sections.size == 1 && native->sections.data[0].emitted &&
                   !native->guarded && native->sums.size == 0;
    for (int64_t r = 0; r < native->homes.size; r++) {
        nothing = nothing && native->homes.data[r].slot == NOWHERE;
    }
    return nothing;
}

/* ---- emitting ---- */

typedef struct Emitter {
    const Compiler *c;
    Native *native;
    IrBuilder builder;
    Ir *values; /* by register: its node in this segment; of complex ones the real part's */
    Ir *imags;  /* and the imaginary part's */
    int segment, segments;
    bool failed;
} Emitter;

/* The cell of a uniform register. */
static int32_t
cell_of(Emitter *e, uint16_t reg)
{
    const int32_t size = e->native->wide ? 8 : 8 * 4;
    Home *home = &e->native->homes.data[reg];
    if (home->cell != NOWHERE) {
        return home->cell;
    }
    const int32_t at = e->native->cells_at + (int32_t)e->native->cells.size * size;
    e->failed = e->failed || vec_push(&e->native->cells, (Cell){reg, e->c->dtypes[reg] == DT_bool,
                                                                at}) != STATUS_OK;
    home->cell = at;
    return at;
}

/* Where a register's vector lies, as loads and stores name it. */
static uint64_t
home_of(const Emitter *e, uint16_t reg)
{
    const int32_t slot = e->native->homes.data[reg].slot;
    return slot == NOWHERE ? ALLOC_INDIRECT | (uint64_t)reg * sizeof(char *) : (uint64_t)slot;
}

/* Both parts of a complex register from memory, where they take turns. */
static void
load_parts(Emitter *e, uint16_t reg)
{
    IrBuilder *b = &e->builder;
    const Ir first = ir_node(b, IR_LOAD, 0, 0, 0, 0, home_of(e, reg) | ALLOC_FIRST);
    const Ir second = ir_node(b, IR_LOAD, 0, 0, 0, 0, home_of(e, reg) | ALLOC_SECOND);
    e->values[reg] = ir_reorder(b, IR_EVENS, first, second);
    e->imags[reg] = ir_reorder(b, IR_ODDS, first, second);
}

static void
store_parts(Emitter *e, uint16_t reg)
{
    IrBuilder *b = &e->builder;
    const Ir re = e->values[reg], im = e->imags[reg];
    ir_node(b, IR_STORE, 0, ir_reorder(b, IR_ZIP_LOW, re, im), 0, 0,
            home_of(e, reg) | ALLOC_FIRST);
    ir_node(b, IR_STORE, 0, ir_reorder(b, IR_ZIP_HIGH, re, im), 0, 0,
            home_of(e, reg) | ALLOC_SECOND);
}

static Ir
value_of(Emitter *e, uint16_t reg)
{
    IrBuilder *b = &e->builder;
    const bool mask = e->c->dtypes[reg] == DT_bool;
    if (e->values[reg] != 0) {
        return e->values[reg];
    }
    if (e->c->dtypes[reg] == DT_c128) {
        load_parts(e, reg);
        return e->values[reg];
    }
    Ir x;
    if (e->c->registers[reg].uniform) {
        x = ir_node(b, IR_UNIFORM, 0, 0, 0, 0, (uint64_t)cell_of(e, reg));
        x = mask && b->wide ? ir_node(b, IR_MASK_OF_WORD, 0, x, 0, 0, 0) : x;
    } else {
        x = ir_node(b, mask ? IR_LOAD_BYTES : IR_LOAD, 0, 0, 0, 0, home_of(e, reg));
    }
    e->values[reg] = x;
    return x;
}

static void
emit_store(Emitter *e, uint16_t reg)
{
    const Home *home = &e->native->homes.data[reg];
    if (!home->direct && home->slot == NOWHERE) {
        return;
    }
    if (e->c->dtypes[reg] == DT_c128) {
        store_parts(e, reg);
    } else {
        const IrOp op = e->c->dtypes[reg] == DT_bool ? IR_STORE_BYTES : IR_STORE;
        ir_node(&e->builder, op, 0, value_of(e, reg), 0, 0, home_of(e, reg));
    }
}

static void
emit_sums(Emitter *e, uint16_t reg)
{
    const BlockSpec *spec = e->c->spec;
    for (int s = 0; s < spec->nsum && e->native->homes.data[reg].summed; s++) {
        if (spec->sum_registers[s] == reg) {
            ir_node(&e->builder, IR_SUM, 0, value_of(e, reg), 0, 0, (uint64_t)s);
        }
    }
}

/* The streams from the next one up to `end`. */
static void
emit_fetches(Emitter *e, int *next, int end)
{
    for (; *next < end; (*next)++) {
        const uint64_t at = (uint64_t)e->native->fetches_at + (uint64_t)*next * sizeof(char *);
        ir_node(&e->builder, IR_FETCH, 0, 0, 0, 0, ALLOC_INDIRECT | at);
    }
}

static void
emit_value(Emitter *e, const Instruction *in)
{
    Ir inputs[3] = {0};
    for (int i = 0; i < in->nin; i++) {
        inputs[i] = value_of(e, in->in[i]);
    }
    if (native_joins_parts(e->c, in)) {
        e->values[in->out] = inputs[0];
        e->imags[in->out] = inputs[1];
    } else if (native_takes_part(e->c, in)) {
        e->values[in->out] = in->op == OP_real ? inputs[0] : e->imags[in->in[0]];
    } else {
        e->values[in->out] = native_value(&e->builder, e->c, in, inputs);
    }
}

static void
emit_segment(Emitter *e, Section *section, Assembler *code, bool last)
{
    const BlockSpec *spec = e->c->spec;
    IrBuilder *b = &e->builder;
    const int streams = spec->nfetches, all = e->segments;
    const int first = streams * e->segment / all, end = streams * ++e->segment / all;
    int next = first;
    ir_clear(b);
    memset(e->values, 0, (size_t)e->c->code->nregisters * sizeof *e->values);
    for (int k = section->first; k < section->first + section->count; k++) {
        const Instruction *in = &spec->instructions[e->native->order.data[k]];
        emit_value(e, in);
        emit_sums(e, in->out);
        if (!spec->in_place) {
            emit_store(e, in->out);
        }
        emit_fetches(e, &next, first + (end - first) * (k - section->first + 1) / section->count);
    }
    for (uint16_t i = 0; i < spec->nin && last; i++) {
        emit_sums(e, i);
    }
    for (int k = section->first; k < section->first + section->count && spec->in_place; k++) {
        emit_store(e, spec->instructions[e->native->order.data[k]].out);
    }
    e->failed = e->failed || b->failed || b->unsupported;
    if (!e->failed) {
        section->at = emit_lower(code, b);
    }
}

static bool
emit_sections(Emitter *e, Assembler *code)
{
    Native *native = e->native;
    for (int64_t t = 0; t < native->sections.size; t++) {
        e->segments += native->sections.data[t].emitted;
    }
    for (int64_t t = 0; t < native->sections.size && !e->failed; t++) {
        Section *section = &native->sections.data[t];
        if (section->emitted) {
            emit_segment(e, section, code, t == native->sections.size - 1);
            continue;
        }
        const int first = (int)native->steps.size;
        for (int k = section->first; k < section->first + section->count; k++) {
            Step step;
            const Instruction *in = &e->c->spec->instructions[native->order.data[k]];
            e->failed = e->failed || block_step(e->c, in, &step) != STATUS_OK ||
                        vec_push(&native->steps, step) != STATUS_OK;
        }
        section->first = first;
    }
    native->guarded = e->builder.guarded;
    return !e->failed && !code->failed && emit_memory_map(&native->memory, code);
}

/* The scratch of the interpreter, then cells, buffers and accumulators of our own. */
static void
place_scratch(Native *native, Compiler *c)
{
    const int64_t cell = native->wide ? 8 : 8 * 4;
    int64_t at = c->code->scratch_bytes;
    native->cells_at = (int32_t)at;
    at = block_round_up(at + c->code->nregisters * cell);
    native->buffers_at = (int32_t)at;
    at += (native->widths.size + native->direct.size) * BUFFER_BYTES;
    native->sums_at = (int32_t)at;
    at += 2 * (int64_t)c->code->nsum * BLOCK_SUM_BYTES;
    native->nfetches = c->spec->nfetches;
    native->fetches_at = (int32_t)at;
    at = block_round_up(at + native->nfetches * (int64_t)sizeof(char *));
    c->code->scratch_bytes = at;
    for (int64_t r = 0; r < native->homes.size; r++) {
        Home *home = &native->homes.data[r];
        if (home->slot != NOWHERE) {
            home->slot = (int32_t)(c->slots + home->slot * c->slot);
        }
    }
}

bool
native_emit(Native *native, Compiler *c)
{
    const size_t bytes = 2 * (size_t)c->code->nregisters * sizeof(Ir);
    Emitter *e = mem_new_zeroed(sizeof *e);
    Ir *values = mem_new(bytes);
    Assembler code = {.wide = native->wide};
    const int64_t scratch_bytes = c->code->scratch_bytes;
    bool done = false;
    if (e != NULL && values != NULL) {
        place_scratch(native, c);
        *e = (Emitter){.c = c, .native = native, .values = values,
                       .imags = values + c->code->nregisters};
        e->builder.wide = native->wide;
        e->builder.may_guard = true;
        done = emit_sections(e, &code);
        vec_fini(&e->builder.nodes);
    }
    if (!done) {
        c->code->scratch_bytes = scratch_bytes;
    }
    asm_fini(&code);
    mem_free(values, bytes);
    mem_free(e, sizeof *e);
    return done;
}

/* ---- running ---- */

void
native_prologue(const BlockCode *code, const BlockFrame *frame)
{
    const Native *native = code->native;
    char **const values = frame->scratch;
    for (int64_t k = 0; k < native->cells.size; k++) {
        const Cell *cell = &native->cells.data[k];
        uint64_t word;
        if (cell->mask) {
            word = *values[cell->reg] != 0 ? UINT64_MAX : 0;
        } else {
            memcpy(&word, values[cell->reg], sizeof word);
        }
        uint64_t *to = (uint64_t *)((char *)frame->scratch + cell->at);
        for (int lane = 0; lane < (native->wide ? 1 : 4); lane++) {
            to[lane] = word;
        }
    }
}

/* How a run of sections ended. */
typedef enum Outcome { OUTCOME_DONE, OUTCOME_GUARD, OUTCOME_POWER } Outcome;

/* All sections over n lanes, of which emitted code takes `padded`. */
static Outcome
run_sections(const BlockCode *code, char *scratch, int64_t n, int64_t padded, char *sums)
{
    const Native *native = code->native;
    char **const values = (char **)scratch;
    for (int64_t t = 0; t < native->sections.size; t++) {
        const Section *section = &native->sections.data[t];
        if (!section->emitted) {
            if (!block_run_steps(native->steps.data + section->first, section->count, values, n)) {
                return OUTCOME_POWER;
            }
            continue;
        }
        const uint8_t *at = native->memory.base + section->at;
        Segment segment;
        memcpy(&segment, &at, sizeof segment);
        if (segment(scratch, padded * 8, sums) != 0) {
            return OUTCOME_GUARD;
        }
    }
    for (int64_t k = 0; k < native->sums.size; k++) {
        const int s = native->sums.data[k];
        block_run_sum(&code->sums[s], sums + (int64_t)s * BLOCK_SUM_BYTES, scratch, values, n);
    }
    return OUTCOME_DONE;
}

static void
run_copies(const BlockCode *code, const BlockFrame *frame, int64_t at, int64_t n)
{
    const Native *native = code->native;
    for (int64_t k = 0; k < native->copies.size; k++) {
        const Copy *copy = &native->copies.data[k];
        block_run_copy(copy, frame->scratch, (char *)frame->out[copy->out] + at * copy->size, n);
    }
}

static Outcome
run_whole(const BlockCode *code, const BlockFrame *frame, int64_t n)
{
    const Native *native = code->native;
    char **const values = frame->scratch;
    for (int i = 0; i < code->nin; i++) {
        values[i] = (char *)(uintptr_t)frame->in[i];
    }
    for (int64_t d = 0; d < native->direct.size; d++) {
        values[native->direct.data[d].reg] = frame->out[native->direct.data[d].out];
    }
    for (int r = code->nin; r < code->nregisters; r++) {
        if (native->homes.data[r].slot != NOWHERE) {
            values[r] = (char *)frame->scratch + native->homes.data[r].slot;
        }
    }
    const char **const fetches = (const char **)((char *)frame->scratch + native->fetches_at);
    for (int k = 0; k < native->nfetches; k++) { /* the scratch, which is near */
        fetches[k] = frame->fetches != NULL ? frame->fetches[k] : frame->scratch;
    }
    if (n == 0) {
        return OUTCOME_DONE;
    }
    const Outcome outcome = run_sections(code, frame->scratch, n, n, frame->sums);
    if (outcome == OUTCOME_DONE) {
        run_copies(code, frame, 0, n);
    }
    return outcome;
}

/* n < LANES_MOST elements, followed by copies of the last up to `lanes`. One by one: what compilers
 * make of so short a copy of unknown size takes longer to begin. */
static void
copy_lanes(char *to, const char *from, int64_t n, int width, int64_t lanes)
{
#define LANES(bytes)                                                                               \
    case bytes:                                                                                    \
        for (int64_t k = 0; k < lanes; k++) {                                                      \
            memcpy(to + k * bytes, from + (k < n ? k : n - 1) * bytes, bytes);                     \
        }                                                                                          \
        break;
    switch (width) {
        LANES(1)
        LANES(2)
        LANES(4)
        LANES(8)
        LANES(16)
    default:
        break;
    }
#undef LANES
}

/* The n < lanes lanes from `at` on. */
static Outcome
run_rest(const BlockCode *code, const BlockFrame *frame, int64_t at, int64_t n)
{
    const Native *native = code->native;
    char *const scratch = frame->scratch, **const values = frame->scratch;
    char *buffer = scratch + native->buffers_at, *sums = scratch + native->sums_at;
    for (int i = 0; i < code->nin; i++) {
        const int width = native->widths.data[i];
        if (width != 0) {
            const char *from = (const char *)frame->in[i] + at * width;
            copy_lanes(buffer, from, n, width, native->lanes);
            values[i] = buffer;
        }
        buffer += BUFFER_BYTES;
    }
    for (int64_t d = 0; d < native->direct.size; d++, buffer += BUFFER_BYTES) {
        values[native->direct.data[d].reg] = buffer;
    }
    for (int s = 0; s < code->nsum; s++) {
        const int64_t size = code->sums[s].size, offset = (int64_t)s * BLOCK_SUM_BYTES;
        memset(sums + offset, 0, (size_t)(LANES_MOST * size));
        memcpy(sums + offset, (char *)frame->sums + offset + at % SUM_WIDTH * size,
               (size_t)(n * size));
    }
    const Outcome outcome = run_sections(code, scratch, n, native->lanes, sums);
    if (outcome != OUTCOME_DONE) {
        return outcome;
    }
    for (int s = 0; s < code->nsum; s++) {
        const int64_t size = code->sums[s].size, offset = (int64_t)s * BLOCK_SUM_BYTES;
        memcpy((char *)frame->sums + offset + at % SUM_WIDTH * size, sums + offset,
               (size_t)(n * size));
    }
    for (int64_t d = 0; d < native->direct.size; d++) {
        const Direct *direct = &native->direct.data[d];
        const int width = native->direct_widths.data[d];
        copy_lanes((char *)frame->out[direct->out] + at * width, values[direct->reg], n, width, n);
    }
    run_copies(code, frame, at, n);
    return OUTCOME_DONE;
}

bool
native_run(const BlockCode *code, const BlockFrame *frame, int64_t n)
{
    const Native *native = code->native;
    const size_t sum_bytes = native->guarded ? (size_t)code->nsum * BLOCK_SUM_BYTES : 0;
    char *const saved = (char *)frame->scratch + native->sums_at + sum_bytes;
    const int64_t rest = n % native->lanes;
    if (sum_bytes > 0) {
        memcpy(saved, frame->sums, sum_bytes);
    }
    Outcome outcome = run_whole(code, frame, n - rest);
    if (outcome == OUTCOME_DONE && rest > 0) {
        outcome = run_rest(code, frame, n - rest, rest);
    }
    if (outcome != OUTCOME_GUARD) {
        return outcome == OUTCOME_DONE;
    }
    if (sum_bytes > 0) {
        memcpy(frame->sums, saved, sum_bytes);
    }
    block_bind_registers(code, frame->scratch);
    return block_interpret(code, frame, n);
}

const uint8_t *
block_machine_code(const BlockCode *code, int64_t *size)
{
    *size = code->native == NULL ? 0 : (int64_t)code->native->memory.code_bytes;
    return code->native == NULL ? NULL : code->native->memory.base;
}
