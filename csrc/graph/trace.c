/* graph/trace.c -- bindings between storages and nodes. */
#include "graph/trace.h"

#include "base/freelist.h"
#include "base/profile.h"
#include "base/poll.h"
#include "graph/evaluate.h"

#include <assert.h>
#include <string.h>

_Thread_local Trace *trace_here;
static Trace tape = {.is_tape = true};
static uint64_t trace_count;
static FreeList free_bindings = {.limit = 512, .size = sizeof(Binding)};
int64_t trace_pin_limit = INT64_MAX;

Trace *
trace_tape(void)
{
    return &tape;
}

Status
trace_open(void)
{
    assert(trace_here == NULL);
    trace_here = mem_new_zeroed(sizeof(Trace));
    if (trace_here == NULL) {
        return STATUS_ERROR;
    }
    trace_here->serial = ++trace_count;
    trace_here->interruptions = poll_interruptions();
    trace_here->begin = profile_on ? profile_now() : 0;
    return STATUS_OK;
}

void
trace_end_capture(Trace *trace)
{
    if (trace->captures) {
        trace->captures = false;
        storage_era = 0;
    }
}

void
trace_close(void)
{
    Trace *trace = trace_here;
    profile_add(PROFILE_TRACE, "trace", trace->begin, 0, 0);
    trace_end_capture(trace);
    trace_here = NULL;
    while (trace->bindings != NULL) {
        trace_unbind(trace->bindings);
    }
    for (int64_t i = 0; i < trace->given.size; i++) {
        node_release(trace->given.data[i]);
    }
    for (int64_t i = 0; i < trace->copied.size; i++) {
        node_release(trace->copied.data[i].node);
        array_release(trace->copied.data[i].original);
    }
    vec_fini(&trace->given);
    vec_fini(&trace->copied);
    mem_free(trace, sizeof *trace);
    if (arena_mark() == 0) {
        arena_reset(0);
    }
}

Binding *
trace_find_node(const Trace *trace, const Storage *storage)
{
    Binding *b = trace != NULL ? trace_find(trace, storage) : NULL;
    if (b == NULL || b->node == NULL) {
        b = trace_find(&tape, storage);
    }
    return b != NULL && b->node != NULL ? b : NULL;
}

static Binding *
binding_new(Trace *trace, Storage *storage)
{
    Binding *b = freelist_new(&free_bindings);
    if (b == NULL) {
        return NULL;
    }
    *b = (Binding){.trace = trace, .storage = storage};
    b->next_of_storage = storage->bindings;
    storage->bindings = b;
    b->next = trace->bindings;
    if (b->next != NULL) {
        b->next->previous = b;
    }
    trace->bindings = b;
    return b;
}

static Binding *
binding_make(Trace *trace, Storage *storage)
{
    Binding *b = trace_find(trace, storage);
    return b != NULL ? b : binding_new(trace, storage);
}

static void
binding_detach_node(Binding *b)
{
    if (b->node != NULL && b->node->binding == b) {
        b->node->binding = NULL;
    }
}

Status
trace_bind(Trace *trace, Storage *storage, Node *node, bool flat)
{
    Binding *b = binding_make(trace, storage);
    if (b == NULL) {
        return STATUS_ERROR;
    }
    Node *old = b->node;
    binding_detach_node(b);
    b->node = node_retain(node);
    b->flat = flat;
    b->carried_out = false;
    node_release(old);
    return STATUS_OK;
}

void
trace_unbind(Binding *b)
{
    for (Node *reader = b->readers; reader != NULL;) {
        Node *next = reader->next_reader;
        reader->next_reader = reader->previous_reader = NULL;
        reader->readers_of = NULL;
        reader = next;
    }
    Binding **link = &b->storage->bindings;
    while (*link != b) {
        link = &(*link)->next_of_storage;
    }
    *link = b->next_of_storage;
    if (b->previous != NULL) {
        b->previous->next = b->next;
    } else {
        b->trace->bindings = b->next;
    }
    if (b->next != NULL) {
        b->next->previous = b->previous;
    }
    binding_detach_node(b);
    Node *node = b->node;
    Array *grad = b->grad;
    freelist_free(&free_bindings, b);
    array_release(grad);
    node_release(node);
}

Status
trace_add_reader(Trace *trace, Node *constant)
{
    Binding *b = binding_make(trace, constant->value->storage);
    if (b == NULL) {
        return STATUS_ERROR;
    }
    constant->readers_of = b;
    constant->next_reader = b->readers;
    constant->previous_reader = NULL;
    if (b->readers != NULL) {
        b->readers->previous_reader = constant;
    }
    b->readers = constant;
    trace->pinned += (int64_t)b->storage->size;
    return STATUS_OK;
}

void
trace_forget_node(Node *node)
{
    Binding *b = node->readers_of;
    if (b == NULL) {
        return;
    }
    if (node->previous_reader != NULL) {
        node->previous_reader->next_reader = node->next_reader;
    } else {
        b->readers = node->next_reader;
    }
    if (node->next_reader != NULL) {
        node->next_reader->previous_reader = node->previous_reader;
    }
    b->trace->pinned -= (int64_t)b->storage->size;
    node->readers_of = NULL;
    node->next_reader = node->previous_reader = NULL;
}

Status
trace_snapshot_readers(Trace *trace, Storage *storage)
{
    Binding *b = trace_find(trace, storage);
    while (b != NULL && b->readers != NULL) {
        Node *reader = b->readers;
        Array *copy = execute_copy(reader->value);
        if (copy == NULL) {
            return STATUS_ERROR;
        }
        trace_forget_node(reader);
        array_release(reader->value);
        reader->value = copy;
        reader->value_version = copy->storage->version;
    }
    return STATUS_OK;
}

int
trace_geometry(const Array *a, int64_t *params)
{
    const int64_t item = dtype_size((DType)a->dtype);
    bool on_grid = a->offset % item == 0;
    params[0] = a->offset / item;
    params[1] = a->ndim;
    for (int i = 0; i < a->ndim; i++) {
        params[2 + i] = a->shape[i];
        params[2 + a->ndim + i] = a->strides[i] / item;
        on_grid = on_grid && (a->strides[i] % item == 0 || a->shape[i] <= 1);
    }
    if (!on_grid) {
        err_set(ERR_TYPE, "an array whose elements do not lie on its storage's grid (a field of a "
                          "structured array) cannot be traced; copy it first");
        return -1;
    }
    return 2 + 2 * a->ndim;
}

/* The same bytes as elements of another dtype, 1-d: complex numbers and their parts only. */
static Node *
reinterpret(Node *base, DType dtype)
{
    const DType own = (DType)base->dtype;
    if (dtype_is_complex(own) && dtype_real(own) == dtype) {
        const int64_t column[2] = {base->size, 1}, axis[1] = {1}, count = 2 * base->size;
        Node *parts[2] = {build_reshape(build1(OP_real, base), 2, column),
                          build_reshape(build1(OP_imag, base), 2, column)};
        if (parts[0] == NULL || parts[1] == NULL) {
            return NULL;
        }
        return build_reshape(build_primitive(OP_concatenate, parts, 2, axis, 1), 1, &count);
    }
    if (dtype_is_complex(dtype) && dtype_real(dtype) == own) {
        const int64_t re[4] = {0, 1, base->size / 2, 2}, im[4] = {1, 1, base->size / 2, 2};
        return build2(OP_make_complex, build_view(base, re), build_view(base, im));
    }
    return err_null(ERR_TYPE, "a traced %s array cannot be read or written as %s; convert it with "
                              "astype",
                    dtype_info(own)->name, dtype_info(dtype)->name);
}

/* The real or imaginary part of a bound complex storage, as a view that NumPy would share. */
static Node *
view_of_part(Node *base, const Array *a)
{
    const int64_t part = dtype_size((DType)a->dtype);
    int64_t params[2 + 2 * ARRAY_MAX_NDIM];
    params[0] = a->offset / (2 * part);
    params[1] = a->ndim;
    for (int i = 0; i < a->ndim; i++) {
        params[2 + i] = a->shape[i];
        params[2 + a->ndim + i] = a->strides[i] / (2 * part);
    }
    Node *z = build_view(base, params);
    const bool imaginary = (a->offset / part) % 2 != 0;
    return build1(imaginary ? OP_imag : OP_real, z);
}

static bool
is_part(const Node *base, const Array *a)
{
    const int64_t whole = 2 * dtype_size((DType)a->dtype);
    bool is = dtype_is_complex((DType)base->dtype) && dtype_real((DType)base->dtype) == a->dtype;
    for (int i = 0; i < a->ndim; i++) {
        is = is && (a->shape[i] <= 1 || a->strides[i] % whole == 0);
    }
    return is;
}

/* Does `a` lie over its storage as an array that was made for the node's value? */
static bool
is_whole(const Node *node, const Array *a)
{
    int64_t stride = dtype_size((DType)node->dtype);
    if (node->dtype != a->dtype || node->ndim != a->ndim || a->offset != 0) {
        return false;
    }
    for (int i = node->ndim - 1; i >= 0; i--) {
        if (a->shape[i] != node->shape[i] || (a->strides[i] != stride && a->shape[i] != 1)) {
            return false;
        }
        stride *= a->shape[i];
    }
    return true;
}

static Node *
bound_node(Binding *b, const Array *a)
{
    Node *base = b->node;
    if (base->dtype != a->dtype && is_part(base, a)) {
        return view_of_part(base, a);
    }
    if (base->dtype != a->dtype) {
        base = reinterpret(base, (DType)a->dtype);
    }
    int64_t params[2 + 2 * ARRAY_MAX_NDIM];
    if (base == NULL || trace_geometry(a, params) < 0) {
        return NULL;
    }
    return build_view(base, params);
}

/* Numbers of the host language that formulas are written with are structure: x ** 2 is x * x.
 * All others are arguments, so that plans serve any value. */
static bool
is_structure(const Array *a)
{
    static const double written[] = {0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, 4.0};
    double x, parts[2];
    int64_t i;
    if (a->weak == WEAK_COMPLEX && a->dtype == DT_c128 && a->size == 1) {
        memcpy(parts, array_data(a), sizeof parts);
        return parts[0] == 0 && (parts[1] == 1 || parts[1] == -1);
    }
    if (a->weak == WEAK_FLOAT && a->dtype == DT_f64 && a->size == 1) {
        memcpy(&x, array_data(a), sizeof x);
    } else if (a->weak == WEAK_INT && a->dtype == DT_i64 && a->size == 1) {
        memcpy(&i, array_data(a), sizeof i);
        x = (double)i;
    } else {
        return false;
    }
    for (size_t k = 0; k < sizeof written / sizeof written[0]; k++) {
        if (x == written[k]) {
            return true;
        }
    }
    return false;
}

static Node *
constant_node(Trace *trace, Array *a)
{
    Storage *storage = a->storage;
    if (storage_is_virtual(storage)) {
        return err_null(ERR_RUNTIME,
                        "this array is recorded by a trace of another thread, or by one that ended "
                        "in an error; use it where it was made");
    }
    const int64_t bytes = array_bytes(a);
    const bool shared = storage->foreign || storage->exported;
    Array *value = array_retain(a);
    if (shared && !trace->is_tape && bytes <= TRACE_COPY_LIMIT) {
        array_release(value);
        value = execute_copy_in_order(a); /* products of matrices round by layout */
    }
    Node *node = value == NULL ? NULL : arena_keep(node_new_constant(value));
    if (node != NULL && value == a && !trace->is_tape && a->size > 1 &&
        trace_add_reader(trace, node) != STATUS_OK) {
        node = NULL;
    }
    if (node != NULL && value != a && trace->captures) {
        if (vec_push(&trace->copied, ((Copied){node, a})) == STATUS_OK) {
            node_retain(node);
            array_retain(a);
        } else {
            node = NULL;
        }
    }
    array_release(value);
    return node;
}

Node *
trace_node(Trace *trace, Array *a)
{
    Binding *b = a->storage->bindings;
    if (b == NULL || b->trace != trace || b->node == NULL) {
        b = trace_find_node(trace, a->storage);
    }
    if (b != NULL && is_whole(b->node, a) && b->node->op != OP_constant) {
        return node_retain(b->node);
    }
    const int64_t mark = arena_mark();
    Node *node = b != NULL ? bound_node(b, a) : constant_node(trace, a);
    if (node != NULL) {
        if (node->weak != a->weak && node->op == OP_constant) {
            node->weak = a->weak;
        }
        if (b == NULL && is_structure(a)) {
            node->flags |= NODE_LITERAL;
        }
        node_retain(node);
    }
    arena_reset(mark);
    return node;
}

Node *
trace_base_node(Trace *trace, Array *a, bool *flat)
{
    const Binding *b = trace_find_node(trace, a->storage);
    if (b != NULL) {
        *flat = b->flat;
        if (b->node->dtype != a->dtype) {
            const int64_t here = arena_mark();
            Node *other = reinterpret(b->node, (DType)a->dtype);
            other = other == NULL ? NULL : node_retain(other);
            arena_reset(here);
            *flat = true;
            return other;
        }
        return node_retain(b->node);
    }
    if (storage_is_virtual(a->storage)) {
        return err_null(ERR_RUNTIME, "this array belongs to a trace that is not open here");
    }
    const int64_t item = dtype_size((DType)a->dtype);
    const int64_t count = (int64_t)a->storage->size / item;
    Array *whole = array_new_view(a->storage, (DType)a->dtype, 1, &count, &item, 0);
    if (whole == NULL) {
        return NULL;
    }
    const int64_t mark = arena_mark();
    Node *node = constant_node(trace, whole);
    node = node == NULL ? NULL : node_retain(node);
    arena_reset(mark);
    array_release(whole);
    *flat = true;
    return node;
}

Array *
trace_new_array(Trace *trace, Node *node, Device *device)
{
    Array *a = array_new_virtual(device, (DType)node->dtype, node->ndim, node->shape);
    if (a == NULL) {
        return NULL;
    }
    a->weak = node->weak;
    Binding *b = binding_new(trace, a->storage);
    if (b == NULL) {
        array_release(a);
        return NULL;
    }
    b->node = node_retain(node);
    trace->recorded++;
    return a;
}

/* A storage dies. On the tape its memory may still be the value that a backward pass needs:
 * the node then takes it over. */
static void
storage_dies(Storage *storage)
{
    while (storage->bindings != NULL) {
        Binding *b = storage->bindings;
        Node *node = b->node;
        if (node != NULL && node->binding == b && node->refcount > 1 && node->value == NULL &&
            storage->data != NULL) {
            ErrRecord saved;
            err_save(&saved);
            node_adopt_memory(node, storage);
            err_restore(&saved);
        }
        trace_unbind(b);
    }
}

void
trace_init(void)
{
    storage_unbind_hook = storage_dies;
}
