/* graph/plan_steps.h -- what a plan consists of, for its builder and its runner. */
#ifndef PYARR_GRAPH_PLAN_STEPS_H
#define PYARR_GRAPH_PLAN_STEPS_H

#include "backend/backend.h"
#include "base/vec.h"
#include "graph/plan_graph.h"
#include "graph/plan_key.h"
#include "graph/stage.h"

typedef enum MemoryKind {
    MEMORY_ARGUMENT,  /* given at the run: the node at a place of the key's order */
    MEMORY_LITERAL,   /* an array of the plan's own */
    MEMORY_TEMPORARY, /* from one step to another */
    MEMORY_RESULT     /* a fresh array, handed out */
} MemoryKind;

typedef struct PlanMemory {
    uint8_t kind; /* MemoryKind */
    int32_t index; /* of an argument: the place; of a literal or result: its number */
    int64_t size;  /* bytes */
    int64_t at;    /* in the block of small temporaries, -1: a block of its own */
} PlanMemory;

/* Elements in memory: what the steps read and write. */
typedef struct PlanValue {
    int32_t memory;
    int32_t ndim;
    DType dtype;
    int64_t offset; /* bytes */
    int64_t size;   /* elements */
    int64_t *shape;
    int64_t *strides; /* bytes */
} PlanValue;

typedef enum StepKind {
    STEP_PROGRAM,
    STEP_PRIMITIVE,
    STEP_STAGE,
    STEP_ELEMENT /* assign or assign_add of one float64, in place: what gradients by x[k] are */
} StepKind;

typedef struct PlanStep {
    uint8_t kind;
    OpCode op;            /* of a primitive */
    int32_t nin, nout;
    int32_t nplain;       /* of a program's outputs; the others are sums */
    const int32_t *in;    /* values */
    const int32_t *out;
    int32_t nparams;
    const int64_t *params;
    struct Prepared *prepared; /* of a program */
    int32_t ndim, ninstructions; /* of a program, for those who look at it */
    const int64_t *shape;
    const Instruction *instructions;
    Stage *stage;
    int32_t nnew;         /* blocks that this step begins */
    const int32_t *new_memory;
    int32_t nfree;        /* and those that nobody reads after it */
    const int32_t *free_memory;
} PlanStep;

typedef struct Plan Plan;

struct Plan {
    int32_t refcount;
    uint64_t hash;
    int64_t nwords;
    const uint64_t *words;
    int32_t nvalues, nmemory, nsteps, nliterals, nresults, nguards;
    PlanValue *values;
    PlanMemory *memory;
    PlanStep *steps; /* each owns what it prepared */
    Array **literals;
    int32_t *results;       /* values; -1: no such result */
    int32_t *result_memory; /* memory of each, two may share it */
    int32_t *guards;        /* values that must be finite and normal, or zero */
    int64_t bytes;          /* of memory that it takes, about */
    int32_t most_operands;  /* of any step */
    int64_t small_bytes;    /* block of small temporaries */
    bool watched;           /* guards, or steps, may ask for the careful plan */
    int64_t bytes_touched;  /* decides whether to release the interpreter lock */
    Plan *careful;          /* without the rewrites that are watched; NULL until needed */
    Plan *next_in_bucket;
    Plan *newer, *older;    /* by last use */
    VEC(void *) blocks;     /* what all pointers above point into */
    VEC(size_t) block_sizes;
};

/* Memory that lives as long as the plan. */
void *plan_alloc(Plan *plan, size_t size);
Plan *plan_retain(Plan *plan);
void plan_release(Plan *plan); /* NULL is fine */

/* The nodes behind `targets` and `guards`; NULL ones count for nothing. */
Status plan_graph_init(PlanGraph *g, Node *const *targets, int64_t count, Node *const *guards,
                       int64_t nguards);
void plan_graph_fini(PlanGraph *g);

/* A plan whose results are `targets` (NULL: none), from nodes with the key's leaves. careful:
 * without rewrites of its own that a run has to check. */
Plan *plan_build(const PlanKey *key, Node *const *targets, int64_t count, Node *const *guards,
                 int64_t nguards, bool careful);

/* What a plan is run on: the values of the key's nodes, or arrays in their places. */
typedef struct PlanGiven {
    Node *const *nodes;    /* in the key's order; NULL: arrays[number[place]] */
    const int32_t *number;
    Array *const *arrays;
} PlanGiven;

/* Run it. out[i]: a new array for each result, or NULL. guarded: there are no results, since a
 * guard did not hold. */
Status plan_run(const Plan *plan, const PlanGiven *given, Array **out, bool *guarded);

/* A plan that will be run without nodes: plan NULL, without an error, where plans don't apply.
 * key: whose places its arguments are; to be finished in any case. */
Status plan_for_good(Node *const *targets, int64_t count, PlanKey *key, Plan **plan);
/* Run it; where a guard does not hold, run the careful one. */
Status plan_answer(const Plan *plan, const PlanGiven *given, Array **out);

#endif
