/* graph/build.h -- nodes from nodes, with what recording and derivatives have in common.
 *
 * Everything here returns nodes owned by the arena: take `mark = arena_mark()` before, retain
 * what should stay, then `arena_reset(mark)`. A NULL input gives NULL, so expressions nest and
 * the error of the innermost failure survives.
 */
#ifndef PYARR_GRAPH_BUILD_H
#define PYARR_GRAPH_BUILD_H

#include "array/view.h"
#include "backend/backend.h"
#include "graph/node.h"

int64_t arena_mark(void);
void arena_reset(int64_t mark);
Node *arena_keep(Node *node); /* hands a new reference to the arena */

/* Elementwise with NumPy's casts and broadcasting as explicit nodes. */
Node *build_elementwise(OpCode op, Node *const *in, int nin, DType forced);
Node *build1(OpCode op, Node *x);
Node *build_conjugate(Node *x); /* x itself where it is real, or NULL */
Node *build2(OpCode op, Node *x, Node *y);
Node *build3(OpCode op, Node *x, Node *y, Node *z);
/* Any primitive as it stands. */
Node *build_primitive(OpCode op, Node *const *in, int nin, const int64_t *params, int nparams);

/* Views: geometry is [offset, ndim, shape..., strides...] over the base's C-order elements. */
Node *build_view(Node *base, const int64_t *geometry);
Node *build_broadcast(Node *x, int ndim, const int64_t *shape);
Node *build_reshape(Node *x, int ndim, const int64_t *shape);
Node *build_transpose_last2(Node *x);
Node *build_slice(Node *x, int axis, int64_t start, int64_t count);
Node *build_assign(OpCode op, Node *base, Node *value, const int64_t *geometry);

Node *build_cast(Node *x, DType dtype);
Node *build_copy(Node *x, bool stop);
/* A literal: its elements follow from the structure. Takes the reference; NULL passes on. */
Node *build_constant(Array *value);
Node *build_scalar(double re, double im, DType dtype, Weak weak);
Node *build_full(double value, DType dtype, int ndim, const int64_t *shape);
Node *build_reduce(OpCode op, Node *x, int naxes, const int *axes, bool keepdims);
Node *build_sum_to(Node *x, int ndim, const int64_t *shape); /* transpose of broadcasting */
/* x with reduced axes put back as size 1 (x was reduced without keepdims). */
Node *build_restore_axes(Node *x, int ndim, const int64_t *shape, const int64_t *reduce_params);

/* ---- geometry arithmetic ---- */
enum { GEOMETRY_MAX = 2 + 2 * ARRAY_MAX_NDIM };
int geometry_count(const int64_t *geometry);
/* Strides and offset of the same view over a base with other strides (elements or bytes):
 * false when the view's axes are no axes of the base's shape. */
bool geometry_decode(const int64_t *geometry, int ndim, const int64_t *shape,
                     const int64_t *strides, int64_t *out_offset, int64_t *out_strides);
/* A view of a view as one view of the base, where the outer axes are axes of the inner. */
bool geometry_compose(const int64_t *inner, const int64_t *outer, int64_t *out);
/* Every base element read exactly once? Then the view that undoes it. */
bool geometry_inverse(const int64_t *geometry, int ndim, const int64_t *shape, int64_t *inverse);
bool geometry_is_identity(const int64_t *geometry, int ndim, const int64_t *shape);
void geometry_contiguous(int ndim, const int64_t *shape, int64_t *geometry);

/* ---- running one op on concrete arrays (execute.c, execute_elementwise.c) ---- */
/* What a kernel sees of a concrete array. */
Operand execute_operand(const Array *a);
/* The device of the result; single elements of the CPU may come along, nothing else. */
Device *execute_device(Array *const *in, int nin);
Array *execute_copy(const Array *x); /* C-contiguous, own memory, same device */
Array *execute_copy_in_order(Array *x); /* laid out like x: NumPy's order 'K' */
/* The elements on another device (any layout in, C-contiguous out); a itself when there. */
Array *execute_move(Array *a, Device *device);
/* All of them; on failure none is held. */
Status execute_move_all(Array *const *in, int nin, Device *device, Array **moved);
Array *execute_elementwise(OpCode op, Array *const *in, int nin, DType forced);
/* The order of axes by falling stride that all arrays of the full shape share; false when it
 * is the order they are written in. */
bool execute_axis_order(Array *const *in, int nin, int *order);
/* Into `out` itself where it has the result's dtype and shape and lies apart from the inputs
 * or exactly on one of them; else nothing is done. */
Status execute_elementwise_into(OpCode op, Array *const *in, int nin, Array *out, bool *done);
/* execute_elementwise with the result's memory laid out like the inputs', as NumPy's order 'K'. */
Array *execute_elementwise_in_order(OpCode op, Array *const *in, int nin, DType forced);
Array *execute_primitive(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams);
/* The same, into base's memory (scatter family, assign): base is written and returned. */
Status execute_in_place(OpCode op, Array *base, Array *const *in, int nin, const int64_t *params,
                        int nparams);
/* dst[...] = src, cast and broadcast; overlap is safe. */
Status execute_assign(Array *dst, Array *src);
/* An alias of x through a geometry, a copy where it can't be. */
Array *execute_view(Array *x, const int64_t *geometry);

#endif
