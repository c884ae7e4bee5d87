/* graph/derive.h -- derivatives as nodes: what each op's builder gives to the backward pass.
 *
 * A builder emits ordinary nodes, is linear in the cotangent g, and never looks at values.
 * Cotangents follow df = Re(sum g dr); nothing here conjugates except where an op does.
 * All nodes belong to the arena (build.h).
 */
#ifndef PYARR_GRAPH_DERIVE_H
#define PYARR_GRAPH_DERIVE_H

#include "graph/build.h"

/* The contribution of `node` with cotangent g to input i of an elementwise node; *none is set
 * when there is none. NULL with the error set on failure. */
Node *derive_elementwise(Node *node, int i, Node *g, bool *none);

/*
 * A primitive: for each input i with wanted[i], out[i] becomes its contribution or stays NULL.
 * `sums[i]` is what the input's cotangent has gathered so far (or NULL); a builder that can add
 * into it at less cost than a whole array (views, gathers) returns the new total instead and
 * sets total[i].
 */
Status derive_primitive(Node *node, Node *g, const bool *wanted, Node *const *sums, Node **out,
                        bool *total);

/* The parts of derive_primitive, by file. */
typedef struct Derivation {
    Node *node;
    Node *g;
    const bool *wanted;
    Node *const *sums;
    Node **out;
    bool *total;
} Derivation;
Status derive_matrix(const Derivation *d); /* matmul and linear algebra, derive_matrix.c */
Status derive_fourier(const Derivation *d);

/* Let input i have this contribution; NULL passes the failure on. */
Status derive_give(const Derivation *d, int i, Node *contribution);

/* Zeros like a node, and the cotangent accumulated so far or zeros. */
Node *build_zeros_like(const Node *node);

#endif
