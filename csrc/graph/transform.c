/* graph/transform.c -- opening and closing traces: arguments, pullbacks, results.
 *
 * The outermost transform opens the trace; inner ones append nodes to it. Each has a bit of the
 * node masks. Its arguments are fresh nodes carrying the bit, so that arrays which mean the
 * same number in two transforms are never confused.
 */
#include "base/mem.h"
#include "base/poll.h"
#include "base/vec.h"
#include "graph/evaluate.h"
#include "graph/graph.h"
#include "graph/plan.h"
#include "graph/pullback.h"
#include "graph/trace.h"

#include <assert.h>
#include <string.h>

struct Transform {
    Trace *trace;
    uint64_t serial; /* of the trace: its address may be used again */
    uint64_t bit;
    bool open;
};

Transform *
transform_open(void)
{
    Transform *t = mem_new(sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    if (trace_current() == NULL && trace_open() != STATUS_OK) {
        mem_free(t, sizeof *t);
        return NULL;
    }
    t->trace = trace_current();
    t->serial = t->trace->serial;
    t->open = true;
    t->bit = ~t->trace->used_bits & (t->trace->used_bits + 1); /* the lowest one free */
    if (t->bit == TAPE_MASK) {
        mem_free(t, sizeof *t);
        return err_null(ERR_RUNTIME, "at most %d derivatives can be open at a time",
                        TRACE_MAX_TRANSFORMS);
    }
    t->trace->used_bits |= t->bit;
    t->trace->open_bits |= t->bit;
    t->trace->depth++;
    return t;
}

bool
transform_is_live(const Transform *t)
{
    return t->trace == trace_current() && t->trace != NULL && t->serial == t->trace->serial;
}

bool
transform_is_outermost(const Transform *t)
{
    return t->trace->depth == 1;
}

/* A trace is used by the thread that opened it only. */
static Status
transform_check(const Transform *t)
{
    if (!transform_is_live(t)) {
        return err_set(ERR_RUNTIME, "a trace can only be used by the thread that opened it, and "
                                    "only until the outermost function returns");
    }
    return STATUS_OK;
}

/* The outermost transform has computed everything when it returns; until then large arguments
 * are as other large arrays. */
static bool
is_read_in_place(const Transform *t, const Array *x)
{
    return transform_is_outermost(t) && !storage_is_virtual(x->storage) &&
           x->size > TRACE_COPY_LIMIT / dtype_size((DType)x->dtype);
}

Array *
transform_argument(Transform *t, Array *x)
{
    if (transform_check(t) != STATUS_OK) {
        return NULL;
    }
    const int64_t mark = arena_mark();
    Array *own = NULL, *out = NULL;
    if (!graph_is_recorded(x) && !is_read_in_place(t, x)) {
        own = storage_is_virtual(x->storage) ? NULL : execute_copy(x);
        if (own == NULL) {
            if (storage_is_virtual(x->storage)) {
                err_set(ERR_RUNTIME, "this array belongs to a trace that is not open here");
            }
            return NULL;
        }
    }
    Node *node = arena_keep(trace_node(t->trace, own != NULL ? own : x));
    if (node != NULL && !dtype_is_inexact((DType)node->dtype)) {
        node = build_cast(node, DT_f64);
    }
    node = build_copy(node, false);
    if (node != NULL) {
        node->mask |= t->bit;
        node->weak = WEAK_NONE;
        out = trace_new_array(t->trace, node, x->storage->device);
    }
    arena_reset(mark);
    array_release(own);
    return out;
}

Array *
transform_alias(Transform *t, Array *argument)
{
    if (transform_check(t) != STATUS_OK) {
        return NULL;
    }
    Node *node = trace_node(t->trace, argument);
    Array *out = node == NULL ? NULL
                              : trace_new_array(t->trace, node, argument->storage->device);
    node_release(node);
    return out;
}

typedef struct Border {
    Node **outs, **cotangents, **args, **grads;
    size_t bytes;
} Border;

static Status
border_init(Border *b, int nout, int narg)
{
    b->bytes = (size_t)(2 * nout + 2 * narg) * sizeof(Node *);
    b->outs = mem_new_zeroed(b->bytes);
    if (b->outs == NULL) {
        return STATUS_ERROR;
    }
    b->cotangents = b->outs + nout;
    b->args = b->cotangents + nout;
    b->grads = b->args + narg;
    return STATUS_OK;
}

Status
transform_pullback(Transform *t, int nout, Array *const *outs, Array *const *cotangents, int narg,
                   Array *const *args, bool conjugate, Array **grads)
{
    Border b;
    if (transform_check(t) != STATUS_OK || border_init(&b, nout, narg) != STATUS_OK) {
        return STATUS_ERROR;
    }
    Status status = STATUS_ERROR;
    const int64_t mark = arena_mark();
    for (int i = 0; i < narg; i++) {
        grads[i] = NULL;
        b.args[i] = arena_keep(trace_node(t->trace, args[i]));
        if (b.args[i] == NULL) {
            goto done;
        }
    }
    for (int i = 0; i < nout; i++) {
        b.outs[i] = arena_keep(trace_node(t->trace, outs[i]));
        if (b.outs[i] == NULL) {
            goto done;
        }
        if (cotangents[i] != NULL) {
            Node *seed = pullback_seed(t->trace, cotangents[i], b.outs[i]);
            b.cotangents[i] = conjugate ? build_conjugate(seed) : seed;
            if (b.cotangents[i] == NULL) {
                goto done;
            }
        }
    }
    if (pullback(t->bit, nout, b.outs, b.cotangents, narg, b.args, b.grads) != STATUS_OK) {
        goto done;
    }
    for (int i = 0; i < narg; i++) {
        if (b.grads[i] == NULL) {
            continue;
        }
        Node *g = conjugate ? build_conjugate(b.grads[i]) : b.grads[i];
        grads[i] = g == NULL ? NULL : trace_new_array(t->trace, g, args[i]->storage->device);
        if (grads[i] == NULL) {
            goto done;
        }
    }
    status = STATUS_OK;
done:
    if (status != STATUS_OK) {
        for (int i = 0; i < narg; i++) {
            array_release(grads[i]);
            grads[i] = NULL;
        }
    }
    arena_reset(mark);
    mem_free(b.outs, b.bytes);
    return status;
}

/* The nodes of the value and the arguments, kept by the arena: n = 1 + narg. */
static Status
border_nodes(Transform *t, Array *value, int narg, Array *const *args, Node **nodes)
{
    for (int i = 0; i <= narg; i++) {
        nodes[i] = arena_keep(trace_node(t->trace, i == 0 ? value : args[i - 1]));
        if (nodes[i] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

Status
transform_value_and_grad(Transform *t, Array *value, int narg, Array *const *args, Array **out)
{
    const size_t bytes = (size_t)(narg + 1) * sizeof(Node *);
    Node **nodes = mem_new(bytes);
    bool done = false;
    Status status = nodes == NULL ? STATUS_ERROR : transform_check(t);
    const int64_t mark = arena_mark();
    if (status == STATUS_OK && t->trace->depth == 1) {
        status = border_nodes(t, value, narg, args, nodes);
        if (status == STATUS_OK) {
            status = plan_value_and_grad(t->bit, nodes[0], narg, nodes + 1, out, &done);
        }
    }
    arena_reset(mark);
    mem_free(nodes, bytes);
    if (status != STATUS_OK || done) {
        if (done) {
            out[0]->is_scalar = value->is_scalar;
        }
        return status;
    }
    const double one = 1.0;
    Array *seed = array_new_scalar(DT_f64, WEAK_FLOAT, &one); /* a literal, as 1.0 is */
    status = seed == NULL ? STATUS_ERROR
                          : transform_pullback(t, 1, &value, &seed, narg, args, true, out + 1);
    array_release(seed);
    out[0] = status == STATUS_OK ? array_retain(value) : NULL;
    return status;
}

/* ---- closing ---- */

typedef VEC(Node *) NodeVec;

/* An inner transform ends: what depended on its arguments only is no longer active. */
static Status
forget_bit(Trace *trace, uint64_t bit)
{
    NodeVec stack = {0};
    Status status = STATUS_OK;
    for (Binding *b = trace->bindings; b != NULL && status == STATUS_OK; b = b->next) {
        if (b->node != NULL && (b->node->mask & bit)) {
            b->node->mask &= ~bit;
            status = vec_push(&stack, b->node);
        }
    }
    while (stack.size > 0 && status == STATUS_OK) {
        Node *node = vec_pop(&stack);
        for (int i = 0; i < node->nin && status == STATUS_OK; i++) {
            if (node->inputs[i]->mask & bit) {
                node->inputs[i]->mask &= ~bit;
                status = vec_push(&stack, node->inputs[i]);
            }
        }
    }
    vec_fini(&stack);
    trace->used_bits &= ~bit;
    return status;
}

/* All bound nodes that some storage still waits for. */
static Status
collect_bound(const Trace *trace, NodeVec *nodes)
{
    for (Binding *b = trace->bindings; b != NULL; b = b->next) {
        if (b->node != NULL && !b->carried_out && vec_push(nodes, b->node) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* What still depends on the tape goes on there. */
static Status
hand_to_tape(Binding *b)
{
    if (!(b->node->mask & TAPE_MASK) || !graph_grad_enabled()) {
        return STATUS_OK;
    }
    Trace *tape = trace_tape();
    b->node->mask &= TAPE_MASK;
    if (trace_bind(tape, b->storage, b->node, b->flat) != STATUS_OK) {
        return STATUS_ERROR;
    }
    return STATUS_OK;
}

/* Arrays made inside get their memory first, then writes to outer arrays are carried out: a
 * result may still alias the old elements of an outer array. */
static Status
fill_bound(Trace *trace)
{
    for (int outer = 0; outer < 2; outer++) {
        for (Binding *b = trace->bindings; b != NULL; b = b->next) {
            if (b->node == NULL || b->carried_out ||
                (b->storage->data != NULL || b->storage->size == 0) != (outer == 1)) {
                continue;
            }
            Array *value = node_value(b->node);
            if (value == NULL) {
                if (err_kind() == ERR_NONE) {
                    continue;
                }
                return STATUS_ERROR;
            }
            const bool own = b->node->value == value && value->refcount == 2 &&
                             !(b->node->mask & TAPE_MASK) && b->node->refcount == 1;
            Status status = STATUS_OK;
            if (b->storage->size > 0) {
                status = storage_fill(b->storage, value, own);
            }
            array_release(value);
            if (status != STATUS_OK || hand_to_tape(b) != STATUS_OK) {
                return STATUS_ERROR;
            }
            b->carried_out = true;
        }
    }
    return STATUS_OK;
}

static Status
finish_trace(Trace *trace)
{
    NodeVec nodes = {0};
    Status status = collect_bound(trace, &nodes);
    if (status == STATUS_OK) {
        status = evaluate_nodes(nodes.data, nodes.size, false);
    }
    vec_fini(&nodes);
    if (status == STATUS_OK) {
        err_clear();
        status = fill_bound(trace);
    }
    return status;
}

Status
transform_close(Transform *t, bool keep)
{
    Trace *trace = t->trace;
    Status status = transform_check(t);
    if (status != STATUS_OK) {
        return status;
    }
    trace->depth--;
    trace->open_bits &= ~t->bit;
    t->open = false;
    if (trace->depth > 0) {
        status = keep ? STATUS_OK : forget_bit(trace, t->bit);
    } else {
        trace_end_capture(trace);
        status = finish_trace(trace);
        trace_close();
    }
    if (!keep) {
        mem_free(t, sizeof *t);
    }
    return status;
}

void
transform_free(Transform *t)
{
    if (transform_is_live(t)) {
        (void)forget_bit(t->trace, t->bit);
    }
    mem_free(t, sizeof *t);
}

/* After an error: every array still referenced gets its value if it can be computed, unless the
 * user interrupts. */
static void
rescue_values(Trace *trace)
{
    err_clear();
    if (finish_trace(trace) == STATUS_OK) {
        return;
    }
    bool more = err_kind() != ERR_INTERRUPT;
    while (more) {
        more = false;
        for (Binding *b = trace->bindings; b != NULL; b = b->next) {
            if (b->node != NULL && !b->carried_out) {
                b->carried_out = true;
                more = true;
                err_clear();
                if (evaluate_nodes(&b->node, 1, true) == STATUS_OK) {
                    Array *value = node_value(b->node);
                    if (value != NULL && b->storage->size > 0) {
                        (void)storage_fill(b->storage, value, false);
                    }
                    array_release(value);
                } else if (err_kind() == ERR_INTERRUPT) {
                    return;
                }
                break;
            }
        }
    }
}

void
transform_abort(Transform *t, bool rescue)
{
    Trace *trace = t->trace;
    if (!transform_is_live(t)) {
        mem_free(t, sizeof *t);
        return;
    }
    ErrRecord saved;
    err_save(&saved);
    trace->depth--;
    trace->open_bits &= ~t->bit;
    if (trace->depth > 0) {
        (void)forget_bit(trace, t->bit);
    } else {
        trace_end_capture(trace);
        if (rescue && poll_interruptions() == trace->interruptions) {
            rescue_values(trace);
        }
        trace_close();
    }
    mem_free(t, sizeof *t);
    err_restore(&saved);
}
