/* base/checked.h -- integer arithmetic on sizes that says when it overflows */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Each writes the result and returns true; on overflow returns false, *out undefined. */
static inline bool
checked_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool
checked_sub_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_sub_overflow(a, b, out);
}

static inline bool
checked_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/*
 * The product of `n` sizes (1 for n = 0). A zero among them gives 0 only if the others
 * do not overflow: NumPy refuses such shapes too. Factors must not be negative.
 */
bool checked_product(const int64_t *factors, int n, int64_t *out);

#endif
