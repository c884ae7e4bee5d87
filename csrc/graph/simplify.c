/* graph/simplify.c -- the passes over a plan's nodes, in order. */
#include "graph/simplify.h"

#include "base/mem.h"
#include "base/settings.h"
#include "graph/simplify_nodes.h"

#include <string.h>

SimplifyOptions
simplify_options(void)
{
    const bool fast = settings_get()->rounding == ROUNDING_FAST;
    return (SimplifyOptions){.fast = fast, .hoist = fast, .fma = fast && backend_cpu_has_fma()};
}

/* ---- one pass ---- */

typedef struct Pass {
    GuardNodes order;   /* inputs before readers; marks are places, + 1 */
    int32_t *readers;   /* of each place, a result being one more */
    int32_t *divisions; /* of backward nodes by each place */
    Node **now;         /* what stands for each place */
} Pass;

static int
inputs_of(Node *node)
{
    return node_has_value(node) ? 0 : node->nin;
}

static Status
collect(Pass *pass, Node *node)
{
    if (node->mark != 0) {
        return STATUS_OK;
    }
    if (vec_push(&pass->order, node) != STATUS_OK) {
        return STATUS_ERROR;
    }
    node->mark = -1;
    return STATUS_OK;
}

static void
pass_fini(Pass *pass)
{
    for (int64_t i = 0; i < pass->order.size; i++) {
        pass->order.data[i]->mark = 0;
    }
    mem_free(pass->readers, (size_t)pass->order.size * sizeof(int32_t) + 1);
    mem_free(pass->divisions, (size_t)pass->order.size * sizeof(int32_t) + 1);
    mem_free(pass->now, (size_t)pass->order.size * sizeof(Node *) + 1);
    vec_fini(&pass->order);
}

static Status
collect_all(Pass *pass, Node *const *nodes, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (nodes[i] != NULL && collect(pass, nodes[i]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static void
count_readers(Pass *pass)
{
    for (int64_t at = 0; at < pass->order.size; at++) {
        Node *node = pass->order.data[at];
        for (int i = 0; i < inputs_of(node); i++) {
            pass->readers[node->inputs[i]->mark - 1]++;
        }
        if ((node->flags & NODE_BACKWARD) && inputs_of(node) > 0 &&
            (node->op == OP_divide || node->op == OP_reciprocal)) {
            pass->divisions[node->inputs[node->nin - 1]->mark - 1]++;
        }
    }
}

static void
count_results(Pass *pass, Node *const *nodes, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (nodes[i] != NULL) {
            pass->readers[nodes[i]->mark - 1]++;
        }
    }
}

/* Marks stay set until pass_fini: nothing that runs meanwhile lets other threads in. */
static Status
pass_init(Pass *pass, Node *const *targets, int64_t count, const GuardNodes *guards)
{
    GuardNodes *order = &pass->order;
    if (collect_all(pass, targets, count) != STATUS_OK ||
        collect_all(pass, guards->data, guards->size) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int64_t at = 0; at < order->size; at++) {
        Node *node = order->data[at];
        if (collect_all(pass, node->inputs, inputs_of(node)) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    nodes_sort(order->data, order->size);
    pass->readers = mem_new_zeroed((size_t)order->size * sizeof(int32_t) + 1);
    pass->divisions = mem_new_zeroed((size_t)order->size * sizeof(int32_t) + 1);
    pass->now = mem_new_zeroed((size_t)order->size * sizeof(Node *) + 1);
    if (pass->readers == NULL || pass->divisions == NULL || pass->now == NULL) {
        return STATUS_ERROR;
    }
    for (int64_t at = 0; at < order->size; at++) {
        order->data[at]->mark = at + 1;
    }
    count_readers(pass);
    count_results(pass, targets, count);
    count_results(pass, guards->data, guards->size);
    return STATUS_OK;
}

static Node *
rewrite(Simplifier *s, const Pass *pass, Node *node, Rewrite rule)
{
    enum { FEW = 8 };
    Node *few[FEW], **in = few, *out = NULL;
    const size_t bytes = (size_t)node->nin * sizeof(Node *);
    if (inputs_of(node) == 0) {
        return simplify_leaf(s, node);
    }
    if (node->nin > FEW) {
        in = mem_new(bytes);
        if (in == NULL) {
            return NULL;
        }
    }
    for (int i = 0; i < node->nin; i++) {
        in[i] = pass->now[node->inputs[i]->mark - 1];
    }
    const bool before = node_set_backward((node->flags & NODE_BACKWARD) != 0);
    node_set_origin(node);
    out = rule(s, node, in);
    node_set_origin(NULL);
    (void)node_set_backward(before);
    if (in != few) {
        mem_free(in, bytes);
    }
    return out;
}

static void
replace(const Pass *pass, Node **nodes, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        nodes[i] = nodes[i] == NULL ? NULL : pass->now[nodes[i]->mark - 1];
    }
}

/* Let `targets`, and the guards that are there, become what the rule makes of them. */
static Status
run_pass(Simplifier *s, Node **targets, int64_t count, Rewrite rule)
{
    Pass pass = {.readers = NULL};
    const int64_t nguards = s->guards->size;
    Status status = pass_init(&pass, targets, count, s->guards);
    s->readers = pass.readers;
    s->divisions = pass.divisions;
    for (int64_t at = 0; status == STATUS_OK && at < pass.order.size; at++) {
        pass.now[at] = rewrite(s, &pass, pass.order.data[at], rule);
        status = pass.now[at] == NULL || s->failed ? STATUS_ERROR : STATUS_OK;
    }
    if (status == STATUS_OK) {
        replace(&pass, targets, count);
        replace(&pass, s->guards->data, nguards);
    }
    pass_fini(&pass);
    return status;
}

Node *
simplify_again(Simplifier *s, Node *node, Node *const *in)
{
    Spec spec;
    node_spec(node, &spec);
    return simplify_op(s, node->op, in, node->nin, node->params, node->nparams, &spec);
}

/* ---- all passes ---- */

static Status
run_passes(Simplifier *s, Node **out, int64_t count)
{
    const struct {
        Rewrite rule;
        bool wanted;
    } passes[] = {
        {simplify_again, true},
        {simplify_split, true},
        {simplify_hoist, s->options.hoist},
        {simplify_collapse, s->options.hoist},
        {simplify_regroup, s->options.fast},
        {simplify_absorb, true},
        {simplify_contract, s->options.fma},
        {simplify_reread, true},
    };
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        if (passes[i].wanted && run_pass(s, out, count, passes[i].rule) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* Each guard once. */
static void
merge_guards(GuardNodes *guards)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < guards->size; i++) {
        Node *node = guards->data[i];
        if (node->mark == 0) {
            node->mark = 1;
            guards->data[kept++] = node;
        }
    }
    guards->size = kept;
    for (int64_t i = 0; i < kept; i++) {
        guards->data[i]->mark = 0;
    }
}

Status
simplify(Node *const *targets, int64_t count, SimplifyOptions options, Node **out,
         GuardNodes *guards)
{
    Simplifier s = {.options = options, .guards = guards};
    memcpy(out, targets, (size_t)count * sizeof(Node *));
    Status status = run_passes(&s, out, count);
    if (status == STATUS_OK) {
        merge_guards(guards);
    }
    hash_fini(&s.table);
    hash_fini(&s.factored);
    vec_fini(&s.known);
    vec_fini(&s.terms);
    vec_fini(&s.products);
    vec_fini(&s.stored);
    return status;
}
