/* graph/stage_line.c -- stages of pairs: may their one long inner axis lie in lanes?
 *
 * Where all long values run over one inner axis, as in f(x[:, None], y[None, :]), a tile is a few
 * rows, and blocks run along that axis, the line, row by row. Then a row's values can be kept from
 * one block to the next: an exponential is computed once for value and gradients. */
#include "graph/stage_build.h"

enum {
    STORED_ELEMENTS = 8192, /* longer values are computed again: a tile must stay in the cache */
    AGAIN_COST = 4,         /* instructions that cost less than storing and reading a value */
    FUNCTION_COST = 8
};

/* Is an operand, where it is a member, the line itself, or one element for all of it? */
static bool
operand_fits(const StageBuild *b, int32_t at, int k, int64_t line)
{
    StageOperand operand;
    stage_space_operand(b, at, k, &operand);
    if (operand.reading != READ_LANES) {
        return true;
    }
    return b->g->nodes[operand.root]->size / b->roles.rows == line
               ? operand.offset == 0 && operand.strides[0] == 1
               : operand.strides[0] == 0;
}

/* Does a member over a long space run over the line alone, and stay in the stage? */
static bool
long_member_fits(const StageBuild *b, int32_t at, int64_t line)
{
    const bool sum = b->roles.role[at] != ROLE_ELEMENTWISE;
    if (b->space[at].ndim != 1 || b->space[at].shape[0] != line ||
        (sum ? b->g->nodes[at]->op != OP_sum : stage_is_output(b, at))) {
        return false;
    }
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        if (!operand_fits(b, at, k, line)) {
            return false;
        }
    }
    return true;
}

/* No member over a short space, or of another kind, may read parts of the line; products need more
 * rows at a time. */
static bool
short_member_fits(const StageBuild *b, int32_t at)
{
    if (b->roles.role[at] == ROLE_MAP || b->roles.role[at] == ROLE_OUTER) {
        return false;
    }
    for (int k = 0; k < plan_graph_nin(b->g, at); k++) {
        StageMap map;
        stage_resolve(&b->roles, plan_graph_input(b->g, at, k), &map);
        if (stage_is_member(b, map.root) && stage_role_is_row_wise(b->roles.role[map.root]) &&
            b->g->nodes[map.root]->size / b->roles.rows > STAGE_SHORT) {
            return false;
        }
    }
    return !stage_role_is_row_wise(b->roles.role[at]) ||
           b->g->nodes[at]->size / b->roles.rows <= STAGE_SHORT;
}

int64_t
stage_find_line(const StageBuild *b)
{
    int64_t line = 0;
    for (int32_t i = 0; i < b->g->count; i++) {
        if (!stage_is_member(b, i)) {
            continue;
        }
        if (b->roles.role[i] == ROLE_ALIAS) {
            if (stage_is_output(b, i) && b->g->nodes[i]->size / b->roles.rows > STAGE_SHORT) {
                return 0;
            }
        } else if (!stage_in_block(b, i) || stage_block_volume(b, i) <= STAGE_SHORT) {
            if (!short_member_fits(b, i)) {
                return 0;
            }
        } else {
            line = line == 0 ? stage_block_volume(b, i) : line;
            if (!long_member_fits(b, i, line)) {
                return 0;
            }
        }
    }
    return line;
}

/* ---- which values of the line are computed again ---- */

static int
own_cost(const Node *node)
{
    const bool cheap = node->op == OP_cast ||
                       (op_info((OpCode)node->op)->flags & FLAG_CHEAP) != 0;
    const bool divides = node->op == OP_divide || node->op == OP_reciprocal ||
                         node->op == OP_sqrt;
    return cheap && !divides ? 1 : FUNCTION_COST;
}

/* Instructions from what is kept, or is given, to the value. */
static int
cost_of(const StageBuild *b, int32_t at)
{
    int cost = own_cost(b->g->nodes[at]);
    for (int k = 0; k < plan_graph_nin(b->g, at) && cost <= AGAIN_COST; k++) {
        StageMap map;
        stage_resolve(&b->roles, plan_graph_input(b->g, at, k), &map);
        cost += b->again[map.root] ? cost_of(b, map.root) : 0;
    }
    return cost;
}

void
stage_find_again_in_line(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count; i++) {
        b->again[i] = stage_is_member(b, i) && b->roles.role[i] == ROLE_ELEMENTWISE &&
                      stage_block_volume(b, i) == b->line &&
                      (b->line > STORED_ELEMENTS || cost_of(b, i) <= AGAIN_COST);
    }
}

/* Is the value read by a later block than the one that is built, itself or behind values that are
 * computed again? */
bool
stage_is_kept(const StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    for (int32_t i = at + 1; i < g->count; i++) {
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            if (plan_graph_input(g, i, k) != at || !stage_is_member(b, i)) {
                continue;
            }
            const bool passes = b->roles.role[i] == ROLE_ALIAS || b->again[i];
            if (passes ? stage_is_kept(b, i) : b->done[i] == 0) {
                return true;
            }
        }
    }
    return false;
}
