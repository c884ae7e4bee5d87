/* ops/bessel.c -- modified Bessel functions of any integral order, for derivatives of i0. */
#include <math.h>

double special_bessel_i(double n, double x);

/*
 * I_n(x) = sum over k of (x/2)^(n + 2k) / (k! (n + k)!) (Abramowitz and Stegun 9.6.10). All
 * terms have one sign, so nothing cancels, and about |x| of them are needed.
 */
double
special_bessel_i(double n, double x)
{
    const double order = fabs(n); /* I_-n = I_n for integers */
    if (!(floor(order) == order) || order > 1e6 || x != x) {
        return NAN;
    }
    const double half = 0.5 * fabs(x);
    const double sign = x < 0 && fmod(order, 2.0) != 0 ? -1.0 : 1.0;
    if (half > 400) {
        return sign * INFINITY;
    }
    double term = 1.0;
    for (double k = 1; k <= order && term != 0; k++) {
        term *= half / k;
    }
    double sum = term;
    for (double k = 1; term > 0 && (k < half || term > sum * 0x1p-54); k++) {
        term *= half * half / (k * (order + k));
        sum += term;
    }
    return sign * sum;
}
