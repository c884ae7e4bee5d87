/* backend/backend.h -- what a backend is asked to run: elementwise programs and primitives.
 *
 * Kernels see pointers, strides and counts. The caller has inferred shapes and dtypes,
 * allocated the output, and made sure that no output overlaps an input except exactly
 * (same pointer, same strides), which elementwise programs must accept. */
#ifndef PYARR_BACKEND_BACKEND_H
#define PYARR_BACKEND_BACKEND_H

#include "backend/tile.h"
#include "ops/ops.h"

#define CALL_MAX_INPUTS 34
#define PROGRAM_MAX_REGISTERS 8192
#define PROGRAM_MAX_SUMS 1024

typedef struct Operand {
    char *data;             /* first element */
    DType dtype;
    int ndim;
    const int64_t *shape;
    const int64_t *strides; /* bytes */
} Operand;

/* A primitive applied once. Outputs are freshly allocated and C-contiguous unless said.
 * copy, cast: `out` may have any strides (this is how assignment to a view runs).
 * assign, assign_add, scatter, scatter_add, put_along_add: `out` either IS the base (same
 * data pointer: work in place) or fresh memory into which the base is copied first. */
typedef struct Call {
    OpCode op;
    int nin;
    int nparams;
    Operand in[CALL_MAX_INPUTS];
    Operand out;
    const int64_t *params;
} Call;

/* One instruction: registers[out] = op(registers[in...]) computed in dtype `loop`; the inputs
 * are read as dtypes `in_dtype` (registers hold exactly that), the result has `out_dtype`. */
typedef struct Instruction {
    uint16_t op; /* OpCode of an elementwise row, or OP_cast */
    uint8_t nin;
    uint8_t loop, out_dtype;
    uint16_t out;
    uint16_t in[3];
} Instruction;

/* A straight-line elementwise program over one index space. Registers 0..nin-1 are the inputs
 * (strides broadcast to the shape, 0 where repeated), then values in the order written.
 * Outputs name registers. An input whose dtype differs from what an instruction needs is
 * converted by an explicit OP_cast instruction. Size-1 programs are what eager mode runs. */
typedef struct Program {
    int ndim;
    const int64_t *shape;
    int nin, ninstructions, nout;
    const Operand *in;               /* ndim, shape as the program's */
    const Instruction *instructions;
    const Operand *out;              /* any strides, no repeats */
    const uint16_t *out_registers;
    /* Registers added up over the whole index space, in the order of base/sums.h; each goes to
     * one element of the register's dtype. Outputs then lie in C order. */
    int nsum;
    const Operand *sums;
    const uint16_t *sum_registers;
} Program;

/* Registers the CPU device; called once at import. */
Status backend_cpu_init(void);

/* Fast path of eager mode: contiguous arrays of one loop dtype, n elements, on the CPU.
 * uniform: bit i set when input i is a single element. NULL when the row has no such loop.
 * Inputs have the dtypes that op_resolve gave: the loop dtype, bool and int64 for `where` and
 * ldexp. NULL also for loops that may fail (integer power) or that op_resolve tells by mixed
 * input dtypes: take this path only when in_dtypes[i] == loop, or the row is CLASS_SPECIAL. */
typedef void (*BlockKernel)(void *out, const void *const *in, int64_t n, unsigned uniform);
BlockKernel backend_cpu_kernel(OpCode op, DType loop);
/* Elements from which the pool is worth waking, for this op on the CPU. */
int64_t backend_cpu_grain(OpCode op, DType loop);

/* The machine code of a prepared program, NULL where it has none; for tests, as is refusing the
 * memory that it needs. Bytes of such memory now. */
struct Prepared;
const uint8_t *backend_cpu_code(const struct Prepared *prepared, int64_t *size);
void backend_cpu_refuse_code(bool refuse);
int64_t backend_cpu_code_bytes(void);

/* The instruction set of the kernels: "v2", "v3", "v4" or "base". */
const char *backend_cpu_isa(void);

/* Do those kernels have an instruction for x * y + z with one rounding? */
bool backend_cpu_has_fma(void);

/* What the BLAS library says of itself and the processor core it picked; static text. */
const char *backend_cpu_blas_config(void);
const char *backend_cpu_blas_core(void);

#endif
