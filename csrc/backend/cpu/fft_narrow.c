/* backend/cpu/fft_narrow.c -- tables of transforms by matrices, of few given or wanted elements.
 *
 * Where both together are few for the length, what is wanted is a smooth function of where it
 * lies: the matrix of cosines has hardly more singular values above rounding errors than the
 * elements given, times those wanted, over the length (Slepian 1978). So it is the product of two
 * thin ones, found by orthogonalising its columns, largest rest first.
 */
#include "backend/cpu/fft_plan.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum {
    SHORT_MAX = 256,           /* elements given, or wanted */
    LENGTH_MAX = 1 << 30,      /* squares of angles are int64_t */
    FACTOR_WORK_MAX = 1 << 22, /* products: some milliseconds */
    ROUNDINGS = 6              /* in an element of the matrix */
};

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* About the rank of each of the two matrices: from the turns of the corner element. */
static double
guess_rank(const FftWindow *w)
{
    const double pi = 3.14159265358979323846;
    const double angle = pi / 2 * (double)w->count * (double)w->keep / (double)w->n;
    return angle / pi + 6 + 2.2 * log(1 + angle);
}

bool
fft_narrow_work(const FftWindow *w, double *work)
{
    const int64_t shorter = least(w->count, w->keep);
    const double in = 0.5 * (double)w->count, out = 0.5 * (double)w->keep;
    const double rank = guess_rank(w), thin = rank * (in + out);
    if (shorter > SHORT_MAX || w->n > LENGTH_MAX ||
        fmin(rank, 0.5 * (double)shorter) * in * out > FACTOR_WORK_MAX) {
        return false;
    }
    *work = 1.8 * fmin(thin, in * out) + 3 * (double)(w->count + w->keep);
    return true;
}

/* ---- factors ---- */

/* Rows of length l, one for each of m <= l short sides; pivots are columns. */
typedef struct Factors {
    int64_t m, l, rank;
    double *matrix; /* [m][l] */
    double *rest;   /* [m][l] */
    double *basis;  /* [rank][m], orthonormal */
    double *row;    /* [l] */
} Factors;

static double
dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* to[j] = sum_i q[i] a[i][j] */
static void
row_times(double *to, const double *q, const double *a, int64_t m, int64_t l)
{
    memset(to, 0, (size_t)l * sizeof *to);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < l; j++) {
            to[j] += q[i] * a[i * l + j];
        }
    }
}

/* The column with the largest rest, and its square. */
static int64_t
largest_rest(const Factors *f, double *square)
{
    memset(f->row, 0, (size_t)f->l * sizeof *f->row);
    for (int64_t i = 0; i < f->m; i++) {
        for (int64_t j = 0; j < f->l; j++) {
            f->row[j] += f->rest[i * f->l + j] * f->rest[i * f->l + j];
        }
    }
    int64_t best = 0;
    for (int64_t j = 1; j < f->l; j++) {
        best = f->row[j] > f->row[best] ? j : best;
    }
    *square = f->row[best];
    return best;
}

/* Orthogonal to those before it, also where the rest is mostly rounding errors. */
static void
take_column(Factors *f, int64_t column)
{
    double *const q = f->basis + f->rank * f->m;
    for (int64_t i = 0; i < f->m; i++) {
        q[i] = f->rest[i * f->l + column];
    }
    for (int64_t b = 0; b < 2 * f->rank; b++) {
        const double *const p = f->basis + b % f->rank * f->m;
        const double along = dot(p, q, f->m);
        for (int64_t i = 0; i < f->m; i++) {
            q[i] -= along * p[i];
        }
    }
    const double norm = sqrt(dot(q, q, f->m));
    for (int64_t i = 0; i < f->m; i++) {
        q[i] /= norm;
    }
    row_times(f->row, q, f->rest, f->m, f->l);
    for (int64_t i = 0; i < f->m; i++) {
        for (int64_t j = 0; j < f->l; j++) {
            f->rest[i * f->l + j] -= q[i] * f->row[j];
        }
    }
    f->rank++;
}

/* A basis of the columns; rank 0 where two thin matrices are no less work than one. */
static void
factorise(Factors *f, double epsilon)
{
    const double bound = ROUNDINGS * epsilon * ROUNDINGS * epsilon * (double)f->m;
    const int64_t most = f->m * f->l / (f->m + f->l);
    double square;
    int64_t column = largest_rest(f, &square);
    while (square > bound && f->rank < most) {
        take_column(f, column);
        column = largest_rest(f, &square);
    }
    f->rank = square > bound ? 0 : f->rank;
}

/* ---- tables ---- */

typedef struct Tables {
    FftNarrow narrow; /* first: it is what callers know */
    size_t bytes;
    char *at;
    DType real;
} Tables;

/* Rows in blocks. Strides are in elements. */
static const void *
put_matrix(Tables *t, const double *a, int64_t rows, int64_t row_step, int64_t columns,
           int64_t column_step)
{
    const void *const begin = t->at;
    int64_t first = 0;
    for (int64_t b = 0; b < fft_narrow_blocks(rows); b++) {
        const int64_t size = fft_narrow_block(rows, b);
        for (int64_t j = 0; j < columns; j++) {
            for (int64_t i = first; i < first + size; i++) {
                t->at = fft_put(t->at, t->real, a[i * row_step + j * column_step]);
            }
        }
        first += size;
    }
    return begin;
}

/* Twice the distance of element i from the middle: of the differences, which are the first half,
 * or of the sums behind them. */
static int64_t
twice_place(int64_t i, int64_t n, int sums)
{
    return sums ? 2 * (n / 2 + i) - (n - 1) : n - 1 - 2 * i;
}

/* [short side][long side] */
static void
fill_matrix(Factors *f, const FftWindow *w, int sums)
{
    const bool few_wanted = w->keep <= w->count;
    const int64_t m = few_wanted ? w->keep : w->count, l = few_wanted ? w->count : w->keep;
    for (int64_t i = 0; i < f->m; i++) {
        for (int64_t j = 0; j < f->l; j++) {
            double c, s;
            const int64_t turns = twice_place(i, m, sums) * twice_place(j, l, sums);
            fft_root(turns % (4 * w->n), 4 * w->n, &c, &s);
            f->matrix[i * f->l + j] = sums ? c : s;
        }
    }
    memcpy(f->rest, f->matrix, (size_t)(f->m * f->l) * sizeof(double));
}

/* Left and right matrices; f has room for the larger of both halves. */
static void
put_half(Tables *t, Factors *f, const FftWindow *w, int sums)
{
    const bool few_wanted = w->keep <= w->count;
    const int64_t in = sums ? w->count - w->count / 2 : w->count / 2;
    const int64_t out = sums ? w->keep - w->keep / 2 : w->keep / 2;
    FftNarrow *const n = &t->narrow;
    f->m = few_wanted ? out : in;
    f->l = few_wanted ? in : out;
    f->rank = 0;
    fill_matrix(f, w, sums);
    if (f->m > 0) {
        factorise(f, t->real == DT_f64 ? 0x1p-52 : 0x1p-23);
    }
    n->rank[sums] = f->rank;
    n->most_rank = f->rank > n->most_rank ? f->rank : n->most_rank;
    if (f->rank == 0) {
        n->left[sums] = put_matrix(t, f->matrix, out, few_wanted ? f->l : 1, in,
                                   few_wanted ? 1 : f->l);
        return;
    }
    for (int64_t r = 0; r < f->rank; r++) { /* what the basis does not hold is left in `rest` */
        row_times(f->rest + r * f->l, f->basis + r * f->m, f->matrix, f->m, f->l);
    }
    n->left[sums] = put_matrix(t, few_wanted ? f->basis : f->rest, out, 1, f->rank,
                               few_wanted ? f->m : f->l);
    n->right[sums] = put_matrix(t, few_wanted ? f->rest : f->basis, f->rank,
                                few_wanted ? f->l : f->m, in, 1);
}

/* exp(-2 pi i middle place / n), what is left of the products of places and of middles. */
static void
put_factors(Tables *t, const FftWindow *w)
{
    const int64_t turn = 4 * w->n;
    const int64_t in_middle = 2 * w->first + w->count - 1;
    const int64_t out_middle = (2 * w->out_first + w->keep - 1) % turn;
    t->narrow.before = t->at;
    for (int64_t j = 0; j < w->count; j++) {
        t->at = fft_put_root(t->at, t->real, out_middle * (2 * j - w->count + 1) % turn, turn);
    }
    t->narrow.after = t->at;
    for (int64_t k = 0; k < w->keep; k++) {
        const int64_t b = w->out_first + k;
        t->at = fft_put_root(t->at, t->real, 2 * (in_middle % (2 * w->n) * b % (2 * w->n)), turn);
    }
}

FftNarrow *
fft_narrow_new(const FftWindow *w, DType real)
{
    const int64_t in = w->count - w->count / 2, out = w->keep - w->keep / 2;
    const int64_t m = least(in, out), l = in + out - m;
    const int64_t numbers = 2 * (w->count + w->keep) + 2 * m * l; /* thin ones are no larger */
    const size_t bytes = sizeof(Tables) + (size_t)(numbers * dtype_size(real));
    const size_t work_bytes = (size_t)(2 * m * l + m * m + l) * sizeof(double);
    Tables *t = mem_new(bytes);
    double *work = mem_new(work_bytes);
    if (t != NULL && work != NULL) {
        *t = (Tables){.bytes = bytes, .at = (char *)(t + 1), .real = real};
        Factors f = {.matrix = work, .rest = work + m * l, .basis = work + 2 * m * l};
        f.row = f.basis + m * m;
        put_factors(t, w);
        put_half(t, &f, w, 0);
        put_half(t, &f, w, 1);
    } else if (t != NULL) {
        mem_free(t, bytes);
        t = NULL;
    }
    mem_free(work, work_bytes);
    return t == NULL ? NULL : &t->narrow;
}

void
fft_narrow_free(FftNarrow *narrow)
{
    if (narrow != NULL) {
        Tables *const t = (Tables *)narrow;
        mem_free(t, t->bytes);
    }
}
