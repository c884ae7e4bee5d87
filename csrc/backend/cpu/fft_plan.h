/* backend/cpu/fft_plan.h -- what a Fourier transform of one axis needs beside its input. */
#ifndef PYARR_BACKEND_CPU_FFT_PLAN_H
#define PYARR_BACKEND_CPU_FFT_PLAN_H

#include "backend/cpu/kernels/fft.h"

/* Elements first, first + 1, ... of n, `count` of them, are given; out_first, ... wanted. */
typedef struct FftWindow {
    int64_t n, first, count, out_first, keep;
} FftWindow;

enum { FFT_BY_MATRICES = -1, FFT_ROOTS = -2 };

/*
 * Points of the cheapest way: n, or those of each block of a chirp transform, or FFT_BY_MATRICES;
 * 0 when they are too many. *work: operations a line, up to a factor.
 */
int64_t fft_points(const FftWindow *window, double *work);

/* Kept, and shared, until the oldest of many makes way. NULL with ERR_MEMORY set. */
typedef struct FftPlan FftPlan;
FftPlan *fft_plan_get(const FftWindow *window, int64_t points, DType real);
void fft_plan_release(FftPlan *plan);

/* Sets points, factors, tables and room, which last until the plan is released. */
void fft_plan_fill(const FftPlan *plan, FftPass *pass);

/* ---- tables ---- */

/* Of the plan of FFT_ROOTS points, which is no transform's: exp(-2 pi i k / n), 0 <= k <= n / 4. */
const char *fft_plan_roots(const FftPlan *plan);

/* exp(2 pi i k / n), 0 <= k < n. */
void fft_root(int64_t k, int64_t n, double *c, double *s);
/* A number as the type `real`; returns where the next one goes. */
char *fft_put(char *to, DType real, double x);
/* The pair exp(-2 pi i k / n) for any k. */
char *fft_put_root(char *to, DType real, int64_t k, int64_t n);

/* Can matrices do it, and what do they take? In the units of fft_points. */
bool fft_narrow_work(const FftWindow *window, double *work);
/* NULL with ERR_MEMORY set. */
FftNarrow *fft_narrow_new(const FftWindow *window, DType real);
void fft_narrow_free(FftNarrow *narrow);

#endif
