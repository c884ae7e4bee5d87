/* graph/geometry.c -- views as [offset, ndim, shape..., strides...] over a base's elements. */
#include "graph/build.h"

#include <string.h>

int
geometry_count(const int64_t *geometry)
{
    return 2 + 2 * (int)geometry[1];
}

void
geometry_contiguous(int ndim, const int64_t *shape, int64_t *geometry)
{
    geometry[0] = 0;
    geometry[1] = ndim;
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        geometry[2 + i] = shape[i];
        geometry[2 + ndim + i] = stride;
        stride *= shape[i] > 0 ? shape[i] : 1;
    }
}

bool
geometry_is_identity(const int64_t *geometry, int ndim, const int64_t *shape)
{
    if (geometry[0] != 0 || geometry[1] != ndim) {
        return false;
    }
    int64_t stride = 1;
    bool empty = false;
    for (int i = ndim - 1; i >= 0; i--) {
        if (geometry[2 + i] != shape[i]) {
            return false;
        }
        empty = empty || shape[i] == 0;
    }
    for (int i = ndim - 1; i >= 0 && !empty; i--) {
        if (shape[i] > 1 && geometry[2 + ndim + i] != stride) {
            return false;
        }
        stride *= shape[i];
    }
    return true;
}

/* The axis of the base along which a step of `stride` elements runs, with its multiple. */
static int
axis_of_stride(int ndim, const int64_t *shape, const int64_t *contiguous, int64_t stride,
               int64_t steps, int64_t *multiple)
{
    const int64_t size = stride < 0 ? -stride : stride;
    for (int k = 0; k < ndim; k++) {
        if (shape[k] > 1 && contiguous[k] <= size) {
            if (size % contiguous[k] != 0 || size / contiguous[k] * steps >= shape[k]) {
                return -1;
            }
            *multiple = stride / contiguous[k];
            return k;
        }
    }
    return -1;
}

/* Axes that memory walks through in one go, or that all repeat, as one axis: how many are left. */
static int
merge_axes(int ndim, const int64_t *shape, const int64_t *strides, int64_t *out_shape,
           int64_t *out_strides)
{
    int m = 0;
    for (int k = 0; k < ndim; k++) {
        if (shape[k] == 1) {
            continue;
        }
        if (m > 0 && out_strides[m - 1] == strides[k] * shape[k]) {
            out_shape[m - 1] *= shape[k];
            out_strides[m - 1] = strides[k];
        } else {
            out_shape[m] = shape[k];
            out_strides[m++] = strides[k];
        }
    }
    return m;
}

bool
geometry_decode(const int64_t *geometry, int base_ndim, const int64_t *base_shape,
                const int64_t *base_strides, int64_t *out_offset, int64_t *out_strides)
{
    int64_t shape[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    const int ndim = merge_axes(base_ndim, base_shape, base_strides, shape, strides);
    int64_t contiguous[ARRAY_MAX_NDIM], start[ARRAY_MAX_NDIM];
    int64_t low[ARRAY_MAX_NDIM] = {0}, high[ARRAY_MAX_NDIM] = {0};
    int64_t stride = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        if (shape[k] == 0) {
            return false;
        }
        contiguous[k] = stride;
        stride *= shape[k];
    }
    int64_t rest = geometry[0];
    *out_offset = 0;
    for (int k = 0; k < ndim; k++) {
        start[k] = rest / contiguous[k];
        rest %= contiguous[k];
        if (start[k] >= shape[k]) {
            return false;
        }
        *out_offset += start[k] * strides[k];
    }
    const int view_ndim = (int)geometry[1];
    for (int i = 0; i < view_ndim; i++) {
        const int64_t n = geometry[2 + i], step = geometry[2 + view_ndim + i];
        out_strides[i] = 0;
        if (n <= 1 || step == 0) {
            continue;
        }
        int64_t multiple;
        const int k = axis_of_stride(ndim, shape, contiguous, step, n - 1, &multiple);
        if (k < 0) {
            return false;
        }
        out_strides[i] = multiple * strides[k];
        if (multiple > 0) {
            high[k] += multiple * (n - 1);
        } else {
            low[k] += multiple * (n - 1);
        }
    }
    for (int k = 0; k < ndim; k++) {
        if (start[k] + low[k] < 0 || start[k] + high[k] >= shape[k]) {
            return false;
        }
    }
    return true;
}

bool
geometry_compose(const int64_t *inner, const int64_t *outer, int64_t *out)
{
    const int inner_ndim = (int)inner[1];
    int64_t offset;
    memcpy(out, outer, (size_t)geometry_count(outer) * sizeof(int64_t));
    if (!geometry_decode(outer, inner_ndim, inner + 2, inner + 2 + inner_ndim, &offset,
                         out + 2 + outer[1])) {
        return false;
    }
    out[0] = inner[0] + offset;
    return true;
}

bool
geometry_inverse(const int64_t *geometry, int ndim, const int64_t *shape, int64_t *inverse)
{
    const int view_ndim = (int)geometry[1];
    const int64_t *view_shape = geometry + 2, *steps = geometry + 2 + view_ndim;
    int64_t count = 1, base_count = 1, view_strides[ARRAY_MAX_NDIM];
    for (int i = view_ndim - 1; i >= 0; i--) {
        view_strides[i] = count;
        count *= view_shape[i];
    }
    for (int k = 0; k < ndim; k++) {
        base_count *= shape[k];
    }
    if (count != base_count || count == 0) {
        return false;
    }
    /* Axes sorted by step must nest without gaps: each step is the product of the sizes below. */
    int order[ARRAY_MAX_NDIM], n = 0;
    int64_t origin = 0;
    for (int i = 0; i < view_ndim; i++) {
        if (view_shape[i] == 1) {
            continue;
        }
        if (steps[i] == 0) {
            return false;
        }
        origin += steps[i] < 0 ? (view_shape[i] - 1) * steps[i] : 0;
        int at = n++;
        const int64_t size = steps[i] < 0 ? -steps[i] : steps[i];
        while (at > 0) {
            const int64_t other = steps[order[at - 1]];
            if ((other < 0 ? -other : other) <= size) {
                break;
            }
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    if (geometry[0] + origin != 0) {
        return false;
    }
    int64_t expected = 1;
    for (int i = 0; i < n; i++) {
        const int64_t step = steps[order[i]];
        if ((step < 0 ? -step : step) != expected) {
            return false;
        }
        expected *= view_shape[order[i]];
    }
    /* Neighbours that are read in one go count as one axis. */
    int64_t sizes[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    int m = 0;
    for (int i = 0; i < n; i++) {
        const int64_t size = view_shape[order[i]];
        const int64_t stride = (steps[order[i]] < 0 ? -1 : 1) * view_strides[order[i]];
        if (m > 0 && stride == strides[m - 1] * sizes[m - 1]) {
            sizes[m - 1] *= size;
        } else {
            sizes[m] = size;
            strides[m++] = stride;
        }
    }
    /* Now walk the base's axes: each must cut the nested view axes at a boundary, or lie
     * within one of them. */
    inverse[0] = 0;
    inverse[1] = ndim;
    int64_t base_step = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        inverse[2 + k] = shape[k];
        inverse[2 + ndim + k] = 0;
        if (shape[k] == 1) {
            continue;
        }
        bool found = false;
        int64_t below = 1;
        for (int i = 0; i < m && !found; i++) {
            const int64_t above = below * sizes[i];
            if (below <= base_step && base_step < above) {
                if (base_step % below != 0 || base_step * shape[k] > above) {
                    return false;
                }
                inverse[2 + ndim + k] = base_step / below * strides[i];
                found = true;
            }
            below = above;
        }
        if (!found) {
            return false;
        }
        base_step *= shape[k];
    }
    /* Reversed axes start at their far end. */
    for (int i = 0; i < n; i++) {
        if (steps[order[i]] < 0) {
            inverse[0] += (view_shape[order[i]] - 1) * view_strides[order[i]];
        }
    }
    return true;
}
