/* graph/evaluate.c -- computing the values of nodes.
 *
 * Two ways: a look (keep = true) keeps every value that it computes, so that n looks into a
 * growing trace cost O(n) in all, and goes node by node; the final run of a trace follows a
 * plan (plan.h) where it can. Writes (assign, scatter) reuse the memory of their base where
 * nobody else reads it.
 */
#include "graph/evaluate.h"

#include "base/mem.h"
#include "base/poll.h"
#include "base/vec.h"
#include "graph/plan.h"
#include "graph/trace.h"

#include <assert.h>
#include <string.h>

typedef VEC(Node *) NodeList;

/* What the run knows of each node it computes. */
typedef struct Use {
    int64_t readers; /* still to come; targets count one that never comes */
    int64_t first;   /* where the node's inputs begin in `places` */
} Use;

/* Marks serve while a run is prepared only: kernels let other threads at the interpreter, whose
 * runs and backward passes may meet the same nodes of the tape. */
typedef struct Run {
    VEC(Node *) order; /* retained, sorted by seq */
    Use *uses;         /* one for each node, and the end */
    int64_t *places;   /* of each input in `order`, + 1; 0 when it had its value already */
    int64_t nplaces;
    bool keep;
} Run;

/* ---- values that need no computation ---- */

static Array *
stale_error(Node *node)
{
    char what[256], where[160] = "";
    node_text(node, what, (int)sizeof what);
    if (node->stale_line != 0) {
        host_hooks.line_text(node->stale_line, node->stale_instruction, where, (int)sizeof where);
    }
    return err_null(ERR_RUNTIME,
                    "backward needs the result of %s, but its memory was changed in place%s%s; "
                    "write into a copy instead",
                    what, where[0] != '\0' ? " at " : "", where);
}

static bool
value_is_old(const Node *node)
{
    return node->value->storage->version != node->value_version;
}

Array *
node_value(Node *node)
{
    if (node->flags & NODE_STALE) {
        return stale_error(node);
    }
    if (node->value != NULL) {
        return value_is_old(node) ? stale_error(node) : array_retain(node->value);
    }
    if (node->binding == NULL) {
        return NULL;
    }
    int64_t strides[ARRAY_MAX_NDIM];
    if (shape_strides(node->ndim, node->shape, dtype_size((DType)node->dtype), strides) < 0) {
        return NULL;
    }
    return array_new_view(node->binding->storage, (DType)node->dtype, node->ndim, node->shape,
                          strides, 0);
}

/* An alias of memory that was written meanwhile counts as none: it is computed again from the
 * snapshot that its input keeps. Leaves have nothing to be computed from. */
bool
node_has_value(Node *node)
{
    if (node->value != NULL && node->nin > 0 && value_is_old(node)) {
        array_release(node->value);
        node->value = NULL;
    }
    return node->value != NULL || node->binding != NULL || (node->flags & NODE_STALE);
}

void
node_adopt_memory(Node *node, Storage *storage)
{
    Storage *own = storage_new_virtual(storage->device, storage->size);
    if (own == NULL) {
        return; /* the value is lost and will be computed again when it is needed */
    }
    int64_t strides[ARRAY_MAX_NDIM];
    own->version = storage->version;
    if (storage->foreign) {
        own->foreign = true;
        own->readonly = storage->readonly;
        own->owner = storage->owner;
        own->release = storage->release;
        storage->owner = NULL;
        storage->release = NULL;
    }
    storage_hand_over(storage, own);
    if (shape_strides(node->ndim, node->shape, dtype_size((DType)node->dtype), strides) >= 0) {
        node->value = array_new_view(own, (DType)node->dtype, node->ndim, node->shape, strides, 0);
        node->value_version = own->version;
    }
    storage_release(own);
}

/* ---- collecting what must be computed ---- */

static void
run_fini(Run *run)
{
    mem_free(run->uses, (size_t)(run->order.size + 1) * sizeof(Use));
    mem_free(run->places, (size_t)run->nplaces * sizeof(int64_t) + 1);
    for (int64_t i = 0; i < run->order.size; i++) {
        node_release(run->order.data[i]);
    }
    vec_fini(&run->order);
}

static Status
run_collect(Run *run, Node *const *targets, int64_t count)
{
    NodeList stack = {0};
    Status status = STATUS_ERROR;
    for (int64_t i = 0; i < count; i++) {
        if (!node_has_value(targets[i]) && targets[i]->mark == 0) {
            targets[i]->mark = -1;
            if (vec_push(&stack, targets[i]) != STATUS_OK) {
                targets[i]->mark = 0;
                goto done;
            }
        }
    }
    while (stack.size > 0) {
        Node *node = vec_pop(&stack);
        if (vec_push(&run->order, node) != STATUS_OK) {
            node->mark = 0;
            goto done;
        }
        node_retain(node);
        for (int i = 0; i < node->nin; i++) {
            Node *input = node->inputs[i];
            if (!node_has_value(input) && input->mark == 0) {
                input->mark = -1;
                if (vec_push(&stack, input) != STATUS_OK) {
                    input->mark = 0;
                    goto done;
                }
            }
        }
    }
    status = STATUS_OK;
done:
    for (int64_t i = 0; i < stack.size; i++) {
        stack.data[i]->mark = 0;
    }
    for (int64_t i = 0; status != STATUS_OK && i < run->order.size; i++) {
        run->order.data[i]->mark = 0;
    }
    vec_fini(&stack);
    return status;
}

/* Marks are the places in the order, + 1. */
static void
note_places(Run *run, Node *const *targets, int64_t count)
{
    int64_t at = 0;
    for (int64_t i = 0; i < run->order.size; i++) {
        const Node *node = run->order.data[i];
        run->uses[i].first = at;
        for (int k = 0; k < node->nin; k++) {
            const int64_t place = node->inputs[k]->mark;
            run->places[at++] = place;
            if (place > 0) {
                run->uses[place - 1].readers++;
            }
        }
    }
    run->uses[run->order.size].first = at;
    for (int64_t i = 0; i < count; i++) {
        if (targets[i]->mark > 0) {
            run->uses[targets[i]->mark - 1].readers++;
        }
    }
}

/* Marks are 0 again when this returns. */
static Status
run_prepare(Run *run, Node *const *targets, int64_t count)
{
    nodes_sort(run->order.data, run->order.size);
    for (int64_t i = 0; i < run->order.size; i++) {
        run->order.data[i]->mark = i + 1;
        run->nplaces += run->order.data[i]->nin;
    }
    run->uses = mem_new_zeroed((size_t)(run->order.size + 1) * sizeof(Use));
    run->places = mem_new((size_t)run->nplaces * sizeof(int64_t) + 1);
    const bool ok = run->uses != NULL && run->places != NULL;
    if (ok) {
        note_places(run, targets, count);
    }
    for (int64_t i = 0; i < run->order.size; i++) {
        run->order.data[i]->mark = 0;
    }
    return ok ? STATUS_OK : STATUS_ERROR;
}

/* ---- computing one node ---- */

/* May `node` take over the memory of its base? Only this node reads it, now and later. (The
 * caller holds the value too.) */
static bool
base_is_free(const Run *run, int64_t at, const Node *node)
{
    const int64_t place = run->places[run->uses[at].first];
    Node *base = node->inputs[0];
    const Array *value = base->value;
    if (value == NULL || value->refcount != 2 || value->storage->refcount != 1 ||
        value->storage->foreign || value->storage->exported || value->readonly ||
        base->readers_of != NULL || !array_is_contiguous(value)) {
        return false;
    }
    for (int i = 1; i < node->nin; i++) {
        if (node->inputs[i] == base) {
            return false;
        }
    }
    if (place > 0 && !run->keep) {
        return run->uses[place - 1].readers == 1;
    }
    const int run_reference = place > 0 ? 1 : 0;
    return base->refcount == 1 + run_reference;
}

/* in[0] is the only reference to the base's value when `free`, so it may be written. */
static Array *
compute_write(const Node *node, Array *const *in, bool free)
{
    Device *device = in[0]->storage->device;
    for (int i = 1; i < node->nin && device == device_cpu(); i++) {
        device = in[i]->storage->device; /* a base of zeros may have been made on the CPU */
    }
    Array *target = free ? array_retain(in[0]) : NULL;
    if (device != in[0]->storage->device) {
        array_release(target);
        Array *moved = execute_move(in[0], device);
        target = moved == NULL ? NULL : execute_copy(moved);
        array_release(moved);
    } else if (!free) {
        target = execute_copy(in[0]);
    }
    if (target != NULL &&
        execute_in_place((OpCode)node->op, target, in + 1, node->nin - 1, node->params,
                         node->nparams) != STATUS_OK) {
        array_release(target);
        target = NULL;
    }
    return target;
}

/* A small view of a large value is copied, so that the large memory can be freed or reused. */
static Array *
compute_view(const Node *node, Array *base)
{
    Array *view = execute_view(base, node->params);
    if (view != NULL && view->storage == base->storage && view->size * 8 <= base->size &&
        view->size > 0 && base->size > 64) {
        Array *copy = execute_copy(view);
        array_release(view);
        view = copy;
    }
    return view;
}

static Array *
compute_node(const Node *node, Array *const *in, bool base_free)
{
    switch (node->op) {
    case OP_copy:
    case OP_custom:
        return array_retain(in[0]);
    case OP_view:
        return compute_view(node, in[0]);
    case OP_argument:
    case OP_constant:
        return err_null(ERR_RUNTIME, "the value of a leaf is gone");
    default:
        break;
    }
    if (node_writes_base(node)) {
        return compute_write(node, in, base_free);
    }
    if (op_is_elementwise((OpCode)node->op)) {
        /* The inputs were cast when the node was built: their dtypes give its loop again. */
        return execute_elementwise((OpCode)node->op, in, node->nin, DTYPE_COUNT);
    }
    return execute_primitive((OpCode)node->op, in, node->nin, node->params, node->nparams);
}

/* The reads of a computed node are over: values nobody waits for are freed. */
static void
run_reads_done(Run *run, int64_t at)
{
    for (int64_t k = run->uses[at].first; k < run->uses[at + 1].first && !run->keep; k++) {
        const int64_t place = run->places[k];
        if (place > 0 && --run->uses[place - 1].readers == 0) {
            Node *input = run->order.data[place - 1];
            if (input->op != OP_constant) { /* another run may have made it one */
                array_release(input->value);
                input->value = NULL;
            }
        }
    }
}

/* Another thread's run may have dropped the value meanwhile: then it is computed again. */
static Array *
input_value(Node *input)
{
    while (!node_has_value(input)) {
        if (evaluate_nodes(&input, 1, false) != STATUS_OK) {
            return NULL;
        }
    }
    return node_value(input);
}

/* Compute the node at a place of the order, whose inputs have values. */
static Status
run_node(Run *run, int64_t at)
{
    enum { FEW = 8 };
    Node *const node = run->order.data[at];
    Array *few[FEW], **in = few;
    const size_t bytes = (size_t)node->nin * sizeof(Array *);
    Status status = STATUS_ERROR;
    int n = 0;
    if (node->nin > FEW) {
        in = mem_new(bytes);
        if (in == NULL) {
            return STATUS_ERROR;
        }
    }
    node->running++;
    for (; n < node->nin; n++) {
        in[n] = input_value(node->inputs[n]);
        if (in[n] == NULL) {
            goto done;
        }
    }
    const bool base_free = node_writes_base(node) && base_is_free(run, at, node);
    if (base_free) {
        array_release(node->inputs[0]->value);
        node->inputs[0]->value = NULL;
    }
    Array *value = compute_node(node, in, base_free);
    if (value == NULL) {
        char text[256];
        err_prefix("%s: ", node_text(node, text, (int)sizeof text));
        goto done;
    }
    if (node->value == NULL) {
        node->value = array_retain(value);
        node->value_version = value->storage->version;
    }
    array_release(value);
    status = STATUS_OK;
done:
    node->running--;
    arrays_release(in, n);
    if (in != few) {
        mem_free(in, bytes);
    }
    return status;
}

static Status
run_all(Run *run)
{
    for (int64_t i = 0; i < run->order.size; i++) {
        if (node_has_value(run->order.data[i])) {
            continue;
        }
        if (poll_check() != STATUS_OK || run_node(run, i) != STATUS_OK) {
            return STATUS_ERROR;
        }
        run_reads_done(run, i);
    }
    return STATUS_OK;
}

/* Does the value lie in memory of an input? Then the input must stay, with its snapshots. */
static bool
aliases_input(const Node *node)
{
    for (int i = 0; i < node->nin; i++) {
        const Node *input = node->inputs[i];
        if (input->value == NULL || input->value->storage == node->value->storage) {
            return true;
        }
    }
    return node->op == OP_custom;
}

static bool
all_have_values(Node *const *targets, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!node_has_value(targets[i])) {
            return false;
        }
    }
    return true;
}

/* What depends on a capture's arguments has no value yet. */
static Status
refuse_look(Node *const *targets, int64_t count)
{
    const Trace *trace = trace_current();
    for (int64_t i = 0; trace != NULL && trace->captures && i < count; i++) {
        if (targets[i]->flags & NODE_GIVEN) {
            return node_refuse_look(targets[i], NULL);
        }
    }
    return STATUS_OK;
}

Status
evaluate_nodes(Node *const *targets, int64_t count, bool keep)
{
    Run run = {.keep = keep};
    if (keep && refuse_look(targets, count) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (all_have_values(targets, count)) {
        return STATUS_OK;
    }
    if (!keep) {
        bool done;
        if (plan_evaluate(targets, count, &done) != STATUS_OK) {
            return STATUS_ERROR;
        }
        if (done) {
            return STATUS_OK;
        }
    }
    Status status = run_collect(&run, targets, count);
    if (status == STATUS_OK && run.order.size > 0) {
        status = run_prepare(&run, targets, count);
        if (status == STATUS_OK) {
            status = run_all(&run);
        }
    }
    if (status == STATUS_OK && keep) {
        for (int64_t i = 0; i < run.order.size; i++) {
            Node *node = run.order.data[i];
            if (!node_is_active(node) && node->value != NULL && node->running == 0 &&
                !aliases_input(node)) {
                node_make_constant(node);
            }
        }
    }
    run_fini(&run);
    return status;
}
