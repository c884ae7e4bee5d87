/* graph/stage_unroll.c -- a block as steps: several indices of the innermost axis in one program.
 *
 * A tile has few lanes, so running a block at one index takes about as long as preparing for it.
 * Where operands allow no run over the lanes of several indices at once (a sum over the axis, a
 * factor that repeats along it, shared elements that change), the instructions for several
 * indices become one program: fewer runs, and what repeats or is added up stays in registers.
 * Values are computed and added in the same order, so no bit changes. */
#include "graph/stage_block.h"

#include <string.h>

enum {
    WORK = 120,        /* of a program, in cheap instructions */
    COSTLY = 15,       /* cheap instructions in a function's place */
    UNROLLED_IN = 64,
    UNROLLED_OUT = 24, /* results that may wait in registers until all operands were read */
    UNROLLED_MOST = 32
};

typedef struct Unrolling {
    const StageBlock *block;
    StageBlock *to;
    int axis;                                 /* the innermost */
    bool moves[BLOCK_INPUTS + BLOCK_VALUES];  /* by register: has a value for each index */
    int adds[BLOCK_INPUTS]; /* the output that is this input with something added, or -1 */
    int inputs[UNROLLED_MOST][BLOCK_INPUTS];  /* the new registers of inputs */
    int now[BLOCK_INPUTS + BLOCK_VALUES];     /* by register: that of this index */
} Unrolling;

static bool
is_contiguous(const StageBlock *block, const TileRef *ref)
{
    int64_t strides[TILE_NDIM];
    stage_space_contiguous(&block->space, strides);
    return memcmp(strides, ref->strides, (size_t)block->space.ndim * sizeof(int64_t)) == 0;
}

/* Is one index at a time all that the operands allow? */
static bool
pays(const StageBlock *block)
{
    const int axis = block->space.ndim - 1;
    bool found = false;
    for (int k = 0; k < block->nin + block->nout && axis >= 0; k++) {
        const TileRef *ref = k < block->nin ? &block->in[k] : &block->out[k - block->nin];
        found = found ||
                (ref->is_view ? ref->strides[axis] != 0 : !is_contiguous(block, ref));
    }
    return found && block->nsums == 0;
}

/* Which registers have a value for each index; false where sums are not of the usual form. */
static bool
find_moving(Unrolling *u)
{
    const StageBlock *block = u->block;
    for (int i = 0; i < block->nin; i++) {
        u->adds[i] = -1;
        u->moves[i] = block->in[i].strides[u->axis] != 0;
    }
    for (int o = 0; o < block->nout; o++) {
        bool found = block->out[o].strides[u->axis] != 0;
        for (int i = 0; i < block->nin && !found; i++) {
            if (memcmp(&block->in[i], &block->out[o], sizeof(TileRef)) == 0) {
                u->adds[i] = o;
                u->moves[i] = found = true;
            }
        }
        if (!found) {
            return false;
        }
    }
    for (int k = 0; k < block->ncode; k++) {
        const Instruction *in = &block->code[k];
        u->moves[in->out] = false;
        for (int i = 0; i < in->nin; i++) {
            u->moves[in->out] = u->moves[in->out] || u->moves[in->in[i]];
        }
    }
    return true;
}

/* How many indices one program should hold. */
static int64_t
indices_of(const Unrolling *u)
{
    const StageBlock *block = u->block;
    int64_t work = 0, code = 0, in = 0, out = 0;
    for (int k = 0; k < block->ncode; k++) {
        const bool cheap = (op_info((OpCode)block->code[k].op)->flags & FLAG_CHEAP) != 0;
        code += u->moves[block->code[k].out];
        work += u->moves[block->code[k].out] ? (cheap ? 1 : COSTLY) : 0;
    }
    for (int i = 0; i < block->nin; i++) {
        in += block->in[i].strides[u->axis] != 0;
    }
    for (int o = 0; o < block->nout; o++) {
        out += block->out[o].strides[u->axis] != 0;
    }
    const int64_t bounds[][2] = {{WORK, work},
                                 {BLOCK_VALUES - (block->ncode - code), code},
                                 {UNROLLED_IN - (block->nin - in), in},
                                 {UNROLLED_OUT, out},
                                 {BLOCK_OUTPUTS - (block->nout - out), out}};
    int64_t most = UNROLLED_MOST;
    for (size_t k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
        const int64_t each = bounds[k][1];
        most = each > 0 && bounds[k][0] / each < most ? bounds[k][0] / each : most;
    }
    const int64_t size = block->space.shape[u->axis];
    const int64_t parts = most < 2 ? size : (size + most - 1) / most;
    return (size + parts - 1) / parts;
}

/* The operand at the index, as the program walks over its axis in steps of `count`. */
static TileRef
ref_at(const Unrolling *u, const TileRef *ref, int64_t index, int64_t count)
{
    TileRef moved = *ref;
    moved.offset += index * ref->strides[u->axis];
    moved.strides[u->axis] *= count;
    return moved;
}

/* Registers of values follow those of all inputs, so these come first. */
static void
add_inputs(Unrolling *u, int64_t first, int64_t count)
{
    const StageBlock *block = u->block;
    StageBlock *to = u->to;
    for (int64_t c = 0; c < count; c++) {
        for (int i = 0; i < block->nin; i++) {
            const bool own = c == 0 || block->in[i].strides[u->axis] != 0;
            u->inputs[c][i] = own ? to->nin : u->inputs[0][i];
            if (own) {
                to->in[to->nin++] = ref_at(u, &block->in[i], first + c, count);
            }
        }
    }
}

static void
add_index(Unrolling *u, int64_t first, int64_t c, int64_t count)
{
    const StageBlock *block = u->block;
    StageBlock *to = u->to;
    int sums[BLOCK_INPUTS];
    for (int i = 0; i < block->nin; i++) { /* all before any is overwritten */
        sums[i] = u->adds[i] < 0 || c == 0 ? u->inputs[c][i]
                                           : u->now[block->out_registers[u->adds[i]]];
    }
    memcpy(u->now, sums, (size_t)block->nin * sizeof(int));
    for (int k = 0; k < block->ncode; k++) {
        const Instruction *from = &block->code[k];
        if (c > 0 && !u->moves[from->out]) {
            continue;
        }
        Instruction *code = &to->code[to->ncode];
        *code = *from;
        for (int i = 0; i < from->nin; i++) {
            code->in[i] = (uint16_t)u->now[from->in[i]];
        }
        code->out = (uint16_t)(to->nin + to->ncode++);
        u->now[from->out] = code->out;
    }
    for (int o = 0; o < block->nout; o++) {
        if (block->out[o].strides[u->axis] != 0 || c == count - 1) {
            to->out_registers[to->nout] = (uint16_t)u->now[block->out_registers[o]];
            to->out[to->nout++] = ref_at(u, &block->out[o], first + c, count);
        }
    }
}

static Status
add_step(StageBuild *b, const StageBlock *block)
{
    TileStep step = {.kind = stage_is_line(b, &block->space) ? TILE_LINE : TILE_BLOCK,
                     .ndim = block->space.ndim,
                     .nin = block->nin,
                     .nout = block->nout,
                     .in = block->in,
                     .out = block->out,
                     .ninstructions = block->ncode,
                     .instructions = block->code,
                     .out_registers = block->out_registers,
                     .nsums = block->nsums,
                     .sum_registers = block->sum_registers,
                     .block_sums = block->sums};
    memcpy(step.shape, block->space.shape, sizeof step.shape);
    return stage_add_step(b, &step);
}

/* The indices from `first` on, `count` at a time. */
static Status
add_unrolled(StageBuild *b, Unrolling *u, int64_t first, int64_t runs, int64_t count)
{
    StageBlock to;
    memset(&to, 0, sizeof to);
    to.space = u->block->space;
    to.space.shape[u->axis] = runs;
    to.space.ndim -= runs == 1;
    u->to = &to;
    add_inputs(u, first, count);
    for (int64_t c = 0; c < count; c++) {
        add_index(u, first, c, count);
    }
    return add_step(b, &to);
}

Status
stage_add_block_steps(StageBuild *b, const StageBlock *block)
{
    Unrolling u = {.block = block, .axis = block->space.ndim - 1};
    if (stage_is_line(b, &block->space) || !pays(block) || !find_moving(&u)) {
        return add_step(b, block);
    }
    const int64_t count = indices_of(&u), size = block->space.shape[u.axis];
    const Status status =
        count < 2 ? add_step(b, block) : add_unrolled(b, &u, 0, size / count, count);
    return status != STATUS_OK || count < 2 || size % count == 0
               ? status
               : add_unrolled(b, &u, size - size % count, 1, size % count);
}
