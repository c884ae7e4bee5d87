/* graph/describe.c -- nodes as text and as Graphviz, and counts of what is alive. */
#include "base/hooks.h"
#include "base/vec.h"
#include "graph/evaluate.h"
#include "graph/graph.h"
#include "graph/simplify.h"
#include "graph/trace.h"

#include <stdio.h>

typedef VEC(Node *) NodeVec;

/* All nodes behind the given ones, inputs first, with their places as marks. */
static Status
reachable(Node *const *nodes, int64_t count, NodeVec *out)
{
    Status status = STATUS_OK;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        if (nodes[i]->mark == 0) {
            status = vec_push(out, nodes[i]);
            nodes[i]->mark = status == STATUS_OK;
        }
    }
    for (int64_t at = 0; status == STATUS_OK && at < out->size; at++) {
        Node *here = out->data[at];
        for (int i = 0; i < here->nin && status == STATUS_OK; i++) {
            if (here->inputs[i]->mark == 0) {
                status = vec_push(out, here->inputs[i]);
                here->inputs[i]->mark = status == STATUS_OK;
            }
        }
    }
    if (out->size > 0) {
        nodes_sort(out->data, out->size);
    }
    for (int64_t i = 0; i < out->size; i++) {
        out->data[i]->mark = i + 1;
    }
    return status;
}

static void
describe_node(const Node *node, bool dot, void (*write)(void *, const char *), void *ctx)
{
    char text[1024], shape[256], line[256] = "";
    shape_text(node->ndim, node->shape, shape, sizeof shape);
    if (node->line != 0) {
        host_hooks.line_text(node->line, node->instruction, line, (int)sizeof line);
    }
    if (dot) {
        snprintf(text, sizeof text, "  n%lld [label=\"%s\\n%s %s\"];\n", (long long)node->mark,
                 node_op_name(node->op), dtype_info((DType)node->dtype)->name, shape);
        write(ctx, text);
        for (int i = 0; i < node->nin; i++) {
            snprintf(text, sizeof text, "  n%lld -> n%lld;\n", (long long)node->inputs[i]->mark,
                     (long long)node->mark);
            write(ctx, text);
        }
        return;
    }
    snprintf(text, sizeof text, "%%%lld = %s(", (long long)node->mark, node_op_name(node->op));
    write(ctx, text);
    for (int i = 0; i < node->nin; i++) {
        snprintf(text, sizeof text, "%s%%%lld", i > 0 ? ", " : "",
                 (long long)node->inputs[i]->mark);
        write(ctx, text);
    }
    snprintf(text, sizeof text, ") %s %s%s%s\n", dtype_info((DType)node->dtype)->name, shape,
             line[0] != '\0' ? "  " : "", line);
    write(ctx, text);
}

static Status
describe(Node *const *roots, int64_t count, bool dot, void (*write)(void *ctx, const char *text),
         void *ctx)
{
    NodeVec nodes = {0};
    const Status status = reachable(roots, count, &nodes);
    if (dot) {
        write(ctx, "digraph {\n");
    }
    for (int64_t i = 0; i < nodes.size && status == STATUS_OK; i++) {
        describe_node(nodes.data[i], dot, write, ctx);
    }
    if (dot) {
        write(ctx, "}\n");
    }
    for (int64_t i = 0; i < nodes.size; i++) {
        nodes.data[i]->mark = 0;
    }
    vec_fini(&nodes);
    return status;
}

Status
graph_describe(Array *x, bool dot, void (*write)(void *ctx, const char *text), void *ctx)
{
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    Node *node = trace_node(trace, x);
    if (node == NULL) {
        return STATUS_ERROR;
    }
    const Status status = describe(&node, 1, dot, write, ctx);
    node_release(node);
    return status;
}

/* The elements of all guards one after the other, as float64. */
static Node *
joined(const GuardNodes *guards)
{
    const int64_t axis[1] = {0}, none[1] = {0};
    Node *all = build_full(0.0, DT_f64, 1, none);
    for (int64_t i = 0; i < guards->size && all != NULL; i++) {
        Node *guard = build_cast(guards->data[i], DT_f64);
        Node *pair[2] = {all, guard == NULL ? NULL : build_reshape(guard, 1, &guard->size)};
        all = build_primitive(OP_concatenate, pair, 2, axis, 1);
    }
    return all;
}

static Status
give_values(Node *const *nodes, int n, Array **values)
{
    if (evaluate_nodes(nodes, n, false) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < n; i++) {
        values[i] = node_value(nodes[i]);
        if (values[i] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

Status
graph_simplified(Array *const *x, int n, bool hoist, void (*write)(void *ctx, const char *text),
                 void *ctx, Array **values, Array **guards)
{
    enum { MANY = 64 };
    Node *nodes[MANY], *out[MANY + 1];
    Array *found[MANY + 1] = {NULL};
    GuardNodes list = {0};
    SimplifyOptions options = simplify_options();
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    const int64_t mark = arena_mark();
    Status status = n <= MANY ? STATUS_OK : err_set(ERR_VALUE, "simplified: too many arrays");
    for (int i = 0; status == STATUS_OK && i < n; i++) {
        nodes[i] = arena_keep(trace_node(trace, x[i]));
        status = nodes[i] == NULL ? STATUS_ERROR : STATUS_OK;
    }
    options.hoist = options.hoist && hoist;
    if (status == STATUS_OK) {
        status = simplify(nodes, n, options, out, &list);
    }
    if (status == STATUS_OK) {
        status = describe(out, n, false, write, ctx);
    }
    if (status == STATUS_OK) {
        out[n] = joined(&list);
        status = out[n] == NULL ? STATUS_ERROR : give_values(out, n + 1, found);
    }
    for (int i = 0; i < n; i++) {
        values[i] = found[i];
    }
    *guards = found[n];
    vec_fini(&list);
    arena_reset(mark);
    return status;
}

void
graph_live(int64_t *arrays, int64_t *storages, int64_t *nodes)
{
    *arrays = array_live();
    *storages = storage_live();
    *nodes = node_live_count;
}
