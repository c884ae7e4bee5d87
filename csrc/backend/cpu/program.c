/* backend/cpu/program.c -- elementwise programs over whole arrays, prepared once and run often.
 *
 * Preparing finds how operands are walked and compiles the instructions for blocks (block.h); a
 * run binds pointers and goes through the blocks, on all threads if that pays. Sums are taken in
 * chunks whose results are merged in the order of base/sums.h. A program of one instruction on
 * contiguous memory calls its kernel on the memory itself.
 */
#include "backend/cpu/program.h"

#include "backend/cpu/kernels/reduce.h"
#include "base/mem.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

enum {
    SMALL_ACCESSES = 4,           /* operands planned without allocation: one row */
    SMALL_BYTES = 16384,          /* scratch that a run finds on the stack */
    LONG_BLOCK = 8192             /* lanes of one run, where a block may have so many */
};

typedef struct Run {
    const Prepared *prepared;
    char *const *in, *const *out, *const *sums;
    bool staged;   /* outputs must not be written before a block's inputs are read */
    int64_t lanes; /* of one block */
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
    t.buffers = memory + program_round_up((size_t)(p->nin + p->nout) * sizeof(void *));
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
        *buffer += program_buffer_bytes(prepared);
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
            buffer += program_buffer_bytes(prepared);
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
        n = end - at < run->lanes ? end - at : run->lanes;
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
    const bool share = n <= prepared->grain && pool_is_awake();
    const int64_t grain = share ? prepared->fine : prepared->grain;
    const int64_t threads = n > grain ? pool_size() : 1;
    const int64_t frames = threads * prepared->frame_bytes;
    const int64_t parts = prepared->program.nsum * sums_chunks(n) * BLOCK_ELEMENT_BYTES;
    const size_t bytes = (size_t)(frames + parts);
    run->scratch = bytes <= sizeof small ? small : mem_new(bytes);
    if (run->scratch == NULL) {
        return STATUS_ERROR;
    }
    run->parts = run->scratch + frames;
    Status status = pool_run(n, grain, run_range, run);
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

/* Long blocks where values stay in registers and all operands are read where they lie: most of
 * what a call costs is loading constants. */
static int64_t
lanes_of(const Run *run)
{
    const Prepared *prepared = run->prepared;
    const Program *p = &prepared->program;
    bool direct = !run->staged && block_most_lanes(prepared->code) >= LONG_BLOCK;
    for (int i = 0; i < p->nin + p->nout; i++) {
        direct = direct && prepared->reach[i] != REACH_COPIED;
    }
    return direct ? LONG_BLOCK : BLOCK_LANES;
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
    run.lanes = lanes_of(&run);
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
    program_access(p, n, access);
    if (n == 0 || !program_is_plain(p, access)) {
        return STATUS_OK;
    }
    *done = true;
    for (int i = 0; i < p->nin; i++) {
        in[i] = p->in[i].data;
    }
    const BlockKernel kernel = program_plain_kernel(p);
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
    Prepared *prepared = program_prepare(program, true);
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
