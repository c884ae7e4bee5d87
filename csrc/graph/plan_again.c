/* graph/plan_again.c -- values computed again where that costs less than keeping them.
 *
 * A sum over the long axis of the data parts what comes before it from what reads it: these are
 * different passes over the data. An elementwise value that a later pass reads would be written
 * to memory and read back, however cheap it is. Here it becomes a second node there, if all that
 * it needs is in memory anyway. Such a node waits for what its readers wait for, else it would be
 * computed together with the first. */
#include "backend/backend.h"
#include "base/mem.h"
#include "base/vec.h"
#include "graph/plan_builder.h"
#include "graph/stage_roles.h"

#include <string.h>

enum {
    PASSES = 8,     /* that are looked at */
    FEW = 256,      /* elements of a sum over the long axis, at most */
    DEEPEST = 12,   /* nodes below one that is computed again */
    /* Costs for each element, in bytes of memory traffic that take as long. */
    COST_CHEAP = 1,
    COST_EXP = 10,
    COST_READ = 8,
    COST_KEPT = 24, /* its line is fetched, written, and read */
    COST_NEVER = 1000
};

typedef struct Again {
    const PlanGraph *g;
    int32_t *root;    /* below views */
    int32_t *wait;    /* what the node's pass begins with, -1: nothing */
    uint8_t *pass;
    bool *after;      /* whole only when its pass is over */
    bool *kept;       /* in memory in any case */
    uint8_t *read;    /* passes that read it, of what is in memory: a bit each */
    uint8_t *tried, *redo;  /* passes for which it was thought about, and to compute it again in */
    uint8_t *needed;  /* passes whose version is read */
    int32_t *counted; /* the last question whose cost the node is part of */
    int32_t question;
    int64_t kept_size; /* elements of the largest value in memory that it is made from */
    int32_t *place;   /* in the new graph, PASSES for each node */
    int64_t least;
    bool any;
} Again;

static bool
is_long(const Again *a, int32_t at)
{
    return a->g->nodes[a->root[at]]->size >= a->least;
}

/* Computed in one pass from long values, so not there before it. */
static bool
is_swept(const Again *a, int32_t at)
{
    return is_long(a, at) && !a->g->leaf[a->root[at]];
}

/* A sum, product with the transpose, or the like, that needs all rows? */
static bool
ends_a_pass(const Again *a, int32_t at)
{
    const Node *node = a->g->nodes[at];
    if (node->size > FEW || stage_is_view(node)) {
        return false;
    }
    return op_info((OpCode)node->op)->axis_map != AXES_REDUCE || node->params[2] == 0;
}

static void
find_pass(Again *a, int32_t at)
{
    const PlanGraph *g = a->g;
    const Node *node = g->nodes[at];
    const bool view = stage_is_view(node) && !g->leaf[at];
    a->root[at] = view ? a->root[plan_graph_input(g, at, 0)] : at;
    a->wait[at] = -1;
    const bool swept = is_swept(a, at) && !view;
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        const int32_t input = plan_graph_input(g, at, k);
        const bool over = a->after[input] && swept;
        const int pass = a->pass[input] + over;
        if (pass > a->pass[at]) {
            a->pass[at] = (uint8_t)(pass < PASSES ? pass : PASSES - 1);
            a->wait[at] = over ? input : a->wait[input];
            a->after[at] = false;
        }
        if (pass == a->pass[at]) {
            const bool whole = is_swept(a, input) && !swept && ends_a_pass(a, at);
            a->wait[at] = a->wait[at] >= 0 ? a->wait[at] : over ? input : a->wait[input];
            a->after[at] = a->after[at] || whole || (a->after[input] && !over);
        }
    }
}

/* Does the node read its inputs within a pass? Others want them in memory. */
static bool
reads_in_pass(const Node *node)
{
    switch (op_info((OpCode)node->op)->axis_map) {
    case AXES_ELEMENTWISE:
    case AXES_VIEW:
    case AXES_REDUCE:
    case AXES_MATMUL:
    case AXES_GATHER:
    case AXES_SCATTER: return true;
    default: return false;
    }
}

static void
find_kept(Again *a)
{
    const PlanGraph *g = a->g;
    for (int32_t i = 0; i < g->count; i++) {
        const Node *node = g->nodes[i];
        a->kept[i] = a->kept[i] || g->leaf[i] || g->result[i] || !reads_in_pass(node);
        if (g->result[i]) {
            a->kept[a->root[i]] = true;
        }
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            const int32_t root = a->root[plan_graph_input(g, i, k)];
            if (!reads_in_pass(node)) {
                a->kept[root] = true;
            }
            if (!stage_is_view(node)) {
                a->read[root] |= (uint8_t)(1U << a->pass[i]);
            }
        }
    }
}

static int cost_again(Again *a, int32_t at, int pass, int depth);

/* What it costs the pass to have the value without its being kept for that. */
static int
cost_of_input(Again *a, int32_t input, int pass, int depth)
{
    const int32_t root = a->root[input];
    const int64_t size = a->g->nodes[root]->size;
    a->kept_size = a->kept[root] && size > a->kept_size ? size : a->kept_size;
    if (!is_long(a, root) || a->counted[root] == a->question ||
        (a->kept[root] && (a->read[root] >> pass & 1) != 0)) {
        return 0;
    }
    a->counted[root] = a->question;
    return a->kept[root] ? COST_READ : cost_again(a, root, pass, depth);
}

static int
cost_again(Again *a, int32_t at, int pass, int depth)
{
    const Node *node = a->g->nodes[at];
    if (depth == 0 || !builder_is_elementwise(node)) {
        return COST_NEVER;
    }
    const bool cheap = node->op == OP_cast || (op_info((OpCode)node->op)->flags & FLAG_CHEAP) != 0;
    int cost = cheap ? COST_CHEAP : node->op == OP_exp ? COST_EXP : COST_NEVER;
    for (int k = 0; k < plan_graph_nin(a->g, at) && cost < COST_NEVER; k++) {
        cost += cost_of_input(a, plan_graph_input(a->g, at, k), pass, depth - 1);
    }
    return cost;
}

/* Is the pass to compute the value, of an earlier one, again? */
static bool
is_again(Again *a, int32_t at, int pass)
{
    const uint8_t bit = (uint8_t)(1U << pass);
    if (!is_swept(a, at) || a->kept[a->root[at]] || a->pass[at] >= pass) {
        return false;
    }
    at = a->root[at];
    if ((a->tried[at] & bit) == 0) {
        a->tried[at] |= bit;
        a->question++;
        a->kept_size = 0;
        const bool pays = cost_again(a, at, pass, DEEPEST) < COST_KEPT;
        /* Pairs of shorter values are no case for this: stages walk them along lines. */
        a->redo[at] |= pays && a->kept_size >= a->g->nodes[at]->size ? bit : 0;
    }
    return (a->redo[at] & bit) != 0;
}

/* The pass whose version of the input a reader of this pass takes. What a second node needs of
 * earlier passes was found to be in memory or cheap. */
static int
version(Again *a, int32_t input, int pass, bool again)
{
    const int32_t root = a->root[input];
    if (again && is_swept(a, root) && !a->kept[root] && a->pass[root] < pass) {
        return pass;
    }
    return is_again(a, input, pass) ? pass : a->pass[input];
}

/* Which versions of which nodes are read, from the results on. */
static void
find_needed(Again *a)
{
    const PlanGraph *g = a->g;
    for (int32_t i = g->count - 1; i >= 0; i--) {
        a->needed[i] |= (uint8_t)(g->result[i] || g->readers[i] == 0 ? 1U << a->pass[i] : 0);
        for (int pass = 0; pass < PASSES; pass++) {
            const bool again = pass != a->pass[i];
            if ((a->needed[i] >> pass & 1) == 0 || g->leaf[i]) {
                continue;
            }
            a->any = a->any || again;
            for (int k = 0; k < plan_graph_nin(g, i); k++) {
                const int32_t input = plan_graph_input(g, i, k);
                a->needed[input] |= (uint8_t)(1U << version(a, input, pass, again));
            }
        }
    }
}

/* ---- the new graph ---- */

typedef struct NewGraph {
    VEC(Node *) nodes;
    VEC(int32_t) first, inputs, waits, old;
} NewGraph;

static Status
add(Again *a, NewGraph *to, int32_t at, int pass, int32_t wait)
{
    const PlanGraph *g = a->g;
    int32_t *place = &a->place[(int64_t)at * PASSES + pass];
    const bool again = pass != a->pass[at];
    if (*place >= 0) {
        return STATUS_OK;
    }
    /* What is computed again comes right before its first reader. */
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        const int32_t input = plan_graph_input(g, at, k);
        const int from = version(a, input, pass, again);
        if (from != a->pass[input] &&
            add(a, to, input, from, again ? wait : a->wait[at]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    *place = (int32_t)to->nodes.size;
    if (vec_push(&to->nodes, g->nodes[at]) != STATUS_OK ||
        vec_push(&to->first, (int32_t)to->inputs.size) != STATUS_OK ||
        vec_push(&to->waits, again && wait >= 0 ? a->place[(int64_t)wait * PASSES + a->pass[wait]]
                                                : -1) != STATUS_OK ||
        vec_push(&to->old, at) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        const int32_t input = plan_graph_input(g, at, k);
        const int from = version(a, input, pass, again);
        if (vec_push(&to->inputs, a->place[(int64_t)input * PASSES + from]) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Status
add_all(Again *a, NewGraph *to)
{
    memset(a->place, 0xff, (size_t)a->g->count * PASSES * sizeof(int32_t));
    for (int32_t i = 0; i < a->g->count; i++) {
        if ((a->needed[i] >> a->pass[i] & 1) != 0 && add(a, to, i, a->pass[i], -1) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

static Status
replace(PlanGraph *g, const NewGraph *to)
{
    PlanGraph fresh;
    if (plan_graph_allocate(&fresh, to->nodes.size, to->inputs.size) != STATUS_OK) {
        plan_graph_fini(&fresh);
        return STATUS_ERROR;
    }
    fresh.careful = g->careful;
    for (int32_t i = 0; i < fresh.count; i++) {
        const int32_t old = to->old.data[i];
        fresh.nodes[i] = to->nodes.data[i];
        node_retain(fresh.nodes[i]);
        fresh.first[i] = to->first.data[i];
        fresh.wait[i] = to->waits.data[i];
        fresh.leaf[i] = g->leaf[old];
        fresh.result[i] = g->result[old];
        fresh.readers[i] = g->result[old];
    }
    fresh.first[fresh.count] = (int32_t)to->inputs.size;
    for (int32_t e = 0; e < to->inputs.size; e++) {
        fresh.inputs[e] = to->inputs.data[e];
        fresh.readers[fresh.inputs[e]]++;
    }
    plan_graph_fini(g);
    *g = fresh;
    return STATUS_OK;
}

static Status
compute_again(Again *a, PlanGraph *g)
{
    NewGraph to = {0};
    for (int32_t i = 0; i < g->count; i++) {
        find_pass(a, i);
    }
    find_kept(a);
    find_needed(a);
    Status status = STATUS_OK;
    if (a->any) {
        status = add_all(a, &to);
        status = status == STATUS_OK ? replace(g, &to) : status;
    }
    vec_fini(&to.nodes);
    vec_fini(&to.first);
    vec_fini(&to.inputs);
    vec_fini(&to.waits);
    vec_fini(&to.old);
    return status;
}

Status
plan_graph_again(PlanGraph *g, int64_t least)
{
    bool large = false;
    for (int32_t i = 0; i < g->count && !large; i++) {
        large = g->nodes[i]->size >= least && !g->leaf[i];
    }
    if (!large) {
        return STATUS_OK;
    }
    const size_t n = (size_t)g->count, words = n * (3 + PASSES) * sizeof(int32_t);
    const size_t bytes = words + 7 * n;
    char *memory = mem_new_zeroed(bytes);
    if (memory == NULL) {
        return STATUS_ERROR;
    }
    Again a = {.g = g, .least = least};
    a.root = (int32_t *)(void *)memory;
    a.wait = a.root + n;
    a.counted = a.wait + n;
    a.place = a.counted + n;
    a.pass = (uint8_t *)memory + words;
    a.read = a.pass + n;
    a.tried = a.read + n;
    a.redo = a.tried + n;
    a.needed = a.redo + n;
    a.after = (bool *)(a.needed + n);
    a.kept = a.after + n;
    const Status status = compute_again(&a, g);
    mem_free(memory, bytes);
    return status;
}
