/* graph/derive_fourier.c -- derivatives of Fourier transforms. The matrix of a transform is
 * symmetric: what padding is on the way forward is a cut on the way back, and the other way. */
#include "graph/derive.h"
#include "graph/fourier.h"

#include <string.h>

/* fft_c2c, where elements that are known to be zero are left out of x: x is a part of an axis
 * set into zeros, as the cotangent of a slice is. */
static Node *
build_c2c(Node *x, const int64_t *params, int nparams)
{
    int64_t own[FFT_MAX_PARAMS];
    memcpy(own, params, (size_t)nparams * sizeof(int64_t));
    while (x != NULL && fourier_cut_input(&x, own)) {
    }
    return build_primitive(OP_fft_c2c, &x, 1, own, nparams);
}

static Node *
pullback_c2c(const Derivation *d)
{
    int64_t params[FFT_MAX_PARAMS];
    memcpy(params, d->node->params, (size_t)d->node->nparams * sizeof(int64_t));
    for (int64_t i = 0; i < params[2]; i++) {
        int64_t *p = params + 3 + FFT_AXIS_PARAMS * i;
        const int64_t first = p[2];
        p[2] = p[3];
        p[3] = first;
        p[4] = d->node->inputs[0]->shape[p[0]];
    }
    return build_c2c(d->g, params, d->node->nparams);
}

/* z, with the elements of an axis of half-complex coefficients of n points that stand for two of
 * them weighted: all but the first (and the last, for even n). */
static Node *
weigh_pairs(Node *z, int axis, int64_t n, double weight)
{
    const int64_t half = z == NULL ? 0 : z->shape[axis], most = (n - 1) / 2;
    const int64_t pairs = most < half - 1 ? most : half - 1;
    if (z == NULL || pairs <= 0) {
        return z;
    }
    int64_t geometry[4] = {1, 1, pairs, 1}, shape[ARRAY_MAX_NDIM];
    const DType real = dtype_real((DType)z->dtype);
    Node *weights = build_assign(OP_assign, build_full(1.0, real, 1, &half),
                                 build_full(weight, real, 1, &pairs), geometry);
    for (int i = 0; i < z->ndim; i++) {
        shape[i] = i == axis ? half : 1;
    }
    return build2(OP_multiply, z, build_reshape(weights, z->ndim, shape));
}

/* The real part of the transposed transform of a half, which fft_c2r would add its mirror image
 * to: the two are halves of it. */
static Node *
pullback_r2c(const Derivation *d)
{
    const int64_t *p = d->node->params; /* sign, norm, axis, n */
    const int axis = (int)p[2];
    Node *halved = weigh_pairs(d->g, axis, p[3], 0.5);
    Node *back = halved == NULL ? NULL : build_primitive(OP_fft_c2r, &halved, 1, p, 4);
    return build_slice(back, axis, 0, d->node->inputs[0]->shape[axis]);
}

static Node *
pullback_c2r(const Derivation *d)
{
    const int64_t *p = d->node->params; /* sign, norm, axis, n */
    const int axis = (int)p[2];
    const int64_t given = d->node->inputs[0]->shape[axis];
    Node *back = build_slice(build_primitive(OP_fft_r2c, &d->g, 1, p, 4), axis, 0, given);
    return weigh_pairs(back, axis, p[3], 2.0);
}

Status
derive_fourier(const Derivation *d)
{
    switch (d->node->op) {
    case OP_fft_r2c:
        return derive_give(d, 0, pullback_r2c(d));
    case OP_fft_c2r:
        return derive_give(d, 0, pullback_c2r(d));
    default:
        return derive_give(d, 0, pullback_c2c(d));
    }
}
