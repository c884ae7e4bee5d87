/* special.c -- gamma and Bessel functions, derivatives of sinc, the inverse of erf. */
#include "ops/special.h"

#include "ops/functions.h"

#define T f64
#include "ops/constants_special.def"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const double pi = 0x1.921fb54442d18p+1;

static const double bernoulli[] = {
    BERNOULLI_2,  BERNOULLI_4,  BERNOULLI_6,  BERNOULLI_8,  BERNOULLI_10,
    BERNOULLI_12, BERNOULLI_14, BERNOULLI_16, BERNOULLI_18, BERNOULLI_20,
    BERNOULLI_22, BERNOULLI_24, BERNOULLI_26, BERNOULLI_28, BERNOULLI_30,
};

/* lgamma itself writes the sign to a global variable, which threads would race for */
extern double lgamma_r(double x, int *sign);

double
special_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* digamma for x > 0 */
static double
digamma_positive(double x)
{
    if (x > 10) {
        const double z = 1 / (x * x);
        double sum = 0;
        for (int k = 9; k > 0; k--) {
            sum = z * (sum + bernoulli[k - 1] / (2 * k));
        }
        return log_f64(x) - (0.5 / x + sum);
    }
    double rest = 0;
    if (x < 1) {
        rest = -1 / x;
        x += 1;
    }
    while (x > 2) {
        x -= 1;
        rest += 1 / x;
    }
    const double t = x - 1.5;
    return rest + ((x - DIGAMMA_ROOT_HI) - DIGAMMA_ROOT_LO) * DIGAMMA_SLOPE(t, t * t);
}

double
special_digamma(double x)
{
    if (x == 0) {
        return copysign(INFINITY, -x);
    }
    if (x > 0) {
        return digamma_positive(x);
    }
    const double r = x - rint(x);
    if (r == 0 || !isfinite(x)) {
        return NAN;
    }
    /* for a tiny x, 1 - x would lose nothing that matters */
    return digamma_positive(1 - x) - pi / tan_f64(pi * r);
}

/* n-th derivative of cot(t) at t = pi r, as a polynomial in cot(t): P_0 = c and
 * P_(k+1) = -(1 + c^2) P_k'. Called for far negative arguments alone, where n is small. */
enum { COT_DEGREE = 64 };

static double
cot_derivative(int n, double r)
{
    double p[COT_DEGREE + 2] = {0, 1};
    for (int k = 0; k < n; k++) {
        double q[COT_DEGREE + 2] = {0};
        for (int i = 1; i <= k + 1; i++) {
            q[i - 1] -= i * p[i];
            q[i + 1] -= i * p[i];
        }
        memcpy(p, q, sizeof(p));
    }
    const double c = 1 / tan_f64(pi * r);
    double sum = 0;
    for (int i = n + 1; i >= 0; i--) {
        sum = sum * c + p[i];
    }
    return sum;
}

/* sum over i >= 0 of ((x + i) / unit)^-s, by Euler and Maclaurin after some terms */
static double
zeta_scaled(double s, double x, double unit)
{
    double sum = 0;
    const double start = 12 + s / 2;
    while (x < start) {
        const double term = pow(x / unit, -s);
        sum += term;
        x += 1;
        if (x > 1 && fabs(term) < 1e-20 * fabs(sum)) {
            return sum;
        }
    }
    const double power = pow(x / unit, -s);
    double tail = power * x / (s - 1) + power / 2;
    double factor = power * s / x / 2; /* s (s + 1) ... (s + 2k - 2) / (2k)! x^(-s - 2k + 1) */
    for (int k = 1; k <= COUNT(bernoulli); k++) {
        const double term = factor * bernoulli[k - 1];
        tail += term;
        if (fabs(term) < 1e-18 * fabs(tail)) {
            break;
        }
        factor *= (s + 2 * k - 1) * (s + 2 * k) / ((2 * k + 1) * (2 * k + 2) * x * x);
    }
    return sum + tail;
}

/* beyond it, all but a narrow band of x overflows or vanishes */
#define POLYGAMMA_MAX 1e5

double
special_polygamma(double n, double x)
{
    if (n == 0) {
        return special_digamma(x);
    }
    if (!(n > 0 && n <= POLYGAMMA_MAX) || n != trunc(n) || isnan(x)) {
        return NAN;
    }
    const double sign = fmod(n, 2) == 1 ? 1 : -1;
    if (x == INFINITY) {
        return 0 * sign;
    }
    if (x <= 0 && x == floor(x)) {
        return sign > 0 ? INFINITY : NAN;
    }
    if (x < -40 && n < COT_DEGREE) {
        const double direct = special_polygamma(n, 1 - x);
        return -sign * direct - pow(pi, n + 1) * cot_derivative((int)n, x - rint(x));
    }
    if (x < -40) {
        x -= floor(x) + 20; /* poles farther away than that give nothing at such a power */
    }
    if (n <= 100) {
        const double direct = sign * tgamma(n + 1) * zeta_scaled(n + 1, x, 1);
        if (isfinite(direct) && direct != 0) {
            return direct;
        }
    }
    /* the largest term taken out, since it or n! leaves the range */
    const double nearest = x > 0 ? x : x - floor(x) < 0.5 ? x - floor(x) : x - ceil(x);
    const double unit = fabs(nearest);
    const double size = exp(special_lgamma(n + 1) - (n + 1) * log(unit));
    return sign * size * zeta_scaled(n + 1, x, unit);
}

/* sum of z^k terms[k] */
static double
power_series(const double *terms, int count, double z)
{
    double sum = 0;
    for (int k = count - 1; k >= 0; k--) {
        sum = sum * z + terms[k];
    }
    return sum;
}

/* e^a / sqrt(a) y, the power in two factors since it overflows first */
static double
bessel_large(double a, double y)
{
    const double half = exp_f64(a / 2);
    return half * (y / sqrt(a)) * half;
}

double
special_i0(double x)
{
    static const double terms[] = {I0_TERMS};
    const double a = fabs(x);
    if (a <= 8) {
        return power_series(terms, COUNT(terms), a * a / 4);
    }
    if (isinf(a)) {
        return a;
    }
    const double t = 16 / a - 1;
    return bessel_large(a, I0_SCALED(t, t * t));
}

double
special_i1_ratio(double x)
{
    static const double terms[] = {I1_TERMS};
    const double a = fabs(x);
    if (a <= 8) {
        return 0.5 * power_series(terms, COUNT(terms), a * a / 4);
    }
    if (isinf(a)) {
        return a;
    }
    const double t = 16 / a - 1;
    return bessel_large(a, I1_SCALED(t, t * t) / a);
}

double
special_i1(double x)
{
    const double a = fabs(x);
    if (a <= 8) {
        return x * special_i1_ratio(x);
    }
    if (isinf(a)) {
        return x;
    }
    const double t = 16 / a - 1;
    return copysign(bessel_large(a, I1_SCALED(t, t * t)), x);
}

/* sin(pi x + m pi / 2) */
static double
sin_quarters(double x, double m)
{
    const double k = rint(x);
    const double turn = fmod(2 * fmod(k, 2) + fmod(m, 4) + 8, 4);
    const double t = pi * (x - k);
    const double y = fmod(turn, 2) == 0 ? sin_f64(t) : cos_f64(t);
    return turn >= 2 ? -y : y;
}

/* pi^n overflows soon after */
#define SINC_DERIVATIVE_MAX 600

double
special_sinc_derivative(double n, double x)
{
    if (!(n >= 0 && n <= SINC_DERIVATIVE_MAX) || n != trunc(n) || !isfinite(x)) {
        return NAN;
    }
    if (n == 0) {
        return sinc_f64(x);
    }
    /* F_m = d^m/du^m (sin(u) / u) at u = pi x satisfies u F_m + m F_(m-1) = sin(u + m pi / 2):
     * forward it is stable for u > m, backward for u < m, whatever the start */
    const double u = pi * x;
    double y;
    if (fabs(u) > n) {
        y = sinc_f64(x);
        for (double m = 1; m <= n; m++) {
            y = (sin_quarters(x, m) - m * y) / u;
        }
    } else {
        y = 0;
        for (double m = n + 24 + ceil(9 * sqrt(n)); m > n; m--) {
            y = (sin_quarters(x, m) - u * y) / m;
        }
    }
    return y * pow(pi, n);
}

double
special_erfinv(double x)
{
    const double a = fabs(x);
    if (!(a < 1)) {
        return a == 1 ? copysign(INFINITY, x) : NAN;
    }
    if (a < 1e-9) {
        return x * 0x1.c5bf891b4ef6bp-1; /* sqrt(pi) / 2 */
    }
    /* Winitzki's approximation, then Halley's steps on erf, or on erfc near 1 */
    const double w = log1p_f64(-a * a);
    const double b = 2 / (pi * 0.147) + w / 2;
    double y = sqrt(sqrt(b * b - w / 0.147) - b);
    for (int i = 0; i < 3; i++) {
        const double excess = a > 0.5 ? (1 - a) - erfc_f64(y) : erf_f64(y) - a;
        const double step = excess / (0x1.20dd750429b6dp+0 * exp_f64(-y * y));
        y -= step / (1 + y * step);
    }
    return copysign(y, x);
}
