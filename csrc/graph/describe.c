/* graph/describe.c -- nodes as text and as Graphviz, and counts of what is alive. */
#include "base/hooks.h"
#include "base/vec.h"
#include "graph/graph.h"
#include "graph/trace.h"

#include <stdio.h>
#include <stdlib.h>

typedef VEC(Node *) NodeVec;

static int
by_seq(const void *a, const void *b)
{
    const Node *x = *(Node *const *)a, *y = *(Node *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static Status
reachable(Node *node, NodeVec *out)
{
    Status status = vec_push(out, node);
    node->mark = 1;
    for (int64_t at = 0; status == STATUS_OK && at < out->size; at++) {
        Node *here = out->data[at];
        for (int i = 0; i < here->nin && status == STATUS_OK; i++) {
            if (here->inputs[i]->mark == 0) {
                status = vec_push(out, here->inputs[i]);
                here->inputs[i]->mark = status == STATUS_OK;
            }
        }
    }
    qsort(out->data, (size_t)out->size, sizeof(Node *), by_seq);
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

Status
graph_describe(Array *x, bool dot, void (*write)(void *ctx, const char *text), void *ctx)
{
    Trace *trace = trace_current() != NULL ? trace_current() : trace_tape();
    Node *node = trace_node(trace, x);
    if (node == NULL) {
        return STATUS_ERROR;
    }
    NodeVec nodes = {0};
    const Status status = reachable(node, &nodes);
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
    node_release(node);
    return status;
}

void
graph_live(int64_t *arrays, int64_t *storages, int64_t *nodes)
{
    *arrays = array_live();
    *storages = storage_live();
    *nodes = node_live_count;
}
