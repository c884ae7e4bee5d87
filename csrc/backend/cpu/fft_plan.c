/* backend/cpu/fft_plan.c -- factors and tables of Fourier transforms, kept for the next one.
 *
 * A transform of n points whose input is short and of whose result little is wanted, or with
 * a large prime factor, is done as a convolution with a chirp (Bluestein 1970), which has
 * about count + keep points whatever n is. Where one of both is much longer than the other, it
 * is cut into blocks: their convolutions have fewer points each, and stay in the first cache.
 * Where both together are few for n, small matrices do it (fft_narrow.c).
 */
#include "backend/cpu/fft_plan.h"

#include "base/mem.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    PLANS = 32,           /* plans kept */
    POINTS_MAX = 1 << 16, /* longest line whose scratch fits a cache */
    MOST_BLOCKS = 16,     /* of a chirp transform: each has a spectrum */
    PRODUCT_WORK = 2      /* of a spectrum, for each point: see work_of */
};

struct FftPlan {
    FftWindow window; /* n alone counts unless it is a chirp's */
    DType real;
    int64_t points;
    int nfactors, users;
    uint64_t used; /* when last; 0: not kept */
    size_t bytes;
    uint8_t factors[FFT_MAX_FACTORS];
    const char *chirp[3];
    FftNarrow *narrow;
    _Alignas(16) char tables[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FftPlan *plans[PLANS];
static uint64_t now;

/* ---- lengths ---- */

/* The radices of n >= 1 in the order of passes, how many; -1 when a prime factor has none. */
static int
factorise(int64_t n, uint8_t *factors)
{
    static const uint8_t odd[] = {13, 11, 7, 5, 3};
    int count = 0, twos = 0;
    for (size_t i = 0; i < sizeof odd; i++) {
        for (; n % odd[i] == 0; n /= odd[i]) {
            factors[count++] = odd[i];
        }
    }
    for (; n % 2 == 0; n /= 2) {
        twos++;
    }
    while (twos > 0) { /* two fours are better than an eight and a two */
        const int bits = twos == 4 || twos == 2 ? 2 : twos >= 3 ? 3 : 1;
        factors[count++] = (uint8_t)(1 << bits);
        twos -= bits;
    }
    return n == 1 ? count : -1;
}

/* What the passes over n points take, about half a nanosecond a unit: small radices move their
 * elements through the caches, large ones compute. */
static double
work_of(int64_t n)
{
    static const double costs[] = {[2] = 2.6, [3] = 2.8, [4] = 3.4,   [5] = 4.0,
                                   [7] = 6.5, [8] = 3.2, [11] = 11.5, [13] = 14.0};
    uint8_t factors[FFT_MAX_FACTORS];
    const int count = factorise(n, factors);
    double work = 1; /* loading and storing */
    for (int i = 0; i < count; i++) {
        work += costs[factors[i]];
    }
    return (double)n * work;
}

/* The cheapest of some lengths from n on, made of small factors. */
static int64_t
good_length(int64_t n)
{
    int64_t best = 0, unit = 1;
    while (16 * unit <= n) {
        unit *= 2;
    }
    for (int64_t k = 8; k <= 16; k++) {
        const int64_t points = k * unit;
        if (points >= n && (best == 0 || work_of(points) < work_of(best))) {
            best = points;
        }
    }
    return best;
}

static int64_t
ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* How many blocks of the longer side a chirp transform of these points makes. */
static int64_t
count_blocks(const FftWindow *w, int64_t points)
{
    const int64_t longer = w->count > w->keep ? w->count : w->keep;
    const int64_t shorter = w->count + w->keep - longer;
    const int64_t room = shorter > 0 ? points - shorter + 1 : points;
    return longer > 0 ? ceil_div(longer, room) : 1;
}

static double
chirp_work(const FftWindow *w, int64_t points)
{
    const double blocks = (double)count_blocks(w, points);
    return (blocks + 1) * work_of(points) + blocks * (double)points * PRODUCT_WORK;
}

static int64_t
points_of_passes(const FftWindow *w, double *work)
{
    uint8_t factors[FFT_MAX_FACTORS];
    const int64_t longer = w->count > w->keep ? w->count : w->keep;
    const int64_t shorter = w->count + w->keep - longer;
    int64_t best = 0;
    *work = 0;
    if (w->n <= POINTS_MAX && factorise(w->n, factors) >= 0) {
        best = w->n;
        *work = work_of(w->n);
    }
    if (longer + shorter > POINTS_MAX || w->n > INT32_MAX) {
        return best;
    }
    for (int64_t blocks = 1; blocks <= MOST_BLOCKS && blocks <= longer; blocks++) {
        const int64_t points = good_length(ceil_div(longer, blocks) + shorter);
        const double chirp = chirp_work(w, points);
        if (points != w->n && (best == 0 || chirp < *work)) {
            best = points;
            *work = chirp;
        }
    }
    return best;
}

int64_t
fft_points(const FftWindow *w, double *work)
{
    double by_matrices;
    const int64_t points = points_of_passes(w, work);
    if (w->count > 0 && fft_narrow_work(w, &by_matrices) &&
        (points == 0 || by_matrices < *work)) {
        *work = by_matrices;
        return FFT_BY_MATRICES;
    }
    return points;
}

/* ---- tables ---- */

/* From an angle in the first octant. */
void
fft_root(int64_t k, int64_t n, double *c, double *s)
{
    int64_t x = 8 * k;
    const bool below = x > 4 * n;
    x = below ? 8 * n - x : x;
    const bool left = x > 2 * n;
    x = left ? 4 * n - x : x;
    const bool steep = x > n;
    x = steep ? 2 * n - x : x;
    const double angle = 0.78539816339744830962 * (double)x / (double)n;
    const double a = cos(angle), b = sin(angle);
    *c = (steep ? b : a) * (left ? -1 : 1);
    *s = (steep ? a : b) * (below ? -1 : 1);
}

char *
fft_put(char *to, DType real, double x)
{
    const float narrow = (float)x;
    const size_t size = real == DT_f64 ? sizeof x : sizeof narrow;
    memcpy(to, real == DT_f64 ? (const void *)&x : &narrow, size);
    return to + size;
}

char *
fft_put_root(char *to, DType real, int64_t k, int64_t n)
{
    double c, s;
    fft_root(k < 0 ? k % n + n : k % n, n, &c, &s);
    return fft_put(fft_put(to, real, c), real, -s);
}

/* Twiddle factors, after which the chirp's tables begin. */
static char *
put_twiddles(FftPlan *plan)
{
    char *to = plan->tables;
    int64_t m = plan->points;
    for (int i = 0; i < plan->nfactors; i++) {
        const int64_t r = plan->factors[i], length = m;
        m /= r;
        for (int64_t j = 0; r % 2 && j < r; j++) {
            to = fft_put_root(to, plan->real, -j, r);
        }
        for (int64_t p = 0; p < m; p++) {
            for (int64_t k = 1; k < r; k++) {
                to = fft_put_root(to, plan->real, p * k, length);
            }
        }
    }
    return to;
}

static FftPlan *
plan_new(const FftWindow *w, int64_t points, DType real)
{
    uint8_t factors[FFT_MAX_FACTORS];
    const int nfactors = factorise(points, factors);
    const int64_t chirp = w->count + count_blocks(w, points) * points + w->keep;
    int64_t pairs = points == w->n ? 0 : chirp, m = points;
    for (int i = 0; i < nfactors; i++) {
        m /= factors[i];
        pairs += (factors[i] % 2 ? factors[i] : 0) + (factors[i] - 1) * m;
    }
    const size_t bytes = sizeof(FftPlan) + (size_t)(pairs * 2 * dtype_size(real));
    FftPlan *plan = mem_new(bytes);
    if (plan == NULL) {
        return NULL;
    }
    *plan = (FftPlan){.window = *w, .real = real, .points = points, .nfactors = nfactors,
                      .bytes = bytes};
    memcpy(plan->factors, factors, sizeof factors);
    return plan;
}

static void
plan_free(FftPlan *plan)
{
    if (plan != NULL) {
        fft_narrow_free(plan->narrow);
        mem_free(plan, plan->bytes);
    }
}

/* How many elements of what is given, and of what is wanted, are one block. */
static void
block_sizes(const FftWindow *w, int64_t points, int64_t *in, int64_t *out)
{
    const int64_t blocks = count_blocks(w, points);
    const bool cuts_in = w->count > w->keep;
    *in = cuts_in ? ceil_div(w->count, blocks) : w->count;
    *out = cuts_in ? w->keep : ceil_div(w->keep, blocks);
}

/* The spectrum of the chirp exp(+i pi (at + d)^2 / n), -in < d < out, over its points, in double
 * precision whatever the plan's is. NULL with the error set. */
static double *
chirp_spectrum(const FftWindow *w, int64_t points, int64_t in, int64_t out, int64_t at)
{
    const FftKernel *kernel = cpu_fft_kernel(DT_f64);
    const FftWindow whole = {points, 0, points, 0, points};
    const size_t line = (size_t)points * 2 * sizeof(double);
    const size_t scratch_size = 3 * (size_t)points * (size_t)kernel->scratch;
    FftPlan *plan = plan_new(&whole, points, DT_f64);
    double *chirp = mem_new_zeroed(line);
    void *scratch = mem_new(scratch_size);
    const bool ok = plan != NULL && chirp != NULL && scratch != NULL;
    if (ok) {
        put_twiddles(plan);
        for (int64_t d = 1 - in; d < out; d++) {
            double *const to = chirp + 2 * (d < 0 ? points + d : d);
            fft_root((at + d) * (at + d) % (2 * w->n), 2 * w->n, &to[0], &to[1]);
        }
        FftPass pass = {.n = points, .count = points, .keep = points, .scale = 1 / (double)points,
                        .in_stride = 2 * sizeof(double), .out_stride = 2 * sizeof(double)};
        fft_plan_fill(plan, &pass);
        kernel->run(&pass, &(FftLines){(char *)chirp, (char *)chirp, 0, 0, 1}, scratch);
    }
    mem_free(scratch, scratch_size);
    plan_free(plan);
    if (!ok) {
        mem_free(chirp, line);
    }
    return ok ? chirp : NULL;
}

/* Of the block of that number, whose results lie `at` elements behind what is given. */
static Status
put_spectrum(const FftPlan *plan, int64_t number, char **to)
{
    const FftWindow *w = &plan->window;
    int64_t in, out;
    block_sizes(w, plan->points, &in, &out);
    const int64_t at = w->count > w->keep ? -number * in : number * out;
    double *spectrum = chirp_spectrum(w, plan->points, in, out, at);
    if (spectrum == NULL) {
        return STATUS_ERROR;
    }
    for (int64_t i = 0; i < 2 * plan->points; i++) {
        *to = fft_put(*to, plan->real, spectrum[i]);
    }
    mem_free(spectrum, (size_t)plan->points * 2 * sizeof(double));
    return STATUS_OK;
}

/* With a = first + j and b = out_first + k, a b = first b + out_first j + j k, and j k =
 * (j^2 + k^2 - (k - j)^2) / 2. Angles are counted in halves of 1 / n turns. */
static Status
put_chirp(FftPlan *plan, char *to)
{
    const FftWindow *w = &plan->window;
    const int64_t turn = 2 * w->n;
    plan->chirp[0] = to;
    for (int64_t j = 0; j < w->count; j++) {
        to = fft_put_root(to, plan->real, 2 * j * w->out_first % turn + j * j % turn, turn);
    }
    plan->chirp[1] = to;
    for (int64_t b = 0; b < count_blocks(w, plan->points); b++) {
        if (put_spectrum(plan, b, &to) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    plan->chirp[2] = to;
    for (int64_t k = 0; k < w->keep; k++) {
        const int64_t b = w->out_first + k;
        to = fft_put_root(to, plan->real, 2 * w->first * b % turn + k * k % turn, turn);
    }
    return STATUS_OK;
}

static FftPlan *
plan_by_matrices(const FftWindow *window, DType real)
{
    FftPlan *plan = mem_new(sizeof *plan);
    if (plan != NULL) {
        *plan = (FftPlan){.window = *window, .real = real, .points = FFT_BY_MATRICES,
                          .bytes = sizeof *plan, .narrow = fft_narrow_new(window, real)};
        if (plan->narrow == NULL) {
            plan_free(plan);
            plan = NULL;
        }
    }
    return plan;
}

static FftPlan *
plan_of_roots(const FftWindow *window, DType real)
{
    const int64_t count = window->n / 4 + 1;
    const size_t bytes = sizeof(FftPlan) + (size_t)(count * 2 * dtype_size(real));
    FftPlan *plan = mem_new(bytes);
    if (plan != NULL) {
        *plan = (FftPlan){.window = *window, .real = real, .points = FFT_ROOTS, .bytes = bytes};
        char *to = plan->tables;
        for (int64_t k = 0; k < count; k++) {
            to = fft_put_root(to, real, k, window->n);
        }
    }
    return plan;
}

const char *
fft_plan_roots(const FftPlan *plan)
{
    return plan->tables;
}

static FftPlan *
plan_make(const FftWindow *window, int64_t points, DType real)
{
    if (points == FFT_ROOTS) {
        return plan_of_roots(window, real);
    }
    if (points == FFT_BY_MATRICES) {
        return plan_by_matrices(window, real);
    }
    FftPlan *plan = plan_new(window, points, real);
    if (plan == NULL) {
        return NULL;
    }
    char *const end = put_twiddles(plan);
    if (points != window->n && put_chirp(plan, end) != STATUS_OK) {
        plan_free(plan);
        return NULL;
    }
    return plan;
}

/* ---- keeping them ---- */

static bool
is_plan_of(const FftPlan *plan, const FftWindow *window, int64_t points, DType real)
{
    return plan->points == points && plan->window.n == window->n && plan->real == real &&
           (points == window->n || memcmp(&plan->window, window, sizeof *window) == 0);
}

static void
lock_plans(void)
{
    pthread_mutex_lock(&lock);
}

static void
unlock_plans(void)
{
    pthread_mutex_unlock(&lock);
}

/* A fork must not copy the lock while another thread holds it. */
static void
register_fork(void)
{
    pthread_atfork(lock_plans, unlock_plans, unlock_plans);
}

FftPlan *
fft_plan_get(const FftWindow *window, int64_t points, DType real)
{
    FftPlan *found = NULL, **slot = NULL;
    uint64_t least = UINT64_MAX;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork);
    lock_plans();
    for (int i = 0; i < PLANS && found == NULL; i++) {
        FftPlan *const plan = plans[i];
        const uint64_t age = plan == NULL ? 0 : plan->users > 0 ? UINT64_MAX : plan->used;
        if (plan != NULL && is_plan_of(plan, window, points, real)) {
            found = plan;
        } else if (age < least) {
            least = age;
            slot = &plans[i];
        }
    }
    if (found == NULL && (found = plan_make(window, points, real)) != NULL && slot != NULL) {
        plan_free(*slot);
        *slot = found;
        found->used = 1;
    }
    if (found != NULL) {
        found->users++;
        found->used = found->used == 0 ? 0 : ++now;
    }
    unlock_plans();
    return found;
}

void
fft_plan_release(FftPlan *plan)
{
    lock_plans();
    if (--plan->users == 0 && plan->used == 0) {
        plan_free(plan);
    }
    unlock_plans();
}

void
fft_plan_fill(const FftPlan *plan, FftPass *pass)
{
    pass->narrow = plan->narrow;
    if (plan->narrow != NULL) {
        pass->room = plan->window.count + plan->window.keep + plan->narrow->most_rank;
        return;
    }
    pass->points = plan->points;
    pass->room = 3 * plan->points; /* two for the passes, a sum of spectra */
    pass->nfactors = plan->nfactors;
    pass->factors = plan->factors;
    pass->twiddles = plan->tables;
    for (int i = 0; i < 3; i++) {
        pass->chirp[i] = plan->chirp[i];
    }
    if (plan->chirp[0] != NULL) {
        block_sizes(&plan->window, plan->points, &pass->in_block, &pass->out_block);
    }
}
