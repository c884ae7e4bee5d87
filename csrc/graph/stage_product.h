/* graph/stage_product.h -- products of a stage as loops: shared by stage_product.c and
 * stage_moments.c. */
#ifndef PYARR_GRAPH_STAGE_PRODUCT_H
#define PYARR_GRAPH_STAGE_PRODUCT_H

#include "graph/stage_build.h"

/* A product as loops over `ndim` axes of the result around i and j. */
typedef struct StageProduct {
    int ndim, loops[TILE_NDIM + 2];   /* axes of the result */
    int axes[2][TILE_NDIM + 2];       /* of the operands: loops, then i or j, or both */
    int naxes[2];
    int64_t shape[TILE_NDIM + 2];     /* loops, i, j */
    int rows;                         /* the row-wise operand of a map */
} StageProduct;

/* Of a member that is ROLE_MAP or ROLE_OUTER. */
void stage_product_of(const StageBuild *b, int32_t at, StageProduct *p);
/* Do the loops run more than once? */
bool stage_product_loops(const StageProduct *p);
/* The lanes of operand k, loaded where they are not in a buffer; the stride of i or j is that at
 * `ndim`. */
Status stage_product_lanes(StageBuild *b, int32_t at, const StageProduct *p, int k, TileRef *ref);

#endif
