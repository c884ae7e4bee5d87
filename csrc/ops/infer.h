/* ops/infer.h -- shape and dtype of an op's result, without computing it. */
#ifndef PYARR_OPS_INFER_H
#define PYARR_OPS_INFER_H

#include "ops/ops.h"

typedef struct Spec {
    DType dtype;
    Weak weak;
    int ndim;
    int64_t shape[ARRAY_MAX_NDIM];
} Spec;

/*
 * Elementwise: the loop dtype and result dtype for these input dtypes. A forced loop dtype
 * (ufunc's dtype=) comes in as *loop when forced is true. ERR_TYPE with NumPy's wording when
 * there is no loop: "ufunc 'bitwise_and' not supported for the input types ...".
 * `where` has loop dtype of its two values; its condition stays bool. Per-input loop dtypes
 * (bool condition, integer exponent of ldexp) come out in in_dtypes[nin].
 */
Status op_resolve(OpCode op, const DType *dtypes, const Weak *weak, int nin, bool forced,
                  DType *loop, DType *in_dtypes, DType *out);

/* op_resolve where all inputs are of one floating dtype and none is a weak integer: that dtype is
 * the loop. The result's dtype, or DTYPE_COUNT where it is not that simple. */
DType op_plain_result(OpCode op, DType dtype);

/*
 * Result of any op. Elementwise inputs may still differ in shape (broadcast) and dtype; for
 * primitives they must satisfy what primitives.def says, else the error is set with NumPy's
 * type and text, starting with the function's name where NumPy's does.
 */
Status op_infer(OpCode op, const Spec *in, int nin, const int64_t *params, int nparams, Spec *out);

/* fft_c2c has so many parameters for each axis: axis, n, first, out_first, keep. */
enum { FFT_AXIS_PARAMS = 5, FFT_MAX_PARAMS = 3 + FFT_AXIS_PARAMS * ARRAY_MAX_NDIM };

#endif
