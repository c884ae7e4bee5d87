/* graph/node.c -- making, sharing and freeing nodes. */
#include "graph/node.h"

#include "base/hooks.h"
#include "base/freelist.h"
#include "graph/trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nodes with few inputs, parameters and axes have blocks of one size. */
enum { NODE_BLOCK = 256 };
static FreeList free_nodes = {.limit = 512, .size = NODE_BLOCK};

int64_t node_live_count;
static uint64_t node_next_seq = 1;
static _Thread_local bool node_backward;
static _Thread_local const Node *node_origin;

const char *
node_op_name(int op)
{
    switch (op) {
    case OP_constant:
        return "constant";
    case OP_argument:
        return "argument";
    case OP_custom:
        return "custom_vjp";
    default:
        return op_info((OpCode)op)->name;
    }
}

static bool
op_differentiates_input(int op, int input)
{
    switch (op) {
    case OP_gather:
    case OP_take_along:
        return input == 0;
    case OP_scatter:
    case OP_scatter_add:
    case OP_put_along_add:
        return input < 2;
    default:
        return true;
    }
}

/* Give a new node its inputs, and the mask of those that count. */
static void
take_inputs(Node *node, Node *const *inputs, int nin)
{
    const int op = node->op;
    const bool none = !dtype_is_inexact((DType)node->dtype) ||
                      (op < OP_COUNT && (op_info((OpCode)op)->flags & FLAG_NONDIFF));
    uint64_t mask = 0;
    for (int i = 0; i < nin; i++) {
        node->inputs[i] = node_retain(inputs[i]);
        node->flags |= inputs[i]->flags & NODE_GIVEN;
        if (op_is_elementwise((OpCode)op) || op_differentiates_input(op, i)) {
            mask |= inputs[i]->mask;
        }
    }
    node->mask = none ? 0 : mask;
}

static void
note_line(Node *node)
{
    if (node_origin == NULL) {
        node->line = host_hooks.line_now(&node->instruction);
        return;
    }
    node->line = node_origin->line;
    node->instruction = node_origin->instruction;
    if (node->line != 0) {
        host_hooks.line_retain(node->line);
    }
}

Node *
node_new(int op, Node *const *inputs, int nin, const int64_t *params, int nparams,
         const Spec *spec)
{
    const size_t size = sizeof(Node) + (size_t)nin * sizeof(Node *) +
                        (size_t)(nparams + spec->ndim) * sizeof(int64_t);
    Node *node = size <= NODE_BLOCK ? freelist_new(&free_nodes) : mem_new(size);
    if (node == NULL) {
        return NULL;
    }
    /* Field by field: clearing so large a struct as a whole takes longer than all the rest. */
    node->refcount = 1;
    node->op = (uint16_t)op;
    node->dtype = (uint8_t)spec->dtype;
    node->weak = (uint8_t)spec->weak;
    node->ndim = (int16_t)spec->ndim;
    node->flags = node_backward ? NODE_BACKWARD : 0;
    node->running = 0;
    node->nin = nin;
    node->nparams = nparams;
    node->seq = node_next_seq++;
    node->value = NULL;
    node->value_version = 0;
    node->binding = NULL;
    node->next_reader = node->previous_reader = NULL;
    node->readers_of = NULL;
    node->line = node->stale_line = 0;
    node->instruction = node->stale_instruction = -1;
    node->mark = 0;
    node->block_size = size;
    node->inputs = (Node **)(node + 1);
    node->params = (int64_t *)(node->inputs + nin);
    node->shape = node->params + nparams;
    take_inputs(node, inputs, nin);
    for (int i = 0; i < nparams; i++) {
        node->params[i] = params[i];
    }
    int64_t elements = 1;
    for (int i = 0; i < spec->ndim; i++) {
        node->shape[i] = spec->shape[i];
        elements *= spec->shape[i];
    }
    node->size = elements;
    note_line(node);
    node_live_count++;
    return node;
}

static int
by_seq(const void *a, const void *b)
{
    const Node *x = *(Node *const *)a, *y = *(Node *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

void
nodes_sort(Node **nodes, int64_t count)
{
    if (count > 1) { /* an empty list may be nowhere */
        qsort(nodes, (size_t)count, sizeof(Node *), by_seq);
    }
}

bool
node_writes_base(const Node *node)
{
    return node->op == OP_assign || node->op == OP_assign_add || node->op == OP_scatter ||
           node->op == OP_scatter_add || node->op == OP_put_along_add;
}

bool
node_set_backward(bool on)
{
    const bool before = node_backward;
    node_backward = on;
    return before;
}

void
node_set_origin(const Node *origin)
{
    node_origin = origin;
}

Node *
node_new_constant(Array *value)
{
    Spec spec; /* a large struct: only what is used is written */
    spec.dtype = (DType)value->dtype;
    spec.weak = (Weak)value->weak;
    spec.ndim = value->ndim;
    for (int i = 0; i < value->ndim; i++) {
        spec.shape[i] = value->shape[i];
    }
    Node *node = node_new(OP_constant, NULL, 0, NULL, 0, &spec);
    if (node != NULL) {
        node->value = array_retain(value);
        node->value_version = value->storage->version;
    }
    return node;
}

static void
node_drop_lines(Node *node)
{
    if (node->line != 0) {
        host_hooks.line_release(node->line);
    }
    if (node->stale_line != 0) {
        host_hooks.line_release(node->stale_line);
    }
}

/* Nodes whose count fell to zero wait on a list threaded through next_reader, so that a
 * chain of a million nodes is freed by a loop. */
void
node_free(Node *node)
{
    static Node *waiting;
    static bool busy;
    assert(node->refcount == 0);
    if (node->readers_of != NULL) {
        trace_forget_node(node);
    }
    node->next_reader = waiting;
    waiting = node;
    if (busy) {
        return;
    }
    busy = true;
    while (waiting != NULL) {
        Node *dead = waiting;
        waiting = dead->next_reader;
        for (int i = 0; i < dead->nin; i++) {
            node_release(dead->inputs[i]);
        }
        array_release(dead->value);
        if (dead->op == OP_custom) {
            host_hooks.rule_release((uintptr_t)dead->params[0]);
        }
        node_drop_lines(dead);
        node_live_count--;
        if (dead->block_size <= NODE_BLOCK) {
            freelist_free(&free_nodes, dead);
        } else {
            mem_free(dead, dead->block_size);
        }
    }
    busy = false;
}

void
node_make_constant(Node *node)
{
    assert(node->value != NULL);
    const int nin = node->nin;
    node->nin = 0;
    node->op = OP_constant;
    for (int i = 0; i < nin; i++) {
        node_release(node->inputs[i]);
    }
}

void
node_spec(const Node *node, Spec *spec)
{
    spec->dtype = (DType)node->dtype;
    spec->weak = (Weak)node->weak;
    spec->ndim = node->ndim;
    for (int i = 0; i < node->ndim; i++) {
        spec->shape[i] = node->shape[i];
    }
}

bool
node_uniform(const Node *node, double *value)
{
    while ((node->op == OP_view && node->inputs[0]->size == 1) ||
           (node->op == OP_cast && dtype_is_inexact((DType)node->dtype))) {
        node = node->inputs[0];
    }
    if (node->op != OP_constant || !(node->flags & NODE_LITERAL) || node->size != 1) {
        return false;
    }
    const char *data = array_data(node->value);
    switch (node->dtype) {
    case DT_bool:
        *value = *data != 0;
        return true;
    case DT_f64:
        memcpy(value, data, sizeof *value);
        return true;
    case DT_i64: {
        int64_t x;
        memcpy(&x, data, sizeof x);
        *value = (double)x;
        return true;
    }
    case DT_f32: {
        float x;
        memcpy(&x, data, sizeof x);
        *value = x;
        return true;
    }
    case DT_c128: {
        double z[2];
        memcpy(z, data, sizeof z);
        *value = z[0];
        return z[1] == 0.0;
    }
    case DT_c64: {
        float z[2];
        memcpy(z, data, sizeof z);
        *value = z[0];
        return z[1] == 0.0F;
    }
    default:
        return false;
    }
}

const char *
node_text(const Node *node, char *buffer, int size)
{
    char line[160] = "";
    if (node->line != 0) {
        host_hooks.line_text(node->line, node->instruction, line, (int)sizeof line);
    }
    snprintf(buffer, (size_t)size, line[0] != '\0' ? "%s at %s" : "%s%s",
             node_op_name(node->op), line);
    return buffer;
}

const char *
node_line_now(char *buffer, int size)
{
    int32_t instruction;
    const uintptr_t line = host_hooks.line_now(&instruction);
    buffer[0] = '\0';
    if (line != 0) {
        host_hooks.line_text(line, instruction, buffer, size);
        host_hooks.line_release(line);
    }
    return buffer;
}

Status
node_refuse_look(const Node *node, const char *what)
{
    char text[256], line[160];
    (void)node_line_now(line, (int)sizeof line);
    return err_set(ERR_TYPE,
                   "jit: the function%s%s looks at a value that depends on its arguments%s%s (%s). "
                   "It is recorded once and run with other values later: use functions such as "
                   "pyarr.where, or leave this part out of jit",
                   line[0] != '\0' ? ", at " : "", line, what != NULL ? " by " : "",
                   what != NULL ? what : "",
                   node->op == OP_constant ? "an argument itself"
                                           : node_text(node, text, (int)sizeof text));
}
