/* backend/cpu/search.c -- places in sorted arrays, and the indices of true elements. */
#include "backend/cpu/iterate.h"
#include "backend/cpu/move.h"

#include "base/mem.h"
#include "base/pool.h"

#include <complex.h>

typedef struct Search {
    Iterate it; /* operands: out (int64), values */
    char *data[2];
    const void *sorted; /* contiguous */
    int64_t length;
    bool right;
} Search;

/* NaN is greater than every number; complex numbers as sort.c orders them. */
static inline bool
less_real(double a, double b)
{
    return a < b || (b != b && a == a);
}

static inline bool
less_complex(double _Complex a, double _Complex b)
{
    const double ar = creal(a), ai = cimag(a), br = creal(b), bi = cimag(b);
    const int a_class = 2 * (ar != ar) + (ai != ai), b_class = 2 * (br != br) + (bi != bi);
    if (a_class != b_class) {
        return a_class < b_class;
    }
    return less_real(ar, br) || (!less_real(br, ar) && less_real(ai, bi));
}

/* Arguments are converted by the chosen function: none loses anything. */
static inline bool less_signed(int64_t a, int64_t b) { return a < b; }
static inline bool less_unsigned(uint64_t a, uint64_t b) { return a < b; }
static inline bool less_float(float a, float b) { return a < b || (b != b && a == a); }

#define LESS(T, a, b)                                                                              \
    _Generic((T)0,                                                                                 \
        float: less_float,                                                                         \
        double: less_real,                                                                         \
        float _Complex: less_complex,                                                              \
        double _Complex: less_complex,                                                             \
        uint64_t: less_unsigned,                                                                   \
        default: less_signed)(a, b)

/* Halving without a branch on the comparison. */
#define DTYPE(suffix, T, name, kind, format)                                                       \
    static inline int64_t place_##suffix(const T *sorted, int64_t length, T value, bool right)     \
    {                                                                                              \
        const T *base = sorted;                                                                    \
        for (int64_t n = length; n > 0;) {                                                         \
            const int64_t half = (n + 1) / 2;                                                      \
            const T middle = base[half - 1];                                                       \
            const bool past = right ? !(LESS(T, value, middle)) : (LESS(T, middle, value));        \
            base = past ? base + half : base;                                                      \
            n = past ? n - half : half - 1;                                                        \
        }                                                                                          \
        return base - sorted;                                                                      \
    }                                                                                              \
    static void search_##suffix(void *ctx, char **data, const int64_t *strides, int64_t n)         \
    {                                                                                              \
        const Search *s = ctx;                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T value = *(const T *)(data[1] + i * strides[1]);                                \
            *(int64_t *)(data[0] + i * strides[0]) =                                               \
                s->right ? place_##suffix(s->sorted, s->length, value, true)                       \
                         : place_##suffix(s->sorted, s->length, value, false);                     \
        }                                                                                          \
    }
#include "array/dtypes.def"
#undef DTYPE

static const IterateFn searches[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) search_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

typedef struct SearchTask {
    Search search;
    IterateFn run;
} SearchTask;

static void
search_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    SearchTask *task = ctx;
    iterate_run(&task->search.it, task->search.data, begin, end, task->run, &task->search);
}

Status
cpu_searchsorted(const Call *call)
{
    SearchTask task;
    Search *s = &task.search;
    void *block;
    size_t size;
    const Operand *values = &call->in[1];
    s->sorted = cpu_contiguous(&call->in[0], &block, &size);
    if (s->sorted == NULL && size > 0) {
        return STATUS_ERROR;
    }
    s->length = call->in[0].shape[0];
    s->right = call->params[0] != 0;
    s->data[0] = call->out.data;
    s->data[1] = values->data;
    iterate_init(&s->it, values->ndim, values->shape, 2,
                 (const int64_t *[]){call->out.strides, values->strides}, ITERATE_REORDER);
    task.run = searches[values->dtype];
    Status status = STATUS_OK;
    if (s->it.size > 0) {
        status = pool_run(s->it.size, 8192, search_part, &task);
    }
    mem_free(block, size);
    return status;
}

/* ---- nonzero ---- */

enum { NONZERO_PART = 1 << 20 };

typedef struct Nonzero {
    Iterate it;
    const Operand *in;
    int64_t *out;       /* the next row */
    int64_t left;       /* rows that still fit */
    int64_t position;   /* C index of the run's first element */
    bool over;          /* more true elements than rows */
} Nonzero;

/* Write the indices of the element at C index `position`. */
static void
nonzero_put(Nonzero *z, int64_t position)
{
    if (z->left-- <= 0) {
        z->over = true;
        return;
    }
    for (int axis = z->in->ndim - 1; axis > 0; axis--) {
        z->out[axis] = position % z->in->shape[axis];
        position /= z->in->shape[axis];
    }
    if (z->in->ndim > 0) {
        z->out[0] = position;
    }
    z->out += z->in->ndim;
}

#define DTYPE(suffix, T, name, kind, format)                                                       \
    static void nonzero_##suffix(void *ctx, char **data, const int64_t *strides, int64_t n)        \
    {                                                                                              \
        Nonzero *z = ctx;                                                                          \
        for (int64_t i = 0; i < n && !z->over; i++) {                                              \
            if (*(const T *)(data[0] + i * strides[0]) != 0) {                                     \
                nonzero_put(z, z->position + i);                                                   \
            }                                                                                      \
        }                                                                                          \
        z->position += n;                                                                          \
    }
#include "array/dtypes.def"
#undef DTYPE

static const IterateFn nonzeros[DTYPE_COUNT] = {
#define DTYPE(suffix, T, name, kind, format) nonzero_##suffix,
#include "array/dtypes.def"
#undef DTYPE
};

static void
nonzero_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    Nonzero *z = ctx;
    (void)thread;
    iterate_run(&z->it, (char *[]){z->in->data}, begin, end, nonzeros[z->in->dtype], z);
}

Status
cpu_nonzero(const Call *call)
{
    const Operand *in = &call->in[0];
    Nonzero z = {.in = in, .out = (int64_t *)call->out.data, .left = call->out.shape[0]};
    iterate_init(&z.it, in->ndim, in->shape, 1, &in->strides, ITERATE_C_ORDER);
    if (pool_run_in_order(z.it.size, NONZERO_PART, nonzero_part, &z) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (z.over || z.left != 0) {
        return err_set(ERR_RUNTIME, "nonzero: the array changed while it was counted");
    }
    return STATUS_OK;
}
