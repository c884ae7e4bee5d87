/* graph/plan_describe.h -- what the steps of a plan do, for those who look at plans. */
#ifndef PYARR_GRAPH_PLAN_DESCRIBE_H
#define PYARR_GRAPH_PLAN_DESCRIBE_H

#include "graph/plan_steps.h"

typedef struct StepDescription {
    const char *kind;     /* "program", "stage", "library" */
    const char *name;     /* of what is called; of a program "program" */
    const char *executor; /* "native", "interpreter", "tiles", "library" */
    int ndim;             /* the index space */
    const int64_t *shape;
    int64_t bytes_read, bytes_written, flops; /* each array counted once, each op once an element */
    int64_t code_bytes;   /* of machine code */
    int64_t nodes, rows;  /* of a stage: ops inside, and what it sweeps over */
} StepDescription;

/* Bytes in memory: elements that strides repeat count once. */
int64_t plan_value_bytes(const PlanValue *v);
void plan_describe_step(const Plan *plan, const PlanStep *step, StepDescription *d);
/* "program of 26 over (1000000,)" into a buffer. d is not to be copied: shape may lie in it. */
void plan_step_label(const PlanStep *step, const StepDescription *d, char *buffer, int size);
/* Most bytes of temporaries that a run holds at a time. */
int64_t plan_temporary_bytes(const Plan *plan);

/* ---- watching: which plans are run ---- */

typedef struct PlanWatch {
    VEC(Plan *) plans; /* retained, in order; a plan run twice is there twice */
} PlanWatch;

extern _Thread_local PlanWatch *plan_watch; /* NULL: nobody watches this thread */
void plan_watch_note(const Plan *plan);
void plan_watch_fini(PlanWatch *watch);

#endif
