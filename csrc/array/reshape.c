/* array/reshape.c -- the same bytes in another shape, where strides allow it. */
#include "array/header.h"
#include "array/view.h"

#include "base/checked.h"

#include <stdio.h>

static Status
reshape_error(const Array *a, int ndim, const int64_t *shape)
{
    char text[256];
    size_t at = (size_t)snprintf(text, sizeof text, "(");
    for (int i = 0; i < ndim && at < sizeof text; i++) {
        if (shape[i] < 0) {
            at += (size_t)snprintf(text + at, sizeof text - at, i > 0 ? ",newaxis" : "newaxis");
        } else {
            at += (size_t)snprintf(text + at, sizeof text - at, i > 0 ? ",%jd" : "%jd",
                                   (intmax_t)shape[i]);
        }
    }
    if (at < sizeof text) {
        snprintf(text + at, sizeof text - at, ndim == 1 ? ",)" : ")");
    }
    return err_set(ERR_VALUE, "cannot reshape array of size %jd into shape %s", (intmax_t)a->size,
                   text);
}

/* The wanted shape with its -1 worked out. */
static Status
resolve_shape(const Array *a, int ndim, const int64_t *shape, int64_t *out)
{
    int64_t known = 1;
    int unknown = -1;
    for (int k = 0; k < ndim; k++) {
        out[k] = shape[k];
        if (shape[k] < 0) {
            if (unknown >= 0) {
                return err_set(ERR_VALUE, "can only specify one unknown dimension");
            }
            unknown = k;
        } else if (!checked_mul_i64(known, shape[k], &known)) {
            return reshape_error(a, ndim, shape);
        }
    }
    if (unknown >= 0) {
        if (known == 0 || a->size % known != 0) {
            return reshape_error(a, ndim, shape);
        }
        out[unknown] = a->size / known;
    } else if (known != a->size) {
        return reshape_error(a, ndim, shape);
    }
    return STATUS_OK;
}

/*
 * Strides of `shape` over a's bytes. Old and new axes are matched in groups of equal size;
 * the old axes of a group must be walkable in one stride. False when a copy is needed.
 */
static bool
regroup_strides(const Array *a, int ndim, const int64_t *shape, int64_t *strides)
{
    int64_t old_shape[ARRAY_MAX_NDIM], old_strides[ARRAY_MAX_NDIM];
    int old_ndim = 0;
    for (int k = 0; k < a->ndim; k++) {
        if (a->shape[k] != 1) {
            old_shape[old_ndim] = a->shape[k];
            old_strides[old_ndim++] = a->strides[k];
        }
    }
    int o = 0, n = 0;
    while (o < old_ndim && n < ndim) {
        int o_end = o + 1, n_end = n + 1;
        int64_t o_size = old_shape[o], n_size = shape[n];
        while (o_size != n_size) {
            if (n_size < o_size) {
                n_size *= shape[n_end++];
            } else {
                o_size *= old_shape[o_end++];
            }
        }
        for (int k = o; k < o_end - 1; k++) {
            if (old_strides[k] != old_shape[k + 1] * old_strides[k + 1]) {
                return false;
            }
        }
        strides[n_end - 1] = old_strides[o_end - 1];
        for (int k = n_end - 1; k > n; k--) {
            strides[k - 1] = strides[k] * shape[k];
        }
        o = o_end;
        n = n_end;
    }
    for (; n < ndim; n++) { /* axes of size 1 are left */
        strides[n] = n > 0 ? strides[n - 1] : dtype_size((DType)a->dtype);
    }
    return true;
}

Array *
view_reshape(const Array *a, int ndim, const int64_t *shape)
{
    int64_t wanted[ARRAY_MAX_NDIM], strides[ARRAY_MAX_NDIM];
    if (ndim > ARRAY_MAX_NDIM) {
        return array_new_header((DType)a->dtype, ndim); /* sets the error */
    }
    if (resolve_shape(a, ndim, shape, wanted) != STATUS_OK) {
        return NULL;
    }
    if (a->size == 0 || array_is_contiguous(a)) {
        shape_strides(ndim, wanted, dtype_size((DType)a->dtype), strides);
    } else if (!regroup_strides(a, ndim, wanted, strides)) {
        err_clear();
        return NULL;
    }
    Array *v = array_new_view(a->storage, (DType)a->dtype, ndim, wanted, strides, a->offset);
    if (v != NULL) {
        v->weak = a->weak;
        v->readonly = a->readonly || a->is_scalar || a->storage->readonly;
    }
    return v;
}
