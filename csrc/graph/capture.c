/* graph/capture.c -- recording a function once, and running its plan with other arguments.
 *
 * Arrays that the function finds elsewhere are kept: a replay reads what is in them then.
 */
#include "graph/capture.h"

#include "base/mem.h"
#include "graph/evaluate.h"
#include "graph/plan_steps.h"
#include "graph/trace.h"

#include <string.h>

/* What a result is besides its elements. */
typedef struct ResultKind {
    uint8_t weak;
    bool is_scalar;
} ResultKind;

struct Capture {
    Plan *plan;
    int32_t narg, nout, nconstants, nplaces;
    int32_t *number;   /* of each place of the key: an argument, or narg + a constant; -1 */
    Array **constants; /* retained */
    int32_t nscattered;
    int32_t *scattered; /* constants that the plan wants in C order */
    ResultKind *kinds;
    size_t number_bytes, constant_bytes, kind_bytes; /* of `scattered` as of `number` */
};

bool
capture_is_open(void)
{
    return trace_current() != NULL && trace_current()->captures;
}

Transform *
capture_open(void)
{
    if (trace_current() != NULL) {
        return err_null(ERR_RUNTIME, "a capture cannot be opened inside another trace");
    }
    Transform *t = transform_open();
    if (t != NULL) {
        trace_current()->captures = true;
        storage_era = trace_current()->serial;
    }
    return t;
}

Array *
capture_argument(Transform *t, Array *x)
{
    Trace *trace = trace_current();
    if (!transform_is_live(t) || !trace->captures) {
        return err_null(ERR_RUNTIME, "this capture is over");
    }
    Array *own = graph_share_memory(x); /* no two arguments are ever taken for one */
    Node *node = own == NULL ? NULL : node_new_constant(own);
    Array *out = NULL;
    if (node != NULL) {
        node->weak = x->weak;
        node->flags |= NODE_GIVEN;
        if (vec_push(&trace->given, node) == STATUS_OK) {
            out = trace_new_array(trace, node_retain(node), x->storage->device);
        }
    }
    node_release(node);
    array_release(own);
    return out;
}

/* ---- making ---- */

static void
number_arguments(Capture *c, const Trace *trace, const PlanKey *key)
{
    for (int64_t i = 0; i < key->order.size; i++) {
        c->number[i] = -1;
        for (int32_t k = 0; k < c->narg && (key->order.data[i]->flags & NODE_GIVEN); k++) {
            if (trace->given.data[k] == key->order.data[i]) {
                c->number[i] = k;
            }
        }
    }
}

/* Small foreign memory was copied when it was read, since functions use one buffer again and
 * again. What still has those elements is no such buffer: later calls read it itself. */
static Array *
original_of(const Trace *trace, const Node *node, Array *value)
{
    for (int64_t i = 0; i < trace->copied.size; i++) {
        const Copied *c = &trace->copied.data[i];
        if (c->node == node) {
            Array *now = execute_copy_in_order(c->original); /* as `value` was made */
            const size_t bytes = (size_t)array_bytes(value);
            const bool same =
                now != NULL && memcmp(array_data(now), array_data(value), bytes) == 0;
            array_release(now);
            return same ? c->original : value;
        }
    }
    return value;
}

/* New reference. An array made by the function itself may be one that it wrote to: its elements
 * are copied. */
static Array *
constant_at(const Trace *trace, Node *node)
{
    Array *value = node_value(node);
    if (value == NULL) {
        return NULL;
    }
    Array *original = original_of(trace, node, value);
    if (original != value) {
        array_release(value);
        return array_retain(original);
    }
    if (value->storage->era == trace->serial && !value->storage->foreign) {
        Array *copy = execute_copy(value);
        array_release(value);
        value = copy;
    }
    return value;
}

/* Number what the plan reads beside the arguments. */
static Status
number_constants(Capture *c, const Plan *plan, const Trace *trace, const PlanKey *key)
{
    for (int32_t m = 0; m < plan->nmemory; m++) {
        const int32_t place = plan->memory[m].index;
        if (plan->memory[m].kind != MEMORY_ARGUMENT || c->number[place] >= 0) {
            continue;
        }
        Array *value = constant_at(trace, key->order.data[place]);
        if (value == NULL) {
            return STATUS_ERROR;
        }
        const Array *recorded = key->order.data[place]->value;
        if (recorded != NULL && memcmp(recorded->strides, value->strides,
                                       (size_t)value->ndim * sizeof(int64_t)) != 0) {
            c->scattered[c->nscattered++] = c->narg + c->nconstants;
        }
        c->number[place] = c->narg + c->nconstants;
        c->constants[c->nconstants++] = value;
    }
    return STATUS_OK;
}

static Status
capture_fill(Capture *c, const Trace *trace, const PlanKey *key, Array *const *outs)
{
    const size_t places = (size_t)key->order.size;
    c->narg = (int32_t)trace->given.size;
    c->nplaces = (int32_t)places;
    c->number_bytes = places * sizeof(int32_t) + 1;
    c->constant_bytes = places * sizeof(Array *) + 1;
    c->kind_bytes = (size_t)c->nout * sizeof(ResultKind) + 1;
    c->number = mem_new(c->number_bytes);
    c->scattered = mem_new(c->number_bytes);
    c->constants = mem_new(c->constant_bytes);
    c->kinds = mem_new(c->kind_bytes);
    if (c->number == NULL || c->scattered == NULL || c->constants == NULL || c->kinds == NULL) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < c->nout; i++) {
        c->kinds[i] = (ResultKind){.weak = outs[i]->weak, .is_scalar = outs[i]->is_scalar};
    }
    number_arguments(c, trace, key);
    const Plan *plan = c->plan;
    Status status = number_constants(c, plan, trace, key);
    if (status == STATUS_OK && plan->careful != NULL) {
        status = number_constants(c, plan->careful, trace, key);
    }
    return status;
}

/* The derivative by a leaf of the tape would be lost in every replay. */
static Status
check_results(Node *const *nodes, int nout)
{
    for (int i = 0; i < nout; i++) {
        if ((nodes[i]->mask & TAPE_MASK) && graph_grad_enabled()) {
            return err_set(ERR_TYPE, "jit: the result depends on an array that requires grad and "
                                     "is no argument; make it an argument, or pyarr.detach it");
        }
    }
    return STATUS_OK;
}

Status
capture_make(Transform *t, int nout, Array *const *outs, Capture **made)
{
    const Trace *trace = trace_current();
    *made = NULL;
    if (!transform_is_live(t) || !trace->captures) {
        return err_set(ERR_RUNTIME, "this capture is over");
    }
    const size_t bytes = (size_t)nout * sizeof(Node *) + 1;
    Node **nodes = mem_new(bytes);
    Capture *c = nodes == NULL ? NULL : mem_new_zeroed(sizeof *c);
    PlanKey key = {0};
    Status status = c == NULL ? STATUS_ERROR : STATUS_OK;
    const int64_t mark = arena_mark();
    for (int i = 0; i < nout && status == STATUS_OK; i++) {
        nodes[i] = arena_keep(trace_node(trace_current(), outs[i]));
        status = nodes[i] == NULL ? STATUS_ERROR : STATUS_OK;
    }
    if (status == STATUS_OK) {
        c->nout = nout;
        status = check_results(nodes, nout);
    }
    if (status == STATUS_OK) {
        status = plan_for_good(nodes, nout, &key, &c->plan);
    }
    if (status == STATUS_OK && c->plan != NULL) {
        status = capture_fill(c, trace, &key, outs);
    }
    if (status == STATUS_OK && c->plan != NULL) {
        *made = c;
    } else {
        capture_free(c);
    }
    plan_key_fini(&key);
    arena_reset(mark);
    mem_free(nodes, bytes);
    return status;
}

void
capture_free(Capture *c)
{
    if (c == NULL) {
        return;
    }
    arrays_release(c->constants, c->nconstants);
    mem_free(c->number, c->number_bytes);
    mem_free(c->scattered, c->number_bytes);
    mem_free(c->constants, c->constant_bytes);
    mem_free(c->kinds, c->kind_bytes);
    plan_release(c->plan);
    mem_free(c, sizeof *c);
}

/* ---- running ---- */

int
capture_arguments(const Capture *c)
{
    return c->narg;
}

int
capture_results(const Capture *c)
{
    return c->nout;
}

Status
capture_run(const Capture *c, Array *const *args, Array **outs)
{
    enum { FEW = 64 };
    const int32_t count = c->narg + c->nconstants;
    Array *few[FEW], **arrays = few;
    const size_t bytes = (size_t)count * sizeof(Array *);
    if (count > FEW && (arrays = mem_new(bytes)) == NULL) {
        return STATUS_ERROR;
    }
    for (int32_t i = 0; i < count; i++) {
        arrays[i] = i < c->narg ? args[i] : c->constants[i - c->narg];
    }
    const PlanGiven given = {.number = c->number, .arrays = arrays};
    Status status = STATUS_OK;
    int32_t gathered = 0;
    for (; gathered < c->nscattered && status == STATUS_OK; gathered++) {
        Array **at = &arrays[c->scattered[gathered]];
        *at = execute_copy(*at);
        status = *at == NULL ? STATUS_ERROR : STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = plan_answer(c->plan, &given, outs);
    }
    while (gathered > 0) {
        array_release(arrays[c->scattered[--gathered]]);
    }
    for (int i = 0; i < c->nout && status == STATUS_OK; i++) {
        outs[i]->weak = c->kinds[i].weak;
        outs[i]->is_scalar = c->kinds[i].is_scalar;
    }
    if (arrays != few) {
        mem_free(arrays, bytes);
    }
    return status;
}
