/* graph/plan_builder.h -- the state of building one plan: values, memory, what is done. */
#ifndef PYARR_GRAPH_PLAN_BUILDER_H
#define PYARR_GRAPH_PLAN_BUILDER_H

#include "base/hash.h"
#include "graph/plan_steps.h"

typedef VEC(int32_t) PlaceList;

typedef struct Builder {
    Plan *plan;
    const PlanGraph *g;
    HashMap key_places;    /* leaf -> its place in the key's order */
    int32_t *value_of;     /* of each node: -1 until it has one */
    int32_t *waits;        /* inputs, and what it is to wait for, that are not done */
    int32_t *first_waiter; /* of those that a node makes wait without being their input, or -1 */
    int32_t *next_waiter;
    int32_t *stage_of;     /* -1: in none */
    Stage **stages;        /* NULL: dissolved, or a step already */
    int32_t nstages;
    struct Group *group;   /* that is being formed (plan_build.c) */
    int32_t *member;       /* what each node is to it; 0: nothing */
    bool *done;
    bool hasty;            /* waits that are no inputs are over: they went in a circle */
    VEC(PlanValue) values;
    VEC(PlanMemory) memory;
    VEC(int32_t) memory_readers; /* reads of each block still to come */
    VEC(PlanStep) steps;
    VEC(Array *) literals; /* retained */
    PlaceList new_memory, free_memory; /* of the step that is being written */
    PlaceList free_nodes, elementwise, library; /* ready */
} Builder;

bool builder_is_free(const Node *node);        /* an alias of its input */
bool builder_is_elementwise(const Node *node); /* an instruction */

/* A value for the node at a place: given from outside; in fresh memory; like its input. */
Status builder_leaf(Builder *b, int32_t at);
int32_t builder_new_value(Builder *b, int32_t at);
Status builder_alias(Builder *b, int32_t at);
/* A step that calls the primitive. */
Status builder_primitive(Builder *b, int32_t at);
/* Would a write into a large array have to copy it first, since others still read it? */
bool builder_would_copy(const Builder *b, int32_t at);

/* A step that copies the value into fresh memory; the copy's value, -1 on failure. */
int32_t builder_copy(Builder *b, int32_t from);

/* Stages (plan_stage.c): find them; the next one whose inputs are there, or -1; its step. */
Status builder_stages(Builder *b);
void builder_stages_fini(Builder *b);
int32_t builder_ready_stage(const Builder *b);
Status builder_stage(Builder *b, int32_t number);

/* Writing a step: open, make values, note reads, close. */
void builder_open(Builder *b);
Status builder_lists(Builder *b, PlanStep *step, const int32_t *in, int nin, const int32_t *out,
                     int nout);
void builder_read(Builder *b, int32_t at);
Status builder_close(Builder *b, PlanStep *step);
/* The node has its value: those that waited for it may be ready. */
Status builder_done(Builder *b, int32_t at);

/* All nodes, in an order of steps. */
Status builder_schedule(Builder *b);

#endif
