/* graph/apply.c -- the one entrance of every op: eager, onto the tape, or onto the trace. */
#include "backend/backend.h"
#include "base/hooks.h"
#include "base/profile.h"
#include "graph/evaluate.h"
#include "graph/graph.h"
#include "graph/trace.h"

#include <math.h>
#include <string.h>

/* A trace of this many nodes evaluates what nothing differentiates, and goes on. */
enum { TRACE_NODE_LIMIT = 1000000 };

static _Thread_local bool grad_disabled;
static _Thread_local int64_t export_refusals;

bool
graph_grad_enabled(void)
{
    return !grad_disabled;
}

void
graph_set_grad_enabled(bool on)
{
    grad_disabled = !on;
}

bool
graph_is_tracing(void)
{
    return trace_current() != NULL;
}

static bool
any_bound(Array *const *in, int nin)
{
    for (int i = 0; i < nin; i++) {
        if (storage_is_bound(in[i]->storage) || storage_is_virtual(in[i]->storage)) {
            return true;
        }
    }
    return false;
}

static Node *
build_any(OpCode op, Node *const *nodes, int nin, const int64_t *params, int nparams, DType forced)
{
    return op_is_elementwise(op) ? build_elementwise(op, nodes, nin, forced)
                                 : build_primitive(op, nodes, nin, params, nparams);
}

/* Exponents that are small whole numbers of Python are written, as in x ** 6, so they are structure:
 * such a power is a few products. */
static void
note_exponent(OpCode op, Array *const *in, Node *const *nodes)
{
    double x = 0;
    int64_t i;
    if ((op != OP_power && op != OP_float_power) || nodes[1]->op != OP_constant ||
        (nodes[1]->flags & NODE_GIVEN) || storage_is_virtual(in[1]->storage)) {
        return;
    }
    if (in[1]->weak == WEAK_INT && in[1]->dtype == DT_i64 && in[1]->size == 1) {
        memcpy(&i, array_data(in[1]), sizeof i);
        x = (double)i;
    } else if (in[1]->weak == WEAK_FLOAT && in[1]->dtype == DT_f64 && in[1]->size == 1) {
        memcpy(&x, array_data(in[1]), sizeof x);
    }
    if (x == floor(x) && x != 0 && fabs(x) <= NODE_MOST_EXPONENT) {
        nodes[1]->flags |= NODE_LITERAL;
    }
}

/* The inputs as nodes of the arena. */
static Status
nodes_of(Trace *trace, Array *const *in, int nin, Node **nodes)
{
    for (int i = 0; i < nin; i++) {
        nodes[i] = arena_keep(trace_node(trace, in[i]));
        if (nodes[i] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Array *
execute(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams, DType forced)
{
    return op_is_elementwise(op) ? execute_elementwise(op, in, nin, forced)
                                 : execute_primitive(op, in, nin, params, nparams);
}

/* ---- the tape ---- */

static Array *
apply_tape(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams, DType forced)
{
    for (int i = 0; i < nin; i++) {
        if (storage_is_virtual(in[i]->storage)) {
            return err_null(ERR_RUNTIME,
                            "this array is recorded by a trace of another thread, or by one that "
                            "ended in an error; use it where it was made");
        }
    }
    Array *out = execute(op, in, nin, params, nparams, forced);
    if (out == NULL || grad_disabled || !dtype_is_inexact((DType)out->dtype)) {
        return out;
    }
    const int64_t mark = arena_mark();
    Node *nodes[CALL_MAX_INPUTS];
    Node *node = NULL;
    Status status = nodes_of(trace_tape(), in, nin, nodes);
    if (status == STATUS_OK) {
        note_exponent(op, in, nodes);
    }
    bool active = false;
    for (int i = 0; status == STATUS_OK && i < nin; i++) {
        active = active || node_is_active(nodes[i]);
    }
    if (active) {
        node = build_any(op, nodes, nin, params, nparams, forced);
        status = node == NULL ? STATUS_ERROR : STATUS_OK;
    }
    if (node != NULL && node_is_active(node)) {
        status = trace_bind(trace_tape(), out->storage, node, false);
        if (status == STATUS_OK && node->binding == NULL && node->value == NULL) {
            node->binding = trace_find(trace_tape(), out->storage);
        }
    }
    arena_reset(mark);
    if (status != STATUS_OK) {
        array_release(out);
        return NULL;
    }
    return out;
}

/* ---- the trace ---- */

/* Will the node have other values when the plan of this capture is run? */
static bool
is_unknown(const Trace *trace, const Node *node)
{
    return trace != NULL && trace->captures && (node->flags & NODE_GIVEN);
}

/* Evaluate what no derivative needs, so that its inputs can go. */
static Status
trace_relieve(Trace *trace)
{
    Status status = STATUS_OK;
    trace->recorded = 0;
    for (Binding *b = trace->bindings; b != NULL && status == STATUS_OK; b = b->next) {
        if (b->node != NULL && !node_is_active(b->node) && !is_unknown(trace, b->node)) {
            status = evaluate_nodes(&b->node, 1, true);
        }
    }
    return status;
}

static Device *
device_of(Array *const *in, int nin)
{
    for (int i = 0; i < nin; i++) {
        if (in[i]->storage->device != device_cpu()) {
            return in[i]->storage->device;
        }
    }
    return nin > 0 ? device_cpu() : device_default();
}

/* Indices out of range are told at the call, without running the op yet. */
static Status
check_indices(Device *device, OpCode op, Node *const *nodes, int nin, const int64_t *params)
{
    const int first = op_first_index(op);
    const int64_t strides[ARRAY_MAX_NDIM] = {0};
    Array *values[CALL_MAX_INPUTS];
    Status status = evaluate_nodes(nodes + first, nin - first, true);
    Call call = {.op = op, .nin = nin, .params = params};
    int n = 0;
    for (int i = 0; i < first; i++) {
        call.in[i] = (Operand){.dtype = (DType)nodes[i]->dtype,
                               .ndim = nodes[i]->ndim,
                               .shape = nodes[i]->shape,
                               .strides = strides};
    }
    for (; status == STATUS_OK && n < nin - first; n++) {
        values[n] = node_value(nodes[first + n]);
        if (values[n] == NULL) {
            status = STATUS_ERROR;
            break;
        }
        call.in[first + n] = execute_operand(values[n]);
    }
    if (status == STATUS_OK) {
        status = device->check_indices(device, &call);
    }
    arrays_release(values, n);
    return status;
}

/* Errors that depend on values are raised where the user wrote the call. */
static Status
raise_now(Device *device, OpCode op, Node *node, Node *const *nodes, int nin,
          const int64_t *params)
{
    if (op_first_index(op) > 0 && device->check_indices != NULL) {
        return check_indices(device, op, nodes, nin, params);
    }
    return evaluate_nodes(&node, 1, true);
}

static Array *
apply_trace(Trace *trace, OpCode op, Array *const *in, int nin, const int64_t *params, int nparams,
            DType forced)
{
    Node *nodes[CALL_MAX_INPUTS];
    Array *out = NULL;
    int n = 0;
    const int64_t mark = arena_mark();
    for (; n < nin; n++) {
        nodes[n] = trace_node(trace, in[n]);
        if (nodes[n] == NULL) {
            goto done;
        }
    }
    note_exponent(op, in, nodes);
    Node *node = build_any(op, nodes, nin, params, nparams, forced);
    if (node == NULL) {
        goto done;
    }
    Device *device = device_of(in, nin);
    if (!op_is_elementwise(op) && (op_info(op)->flags & FLAG_MAY_FAIL) &&
        !is_unknown(trace, node) && raise_now(device, op, node, nodes, nin, params) != STATUS_OK) {
        goto done;
    }
    if ((trace->pinned > trace_pin_limit || trace->recorded > TRACE_NODE_LIMIT) &&
        trace_relieve(trace) != STATUS_OK) {
        goto done;
    }
    out = trace_new_array(trace, node, device);
done:
    for (int i = 0; i < n; i++) {
        node_release(nodes[i]);
    }
    arena_reset(mark);
    return out;
}

/* How many elements there are decides the shape, so this looks at the values. */
static Array *
apply_nonzero(Array *x)
{
    const int64_t to_bool[1] = {DT_bool};
    int64_t sum[2 + ARRAY_MAX_NDIM] = {0, x->ndim}, found = 0;
    Array *values = graph_evaluate(x), *flags = NULL, *count = NULL, *out = NULL;
    if (values == NULL) {
        return NULL;
    }
    flags = values->dtype == DT_bool ? array_retain(values)
                                     : execute_primitive(OP_cast, &values, 1, to_bool, 1);
    for (int i = 0; i < x->ndim; i++) {
        sum[2 + i] = i;
    }
    count = flags == NULL ? NULL : execute_primitive(OP_sum, &flags, 1, sum, 2 + x->ndim);
    if (count != NULL) {
        Device *device = count->storage->device;
        const Status status = device->to_host(device, &found, array_data(count), sizeof found);
        out = status == STATUS_OK ? execute_primitive(OP_nonzero, &flags, 1, &found, 1) : NULL;
    }
    array_release(count);
    array_release(flags);
    array_release(values);
    return out;
}

static Array *
apply_eager(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams, DType forced)
{
    return op_is_elementwise(op) ? execute_elementwise_in_order(op, in, nin, forced)
                                 : execute(op, in, nin, params, nparams, forced);
}

static Array *
apply_profiled(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams,
               DType forced)
{
    const int64_t begin = profile_now();
    Array *out = apply_eager(op, in, nin, params, nparams, forced);
    int64_t bytes = out == NULL ? 0 : array_bytes(out);
    for (int i = 0; i < nin; i++) {
        bytes += array_bytes(in[i]);
    }
    const bool counts = out != NULL && op_is_elementwise(op);
    profile_add(PROFILE_EAGER, op_info(op)->name, begin, bytes, counts ? out->size : 0);
    return out;
}

static Array *
apply(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams, DType forced)
{
    Trace *trace = trace_current();
    if (trace != NULL && op_is_elementwise(op)) {
        return apply_trace(trace, op, in, nin, params, nparams, forced);
    }
    if (op == OP_nonzero && nparams == 0) {
        return apply_nonzero(in[0]);
    }
    if (trace == NULL && !any_bound(in, nin)) {
        return profile_on ? apply_profiled(op, in, nin, params, nparams, forced)
                          : apply_eager(op, in, nin, params, nparams, forced);
    }
    if (nin > CALL_MAX_INPUTS) {
        return err_null(ERR_VALUE, "%s: at most %d inputs, got %d", op_info(op)->name,
                        CALL_MAX_INPUTS, nin);
    }
    if (trace == NULL) {
        return apply_tape(op, in, nin, params, nparams, forced);
    }
    return apply_trace(trace, op, in, nin, params, nparams, forced);
}

Array *
graph_apply(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams)
{
    return apply(op, in, nin, params, nparams, DTYPE_COUNT);
}

Array *
graph_apply_elementwise(OpCode op, Array *const *in, int nin, DType forced)
{
    return apply(op, in, nin, NULL, 0, forced);
}

Status
graph_elementwise_into(OpCode op, Array *const *in, int nin, Array *out, bool *done)
{
    *done = false;
    if (trace_current() != NULL || any_bound(in, nin) || any_bound(&out, 1) ||
        !array_is_writable(out)) {
        return STATUS_OK;
    }
    return execute_elementwise_into(op, in, nin, out, done);
}

/* ---- common calls ---- */

Array *
graph_cast(Array *x, DType dtype, bool force)
{
    if ((DType)x->dtype == dtype && !force) {
        return array_retain(x);
    }
    if ((DType)x->dtype == dtype) {
        return graph_copy(x);
    }
    const int64_t params[1] = {dtype};
    return graph_apply(OP_cast, &x, 1, params, 1);
}

Array *
graph_copy(Array *x)
{
    return graph_apply(OP_copy, &x, 1, NULL, 0);
}

Array *
graph_value(Array *x)
{
    Trace *trace = trace_current();
    if (trace == NULL || trace_find_node(trace, x->storage) == NULL) {
        return graph_copy(x);
    }
    Node *node = trace_node(trace, x);
    Array *out = node == NULL ? NULL : trace_new_array(trace, node, x->storage->device);
    node_release(node);
    return out;
}

Array *
graph_copy_in_order(Array *x, DType dtype)
{
    int order[ARRAY_MAX_NDIM], back[ARRAY_MAX_NDIM];
    const DType wanted = dtype == DTYPE_COUNT ? (DType)x->dtype : dtype;
    if (!execute_axis_order(&x, 1, order)) {
        return graph_cast(x, wanted, true);
    }
    for (int k = 0; k < x->ndim; k++) {
        back[order[k]] = k;
    }
    Array *turned = view_transpose(x, order);
    Array *copy = turned == NULL ? NULL : graph_cast(turned, wanted, true);
    Array *result = copy == NULL ? NULL : view_transpose(copy, back);
    array_release(turned);
    array_release(copy);
    return result;
}

Array *
graph_reshape(Array *x, int ndim, const int64_t *shape)
{
    err_clear();
    Array *view = view_reshape(x, ndim, shape);
    if (view != NULL || err_kind() != ERR_NONE) {
        return view;
    }
    Array *copy = graph_copy(x);
    view = copy == NULL ? NULL : view_reshape(copy, ndim, shape);
    array_release(copy);
    return view;
}

Array *
graph_reduce(OpCode op, Array *x, int naxes, const int *axes, bool keepdims)
{
    int64_t params[2 + ARRAY_MAX_NDIM];
    params[0] = keepdims;
    params[1] = naxes < 0 ? x->ndim : naxes;
    for (int i = 0; i < params[1]; i++) {
        params[2 + i] = naxes < 0 ? i : axes[i];
    }
    return graph_apply(op, &x, 1, params, 2 + (int)params[1]);
}

/* ---- looking ---- */

static Node *
bound_to(const Array *x)
{
    const Binding *b = trace_find_node(trace_current(), x->storage);
    return b == NULL ? NULL : b->node;
}

bool
graph_is_recorded(const Array *x)
{
    return storage_is_bound(x->storage) && bound_to(x) != NULL;
}

bool
graph_is_active(const Array *x)
{
    const Node *node = storage_is_bound(x->storage) ? bound_to(x) : NULL;
    const Trace *trace = trace_current();
    const uint64_t open = TAPE_MASK | (trace != NULL ? trace->open_bits : 0);
    return node != NULL && ((node->mask & open) != 0 || is_unknown(trace, node)) &&
           dtype_is_inexact((DType)x->dtype);
}

Array *
graph_evaluate(Array *x)
{
    Trace *trace = trace_current();
    const Binding *b = trace != NULL ? trace_find(trace, x->storage) : NULL;
    if (b == NULL || b->node == NULL) {
        if (storage_is_virtual(x->storage)) {
            return err_null(ERR_RUNTIME,
                            "this array is recorded by a trace of another thread, or by one that "
                            "ended in an error; it has no value here");
        }
        return array_retain(x);
    }
    Node *node = trace_node(trace, x);
    if (node == NULL) {
        return NULL;
    }
    Array *value =
        evaluate_nodes(&node, 1, true) == STATUS_OK ? node_value(node) : NULL;
    node_release(node);
    return value;
}

Array *
graph_share_memory(Array *x)
{
    Storage *alias =
        storage_wrap(x->storage->device, x->storage->data, x->storage->size, x->storage->readonly,
                     storage_retain(x->storage), (void (*)(void *))storage_release);
    if (alias == NULL) {
        return NULL;
    }
    Array *out = array_new_view(alias, (DType)x->dtype, x->ndim, x->shape, x->strides, x->offset);
    if (out != NULL) {
        out->readonly = x->readonly;
        out->is_scalar = x->is_scalar;
    }
    storage_release(alias);
    return out;
}

Array *
graph_detach(Array *x)
{
    Trace *trace = trace_current();
    if (!graph_is_recorded(x)) {
        return array_retain(x);
    }
    if (trace == NULL) {
        return graph_share_memory(x);
    }
    const int64_t mark = arena_mark();
    Node *node = build_copy(arena_keep(trace_node(trace, x)), true);
    Array *out = node == NULL ? NULL : trace_new_array(trace, node, x->storage->device);
    if (out != NULL) {
        out->is_scalar = x->is_scalar;
    }
    arena_reset(mark);
    return out;
}

int64_t
graph_export_refusals(void)
{
    return export_refusals;
}

void
graph_set_pin_limit(int64_t bytes)
{
    trace_pin_limit = bytes;
}

Array *
graph_export(Array *x, const char *what)
{
    const Node *node = storage_is_bound(x->storage) ? bound_to(x) : NULL;
    if (node != NULL && is_unknown(trace_current(), node)) {
        export_refusals++;
        (void)node_refuse_look(node, what);
        return NULL;
    }
    if (graph_is_active(x)) {
        export_refusals++;
        return err_null(ERR_TYPE,
                        "%s would lose the derivative of an array that depends on a differentiated "
                        "argument; use pyarr functions on it, or pyarr.detach(x) if the derivative "
                        "is not wanted",
                        what);
    }
    Trace *trace = trace_current();
    Binding *b = trace != NULL ? trace_find(trace, x->storage) : NULL;
    if (b != NULL && b->node != NULL && binding_carry_out(b) != STATUS_OK) {
        return NULL;
    }
    if (storage_is_virtual(x->storage)) {
        return err_null(ERR_RUNTIME, "%s: this array has no value outside the trace that made it",
                        what);
    }
    x->storage->exported = true;
    return array_retain(x);
}
