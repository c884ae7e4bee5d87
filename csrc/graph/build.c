/* graph/build.c -- node constructors shared by recording and derivatives. */
#include "graph/build.h"

#include "base/vec.h"
#include "graph/trace.h"

#include <assert.h>
#include <string.h>

/* ---- the arena of nodes under construction: one a thread, since a kernel that runs between
 * mark and reset lets other threads record ---- */

static _Thread_local VEC(Node *) arena;

int64_t
arena_mark(void)
{
    return arena.size;
}

void
arena_reset(int64_t mark)
{
    while (arena.size > mark) {
        node_release(vec_pop(&arena));
    }
    if (mark == 0 && trace_current() == NULL) { /* a trace keeps the memory for its next op */
        vec_fini(&arena);
    }
}

Node *
arena_keep(Node *node)
{
    if (node != NULL && vec_push(&arena, node) != STATUS_OK) {
        node_release(node);
        return NULL;
    }
    return node;
}

/* ---- constants ---- */

Node *
build_constant(Array *value)
{
    if (value == NULL) {
        return NULL;
    }
    Node *node = arena_keep(node_new_constant(value));
    if (node != NULL) {
        node->flags |= NODE_LITERAL;
    }
    array_release(value);
    return node;
}

Node *
build_scalar(double re, double im, DType dtype, Weak weak)
{
    union {
        float f[2];
        double d[2];
        int64_t i;
        uint8_t b;
    } bits;
    switch (dtype) {
    case DT_f32:
    case DT_c64:
        bits.f[0] = (float)re;
        bits.f[1] = (float)im;
        break;
    case DT_f64:
    case DT_c128:
        bits.d[0] = re;
        bits.d[1] = im;
        break;
    case DT_bool:
        bits.b = re != 0;
        break;
    default:
        assert(dtype == DT_i64);
        bits.i = (int64_t)re;
    }
    return build_constant(array_new_scalar(dtype, weak, &bits));
}

Node *
build_full(double value, DType dtype, int ndim, const int64_t *shape)
{
    return build_broadcast(build_scalar(value, 0.0, dtype, WEAK_NONE), ndim, shape);
}

/* ---- primitives ---- */

Node *
build_primitive(OpCode op, Node *const *in, int nin, const int64_t *params, int nparams)
{
    Spec spec[CALL_MAX_INPUTS];
    if (nin > CALL_MAX_INPUTS) {
        return err_null(ERR_VALUE, "%s: too many inputs", op_info(op)->name);
    }
    for (int i = 0; i < nin; i++) {
        if (in[i] == NULL) {
            return NULL;
        }
        node_spec(in[i], &spec[i]);
    }
    Spec out;
    if (op_infer(op, spec, nin, params, nparams, &out) != STATUS_OK) {
        return NULL;
    }
    return arena_keep(node_new(op, in, nin, params, nparams, &out));
}

Node *
build_cast(Node *x, DType dtype)
{
    if (x == NULL || (DType)x->dtype == dtype) {
        return x;
    }
    const int64_t params[1] = {dtype};
    return build_primitive(OP_cast, &x, 1, params, 1);
}

Node *
build_copy(Node *x, bool stop)
{
    Node *node = build_primitive(OP_copy, &x, 1, NULL, 0);
    if (node != NULL && stop) {
        node->flags |= NODE_STOP;
        node->mask = 0;
    }
    return node;
}

Node *
build_reduce(OpCode op, Node *x, int naxes, const int *axes, bool keepdims)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t params[2 + ARRAY_MAX_NDIM];
    params[0] = keepdims;
    params[1] = naxes < 0 ? x->ndim : naxes;
    for (int i = 0; i < params[1]; i++) {
        params[2 + i] = naxes < 0 ? i : axes[i];
    }
    return build_primitive(op, &x, 1, params, 2 + (int)params[1]);
}

/* ---- views ---- */

Node *
build_view(Node *base, const int64_t *geometry)
{
    if (base == NULL || geometry_is_identity(geometry, base->ndim, base->shape)) {
        return base;
    }
    int64_t composed[GEOMETRY_MAX];
    if (base->op == OP_view && geometry_compose(base->params, geometry, composed)) {
        return build_view(base->inputs[0], composed);
    }
    Spec spec;
    spec.dtype = (DType)base->dtype;
    spec.weak = WEAK_NONE;
    spec.ndim = (int)geometry[1];
    for (int i = 0; i < spec.ndim; i++) {
        spec.shape[i] = geometry[2 + i];
    }
    return arena_keep(node_new(OP_view, &base, 1, geometry, geometry_count(geometry), &spec));
}

Node *
build_broadcast(Node *x, int ndim, const int64_t *shape)
{
    if (x == NULL || (x->ndim == ndim && shape_equal(ndim, x->shape, shape))) {
        return x;
    }
    int64_t plain[GEOMETRY_MAX], geometry[GEOMETRY_MAX];
    geometry_contiguous(x->ndim, x->shape, plain);
    geometry[0] = 0;
    geometry[1] = ndim;
    const int lead = ndim - x->ndim;
    for (int i = 0; i < ndim; i++) {
        geometry[2 + i] = shape[i];
        const bool kept = i >= lead && x->shape[i - lead] == shape[i];
        geometry[2 + ndim + i] = kept ? plain[2 + x->ndim + i - lead] : 0;
    }
    return build_view(x, geometry);
}

Node *
build_reshape(Node *x, int ndim, const int64_t *shape)
{
    int64_t geometry[GEOMETRY_MAX];
    geometry_contiguous(ndim, shape, geometry);
    return build_view(x, geometry);
}

Node *
build_transpose_last2(Node *x)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t g[GEOMETRY_MAX];
    const int n = x->ndim;
    geometry_contiguous(n, x->shape, g);
    int64_t *shape = g + 2, *strides = g + 2 + n;
    int64_t t = shape[n - 1];
    shape[n - 1] = shape[n - 2];
    shape[n - 2] = t;
    t = strides[n - 1];
    strides[n - 1] = strides[n - 2];
    strides[n - 2] = t;
    return build_view(x, g);
}

Node *
build_slice(Node *x, int axis, int64_t start, int64_t count)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t g[GEOMETRY_MAX];
    geometry_contiguous(x->ndim, x->shape, g);
    g[0] = count > 0 ? start * g[2 + x->ndim + axis] : 0;
    g[2 + axis] = count;
    return build_view(x, g);
}

Node *
build_assign(OpCode op, Node *base, Node *value, const int64_t *geometry)
{
    Node *in[2] = {base, value};
    return build_primitive(op, in, 2, geometry, geometry_count(geometry));
}

Node *
build_sum_to(Node *x, int ndim, const int64_t *shape)
{
    if (x == NULL) {
        return NULL;
    }
    const int lead = x->ndim - ndim;
    int axes[ARRAY_MAX_NDIM], n = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (i < lead || (shape[i - lead] == 1 && x->shape[i] != 1)) {
            axes[n++] = i;
        }
    }
    Node *sum = n > 0 ? build_reduce(OP_sum, x, n, axes, false) : x;
    return build_reshape(sum, ndim, shape);
}

Node *
build_restore_axes(Node *x, int ndim, const int64_t *shape, const int64_t *reduce_params)
{
    int64_t kept[ARRAY_MAX_NDIM];
    memcpy(kept, shape, (size_t)ndim * sizeof(int64_t));
    for (int i = 0; i < reduce_params[1]; i++) {
        kept[reduce_params[2 + i]] = 1;
    }
    return build_reshape(x, ndim, kept);
}

/* ---- elementwise ---- */

/* Identities that hold for every value, signed zeros and NaN included: x*1, x/1. Not for
 * complex x: its infinities times the 0 of 1+0j are NaN. */
static Node *
elementwise_identity(OpCode op, Node *const *in, const Spec *out)
{
    double value;
    if ((op == OP_multiply || op == OP_divide) && !dtype_is_complex(out->dtype)) {
        for (int i = op == OP_divide ? 1 : 0; i < 2; i++) {
            Node *other = in[1 - i];
            if ((DType)other->dtype == out->dtype && node_uniform(in[i], &value) && value == 1.0) {
                return build_broadcast(other, out->ndim, out->shape);
            }
        }
    }
    return NULL;
}

/* The row's loop, the dtypes its inputs are cast to, and the result. */
static Status
elementwise_spec(OpCode op, Node *const *in, int nin, DType forced, DType *loop, DType *in_dtypes,
                 Spec *out)
{
    DType dtypes[3];
    Weak weak[3];
    int ndims[3];
    const int64_t *shapes[3];
    for (int i = 0; i < nin; i++) {
        dtypes[i] = (DType)in[i]->dtype;
        weak[i] = (Weak)in[i]->weak;
        ndims[i] = in[i]->ndim;
        shapes[i] = in[i]->shape;
    }
    *loop = forced;
    out->weak = WEAK_NONE;
    if (op_resolve(op, dtypes, weak, nin, forced != DTYPE_COUNT, loop, in_dtypes, &out->dtype) !=
        STATUS_OK) {
        return STATUS_ERROR;
    }
    return shape_broadcast(nin, ndims, shapes, &out->ndim, out->shape);
}

/* The same where it is simplest and commonest: one or two inputs of one floating dtype, of one
 * shape or 0-d. False where it is not. */
static bool
plain_spec(OpCode op, Node *const *in, int nin, Spec *out)
{
    const Node *a = in[0], *b = in[nin - 1];
    if (nin > 2 || nin != op_info(op)->nin || a->dtype != b->dtype || a->weak == WEAK_INT ||
        b->weak == WEAK_INT) {
        return false;
    }
    const Node *wide = a->ndim == 0 ? b : a;
    if (b->ndim != 0 && !(a->ndim == 0 || (a->ndim == b->ndim &&
                                           shape_equal(a->ndim, a->shape, b->shape)))) {
        return false;
    }
    out->dtype = op_plain_result(op, (DType)a->dtype);
    out->weak = WEAK_NONE;
    out->ndim = wide->ndim;
    for (int axis = wide->ndim - 1; axis >= 0; axis--) {
        out->shape[axis] = wide->shape[axis];
    }
    return out->dtype != DTYPE_COUNT;
}

Node *
build_elementwise(OpCode op, Node *const *in, int nin, DType forced)
{
    DType in_dtypes[3], loop;
    Node *ready[3];
    Spec out;
    for (int i = 0; i < nin; i++) {
        if (in[i] == NULL) {
            return NULL;
        }
    }
    const bool plain = forced == DTYPE_COUNT && plain_spec(op, in, nin, &out);
    if (plain) {
        loop = (DType)in[0]->dtype;
    } else if (elementwise_spec(op, in, nin, forced, &loop, in_dtypes, &out) != STATUS_OK) {
        return NULL;
    }
    Node *simple = elementwise_identity(op, in, &out);
    if (simple != NULL) {
        return simple;
    }
    for (int i = 0; i < nin; i++) {
        ready[i] = plain ? in[i] : build_cast(in[i], in_dtypes[i]);
        if (!plain || in[i]->ndim != out.ndim) {
            ready[i] = build_broadcast(ready[i], out.ndim, out.shape);
        }
        if (ready[i] == NULL) {
            return NULL;
        }
    }
    const int64_t params[1] = {loop};
    return arena_keep(node_new(op, ready, nin, params, 1, &out));
}

Node *
build1(OpCode op, Node *x)
{
    return build_elementwise(op, &x, 1, DTYPE_COUNT);
}

Node *
build_conjugate(Node *x)
{
    return x != NULL && dtype_is_complex((DType)x->dtype) ? build1(OP_conjugate, x) : x;
}

Node *
build2(OpCode op, Node *x, Node *y)
{
    Node *in[2] = {x, y};
    return build_elementwise(op, in, 2, DTYPE_COUNT);
}

Node *
build3(OpCode op, Node *x, Node *y, Node *z)
{
    Node *in[3] = {x, y, z};
    return build_elementwise(op, in, 3, DTYPE_COUNT);
}
