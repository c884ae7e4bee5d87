/* fused.c -- value and gradient by hand: the loops that a patient C programmer writes.
 *
 * Compiled by fused.py with -O3 -march=native -ffast-math -fopenmp, so that loops become
 * vector code with libmvec. All functions have one signature: parameters, data, sizes in;
 * gradient out; the value is returned. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef const double *const *Arrays;
typedef const int64_t *Sizes;

double
beam(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    const double *t = parameters[0], *x = data[0], *y = data[1], *d = data[2];
    const double x0 = t[0], y0 = t[1], amplitude = t[2], rho = t[4], diff = t[5];
    const double half = 1 / (2 * t[3] * t[3]);
    double value = 0, gx = 0, gy = 0, ga = 0, gr2 = 0, grho = 0, gdiff = 0;
#pragma omp parallel for simd if (parallel : sizes[0] > 5000) reduction(+ : value, gx, gy, ga, gr2, grho, gdiff)
    for (int64_t i = 0; i < sizes[0]; i++) {
        const double dx = x[i] - x0, dy = y[i] - y0;
        const double r2 = dx * dx + dy * dy + rho * dx * dy + diff * (dx * dx - dy * dy);
        const double e = exp(-r2 * half), residual = d[i] - amplitude * e;
        const double ge = residual * e, w = ge;
        value += residual * residual;
        ga += ge;
        gr2 += w * r2;
        grho += w * dx * dy;
        gdiff += w * (dx * dx - dy * dy);
        gx += w * (2 * dx * (1 + diff) + rho * dy);
        gy += w * (2 * dy * (1 - diff) + rho * dx);
    }
    const double scale = 2 * amplitude * half; /* of d value / d r2 = scale * w */
    gradient[0] = -scale * gx;
    gradient[1] = -scale * gy;
    gradient[2] = -2 * ga;
    gradient[3] = -2 * scale * gr2 / t[3];
    gradient[4] = scale * grho;
    gradient[5] = scale * gdiff;
    return value;
}

double
cauchy(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    const double *t = parameters[0], *x = data[0], *y = data[1], *d = data[2];
    const double x0 = t[0], y0 = t[1], amplitude = t[2], rho = t[4], diff = t[5];
    const double half = 1 / (2 * t[3] * t[3]), scale = exp(-parameters[1][0]);
    double value = 0, gx = 0, gy = 0, ga = 0, gr2 = 0, grho = 0, gdiff = 0, gnoise = 0;
#pragma omp parallel for simd if (parallel : sizes[0] > 5000) reduction(+ : value, gx, gy, ga, gr2, grho, gdiff, gnoise)
    for (int64_t i = 0; i < sizes[0]; i++) {
        const double dx = x[i] - x0, dy = y[i] - y0;
        const double r2 = dx * dx + dy * dy + rho * dx * dy + diff * (dx * dx - dy * dy);
        const double e = exp(-r2 * half), pull = (d[i] - amplitude * e) * scale;
        const double square = pull * pull, slope = 1 / (1 + square);
        const double w = pull * slope * e;
        value += log1p(square);
        gnoise += square * slope;
        ga += w;
        gr2 += w * r2;
        grho += w * dx * dy;
        gdiff += w * (dx * dx - dy * dy);
        gx += w * (2 * dx * (1 + diff) + rho * dy);
        gy += w * (2 * dy * (1 - diff) + rho * dx);
    }
    const double outer = 2 * scale, inner = outer * amplitude * half;
    gradient[0] = -inner * gx;
    gradient[1] = -inner * gy;
    gradient[2] = -outer * ga;
    gradient[3] = -2 * inner * gr2 / t[3];
    gradient[4] = inner * grho;
    gradient[5] = inner * gdiff;
    gradient[6] = (double)sizes[0] - 2 * gnoise;
    return value + (double)sizes[0] * parameters[1][0];
}

double
mixture(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    const double *t = parameters[0], *x = data[0];
    const double share = t[0], mean1 = t[1], mean2 = t[3];
    const double r1 = 1 / t[2], r2 = 1 / t[4], k1 = share * r1, k2 = (1 - share) * r2;
    double value = 0, s1 = 0, s2 = 0, a1 = 0, a2 = 0, q1 = 0, q2 = 0;
#pragma omp parallel for simd if (parallel : sizes[0] > 5000) reduction(+ : value, s1, s2, a1, a2, q1, q2)
    for (int64_t i = 0; i < sizes[0]; i++) {
        const double a = (x[i] - mean1) * r1, b = (x[i] - mean2) * r2;
        const double e1 = k1 * exp(-0.5 * a * a), e2 = k2 * exp(-0.5 * b * b);
        const double p = e1 + e2, over = 1 / p, w1 = e1 * over, w2 = e2 * over;
        value -= log(p);
        s1 += w1;
        s2 += w2;
        a1 += w1 * a;
        a2 += w2 * b;
        q1 += w1 * a * a;
        q2 += w2 * b * b;
    }
    gradient[0] = -s1 / share + s2 / (1 - share);
    gradient[1] = -a1 * r1;
    gradient[2] = (s1 - q1) * r1;
    gradient[3] = -a2 * r2;
    gradient[4] = (s2 - q2) * r2;
    return value;
}

double
line(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    const double slope = parameters[0][0], offset = parameters[0][1];
    const double *x = data[0], *y = data[1], *weight = data[2];
    double value = 0, g0 = 0, g1 = 0;
#pragma omp parallel for simd if (parallel : sizes[0] > 5000) reduction(+ : value, g0, g1)
    for (int64_t i = 0; i < sizes[0]; i++) {
        const double r = y[i] - slope * x[i] - offset, wr = weight[i] * r;
        value += wr * r;
        g0 += wr * x[i];
        g1 += wr;
    }
    gradient[0] = -2 * g0;
    gradient[1] = -2 * g1;
    return value;
}

/* Regressions: tiles of rows, so that the features are read from memory once. */
enum { ROWS = 128 };

typedef double Slopes(int64_t rows, const double *z, const double *answer, double *slope);

static double
logistic_slopes(int64_t rows, const double *z, const double *answer, double *slope)
{
    double value = 0;
#pragma omp simd reduction(+ : value)
    for (int64_t i = 0; i < rows; i++) {
        const double e = exp(-answer[i] * z[i]);
        value += log1p(e);
        slope[i] = -answer[i] * e / (1 + e);
    }
    return value;
}

static double
poisson_slopes(int64_t rows, const double *z, const double *answer, double *slope)
{
    double value = 0;
#pragma omp simd reduction(+ : value)
    for (int64_t i = 0; i < rows; i++) {
        const double e = exp(z[i]);
        value += e - answer[i] * z[i];
        slope[i] = e - answer[i];
    }
    return value;
}

static inline __attribute__((always_inline)) double
regression(Slopes *slopes, Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    enum { COLUMNS = 32 };
    const double *beta = parameters[0], *features = data[0], *answer = data[1];
    const int64_t n = sizes[0];
    double value = 0, sums[COLUMNS] = {0};
#pragma omp parallel for schedule(static) reduction(+ : value, sums)
    for (int64_t first = 0; first < n; first += ROWS) {
        const int64_t rows = n - first < ROWS ? n - first : ROWS;
        const double *tile = features + first * COLUMNS;
        double z[ROWS], slope[ROWS];
        for (int64_t i = 0; i < rows; i++) {
            double dot = 0;
            for (int k = 0; k < COLUMNS; k++) {
                dot += tile[i * COLUMNS + k] * beta[k];
            }
            z[i] = dot;
        }
        value += slopes(rows, z, answer + first, slope);
        double own[COLUMNS] = {0};
        for (int64_t i = 0; i < rows; i++) {
            for (int k = 0; k < COLUMNS; k++) {
                own[k] += tile[i * COLUMNS + k] * slope[i];
            }
        }
        for (int k = 0; k < COLUMNS; k++) {
            sums[k] += own[k];
        }
    }
    memcpy(gradient, sums, sizeof sums);
    return value;
}

double
logistic(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    return regression(logistic_slopes, parameters, data, sizes, gradient);
}

double
poisson(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    return regression(poisson_slopes, parameters, data, sizes, gradient);
}

/* Row by row: the kernels of one row stay in the cache until its density is known. */
double
kernel_sum(Arrays parameters, Arrays data, Sizes sizes, double *gradient)
{
    const double *weight = parameters[0], *x = data[0], *y = data[1];
    const double r = 1 / parameters[1][0];
    const int64_t n = sizes[0], m = sizes[1];
    double value = 0, width = 0;
    memset(gradient, 0, sizeof(double) * (size_t)m);
#pragma omp parallel reduction(+ : value, width)
    {
        double *e = malloc(sizeof(double) * (size_t)m);
        double *own = calloc((size_t)m, sizeof(double));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0, moment = 0;
#pragma omp simd reduction(+ : sum, moment)
            for (int64_t j = 0; j < m; j++) {
                const double u = (x[i] - y[j]) * r, square = u * u;
                e[j] = exp(-0.5 * square);
                sum += weight[j] * e[j];
                moment += weight[j] * e[j] * square;
            }
            const double over = 1 / sum;
            value -= log(sum);
            width -= moment * over;
            for (int64_t j = 0; j < m; j++) {
                own[j] -= e[j] * over;
            }
        }
#pragma omp critical
        for (int64_t j = 0; j < m; j++) {
            gradient[j] += own[j];
        }
        free(own);
        free(e);
    }
    gradient[m] = width * r;
    return value;
}
