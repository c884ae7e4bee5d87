/* array/overlap.c -- do two arrays share a byte?
 *
 * Bytes of an array are low + sum_k stride_k i_k + b with 0 <= i_k < shape_k and b inside an
 * item. Two arrays share one when a bounded linear equation sum_k c_k x_k = target has a
 * solution, 0 <= x_k <= bound_k, c_k > 0. It is searched with the largest coefficients first;
 * the greatest common divisor and the reach of the rest cut nearly all branches. */
#include "array/array.h"

#include <assert.h>

enum { MAX_TERMS = 2 * ARRAY_MAX_NDIM + 2, MAX_STEPS = 20000 };

typedef struct Term {
    int64_t coefficient, bound;
    int64_t divisor; /* greatest common divisor of this coefficient and the later ones */
    int64_t reach;   /* largest sum of this term and the later ones */
} Term;

void
array_extent(const Array *a, int64_t *low, int64_t *high)
{
    *low = *high = a->offset;
    if (a->size == 0) {
        return;
    }
    for (int axis = 0; axis < a->ndim; axis++) {
        const int64_t span = (a->shape[axis] - 1) * a->strides[axis];
        *(span < 0 ? low : high) += span;
    }
    *high += dtype_size((DType)a->dtype);
}

static int64_t
common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int
add_terms(Term *terms, int n, const Array *a)
{
    const int64_t item = dtype_size((DType)a->dtype);
    for (int axis = 0; axis < a->ndim; axis++) {
        const int64_t stride = a->strides[axis];
        if (a->shape[axis] > 1 && stride != 0) {
            terms[n++] = (Term){.coefficient = stride < 0 ? -stride : stride,
                                .bound = a->shape[axis] - 1};
        }
    }
    if (item > 1) {
        terms[n++] = (Term){.coefficient = 1, .bound = item - 1};
    }
    return n;
}

/* Largest coefficient first, equal ones as one term; fills in divisors and reaches. */
static int
prepare_terms(Term *terms, int n)
{
    for (int i = 1; i < n; i++) {
        const Term t = terms[i];
        int j = i;
        for (; j > 0 && terms[j - 1].coefficient < t.coefficient; j--) {
            terms[j] = terms[j - 1];
        }
        terms[j] = t;
    }
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (count > 0 && terms[count - 1].coefficient == terms[i].coefficient) {
            terms[count - 1].bound += terms[i].bound;
        } else {
            terms[count++] = terms[i];
        }
    }
    int64_t divisor = 0;
    int64_t reach = 0;
    for (int i = count - 1; i >= 0; i--) {
        divisor = common_divisor(terms[i].coefficient, divisor);
        reach += terms[i].coefficient * terms[i].bound;
        terms[i].divisor = divisor;
        terms[i].reach = reach;
    }
    return count;
}

/* Is target a sum of terms[i..]? True also when the steps run out. */
static bool
has_solution(const Term *terms, int i, int n, int64_t target, int *steps)
{
    if (target == 0) {
        return true;
    }
    if (i == n || target < 0 || target > terms[i].reach || target % terms[i].divisor != 0) {
        return false;
    }
    const int64_t c = terms[i].coefficient;
    const int64_t after = i + 1 < n ? terms[i + 1].reach : 0;
    int64_t most = target / c < terms[i].bound ? target / c : terms[i].bound;
    int64_t least = target > after ? (target - after + c - 1) / c : 0;
    for (int64_t x = most; x >= least; x--) {
        if (--*steps < 0 || has_solution(terms, i + 1, n, target - x * c, steps)) {
            return true;
        }
    }
    return false;
}

bool
array_may_overlap(const Array *a, const Array *b)
{
    const Storage *s = a->storage;
    const Storage *t = b->storage;
    if (a->size == 0 || b->size == 0 || s->device != t->device) {
        return false;
    }
    /* Different storages overlap only when foreign memory was wrapped twice. */
    int64_t shift = 0;
    if (s != t) {
        if (!(s->foreign && t->foreign) || s->data == NULL || t->data == NULL) {
            return false;
        }
        shift = (int64_t)((uintptr_t)t->data - (uintptr_t)s->data);
    }
    int64_t a_low, a_high, b_low, b_high;
    array_extent(a, &a_low, &a_high);
    array_extent(b, &b_low, &b_high);
    b_low += shift;
    b_high += shift;
    if (a_high <= b_low || b_high <= a_low) {
        return false;
    }
    /* a_low + sum(a) = b_low + sum(b); counting b's indices from their far end turns b's
     * terms positive: sum(a) + sum(b') = (b_high - 1) - a_low. */
    Term terms[MAX_TERMS];
    const int n = prepare_terms(terms, add_terms(terms, add_terms(terms, 0, a), b));
    int steps = MAX_STEPS;
    return has_solution(terms, 0, n, b_high - 1 - a_low, &steps);
}
