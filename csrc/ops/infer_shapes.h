/* ops/infer_shapes.h -- inference of the primitives, shared between the infer_*.c files. */
#ifndef PYARR_OPS_INFER_SHAPES_H
#define PYARR_OPS_INFER_SHAPES_H

#include "ops/infer.h"

/* matmul, linear algebra, Fourier transforms (infer_matrix.c). */
Status infer_matrix(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams,
                    Spec *out);
/* views, assignment, gathers, concatenation (infer_move.c). */
Status infer_move(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams,
                  Spec *out);

/* The op got a wrong number of inputs or parameters: our own callers' mistake. */
Status infer_misuse(OpCode op);

#endif
