/* backend/cpu/block_run.c -- the block interpreter: a call of a kernel for each step.
 *
 * Registers are pointers at the scratch memory's beginning, the accumulators of sums behind them.
 */
#include "backend/cpu/block_parts.h"

#include "backend/cpu/cpu.h"

#include <string.h>

Status
block_power_error(void)
{
    return err_set(ERR_VALUE, "Integers to negative integer powers are not allowed.");
}

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

/* Into the second cache, since the first is full of this block's values. */
static void
fetch_ahead(const BlockCode *code, char *const *values, int64_t n, int step)
{
    for (const Fetch *f = code->fetches; f < code->fetches + code->nfetches; f++) {
        const int64_t bytes = n * f->size;
        const int64_t from = bytes + (int64_t)step * f->share * CACHE_LINE;
        const int64_t to = from + (int64_t)f->share * CACHE_LINE;
        for (int64_t at = from; at < to && at < 2 * bytes; at += CACHE_LINE) {
            __builtin_prefetch(values[f->in] + at, 0, 2);
        }
    }
}

bool
block_run_steps(const Step *steps, int count, char **values, int64_t n)
{
    for (const Step *s = steps; s < steps + count; s++) {
        const void *args[3] = {values[s->in[0]], values[s->in[1]], values[s->in[2]]};
        if (s->exponent != 0 &&
            any_negative((DType)s->exponent, args[1], (s->uniform & 2) != 0 ? 1 : n)) {
            return false;
        }
        s->kernel(values[s->out], args, n, s->uniform);
    }
    return true;
}

void
block_bind_registers(const BlockCode *code, char *scratch)
{
    char **const values = (char **)scratch;
    for (int r = code->nin; r < code->nregisters; r++) {
        values[r] = scratch + code->at[r];
    }
}

static void
bind_inputs(const BlockCode *code, const BlockFrame *frame, char **values)
{
    for (int i = 0; i < code->nin; i++) {
        values[i] = (char *)(uintptr_t)frame->in[i];
    }
}

bool
block_prologue(const BlockCode *code, const BlockFrame *frame)
{
    char *const scratch = frame->scratch;
    char **const values = frame->scratch;
    block_bind_registers(code, scratch);
    bind_inputs(code, frame, values);
    if (!block_run_steps(code->steps, code->nprologue, values, 1)) {
        return false;
    }
    for (int s = 0; s < code->nsum; s++) {
        const Sum *sum = &code->sums[s];
        if (sum->filled != NOWHERE) {
            cpu_fill(scratch + sum->filled, values[sum->reg], sum->size, SUM_WIDTH);
        }
    }
    if (code->native != NULL) {
        native_prologue(code, frame);
    }
    return true;
}

/* All lanes of a uniform register are equal: a round of them serves for every round. */
static void
add_filled(const Sum *sum, void *accumulators, const void *filled, int64_t n)
{
    for (int64_t at = 0; at < n; at += SUM_WIDTH) {
        sum->kernels->add(accumulators, filled, n - at < SUM_WIDTH ? n - at : SUM_WIDTH);
    }
}

void
block_run_sum(const Sum *sum, void *accumulators, const char *scratch, char *const *values,
              int64_t n)
{
    if (sum->filled != NOWHERE) {
        add_filled(sum, accumulators, scratch + sum->filled, n);
    } else {
        sum->kernels->add(accumulators, values[sum->reg], n);
    }
}

void
block_run_copy(const Copy *copy, char *const *values, char *to, int64_t n)
{
    if (copy->uniform) {
        cpu_fill(to, values[copy->reg], copy->size, n);
    } else {
        memcpy(to, values[copy->reg], (size_t)(n * copy->size));
    }
}

bool
block_interpret(const BlockCode *code, const BlockFrame *frame, int64_t n)
{
    char **const values = frame->scratch;
    bind_inputs(code, frame, values);
    for (int d = 0; d < code->ndirect; d++) {
        values[code->direct[d].reg] = frame->out[code->direct[d].out];
    }
    char *const sums = frame->sums;
    for (int64_t s = 0; s < code->nsum; s++) {
        values[code->nregisters + s] = sums + s * BLOCK_SUM_BYTES;
    }
    for (int k = 0; k < code->nsteps; k++) {
        fetch_ahead(code, values, n, k);
        if (!block_run_steps(code->steps + code->nprologue + k, 1, values, n)) {
            return false;
        }
    }
    for (int64_t s = 0; s < code->nsum; s++) {
        if (code->sums[s].filled != NOWHERE) {
            block_run_sum(&code->sums[s], sums + s * BLOCK_SUM_BYTES, frame->scratch, values, n);
        }
    }
    for (int c = 0; c < code->ncopies; c++) {
        block_run_copy(&code->copies[c], values, frame->out[code->copies[c].out], n);
    }
    return true;
}

bool
block_run(const BlockCode *code, const BlockFrame *frame, int64_t n)
{
    return code->native != NULL ? native_run(code, frame, n) : block_interpret(code, frame, n);
}

/* ---- sums ---- */

void
block_sums_start(const BlockCode *code, void *sums)
{
    for (int s = 0; s < code->nsum; s++) {
        code->sums[s].kernels->start((char *)sums + (int64_t)s * BLOCK_SUM_BYTES, SUM_WIDTH, NULL);
    }
}

void
block_sum_fold(const BlockCode *code, void *sums, int s, void *out)
{
    code->sums[s].kernels->fold((char *)sums + (int64_t)s * BLOCK_SUM_BYTES, out);
}
