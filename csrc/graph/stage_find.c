/* graph/stage_find.c -- choosing the axes that are swept, and the nodes of each stage.
 *
 * Every class of axes is tried: what it would save is the memory of the values that would never
 * be stored. The best one gets its stages, then the rest is tried again without their nodes.
 * A stage forms only where it has more to offer than a program over one index space. */
#include "backend/backend.h"
#include "base/mem.h"
#include "base/settings.h"
#include "graph/stage_roles.h"

#include <string.h>

enum {
    LEAST_ROWS = 32,
    CLASSES = 32,       /* tried, the largest ones */
    FEWER_CLASSES = 8,  /* of large graphs */
    TRIES = 40000,      /* classes times nodes, below which all are tried */
    LEVELS = 16,
    NODES = 200000      /* of a graph that is looked at */
};

/* Elements of the largest value, from which a stage pays: smaller ones stay in the cache anyway,
 * and library calls read products where they lie. */
static int64_t least_size = 128 * 1024;

int64_t
stages_least_size(void)
{
    return least_size;
}

int64_t
stages_set_least_size(int64_t size)
{
    const int64_t before = least_size;
    least_size = size;
    return before;
}

/* What is known of the members of one level. */
typedef struct Level {
    int64_t saved;      /* bytes of values, less twice those stored */
    int64_t largest;    /* elements */
    int64_t nodes;      /* elementwise */
    bool worth;         /* has a member that programs do not run */
    bool impossible;
} Level;

typedef struct Search {
    const PlanGraph *g;
    StageAxes axes;
    StageRoles roles;
    int32_t *stage_of;
    int32_t *inside;    /* readers among the members of the node's level */
    int32_t classes[CLASSES];
    int nclasses;
    int32_t nstages;
    Level levels[LEVELS];
} Search;

static bool
is_member(const StageRoles *roles, int32_t at)
{
    return roles->role[at] != ROLE_NONE;
}

/* Readers inside; views of members that nobody inside reads are no members. */
static void
count_inside(Search *s)
{
    const PlanGraph *g = s->g;
    memset(s->inside, 0, (size_t)g->count * sizeof(int32_t));
    for (int32_t i = g->count - 1; i >= 0; i--) {
        if (s->roles.role[i] == ROLE_ALIAS && s->inside[i] == 0) {
            s->roles.role[i] = ROLE_NONE;
        }
        for (int k = 0; k < plan_graph_nin(g, i) && is_member(&s->roles, i); k++) {
            const int32_t input = plan_graph_input(g, i, k);
            s->inside[input] += s->roles.level[input] == s->roles.level[i];
        }
    }
}

/* Elements that a row of an operand has in memory. */
static int64_t
row_elements(const StageMap *map, int row)
{
    const int ndim = (int)map->geometry[1];
    int64_t count = 1;
    for (int d = 0; d < ndim; d++) {
        count *= d == row || map->geometry[2 + ndim + d] == 0 ? 1 : map->geometry[2 + d];
    }
    return count;
}

/* Long values are computed again wherever they are read, so they must come from short ones. */
static bool
fits(const Search *s, int32_t at)
{
    const PlanGraph *g = s->g;
    const StageRoles *roles = &s->roles;
    const bool elementwise = roles->role[at] == ROLE_ELEMENTWISE || roles->role[at] == ROLE_ALIAS;
    const bool row_wise = stage_role_is_row_wise(roles->role[at]);
    if (row_wise && (!elementwise || g->readers[at] > s->inside[at]) &&
        !backend_cpu_tile_fits(g->nodes[at]->size / roles->rows)) {
        return false;
    }
    for (int k = 0; k < plan_graph_nin(g, at) && roles->role[at] != ROLE_ALIAS; k++) {
        StageMap map;
        stage_resolve(roles, plan_graph_input(g, at, k), &map);
        const int row = stage_operand_row(roles, at, k);
        const bool inside =
            is_member(roles, map.root) && roles->level[map.root] == roles->level[at];
        const bool computed = inside && roles->role[map.root] == ROLE_ELEMENTWISE;
        const bool in_block = roles->role[at] == ROLE_ELEMENTWISE ||
                              roles->role[at] == ROLE_REDUCE || roles->role[at] == ROLE_ROW_SUM;
        const bool shared = row < 0 || map.geometry[2 + map.geometry[1] + row] == 0;
        const bool needs_buffer = in_block ? !computed && !shared : row >= 0;
        if (needs_buffer && !backend_cpu_tile_fits(row_elements(&map, row))) {
            return false;
        }
    }
    return true;
}

static void
note_member(Search *s, int32_t at)
{
    const PlanGraph *g = s->g;
    const Node *node = g->nodes[at];
    const int role = s->roles.role[at];
    Level *level = &s->levels[s->roles.level[at]];
    level->largest = node->size > level->largest ? node->size : level->largest;
    if (role == ROLE_REDUCE || role == ROLE_MAP || role == ROLE_OUTER || role == ROLE_SCATTER ||
        (role == ROLE_ROW_SUM && node->size > 1)) {
        const Node *input = g->nodes[plan_graph_input(g, at, 0)];
        level->worth = true;
        level->largest = input->size > level->largest ? input->size : level->largest;
        level->saved += role == ROLE_OUTER || role == ROLE_MAP ? node_bytes(input) : 0;
    }
    level->nodes += role == ROLE_ELEMENTWISE;
    level->worth = level->worth || level->nodes > PLAN_PROGRAM_NODES;
    if (stage_role_is_row_wise(role)) {
        level->saved += role == ROLE_ALIAS ? 0 : node_bytes(node);
        level->saved -= g->readers[at] > s->inside[at] ? 2 * node_bytes(node) : 0;
    }
    level->impossible = level->impossible || !fits(s, at);
}

static bool
level_is_good(const Level *level)
{
    return level->worth && !level->impossible && level->largest >= least_size && level->saved > 0;
}

/* Bytes that stages along this class would save, with members as late as they can be or as early;
 * 0 when there are none. */
static int64_t
try_class(Search *s, int32_t class_, bool late)
{
    int64_t saved = 0;
    stage_roles_find(&s->roles, &s->axes, class_, s->stage_of);
    if (late && !stage_roles_move_late(&s->roles)) {
        return 0; /* nothing else than early */
    }
    count_inside(s);
    memset(s->levels, 0, sizeof s->levels);
    for (int32_t i = 0; i < s->g->count; i++) {
        if (is_member(&s->roles, i)) {
            if (s->roles.level[i] >= LEVELS) {
                return 0;
            }
            note_member(s, i);
        }
    }
    for (int l = 0; l < LEVELS; l++) {
        saved += level_is_good(&s->levels[l]) ? s->levels[l].saved : 0;
    }
    return saved;
}

/* Views of outer values that only members of one stage read belong to it. */
static void
absorb_views(Search *s, int32_t first)
{
    const PlanGraph *g = s->g;
    for (int32_t i = g->count - 1; i >= 0; i--) {
        s->inside[i] = -1; /* the one stage that reads it; -2: several, or none */
    }
    for (int32_t i = g->count - 1; i >= 0; i--) {
        const Node *node = g->nodes[i];
        StageMap map;
        if (s->stage_of[i] < 0 && s->inside[i] >= first && !g->leaf[i] && !g->result[i] &&
            stage_is_view(node)) {
            stage_resolve(&s->roles, i, &map);
            if (map.root != i) {
                s->stage_of[i] = s->inside[i];
            }
        }
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            const int32_t own = s->stage_of[i], input = plan_graph_input(g, i, k);
            int32_t *reader = &s->inside[input];
            *reader = own >= 0 && (*reader == -1 || *reader == own) ? own : -2;
            if (own >= 0) { /* what is read through views must be there itself */
                stage_resolve(&s->roles, input, &map);
                s->inside[map.root] = -2;
            }
        }
    }
}

/* ---- stages must not wait for each other in a circle ---- */

/* Places in an order in which every stage can run at once; fewer than all when there is none. */
static Status
is_ordered(const Search *s, bool *ordered)
{
    const PlanGraph *g = s->g;
    const int32_t groups = g->count + s->nstages;
    const int32_t edges = g->first[g->count];
    int32_t *memory = mem_new(((size_t)groups * 3 + (size_t)edges + 2) * sizeof(int32_t));
    if (memory == NULL) {
        return STATUS_ERROR;
    }
    int32_t *waits = memory, *first = waits + groups, *queue = first + groups + 1;
    int32_t *readers = queue + groups, head = 0, tail = 0;
    memset(memory, 0, ((size_t)groups * 2 + 1) * sizeof(int32_t));
#define GROUP(i) (s->stage_of[i] >= 0 ? g->count + s->stage_of[i] : (i))
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = g->count - 1; i >= 0; i--) {
            for (int k = 0; k < plan_graph_nin(g, i); k++) {
                const int32_t from = GROUP(plan_graph_input(g, i, k)), to = GROUP(i);
                if (from != to && pass == 0) {
                    waits[to]++;
                    first[from]++;
                } else if (from != to) {
                    readers[--first[from]] = to;
                }
            }
        }
        for (int32_t k = 0, sum = 0; pass == 0 && k <= groups; k++) {
            sum += k < groups ? first[k] : 0;
            first[k] = sum;
        }
    }
#undef GROUP
    for (int32_t k = 0; k < groups; k++) {
        if (waits[k] == 0) {
            queue[tail++] = k;
        }
    }
    while (head < tail) {
        const int32_t k = queue[head++];
        for (int32_t e = first[k]; e < first[k + 1]; e++) {
            if (--waits[readers[e]] == 0) {
                queue[tail++] = readers[e];
            }
        }
    }
    *ordered = tail == groups;
    mem_free(memory, ((size_t)groups * 3 + (size_t)edges + 2) * sizeof(int32_t));
    return STATUS_OK;
}

static Status
take_class(Search *s, int32_t class_, bool late)
{
    int32_t numbers[LEVELS];
    const int32_t before = s->nstages;
    try_class(s, class_, late);
    for (int l = 0; l < LEVELS; l++) {
        numbers[l] = level_is_good(&s->levels[l]) ? s->nstages++ : -1;
    }
    for (int32_t i = 0; i < s->g->count; i++) {
        if (is_member(&s->roles, i)) {
            s->stage_of[i] = numbers[s->roles.level[i]];
        }
    }
    absorb_views(s, before);
    bool ordered;
    if (is_ordered(s, &ordered) != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int32_t i = 0; i < s->g->count && !ordered; i++) {
        s->stage_of[i] = s->stage_of[i] >= before ? -1 : s->stage_of[i];
    }
    s->nstages = ordered ? s->nstages : before;
    return STATUS_OK;
}

/* ---- the classes worth trying ---- */

static int64_t
class_bytes(Search *s, int32_t class_)
{
    int64_t bytes = 0, largest = 0, rows = 0;
    int32_t axis = class_;
    do {
        const int32_t owner = s->axes.owner[axis];
        const Node *node = s->g->nodes[owner];
        if (!s->g->leaf[owner]) {
            rows = node->shape[axis - s->axes.first[owner]];
            bytes += node_bytes(node);
            largest = node->size > largest ? node->size : largest;
        }
        axis = s->axes.next[axis];
    } while (axis != class_);
    return rows >= LEAST_ROWS && largest >= LEAST_ROWS ? bytes : 0;
}

static void
find_classes(Search *s)
{
    int64_t bytes[CLASSES];
    const int most = s->g->count > TRIES / CLASSES ? FEWER_CLASSES : CLASSES;
    for (int32_t a = 0; a < s->axes.count; a++) {
        const int64_t own = stage_axes_class(&s->axes, a) == a ? class_bytes(s, a) : 0;
        if (own <= 0 || (s->nclasses == most && own <= bytes[most - 1])) {
            continue;
        }
        int k = s->nclasses < most ? s->nclasses++ : most - 1;
        for (; k > 0 && bytes[k - 1] < own; k--) {
            bytes[k] = bytes[k - 1];
            s->classes[k] = s->classes[k - 1];
        }
        bytes[k] = own;
        s->classes[k] = a;
    }
}

static Status
search(Search *s)
{
    find_classes(s);
    while (s->nclasses > 0) {
        int64_t most = 0;
        int best = -1;
        bool late = false;
        for (int k = 0; k < 2 * s->nclasses; k++) {
            const int64_t saved = try_class(s, s->classes[k / 2], k % 2 != 0);
            if (saved > most) {
                most = saved;
                best = k / 2;
                late = k % 2 != 0;
            }
        }
        if (best < 0) {
            break;
        }
        if (take_class(s, s->classes[best], late) != STATUS_OK) {
            return STATUS_ERROR;
        }
        s->classes[best] = s->classes[--s->nclasses];
    }
    return STATUS_OK;
}

static bool
is_possible(const PlanGraph *g)
{
    const Settings *settings = settings_get();
    if (settings->executor == EXECUTOR_NODES || settings->rounding == ROUNDING_STRICT ||
        g->count > NODES) {
        return false;
    }
    for (int32_t i = 0; i < g->count; i++) {
        if (g->nodes[i]->size >= least_size) {
            return true;
        }
    }
    return false;
}

Status
stages_find(const PlanGraph *g, int32_t *stage_of, int32_t *nstages)
{
    Search s = {.g = g, .stage_of = stage_of};
    *nstages = 0;
    for (int32_t i = 0; i < g->count; i++) {
        stage_of[i] = -1;
    }
    if (!is_possible(g)) {
        return STATUS_OK;
    }
    Status status = STATUS_ERROR;
    const size_t bytes = ((size_t)g->count + 1) * sizeof(int32_t);
    s.inside = mem_new(bytes);
    if (s.inside != NULL && stage_axes_init(&s.axes, g) == STATUS_OK) {
        if (stage_roles_init(&s.roles, g, stage_of, -1) == STATUS_OK) {
            status = search(&s);
            stage_roles_fini(&s.roles);
        }
        stage_axes_fini(&s.axes, g);
    }
    mem_free(s.inside, bytes);
    *nstages = s.nstages;
    return status;
}
