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

/* Kernels for converting between dtypes, chosen like those of rows; never NULL. */
BlockKernel cpu_cast_kernel(DType from, DType to);

/* Chooses the kernels for this machine (PYARR_ISA may name a lesser set): ERR_VALUE when the
 * name is unknown or the machine lacks it. */
Status cpu_kernels_init(void);
/* "v2", "v3", "v4" or "base". */
const char *cpu_isa(void);

#endif
