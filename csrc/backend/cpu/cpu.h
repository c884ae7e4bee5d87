/* backend/cpu/cpu.h -- the CPU's primitives, one function for each row of primitives.def.
 * Inputs have any strides; inference has checked shapes and dtypes. */
#ifndef PYARR_BACKEND_CPU_CPU_H
#define PYARR_BACKEND_CPU_CPU_H

#include "backend/backend.h"

#define PRIMITIVE(name, nin, axis_map, flags, doc) Status cpu_##name(const Call *call);
#include "ops/primitives.def"
#undef PRIMITIVE

#endif
