/* backend/cpu/block.c -- compiling blocks for the interpreter: a step for each instruction.
 *
 * Values between steps lie in slots of the scratch memory, small enough that all live ones stay
 * in the cache; slots of dead values are used again at once. What is summed is added up right
 * after it is computed, and a product that is only added up is never stored. Which kernel runs,
 * where its values lie, and which instructions are uniform is found once.
 */
#include "backend/cpu/block_parts.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/settings.h"

#include <string.h>

BlockKernel
block_kernel(const Instruction *in, const uint8_t *dtypes)
{
    BlockKernel kernel;
    const DType first = (DType)dtypes[in->in[0]];
    if (in->op == OP_cast) {
        kernel = cpu_cast_kernel(first, (DType)in->out_dtype);
    } else if (in->loop == DT_u64 && in->nin == 2 && first != (DType)dtypes[in->in[1]]) {
        kernel = cpu_mixed_kernel((OpCode)in->op, first);
    } else {
        kernel = cpu_row_kernel((OpCode)in->op, (DType)in->loop);
    }
    if (kernel == NULL) {
        err_set(ERR_TYPE, "%s: no loop for %s", op_info((OpCode)in->op)->name,
                dtype_info((DType)in->loop)->name);
    }
    return kernel;
}

/* Integer powers by negative exponents have no value. */
static bool
is_checked_power(const Instruction *in)
{
    return in->op == OP_power && (in->loop == DT_i8 || in->loop == DT_i16 ||
                                  in->loop == DT_i32 || in->loop == DT_i64);
}

/* Dtypes, uniformity and last uses of all registers. */
static void
compile_registers(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    for (int i = 0; i < spec->nin; i++) {
        c->dtypes[i] = spec->in_dtypes[i];
        c->registers[i].uniform = spec->in_uniform[i];
    }
    for (int k = 0; k < spec->ninstructions; k++) {
        const Instruction *in = &spec->instructions[k];
        bool uniform = true;
        for (int i = 0; i < in->nin; i++) {
            uniform = uniform && c->registers[in->in[i]].uniform;
            c->registers[in->in[i]].last_use = k;
            c->registers[in->in[i]].uses++;
        }
        c->dtypes[in->out] = in->out_dtype;
        c->registers[in->out] = (Register){.uniform = uniform, .value = true, .last_use = k};
    }
    for (int o = 0; o < spec->nout; o++) {
        c->registers[spec->out_registers[o]].last_use = STAYS;
        c->registers[spec->out_registers[o]].uses++;
    }
    for (int s = 0; s < spec->nsum; s++) {
        c->registers[spec->sum_registers[s]].uses++;
    }
}

Status
block_step(const Compiler *c, const Instruction *in, Step *step)
{
    *step = (Step){.kernel = block_kernel(in, c->dtypes), .out = in->out};
    if (step->kernel == NULL) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < in->nin; i++) {
        step->in[i] = in->in[i];
        step->uniform |= (uint8_t)(c->registers[in->in[i]].uniform << i);
    }
    if (c->registers[in->out].uniform) {
        step->uniform = 0; /* a block of one lane */
    }
    step->exponent = is_checked_power(in) ? in->loop : 0;
    return STATUS_OK;
}

/* The step that adds a product up, if that is all that becomes of it. */
static bool
sum_product_step(Compiler *c, const Instruction *in, int sum, Step *step)
{
    Register *r = &c->registers[in->out];
    const BlockKernel kernel =
        cpu_reduce_kernels(REDUCE_SUM, (DType)in->out_dtype)->products_step;
    if (in->op != OP_multiply || r->uses != 1 || kernel == NULL || step->uniform != 0) {
        return false;
    }
    step->kernel = kernel;
    step->out = (uint16_t)(c->code->nregisters + sum);
    r->unstored = true;
    return true;
}

/* Steps for the sums over a register that has just been computed. */
static void
sum_steps(Compiler *c, uint16_t reg)
{
    BlockCode *code = c->code;
    for (int s = 0; s < c->spec->nsum && !c->registers[reg].uniform; s++) {
        if (c->spec->sum_registers[s] == reg) {
            const ReduceKernels *kernels = cpu_reduce_kernels(REDUCE_SUM, (DType)c->dtypes[reg]);
            code->steps[code->nprologue + code->nsteps++] =
                (Step){kernels->step, (uint16_t)(code->nregisters + s), {reg}, 0, 0};
        }
    }
}

static int
first_sum(const Compiler *c, uint16_t reg)
{
    for (int s = 0; s < c->spec->nsum; s++) {
        if (c->spec->sum_registers[s] == reg) {
            return s;
        }
    }
    return NOWHERE;
}

static Status
compile_step(Compiler *c, const Instruction *in)
{
    BlockCode *code = c->code;
    const bool uniform = c->registers[in->out].uniform;
    Step *step = &code->steps[code->nprologue + code->nsteps];
    const Status status = block_step(c, in, step);
    *(uniform ? &code->nprologue : &code->nsteps) += 1;
    const int sum = uniform || status != STATUS_OK ? NOWHERE : first_sum(c, in->out);
    if (sum != NOWHERE && !sum_product_step(c, in, sum, step)) {
        sum_steps(c, in->out);
    }
    return status;
}

/* Steps in order, those of the prologue first. */
static Status
compile_steps(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    for (int pass = 0; pass < 2; pass++) {
        for (uint16_t i = 0; i < spec->nin && pass == 1; i++) {
            sum_steps(c, i);
        }
        for (int k = 0; k < spec->ninstructions; k++) {
            const Instruction *in = &spec->instructions[k];
            if (c->registers[in->out].uniform == (pass == 0) && compile_step(c, in) != STATUS_OK) {
                return STATUS_ERROR;
            }
        }
    }
    return STATUS_OK;
}

/* What the next block reads is asked for step by step, so that requests never pile up. */
static void
compile_fetches(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    BlockCode *code = c->code;
    for (int i = 0; i < spec->nin && spec->in_swept != NULL && code->nsteps > 0; i++) {
        const int size = dtype_size((DType)spec->in_dtypes[i]);
        const int lines = BLOCK_LANES * size / CACHE_LINE;
        if (spec->in_swept[i] && c->registers[i].uses > 0) {
            code->fetches[code->nfetches++] =
                (Fetch){(uint16_t)i, (uint8_t)size, (lines + code->nsteps - 1) / code->nsteps};
        }
    }
}

/* The last instruction that reads a vector input: only results from there on may go where an
 * input lies. */
static int
last_input_read(const Compiler *c)
{
    int last = -1;
    for (int i = 0; i < c->spec->nin; i++) {
        const Register *r = &c->registers[i];
        last = !r->uniform && r->last_use > last ? r->last_use : last;
    }
    return last;
}

static void
compile_outputs(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    BlockCode *code = c->code;
    const int from = last_input_read(c);
    bool early = false;
    for (int o = 0; o < spec->nout; o++) {
        const uint16_t reg = spec->out_registers[o];
        Register *r = &c->registers[reg];
        bool direct = r->value && !r->uniform && !r->direct;
        int written = 0;
        while (direct && spec->instructions[written].out != reg) {
            written++;
        }
        if (direct && written < from) {
            direct = !spec->in_place;
            early = early || direct;
        }
        if (direct) {
            r->direct = true;
            code->direct[code->ndirect++] = (Direct){reg, (uint16_t)o};
            continue;
        }
        code->copies[code->ncopies++] = (Copy){reg, (uint16_t)o,
                                               (uint8_t)dtype_size((DType)c->dtypes[reg]), r->uniform};
    }
    code->in_place = !early;
}

static int32_t
new_slot(Compiler *c)
{
    return c->nfree > 0 ? c->free_slots[--c->nfree] : c->nslots++;
}

static void
free_slot_after(Compiler *c, uint16_t reg, int k)
{
    Register *r = &c->registers[reg];
    if (c->code->at[reg] != NOWHERE && !r->uniform && r->last_use == k) {
        c->free_slots[c->nfree++] = c->code->at[reg];
        r->last_use = -1; /* once, also when it is read twice */
    }
}

/* The slots of inputs that die here, so that the result may lie where one of them does: if their
 * elements are of one size. */
static void
free_slots_before(Compiler *c, int k)
{
    const Instruction *in = &c->spec->instructions[k];
    const int size = dtype_size((DType)in->out_dtype);
    for (int i = 0; i < in->nin; i++) {
        if (dtype_size((DType)c->dtypes[in->in[i]]) == size) {
            free_slot_after(c, in->in[i], k);
        }
    }
}

static void
free_slots_after(Compiler *c, int k)
{
    const Instruction *in = &c->spec->instructions[k];
    for (int i = 0; i < in->nin; i++) {
        free_slot_after(c, in->in[i], k);
    }
    free_slot_after(c, in->out, k);
}

/* A cell for every uniform value, a slot for every other that is stored but not in an output.
 * Until all are known, places are numbers of cells and slots. */
static void
compile_places(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    BlockCode *code = c->code;
    for (int r = 0; r < code->nregisters; r++) {
        const int64_t size = dtype_size((DType)c->dtypes[r]);
        const bool used = r < spec->nin || c->registers[r].value;
        code->at[r] = NOWHERE;
        c->slot_bytes = used && size > c->slot_bytes ? size : c->slot_bytes;
    }
    for (int k = 0; k < spec->ninstructions; k++) {
        const uint16_t out = spec->instructions[k].out;
        const Register *r = &c->registers[out];
        free_slots_before(c, k);
        if (r->uniform) {
            code->at[out] = (int32_t)c->cells++;
        } else if (!r->direct && !r->unstored) {
            code->at[out] = new_slot(c);
        }
        free_slots_after(c, k);
    }
}

/* The scratch: pointers to all registers, cells, slots. */
static void
compile_layout(Compiler *c)
{
    const BlockSpec *spec = c->spec;
    BlockCode *code = c->code;
    enum { VECTOR = 8 }; /* emitted code takes whole ones, however few lanes there are */
    const int64_t lanes = spec->lanes == 0 ? BLOCK_LANES : spec->lanes;
    const int64_t slot = block_round_up(c->slot_bytes * (lanes < VECTOR ? VECTOR : lanes));
    const int64_t cells = block_round_up((code->nregisters + code->nsum) * (int64_t)sizeof(void *));
    const int64_t slots = block_round_up(cells + c->cells * BLOCK_ELEMENT_BYTES);
    c->slot = slot;
    c->slots = slots;
    for (int r = 0; r < code->nregisters; r++) {
        if (code->at[r] != NOWHERE) {
            code->at[r] = (int32_t)(c->registers[r].uniform
                                        ? cells + code->at[r] * BLOCK_ELEMENT_BYTES
                                        : slots + code->at[r] * slot);
        }
    }
    for (int s = 0; s < spec->nsum; s++) {
        const uint16_t reg = spec->sum_registers[s];
        const DType dtype = (DType)c->dtypes[reg];
        code->sums[s] = (Sum){cpu_reduce_kernels(REDUCE_SUM, dtype), reg,
                              (uint8_t)dtype_size(dtype), NOWHERE};
        if (c->registers[reg].uniform) {
            code->sums[s].filled = (int32_t)(slots + c->nslots++ * slot);
        }
    }
    code->scratch_bytes = slots + c->nslots * slot;
}

/* Does emitting code pay for itself? */
static bool
wants_native(const BlockSpec *spec)
{
    /* elements times instructions that take some 100 microseconds, and lanes times instructions
     * of one run below which calls of kernels are as fast */
    enum { LEAST_WORK = 1 << 20, LEAST_RUN = 128, LEAST_LANES = 64 };
    const Executor executor = (Executor)settings_get()->executor;
    const bool pays = (spec->elements == 0 || spec->elements * spec->ninstructions >= LEAST_WORK) &&
                      (spec->lanes == 0 || spec->lanes >= LEAST_LANES ||
                       spec->lanes * spec->ninstructions >= LEAST_RUN);
    return executor == EXECUTOR_NATIVE || (executor != EXECUTOR_INTERPRETER && pays);
}

static void
compile_executor(Compiler *c)
{
    int nslots = 0;
    Native *native = wants_native(c->spec) ? native_plan(c, &nslots) : NULL;
    c->nslots = nslots > c->nslots ? nslots : c->nslots;
    compile_layout(c);
    if (native != NULL && native_emit(native, c)) {
        c->code->native = native;
        c->code->in_place = c->spec->in_place;
    } else {
        native_free(native);
    }
}

static int
count_registers(const BlockSpec *spec)
{
    int count = spec->nin;
    for (int k = 0; k < spec->ninstructions; k++) {
        const int reg = spec->instructions[k].out;
        count = reg >= count ? reg + 1 : count;
    }
    return count;
}

/* The block's memory with its arrays, all zero. */
static BlockCode *
new_code(const BlockSpec *spec, int nregisters)
{
    const size_t steps = (size_t)block_round_up(sizeof(BlockCode));
    const size_t sums = steps + (size_t)(spec->ninstructions + spec->nsum) * sizeof(Step);
    const size_t copies = sums + (size_t)spec->nsum * sizeof(Sum);
    const size_t direct = copies + (size_t)spec->nout * sizeof(Copy);
    const size_t fetches = (size_t)block_round_up(
        (int64_t)(direct + (size_t)spec->nout * sizeof(Direct)));
    const size_t at =
        (size_t)block_round_up((int64_t)(fetches + (size_t)spec->nin * sizeof(Fetch)));
    const size_t bytes = at + (size_t)nregisters * sizeof(int32_t);
    char *memory = mem_new_zeroed(bytes);
    if (memory == NULL) {
        return NULL;
    }
    BlockCode *code = (BlockCode *)memory;
    code->bytes = bytes;
    code->nin = spec->nin;
    code->lanes = spec->lanes == 0 ? BLOCK_LANES : spec->lanes;
    code->nregisters = nregisters;
    code->nsum = spec->nsum;
    code->nout = spec->nout;
    code->steps = (Step *)(memory + steps);
    code->sums = (Sum *)(memory + sums);
    code->copies = (Copy *)(memory + copies);
    code->direct = (Direct *)(memory + direct);
    code->fetches = (Fetch *)(memory + fetches);
    code->at = (int32_t *)(memory + at);
    return code;
}

BlockCode *
block_compile(const BlockSpec *spec)
{
    const int nregisters = count_registers(spec);
    if (nregisters > PROGRAM_MAX_REGISTERS) {
        return err_null(ERR_RUNTIME, "program: too many registers");
    }
    const size_t each = sizeof(Register) + sizeof(int32_t) + 1;
    char *memory = mem_new_zeroed((size_t)nregisters * each);
    BlockCode *code = memory == NULL ? NULL : new_code(spec, nregisters);
    if (code != NULL) {
        Compiler c = {.spec = spec, .code = code, .registers = (Register *)memory};
        c.free_slots = (int32_t *)(memory + (size_t)nregisters * sizeof(Register));
        c.dtypes = (uint8_t *)(c.free_slots + nregisters);
        compile_registers(&c);
        if (compile_steps(&c) != STATUS_OK) {
            block_free(code);
            code = NULL;
        } else {
            compile_fetches(&c);
            compile_outputs(&c);
            compile_places(&c);
            compile_executor(&c);
        }
    }
    mem_free(memory, (size_t)nregisters * each);
    return code;
}

void
block_free(BlockCode *code)
{
    if (code != NULL) {
        native_free(code->native);
        mem_free(code, code->bytes);
    }
}

int64_t
block_bytes(const BlockCode *code)
{
    return (int64_t)code->bytes + native_bytes(code->native);
}

int64_t
block_scratch_bytes(const BlockCode *code)
{
    return code->scratch_bytes;
}

int64_t
block_most_lanes(const BlockCode *code)
{
    return code->native != NULL && native_keeps_nothing(code->native) ? INT64_MAX : code->lanes;
}

bool
block_fetches(const BlockCode *code)
{
    return code->native != NULL;
}

bool
block_is_in_place(const BlockCode *code)
{
    return code->in_place;
}
