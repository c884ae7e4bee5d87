/* backend/cpu/fft_plan.h -- what a Fourier transform of one axis needs beside its input. */
#ifndef PYARR_BACKEND_CPU_FFT_PLAN_H
#define PYARR_BACKEND_CPU_FFT_PLAN_H

#include "backend/cpu/kernels/fft.h"

/* Elements first, first + 1, ... of n, `count` of them, are given; out_first, ... wanted. */
typedef struct FftWindow {
    int64_t n, first, count, out_first, keep;
} FftWindow;

/*
 * Points of the cheapest way: n, or those of each block of a chirp transform; 0 when they are
 * too many. *work: operations a line, up to a factor.
 */
int64_t fft_points(const FftWindow *window, double *work);

/* Kept, and shared, until the oldest of many makes way. NULL with ERR_MEMORY set. */
typedef struct FftPlan FftPlan;
FftPlan *fft_plan_get(const FftWindow *window, int64_t points, DType real);
void fft_plan_release(FftPlan *plan);

/* Sets points, factors and tables, which last until the plan is released. */
void fft_plan_fill(const FftPlan *plan, FftPass *pass);

#endif
