/* graph/evaluate.h -- computing the values of nodes. */
#ifndef PYARR_GRAPH_EVALUATE_H
#define PYARR_GRAPH_EVALUATE_H

#include "base/hooks.h"
#include "graph/build.h"

/*
 * Give every target a value. keep: values of all nodes computed on the way stay, and inactive
 * ones become constants; else only the targets keep theirs. An error names the user's line.
 */
Status evaluate_nodes(Node *const *targets, int64_t count, bool keep);
/* The value of a node that has one (memory of the tape included): new reference. NULL without
 * an error when it must be computed, with ERR_RUNTIME when it was overwritten. */
Array *node_value(Node *node);
/* Can it be had without computing? */
bool node_has_value(Node *node);
/* A node on the tape takes over the memory of its dying storage. */
void node_adopt_memory(Node *node, Storage *storage);

#endif
