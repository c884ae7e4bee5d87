/* graph/trace.h -- which node a storage stands for: the trace of a thread, and the tape.
 *
 * A trace belongs to the thread that opened it and lives as long as its outermost transform.
 * The tape is the one trace that is never closed: it holds what requires_grad started, with
 * values already computed. Bindings of a storage form a list; each names its trace.
 */
#ifndef PYARR_GRAPH_TRACE_H
#define PYARR_GRAPH_TRACE_H

#include "base/vec.h"
#include "graph/node.h"

typedef struct Trace Trace;

/* A constant that is a copy, and the array whose elements it had. */
typedef struct Copied {
    Node *node;
    Array *original;
} Copied;
typedef struct Binding Binding;

struct Binding {
    Trace *trace;
    Storage *storage; /* not owned: the binding dies with it */
    Node *node;       /* owned; NULL when the storage is only read */
    Node *readers;    /* constants that read the storage's memory in place */
    bool flat;        /* node is 1-d over all the storage's bytes */
    bool carried_out; /* the writes are in memory already */
    bool leaf;        /* requires_grad was set on it */
    Array *grad;      /* of a leaf: what backward has added up, 1-d over the storage */
    Binding *next_of_storage;
    Binding *next, *previous; /* in the trace */
};

enum { TRACE_MAX_TRANSFORMS = 63 };
#define TAPE_MASK (UINT64_C(1) << 63)

struct Trace {
    bool is_tape;
    unsigned interruptions; /* of the thread when it was opened */
    bool captures;      /* its arguments will be others when its plan is run (capture.h) */
    int64_t begin;      /* for the profile */
    uint64_t serial;    /* tells traces apart that lie at one address */
    int depth;          /* open transforms */
    uint64_t used_bits; /* of the node masks: transforms whose pullback may still be asked for */
    uint64_t open_bits; /* of those, the ones whose function is running */
    Binding *bindings;
    int64_t pinned;     /* bytes of foreign leaves and constants held by nodes */
    int64_t recorded;   /* nodes since the last relief */
    VEC(Node *) given;  /* arguments of a capture, in order */
    VEC(Copied) copied; /* of a capture; both retained */
};

/* This thread's open trace, or NULL. */
extern _Thread_local Trace *trace_here;
static inline Trace *trace_current(void) { return trace_here; }
Trace *trace_tape(void);
Status trace_open(void);   /* a new one; there must be none on this thread */
void trace_close(void);    /* drops all bindings */
/* What a capture recorded is fixed: from now on its arguments have their values. */
void trace_end_capture(Trace *trace);

/* The binding of a storage in this trace, or NULL. */
static inline Binding *
trace_find(const Trace *trace, const Storage *storage)
{
    Binding *b = storage->bindings;
    while (b != NULL && b->trace != trace) {
        b = b->next_of_storage;
    }
    return b;
}
/* The binding that gives the storage its node: this trace's (NULL: none is open), else the
 * tape's, else NULL. */
Binding *trace_find_node(const Trace *trace, const Storage *storage);
/* Is it bound in any trace (so that eager work must look closer)? */
static inline bool storage_is_bound(const Storage *s) { return s->bindings != NULL; }
/* Let `storage` stand for `node` (retained) from now on. */
Status trace_bind(Trace *trace, Storage *storage, Node *node, bool flat);
void trace_unbind(Binding *binding);
/* The constant reads its storage in place; note it, so that a write can snapshot it first. */
Status trace_add_reader(Trace *trace, Node *constant);
/* Copy what in-place readers of this storage still need, before the memory changes. */
Status trace_snapshot_readers(Trace *trace, Storage *storage);
/* Called when a node dies. */
void trace_forget_node(Node *node);

/* Foreign memory up to so many bytes is copied when it is recorded, so that later writes by its
 * owner do not matter; larger memory is read in place when the trace is computed. */
enum { TRACE_COPY_LIMIT = 64 * 1024 };

/*
 * The node for the current elements of `a`: a new reference, or NULL with the error set.
 * Views of bound storages become view nodes; concrete arrays become constants.
 */
Node *trace_node(Trace *trace, Array *a);
/* The whole storage as one node (1-d, or the bound node), for writes through views. */
Node *trace_base_node(Trace *trace, Array *a, bool *flat);
/* `a` as a geometry over a base of the given dtype: [offset, ndim, shape, strides] in
 * elements. ERR_TYPE when it does not lie on the element grid. Returns the count. */
int trace_geometry(const Array *a, int64_t *params);
/* Give the storage memory with its node's value, written through to whoever sees it, and
 * forget the node; other nodes keep the elements they read. */
Status binding_carry_out(Binding *binding);
/* Copy a value into a storage (or hand its memory over, if allowed and nobody shares it). */
Status storage_fill(Storage *storage, Array *value, bool may_take);
/* The leaf's memory was written under no_grad: it becomes a fresh leaf. */
Status tape_renew_leaf(Binding *binding);
/* A recorded array for a node: virtual storage, bound. */
Array *trace_new_array(Trace *trace, Node *node, Device *device);

void trace_init(void); /* once, at import */

/* A trace that pins more bytes than this evaluates its inactive part. */
extern int64_t trace_pin_limit;

#endif
