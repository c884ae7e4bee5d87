/* graph/stage_roles.h -- what nodes are with respect to one axis that is swept: shared by the
 * parts of the planner of stages. */
#ifndef PYARR_GRAPH_STAGE_ROLES_H
#define PYARR_GRAPH_STAGE_ROLES_H

#include "graph/build.h"
#include "graph/plan_graph.h"
#include "graph/stage.h"

/* ---- axes (stage_axes.c): which axes of different nodes are one and the same ---- */
typedef struct StageAxes {
    int32_t count;
    int32_t *first;  /* by place: the number of its axis 0; count + 1 entries */
    int32_t *parent; /* by axis: towards its class's representative */
    int32_t *next;   /* the axes of a class, in a ring */
    int32_t *size;   /* of the class, at its representative */
    int32_t *owner;  /* by axis: the place */
} StageAxes;

Status stage_axes_init(StageAxes *axes, const PlanGraph *g);
void stage_axes_fini(StageAxes *axes, const PlanGraph *g);
int32_t stage_axes_class(StageAxes *axes, int32_t axis);

/* ---- roles (stage_roles.c) ---- */
typedef enum StageRole {
    ROLE_NONE,
    ROLE_ELEMENTWISE, /* row-wise */
    ROLE_ALIAS,       /* a view of a row-wise value, row for row */
    ROLE_REDUCE,      /* row-wise: over inner axes */
    ROLE_MAP,         /* row-wise: a product with a shared matrix */
    ROLE_GATHER,      /* row-wise: rows of a shared table */
    ROLE_ROW_SUM,     /* accumulators: over rows, and inner axes perhaps */
    ROLE_OUTER,
    ROLE_SCATTER
} StageRole;

typedef struct StageRoles {
    const PlanGraph *g;
    const int32_t *stage_of; /* by place: the stage that has it so far, or -1 */
    int32_t number;          /* of the stage that they are for */
    int64_t rows;
    int8_t *row;      /* by place: its axis of the class, or -1 */
    uint8_t *role;
    int32_t *level;   /* members of one level are one stage */
    bool *after;      /* depends on members of its level */
    int32_t *limit;   /* the highest level that readers allow (stage_late.c) */
    bool *stored;     /* needed in memory, whatever its level */
} StageRoles;

/* For the stage of this number; -1: one that is still to be found. */
Status stage_roles_init(StageRoles *roles, const PlanGraph *g, const int32_t *stage_of,
                        int32_t number);
void stage_roles_fini(StageRoles *roles);
/* Roles with respect to a class of axes; nodes with taken[i] >= 0 have none. */
void stage_roles_find(StageRoles *roles, StageAxes *axes, int32_t class_, const int32_t *taken);

/* An operand read through views and copies: the place before them, which is no view or belongs to
 * another stage, and its elements in C order that the operand's axes walk over. */
typedef struct StageMap {
    int32_t root;
    int64_t geometry[GEOMETRY_MAX];
} StageMap;
void stage_resolve(const StageRoles *roles, int32_t place, StageMap *map);

/* Members that only higher levels read move up where that stores fewer bytes (stage_late.c):
 * did any? */
bool stage_roles_move_late(StageRoles *roles);

/* Does the node have its input's elements? */
static inline bool
stage_is_view(const Node *node)
{
    return node->op == OP_view || node->op == OP_copy;
}

static inline bool
stage_role_is_row_wise(int role)
{
    return role >= ROLE_ELEMENTWISE && role <= ROLE_GATHER;
}

static inline bool
stage_role_is_sum(int role)
{
    return role >= ROLE_ROW_SUM;
}

/* The axis of operand k of a member that runs over the rows, or -1 when the operand is shared. */
int stage_operand_row(const StageRoles *roles, int32_t at, int k);

/* A geometry over a row-wise value, row for row along the operand's axis `row`: the offset and
 * strides in inner elements. False when it is none. */
bool stage_row_aligned(const StageRoles *roles, const StageMap *map, int row, int64_t *offset,
                       int64_t *strides);

#endif
