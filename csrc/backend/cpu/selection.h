/* backend/cpu/selection.h -- k index arrays that together address places of an operand. */
#ifndef PYARR_BACKEND_CPU_SELECTION_H
#define PYARR_BACKEND_CPU_SELECTION_H

#include "backend/cpu/move.h"

enum { SELECTION_BLOCK = 256 };

/*
 * Place t is the element (or block of trailing axes) of the target at index[0][t], ...,
 * index[k-1][t] on axes axis .. axis + k - 1. Around it, a target splits into outer axes
 * (before `axis`) and inner axes (behind the k).
 */
typedef struct Selection {
    int k, axis;
    int64_t n;            /* places */
    const Operand *index; /* k of one shape, int64 */
    const int64_t *sizes, *strides; /* of the target's k axes; strides in bytes */
    int64_t outer;                  /* product of the sizes before `axis` */
    Operand inner;                  /* the block at one place; data is the target's */
    int64_t inner_size;             /* elements */
    bool inner_flat;                /* the block's elements lie in C order without gaps */
} Selection;

void selection_init(Selection *s, const Operand *target, const Operand *index, int k, int axis);

/* ERR_INDEX, in NumPy's words, when any index is out of bounds. */
Status selection_check(const Selection *s);

/* Byte offsets of places [begin, end), at most SELECTION_BLOCK of them. */
void selection_offsets(const Selection *s, int64_t begin, int64_t end, int64_t *out);

/* Byte offset of the o-th element of the outer axes of `operand`. */
int64_t selection_outer_offset(const Selection *s, const Operand *operand, int64_t o);

/* ERR_INDEX when an index (int64, any strides) is outside [-size, size). */
Status index_check(const Operand *index, int axis, int64_t size);

#endif
