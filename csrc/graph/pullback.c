/* graph/pullback.c -- the driver of the backward pass.
 *
 * A cotangent carries a structural mask: the rows that `where` selected on the way. Where the
 * mask is false the cotangent is an exact zero, and contributions of nonlinear ops are replaced
 * by zero there, so that the infinities of a branch not taken (0 * inf) never appear. Masks
 * combine by `and` along a path, by `or` where cotangents add. They travel through elementwise
 * ops, views, sums, casts, writes and joins; any other op ends them.
 */
#include "graph/pullback.h"

#include "base/hooks.h"
#include "base/mem.h"
#include "base/vec.h"
#include "graph/derive.h"
#include "graph/evaluate.h"
#include "graph/trace.h"

#include <assert.h>
#include <stdlib.h>

typedef struct Cotangent {
    Node *g;    /* retained; NULL is zero */
    Node *mask; /* retained bool node of g's shape; NULL: everywhere */
} Cotangent;

typedef struct Pass {
    uint64_t mask;
    VEC(Node *) nodes; /* reached, latest first; node->mark is the index + 1 */
    Cotangent *cotangents;
    Node *const *args; /* flagged NODE_WANTED */
    int64_t narg;
} Pass;

/* Marks and flags are scratch that other passes use too: they are taken off while the host
 * language runs a rule, which may evaluate and differentiate. */
static void
pass_mark(const Pass *pass, bool on)
{
    for (int64_t i = 0; i < pass->nodes.size; i++) {
        pass->nodes.data[i]->mark = on ? i + 1 : 0;
    }
    for (int64_t k = 0; k < pass->narg; k++) {
        Node *arg = pass->args[k];
        arg->flags = (uint8_t)(on ? arg->flags | NODE_WANTED : arg->flags & ~NODE_WANTED);
    }
}

static int
latest_first(const void *a, const void *b)
{
    const Node *x = *(Node *const *)a, *y = *(Node *const *)b;
    return x->seq > y->seq ? -1 : x->seq < y->seq;
}

static Status
pass_collect(Pass *pass, int64_t nout, Node *const *outs)
{
    VEC(Node *) stack = {0};
    Status status = STATUS_ERROR;
    for (int64_t i = 0; i < nout; i++) {
        if ((outs[i]->mask & pass->mask) && outs[i]->mark == 0) {
            outs[i]->mark = -1;
            if (vec_push(&stack, outs[i]) != STATUS_OK) {
                outs[i]->mark = 0;
                goto done;
            }
        }
    }
    while (stack.size > 0) {
        Node *node = vec_pop(&stack);
        if (vec_push(&pass->nodes, node) != STATUS_OK) {
            node->mark = 0;
            goto done;
        }
        node_retain(node);
        for (int i = 0; i < node->nin; i++) {
            Node *input = node->inputs[i];
            if ((input->mask & pass->mask) && input->mark == 0) {
                input->mark = -1;
                if (vec_push(&stack, input) != STATUS_OK) {
                    input->mark = 0;
                    goto done;
                }
            }
        }
    }
    if (pass->nodes.size > 0) {
        qsort(pass->nodes.data, (size_t)pass->nodes.size, sizeof(Node *), latest_first);
    }
    pass->cotangents = mem_new_zeroed((size_t)pass->nodes.size * sizeof(Cotangent));
    pass_mark(pass, true);
    status = pass->cotangents == NULL ? STATUS_ERROR : STATUS_OK;
done:
    for (int64_t i = 0; i < stack.size; i++) {
        stack.data[i]->mark = 0;
    }
    vec_fini(&stack);
    return status;
}

static void
cotangent_drop(Cotangent *c)
{
    node_release(c->g);
    node_release(c->mask);
    c->g = c->mask = NULL;
}

static void
pass_fini(Pass *pass)
{
    pass_mark(pass, false);
    for (int64_t i = 0; pass->cotangents != NULL && i < pass->nodes.size; i++) {
        cotangent_drop(&pass->cotangents[i]);
    }
    mem_free(pass->cotangents, (size_t)pass->nodes.size * sizeof(Cotangent));
    for (int64_t i = 0; i < pass->nodes.size; i++) {
        node_release(pass->nodes.data[i]);
    }
    vec_fini(&pass->nodes);
}

/* Put (g, mask) in place of what the cotangent holds. */
static void
cotangent_set(Cotangent *c, Node *g, Node *mask)
{
    node_retain(g);
    if (mask != NULL) {
        node_retain(mask);
    }
    cotangent_drop(c);
    c->g = g;
    c->mask = mask;
}

static Status
cotangent_add(Cotangent *c, Node *g, Node *mask)
{
    if (c->g == NULL) {
        cotangent_set(c, g, mask);
        return STATUS_OK;
    }
    Node *sum = build2(OP_add, c->g, g);
    Node *either = NULL;
    if (c->mask != NULL && mask != NULL) {
        either = c->mask == mask ? mask : build2(OP_logical_or, c->mask, mask);
        if (either == NULL) {
            return STATUS_ERROR;
        }
    }
    if (sum == NULL) {
        return STATUS_ERROR;
    }
    cotangent_set(c, sum, either);
    return STATUS_OK;
}

/* ---- masks through ops ---- */

static Node *
mask_and(Node *a, Node *b)
{
    return a == NULL ? b : build2(OP_logical_and, a, b);
}

/* The rows of the base that a view with masked elements touches. */
static Node *
mask_through_view(const Node *node, Node *mask)
{
    const Node *base = node->inputs[0];
    int64_t inverse[GEOMETRY_MAX];
    if (geometry_inverse(node->params, base->ndim, base->shape, inverse)) {
        return build_view(mask, inverse);
    }
    Node *none = build_full(0.0, DT_i64, base->ndim, base->shape);
    Node *count = build_assign(OP_assign_add, none, build_cast(mask, DT_i64), node->params);
    return build_cast(count, DT_bool);
}

/* The mask of input i, given the node's; *ends when the op mixes rows. */
static Node *
mask_of_input(const Node *node, int i, Node *mask, bool *ends)
{
    *ends = false;
    if (node->op == OP_where) {
        Node *chosen = i == 1 ? node->inputs[0] : build1(OP_logical_not, node->inputs[0]);
        return mask_and(mask, chosen);
    }
    *ends = mask == NULL;
    if (*ends || op_is_elementwise((OpCode)node->op)) {
        return mask;
    }
    switch (node->op) {
    case OP_copy:
    case OP_cast:
        return mask;
    case OP_view:
        return mask_through_view(node, mask);
    case OP_sum: {
        const Node *x = node->inputs[0];
        return build_broadcast(build_restore_axes(mask, x->ndim, x->shape, node->params), x->ndim,
                               x->shape);
    }
    case OP_assign:
    case OP_assign_add:
        return i == 1 ? build_view(mask, node->params) : mask;
    case OP_concatenate: {
        const int axis = (int)node->params[0];
        int64_t start = 0;
        for (int k = 0; k < i; k++) {
            start += node->inputs[k]->shape[axis];
        }
        return build_slice(mask, axis, start, node->inputs[i]->shape[axis]);
    }
    default:
        *ends = true;
        return NULL;
    }
}

/* ---- one node ---- */

static Status
pass_give(Pass *pass, Node *node, int i, Node *contribution, const Cotangent *from, bool total)
{
    Node *input = node->inputs[i];
    Cotangent *to = &pass->cotangents[input->mark - 1];
    bool ends;
    Node *mask = mask_of_input(node, i, from->mask, &ends);
    if (mask == NULL && !ends) {
        return STATUS_ERROR;
    }
    if (!total) {
        return cotangent_add(to, contribution, mask);
    }
    Node *either = NULL;
    if (mask != NULL && (to->g == NULL || to->mask != NULL)) {
        either = to->g == NULL || to->mask == mask ? mask
                                                   : build2(OP_logical_or, to->mask, mask);
        if (either == NULL) {
            return STATUS_ERROR;
        }
    }
    cotangent_set(to, contribution, either);
    return STATUS_OK;
}

static Status
pass_elementwise(Pass *pass, Node *node, const Cotangent *c)
{
    const bool linear = (op_info((OpCode)node->op)->flags & FLAG_LINEAR) || node->op == OP_where;
    for (int i = 0; i < node->nin; i++) {
        bool none = false;
        if (node->inputs[i]->mark <= 0) {
            continue;
        }
        Node *out = derive_elementwise(node, i, c->g, &none);
        if (none) {
            continue;
        }
        if (out != NULL && c->mask != NULL && !linear) {
            out = build3(OP_where, c->mask, out, build_scalar(0.0, 0.0, DT_f64, WEAK_FLOAT));
        }
        if (out == NULL || pass_give(pass, node, i, out, c, false) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* custom_vjp: the rule runs in the host language on the cotangent. */
static Status
pass_custom(Pass *pass, Node *node, const Cotangent *c)
{
    void *arrays[CALL_MAX_INPUTS] = {NULL};
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    Status status = STATUS_ERROR;
    Array *g = NULL;
    pass_mark(pass, false);
    const bool before = node_set_backward(false);
    if (!trace->is_tape) {
        g = trace_new_array(trace, c->g, device_default());
    } else if (evaluate_nodes(&c->g, 1, true) == STATUS_OK) {
        g = node_value(c->g);
    }
    const bool ran =
        g != NULL &&
        host_hooks.backward((uintptr_t)node->params[0], g, node->nin - 1, arrays) == 0;
    node_set_backward(before);
    pass_mark(pass, true);
    if (!ran) {
        goto done;
    }
    for (int i = 1; i < node->nin; i++) {
        const Node *input = node->inputs[i];
        if (arrays[i - 1] == NULL || input->mark <= 0) {
            continue;
        }
        Node *out = arena_keep(trace_node(trace, arrays[i - 1]));
        if (out != NULL && (out->ndim != input->ndim ||
                            !shape_equal(out->ndim, out->shape, input->shape))) {
            char got[256], need[256];
            err_set(ERR_VALUE, "custom_vjp: the rule gave a cotangent of shape %s for argument %d "
                               "of shape %s",
                    shape_text(out->ndim, out->shape, got, sizeof got), i - 1,
                    shape_text(input->ndim, input->shape, need, sizeof need));
            goto done;
        }
        out = build_cast(out, (DType)input->dtype);
        if (out == NULL || pass_give(pass, node, i, out, c, false) != STATUS_OK) {
            goto done;
        }
    }
    status = STATUS_OK;
done:
    array_release(g);
    for (int i = 0; i < node->nin - 1; i++) {
        array_release(arrays[i]);
    }
    return status;
}

static Status
pass_primitive(Pass *pass, Node *node, const Cotangent *c)
{
    bool wanted[CALL_MAX_INPUTS], total[CALL_MAX_INPUTS] = {false};
    Node *out[CALL_MAX_INPUTS] = {NULL}, *sums[CALL_MAX_INPUTS];
    for (int i = 0; i < node->nin; i++) {
        wanted[i] = node->inputs[i]->mark > 0;
        sums[i] = wanted[i] ? pass->cotangents[node->inputs[i]->mark - 1].g : NULL;
    }
    if (derive_primitive(node, c->g, wanted, sums, out, total) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < node->nin; i++) {
        if (wanted[i] && out[i] != NULL &&
            pass_give(pass, node, i, out[i], c, total[i]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Status
pass_node(Pass *pass, Node *node)
{
    Cotangent c = pass->cotangents[node->mark - 1];
    if (c.g == NULL || node->nin == 0 || (node->flags & NODE_STOP)) {
        return STATUS_OK;
    }
    const int64_t mark = arena_mark();
    Status status;
    if (node->op == OP_custom) {
        status = pass_custom(pass, node, &c);
    } else if (op_is_elementwise((OpCode)node->op)) {
        status = pass_elementwise(pass, node, &c);
    } else {
        status = pass_primitive(pass, node, &c);
    }
    arena_reset(mark);
    if (status != STATUS_OK) {
        char text[256];
        err_prefix("derivative of %s: ", node_text(node, text, (int)sizeof text));
    }
    return status;
}

Status
pullback(uint64_t mask, int64_t nout, Node *const *outs, Node *const *cotangents, int64_t narg,
         Node *const *args, Node **grads)
{
    Pass pass = {.mask = mask, .args = args, .narg = narg};
    const bool before = node_set_backward(true);
    Status status = pass_collect(&pass, nout, outs);
    for (int64_t i = 0; status == STATUS_OK && i < nout; i++) {
        if (outs[i]->mark > 0 && cotangents[i] != NULL) {
            const int64_t here = arena_mark();
            status = cotangent_add(&pass.cotangents[outs[i]->mark - 1], cotangents[i], NULL);
            arena_reset(here);
        }
    }
    for (int64_t i = 0; status == STATUS_OK && i < pass.nodes.size; i++) {
        Node *node = pass.nodes.data[i];
        const bool wanted = (node->flags & NODE_WANTED) != 0;
        /* The walk does not go on through the copy that made a fresh argument. */
        if (!wanted || node->op != OP_copy) {
            status = pass_node(&pass, node);
        }
        if (!wanted) {
            cotangent_drop(&pass.cotangents[i]);
        }
    }
    for (int64_t k = 0; status == STATUS_OK && k < narg; k++) {
        Node *g = args[k]->mark > 0 ? pass.cotangents[args[k]->mark - 1].g : NULL;
        grads[k] = g == NULL ? NULL : arena_keep(node_retain(g));
        if (g != NULL && grads[k] == NULL) {
            status = STATUS_ERROR;
        }
    }
    pass_fini(&pass);
    node_set_backward(before);
    return status;
}

Node *
pullback_seed(Trace *trace, Array *cotangent, const Node *out)
{
    Node *g = arena_keep(trace_node(trace, cotangent));
    if (g == NULL) {
        return NULL;
    }
    if (g->ndim != out->ndim || !shape_equal(g->ndim, g->shape, out->shape)) {
        char got[256], need[256];
        return err_null(ERR_VALUE, "cotangent of shape %s for a result of shape %s",
                        shape_text(g->ndim, g->shape, got, sizeof got),
                        shape_text(out->ndim, out->shape, need, sizeof need));
    }
    if (dtype_is_complex((DType)g->dtype) && !dtype_is_complex((DType)out->dtype)) {
        return err_null(ERR_TYPE, "complex cotangent for a real result; take its real part");
    }
    return build_cast(g, (DType)out->dtype);
}
