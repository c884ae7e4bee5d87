/* graph/plan_cache.c -- plans by the canonical stream of what they compute.
 *
 * A hit runs no pass over the graph. The least recently used plan goes when there are too many.
 */
#include "base/mem.h"
#include "base/profile.h"
#include "base/settings.h"
#include "graph/evaluate.h"
#include "graph/plan.h"
#include "graph/plan_steps.h"
#include "graph/pullback.h"
#include "graph/simplify.h"

#include <string.h>

enum {
    BUCKETS = 512,
    MAX_PLANS = 512,
    MAX_BYTES = 256 << 20,
    LONG_KEY = 20000,       /* nodes that are planned at second sight */
    SMALL_VALUES = 64 << 20, /* bytes of all their values, which computing them one by one keeps */
    SIGHTS = 32
};

static Plan *buckets[BUCKETS];
static Plan *newest, *oldest;
static PlanCacheInfo info = {.max_size = MAX_PLANS, .max_bytes = MAX_BYTES};
static bool equal_hashes;
static uint64_t sights[SIGHTS]; /* hashes of long streams that came once */
static int next_sight;

/* ---- plans ---- */

Plan *
plan_retain(Plan *plan)
{
    plan->refcount++;
    return plan;
}

void
plan_release(Plan *plan)
{
    if (plan == NULL || --plan->refcount > 0) {
        return;
    }
    plan_release(plan->careful);
    arrays_release(plan->literals, plan->nliterals);
    for (int32_t i = 0; i < plan->nsteps; i++) {
        device_cpu()->release(device_cpu(), plan->steps[i].prepared);
        stage_free(plan->steps[i].stage);
    }
    for (int64_t i = 0; i < plan->blocks.size; i++) {
        mem_free(plan->blocks.data[i], plan->block_sizes.data[i]);
    }
    vec_fini(&plan->blocks);
    vec_fini(&plan->block_sizes);
    mem_free(plan, sizeof *plan);
}

/* ---- the cache ---- */

static uint64_t
bucket_of(uint64_t hash)
{
    return (hash ^ hash >> 32) % BUCKETS;
}

static void
unlink_use(Plan *plan)
{
    *(plan->newer != NULL ? &plan->newer->older : &newest) = plan->older;
    *(plan->older != NULL ? &plan->older->newer : &oldest) = plan->newer;
    plan->newer = plan->older = NULL;
}

static void
link_newest(Plan *plan)
{
    plan->older = newest;
    *(newest != NULL ? &newest->newer : &oldest) = plan;
    newest = plan;
}

static void
cache_remove(Plan *plan)
{
    Plan **at = &buckets[bucket_of(plan->hash)];
    while (*at != plan) {
        at = &(*at)->next_in_bucket;
    }
    *at = plan->next_in_bucket;
    unlink_use(plan);
    info.size--;
    info.bytes -= plan->bytes;
    plan_release(plan);
}

/* Make room, but keep the newest. */
static void
cache_shrink(int64_t plans, int64_t bytes)
{
    while (oldest != newest && (info.size > plans || info.bytes > bytes)) {
        cache_remove(oldest);
        info.evictions++;
    }
}

static int64_t
plan_bytes(const Plan *plan)
{
    int64_t bytes = sizeof *plan;
    for (int64_t i = 0; i < plan->block_sizes.size; i++) {
        bytes += (int64_t)plan->block_sizes.data[i];
    }
    for (int32_t i = 0; i < plan->nliterals; i++) {
        bytes += (int64_t)plan->literals[i]->storage->size;
    }
    for (int32_t i = 0; i < plan->nsteps; i++) {
        bytes += device_cpu()->prepared_bytes(device_cpu(), plan->steps[i].prepared);
    }
    return bytes;
}

static Plan *
cache_find(const PlanKey *key)
{
    const size_t bytes = (size_t)key->words.size * sizeof(uint64_t);
    for (Plan *p = buckets[bucket_of(key->hash)]; p != NULL; p = p->next_in_bucket) {
        if (p->hash == key->hash && p->nwords == key->words.size &&
            memcmp(p->words, key->words.data, bytes) == 0) {
            if (p != newest) {
                unlink_use(p);
                link_newest(p);
            }
            return p;
        }
    }
    return NULL;
}

static Status
cache_add(Plan *plan, const PlanKey *key)
{
    const size_t bytes = (size_t)key->words.size * sizeof(uint64_t);
    uint64_t *words = plan_alloc(plan, bytes);
    if (words == NULL) {
        return STATUS_ERROR;
    }
    memcpy(words, key->words.data, bytes);
    plan->words = words;
    plan->nwords = key->words.size;
    plan->hash = key->hash;
    plan->bytes = plan_bytes(plan);
    plan->next_in_bucket = buckets[bucket_of(key->hash)];
    buckets[bucket_of(key->hash)] = plan_retain(plan);
    link_newest(plan);
    info.size++;
    info.bytes += plan->bytes;
    cache_shrink(MAX_PLANS, info.max_bytes);
    return STATUS_OK;
}

PlanCacheInfo
plan_cache_info(void)
{
    return info;
}

void
plan_cache_clear(void)
{
    while (newest != NULL) {
        cache_remove(newest);
    }
    info.hits = info.misses = info.evictions = 0;
}

void
plan_cache_set_max_bytes(int64_t bytes)
{
    info.max_bytes = bytes;
    cache_shrink(MAX_PLANS, info.max_bytes);
}

void
plan_cache_equal_hashes(bool on)
{
    plan_cache_clear();
    equal_hashes = on;
}

/* ---- questions ---- */

/* What a plan is asked, and how its targets are made when there is none yet. */
typedef struct Question {
    PlanKey key;
    int64_t count; /* targets */
    Status (*targets)(const struct Question *question, Node **out);
    Node *const *nodes; /* the targets themselves, or value and arguments */
    uint64_t bit;
} Question;

/* careful: without the rewrites that guards watch. */
static Plan *
make_plan(const Question *q, bool careful)
{
    const size_t bytes = 2 * (size_t)q->count * sizeof(Node *);
    Node **targets = mem_new_zeroed(bytes);
    GuardNodes guards = {0};
    SimplifyOptions options = simplify_options();
    Plan *plan = NULL;
    const int64_t mark = arena_mark(), begin = profile_on ? profile_now() : 0;
    options.hoist = options.hoist && !careful;
    if (targets != NULL && q->targets(q, targets) == STATUS_OK) {
        Node **simple = targets + q->count;
        if (simplify(targets, q->count, options, simple, &guards) == STATUS_OK) {
            plan = plan_build(&q->key, simple, q->count, guards.data, guards.size, careful);
        }
    }
    vec_fini(&guards);
    arena_reset(mark);
    mem_free(targets, bytes);
    profile_add(PROFILE_PLANNING, "planning", begin, 0, 0);
    return plan;
}

static Plan *
known_plan(const Question *q)
{
    Plan *plan = q->key.cacheable ? cache_find(&q->key) : NULL;
    if (plan == NULL) {
        return NULL;
    }
    info.hits++;
    return plan_retain(plan);
}

static Plan *
new_plan(const Question *q)
{
    info.misses++;
    Plan *plan = make_plan(q, false);
    if (plan != NULL && q->key.cacheable && cache_add(plan, &q->key) != STATUS_OK) {
        plan_release(plan);
        return NULL;
    }
    return plan;
}

/* Making a plan of many small nodes takes ten times as long as computing them, and a function with
 * long loops may never record the same again: it is planned when it does. */
static bool
awaits_second_sight(const PlanKey *key)
{
    int64_t bytes = 0;
    if (key->order.size < LONG_KEY) {
        return false;
    }
    for (int64_t i = 0; i < key->order.size; i++) {
        const Node *node = key->order.data[i];
        bytes += node->op == OP_view || node_writes_base(node) ? 0 : node_bytes(node);
    }
    if (bytes > SMALL_VALUES) {
        return false;
    }
    for (int i = 0; i < SIGHTS; i++) {
        if (sights[i] == key->hash) {
            return !key->cacheable;
        }
    }
    sights[next_sight++ % SIGHTS] = key->hash;
    return true;
}

/* Another way would give the same error, or must not be tried: the host's exception is set. */
static bool
is_final(ErrKind kind)
{
    return kind == ERR_MEMORY || kind == ERR_INTERRUPT || kind == ERR_PYTHON;
}

/* *done stays false where the nodes shall be computed one by one. */
static Status
answer(Question *q, Array **out, bool *done)
{
    bool guarded = false;
    Plan *plan = known_plan(q);
    if (plan == NULL && awaits_second_sight(&q->key)) {
        return STATUS_OK;
    }
    plan = plan != NULL ? plan : new_plan(q);
    if (plan == NULL) {
        return STATUS_ERROR;
    }
    const PlanGiven given = {.nodes = q->key.order.data};
    Status status = plan_run(plan, &given, out, &guarded);
    if (guarded) {
        if (plan->careful == NULL) {
            plan->careful = make_plan(q, true);
        }
        status = plan->careful == NULL ? STATUS_ERROR
                                       : plan_run(plan->careful, &given, out, &guarded);
    }
    plan_release(plan);
    *done = status == STATUS_OK;
    if (status == STATUS_OK || is_final(err_kind())) {
        return status;
    }
    err_clear();
    return STATUS_OK;
}

/* The key of the nodes; false, with marks taken off, where plans don't apply. */
static bool
open_question(Question *q, int64_t count, Status *status)
{
    const Settings *settings = settings_get();
    memset(&q->key, 0, sizeof q->key);
    *status = STATUS_OK;
    if (settings->executor == EXECUTOR_NODES) {
        return false;
    }
    *status = plan_key_init(&q->key, q->nodes, count, q->bit);
    plan_key_unmark(&q->key);
    if (*status == STATUS_OK) {
        *status = plan_key_add(&q->key, q->bit != 0 ? 1 : 0);
    }
    if (*status == STATUS_OK) {
        *status = plan_key_add(&q->key, (uint64_t)settings->rounding << 8 |
                                            (uint64_t)settings->executor);
    }
    plan_key_close(&q->key);
    if (equal_hashes) {
        q->key.hash = 0;
    }
    return *status == STATUS_OK && q->key.plannable;
}

static Status
same_targets(const Question *q, Node **out)
{
    memcpy(out, q->nodes, (size_t)q->count * sizeof(Node *));
    return STATUS_OK;
}

Status
plan_evaluate(Node *const *targets, int64_t count, bool *done)
{
    Question q = {.count = count, .targets = same_targets, .nodes = targets};
    const size_t bytes = (size_t)count * sizeof(Array *);
    Array **out = mem_new_zeroed(bytes);
    Status status = out == NULL ? STATUS_ERROR : STATUS_OK;
    *done = false;
    if (status == STATUS_OK && open_question(&q, count, &status)) {
        status = answer(&q, out, done);
    }
    for (int64_t i = 0; i < count && out != NULL; i++) {
        if (out[i] != NULL && targets[i]->value == NULL) {
            targets[i]->value = array_retain(out[i]);
            targets[i]->value_version = out[i]->storage->version;
        }
        array_release(out[i]);
    }
    plan_key_fini(&q.key);
    mem_free(out, bytes);
    return status;
}

Status
plan_for_good(Node *const *targets, int64_t count, PlanKey *key, Plan **plan)
{
    Question q = {.count = count, .targets = same_targets, .nodes = targets};
    Status status = STATUS_OK;
    *plan = NULL;
    if (open_question(&q, count, &status)) {
        *plan = known_plan(&q);
        *plan = *plan != NULL ? *plan : new_plan(&q);
        if (*plan != NULL && (*plan)->watched && (*plan)->careful == NULL) {
            (*plan)->careful = make_plan(&q, true);
        }
        const bool made = *plan != NULL && (!(*plan)->watched || (*plan)->careful != NULL);
        status = made ? STATUS_OK : STATUS_ERROR;
    }
    if (status != STATUS_OK) {
        plan_release(*plan);
        *plan = NULL;
    }
    *key = q.key;
    return status;
}

Status
plan_answer(const Plan *plan, const PlanGiven *given, Array **out)
{
    bool guarded = false;
    const Status status = plan_run(plan, given, out, &guarded);
    return guarded ? plan_run(plan->careful, given, out, &guarded) : status;
}

/* nodes: the value, then the arguments. */
static Status
value_and_gradients(const Question *q, Node **out)
{
    Node *value = q->nodes[0];
    Node *seed = build_full(1.0, (DType)value->dtype, value->ndim, value->shape);
    out[0] = value;
    if (seed == NULL || pullback(q->bit, 1, &value, &seed, q->count - 1, q->nodes + 1, out + 1) !=
                            STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int64_t i = 1; i < q->count; i++) {
        const bool reached = out[i] != NULL;
        out[i] = build_conjugate(out[i]);
        if (reached && out[i] == NULL) {
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
}

Status
plan_value_and_grad(uint64_t bit, Node *value, int narg, Node *const *args, Array **out,
                    bool *done)
{
    const size_t bytes = (size_t)(narg + 1) * sizeof(Node *);
    Node **nodes = mem_new(bytes);
    Status status = STATUS_ERROR;
    *done = false;
    if (nodes == NULL) {
        return STATUS_ERROR;
    }
    nodes[0] = value;
    memcpy(nodes + 1, args, (size_t)narg * sizeof(Node *));
    Question q = {.count = narg + 1, .targets = value_and_gradients, .nodes = nodes, .bit = bit};
    if (open_question(&q, narg + 1, &status) && q.key.cacheable) {
        status = answer(&q, out, done);
    }
    plan_key_fini(&q.key);
    mem_free(nodes, bytes);
    return status;
}
