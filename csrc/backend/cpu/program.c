/* backend/cpu/program.c -- elementwise programs over whole arrays, prepared once and run often.
 *
 * Preparing finds how operands are walked and compiles the instructions for blocks (block.h); a
 * run binds pointers and goes through the blocks, on all threads if that pays. Sums are taken in
 * chunks whose results are merged in the order of base/sums.h. A program of one instruction on
 * contiguous memory calls its kernel on the memory itself.
 */
#include "backend/cpu/access.h"
#include "backend/cpu/block.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/reduce.h"
#include "base/mem.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

enum {
    SMALL_ACCESSES = 4,           /* operands planned without allocation: one row */
    SMALL_BYTES = 16384,          /* scratch that a run finds on the stack */
    SHORT_RUN = 32,               /* shorter runs are gathered into full blocks */
    NANOSECONDS_PER_TASK = 20000, /* work that pays for waking a thread */
};

/* How the elements of an operand in one block are reached. */
typedef enum Reach {
    REACH_UNIFORM,    /* one element for all blocks */
    REACH_BLOCKWISE,  /* one element for each run of blocks */
    REACH_CONTIGUOUS, /* where they lie */
    REACH_RUN,        /* where they lie, the offset being that of an index */
    REACH_COPIED      /* copied from and to a buffer */
} Reach;

struct Prepared {
    size_t bytes; /* of this block of memory, which holds the arrays too */
    Program program;
    BlockCode *code; /* NULL for plain programs */
    BlockKernel plain;
    int64_t n;
    int64_t run_length; /* blocks do not cross multiples of it */
    int64_t grain;
    Access *access; /* inputs, then outputs; their pointers come with each run */
    uint8_t *reach;
    bool blockwise;      /* some input changes from run to run of blocks */
    int64_t frame_bytes; /* of one thread */
};

typedef struct Run {
    const Prepared *prepared;
    char *const *in, *const *out, *const *sums;
    bool staged;   /* outputs must not be written before a block's inputs are read */
    char *scratch; /* frame_bytes for each thread */
    char *parts;   /* of each sum, the results of its chunks */
    atomic_int negative_power;
} Run;

/* ---- plain programs ---- */

typedef struct Plain {
    BlockKernel kernel;
    int nin, out_size;
    unsigned uniform;
    const char *in[3];
    int in_size[3];
    char *out;
} Plain;

static void
run_plain(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Plain *plain = ctx;
    const void *args[3] = {NULL};
    (void)thread;
    for (int i = 0; i < plain->nin; i++) {
        const bool uniform = (plain->uniform >> i & 1) != 0;
        args[i] = uniform ? plain->in[i] : plain->in[i] + begin * plain->in_size[i];
    }
    plain->kernel(plain->out + begin * plain->out_size, args, end - begin, plain->uniform);
}

static bool
is_plain(const Program *p, const Access *access)
{
    if (p->ninstructions != 1 || p->nout != 1 || p->nsum != 0 || p->nin > SMALL_ACCESSES - 1 ||
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

static BlockKernel
plain_kernel(const Program *p)
{
    uint8_t dtypes[SMALL_ACCESSES];
    for (int i = 0; i < p->nin; i++) {
        dtypes[i] = (uint8_t)p->in[i].dtype;
    }
    return block_kernel(&p->instructions[0], dtypes);
}

static Status
plain_run(const Program *p, BlockKernel kernel, const Access *access, char *const *in, char *out,
          int64_t n, int64_t grain)
{
    const Instruction *only = &p->instructions[0];
    Plain plain = {.kernel = kernel, .nin = only->nin, .out = out};
    plain.out_size = access[p->nin].size;
    for (int i = 0; i < only->nin; i++) {
        const Access *a = &access[only->in[i]];
        plain.in[i] = in[only->in[i]];
        plain.in_size[i] = a->size;
        plain.uniform |= (unsigned)a->uniform << i;
    }
    return pool_run(n, grain, run_plain, &plain);
}

/* ---- preparing ---- */

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
static int64_t
plan_access(const Program *p, int64_t n, Access *access)
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

/* Elements of a task: a multiple of the block, at least what pays, and tasks of equal size. */
static int64_t
program_grain(const Program *p, int64_t n)
{
    double nanoseconds = 0;
    for (int k = 0; k < p->ninstructions; k++) {
        const Instruction *in = &p->instructions[k];
        const DType loop = in->op == OP_cast ? (DType)in->out_dtype : (DType)in->loop;
        nanoseconds += (double)NANOSECONDS_PER_TASK /
                       (double)backend_cpu_grain((OpCode)in->op, loop);
    }
    const int64_t least = nanoseconds > 0 ? (int64_t)(NANOSECONDS_PER_TASK / nanoseconds) : 16384;
    const int64_t tasks = n / (least + 1) + 1;
    const int64_t unit = p->nsum > 0 ? SUM_CHUNK : ACCESS_BLOCK; /* a chunk belongs to one task */
    return (n / tasks / unit + 1) * unit;
}

static int64_t
program_size(const Program *p)
{
    int64_t n = 1;
    for (int d = 0; d < p->ndim; d++) {
        n *= p->shape[d];
    }
    return n;
}

static size_t
round_up(size_t n)
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
    Layout l = {.access = round_up(sizeof(Prepared))};
    l.operands = round_up(l.access + moved * sizeof(Access));
    l.strides = round_up(l.operands + all * sizeof(Operand));
    l.instructions = round_up(l.strides + (moved + 1) * (size_t)p->ndim * sizeof(int64_t));
    l.registers =
        round_up(l.instructions + (size_t)p->ninstructions * sizeof(Instruction));
    l.reach = l.registers + (size_t)(p->nout + p->nsum) * sizeof(uint16_t);
    l.bytes = l.reach + moved;
    return l;
}

static void
copy_operands(Operand *to, const Operand *from, int count, const Program *p, const int64_t *shape,
              int64_t **strides)
{
    for (int i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].ndim = p->ndim;
        to[i].shape = shape;
        memcpy(*strides, from[i].strides, (size_t)p->ndim * sizeof(int64_t));
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
    memcpy(shape, p->shape, (size_t)p->ndim * sizeof(int64_t));
    memcpy(instructions, p->instructions, (size_t)p->ninstructions * sizeof(Instruction));
    copy_operands(operands, p->in, p->nin, p, shape, &strides);
    copy_operands(operands + p->nin, p->out, p->nout, p, shape, &strides);
    memcpy(operands + p->nin + p->nout, p->sums, (size_t)p->nsum * sizeof(Operand));
    memcpy(registers, p->out_registers, (size_t)p->nout * sizeof(uint16_t));
    memcpy(registers + p->nout, p->sum_registers, (size_t)p->nsum * sizeof(uint16_t));
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
compile_blocks(Prepared *prepared, int64_t lanes)
{
    const Program *p = &prepared->program;
    uint8_t dtypes[PROGRAM_MAX_REGISTERS];
    bool uniform[PROGRAM_MAX_REGISTERS];
    if (p->nin > PROGRAM_MAX_REGISTERS) {
        return err_set(ERR_RUNTIME, "program: too many inputs");
    }
    for (int i = 0; i < p->nin; i++) {
        dtypes[i] = (uint8_t)p->in[i].dtype;
        uniform[i] = prepared->reach[i] <= REACH_BLOCKWISE;
    }
    const BlockSpec spec = {.nin = p->nin,
                            .ninstructions = p->ninstructions,
                            .nout = p->nout,
                            .nsum = p->nsum,
                            .in_dtypes = dtypes,
                            .in_uniform = uniform,
                            .instructions = p->instructions,
                            .out_registers = p->out_registers,
                            .sum_registers = p->sum_registers,
                            .lanes = lanes,
                            .in_place = has_alias(p)};
    prepared->code = block_compile(&spec);
    return prepared->code == NULL ? STATUS_ERROR : STATUS_OK;
}

/* Bytes of one buffer of a copied operand. */
static int64_t
buffer_bytes(const Prepared *prepared)
{
    const int64_t lanes = prepared->n < BLOCK_LANES ? prepared->n : BLOCK_LANES;
    return (int64_t)round_up((size_t)(lanes * BLOCK_ELEMENT_BYTES));
}

static Status
plan_blocks(Prepared *prepared)
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
    if (compile_blocks(prepared, lanes) != STATUS_OK) {
        return STATUS_ERROR;
    }
    prepared->frame_bytes = block_scratch_bytes(prepared->code) +
                            (int64_t)round_up((size_t)operands * sizeof(void *)) +
                            (copied + p->nout) * buffer_bytes(prepared) +
                            (int64_t)p->nsum * BLOCK_SUM_BYTES;
    return STATUS_OK;
}

Prepared *
cpu_prepare(const Program *program)
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
    prepared->run_length = plan_access(p, prepared->n, prepared->access);
    prepared->grain = program_grain(p, prepared->n);
    if (is_plain(p, prepared->access)) {
        prepared->plain = plain_kernel(p);
        if (prepared->plain != NULL) {
            return prepared;
        }
    } else if (plan_blocks(prepared) == STATUS_OK) {
        return prepared;
    }
    cpu_release(prepared);
    return NULL;
}

void
cpu_release(Prepared *prepared)
{
    if (prepared != NULL) {
        block_free(prepared->code);
        mem_free(prepared, prepared->bytes);
    }
}

/* ---- running ---- */

/* One thread's memory: what a block works on. */
typedef struct Thread {
    BlockFrame frame;
    char **in, **out;
    char *buffers;
} Thread;

static Thread
thread_memory(const Run *run, int thread)
{
    const Prepared *prepared = run->prepared;
    const Program *p = &prepared->program;
    char *memory = run->scratch + thread * prepared->frame_bytes;
    Thread t;
    t.frame.scratch = memory;
    memory += block_scratch_bytes(prepared->code);
    t.frame.sums = memory;
    memory += (int64_t)p->nsum * BLOCK_SUM_BYTES;
    t.in = (char **)memory;
    t.out = t.in + p->nin;
    t.frame.in = (const void *const *)t.in;
    t.frame.out = (void *const *)t.out;
    t.buffers = memory + round_up((size_t)(p->nin + p->nout) * sizeof(void *));
    return t;
}

static void
bind_operand(const Run *run, int i, int64_t at, int64_t n, char **pointer, char **buffer)
{
    const Prepared *prepared = run->prepared;
    const int nin = prepared->program.nin;
    const Access *a = &prepared->access[i];
    char *const data = i < nin ? run->in[i] : run->out[i - nin];
    switch ((Reach)prepared->reach[i]) {
    case REACH_UNIFORM:
        *pointer = data;
        break;
    case REACH_CONTIGUOUS:
        *pointer = data + at * a->size;
        break;
    case REACH_BLOCKWISE:
    case REACH_RUN:
        *pointer = data + access_offset(a, at);
        break;
    case REACH_COPIED:
        *pointer = i < nin ? (char *)(uintptr_t)access_gather(a, data, at, n, *buffer) : *buffer;
        *buffer += buffer_bytes(prepared);
        break;
    }
}

static void
run_block(Run *run, const Thread *t, int64_t at, int64_t n)
{
    const Prepared *prepared = run->prepared;
    const Program *p = &prepared->program;
    char *buffer = t->buffers;
    for (int i = 0; i < p->nin; i++) {
        bind_operand(run, i, at, n, &t->in[i], &buffer);
    }
    for (int o = 0; o < p->nout; o++) {
        if (run->staged) {
            t->out[o] = buffer;
            buffer += buffer_bytes(prepared);
        } else {
            bind_operand(run, p->nin + o, at, n, &t->out[o], &buffer);
        }
    }
    const bool first = prepared->blockwise && at % prepared->run_length == 0;
    if ((first && !block_prologue(prepared->code, &t->frame)) ||
        !block_run(prepared->code, &t->frame, n)) {
        atomic_store(&run->negative_power, 1);
        return;
    }
    for (int o = 0; o < p->nout; o++) {
        if (run->staged || prepared->reach[p->nin + o] == REACH_COPIED) {
            access_scatter(&prepared->access[p->nin + o], run->out[o], at, n, t->out[o]);
        }
    }
}

static char *
sum_part(const Run *run, int s, int64_t chunk)
{
    const int64_t chunks = sums_chunks(run->prepared->n);
    return run->parts + s * chunks * BLOCK_ELEMENT_BYTES +
           chunk * dtype_size(run->prepared->program.sums[s].dtype);
}

/* The prologue with the inputs of the block at `at`, for ranges that begin amid a run. */
static bool
first_prologue(const Run *run, const Thread *t, int64_t at)
{
    for (int i = 0; i < run->prepared->program.nin; i++) {
        char *none = NULL;
        if (run->prepared->reach[i] <= REACH_BLOCKWISE) {
            bind_operand(run, i, at, 0, &t->in[i], &none);
        }
    }
    return block_prologue(run->prepared->code, &t->frame);
}

static void
run_range(void *ctx, int64_t begin, int64_t end, int thread)
{
    Run *const run = ctx;
    const Prepared *prepared = run->prepared;
    const int nsum = prepared->program.nsum;
    const Thread t = thread_memory(run, thread);
    if (!first_prologue(run, &t, begin)) {
        atomic_store(&run->negative_power, 1);
        return;
    }
    for (int64_t at = begin, n; at < end && atomic_load(&run->negative_power) == 0; at += n) {
        const int64_t left = prepared->run_length - at % prepared->run_length;
        n = end - at < BLOCK_LANES ? end - at : BLOCK_LANES;
        n = left < n ? left : n;
        if (nsum == 0) {
            run_block(run, &t, at, n);
            continue;
        }
        const int64_t in_chunk = SUM_CHUNK - at % SUM_CHUNK;
        n = in_chunk < n ? in_chunk : n;
        if (in_chunk == SUM_CHUNK) {
            block_sums_start(prepared->code, t.frame.sums);
        }
        run_block(run, &t, at, n);
        if (n == in_chunk || at + n == prepared->n) {
            for (int s = 0; s < nsum; s++) {
                block_sum_fold(prepared->code, t.frame.sums, s, sum_part(run, s, at / SUM_CHUNK));
            }
        }
    }
}

static void
merge_sums(const Run *run)
{
    const Program *p = &run->prepared->program;
    const int64_t chunks = sums_chunks(run->prepared->n);
    for (int s = 0; s < p->nsum; s++) {
        const DType dtype = p->sums[s].dtype;
        const int size = dtype_size(dtype);
        if (chunks > 1) {
            cpu_merge_chunks(cpu_reduce_kernels(REDUCE_SUM, dtype), sum_part(run, s, 0), size, 1,
                             chunks);
        }
        memcpy(run->sums[s], sum_part(run, s, 0), (size_t)size);
    }
}

static Status
run_blocks(Run *run)
{
    _Alignas(BLOCK_ALIGNMENT) char small[SMALL_BYTES];
    const Prepared *prepared = run->prepared;
    const int64_t n = prepared->n;
    const int64_t threads = n > prepared->grain ? pool_size() : 1;
    const int64_t frames = threads * prepared->frame_bytes;
    const int64_t parts = prepared->program.nsum * sums_chunks(n) * BLOCK_ELEMENT_BYTES;
    const size_t bytes = (size_t)(frames + parts);
    run->scratch = bytes <= sizeof small ? small : mem_new(bytes);
    if (run->scratch == NULL) {
        return STATUS_ERROR;
    }
    run->parts = run->scratch + frames;
    Status status = pool_run(n, prepared->grain, run_range, run);
    if (status == STATUS_OK && run->negative_power != 0) {
        status = block_power_error();
    }
    if (status == STATUS_OK) {
        merge_sums(run);
    }
    if (run->scratch != small) {
        mem_free(run->scratch, bytes);
    }
    return status;
}

/* Are the pointers aligned as the plan supposes? */
static bool
fits_plan(const Access *access, char *const *pointers, int count)
{
    for (int i = 0; i < count; i++) {
        const int size = access[i].size > 8 ? 8 : access[i].size;
        if (access[i].aligned && ((uintptr_t)pointers[i] & (uintptr_t)(size - 1)) != 0) {
            return false;
        }
    }
    return true;
}

static bool
is_aliased(const Program *p, char *const *in, char *const *out)
{
    for (int o = 0; o < p->nout; o++) {
        for (int i = 0; i < p->nin; i++) {
            if (in[i] == out[o]) {
                return true;
            }
        }
    }
    return false;
}

/* Plan anew for these pointers, once. */
static Status
run_unprepared(const Prepared *prepared, char *const *in, char *const *out, char *const *sums)
{
    Program program = prepared->program;
    Operand *operands = (Operand *)(uintptr_t)program.in;
    const int count = program.nin + program.nout + program.nsum;
    Operand *copy = mem_new_array(count, sizeof(Operand));
    if (copy == NULL) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < count; i++) {
        const int o = i - program.nin, s = o - program.nout;
        copy[i] = operands[i];
        copy[i].data = o < 0 ? in[i] : s < 0 ? out[o] : sums[s];
    }
    program.in = copy;
    program.out = copy + program.nin;
    program.sums = copy + program.nin + program.nout;
    const Status status = cpu_run_program(&program);
    mem_free(copy, (size_t)count * sizeof(Operand));
    return status;
}

Status
cpu_run_prepared(const Prepared *prepared, char *const *in, char *const *out, char *const *sums)
{
    const Program *p = &prepared->program;
    if (prepared->n == 0) {
        for (int s = 0; s < p->nsum; s++) {
            memset(sums[s], 0, (size_t)dtype_size(p->sums[s].dtype));
        }
        return STATUS_OK;
    }
    if (!fits_plan(prepared->access, in, p->nin) ||
        !fits_plan(prepared->access + p->nin, out, p->nout)) {
        return run_unprepared(prepared, in, out, sums);
    }
    if (prepared->plain != NULL) {
        return plain_run(p, prepared->plain, prepared->access, in, out[0], prepared->n,
                         prepared->grain);
    }
    Run run = {.prepared = prepared, .in = in, .out = out, .sums = sums};
    run.staged = !block_is_in_place(prepared->code) && is_aliased(p, in, out);
    return run_blocks(&run);
}

/* Programs of one instruction, as eager mode runs them: without allocation. *done tells whether
 * this was one. */
static Status
run_row(const Program *p, bool *done)
{
    Access access[SMALL_ACCESSES];
    char *in[SMALL_ACCESSES];
    *done = false;
    if (p->ninstructions != 1 || p->nin + p->nout > SMALL_ACCESSES) {
        return STATUS_OK;
    }
    const int64_t n = program_size(p);
    plan_access(p, n, access);
    if (n == 0 || !is_plain(p, access)) {
        return STATUS_OK;
    }
    *done = true;
    for (int i = 0; i < p->nin; i++) {
        in[i] = p->in[i].data;
    }
    const BlockKernel kernel = plain_kernel(p);
    return kernel == NULL ? STATUS_ERROR
                          : plain_run(p, kernel, access, in, p->out[0].data, n,
                                      program_grain(p, n));
}

Status
cpu_run_program(const Program *program)
{
    bool done;
    Status status = run_row(program, &done);
    if (done || status != STATUS_OK) {
        return status;
    }
    Prepared *prepared = cpu_prepare(program);
    const int count = program->nin + program->nout + program->nsum;
    char **pointers = prepared == NULL ? NULL : mem_new_array(count, sizeof(char *));
    status = STATUS_ERROR;
    if (pointers != NULL) {
        for (int i = 0; i < count; i++) {
            pointers[i] = prepared->program.in[i].data; /* all operands lie in one array */
        }
        status = cpu_run_prepared(prepared, pointers, pointers + program->nin,
                                  pointers + program->nin + program->nout);
    }
    mem_free(pointers, (size_t)count * sizeof(char *));
    cpu_release(prepared);
    return status;
}

const uint8_t *
backend_cpu_code(const Prepared *prepared, int64_t *size)
{
    *size = 0;
    return prepared->code == NULL ? NULL : block_machine_code(prepared->code, size);
}
