/* graph/tape.c -- PyTorch's spelling: requires_grad, backward, grad. The same nodes as in
 * traces, with values that eager mode has computed already. */
#include "base/mem.h"
#include "base/vec.h"
#include "graph/evaluate.h"
#include "graph/graph.h"
#include "graph/pullback.h"
#include "graph/trace.h"

#include <string.h>

/* The leaf node: 1-d over the storage, its value is the memory itself. */
static Node *
leaf_node(const Storage *storage, DType dtype)
{
    Spec spec = {.dtype = dtype, .weak = WEAK_NONE, .ndim = 1};
    spec.shape[0] = (int64_t)storage->size / dtype_size(dtype);
    Node *node = node_new(OP_argument, NULL, 0, NULL, 0, &spec);
    if (node != NULL) {
        node->mask = TAPE_MASK;
    }
    return node;
}

static Status
bind_leaf(Storage *storage, DType dtype)
{
    Node *node = leaf_node(storage, dtype);
    if (node == NULL) {
        return STATUS_ERROR;
    }
    const Status status = trace_bind(trace_tape(), storage, node, true);
    if (status == STATUS_OK) {
        Binding *b = trace_find(trace_tape(), storage);
        b->leaf = true;
        node->binding = b;
    }
    node_release(node);
    return status;
}

Status
tape_renew_leaf(Binding *b)
{
    return bind_leaf(b->storage, (DType)b->node->dtype);
}

Status
tape_require_grad(Array *x, bool on)
{
    Binding *b = trace_find(trace_tape(), x->storage);
    if (!on) {
        if (b != NULL && !b->leaf && b->node != NULL) {
            return err_set(ERR_RUNTIME, "only leaves can stop requiring grad; use detach()");
        }
        if (b != NULL) {
            trace_unbind(b);
        }
        return STATUS_OK;
    }
    if (!dtype_is_inexact((DType)x->dtype)) {
        return err_set(ERR_RUNTIME, "only floating-point and complex arrays can require grad, got "
                                    "%s",
                       dtype_info((DType)x->dtype)->name);
    }
    if (storage_is_virtual(x->storage) || trace_current() != NULL) {
        return err_set(ERR_RUNTIME, "requires_grad_ cannot be used while a function is traced; "
                                    "differentiate with pyarr.grad instead");
    }
    if (b != NULL && b->node != NULL) {
        return STATUS_OK;
    }
    int64_t geometry[GEOMETRY_MAX];
    if (trace_geometry(x, geometry) < 0) {
        return STATUS_ERROR;
    }
    return bind_leaf(x->storage, (DType)x->dtype);
}

bool
tape_requires_grad(const Array *x)
{
    const Binding *b = trace_find(trace_tape(), x->storage);
    return b != NULL && b->node != NULL && node_is_active(b->node) &&
           dtype_is_inexact((DType)x->dtype);
}

bool
tape_is_leaf(const Array *x)
{
    const Binding *b = trace_find(trace_tape(), x->storage);
    return b == NULL || b->node == NULL || b->leaf;
}

/* x's part of an array that lies like the storage of x (x may be a real or imaginary part). */
static Array *
part_like(Array *whole, const Array *x)
{
    return array_new_view(whole->storage, (DType)x->dtype, x->ndim, x->shape, x->strides,
                          whole->offset + x->offset);
}

Array *
tape_get_grad(const Array *leaf)
{
    const Binding *b = trace_find(trace_tape(), leaf->storage);
    return b == NULL || b->grad == NULL ? NULL : part_like(b->grad, leaf);
}

Status
tape_set_grad(Array *leaf, Array *grad)
{
    Binding *b = trace_find(trace_tape(), leaf->storage);
    if (b == NULL || !b->leaf) {
        return grad == NULL ? STATUS_OK
                            : err_set(ERR_RUNTIME, "only an array that requires grad has a grad");
    }
    if (grad == NULL) {
        array_release(b->grad);
        b->grad = NULL;
        return STATUS_OK;
    }
    Array *whole = b->grad != NULL ? array_retain(b->grad)
                                   : array_new_zeroed(leaf->storage->device, (DType)leaf->dtype, 1,
                                                      b->node->shape);
    Array *part = whole == NULL ? NULL : part_like(whole, leaf);
    Status status = part == NULL ? STATUS_ERROR : graph_write(part, grad);
    if (status == STATUS_OK && b->grad == NULL) {
        b->grad = array_retain(whole);
    }
    array_release(part);
    array_release(whole);
    return status;
}

/* The leaves that a node depends on. */
typedef VEC(Node *) NodeVec;

static Status
collect_leaves(Node *out, NodeVec *leaves)
{
    NodeVec seen = {0};
    Status status = vec_push(&seen, out);
    out->mark = 1;
    for (int64_t at = 0; status == STATUS_OK && at < seen.size; at++) {
        Node *node = seen.data[at];
        if (node->op == OP_argument) {
            status = vec_push(leaves, node);
        }
        for (int i = 0; i < node->nin && status == STATUS_OK; i++) {
            Node *input = node->inputs[i];
            if ((input->mask & TAPE_MASK) && input->mark == 0) {
                status = vec_push(&seen, input);
                input->mark = status == STATUS_OK;
            }
        }
    }
    for (int64_t i = 0; i < seen.size; i++) {
        seen.data[i]->mark = 0;
    }
    vec_fini(&seen);
    return status;
}

/* A node's value as an array; with create_graph it stays on the tape. */
static Array *
array_of_node(Node *node, bool create_graph)
{
    if (evaluate_nodes(&node, 1, false) != STATUS_OK) {
        return NULL;
    }
    Array *value = node_value(node);
    Array *out = value == NULL ? NULL : execute_copy(value);
    array_release(value);
    if (out != NULL && create_graph && node_is_active(node) &&
        trace_bind(trace_tape(), out->storage, node, false) != STATUS_OK) {
        array_release(out);
        return NULL;
    }
    return out;
}

static Node *
seed_node(Trace *trace, const Node *out, Array *cotangent)
{
    if (cotangent == NULL) {
        if (out->size != 1) {
            return err_null(ERR_RUNTIME, "grad can be created implicitly only for scalar results; "
                                         "give the gradient of an array result");
        }
        return build_full(1.0, (DType)out->dtype, out->ndim, out->shape);
    }
    return build_conjugate(pullback_seed(trace, cotangent, out));
}

/* Add to the grad of a leaf. Other threads may add to it, or drop it, while a kernel runs. */
static Status
accumulate(const Node *leaf, Node *g, bool create_graph)
{
    Array *more = g == NULL ? NULL : array_of_node(g, create_graph);
    Array *sum = more;
    while (sum != NULL) {
        Array *old = leaf->binding == NULL ? NULL : leaf->binding->grad;
        if (old == NULL) {
            break;
        }
        array_retain(old);
        sum = graph_apply2(OP_add, old, more);
        const bool unchanged = leaf->binding != NULL && leaf->binding->grad == old;
        array_release(old);
        if (sum == NULL || unchanged) {
            break;
        }
        array_release(sum);
        sum = more;
    }
    if (sum != NULL && leaf->binding != NULL) {
        array_release(leaf->binding->grad);
        leaf->binding->grad = array_retain(sum);
    }
    const Status status = sum == NULL ? STATUS_ERROR : STATUS_OK;
    array_release(sum != more ? sum : NULL);
    array_release(more);
    return status;
}

/* The gradients as users see them, computed in one go, since they share most of their work. */
static Status
evaluate_together(Node **grads, int64_t count)
{
    NodeVec found = {0};
    Status status = STATUS_OK;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        if (grads[i] != NULL) {
            grads[i] = build_conjugate(grads[i]);
            status = grads[i] == NULL ? STATUS_ERROR : vec_push(&found, grads[i]);
        }
    }
    if (status == STATUS_OK && found.size > 0) {
        status = evaluate_nodes(found.data, found.size, false);
    }
    vec_fini(&found);
    return status;
}

Status
tape_backward(Array *y, Array *cotangent, bool create_graph)
{
    if (trace_current() != NULL) {
        return err_set(ERR_RUNTIME, "backward() cannot be used while a function is traced");
    }
    if (!tape_requires_grad(y)) {
        return err_set(ERR_RUNTIME, "this array does not depend on anything that requires grad");
    }
    NodeVec leaves = {0};
    Node **grads = NULL;
    Status status = STATUS_ERROR;
    const int64_t mark = arena_mark();
    Node *out = arena_keep(trace_node(trace_tape(), y));
    Node *seed = out == NULL ? NULL : seed_node(trace_tape(), out, cotangent);
    if (seed == NULL || collect_leaves(out, &leaves) != STATUS_OK) {
        goto done;
    }
    grads = mem_new_zeroed((size_t)leaves.size * sizeof(Node *));
    if (grads == NULL ||
        pullback(TAPE_MASK, 1, &out, &seed, leaves.size, leaves.data, grads) != STATUS_OK) {
        goto done;
    }
    status = evaluate_together(grads, leaves.size);
    for (int64_t i = 0; i < leaves.size && status == STATUS_OK; i++) {
        if (leaves.data[i]->binding != NULL && grads[i] != NULL) {
            status = accumulate(leaves.data[i], grads[i], create_graph);
        }
    }
done:
    mem_free(grads, (size_t)leaves.size * sizeof(Node *));
    vec_fini(&leaves);
    arena_reset(mark);
    return status;
}

Status
tape_grad(int nout, Array *const *outs, Array *const *cotangents, int narg, Array *const *args,
          bool create_graph, Array **grads)
{
    const size_t bytes = (size_t)(2 * nout + 2 * narg) * sizeof(Node *);
    Node **out = mem_new_zeroed(bytes);
    if (out == NULL) {
        return STATUS_ERROR;
    }
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    Node **seed = out + nout, **base = seed + nout, **found = base + narg;
    Status status = STATUS_ERROR;
    const int64_t mark = arena_mark();
    for (int i = 0; i < nout; i++) {
        out[i] = arena_keep(trace_node(trace_tape(), outs[i]));
        seed[i] = out[i] == NULL ? NULL : seed_node(trace, out[i], cotangents[i]);
        if (seed[i] == NULL) {
            goto done;
        }
    }
    for (int i = 0; i < narg; i++) {
        const Binding *b = trace_find(trace_tape(), args[i]->storage);
        grads[i] = NULL;
        if (b == NULL || b->node == NULL) {
            err_set(ERR_RUNTIME, "argument %d does not require grad", i);
            goto done;
        }
        base[i] = b->node;
    }
    if (pullback(TAPE_MASK, nout, out, seed, narg, base, found) != STATUS_OK ||
        (trace->is_tape && evaluate_together(found, narg) != STATUS_OK)) {
        goto done;
    }
    for (int i = 0; i < narg; i++) {
        if (found[i] == NULL) {
            continue;
        }
        Node *g = trace->is_tape ? found[i] : build_conjugate(found[i]);
        Array *whole = g == NULL        ? NULL
                       : trace->is_tape ? array_of_node(g, create_graph)
                                        : trace_new_array(trace, g, args[i]->storage->device);
        if (whole == NULL) {
            goto done;
        }
        const Binding *b = trace_find(trace_tape(), args[i]->storage);
        grads[i] = b->flat ? part_like(whole, args[i]) : array_retain(whole);
        array_release(whole);
        if (grads[i] == NULL) {
            goto done;
        }
    }
    status = STATUS_OK;
done:
    arena_reset(mark);
    mem_free(out, bytes);
    return status;
}

Array *
graph_custom(Array *out, Array *const *args, int narg, uintptr_t rule)
{
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    Node *in[CALL_MAX_INPUTS];
    Array *result = NULL;
    const int64_t mark = arena_mark();
    if (narg + 1 > CALL_MAX_INPUTS) {
        err_set(ERR_VALUE, "custom_vjp: at most %d arrays, got %d", CALL_MAX_INPUTS - 1, narg);
        goto done;
    }
    in[0] = build_copy(arena_keep(trace_node(trace, out)), true);
    for (int i = 0; i < narg; i++) {
        in[1 + i] = arena_keep(trace_node(trace, args[i]));
        if (in[1 + i] == NULL) {
            in[0] = NULL;
        }
    }
    if (in[0] == NULL) {
        goto done;
    }
    Spec spec;
    node_spec(in[0], &spec);
    const int64_t params[1] = {(int64_t)rule};
    Node *node = arena_keep(node_new(OP_custom, in, narg + 1, params, 1, &spec));
    if (node == NULL) {
        goto done;
    }
    rule = 0; /* the node owns it now */
    if (!trace->is_tape) {
        result = trace_new_array(trace, node, out->storage->device);
    } else {
        result = execute_copy(out);
        if (result != NULL && node_is_active(node)) {
            if (trace_bind(trace, result->storage, node, false) == STATUS_OK) {
                node->binding = trace_find(trace, result->storage);
            } else {
                array_release(result);
                result = NULL;
            }
        }
    }
done:
    arena_reset(mark);
    if (rule != 0) {
        host_hooks.rule_release(rule);
    }
    return result;
}
