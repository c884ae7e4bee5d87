/* backend/cpu/program.c -- the block interpreter: runs elementwise programs block by block.
 *
 * A block of up to 512 elements goes through all instructions before the next one is touched,
 * so values between instructions stay in the cache. Values that are one element for all
 * indices are computed once and kept out of the vector stream. A program of one instruction on
 * contiguous memory calls its kernel on the memory itself.
 */
#include "backend/cpu/access.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/reduce.h"
#include "base/mem.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

enum {
    SMALL_ACCESSES = 4,            /* operands planned without allocation: one row */
    SHORT_RUN = 32,                /* shorter runs are gathered into full blocks */
    NANOSECONDS_PER_TASK = 20000,  /* work that pays for waking a thread */
    NO_SLOT = -1
};

typedef struct Register {
    uint8_t dtype;
    bool uniform;     /* one element for all indices */
    int16_t slot;     /* scratch block, or NO_SLOT */
    int16_t direct;   /* contiguous output that is computed in place, or NO_SLOT */
} Register;

typedef struct Run {
    const Program *program;
    int64_t n;
    int64_t run_length;      /* blocks do not cross multiples of it */
    Access *access;          /* inputs, then outputs */
    BlockKernel *kernels;    /* by instruction */
    Register *registers;
    int nregisters;
    int nslots;
    int64_t slot_bytes;
    char *scratch;           /* nslots blocks for each thread */
    char *parts;             /* of each sum, the results of its chunks */
    int64_t chunks;
    atomic_int negative_power;
} Run;

enum { SUM_BYTES = 16 }; /* room for one element of any dtype */

static BlockKernel
instruction_kernel(const Instruction *in, const Register *registers)
{
    if (in->op == OP_cast) {
        return cpu_cast_kernel(registers[in->in[0]].dtype, in->out_dtype);
    }
    if (in->loop == DT_u64 && in->nin == 2) {
        const DType first = registers[in->in[0]].dtype, second = registers[in->in[1]].dtype;
        if (first != second) {
            return cpu_mixed_kernel((OpCode)in->op, first);
        }
    }
    return cpu_row_kernel((OpCode)in->op, (DType)in->loop);
}

/* Dtypes and uniformity of all registers, and the kernels. */
static Status
plan_registers(Run *run)
{
    const Program *p = run->program;
    for (int i = 0; i < p->nin; i++) {
        run->registers[i] = (Register){(uint8_t)p->in[i].dtype, run->access[i].uniform, NO_SLOT,
                                       NO_SLOT};
    }
    for (int k = 0; k < p->ninstructions; k++) {
        const Instruction *in = &p->instructions[k];
        bool uniform = true;
        for (int i = 0; i < in->nin; i++) {
            uniform = uniform && run->registers[in->in[i]].uniform;
        }
        run->registers[in->out] = (Register){in->out_dtype, uniform, NO_SLOT, NO_SLOT};
        run->kernels[k] = instruction_kernel(in, run->registers);
        if (run->kernels[k] == NULL) {
            return err_set(ERR_TYPE, "%s: no loop for %s", op_info((OpCode)in->op)->name,
                           dtype_info((DType)in->loop)->name);
        }
    }
    return STATUS_OK;
}

/* Does an output lie where an input does? Then only the last instruction may write early. */
static bool
has_alias(const Program *p)
{
    for (int i = 0; i < p->nin; i++) {
        for (int o = 0; o < p->nout; o++) {
            if (p->in[i].data == p->out[o].data) {
                return true;
            }
        }
    }
    return false;
}

static void
plan_direct_outputs(Run *run)
{
    const Program *p = run->program;
    const bool alias = has_alias(p);
    for (int o = 0; o < p->nout; o++) {
        const int reg = p->out_registers[o];
        Register *r = &run->registers[reg];
        const bool value = reg >= p->nin && !r->uniform && r->direct == NO_SLOT;
        const bool last = p->ninstructions > 0 && p->instructions[p->ninstructions - 1].out == reg;
        if (value && run->access[p->nin + o].contiguous && (!alias || (last && p->nout == 1))) {
            r->direct = (int16_t)o;
        }
    }
}

/* A scratch block for every register that needs one; blocks of dead values are used again. */
static void
plan_slots(Run *run, int16_t *last_use, int16_t *free_slots)
{
    const Program *p = run->program;
    int nfree = 0;
    for (int r = 0; r < run->nregisters; r++) {
        last_use[r] = -1;
    }
    for (int k = 0; k < p->ninstructions; k++) {
        for (int i = 0; i < p->instructions[k].nin; i++) {
            last_use[p->instructions[k].in[i]] = (int16_t)k;
        }
    }
    for (int o = 0; o < p->nout; o++) {
        last_use[p->out_registers[o]] = INT16_MAX;
    }
    for (int i = 0; i < p->nin; i++) {
        if (!run->access[i].contiguous && !run->access[i].uniform) {
            run->registers[i].slot = (int16_t)run->nslots++;
        }
    }
    for (int k = 0; k < p->ninstructions; k++) {
        const Instruction *in = &p->instructions[k];
        Register *r = &run->registers[in->out];
        if (r->direct == NO_SLOT) {
            r->slot = (int16_t)(nfree > 0 && !r->uniform ? free_slots[--nfree] : run->nslots++);
        }
        for (int i = 0; i < in->nin; i++) {
            Register *dead = &run->registers[in->in[i]];
            const bool value = in->in[i] >= p->nin && !dead->uniform && dead->slot != NO_SLOT;
            if (value && last_use[in->in[i]] == k) {
                free_slots[nfree++] = dead->slot;
                last_use[in->in[i]] = -1; /* once, also when it is read twice */
            }
        }
    }
}

/* Integer powers by negative exponents have no value. */
static bool
any_negative(DType dtype, const void *data, int64_t n)
{
    int any = 0;
#define SCAN(name, type)                                                                           \
    case DT_##name:                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            any |= ((const type *)data)[i] < 0;                                                    \
        }                                                                                          \
        break;
    switch (dtype) {
        SCAN(i8, int8_t)
        SCAN(i16, int16_t)
        SCAN(i32, int32_t)
        SCAN(i64, int64_t)
    default:
        break;
    }
#undef SCAN
    return any != 0;
}

typedef struct Block {
    int64_t at, n;
    char *scratch;
    const void *values[PROGRAM_MAX_REGISTERS];
    bool uniform[PROGRAM_MAX_REGISTERS];
} Block;

static char *
slot_data(const Run *run, const Block *block, int slot)
{
    return block->scratch + slot * run->slot_bytes;
}

static void
run_instruction(Run *run, Block *block, int k)
{
    const Instruction *in = &run->program->instructions[k];
    const Register *r = &run->registers[in->out];
    const int64_t n = r->uniform ? 1 : block->n;
    const void *args[3] = {NULL};
    unsigned uniform = 0;
    for (int i = 0; i < in->nin; i++) {
        args[i] = block->values[in->in[i]];
        uniform |= (unsigned)block->uniform[in->in[i]] << i;
    }
    if (in->op == OP_power && dtype_is_integer((DType)in->loop) &&
        any_negative((DType)in->loop, args[1], (uniform & 2) != 0 ? 1 : n)) {
        atomic_store(&run->negative_power, 1);
        return;
    }
    char *out;
    if (r->direct != NO_SLOT) {
        const Access *a = &run->access[run->program->nin + r->direct];
        out = a->data + block->at * a->size;
    } else {
        out = slot_data(run, block, r->slot);
    }
    block->values[in->out] = out;
    block->uniform[in->out] = r->uniform;
    run->kernels[k](out, args, n, uniform);
}

static void
run_block(Run *run, Block *block)
{
    const Program *p = run->program;
    for (int i = 0; i < p->nin; i++) {
        const int slot = run->registers[i].slot;
        void *scratch = slot == NO_SLOT ? NULL : slot_data(run, block, slot);
        block->values[i] =
            access_load(&run->access[i], block->at, block->n, scratch, &block->uniform[i]);
    }
    for (int k = 0; k < p->ninstructions; k++) {
        if (!run->registers[p->instructions[k].out].uniform) {
            run_instruction(run, block, k);
        }
    }
    for (int o = 0; o < p->nout; o++) {
        const int reg = p->out_registers[o];
        if (run->registers[reg].direct != o) {
            access_store(&run->access[p->nin + o], block->at, block->n, block->values[reg],
                         block->uniform[reg]);
        }
    }
}

/* ---- sums ---- */

typedef struct Accumulator {
    _Alignas(64) char values[SUM_WIDTH * SUM_BYTES];
} Accumulator;

static const ReduceKernels *
sum_kernels(const Run *run, int s)
{
    const int reg = run->program->sum_registers[s];
    return cpu_reduce_kernels(REDUCE_SUM, (DType)run->registers[reg].dtype);
}

static char *
sum_part(const Run *run, int s, int64_t chunk)
{
    const int reg = run->program->sum_registers[s];
    return run->parts + s * run->chunks * SUM_BYTES +
           chunk * dtype_size((DType)run->registers[reg].dtype);
}

/* The block's values into the accumulators, which belong to one chunk. */
static void
add_block(const Run *run, const Block *block, Accumulator *sums)
{
    _Alignas(64) char filled[ACCESS_BLOCK_BYTES];
    const int64_t end = block->at + block->n;
    for (int s = 0; s < run->program->nsum; s++) {
        const ReduceKernels *kernels = sum_kernels(run, s);
        const int reg = run->program->sum_registers[s];
        const void *values = block->values[reg];
        if (block->uniform[reg]) {
            cpu_fill(filled, values, dtype_size((DType)run->registers[reg].dtype), block->n);
            values = filled;
        }
        if (block->at % SUM_CHUNK == 0) {
            kernels->start(sums[s].values, SUM_WIDTH, NULL);
        }
        kernels->add(sums[s].values, values, block->n);
        if (end % SUM_CHUNK == 0 || end == run->n) {
            kernels->fold(sums[s].values, sum_part(run, s, block->at / SUM_CHUNK));
        }
    }
}

static void
merge_sums(const Run *run)
{
    for (int s = 0; s < run->program->nsum; s++) {
        const int size = dtype_size((DType)run->program->sums[s].dtype);
        cpu_merge_chunks(sum_kernels(run, s), sum_part(run, s, 0), size, 1, run->chunks);
        memcpy(run->program->sums[s].data, sum_part(run, s, 0), (size_t)size);
    }
}

static void
run_range(void *ctx, int64_t begin, int64_t end, int thread)
{
    Run *const run = ctx;
    const Program *p = run->program;
    Accumulator sums[PROGRAM_MAX_SUMS];
    Block block;
    block.scratch = run->scratch + thread * run->nslots * run->slot_bytes;
    block.at = begin;
    block.n = 1;
    for (int i = 0; i < p->nin; i++) {
        block.values[i] = run->access[i].data;
        block.uniform[i] = run->access[i].uniform;
    }
    for (int k = 0; k < p->ninstructions; k++) {
        if (run->registers[p->instructions[k].out].uniform) {
            run_instruction(run, &block, k);
        }
    }
    while (block.at < end && atomic_load(&run->negative_power) == 0) {
        block.n = end - block.at < ACCESS_BLOCK ? end - block.at : ACCESS_BLOCK;
        const int64_t left = run->run_length - block.at % run->run_length;
        block.n = left < block.n ? left : block.n;
        if (p->nsum > 0) {
            const int64_t in_chunk = SUM_CHUNK - block.at % SUM_CHUNK;
            block.n = in_chunk < block.n ? in_chunk : block.n;
        }
        run_block(run, &block);
        add_block(run, &block, sums);
        block.at += block.n;
    }
}

/* One instruction on contiguous memory. */
static void
run_plain(void *ctx, int64_t begin, int64_t end, int thread)
{
    Run *const run = ctx;
    const Instruction *in = &run->program->instructions[0];
    const void *args[3] = {NULL};
    unsigned uniform = 0;
    (void)thread;
    for (int i = 0; i < in->nin; i++) {
        const Access *a = &run->access[in->in[i]];
        args[i] = a->uniform ? a->data : a->data + begin * a->size;
        uniform |= (unsigned)a->uniform << i;
    }
    const Access *out = &run->access[run->program->nin];
    run->kernels[0](out->data + begin * out->size, args, end - begin, uniform);
}

static bool
is_plain(const Run *run)
{
    const Program *p = run->program;
    if (p->ninstructions != 1 || p->nout != 1 || p->nsum != 0 || p->out_registers[0] != p->instructions[0].out ||
        (p->instructions[0].op == OP_power && dtype_is_integer((DType)p->instructions[0].loop))) {
        return false;
    }
    for (int i = 0; i < p->nin; i++) {
        if (!run->access[i].contiguous && !run->access[i].uniform) {
            return false;
        }
    }
    return run->access[p->nin].contiguous;
}

/* Elements of a task: a multiple of the block, at least what pays, and tasks of equal size. */
static int64_t
program_grain(const Run *run)
{
    const Program *p = run->program;
    double nanoseconds = 0;
    for (int k = 0; k < p->ninstructions; k++) {
        const Instruction *in = &p->instructions[k];
        const DType loop = in->op == OP_cast ? (DType)in->out_dtype : (DType)in->loop;
        nanoseconds += (double)NANOSECONDS_PER_TASK /
                       (double)backend_cpu_grain((OpCode)in->op, loop);
    }
    const int64_t least = nanoseconds > 0 ? (int64_t)(NANOSECONDS_PER_TASK / nanoseconds) : 16384;
    const int64_t tasks = run->n / (least + 1) + 1;
    const int64_t unit = p->nsum > 0 ? SUM_CHUNK : ACCESS_BLOCK; /* a chunk belongs to one task */
    return (run->n / tasks / unit + 1) * unit;
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

static void
plan_access(Run *run)
{
    const Program *p = run->program;
    int axes[ARRAY_MAX_NDIM];
    const int *order = sort_axes(p, axes) ? axes : NULL;
    run->run_length = run->n;
    for (int i = 0; i < p->nin + p->nout; i++) {
        Access *a = &run->access[i];
        access_init(a, i < p->nin ? &p->in[i] : &p->out[i - p->nin], p->ndim, order);
        const int64_t length = access_run(a, run->n);
        run->run_length = length < run->run_length ? length : run->run_length;
        run->slot_bytes = a->size > run->slot_bytes ? a->size : run->slot_bytes;
    }
    /* accumulators take whole rounds of lanes */
    if (run->run_length < SHORT_RUN || (p->nsum > 0 && run->run_length % SUM_WIDTH != 0)) {
        run->run_length = run->n;
    }
    for (int k = 0; k < p->ninstructions; k++) {
        const int size = dtype_size((DType)p->instructions[k].out_dtype);
        run->slot_bytes = size > run->slot_bytes ? size : run->slot_bytes;
    }
    run->slot_bytes *= ACCESS_BLOCK;
}

static Status
run_planned(Run *run, int16_t *last_use, int16_t *free_slots)
{
    _Alignas(64) char small_scratch[SMALL_ACCESSES * ACCESS_BLOCK_BYTES];
    plan_access(run);
    if (plan_registers(run) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const int64_t grain = program_grain(run);
    if (is_plain(run)) {
        return pool_run(run->n, grain, run_plain, run);
    }
    plan_direct_outputs(run);
    plan_slots(run, last_use, free_slots);
    const int64_t threads = run->n > grain ? pool_size() : 1;
    run->chunks = sums_chunks(run->n);
    const int64_t sum_bytes = run->program->nsum * run->chunks * SUM_BYTES;
    run->parts = sum_bytes > 0 ? mem_new((size_t)sum_bytes) : NULL;
    if (sum_bytes > 0 && run->parts == NULL) {
        return STATUS_ERROR;
    }
    const int64_t bytes = threads * run->nslots * run->slot_bytes;
    const bool small = bytes <= (int64_t)sizeof small_scratch;
    run->scratch = small ? small_scratch : mem_new((size_t)bytes);
    Status status = run->scratch == NULL ? STATUS_ERROR
                                         : pool_run(run->n, grain, run_range, run);
    if (status == STATUS_OK) {
        merge_sums(run);
    }
    mem_free(run->parts, (size_t)sum_bytes);
    if (!small) {
        mem_free(run->scratch, (size_t)bytes);
    }
    if (status == STATUS_OK && run->negative_power != 0) {
        status = err_set(ERR_VALUE, "Integers to negative integer powers are not allowed.");
    }
    return status;
}

Status
cpu_run_program(const Program *program)
{
    Run run = {.program = program, .n = 1, .nregisters = program->nin + program->ninstructions};
    for (int d = 0; d < program->ndim; d++) {
        run.n *= program->shape[d];
    }
    if (run.n == 0) {
        return STATUS_OK;
    }
    for (int k = 0; k < program->ninstructions; k++) {
        const int reg = program->instructions[k].out;
        run.nregisters = reg >= run.nregisters ? reg + 1 : run.nregisters;
    }
    if (run.nregisters > PROGRAM_MAX_REGISTERS) {
        return err_set(ERR_RUNTIME, "program: too many registers");
    }
    Register registers[PROGRAM_MAX_REGISTERS];
    BlockKernel kernels[PROGRAM_MAX_REGISTERS];
    int16_t last_use[PROGRAM_MAX_REGISTERS], free_slots[PROGRAM_MAX_REGISTERS];
    Access small[SMALL_ACCESSES];
    const int64_t count = program->nin + program->nout;
    run.registers = registers;
    run.kernels = kernels;
    run.access = count <= SMALL_ACCESSES ? small : mem_new_array(count, sizeof(Access));
    if (run.access == NULL) {
        return STATUS_ERROR;
    }
    const Status status = run_planned(&run, last_use, free_slots);
    if (count > SMALL_ACCESSES) {
        mem_free(run.access, (size_t)count * sizeof(Access));
    }
    return status;
}
