/* graph/graph.h -- the one entrance for every op, and what the Python layer needs of traces.
 *
 * An Array seen by Python is either concrete (its storage has memory and this thread's trace
 * holds no newer value) or recorded (a binding of its storage to a node). Callers of the array
 * layer that read memory must call graph_evaluate first and then use the array it returns.
 */
#ifndef PYARR_GRAPH_GRAPH_H
#define PYARR_GRAPH_GRAPH_H

#include "ops/infer.h"

/* Apply `op`: eagerly, onto the tape, or onto this thread's trace. New reference, or NULL.
 * Elementwise inputs of any broadcastable shapes and dtypes; primitives as primitives.def. */
Array *graph_apply(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams);
/* Elementwise with ufunc extras: forced loop dtype (or DTYPE_COUNT), and out/where. */
Array *graph_apply_elementwise(OpCode op, Array *const *in, int nin, DType forced);
/* An eager op straight into `out` where that gives what computing first and assigning then
 * would; *done says whether it was. */
Status graph_elementwise_into(OpCode op, Array *const *in, int nin, Array *out, bool *done);
static inline Array *
graph_apply1(OpCode op, Array *x)
{
    return graph_apply(op, &x, 1, NULL, 0);
}
static inline Array *
graph_apply2(OpCode op, Array *x, Array *y)
{
    Array *in[2] = {x, y};
    return graph_apply(op, in, 2, NULL, 0);
}

/* dst[...] = value: broadcasts, casts (unsafe, as NumPy's assignment), handles overlap, grows
 * the version, records when traced. ERR_VALUE when dst is read-only or shapes do not fit. */
Status graph_write(Array *dst, Array *value);
/* dst[mask or indices...] = value where the indices address axes [axis, axis + k) of dst;
 * accumulate adds (numpy.add.at). */
Status graph_write_indexed(Array *dst, int axis, Array *const *index, int k, Array *value,
                           bool accumulate);
/* Another dtype (a copy, differentiable); the array itself when nothing changes and !force. */
Array *graph_cast(Array *x, DType dtype, bool force);
/* C-contiguous copy, writable, fresh storage. */
Array *graph_copy(Array *x);
/* x's current elements as an array of its own, which no write reaches: in a trace no copy is made. */
Array *graph_value(Array *x);
/* A copy in a dtype (DTYPE_COUNT: x's own), in memory laid out like x: NumPy's order 'K'. */
Array *graph_copy_in_order(Array *x, DType dtype);
/* x reshaped: a view where possible, else a copy; -1 allowed. */
Array *graph_reshape(Array *x, int ndim, const int64_t *shape);
/* x reduced: op in sum..all. axes normalised and sorted; naxes < 0 means all axes. */
Array *graph_reduce(OpCode op, Array *x, int naxes, const int *axes, bool keepdims);

/* Memory behind x: a new reference to a concrete array with x's current elements (x itself
 * when it is concrete). In a trace this computes what is needed and keeps it. */
Array *graph_evaluate(Array *x);
/* Does x depend on a differentiated input of an open transform, or on requires_grad? */
bool graph_is_active(const Array *x);
/* The same memory under a storage of its own, which no binding knows. */
Array *graph_share_memory(Array *x);
bool graph_is_recorded(const Array *x); /* bound to a node by this thread's trace or the tape */
bool graph_is_tracing(void);
/* x without derivative: shares memory when concrete. */
Array *graph_detach(Array *x);
/* How often graph_export refused on this thread: custom_vjp asks whether its forward function
 * left pyarr. */
int64_t graph_export_refusals(void);
/* x's current elements on a device: x's value itself when it is there, else a copy. No
 * derivative passes through it. */
Array *graph_to_device(Array *x, Device *device);
/* Before memory is handed out for reading or writing by others: evaluates, carries out
 * pending writes, and marks the storage exported. Raises ERR_TYPE on active arrays, naming
 * pyarr.detach and `what` ("float()", "the buffer protocol", ...). */
Array *graph_export(Array *x, const char *what);

/* ---- transforms (pyarr/transforms.py drives these) ---- */
typedef struct Transform Transform;
/* Opens a transform on this thread; the outermost opens the trace. */
Transform *transform_open(void);
/* A fresh differentiated argument with x's elements (integers become float64). Those of large
 * arguments of the outermost transform are read in place, when it is computed. */
Array *transform_argument(Transform *t, Array *x);
/* The same argument under storage of its own: what the user's function gets, and may write to
 * while the argument itself still stands for what came in. */
Array *transform_alias(Transform *t, Array *argument);
/* Cotangents of `args` given those of `outs` (NULL: none). grads[i] is NULL for zero.
 * conjugate: complex cotangents are in the user's convention (df/dRe + i df/dIm) on both
 * sides; else they follow df = Re(c dz), as forward mode needs. */
Status transform_pullback(Transform *t, int nout, Array *const *outs, Array *const *cotangents,
                          int narg, Array *const *args, bool conjugate, Array **grads);
/* out[0]: the value, a real scalar; out[1 + k]: its gradient by args[k], NULL for zero. By a plan
 * where it can be (new arrays that the trace knows nothing of), else recorded. */
Status transform_value_and_grad(Transform *t, Array *value, int narg, Array *const *args,
                                Array **out);
/* Ends it. The outermost computes every array that is still referenced, carries out writes to
 * outer arrays, and closes the trace; afterwards all arrays are concrete. keep: pullbacks stay
 * possible while the trace lives, and t is freed by transform_free; else t is freed. */
Status transform_close(Transform *t, bool keep);
void transform_free(Transform *t);
/* The user's function raised: computes what can be computed, carries out recorded writes to
 * outer arrays, closes, frees t. Without `rescue`, and if the thread was interrupted since the
 * trace was opened, it computes nothing: recorded arrays have no value then, and outer arrays
 * keep their elements. Keeps the error record untouched. */
void transform_abort(Transform *t, bool rescue);
bool transform_is_live(const Transform *t); /* is its trace open on this thread? */
bool transform_is_outermost(const Transform *t);

/* ---- PyTorch's spelling. Gradients of leaves are kept with the leaf's storage. ---- */
Status tape_require_grad(Array *x, bool on);
bool tape_requires_grad(const Array *x); /* a leaf, or depends on one */
bool tape_is_leaf(const Array *x);
/* Adds the cotangents of all leaves that y depends on to their gradients. */
Status tape_backward(Array *y, Array *cotangent, bool create_graph);
/* The gradient of a leaf (new reference), or NULL without an error when it has none. */
Array *tape_get_grad(const Array *leaf);
Status tape_set_grad(Array *leaf, Array *grad); /* NULL removes it */
/* Derivative of outs with respect to the given arrays (torch.autograd.grad); grads[i] is NULL
 * where there is no dependence. */
Status tape_grad(int nout, Array *const *outs, Array *const *cotangents, int narg,
                 Array *const *args, bool create_graph, Array **grads);
bool graph_grad_enabled(void);
void graph_set_grad_enabled(bool on); /* of this thread (the Python layer scopes it) */

/* ---- functions of the host language with their own derivative ---- */
/* `out` (computed from args without derivative) as a result that depends on args; its backward
 * rule is host_hooks.backward(rule, ...). Takes over one reference of `rule`. */
Array *graph_custom(Array *out, Array *const *args, int narg, uintptr_t rule);

/* ---- inspection ---- */
/* A trace whose nodes pin more bytes than this evaluates what no derivative needs. */
void graph_set_pin_limit(int64_t bytes);
/* Text of the nodes behind x, one per line: "%3 = mul(%1, %2) float64 (3, 4)  file.py:12". */
Status graph_describe(Array *x, bool dot, void (*write)(void *ctx, const char *text), void *ctx);
/* The nodes behind the arrays of this thread's trace as a plan would compute them, as text, and
 * what they give: values[i] is a new reference. hoist: factors may move out of backward sums;
 * *guards then becomes a 1-d array of the numbers that must be zero or normal. */
Status graph_simplified(Array *const *x, int n, bool hoist,
                        void (*write)(void *ctx, const char *text), void *ctx, Array **values,
                        Array **guards);
/* Live arrays, storages and nodes, for leak reports. */
void graph_live(int64_t *arrays, int64_t *storages, int64_t *nodes);

#endif
