/* graph/write.c -- in-place writes: at once in eager mode, recorded in traces.
 *
 * Inside a trace a write binds the storage to an assign node. Memory that others can see
 * (foreign or exported) is written at once as well; all other memory when the trace ends.
 */
#include "base/hooks.h"
#include "graph/evaluate.h"
#include "graph/graph.h"
#include "graph/trace.h"

#include <string.h>

/* Fill a storage with its node's value, for good: the memory becomes concrete. */
Status
binding_carry_out(Binding *b)
{
    Storage *storage = b->storage;
    Trace *trace = b->trace;
    if (evaluate_nodes(&b->node, 1, true) != STATUS_OK) {
        return STATUS_ERROR;
    }
    Array *value = node_value(b->node);
    if (value == NULL) {
        return STATUS_ERROR;
    }
    Status status = STATUS_ERROR;
    if (storage->data != NULL && trace_snapshot_readers(trace, storage) != STATUS_OK) {
        goto done;
    }
    status = storage_fill(storage, value, false);
    if (status == STATUS_OK) {
        b = trace_find(trace, storage);
        if (b->readers == NULL) {
            trace_unbind(b);
        } else {
            Node *node = b->node;
            b->node = NULL;
            node_release(node);
        }
    }
done:
    array_release(value);
    return status;
}

Status
storage_fill(Storage *storage, Array *value, bool may_take)
{
    Storage *from = value->storage;
    if (may_take && storage->data == NULL && from->refcount == 1 && !from->foreign &&
        !from->exported && value->offset == 0 && array_is_contiguous(value) &&
        from->size == storage->size && from->device == storage->device) {
        storage_hand_over(from, storage);
        return STATUS_OK;
    }
    if (storage->data == NULL && storage_materialise(storage) != STATUS_OK) {
        return STATUS_ERROR;
    }
    int64_t strides[ARRAY_MAX_NDIM];
    if (shape_strides(value->ndim, value->shape, dtype_size((DType)value->dtype), strides) < 0) {
        return STATUS_ERROR;
    }
    Array *whole = array_new_view(storage, (DType)value->dtype, value->ndim, value->shape, strides,
                                  0);
    Status status = whole == NULL ? STATUS_ERROR : STATUS_OK;
    if (status == STATUS_OK && value->size > 0) {
        status = execute_assign(whole, value);
        storage->version++;
    }
    array_release(whole);
    return status;
}

/* A replay would not carry out the write. */
static Status
check_outer(const Array *dst)
{
    const Trace *trace = trace_current();
    char line[160];
    if (trace == NULL || !trace->captures || dst->storage->era == trace->serial) {
        return STATUS_OK;
    }
    (void)node_line_now(line, (int)sizeof line);
    return err_set(ERR_TYPE, "jit: the function writes into an array from outside%s%s, which no "
                             "later call would do; return the new elements instead",
                   line[0] != '\0' ? " at " : "", line);
}

static Status
check_write(const Array *dst, const Array *value)
{
    if (!array_is_writable(dst)) {
        return err_set(ERR_VALUE, "assignment destination is read-only");
    }
    if (check_outer(dst) != STATUS_OK) {
        return STATUS_ERROR;
    }
    bool fits = true;
    for (int i = 0; i < value->ndim; i++) {
        const int k = dst->ndim - 1 - i, j = value->ndim - 1 - i;
        fits = fits && (value->shape[j] == 1 || (k >= 0 && value->shape[j] == dst->shape[k]));
    }
    if (!fits) {
        char from[256], to[256];
        return err_set(ERR_VALUE, "could not broadcast input array from shape %s into shape %s",
                       shape_text(value->ndim, value->shape, from, sizeof from),
                       shape_text(dst->ndim, dst->shape, to, sizeof to));
    }
    return STATUS_OK;
}

/* `value` without superfluous leading axes of size 1, which assignment allows. */
static Array *
trim_leading(Array *value, int ndim)
{
    Array *x = array_retain(value);
    while (x->ndim > ndim) {
        Array *less = view_index(x, 0, 0);
        array_release(x);
        if (less == NULL) {
            return NULL;
        }
        x = less;
    }
    return x;
}

/* ---- the tape ---- */

static void
mark_stale(Node *node)
{
    if (node != NULL && node->refcount > 1) {
        node->flags |= NODE_STALE;
        if (node->stale_line == 0) {
            node->stale_line = host_hooks.line_now(&node->stale_instruction);
        }
    }
}

static Status
write_tape(Array *dst, Array *value)
{
    Trace *tape = trace_tape();
    Binding *b = trace_find(tape, dst->storage);
    const bool record = graph_grad_enabled() && dtype_is_inexact((DType)dst->dtype) &&
                        (graph_is_active(value) || (b != NULL && b->node != NULL &&
                                                    node_is_active(b->node)));
    if (record && b != NULL && b->leaf) {
        return err_set(ERR_RUNTIME, "an array that requires grad cannot be written in place; wrap "
                                    "the update in pyarr.no_grad() or write into a copy");
    }
    Status status = STATUS_ERROR;
    const int64_t mark = arena_mark();
    Node *v = NULL, *base = NULL, *node = NULL;
    bool flat = false;
    int64_t geometry[GEOMETRY_MAX];
    if (record) {
        base = arena_keep(trace_base_node(tape, dst, &flat));
        v = build_cast(arena_keep(trace_node(tape, value)), (DType)dst->dtype);
        v = build_broadcast(v, dst->ndim, dst->shape);
        if (base == NULL || v == NULL || trace_geometry(dst, geometry) < 0) {
            goto done;
        }
        node = build_assign(OP_assign, base, v, geometry);
        if (node == NULL) {
            goto done;
        }
    }
    if (execute_assign(dst, value) != STATUS_OK) {
        goto done;
    }
    dst->storage->version++;
    if (b != NULL && b->node != NULL) {
        mark_stale(b->node);
    }
    if (record) {
        status = trace_bind(tape, dst->storage, node, flat);
        if (status == STATUS_OK) {
            node->binding = trace_find(tape, dst->storage);
        }
    } else if (b != NULL && b->leaf) {
        status = tape_renew_leaf(b);
    } else {
        status = STATUS_OK;
    }
done:
    arena_reset(mark);
    return status;
}

/* ---- the trace ---- */

/* Memory that others can see is written now; what still reads its old elements gets a copy. */
static Status
write_now(Trace *trace, Array *dst, Array *value)
{
    Array *now = graph_evaluate(value);
    if (now == NULL) {
        return STATUS_ERROR;
    }
    Status status = trace_snapshot_readers(trace, dst->storage);
    if (status == STATUS_OK) {
        status = execute_assign(dst, now);
        dst->storage->version++;
    }
    array_release(now);
    return status;
}

static Status
write_trace(Trace *trace, Array *dst, Array *value)
{
    Storage *storage = dst->storage;
    const bool visible = storage->data != NULL && (storage->foreign || storage->exported);
    const Binding *b = trace_find(trace, storage);
    const bool bound = (b != NULL && b->node != NULL);
    const Binding *outer = trace_find(trace_tape(), storage);
    if (outer != NULL && outer->leaf && graph_grad_enabled()) {
        return err_set(ERR_RUNTIME, "an array that requires grad cannot be written in place; write "
                                    "into a copy");
    }
    if (visible && !bound && outer == NULL && !graph_is_active(value)) {
        return write_now(trace, dst, value);
    }
    Status status = STATUS_ERROR;
    bool flat;
    int64_t geometry[GEOMETRY_MAX];
    const int64_t mark = arena_mark();
    Node *base = arena_keep(trace_base_node(trace, dst, &flat));
    Node *v = build_cast(arena_keep(trace_node(trace, value)), (DType)dst->dtype);
    v = build_broadcast(v, dst->ndim, dst->shape);
    if (base == NULL || v == NULL || trace_geometry(dst, geometry) < 0) {
        goto done;
    }
    Node *node = geometry_is_identity(geometry, base->ndim, base->shape)
                     ? build_copy(v, false)
                     : build_assign(OP_assign, base, v, geometry);
    if (node == NULL || (visible && write_now(trace, dst, value) != STATUS_OK)) {
        goto done;
    }
    status = trace_bind(trace, storage, node, flat);
    if (status == STATUS_OK) {
        trace_find(trace, storage)->carried_out = visible;
        storage->version += storage_is_virtual(storage) ? 1 : 0;
    }
done:
    arena_reset(mark);
    return status;
}

Status
graph_write(Array *dst, Array *value)
{
    if (check_write(dst, value) != STATUS_OK) {
        return STATUS_ERROR;
    }
    Array *v = trim_leading(value, dst->ndim);
    if (v == NULL) {
        return STATUS_ERROR;
    }
    Trace *trace = trace_current();
    Status status;
    if (trace != NULL) {
        status = write_trace(trace, dst, v);
    } else if (storage_is_virtual(dst->storage) || storage_is_virtual(v->storage)) {
        status = err_set(ERR_RUNTIME, "this array belongs to a trace that is not open here");
    } else if (storage_is_bound(dst->storage) || storage_is_bound(v->storage)) {
        status = write_tape(dst, v);
    } else {
        status = execute_assign(dst, v);
        dst->storage->version++;
    }
    array_release(v);
    return status;
}

/* ---- indexed writes ---- */

/* `value` cast and broadcast to what scatter expects: shape[:axis] + index + shape[axis + k:]. */
static Array *
scatter_value(const Array *dst, int axis, int k, const Array *index, Array *value)
{
    int64_t shape[ARRAY_MAX_NDIM];
    int ndim = 0;
    if (dst->ndim - k + index->ndim > ARRAY_MAX_NDIM) {
        return err_null(ERR_INDEX, "number of dimensions must be within [0, %d]", ARRAY_MAX_NDIM);
    }
    for (int i = 0; i < axis; i++) {
        shape[ndim++] = dst->shape[i];
    }
    for (int i = 0; i < index->ndim; i++) {
        shape[ndim++] = index->shape[i];
    }
    for (int i = axis + k; i < dst->ndim; i++) {
        shape[ndim++] = dst->shape[i];
    }
    Array *x = trim_leading(value, ndim);
    Array *cast = x == NULL ? NULL : graph_cast(x, (DType)dst->dtype, false);
    Array *out = NULL;
    if (cast != NULL) {
        char from[256], to[256];
        out = view_broadcast(cast, ndim, shape);
        if (out == NULL && err_kind() != ERR_MEMORY) {
            err_set(ERR_VALUE,
                    "shape mismatch: value array of shape %s could not be broadcast to indexing "
                    "result of shape %s",
                    shape_text(value->ndim, value->shape, from, sizeof from),
                    shape_text(ndim, shape, to, sizeof to));
        }
    }
    array_release(x);
    array_release(cast);
    return out;
}

static bool
covers_storage(const Array *a)
{
    return a->offset == 0 && array_is_contiguous(a) &&
           array_bytes(a) == (int64_t)a->storage->size;
}

Status
graph_write_indexed(Array *dst, int axis, Array *const *index, int k, Array *value,
                    bool accumulate)
{
    if (!array_is_writable(dst)) {
        return err_set(ERR_VALUE, "assignment destination is read-only");
    }
    if (check_outer(dst) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const OpCode op = accumulate ? OP_scatter_add : OP_scatter;
    Array *v = scatter_value(dst, axis, k, index[0], value);
    if (v == NULL) {
        return STATUS_ERROR;
    }
    Array *in[2 + ARRAY_MAX_NDIM] = {dst, v};
    memcpy(in + 2, index, (size_t)k * sizeof(Array *));
    const int64_t params[1] = {axis};
    Status status = STATUS_ERROR;
    const bool plain = trace_current() == NULL && !storage_is_bound(dst->storage) &&
                       !storage_is_bound(v->storage) && !storage_is_virtual(dst->storage);
    bool overlaps = array_may_overlap(dst, v);
    for (int i = 0; i < k; i++) {
        overlaps = overlaps || array_may_overlap(dst, index[i]);
    }
    if (plain && array_is_contiguous(dst) && !overlaps) {
        status = execute_in_place(op, dst, in + 1, 1 + k, params, 1);
        dst->storage->version++;
    } else {
        Array *written = graph_apply(op, in, 2 + k, params, 1);
        Trace *trace = trace_current();
        if (written != NULL && trace != NULL && covers_storage(dst) &&
            !(dst->storage->foreign || dst->storage->exported)) {
            /* The scatter's result stands for the whole storage: n writes stay O(n). */
            Node *node = trace_find(trace, written->storage)->node;
            status = trace_bind(trace, dst->storage, node, false);
        } else if (written != NULL) {
            status = graph_write(dst, written);
        }
        array_release(written);
    }
    array_release(v);
    return status;
}
