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
 * A view that reads a box of an fft_c2c, whose other elements nobody reads: the transform that
 * computes the box alone. NULL without an error where it is no such view.
 */
Node *fourier_cut_output(const Node *view);

#endif
