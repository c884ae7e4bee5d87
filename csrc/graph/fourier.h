/* graph/fourier.h -- transforms of padding and of what is thrown away, left out. */
#ifndef PYARR_GRAPH_FOURIER_H
#define PYARR_GRAPH_FOURIER_H

#include "graph/build.h"

/*
 * x is the input of a transform with these parameters. Where x is a box set into zeros, and
 * smaller than them along transformed axes alone, *x becomes the box and the parameters say
 * where it lies; true then.
 */
bool fourier_cut_input(Node **x, int64_t *params);

/*
 * Where the view reads a box of a transform, smaller along transformed axes alone: the
 * parameters (FFT_MAX_PARAMS of them have room) of the transform that computes the box; true
 * then.
 */
bool fourier_cut_output(const Node *whole, const int64_t *geometry, int64_t *params);

#endif
