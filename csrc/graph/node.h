/* graph/node.h -- one application of an op: (op, inputs, parameters) with its result's spec. */
#ifndef PYARR_GRAPH_NODE_H
#define PYARR_GRAPH_NODE_H

#include "ops/infer.h"

/* Codes beyond the op table: leaves, and (out, args...) [rule] with its own derivative. */
enum { OP_constant = OP_COUNT, OP_argument, OP_custom, OP_NODE_COUNT };

enum NodeFlags {
    NODE_STOP = 1 << 0,   /* passes no derivative on (stop_gradient) */
    NODE_STALE = 1 << 1,  /* its memory was written again; value is gone */
    NODE_WANTED = 1 << 2, /* its cotangent is a result of the backward pass that is running */
    NODE_LITERAL = 1 << 3,  /* a constant whose value is part of the structure */
    NODE_BACKWARD = 1 << 4, /* made by a backward pass: its rounding is ours to choose */
    NODE_GIVEN = 1 << 5     /* depends on an argument of a capture (capture.h) */
};

enum { NODE_MOST_EXPONENT = 16 }; /* of powers that are taken as products */

typedef struct Node Node;

/* node_new sets every field. */
struct Node {
    int32_t refcount;
    uint16_t op;
    uint8_t dtype; /* DType */
    uint8_t weak;  /* Weak */
    int16_t ndim;
    uint8_t flags;
    uint8_t running; /* threads that compute it right now */
    int32_t nin;
    int32_t nparams;
    int64_t size;   /* elements */
    uint64_t mask;  /* the open transforms, and the tape, that it depends on */
    uint64_t seq;   /* order of creation: every input is smaller */
    Array *value;   /* concrete, or NULL */
    uint64_t value_version;    /* of value->storage when it was noted */
    struct Binding *binding;   /* the storage that holds this value in eager mode, not owned */
    Node *next_reader;         /* constants over the same storage, see trace.c */
    Node *previous_reader;
    struct Binding *readers_of;
    uintptr_t line;  /* the user's line (hooks.h) */
    int32_t instruction;
    int32_t stale_instruction;
    uintptr_t stale_line;
    int64_t mark;    /* scratch of the pass that is running; 0 whenever other code may run */
    Node **inputs;
    int64_t *params;
    int64_t *shape;
    size_t block_size;
};

/*
 * New node with its inputs retained. The mask is what differentiable inputs depend on, 0
 * when the result can have no derivative. NULL with ERR_MEMORY set.
 */
Node *node_new(int op, Node *const *inputs, int nin, const int64_t *params, int nparams,
               const Spec *spec);
/* A leaf that stands for a concrete array (retained). */
Node *node_new_constant(Array *value);
static inline Node *node_retain(Node *n) { n->refcount++; return n; }
void node_free(Node *node); /* with a count of 0; never recurses, however deep the graph */
static inline void
node_release(Node *node) /* NULL is fine */
{
    if (node != NULL && --node->refcount == 0) {
        node_free(node);
    }
}
/* Forget inputs (an evaluated node that nothing differentiates becomes a constant). */
void node_make_constant(Node *node);

/* Whether nodes that this thread makes are NODE_BACKWARD from now on; gives what it was. */
bool node_set_backward(bool on);
/* Nodes that this thread makes stand for `origin` and name its line, until this is called with
 * NULL: then they name the line that is running. */
void node_set_origin(const Node *origin);

void node_spec(const Node *node, Spec *spec); /* the spec of its result */
const char *node_op_name(int op);
/* By order of creation: inputs before readers. */
void nodes_sort(Node **nodes, int64_t count);
/* May the op work in the memory of its first input? (assign, the scatter family) */
bool node_writes_base(const Node *node);
static inline bool node_is_active(const Node *n) { return n->mask != 0; }
/* The value of a literal with one element, or a broadcast of it, as a real double. */
bool node_uniform(const Node *node, double *value);
/* "mul at model.py:12 in f" into a buffer. */
const char *node_text(const Node *node, char *buffer, int size);
/* "model.py:12 in f", the user's line that is executing; empty when unknown. */
const char *node_line_now(char *buffer, int size);
/* The error of a look at what depends on the arguments of a capture. what: who looks, or NULL. */
Status node_refuse_look(const Node *node, const char *what);

extern int64_t node_live_count;

#endif
