/* base/checked.c -- products of sizes */
#include "base/checked.h"

#include <assert.h>

bool
checked_product(const int64_t *factors, int n, int64_t *out)
{
    int64_t product = 1;
    bool zero = false;
    for (int i = 0; i < n; i++) {
        assert(factors[i] >= 0);
        if (factors[i] == 0) {
            zero = true;
        } else if (!checked_mul_i64(product, factors[i], &product)) {
            return false;
        }
    }
    *out = zero ? 0 : product;
    return true;
}
