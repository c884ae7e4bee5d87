/* graph/simplify_nodes.c -- nodes of simplified graphs: each is made once, and work on
 * repeated elements is done before they are repeated. */
#include "graph/simplify_nodes.h"

#include <assert.h>
#include <string.h>

/* ---- the table ---- */

/* Bits do not depend on the order of the inputs. (maximum(0.0, -0.0) does.) */
static bool
commutes(int op)
{
    switch (op) {
    case OP_add:
    case OP_multiply:
    case OP_equal:
    case OP_not_equal:
    case OP_logical_and:
    case OP_logical_or:
    case OP_logical_xor:
    case OP_bitwise_and:
    case OP_bitwise_or:
    case OP_bitwise_xor:
        return true;
    default:
        return false;
    }
}

static uint64_t
hash_node(int op, Node *const *in, int nin, const int64_t *params, int nparams, const Spec *spec)
{
    uint64_t hash = hash_combine((uint64_t)op, (uint64_t)spec->dtype);
    hash = hash_bytes(spec->shape, (size_t)spec->ndim * sizeof(int64_t), hash);
    hash = hash_bytes(params, (size_t)nparams * sizeof(int64_t), hash);
    if (nin == 2 && commutes(op)) {
        return hash_combine(hash, hash_mix((uint64_t)(uintptr_t)in[0]) +
                                      hash_mix((uint64_t)(uintptr_t)in[1]));
    }
    for (int i = 0; i < nin; i++) {
        hash = hash_combine(hash, (uint64_t)(uintptr_t)in[i]);
    }
    return hash;
}

static bool
same_inputs(const Node *node, Node *const *in)
{
    const bool swapped = node->nin == 2 && commutes(node->op) && node->inputs[0] == in[1] &&
                         node->inputs[1] == in[0];
    return swapped || memcmp(node->inputs, in, (size_t)node->nin * sizeof(Node *)) == 0;
}

static bool
same_spec(const Node *node, const Spec *spec)
{
    return node->dtype == spec->dtype && node->ndim == spec->ndim &&
           shape_equal(node->ndim, node->shape, spec->shape);
}

static Node *
find(const Simplifier *s, uint64_t hash, int op, Node *const *in, int nin, const int64_t *params,
     int nparams, const Spec *spec)
{
    uint64_t at = 0;
    (void)hash_get(&s->table, hash, &at);
    for (; at != 0; at = (uint64_t)s->known.data[at - 1].next) {
        Node *node = s->known.data[at - 1].node;
        if (node->op == op && node->nin == nin && node->nparams == nparams &&
            same_spec(node, spec) && same_inputs(node, in) &&
            memcmp(node->params, params, (size_t)nparams * sizeof(int64_t)) == 0) {
            return node;
        }
    }
    return NULL;
}

static Status
note(Simplifier *s, uint64_t hash, Node *node)
{
    uint64_t next = 0;
    (void)hash_get(&s->table, hash, &next);
    if (vec_push(&s->known, (Known){node, (int64_t)next}) != STATUS_OK) {
        return STATUS_ERROR;
    }
    return hash_set(&s->table, hash, (uint64_t)s->known.size);
}

/* The host's functions may give something else each time. */
static bool
may_merge(int op)
{
    return op < OP_COUNT && op != OP_host_call;
}

Node *
simplify_plain(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params, int nparams,
               const Spec *spec)
{
    const uint64_t hash = hash_node(op, in, nin, params, nparams, spec);
    Node *node = may_merge(op) ? find(s, hash, op, in, nin, params, nparams, spec) : NULL;
    if (node != NULL) {
        if (!node_set_backward(true)) { /* wanted by a forward node as well */
            node->flags &= (uint8_t)~NODE_BACKWARD;
            (void)node_set_backward(false);
        }
        return node;
    }
    node = arena_keep(node_new(op, in, nin, params, nparams, spec));
    if (node == NULL || (may_merge(op) && note(s, hash, node) != STATUS_OK)) {
        s->failed = true;
        return NULL;
    }
    return node;
}

Node *
simplify_find2(Simplifier *s, OpCode op, Node *x, Node *y)
{
    Node *in[2] = {x, y};
    const int64_t params[1] = {x->dtype};
    Spec spec;
    node_spec(x, &spec);
    return find(s, hash_node(op, in, 2, params, 1, &spec), op, in, 2, params, 1, &spec);
}

/* ---- leaves ---- */

/* Literals with the same bits, or other constants over the same elements (the key of a plan
 * tells these). */
static bool
same_leaf(const Node *a, const Node *b)
{
    const Array *x = a->value, *y = b->value;
    if (a->dtype != b->dtype || x->ndim != y->ndim || ((a->flags ^ b->flags) & NODE_LITERAL)) {
        return false;
    }
    if (a->flags & NODE_LITERAL) {
        return x->ndim == 0 && memcmp(array_data(x), array_data(y),
                                      (size_t)dtype_size((DType)a->dtype)) == 0;
    }
    return a->value_version == b->value_version && array_is_same(x, y);
}

static uint64_t
hash_leaf(const Node *node)
{
    const Array *value = node->value;
    const uint64_t hash = hash_combine((uint64_t)OP_constant, node->dtype);
    if ((node->flags & NODE_LITERAL) && value->ndim == 0) {
        return hash_bytes(array_data(value), (size_t)dtype_size((DType)node->dtype), hash);
    }
    return hash_combine(hash, (uint64_t)(uintptr_t)value->storage + (uint64_t)value->offset);
}

/* Constants over the same elements are one leaf. */
Node *
simplify_leaf(Simplifier *s, Node *node)
{
    s->failed = s->failed || node == NULL;
    if (node == NULL || node->op != OP_constant || node->value == NULL ||
        node->value->storage->data == NULL || (node->flags & NODE_STALE)) {
        return node;
    }
    const uint64_t hash = hash_leaf(node);
    uint64_t at = 0;
    (void)hash_get(&s->table, hash, &at);
    for (; at != 0; at = (uint64_t)s->known.data[at - 1].next) {
        Node *other = s->known.data[at - 1].node;
        if (other->op == OP_constant && same_leaf(node, other)) {
            return other;
        }
    }
    s->failed = note(s, hash, node) != STATUS_OK;
    return s->failed ? NULL : node;
}

Node *
simplify_number(Simplifier *s, double value, DType dtype)
{
    return simplify_leaf(s, build_scalar(value, 0.0, dtype, WEAK_NONE));
}

/* ---- folding ---- */

static bool
is_literal(const Node *node)
{
    return node->op == OP_constant && (node->flags & NODE_LITERAL) && node->ndim == 0 &&
           node->value != NULL;
}

static bool
folds(int op, Node *const *in, int nin, const Spec *spec)
{
    const bool integer_power = op == OP_power && dtype_is_integer(spec->dtype);
    bool all = nin > 0 && spec->ndim == 0 && !integer_power &&
               (op_is_elementwise((OpCode)op) || op == OP_cast);
    for (int i = 0; all && i < nin; i++) {
        all = is_literal(in[i]);
    }
    return all;
}

static Node *
fold(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params, int nparams,
     const Spec *spec)
{
    Array *values[3];
    for (int i = 0; i < nin; i++) {
        values[i] = in[i]->value;
    }
    Array *value = op == OP_cast
                       ? execute_primitive(OP_cast, values, nin, params, nparams)
                       : execute_elementwise((OpCode)op, values, nin, DTYPE_COUNT);
    if (value != NULL && value->dtype != spec->dtype) {
        array_release(value);
        return simplify_plain(s, op, in, nin, params, nparams, spec);
    }
    return simplify_leaf(s, build_constant(value));
}

/* ---- views ---- */

static bool
is_repeat(const int64_t *geometry, int axis)
{
    return geometry[2 + axis] > 1 && geometry[2 + geometry[1] + axis] == 0;
}

static Node *
plain_view(Simplifier *s, Node *base, const int64_t *geometry)
{
    Spec spec = {.dtype = (DType)base->dtype, .weak = WEAK_NONE, .ndim = (int)geometry[1]};
    memcpy(spec.shape, geometry + 2, (size_t)spec.ndim * sizeof(int64_t));
    return simplify_plain(s, OP_view, &base, 1, geometry, geometry_count(geometry), &spec);
}

/* A view that repeats elements is made of one that does not (with no axis of size 1 either) and
 * a broadcast of that: the geometry over the first. False when nothing is repeated. */
static bool
split_repeats(const int64_t *geometry, int64_t *core, int64_t *repeated)
{
    const int ndim = (int)geometry[1];
    int kept = 0;
    bool any = false;
    for (int i = 0; i < ndim; i++) {
        any = any || is_repeat(geometry, i);
        kept += geometry[2 + i] != 1 && !is_repeat(geometry, i);
    }
    if (!any) {
        return false;
    }
    core[0] = geometry[0];
    core[1] = kept;
    repeated[0] = 0;
    repeated[1] = ndim;
    int64_t step = 1;
    for (int i = ndim - 1, k = kept; i >= 0; i--) {
        const int64_t n = geometry[2 + i];
        repeated[2 + i] = n;
        repeated[2 + ndim + i] = is_repeat(geometry, i) ? 0 : step;
        if (n != 1 && !is_repeat(geometry, i)) {
            core[2 + --k] = n;
            core[2 + kept + k] = geometry[2 + ndim + i];
            step *= n;
        }
    }
    return true;
}

Node *
simplify_view(Simplifier *s, Node *base, const int64_t *geometry)
{
    int64_t buffers[2][GEOMETRY_MAX], core[GEOMETRY_MAX], repeated[GEOMETRY_MAX];
    int flip = 0;
    if (base == NULL) {
        return NULL;
    }
    while (!geometry_is_identity(geometry, base->ndim, base->shape)) {
        const bool written = simplify_is(base, OP_assign) &&
                             base->nparams == geometry_count(geometry) &&
                             memcmp(base->params, geometry,
                                    (size_t)base->nparams * sizeof(int64_t)) == 0;
        if (written && !split_repeats(geometry, core, repeated)) {
            return base->inputs[1];
        }
        if (!simplify_is(base, OP_view) ||
            !geometry_compose(base->params, geometry, buffers[flip])) {
            break;
        }
        geometry = buffers[flip];
        flip = 1 - flip;
        base = base->inputs[0];
    }
    if (geometry_is_identity(geometry, base->ndim, base->shape)) {
        return base;
    }
    if (base->size == 0 || !split_repeats(geometry, core, repeated)) {
        return plain_view(s, base, geometry);
    }
    if (!geometry_is_identity(core, base->ndim, base->shape)) {
        base = plain_view(s, base, core);
    }
    return base == NULL ? NULL : plain_view(s, base, repeated);
}

static bool
is_broadcast(Node *node)
{
    bool any = false;
    if (!simplify_is(node, OP_view) || node->size == 0) {
        return false;
    }
    for (int i = 0; i < node->ndim; i++) {
        any = any || is_repeat(node->params, i);
    }
    return any;
}

uint64_t
simplify_repeats(Node *node)
{
    const bool broadcast = is_broadcast(node);
    uint64_t axes = 0;
    for (int i = 0; i < node->ndim; i++) {
        if (node->shape[i] == 1 || (broadcast && is_repeat(node->params, i))) {
            axes |= UINT64_C(1) << i;
        }
    }
    return axes;
}

Node *
simplify_drop_axes(Simplifier *s, Node *x, uint64_t axes)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t all[GEOMETRY_MAX], g[GEOMETRY_MAX];
    Node *base = x;
    if (is_broadcast(x)) {
        base = x->inputs[0];
        memcpy(all, x->params, (size_t)x->nparams * sizeof(int64_t));
    } else {
        geometry_contiguous(x->ndim, x->shape, all);
    }
    int kept = 0;
    for (int i = 0; i < x->ndim; i++) {
        kept += !(axes >> i & 1);
    }
    g[0] = 0;
    g[1] = kept;
    for (int i = 0, k = 0; i < x->ndim; i++) {
        if (!(axes >> i & 1)) {
            g[2 + k] = all[2 + i];
            g[2 + kept + k++] = all[2 + x->ndim + i];
        }
    }
    return simplify_view(s, base, g);
}

Node *
simplify_put_axes(Simplifier *s, Node *x, uint64_t axes, int ndim, const int64_t *shape)
{
    if (x == NULL) {
        return NULL;
    }
    int64_t g[GEOMETRY_MAX], step = 1;
    g[0] = 0;
    g[1] = ndim;
    for (int i = ndim - 1; i >= 0; i--) {
        const bool put = axes >> i & 1;
        g[2 + i] = shape[i];
        g[2 + ndim + i] = put && shape[i] != 1 ? 0 : step;
        step *= put ? 1 : shape[i];
    }
    return simplify_view(s, x, g);
}

Node *
simplify_broadcast(Simplifier *s, Node *x, int ndim, const int64_t *shape)
{
    if (x == NULL || (x->ndim == ndim && shape_equal(ndim, x->shape, shape))) {
        return x;
    }
    assert(x->ndim == 0);
    return simplify_put_axes(s, x, ~UINT64_C(0), ndim, shape);
}

/* ---- ops ---- */

/* The parts of what repeats lie in memory: to take them again costs less than to store them. */
static bool
takes_part(int op, Node *x)
{
    return (op == OP_real || op == OP_imag) && is_broadcast(x) && x->inputs[0]->size > 1;
}

/* An op all of whose inputs repeat along an axis is computed without it and then repeated.
 * Axes of size 1 are left out as well, so that arrays which differ in them only go together. */
static bool
lower(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params, int nparams,
      const Spec *spec, Node **out)
{
    uint64_t axes = ~UINT64_C(0);
    for (int i = 0; i < nin; i++) {
        axes &= simplify_repeats(in[i]);
    }
    Spec small = {.dtype = spec->dtype, .weak = WEAK_NONE};
    for (int i = 0; i < spec->ndim; i++) {
        if (!(axes >> i & 1)) {
            small.shape[small.ndim++] = spec->shape[i];
        }
    }
    if (small.ndim == spec->ndim || takes_part(op, in[0])) {
        return false;
    }
    Node *less[3];
    for (int i = 0; i < nin; i++) {
        less[i] = simplify_drop_axes(s, in[i], axes);
    }
    *out = simplify_put_axes(s, simplify_op(s, op, less, nin, params, nparams, &small), axes,
                             spec->ndim, spec->shape);
    return true;
}

/* Reductions leave no axes of size 1 behind; a view puts them back. */
static Node *
reduce_without_axes(Simplifier *s, int op, Node *const *in, const int64_t *params, int nparams,
                    const Spec *spec)
{
    int64_t plain[2 + ARRAY_MAX_NDIM], geometry[GEOMETRY_MAX];
    uint64_t axes = 0;
    memcpy(plain, params, (size_t)nparams * sizeof(int64_t));
    plain[0] = 0;
    for (int i = 0; i < params[1]; i++) {
        axes |= UINT64_C(1) << params[2 + i];
    }
    Spec small = {.dtype = spec->dtype, .weak = spec->weak};
    for (int i = 0; i < spec->ndim; i++) {
        if (!(axes >> i & 1)) {
            small.shape[small.ndim++] = spec->shape[i];
        }
    }
    geometry_contiguous(spec->ndim, spec->shape, geometry);
    return simplify_view(s, simplify_op(s, op, in, 1, plain, nparams, &small), geometry);
}

/* A sum of integers that repeats along axes which stay: of what is repeated. (Of real numbers
 * the order of the sum would be another.) */
static bool
sum_of_repeats(Simplifier *s, Node *x, const int64_t *params, int nparams, const Spec *spec,
               Node **out)
{
    const uint64_t repeats = simplify_repeats(x);
    int64_t less[2 + ARRAY_MAX_NDIM];
    uint64_t reduced = 0, put = 0;
    for (int i = 0; i < params[1]; i++) {
        reduced |= UINT64_C(1) << params[2 + i];
    }
    const uint64_t drop = repeats & ~reduced;
    if (!dtype_is_integer(spec->dtype) || (drop & ((UINT64_C(1) << x->ndim) - 1)) == 0) {
        return false;
    }
    less[0] = 0;
    less[1] = params[1];
    for (int i = 0, kept = 0, n = 0, at = 0; i < x->ndim; i++) {
        if (reduced >> i & 1) {
            less[2 + n++] = kept++;
            continue;
        }
        put |= (drop >> i & 1) << at++;
        kept += !(drop >> i & 1);
    }
    Node *sum = simplify_sum(s, simplify_drop_axes(s, x, drop), less, nparams);
    *out = simplify_put_axes(s, sum, put, spec->ndim, spec->shape);
    return true;
}

static Node *
primitive(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params, int nparams,
          const Spec *spec)
{
    Node *out;
    switch (op) {
    case OP_view:
        return simplify_view(s, in[0], params);
    case OP_copy:
    case OP_custom: /* its rule was for the backward pass */
        return in[0];
    case OP_cast:
        if (lower(s, op, in, nin, params, nparams, spec, &out) ||
            simplify_rule(s, op, in, nin, spec, &out)) {
            return out;
        }
        break;
    case OP_sum:
        if (params[0] != 0) {
            return reduce_without_axes(s, op, in, params, nparams, spec);
        }
        if (sum_of_repeats(s, in[0], params, nparams, spec, &out)) {
            return out;
        }
        break;
    case OP_assign:
        if (in[1]->dtype == spec->dtype &&
            geometry_is_identity(params, spec->ndim, spec->shape)) {
            return in[1];
        }
        break;
    default:
        if (op < OP_COUNT && op_info((OpCode)op)->axis_map == AXES_REDUCE && params[0] != 0) {
            return reduce_without_axes(s, op, in, params, nparams, spec);
        }
    }
    return simplify_plain(s, op, in, nin, params, nparams, spec);
}

Node *
simplify_op(Simplifier *s, int op, Node *const *in, int nin, const int64_t *params, int nparams,
            const Spec *spec)
{
    Node *out;
    for (int i = 0; i < nin; i++) {
        if (in[i] == NULL) {
            return NULL;
        }
    }
    if (folds(op, in, nin, spec)) {
        return fold(s, op, in, nin, params, nparams, spec);
    }
    if (!op_is_elementwise((OpCode)op)) {
        return primitive(s, op, in, nin, params, nparams, spec);
    }
    if (lower(s, op, in, nin, params, nparams, spec, &out) ||
        simplify_rule(s, op, in, nin, spec, &out)) {
        return out;
    }
    return simplify_plain(s, op, in, nin, params, nparams, spec);
}

static Node *
elementwise(Simplifier *s, OpCode op, Node **in, int nin)
{
    const Node *like = in[0];
    for (int i = 0; i < nin; i++) {
        if (in[i] == NULL) {
            return NULL;
        }
        like = in[i]->ndim > like->ndim ? in[i] : like;
    }
    for (int i = 0; i < nin; i++) {
        in[i] = simplify_broadcast(s, in[i], like->ndim, like->shape);
    }
    Spec spec;
    node_spec(like, &spec);
    spec.weak = WEAK_NONE;
    spec.dtype = (DType)in[nin - 1]->dtype; /* `where` has its condition first */
    const int64_t params[1] = {spec.dtype};
    return simplify_op(s, op, in, nin, params, 1, &spec);
}

Node *
simplify1(Simplifier *s, OpCode op, Node *x)
{
    return elementwise(s, op, &x, 1);
}

Node *
simplify2(Simplifier *s, OpCode op, Node *x, Node *y)
{
    Node *in[2] = {x, y};
    return elementwise(s, op, in, 2);
}

Node *
simplify3(Simplifier *s, OpCode op, Node *x, Node *y, Node *z)
{
    Node *in[3] = {x, y, z};
    return elementwise(s, op, in, 3);
}

Node *
simplify_sum(Simplifier *s, Node *x, const int64_t *params, int nparams)
{
    Spec in, out;
    if (x == NULL) {
        return NULL;
    }
    node_spec(x, &in);
    if (op_infer(OP_sum, &in, 1, params, nparams, &out) != STATUS_OK) {
        return NULL;
    }
    return simplify_op(s, OP_sum, &x, 1, params, nparams, &out);
}
