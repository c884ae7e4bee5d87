/* backend/cpu/tile_line.c -- a step of elementwise instructions along a line: the block over the one
 * axis of its space, for one row of a tile after the other.
 *
 * A block of few instructions that adds rows up does so for several rows in one program, which
 * reads and writes the sum once. It adds in the same order, so no bit changes. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"

#include <string.h>

enum {
    LINE_OPERANDS = 256,
    LINE_LANES = 8192,     /* of one run, where a block may have so many */
    LINE_ROWS = 8,         /* in one program, of at most so many instructions each */
    LINE_INSTRUCTIONS = 6,
    LOOK_EVERY = 128 * 1024 /* elements between looks for Ctrl-C */
};

/* An operand of a program, of one of its rows. */
typedef struct LineOperand {
    const TileRef *ref;
    int row;
} LineOperand;

static DType
dtype_of(const TileProgram *p, const TileRef *ref)
{
    return ref->is_sum    ? p->sums[ref->at].dtype
           : ref->is_view ? p->views[ref->at].dtype
                          : p->buffers[ref->at].dtype;
}

/* One element for all of the line? */
static bool
stays(const TileProgram *p, const TileRef *ref)
{
    return ref->is_view ? ref->strides[0] == 0 : !ref->is_sum && !p->buffers[ref->at].by_rows;
}

/* The same for all rows? */
static bool
is_common(const TileProgram *p, const TileRef *ref)
{
    return ref->is_sum || (ref->is_view && p->views[ref->at].shared);
}

/* The operands of a program for several rows: inputs, then outputs, each for all rows or for the
 * first, the second, .. row. How many inputs, and all in all. */
static int
list_operands(const TileProgram *p, const TileStep *step, int rows, LineOperand *operands,
              int *nin)
{
    int count = 0;
    for (int k = 0; k < step->nin + step->nout; k++) {
        const TileRef *ref = k < step->nin ? &step->in[k] : &step->out[k - step->nin];
        for (int r = 0; r < (is_common(p, ref) ? 1 : rows); r++) {
            operands[count++] = (LineOperand){ref, r};
        }
        *nin = k < step->nin ? count : *nin;
    }
    return count;
}

/* ---- preparing ---- */

typedef struct LineProgram {
    LineOperand operands[LINE_OPERANDS];
    uint8_t dtypes[LINE_OPERANDS];
    bool uniform[LINE_OPERANDS];
    uint16_t outs[LINE_OPERANDS], sums[LINE_OPERANDS];
    Instruction code[LINE_ROWS * LINE_INSTRUCTIONS];
    uint16_t now[PROGRAM_MAX_REGISTERS]; /* by the step's register: that of this row */
    int ncode, nout;
} LineProgram;

/* The step's instructions for a row. Sums go on from the row before. */
static void
add_row(LineProgram *l, const TileProgram *p, const TileStep *step, int row, int nin)
{
    int input = 0;
    for (int k = 0; k < step->nin; k++) {
        const bool common = is_common(p, &step->in[k]);
        if (row == 0 || !step->in[k].is_sum) {
            l->now[k] = (uint16_t)(input + (common ? 0 : row));
        }
        while (input < nin && l->operands[input].ref == &step->in[k]) {
            input++;
        }
    }
    for (int k = 0; k < step->ninstructions; k++) {
        Instruction *code = &l->code[l->ncode];
        *code = step->instructions[k];
        for (int i = 0; i < code->nin; i++) {
            code->in[i] = l->now[code->in[i]];
        }
        l->now[step->instructions[k].out] = code->out = (uint16_t)(nin + l->ncode++);
    }
    for (int o = 0; o < step->nout; o++) {
        const TileRef *out = &step->out[o];
        for (int k = 0; k < step->nin && out->is_sum; k++) {
            if (step->in[k].is_sum && step->in[k].at == out->at) {
                l->now[k] = l->now[step->out_registers[o]];
            }
        }
        for (int k = nin; k < nin + l->nout; k++) {
            if (l->operands[k].ref == out && (out->is_sum || l->operands[k].row == row)) {
                l->outs[k - nin] = l->now[step->out_registers[o]];
            }
        }
    }
    for (int s = 0; s < step->nsums; s++) {
        l->sums[row * step->nsums + s] = l->now[step->sum_registers[s]];
    }
}

/* The program of `rows` rows; NULL with the error set. */
static BlockCode *
compile_rows(const TileProgram *p, const TileStep *step, int rows)
{
    LineProgram *l = mem_new_zeroed(sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    int nin = 0;
    const int count = list_operands(p, step, rows, l->operands, &nin);
    bool in_place = false;
    l->nout = count - nin;
    for (int k = 0; k < nin; k++) {
        const TileRef *ref = l->operands[k].ref;
        l->uniform[k] = stays(p, ref);
        l->dtypes[k] = (uint8_t)dtype_of(p, ref);
        in_place = in_place || ref->is_sum;
    }
    for (int r = 0; r < rows && rows > 1; r++) {
        add_row(l, p, step, r, nin);
    }
    const BlockSpec spec = {.nin = nin,
                            .ninstructions = rows * step->ninstructions,
                            .nout = count - nin,
                            .in_dtypes = l->dtypes,
                            .in_uniform = l->uniform,
                            .instructions = rows > 1 ? l->code : step->instructions,
                            .out_registers = rows > 1 ? l->outs : step->out_registers,
                            .nsum = rows * step->nsums,
                            .sum_registers = rows > 1 ? l->sums : step->sum_registers,
                            .lanes = BLOCK_LANES,
                            .elements = p->rows * step->shape[0],
                            .in_place = in_place};
    BlockCode *code = block_compile(&spec);
    mem_free(l, sizeof *l);
    return code;
}

/* Is a sum over rows most of what the step does? */
static bool
takes_rows(const TileProgram *p, const TileStep *step)
{
    bool sums = false;
    for (int k = 0; k < step->nin; k++) {
        sums = sums || step->in[k].is_sum;
    }
    for (int k = 0; k < step->ninstructions; k++) {
        const Instruction *in = &step->instructions[k];
        sums = sums && (op_info((OpCode)in->op)->flags & FLAG_CHEAP) != 0;
    }
    return sums && step->ninstructions <= LINE_INSTRUCTIONS && p->rows >= LINE_ROWS &&
           (step->nin + step->nout + step->nsums) * LINE_ROWS <= LINE_OPERANDS;
}

Status
tile_prepare_line(const TileProgram *p, const TileStep *step, TilePlan *plan,
                  int64_t *scratch_bytes, int *npointers)
{
    const int rows = takes_rows(p, step) ? LINE_ROWS : 1;
    if (step->nin + step->nout > LINE_OPERANDS) {
        return err_set(ERR_RUNTIME, "stage: a block is too large");
    }
    plan->block = compile_rows(p, step, 1);
    plan->together = plan->block == NULL || rows == 1 ? NULL : compile_rows(p, step, rows);
    if (plan->block == NULL || (rows > 1 && plan->together == NULL)) {
        return STATUS_ERROR;
    }
    int64_t bytes = block_scratch_bytes(plan->block);
    if (rows > 1 && block_scratch_bytes(plan->together) > bytes) {
        bytes = block_scratch_bytes(plan->together);
    }
    plan->copies = rows * step->nsums * (int64_t)BLOCK_SUM_BYTES + tile_round(bytes, 64);
    *npointers = rows * (step->nin + step->nout);
    *scratch_bytes = plan->copies;
    for (int i = 0; i < step->nin; i++) {
        const bool copied = step->in[i].is_view && !stays(p, &step->in[i]);
        *scratch_bytes += copied ? rows * BLOCK_LANES * BLOCK_ELEMENT_BYTES : 0;
    }
    return STATUS_OK;
}

/* ---- running ---- */

/* An operand that moves along the line. */
typedef struct Mover {
    int k;
    const char *at; /* its first element of the row */
    int64_t stride; /* bytes */
    int64_t size;   /* of an element */
    char *copy;     /* where a block of it is put side by side, or NULL */
} Mover;

typedef struct Line {
    const Tile *t;
    const TileStep *step;
    const BlockCode *block;
    BlockFrame frame;
    void **pointers;
    int64_t lanes; /* of one run */
    int64_t done;  /* elements since the last look for Ctrl-C */
    int rows, count, nmovers;
    LineOperand operands[LINE_OPERANDS];
    Mover movers[LINE_OPERANDS];
} Line;

/* The row's first element of an operand. */
static char *
first_element(const Tile *t, const TileRef *ref, int64_t r)
{
    const TileProgram *p = t->program;
    if (ref->is_sum) {
        return tile_part(t, ref->at);
    }
    if (ref->is_view) {
        const TileMemory *memory = &t->sweep->views[ref->at];
        return memory->data + (t->row + r) * memory->row_stride;
    }
    const int64_t size = dtype_size(p->buffers[ref->at].dtype);
    return p->buffers[ref->at].by_rows
               ? t->buffers + t->code->places[ref->at] + r * p->buffers[ref->at].count * size
               : tile_buffer(t, ref) + r * size;
}

static void
line_find_movers(Line *l, char *copy)
{
    l->lanes = block_most_lanes(l->block) < LINE_LANES ? BLOCK_LANES : LINE_LANES;
    for (int k = 0; k < l->count; k++) {
        const TileRef *ref = l->operands[k].ref;
        if (stays(l->t->program, ref)) {
            continue;
        }
        Mover *m = &l->movers[l->nmovers++];
        *m = (Mover){.k = k, .size = dtype_size(dtype_of(l->t->program, ref))};
        m->stride = m->size;
        if (ref->is_view) {
            const TileMemory *memory = &l->t->sweep->views[ref->at];
            m->stride = memory->strides[0];
            const bool aligned = (uintptr_t)memory->data % (uintptr_t)m->size == 0 &&
                                 memory->row_stride % m->size == 0;
            m->copy = m->stride == m->size && aligned ? NULL : copy;
            l->lanes = m->copy == NULL ? l->lanes : BLOCK_LANES;
            copy += BLOCK_LANES * BLOCK_ELEMENT_BYTES;
        }
    }
}

static void
line_init(Line *l, const Tile *t, const TileStep *step, const TilePlan *plan, int rows)
{
    int nin = 0;
    l->t = t;
    l->step = step;
    l->block = rows > 1 ? plan->together : plan->block;
    l->rows = rows;
    l->done = 0;
    l->nmovers = 0;
    l->count = list_operands(t->program, step, rows, l->operands, &nin);
    l->pointers = t->pointers + plan->refs;
    l->frame = (BlockFrame){.in = (const void *const *)l->pointers,
                            .out = (void *const *)(l->pointers + nin),
                            .sums = t->scratch,
                            .scratch =
                                t->scratch + rows * step->nsums * (int64_t)BLOCK_SUM_BYTES};
    line_find_movers(l, t->scratch + plan->copies);
}

static void
line_start_row(Line *l, int64_t r)
{
    for (int k = 0; k < l->count; k++) {
        l->pointers[k] = first_element(l->t, l->operands[k].ref, r + l->operands[k].row);
    }
    for (int m = 0; m < l->nmovers; m++) {
        l->movers[m].at = l->pointers[l->movers[m].k];
    }
    block_sums_start(l->block, l->frame.sums);
}

static void
line_move(const Line *l, int64_t j, int64_t n)
{
    for (int i = 0; i < l->nmovers; i++) {
        const Mover *m = &l->movers[i];
        const char *from = m->at + j * m->stride;
        l->pointers[m->k] = m->copy != NULL ? m->copy : (char *)(uintptr_t)from;
        for (int64_t e = 0; m->copy != NULL && e < n; e++) {
            memcpy(m->copy + e * m->size, from + e * m->stride, (size_t)m->size);
        }
    }
}

/* The sums of rows into their elements of buffers. */
static void
line_end_row(const Line *l, int64_t r)
{
    for (int s = 0; s < l->rows * l->step->nsums; s++) {
        _Alignas(16) char sum[BLOCK_ELEMENT_BYTES];
        const TileRef *ref = &l->step->block_sums[s % l->step->nsums];
        block_sum_fold(l->block, l->frame.sums, s, sum);
        cpu_reduce_kernels(REDUCE_SUM, l->t->program->buffers[ref->at].dtype)
            ->join(first_element(l->t, ref, r + s / l->step->nsums), sum, 1);
    }
}

/* Row r, and those that the program does with it. */
static bool
line_run(Line *l, int64_t r)
{
    const int64_t size = l->step->shape[0];
    line_start_row(l, r);
    if (!block_prologue(l->block, &l->frame)) {
        return false;
    }
    for (int64_t j = 0; j < size; j += l->lanes) {
        const int64_t n = size - j < l->lanes ? size - j : l->lanes;
        l->done += n * l->rows;
        if (l->done >= LOOK_EVERY) {
            l->done = 0;
            if (tile_is_stopped(l->t)) {
                return true;
            }
        }
        line_move(l, j, n);
        if (!block_run(l->block, &l->frame, n)) {
            return false;
        }
    }
    line_end_row(l, r);
    return true;
}

bool
tile_line(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    Line l;
    int64_t r = 0;
    if (plan->together != NULL && t->n >= LINE_ROWS) {
        line_init(&l, t, step, plan, LINE_ROWS);
        for (; r + LINE_ROWS <= t->n; r += LINE_ROWS) {
            if (!line_run(&l, r)) {
                return false;
            }
        }
    }
    if (r < t->n) {
        line_init(&l, t, step, plan, 1);
    }
    for (; r < t->n; r++) {
        if (!line_run(&l, r)) {
            return false;
        }
    }
    return true;
}
