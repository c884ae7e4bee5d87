/* graph/plan_builder.c -- values and memory of a plan, library steps, results. */
#include "graph/plan_builder.h"

#include "base/mem.h"
#include "graph/build.h"
#include "graph/evaluate.h"

#include <assert.h>
#include <string.h>

enum {
    SMALL_TEMPORARY = 4096, /* bytes */
    SMALL_BLOCK = 1 << 19,  /* bytes of small temporaries in all */
    ALIGNMENT = 64
};

bool
builder_is_free(const Node *node)
{
    return node->op == OP_view || node->op == OP_copy || node->op == OP_custom;
}

bool
builder_is_elementwise(const Node *node)
{
    return node->op == OP_cast || op_is_elementwise((OpCode)node->op);
}

/* ---- values ---- */

/* A value with room for its shape and strides, which the caller fills in; -1 on failure. */
static int32_t
add_value(Builder *b, DType dtype, int ndim, const int64_t *shape, int32_t memory)
{
    int64_t *dims = plan_alloc(b->plan, 2 * (size_t)ndim * sizeof(int64_t));
    if (dims == NULL) {
        return -1;
    }
    PlanValue v = {.memory = memory, .ndim = ndim, .dtype = dtype, .size = 1, .shape = dims};
    v.strides = dims + ndim;
    for (int i = 0; i < ndim; i++) {
        dims[i] = shape[i];
        v.size *= shape[i];
    }
    if (shape_strides(ndim, shape, dtype_size(dtype), v.strides) < 0 ||
        vec_push(&b->values, v) != STATUS_OK) {
        return -1;
    }
    return (int32_t)b->values.size - 1;
}

static int32_t
add_memory(Builder *b, MemoryKind kind, int32_t index, int64_t size)
{
    const PlanMemory m = {.kind = (uint8_t)kind, .index = index, .size = size, .at = -1};
    if (vec_push(&b->memory, m) != STATUS_OK || vec_push(&b->memory_readers, 0) != STATUS_OK) {
        return -1;
    }
    return (int32_t)b->memory.size - 1;
}

static int32_t
add_temporary(Builder *b, int64_t size)
{
    const int32_t m = add_memory(b, MEMORY_TEMPORARY, -1, size);
    if (m < 0) {
        return -1;
    }
    if (size <= SMALL_TEMPORARY && b->plan->small_bytes < SMALL_BLOCK) {
        const int64_t unit = size <= 8 ? 16 : ALIGNMENT;
        const int64_t start = (b->plan->small_bytes + unit - 1) / unit * unit;
        b->memory.data[m].at = start;
        b->plan->small_bytes = start + size;
        return m;
    }
    return vec_push(&b->new_memory, m) == STATUS_OK ? m : -1;
}

int32_t
builder_new_value(Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    const int32_t m = add_temporary(b, node->size * dtype_size((DType)node->dtype));
    const int32_t v =
        m < 0 ? -1 : add_value(b, (DType)node->dtype, node->ndim, node->shape, m);
    if (v >= 0) {
        b->value_of[at] = v;
        b->memory_readers.data[m] += b->g->readers[at];
    }
    return v;
}

/* An argument where the key knows the node, else an array that the plan keeps. */
Status
builder_leaf(Builder *b, int32_t at)
{
    Node *node = b->g->nodes[at];
    Array *a = node_value(node);
    uint64_t place;
    int32_t m;
    if (a == NULL) {
        return err_kind() != ERR_NONE ? STATUS_ERROR
                                      : err_set(ERR_RUNTIME, "the value of a leaf is gone");
    }
    if (!(node->flags & NODE_LITERAL) &&
        hash_get(&b->key_places, (uint64_t)(uintptr_t)node, &place)) {
        m = add_memory(b, MEMORY_ARGUMENT, (int32_t)place, 0);
    } else if (vec_push(&b->literals, a) == STATUS_OK) {
        m = add_memory(b, MEMORY_LITERAL, (int32_t)b->literals.size - 1, 0);
        array_retain(a);
    } else {
        m = -1;
    }
    const int32_t v = m < 0 ? -1 : add_value(b, (DType)a->dtype, a->ndim, a->shape, m);
    if (v >= 0) {
        memcpy(b->values.data[v].strides, a->strides, (size_t)a->ndim * sizeof(int64_t));
        b->value_of[at] = v;
        b->memory_readers.data[m] += b->g->readers[at];
    }
    array_release(a);
    return v < 0 ? STATUS_ERROR : STATUS_OK;
}

static bool
is_contiguous(const PlanValue *v)
{
    int64_t stride = dtype_size(v->dtype);
    for (int i = v->ndim - 1; i >= 0 && v->size > 0; i--) {
        if (v->shape[i] != 1 && v->strides[i] != stride) {
            return false;
        }
        stride *= v->shape[i];
    }
    return true;
}

/* ---- steps ---- */

void
builder_open(Builder *b)
{
    vec_clear(&b->new_memory);
    vec_clear(&b->free_memory);
}

static int32_t *
keep_list(Plan *plan, const int32_t *from, int64_t count)
{
    int32_t *list = plan_alloc(plan, (size_t)count * sizeof(int32_t));
    if (list != NULL && count > 0) { /* an empty one may be nowhere */
        memcpy(list, from, (size_t)count * sizeof(int32_t));
    }
    return list;
}

Status
builder_lists(Builder *b, PlanStep *step, const int32_t *in, int nin, const int32_t *out, int nout)
{
    step->nin = nin;
    step->nout = nout;
    if (nin + nout > b->plan->most_operands) {
        b->plan->most_operands = nin + nout;
    }
    step->in = keep_list(b->plan, in, nin);
    step->out = keep_list(b->plan, out, nout);
    for (int i = 0; i < nin + nout; i++) {
        const PlanValue *v = &b->values.data[i < nin ? in[i] : out[i - nin]];
        b->plan->bytes_touched += v->size * dtype_size(v->dtype);
    }
    return step->in != NULL && step->out != NULL ? STATUS_OK : STATUS_ERROR;
}

void
builder_read(Builder *b, int32_t at)
{
    const int32_t m = b->values.data[b->value_of[at]].memory;
    if (--b->memory_readers.data[m] == 0 && b->memory.data[m].kind == MEMORY_TEMPORARY &&
        b->memory.data[m].at < 0) {
        (void)vec_push(&b->free_memory, m); /* else it is freed at the end */
    }
}

Status
builder_close(Builder *b, PlanStep *step)
{
    step->nnew = (int32_t)b->new_memory.size;
    step->nfree = (int32_t)b->free_memory.size;
    step->new_memory = keep_list(b->plan, b->new_memory.data, step->nnew);
    step->free_memory = keep_list(b->plan, b->free_memory.data, step->nfree);
    if (step->new_memory == NULL || step->free_memory == NULL) {
        return STATUS_ERROR;
    }
    return vec_push(&b->steps, *step);
}

/* Is it a write of one number into memory that is ours? */
static bool
is_element(const Builder *b, OpCode op, const int32_t *in, int32_t out, const int64_t *params)
{
    if ((op != OP_assign && op != OP_assign_add) || in[0] != out) {
        return false;
    }
    const PlanValue *v = &b->values.data[in[1]];
    return v->size == 1 && v->dtype == DT_f64 && b->values.data[out].dtype == DT_f64 &&
           params[0] >= 0;
}

/* out = op(in...), where `out` is a value already. */
static Status
add_call(Builder *b, OpCode op, const int32_t *in, int nin, int32_t out, const int64_t *params,
         int nparams, const PlanGraph *reads, int32_t at)
{
    PlanStep step = {.kind = STEP_PRIMITIVE, .op = op, .nparams = nparams};
    if (is_element(b, op, in, out, params)) {
        step.kind = STEP_ELEMENT;
    }
    int64_t *own = plan_alloc(b->plan, (size_t)nparams * sizeof(int64_t));
    if (own == NULL || builder_lists(b, &step, in, nin, &out, 1) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (nparams > 0) {
        memcpy(own, params, (size_t)nparams * sizeof(int64_t));
    }
    step.params = own;
    for (int32_t k = 0; reads != NULL && k < plan_graph_nin(reads, at); k++) {
        builder_read(b, plan_graph_input(reads, at, k));
    }
    return builder_close(b, &step);
}

/* May the node write into the memory of its base? Only this node reads it, now and later. */
static bool
base_is_free(const Builder *b, int32_t at)
{
    const PlanValue *v = &b->values.data[b->value_of[plan_graph_input(b->g, at, 0)]];
    const PlanMemory *m = &b->memory.data[v->memory];
    return m->kind == MEMORY_TEMPORARY && b->memory_readers.data[v->memory] == 1 &&
           v->offset == 0 && is_contiguous(v) && v->size * dtype_size(v->dtype) == m->size;
}

bool
builder_would_copy(const Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    return node_writes_base(node) && node_bytes(node) > SMALL_TEMPORARY && !base_is_free(b, at);
}

Status
builder_primitive(Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    int32_t in[CALL_MAX_INPUTS], out;
    if (node->nin > CALL_MAX_INPUTS) {
        return err_set(ERR_VALUE, "%s: too many inputs", node_op_name(node->op));
    }
    builder_open(b);
    for (int32_t k = 0; k < node->nin; k++) {
        in[k] = b->value_of[plan_graph_input(b->g, at, k)];
    }
    if (node_writes_base(node) && base_is_free(b, at)) {
        out = in[0];
        b->value_of[at] = out;
        b->memory_readers.data[b->values.data[out].memory] += b->g->readers[at];
    } else {
        out = builder_new_value(b, at);
    }
    if (out < 0 || add_call(b, (OpCode)node->op, in, node->nin, out, node->params, node->nparams,
                            b->g, at) != STATUS_OK) {
        return STATUS_ERROR;
    }
    return builder_done(b, at);
}

int32_t
builder_copy(Builder *b, int32_t from)
{
    const PlanValue v = b->values.data[from];
    builder_open(b);
    const int32_t m = add_temporary(b, v.size * dtype_size(v.dtype));
    const int32_t to = m < 0 ? -1 : add_value(b, v.dtype, v.ndim, v.shape, m);
    if (to < 0 || add_call(b, OP_copy, &from, 1, to, NULL, 0, NULL, 0) != STATUS_OK) {
        return -1;
    }
    return to;
}

/* ---- aliases ---- */

/* The value read through a geometry; -1 when it must be copied first, -2 on failure. */
static int32_t
view_value(Builder *b, int32_t base, const int64_t *geometry)
{
    const PlanValue v = b->values.data[base];
    const int ndim = (int)geometry[1];
    const int64_t item = dtype_size(v.dtype);
    int64_t offset = geometry[0] * item, strides[ARRAY_MAX_NDIM], count = 1;
    for (int i = 0; i < ndim; i++) {
        count *= geometry[2 + i];
        strides[i] = geometry[2 + ndim + i] * item;
    }
    if (count == 0) {
        offset = 0;
    } else if (!is_contiguous(&v) &&
               !geometry_decode(geometry, v.ndim, v.shape, v.strides, &offset, strides)) {
        return -1;
    }
    const int32_t view = add_value(b, v.dtype, ndim, geometry + 2, v.memory);
    if (view < 0) {
        return -2;
    }
    memcpy(b->values.data[view].strides, strides, (size_t)ndim * sizeof(int64_t));
    b->values.data[view].offset = v.offset + offset;
    return view;
}

Status
builder_alias(Builder *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    const int32_t input = plan_graph_input(b->g, at, 0);
    int32_t value = b->value_of[input];
    if (node->op == OP_view) {
        int32_t view = view_value(b, value, node->params);
        if (view == -1) {
            const int32_t dense = builder_copy(b, value);
            view = dense < 0 ? -2 : view_value(b, dense, node->params);
        }
        if (view < 0) {
            return STATUS_ERROR;
        }
        value = view;
    }
    b->value_of[at] = value;
    b->memory_readers.data[b->values.data[value].memory] += b->g->readers[at];
    b->memory_readers.data[b->values.data[b->value_of[input]].memory]--;
    return builder_done(b, at);
}

/* ---- the whole ---- */

void *
plan_alloc(Plan *plan, size_t size)
{
    void *block = mem_new(size + 1);
    if (block == NULL) {
        return NULL;
    }
    if (vec_push(&plan->blocks, block) != STATUS_OK) {
        mem_free(block, size + 1);
        return NULL;
    }
    if (vec_push(&plan->block_sizes, size + 1) != STATUS_OK) {
        plan->blocks.size--;
        mem_free(block, size + 1);
        return NULL;
    }
    return block;
}

static Status
builder_init(Builder *b, const PlanKey *key)
{
    const size_t count = (size_t)b->g->count, bytes = count * sizeof(int32_t);
    b->value_of = mem_new(bytes + 1);
    b->waits = mem_new(bytes + 1);
    b->member = mem_new(bytes + 1);
    b->stage_of = mem_new(bytes + 1);
    b->first_waiter = mem_new(bytes + 1);
    b->next_waiter = mem_new(bytes + 1);
    b->done = mem_new(count + 1);
    if (b->value_of == NULL || b->waits == NULL || b->member == NULL || b->stage_of == NULL ||
        b->first_waiter == NULL || b->next_waiter == NULL || b->done == NULL) {
        return STATUS_ERROR;
    }
    memset(b->value_of, 0xff, bytes);
    memset(b->stage_of, 0xff, bytes);
    memset(b->first_waiter, 0xff, bytes);
    memset(b->member, 0, bytes);
    memset(b->done, 0, count * sizeof(bool));
    for (int32_t i = b->g->count - 1; i >= 0; i--) {
        const int32_t wait = b->g->wait[i];
        b->waits[i] = plan_graph_nin(b->g, i) + (wait >= 0);
        if (wait >= 0) {
            b->next_waiter[i] = b->first_waiter[wait];
            b->first_waiter[wait] = i;
        }
    }
    for (int64_t i = 0; i < key->order.size; i++) {
        if (hash_set(&b->key_places, (uint64_t)(uintptr_t)key->order.data[i], (uint64_t)i) !=
            STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

/* The result's memory becomes an array of its own, which nobody else writes or hands out. */
static Status
add_result(Builder *b, int32_t number, int32_t value)
{
    if (value < 0) {
        return err_set(ERR_RUNTIME, "plan: a result was not scheduled");
    }
    const PlanValue *v = &b->values.data[value];
    const PlanMemory *m = &b->memory.data[v->memory];
    if (m->kind != MEMORY_TEMPORARY || v->offset != 0 || !is_contiguous(v) ||
        v->size * dtype_size(v->dtype) != m->size) {
        value = builder_copy(b, value);
        if (value < 0) {
            return STATUS_ERROR;
        }
        v = &b->values.data[value];
    }
    b->memory.data[v->memory].kind = MEMORY_RESULT;
    b->memory.data[v->memory].index = number;
    b->plan->results[number] = value;
    return STATUS_OK;
}

static Status
builder_results(Builder *b, Node *const *targets, int64_t count, Node *const *guards,
                int64_t nguards)
{
    HashMap places = {0};
    Plan *plan = b->plan;
    Status status = STATUS_OK;
    for (int32_t i = 0; i < b->g->count && status == STATUS_OK; i++) {
        status = hash_set(&places, (uint64_t)(uintptr_t)b->g->nodes[i], (uint64_t)i);
    }
    plan->results = plan_alloc(plan, (size_t)count * sizeof(int32_t));
    plan->guards = plan_alloc(plan, (size_t)nguards * sizeof(int32_t));
    if (plan->results == NULL || plan->guards == NULL) {
        status = STATUS_ERROR;
    }
    uint64_t at;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        plan->results[i] = -1;
        if (targets[i] != NULL && hash_get(&places, (uint64_t)(uintptr_t)targets[i], &at)) {
            status = add_result(b, (int32_t)i, b->value_of[at]);
        }
    }
    plan->nresults = (int32_t)count;
    for (int64_t i = 0; i < nguards && status == STATUS_OK; i++) {
        if (!hash_get(&places, (uint64_t)(uintptr_t)guards[i], &at)) {
            continue;
        }
        plan->guards[plan->nguards++] = b->value_of[at];
        if (b->value_of[at] < 0) {
            status = err_set(ERR_RUNTIME, "plan: a guard was not scheduled");
        }
    }
    hash_fini(&places);
    return status;
}

/* The lists become the plan's. */
static Status
builder_hand_over(Builder *b)
{
    Plan *plan = b->plan;
#define HAND_OVER(field, n, list, type)                                                            \
    plan->field = plan_alloc(plan, (size_t)b->list.size * sizeof(type));                           \
    if (plan->field == NULL) {                                                                     \
        return STATUS_ERROR;                                                                       \
    }                                                                                              \
    plan->n = (int32_t)b->list.size;                                                               \
    if (b->list.size > 0) { /* else it is nowhere */                                               \
        memcpy(plan->field, b->list.data, (size_t)b->list.size * sizeof(type));                    \
    }
    HAND_OVER(values, nvalues, values, PlanValue);
    HAND_OVER(memory, nmemory, memory, PlanMemory);
    HAND_OVER(literals, nliterals, literals, Array *);
    b->literals.size = 0;
    HAND_OVER(steps, nsteps, steps, PlanStep);
#undef HAND_OVER
    b->steps.size = 0;
    return STATUS_OK;
}

static void
builder_fini(Builder *b)
{
    arrays_release(b->literals.data, b->literals.size);
    for (int64_t i = 0; i < b->steps.size; i++) {
        device_cpu()->release(device_cpu(), b->steps.data[i].prepared);
        stage_free(b->steps.data[i].stage);
    }
    builder_stages_fini(b);
    const size_t count = (size_t)b->g->count, bytes = count * sizeof(int32_t);
    mem_free(b->value_of, bytes + 1);
    mem_free(b->waits, bytes + 1);
    mem_free(b->member, bytes + 1);
    mem_free(b->stage_of, bytes + 1);
    mem_free(b->first_waiter, bytes + 1);
    mem_free(b->next_waiter, bytes + 1);
    mem_free(b->done, count + 1);
    hash_fini(&b->key_places);
    vec_fini(&b->values);
    vec_fini(&b->memory);
    vec_fini(&b->memory_readers);
    vec_fini(&b->steps);
    vec_fini(&b->literals);
    vec_fini(&b->new_memory);
    vec_fini(&b->free_memory);
    vec_fini(&b->free_nodes);
    vec_fini(&b->elementwise);
    vec_fini(&b->library);
}

Plan *
plan_build(const PlanKey *key, Node *const *targets, int64_t count, Node *const *guards,
           int64_t nguards, bool careful)
{
    PlanGraph g;
    Builder b = {.g = &g, .plan = mem_new_zeroed(sizeof(Plan))};
    if (b.plan == NULL) {
        return NULL;
    }
    b.plan->refcount = 1;
    Status status = plan_graph_init(&g, targets, count, guards, nguards);
    g.careful = careful;
    if (status == STATUS_OK) {
        status = plan_graph_again(&g, stages_least_size());
    }
    if (status == STATUS_OK) {
        status = plan_graph_link(&g);
    }
    if (status == STATUS_OK) {
        status = builder_init(&b, key);
    }
    if (status == STATUS_OK) {
        status = builder_stages(&b);
    }
    if (status == STATUS_OK) {
        status = builder_schedule(&b);
    }
    if (status == STATUS_OK) {
        status = builder_results(&b, targets, count, guards, nguards);
    }
    b.plan->watched = b.plan->watched || b.plan->nguards > 0;
    if (status == STATUS_OK) {
        status = builder_hand_over(&b);
    }
    builder_fini(&b);
    plan_graph_fini(&g);
    if (status != STATUS_OK) {
        plan_release(b.plan);
        return NULL;
    }
    return b.plan;
}
