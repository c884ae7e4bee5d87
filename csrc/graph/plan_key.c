/* graph/plan_key.c -- the canonical stream of some nodes. */
#include "graph/plan_key.h"

#include "base/hash.h"
#include "graph/evaluate.h"
#include "graph/trace.h"

#include <string.h>

/* More are computed one by one. */
enum { KEY_MAX_NODES = 500000 };

/* A node on the walk's stack and its next input. */
typedef struct Visit {
    Node *node;
    int32_t next;
} Visit;

static bool
is_open(const Node *node, bool has_value, uint64_t bit)
{
    return node->nin > 0 && (!has_value || (node->mask & bit) != 0);
}

/* Can no other leaf be over the same memory? */
static bool
is_alone(const Node *node)
{
    const Array *a = node->value;
    return node->nin > 0 || a == NULL || (node->flags & NODE_LITERAL) ||
           (a->refcount == 1 && a->storage->refcount == 1);
}

/* An earlier leaf over the same elements, which passes may take for one; else -1. */
static int64_t
same_leaf(const PlanKey *key, const Node *node)
{
    const Array *a = node->value;
    if (is_alone(node)) {
        return -1;
    }
    for (int64_t k = key->leaves.size - 1; k >= 0; k--) {
        const Array *b = key->order.data[key->leaves.data[k]]->value;
        if (b != NULL && array_is_same(a, b)) {
            return key->leaves.data[k];
        }
    }
    return -1;
}

static Status
write_given(PlanKey *key, Node *node)
{
    const Array *a = node->value;
    const int64_t same = same_leaf(key, node);
    Status status = vec_push(&key->words, (uint64_t)same);
    if (status == STATUS_OK && same < 0 && !is_alone(node)) {
        status = vec_push(&key->leaves, key->order.size);
    }
    if (a == NULL) { /* memory of the tape, C-contiguous */
        key->plannable = key->plannable && node->binding != NULL &&
                       node->binding->storage->device == device_cpu();
        return status;
    }
    key->plannable = key->plannable && a->storage->device == device_cpu();
    for (int i = 0; i < a->ndim && status == STATUS_OK; i++) {
        status = vec_push(&key->words, (uint64_t)a->strides[i]);
    }
    if (status == STATUS_OK && (node->flags & NODE_LITERAL)) {
        uint64_t bits[2] = {0, 0};
        memcpy(bits, array_data(a), (size_t)dtype_size((DType)a->dtype));
        status = vec_append(&key->words, bits, 2);
    }
    return status;
}

static Status
write_node(PlanKey *key, Node *node, bool has_value, uint64_t bit)
{
    const bool open = is_open(node, has_value, bit);
    const bool active = (node->mask & bit) != 0;
    const uint64_t head = (uint64_t)node->op | (uint64_t)node->dtype << 16 |
                          (uint64_t)node->weak << 24 | (uint64_t)(node->flags & ~NODE_GIVEN) << 32 |
                          (uint64_t)has_value << 40 | (uint64_t)open << 41 |
                          (uint64_t)active << 42 | (uint64_t)(uint16_t)node->ndim << 48;
    Status status = vec_push(&key->words, head);
    if (status == STATUS_OK) {
        status = vec_append(&key->words, (const uint64_t *)node->shape, node->ndim);
    }
    if (status == STATUS_OK && (has_value || node->nin == 0)) {
        status = write_given(key, node);
    }
    if (status != STATUS_OK || !open) {
        return status;
    }
    key->cacheable = key->cacheable && node->op != OP_custom;
    const uint64_t counts = (uint64_t)node->nin | (uint64_t)node->nparams << 32;
    if (vec_push(&key->words, counts) != STATUS_OK ||
        vec_append(&key->words, (const uint64_t *)node->params, node->nparams) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < node->nin && status == STATUS_OK; i++) {
        status = vec_push(&key->words, (uint64_t)node->inputs[i]->mark);
    }
    return status;
}

static Status
walk(PlanKey *key, Node *root, uint64_t bit)
{
    VEC(Visit) stack = {0};
    Status status = STATUS_OK;
    if (root->mark == 0) {
        status = vec_push(&stack, ((Visit){root, 0}));
    }
    while (status == STATUS_OK && stack.size > 0 && key->plannable) {
        Visit *top = &vec_last(&stack);
        Node *node = top->node;
        const bool has_value = node_has_value(node);
        if (is_open(node, has_value, bit) && top->next < node->nin) {
            Node *input = node->inputs[top->next++];
            if (input->mark == 0) {
                status = vec_push(&stack, ((Visit){input, 0}));
            }
            continue;
        }
        (void)vec_pop(&stack);
        if (node->mark == 0) {
            status = write_node(key, node, has_value, bit);
            if (status == STATUS_OK) {
                status = vec_push(&key->order, node);
            }
            if (status == STATUS_OK) {
                node_retain(node);
            }
            node->mark = status == STATUS_OK ? key->order.size : 0;
            key->plannable = key->plannable && key->order.size < KEY_MAX_NODES;
        }
    }
    vec_fini(&stack);
    return status;
}

Status
plan_key_init(PlanKey *key, Node *const *roots, int64_t count, uint64_t bit)
{
    memset(key, 0, sizeof *key);
    key->cacheable = true;
    key->plannable = true;
    for (int64_t i = 0; i < count; i++) {
        if (walk(key, roots[i], bit) != STATUS_OK ||
            plan_key_add(key, (uint64_t)roots[i]->mark) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

void
plan_key_unmark(PlanKey *key)
{
    for (int64_t i = 0; i < key->order.size; i++) {
        key->order.data[i]->mark = 0;
    }
}

void
plan_key_fini(PlanKey *key)
{
    for (int64_t i = 0; i < key->order.size; i++) {
        node_release(key->order.data[i]);
    }
    vec_fini(&key->order);
    vec_fini(&key->leaves);
    vec_fini(&key->words);
}

Status
plan_key_add(PlanKey *key, uint64_t word)
{
    return vec_push(&key->words, word);
}

void
plan_key_close(PlanKey *key)
{
    uint64_t hash = (uint64_t)key->words.size;
    for (int64_t i = 0; i < key->words.size; i++) {
        hash = (hash ^ key->words.data[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    key->hash = hash;
}
