/* graph/plan_key.h -- the canonical stream of some nodes: what makes two plans the same.
 *
 * The stream lists the nodes behind the results, inputs first, in the order in which a walk
 * from the results meets them: ops, parameters, inputs by number, dtypes, shapes; of arrays
 * that are given also the strides, and which of them are one array. It has no pointers and no
 * contents, except the values of literals.
 */
#ifndef PYARR_GRAPH_PLAN_KEY_H
#define PYARR_GRAPH_PLAN_KEY_H

#include "base/vec.h"
#include "graph/node.h"

typedef struct PlanKey {
    VEC(Node *) order;   /* retained: other threads may drop what the tape holds */
    VEC(int64_t) leaves; /* places of arrays that other leaves may share */
    VEC(uint64_t) words;
    uint64_t hash;
    bool cacheable;      /* holds no rule of the host language */
    bool plannable;      /* every given array lies on the CPU, and there are not too many nodes */
} PlanKey;

/*
 * Write the stream of `roots`. bit != 0: the walk goes on through nodes that have values where
 * they depend on that transform, since their derivative is wanted. Ends with node->mark = the
 * place in the order + 1: call plan_key_unmark before other code may run.
 */
Status plan_key_init(PlanKey *key, Node *const *roots, int64_t count, uint64_t bit);
void plan_key_unmark(PlanKey *key);
void plan_key_fini(PlanKey *key);
/* Add a word of what else matters, and close the key. */
Status plan_key_add(PlanKey *key, uint64_t word);
void plan_key_close(PlanKey *key);

#endif
