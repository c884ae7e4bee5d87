/* graph/plan_graph.c -- the nodes behind some results as a list. */
#include "base/mem.h"
#include "graph/evaluate.h"
#include "graph/plan_steps.h"

#include <string.h>

typedef VEC(Node *) NodeList;

static Status
reach(NodeList *list, Node *node)
{
    if (node->mark != 0) {
        return STATUS_OK;
    }
    if (vec_push(list, node) != STATUS_OK) {
        return STATUS_ERROR;
    }
    node_retain(node);
    node->mark = 1;
    return STATUS_OK;
}

static Status
reach_all(NodeList *list, Node *const *nodes, int64_t count)
{
    Status status = STATUS_OK;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        status = nodes[i] == NULL ? STATUS_OK : reach(list, nodes[i]);
    }
    return status;
}

static Status
collect(NodeList *list)
{
    Status status = STATUS_OK;
    for (int64_t at = 0; at < list->size && status == STATUS_OK; at++) {
        Node *node = list->data[at];
        for (int k = 0; k < node->nin && !node_has_value(node) && status == STATUS_OK; k++) {
            status = reach(list, node->inputs[k]);
        }
    }
    nodes_sort(list->data, list->size);
    for (int64_t i = 0; i < list->size; i++) {
        list->data[i]->mark = i + 1;
    }
    return status;
}

Status
plan_graph_allocate(PlanGraph *g, int64_t count, int64_t ninputs)
{
    const size_t n = (size_t)count;
    memset(g, 0, sizeof *g);
    g->count = (int32_t)count;
    g->ninputs = ninputs;
    g->nodes = mem_new_zeroed(n * sizeof(Node *) + 1);
    g->first = mem_new_zeroed((n + 1) * sizeof(int32_t));
    g->inputs = mem_new((size_t)ninputs * sizeof(int32_t) + 1);
    g->readers = mem_new_zeroed(n * sizeof(int32_t) + 1);
    g->wait = mem_new(n * sizeof(int32_t) + 1);
    g->leaf = mem_new_zeroed(n * sizeof(bool) + 1);
    g->result = mem_new_zeroed(n * sizeof(bool) + 1);
    if (g->nodes == NULL || g->first == NULL || g->inputs == NULL || g->readers == NULL ||
        g->wait == NULL || g->leaf == NULL || g->result == NULL) {
        return STATUS_ERROR;
    }
    memset(g->wait, 0xff, n * sizeof(int32_t));
    return STATUS_OK;
}

static void
note_edges(PlanGraph *g)
{
    int32_t at = 0;
    for (int32_t i = 0; i < g->count; i++) {
        Node *node = g->nodes[i];
        g->first[i] = at;
        g->leaf[i] = node->nin == 0 || node_has_value(node);
        for (int k = 0; k < node->nin && !g->leaf[i]; k++) {
            const int32_t input = (int32_t)node->inputs[k]->mark - 1;
            g->inputs[at++] = input;
            g->readers[input]++;
        }
    }
    g->first[g->count] = at;
}

static void
note_results(PlanGraph *g, Node *const *targets, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (targets[i] != NULL) {
            g->result[targets[i]->mark - 1] = true;
            g->readers[targets[i]->mark - 1]++;
        }
    }
}

Status
plan_graph_init(PlanGraph *g, Node *const *targets, int64_t count, Node *const *guards,
                int64_t nguards)
{
    NodeList list = {0};
    int64_t ninputs = 0;
    Status status = reach_all(&list, targets, count);
    if (status == STATUS_OK) {
        status = reach_all(&list, guards, nguards);
    }
    if (status == STATUS_OK) {
        status = collect(&list);
    }
    for (int64_t i = 0; i < list.size; i++) {
        ninputs += list.data[i]->nin;
    }
    const Status room = plan_graph_allocate(g, list.size, ninputs);
    for (int64_t i = 0; i < list.size && room != STATUS_OK; i++) {
        list.data[i]->mark = 0;
        node_release(list.data[i]);
    }
    if (room != STATUS_OK) {
        vec_fini(&list);
        return STATUS_ERROR;
    }
    for (int64_t i = 0; i < list.size; i++) {
        g->nodes[i] = list.data[i];
    }
    if (status == STATUS_OK) {
        note_edges(g);
        note_results(g, targets, count);
        note_results(g, guards, nguards);
    }
    for (int32_t i = 0; i < g->count; i++) {
        g->nodes[i]->mark = 0;
    }
    vec_fini(&list);
    return status;
}

Status
plan_graph_link(PlanGraph *g)
{
    const size_t count = (size_t)g->count;
    g->first_reader = mem_new_zeroed((count + 2) * sizeof(int32_t));
    g->read_by = mem_new((size_t)g->ninputs * sizeof(int32_t) + 1);
    if (g->first_reader == NULL || g->read_by == NULL) {
        return STATUS_ERROR;
    }
    int32_t *next = g->first_reader + 1; /* moves from where a node's readers begin to their end */
    for (int32_t e = 0; e < g->first[count]; e++) {
        next[g->inputs[e] + 1]++;
    }
    for (int32_t i = 0; i < g->count; i++) {
        next[i + 1] += next[i];
    }
    for (int32_t i = 0; i < g->count; i++) {
        for (int32_t e = g->first[i]; e < g->first[i + 1]; e++) {
            g->read_by[next[g->inputs[e]]++] = i;
        }
    }
    return STATUS_OK;
}

void
plan_graph_fini(PlanGraph *g)
{
    const size_t count = (size_t)g->count;
    for (int32_t i = 0; i < g->count && g->nodes != NULL; i++) {
        node_release(g->nodes[i]);
    }
    mem_free(g->nodes, count * sizeof(Node *) + 1);
    mem_free(g->first, (count + 1) * sizeof(int32_t));
    mem_free(g->inputs, (size_t)g->ninputs * sizeof(int32_t) + 1);
    mem_free(g->readers, count * sizeof(int32_t) + 1);
    mem_free(g->first_reader, (count + 2) * sizeof(int32_t));
    mem_free(g->read_by, (size_t)g->ninputs * sizeof(int32_t) + 1);
    mem_free(g->wait, count * sizeof(int32_t) + 1);
    mem_free(g->leaf, count * sizeof(bool) + 1);
    mem_free(g->result, count * sizeof(bool) + 1);
}

int64_t
node_flops(const Node *node)
{
    const Node *x = node->nin > 0 ? node->inputs[0] : node;
    switch (node->op) {
    case OP_matmul:
        return 2 * node->size * (x->ndim > 0 ? x->shape[x->ndim - 1] : 1);
    case OP_view:
    case OP_cast:
    case OP_copy:
        return 0;
    default:
        return node->size > x->size ? node->size : x->size;
    }
}
