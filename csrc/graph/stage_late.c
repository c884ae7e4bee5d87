/* graph/stage_late.c -- members of a stage that only later stages read, moved there.
 *
 * Levels are as early as they can be, so a product that needs nothing would be stored for a later
 * stage which waits for a sum. It moves to its first reader where fewer bytes are stored then. */
#include "graph/stage_roles.h"

enum { DEEPEST = 12 }; /* members below one that is to move */

/* The highest level of the operand that its reader allows. */
static int32_t
limit_of(const StageRoles *roles, int32_t reader, int k, const StageMap *map)
{
    int64_t offset, strides[ARRAY_MAX_NDIM];
    if (roles->role[reader] == ROLE_NONE) {
        return roles->level[map->root];
    }
    const int row = stage_operand_row(roles, reader, k);
    return roles->level[reader] - !stage_row_aligned(roles, map, row, &offset, strides);
}

/* Bytes that would be stored, were the member a level later: what it reads of values that nobody
 * else does moves with it. */
static int64_t
cost_of_moving(const StageRoles *roles, int32_t at, int depth)
{
    const PlanGraph *g = roles->g;
    int64_t cost = 0;
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        StageMap map;
        int32_t place = plan_graph_input(g, at, k);
        bool alone = true;
        stage_resolve(roles, place, &map);
        if (g->leaf[map.root] || !stage_role_is_row_wise(roles->role[map.root]) ||
            roles->stored[map.root]) {
            continue;
        }
        for (; place != map.root; place = plan_graph_input(g, place, 0)) {
            alone = alone && g->readers[place] == 1;
        }
        int64_t own = node_bytes(g->nodes[map.root]);
        if (alone && g->readers[map.root] == 1 && depth > 0) {
            const int64_t below = cost_of_moving(roles, map.root, depth - 1);
            own = below < own ? below : own;
        }
        cost += own;
    }
    return cost;
}

/* What the node's readers, all of them done, say of it. */
static bool
move(StageRoles *roles, int32_t at)
{
    const int32_t limit = roles->limit[at];
    if (roles->role[at] == ROLE_ALIAS || !stage_role_is_row_wise(roles->role[at]) ||
        roles->g->result[at] || limit == INT32_MAX || limit <= roles->level[at] ||
        cost_of_moving(roles, at, DEEPEST) > node_bytes(roles->g->nodes[at])) {
        return false;
    }
    roles->level[at] = limit;
    return true;
}

static void
note_reads(StageRoles *roles, int32_t at)
{
    const PlanGraph *g = roles->g;
    if (stage_is_view(g->nodes[at]) && !g->result[at]) {
        return; /* its readers count */
    }
    for (int k = 0; k < plan_graph_nin(g, at); k++) {
        StageMap map;
        stage_resolve(roles, plan_graph_input(g, at, k), &map);
        const int32_t limit = limit_of(roles, at, k, &map);
        roles->limit[map.root] = limit < roles->limit[map.root] ? limit : roles->limit[map.root];
    }
}

/* Is the value needed in memory, by a library call or a result? Then later reading costs nothing
 * more. */
static void
find_stored(StageRoles *roles)
{
    const PlanGraph *g = roles->g;
    for (int32_t i = 0; i < g->count; i++) {
        roles->limit[i] = INT32_MAX;
        roles->stored[i] = g->result[i];
    }
    for (int32_t i = 0; i < g->count; i++) {
        const bool reads = !g->leaf[i] && roles->role[i] == ROLE_NONE &&
                           (!stage_is_view(g->nodes[i]) || g->result[i]);
        for (int k = 0; reads && k < plan_graph_nin(g, i); k++) {
            StageMap map;
            stage_resolve(roles, plan_graph_input(g, i, k), &map);
            roles->stored[map.root] = true;
        }
    }
}

bool
stage_roles_move_late(StageRoles *roles)
{
    const PlanGraph *g = roles->g;
    bool any = false;
    find_stored(roles);
    for (int32_t i = g->count - 1; i >= 0; i--) {
        if (!g->leaf[i]) {
            any = move(roles, i) || any;
            note_reads(roles, i);
        }
    }
    for (int32_t i = 0; i < g->count && any; i++) {
        if (roles->role[i] == ROLE_ALIAS) {
            StageMap map;
            stage_resolve(roles, i, &map);
            roles->level[i] = roles->level[map.root];
        }
    }
    return any;
}
