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

/* The half-complex transform y = T x for real x is the first n//2+1 rows of the full one. */
static Node *
pullback_r2c(const Derivation *d)
{
    const int64_t *p = d->node->params; /* sign, norm, axis, n */
    const int64_t c2c[] = {p[0], p[1], 1, p[2], p[3], 0, 0, d->node->inputs[0]->shape[p[2]]};
    return build1(OP_real, build_c2c(d->g, c2c, 3 + FFT_AXIS_PARAMS));
}

/* Every half-complex coefficient but the first (and the last, for even n) stands for two. */
static Node *
pullback_c2r(const Derivation *d)
{
    const Node *z = d->node->inputs[0];
    const int64_t *p = d->node->params; /* sign, norm, axis, n */
    const int axis = (int)p[2];
    const int64_t half = z->shape[axis], most = (p[3] - 1) / 2;
    const int64_t doubled = most < half - 1 ? most : half - 1;
    Node *back = build_slice(build_primitive(OP_fft_r2c, &d->g, 1, p, 4), axis, 0, half);
    if (back == NULL || doubled <= 0) {
        return back;
    }
    int64_t geometry[4] = {1, 1, doubled, 1}, shape[ARRAY_MAX_NDIM];
    const DType real = dtype_real((DType)z->dtype);
    Node *weights = build_assign(OP_assign, build_full(1.0, real, 1, &half),
                                 build_full(2.0, real, 1, &doubled), geometry);
    for (int i = 0; i < z->ndim; i++) {
        shape[i] = i == axis ? half : 1;
    }
    return build2(OP_multiply, back, build_reshape(weights, z->ndim, shape));
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
