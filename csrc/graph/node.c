/* graph/node.c -- making, sharing and freeing nodes. */
#include "graph/node.h"

#include "base/hooks.h"
#include "base/mem.h"
#include "graph/trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int64_t node_live_count;
static uint64_t node_next_seq = 1;
static _Thread_local bool node_backward;

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

static uint64_t
mask_of(int op, Node *const *inputs, int nin, const Spec *spec)
{
    if (!dtype_is_inexact(spec->dtype)) {
        return 0;
    }
    if (op < OP_COUNT && (op_info((OpCode)op)->flags & FLAG_NONDIFF)) {
        return 0;
    }
    uint64_t mask = 0;
    for (int i = 0; i < nin; i++) {
        if (op_differentiates_input(op, i)) {
            mask |= inputs[i]->mask;
        }
    }
    return mask;
}

Node *
node_new(int op, Node *const *inputs, int nin, const int64_t *params, int nparams,
         const Spec *spec)
{
    const size_t size = sizeof(Node) + (size_t)nin * sizeof(Node *) +
                        (size_t)(nparams + spec->ndim) * sizeof(int64_t);
    Node *node = mem_new(size);
    if (node == NULL) {
        return NULL;
    }
    memset(node, 0, sizeof *node);
    node->refcount = 1;
    node->op = (uint16_t)op;
    node->dtype = (uint8_t)spec->dtype;
    node->weak = (uint8_t)spec->weak;
    node->ndim = (int16_t)spec->ndim;
    node->nin = nin;
    node->nparams = nparams;
    node->block_size = size;
    node->inputs = (Node **)(node + 1);
    node->params = (int64_t *)(node->inputs + nin);
    node->shape = node->params + nparams;
    node->size = 1;
    for (int i = 0; i < nin; i++) {
        node->inputs[i] = node_retain(inputs[i]);
    }
    if (nparams > 0) {
        memcpy(node->params, params, (size_t)nparams * sizeof(int64_t));
    }
    for (int i = 0; i < spec->ndim; i++) {
        node->shape[i] = spec->shape[i];
        node->size *= spec->shape[i];
    }
    node->mask = mask_of(op, inputs, nin, spec);
    node->seq = node_next_seq++;
    node->flags = node_backward ? NODE_BACKWARD : 0;
    node->line = host_hooks.line_now(&node->instruction);
    node_live_count++;
    return node;
}

bool
node_set_backward(bool on)
{
    const bool before = node_backward;
    node_backward = on;
    return before;
}

Node *
node_new_constant(Array *value)
{
    Spec spec = {.dtype = (DType)value->dtype, .weak = (Weak)value->weak, .ndim = value->ndim};
    memcpy(spec.shape, value->shape, (size_t)value->ndim * sizeof(int64_t));
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
node_release(Node *node)
{
    static Node *waiting;
    static bool busy;
    if (node == NULL || --node->refcount > 0) {
        return;
    }
    assert(node->refcount == 0);
    trace_forget_node(node);
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
        mem_free(dead, dead->block_size);
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

Spec
node_spec(const Node *node)
{
    Spec spec;
    spec.dtype = (DType)node->dtype;
    spec.weak = (Weak)node->weak;
    spec.ndim = node->ndim;
    memcpy(spec.shape, node->shape, (size_t)node->ndim * sizeof(int64_t));
    return spec;
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
