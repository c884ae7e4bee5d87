/* backend/cpu/cpu.h -- the parts of the CPU backend as they see each other. */
#ifndef PYARR_BACKEND_CPU_CPU_H
#define PYARR_BACKEND_CPU_CPU_H

#include "backend/backend.h"

/*
 * One function per primitive, cpu_<op>. Inputs may have any strides; outputs are C-contiguous
 * (copy and cast: any strides). Shapes and dtypes were inferred by op_infer.
 */
#define PRIMITIVE(name, nin, axis_map, flags, doc) Status cpu_##name(const Call *call);
#include "ops/primitives.def"
#undef PRIMITIVE

/* Runs a program; see backend.h. */
Status cpu_run_program(const Program *program);
/* The same in two steps; see array/device.h. */
typedef struct Prepared Prepared;
Prepared *cpu_prepare(const Program *program);
Status cpu_run_prepared(const Prepared *prepared, char *const *in, char *const *out,
                        char *const *sums);
void cpu_release(Prepared *prepared);
int64_t cpu_prepared_bytes(const Prepared *prepared);

/* See array/device.h. */
Status cpu_check_indices(const Call *call);

/* A primitive that the host language carries out; takes the interpreter's lock. */
Status cpu_run_on_host(const Call *call);

/* The kernel of a row, also where backend_cpu_kernel gives NULL because the loop may fail. */
BlockKernel cpu_row_kernel(OpCode op, DType loop);
/* Kernels for converting between dtypes, chosen like those of rows; never NULL. */
BlockKernel cpu_cast_kernel(DType from, DType to);

/* Comparisons of int64 with uint64, by value; `first` is the dtype of the first input. */
BlockKernel cpu_mixed_kernel(OpCode op, DType first);
/* n elements of `size` bytes, each a copy of *value; any alignment. */
void cpu_fill(void *out, const void *value, int size, int64_t n);

/* Chooses the kernels for this machine (PYARR_ISA may name a lesser set): ERR_VALUE when the
 * name is unknown or the machine lacks it. */
Status cpu_kernels_init(void);
/* "v2", "v3", "v4" or "base". */
const char *cpu_isa(void);

#endif
