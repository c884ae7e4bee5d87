/* backend/cpu/program_plan.c -- preparing programs: how operands are walked, what a task is, and
 * the instructions compiled for blocks. */
#include "backend/cpu/program.h"

#include "base/mem.h"

#include <string.h>

enum {
    MOST_PLAIN_INPUTS = 3,
    SHORT_RUN = 128,              /* shorter runs are gathered into full blocks */
    NANOSECONDS_PER_TASK = 20000, /* work that pays for waking a thread */
    NANOSECONDS_AWAKE = 5000,     /* and for handing it to one that is awake */
    LEAST_SHARED = 12000          /* below which one thread does everything */
};

bool
program_is_plain(const Program *p, const Access *access)
{
    if (p->ninstructions != 1 || p->nout != 1 || p->nsum != 0 || p->nin > MOST_PLAIN_INPUTS ||
        p->out_registers[0] != p->instructions[0].out || !access[p->nin].contiguous ||
        (p->instructions[0].op == OP_power && dtype_is_integer((DType)p->instructions[0].loop))) {
        return false;
    }
    for (int i = 0; i < p->nin; i++) {
        if (!access[i].contiguous && !access[i].uniform) {
            return false;
        }
    }
    return true;
}

BlockKernel
program_plain_kernel(const Program *p)
{
    uint8_t dtypes[MOST_PLAIN_INPUTS];
    for (int i = 0; i < p->nin; i++) {
        dtypes[i] = (uint8_t)p->in[i].dtype;
    }
    return block_kernel(&p->instructions[0], dtypes);
}

/* Axes sorted by the first output's strides, largest first; false when they are so already. */
static bool
sort_axes(const Program *p, int *order)
{
    bool sorted = true;
    for (int d = 0; d < p->ndim; d++) {
        order[d] = d;
    }
    if (p->nout == 0) {
        return false;
    }
    const int64_t *strides = p->out[0].strides;
    for (int i = 1; i < p->ndim; i++) {
        for (int j = i; j > 0; j--) {
            const int a = order[j - 1], b = order[j];
            const int64_t sa = strides[a] < 0 ? -strides[a] : strides[a];
            const int64_t sb = strides[b] < 0 ? -strides[b] : strides[b];
            if (sa >= sb || p->shape[a] == 1 || p->shape[b] == 1) {
                break;
            }
            order[j - 1] = b;
            order[j] = a;
            sorted = false;
        }
    }
    return !sorted;
}

/* How the operands are walked; gives the length of runs that blocks do not cross. */
int64_t
program_access(const Program *p, int64_t n, Access *access)
{
    int axes[ARRAY_MAX_NDIM];
    const int *order = sort_axes(p, axes) ? axes : NULL;
    int64_t run_length = n;
    for (int i = 0; i < p->nin + p->nout; i++) {
        access_init(&access[i], i < p->nin ? &p->in[i] : &p->out[i - p->nin], p->ndim, order);
        const int64_t length = access_run(&access[i], n);
        run_length = length < run_length ? length : run_length;
    }
    /* accumulators take whole rounds of lanes */
    const bool rounds = p->nsum == 0 || run_length % SUM_WIDTH == 0;
    return run_length < SHORT_RUN || !rounds ? n : run_length;
}

static Reach
plan_reach(const Access *a, int64_t run_length, bool output)
{
    if (a->contiguous && (!a->uniform || output)) {
        return REACH_CONTIGUOUS;
    }
    if (a->uniform) {
        return REACH_UNIFORM;
    }
    if (a->ndim == 0 || !a->aligned || a->shape[a->ndim - 1] % run_length != 0) {
        return REACH_COPIED;
    }
    const int64_t stride = a->strides[a->ndim - 1];
    if (stride == a->size) {
        return REACH_RUN;
    }
    return stride == 0 && !output ? REACH_BLOCKWISE : REACH_COPIED;
}

/* What an element takes, roughly. */
static double
nanoseconds_of(const Program *p)
{
    double nanoseconds = 0;
    for (int k = 0; k < p->ninstructions; k++) {
        const Instruction *in = &p->instructions[k];
        const DType loop = in->op == OP_cast ? (DType)in->out_dtype : (DType)in->loop;
        nanoseconds += (double)NANOSECONDS_PER_TASK /
                       (double)backend_cpu_grain((OpCode)in->op, loop);
    }
    return nanoseconds;
}

/* A multiple of the block, at least what pays, and tasks of equal size. */
static int64_t
grain_of(const Program *p, int64_t n, int64_t nanoseconds_per_task)
{
    const double each = nanoseconds_of(p);
    const int64_t least = each > 0 ? (int64_t)((double)nanoseconds_per_task / each) : 16384;
    const int64_t tasks = n / (least + 1) + 1;
    const int64_t unit = p->nsum > 0 ? SUM_CHUNK : ACCESS_BLOCK; /* a chunk belongs to one task */
    return (n / tasks / unit + 1) * unit;
}

int64_t
program_grain(const Program *p, int64_t n)
{
    return grain_of(p, n, NANOSECONDS_PER_TASK);
}

int64_t
program_fine_grain(const Program *p, int64_t n)
{
    return nanoseconds_of(p) * (double)n < LEAST_SHARED ? program_grain(p, n)
                                                        : grain_of(p, n, NANOSECONDS_AWAKE);
}

int64_t
program_size(const Program *p)
{
    int64_t n = 1;
    for (int d = 0; d < p->ndim; d++) {
        n *= p->shape[d];
    }
    return n;
}

size_t
program_round_up(size_t n)
{
    return (n + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
}

/* Where the arrays of a prepared program lie behind it. */
typedef struct Layout {
    size_t access, reach, operands, strides, instructions, registers, bytes;
} Layout;

static Layout
plan_layout(const Program *p)
{
    const size_t moved = (size_t)(p->nin + p->nout), all = moved + (size_t)p->nsum;
    Layout l = {.access = program_round_up(sizeof(Prepared))};
    l.operands = program_round_up(l.access + moved * sizeof(Access));
    l.strides = program_round_up(l.operands + all * sizeof(Operand));
    l.instructions = program_round_up(l.strides + (moved + 1) * (size_t)p->ndim * sizeof(int64_t));
    l.registers =
        program_round_up(l.instructions + (size_t)p->ninstructions * sizeof(Instruction));
    l.reach = l.registers + (size_t)(p->nout + p->nsum) * sizeof(uint16_t);
    l.bytes = l.reach + moved;
    return l;
}

/* An empty array may be nowhere. */
static void
copy_array(void *to, const void *from, size_t bytes)
{
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
}

static void
copy_operands(Operand *to, const Operand *from, int count, const Program *p, const int64_t *shape,
              int64_t **strides)
{
    for (int i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].ndim = p->ndim;
        to[i].shape = shape;
        copy_array(*strides, from[i].strides, (size_t)p->ndim * sizeof(int64_t));
        to[i].strides = *strides;
        *strides += p->ndim;
    }
}

/* The program with all it points to, so that it can be planned again. */
static void
copy_program(Prepared *prepared, const Program *p, Layout l)
{
    char *memory = (char *)prepared;
    Operand *operands = (Operand *)(memory + l.operands);
    int64_t *shape = (int64_t *)(memory + l.strides);
    int64_t *strides = shape + p->ndim;
    uint16_t *registers = (uint16_t *)(memory + l.registers);
    Instruction *instructions = (Instruction *)(memory + l.instructions);
    Program *copy = &prepared->program;
    *copy = *p;
    copy_array(shape, p->shape, (size_t)p->ndim * sizeof(int64_t));
    copy_array(instructions, p->instructions, (size_t)p->ninstructions * sizeof(Instruction));
    copy_operands(operands, p->in, p->nin, p, shape, &strides);
    copy_operands(operands + p->nin, p->out, p->nout, p, shape, &strides);
    copy_array(operands + p->nin + p->nout, p->sums, (size_t)p->nsum * sizeof(Operand));
    copy_array(registers, p->out_registers, (size_t)p->nout * sizeof(uint16_t));
    copy_array(registers + p->nout, p->sum_registers, (size_t)p->nsum * sizeof(uint16_t));
    copy->shape = shape;
    copy->instructions = instructions;
    copy->in = operands;
    copy->out = operands + p->nin;
    copy->sums = operands + p->nin + p->nout;
    copy->out_registers = registers;
    copy->sum_registers = registers + p->nout;
}

/* Does an output lie where an input does? */
static bool
has_alias(const Program *p)
{
    for (int i = 0; i < p->nin; i++) {
        for (int o = 0; o < p->nout; o++) {
            if (p->in[i].data == p->out[o].data && p->in[i].data != NULL) {
                return true;
            }
        }
    }
    return false;
}

static Status
compile_blocks(Prepared *prepared, int64_t lanes, bool once)
{
    const Program *p = &prepared->program;
    uint8_t dtypes[PROGRAM_MAX_REGISTERS];
    bool uniform[PROGRAM_MAX_REGISTERS], swept[PROGRAM_MAX_REGISTERS];
    if (p->nin > PROGRAM_MAX_REGISTERS) {
        return err_set(ERR_RUNTIME, "program: too many inputs");
    }
    for (int i = 0; i < p->nin; i++) {
        dtypes[i] = (uint8_t)p->in[i].dtype;
        uniform[i] = prepared->reach[i] <= REACH_BLOCKWISE;
        swept[i] = prepared->reach[i] == REACH_CONTIGUOUS || prepared->reach[i] == REACH_RUN;
    }
    const BlockSpec spec = {.nin = p->nin,
                            .ninstructions = p->ninstructions,
                            .nout = p->nout,
                            .nsum = p->nsum,
                            .in_dtypes = dtypes,
                            .in_uniform = uniform,
                            .in_swept = swept,
                            .instructions = p->instructions,
                            .out_registers = p->out_registers,
                            .sum_registers = p->sum_registers,
                            .lanes = lanes,
                            .elements = once ? prepared->n : 0,
                            .in_place = has_alias(p)};
    prepared->code = block_compile(&spec);
    return prepared->code == NULL ? STATUS_ERROR : STATUS_OK;
}

/* Bytes of one buffer of a copied operand. */
int64_t
program_buffer_bytes(const Prepared *prepared)
{
    const int64_t lanes = prepared->n < BLOCK_LANES ? prepared->n : BLOCK_LANES;
    return (int64_t)program_round_up((size_t)(lanes * BLOCK_ELEMENT_BYTES));
}

static Status
plan_blocks(Prepared *prepared, bool once)
{
    const Program *p = &prepared->program;
    const int64_t n = prepared->n, lanes = n < BLOCK_LANES ? n : BLOCK_LANES;
    const int operands = p->nin + p->nout;
    int copied = 0;
    for (int i = 0; i < operands; i++) {
        const Reach reach = plan_reach(&prepared->access[i], prepared->run_length, i >= p->nin);
        prepared->reach[i] = (uint8_t)reach;
        prepared->blockwise = prepared->blockwise || reach == REACH_BLOCKWISE;
        copied += i < p->nin && reach == REACH_COPIED;
    }
    if (compile_blocks(prepared, lanes, once) != STATUS_OK) {
        return STATUS_ERROR;
    }
    prepared->frame_bytes = block_scratch_bytes(prepared->code) +
                            (int64_t)program_round_up((size_t)operands * sizeof(void *)) +
                            (copied + p->nout) * program_buffer_bytes(prepared) +
                            (int64_t)p->nsum * BLOCK_SUM_BYTES;
    return STATUS_OK;
}

Prepared *
program_prepare(const Program *program, bool once)
{
    const Layout layout = plan_layout(program);
    char *memory = mem_new(layout.bytes);
    if (memory == NULL) {
        return NULL;
    }
    Prepared *prepared = (Prepared *)memory;
    memset(prepared, 0, sizeof *prepared);
    prepared->bytes = layout.bytes;
    prepared->access = (Access *)(memory + layout.access);
    prepared->reach = (uint8_t *)(memory + layout.reach);
    copy_program(prepared, program, layout);
    const Program *p = &prepared->program;
    prepared->n = program_size(p);
    if (prepared->n == 0) {
        return prepared;
    }
    prepared->run_length = program_access(p, prepared->n, prepared->access);
    prepared->grain = program_grain(p, prepared->n);
    prepared->fine = program_fine_grain(p, prepared->n);
    if (program_is_plain(p, prepared->access)) {
        prepared->plain = program_plain_kernel(p);
        if (prepared->plain != NULL) {
            return prepared;
        }
    } else if (plan_blocks(prepared, once) == STATUS_OK) {
        return prepared;
    }
    cpu_release(prepared);
    return NULL;
}

Prepared *
cpu_prepare(const Program *program)
{
    return program_prepare(program, false);
}

void
cpu_release(Prepared *prepared)
{
    if (prepared != NULL) {
        block_free(prepared->code);
        mem_free(prepared, prepared->bytes);
    }
}

int64_t
cpu_prepared_bytes(const Prepared *prepared)
{
    if (prepared == NULL) {
        return 0;
    }
    return (int64_t)prepared->bytes + (prepared->code == NULL ? 0 : block_bytes(prepared->code));
}
