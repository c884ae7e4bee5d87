/* backend/cpu/blas.c -- the entry points of OpenBLAS behind one table per dtype. */
#include "backend/cpu/blas.h"

#include "backend/backend.h"

#include <stdatomic.h>
#include <string.h>

/* Fortran routines take a hidden length for each character argument; they come last. */
typedef size_t Length;

extern void BLAS_SYMBOL(openblas_set_num_threads)(int count);
extern char *BLAS_SYMBOL(openblas_get_config)(void);
extern char *BLAS_SYMBOL(openblas_get_corename)(void);

/* T: element, R: its real type, S: how CBLAS takes a scalar, p: the letter, he: "sy" or "he". */
#define DECLARE(T, R, S, p, he)                                                                    \
    extern void BLAS_SYMBOL(cblas_##p##gemm)(int, int, int, int, int, int, S, const T *, int,      \
                                             const T *, int, S, T *, int);                         \
    extern void BLAS_SYMBOL(cblas_##p##gemv)(int, int, int, int, S, const T *, int, const T *,     \
                                             int, S, T *, int);                                    \
    extern void BLAS_SYMBOL(cblas_##p##trsm)(int, int, int, int, int, int, int, S, const T *, int, \
                                             T *, int);                                            \
    extern void BLAS_SYMBOL(p##potrf_)(const char *, const int *, T *, const int *, int *,         \
                                       Length);                                                    \
    extern void BLAS_SYMBOL(p##getrf_)(const int *, const int *, T *, const int *, int *, int *);  \
    extern void BLAS_SYMBOL(p##getrs_)(const char *, const int *, const int *, const T *,          \
                                       const int *, const int *, T *, const int *, int *, Length);

#define DECLARE_EIGH_REAL(T, p)                                                                    \
    extern void BLAS_SYMBOL(p##syevd_)(const char *, const char *, const int *, T *, const int *,  \
                                       T *, T *, const int *, int *, const int *, int *, Length,   \
                                       Length);
#define DECLARE_EIGH_COMPLEX(T, R, p)                                                              \
    extern void BLAS_SYMBOL(p##heevd_)(const char *, const char *, const int *, T *, const int *,  \
                                       R *, T *, const int *, R *, const int *, int *,             \
                                       const int *, int *, Length, Length);

typedef float _Complex cfloat;
typedef double _Complex cdouble;

DECLARE(float, float, float, s, sy)
DECLARE(double, double, double, d, sy)
DECLARE(cfloat, float, const void *, c, he)
DECLARE(cdouble, double, const void *, z, he)
DECLARE_EIGH_REAL(float, s)
DECLARE_EIGH_REAL(double, d)
DECLARE_EIGH_COMPLEX(cfloat, float, c)
DECLARE_EIGH_COMPLEX(cdouble, double, z)

/* How a scalar is passed: real ones by value, complex ones by address. */
#define BY_VALUE(x) x
#define BY_ADDRESS(x) &x

#define DEFINE(T, p, PASS)                                                                         \
    static void p##_gemm(int ta, int tb, int m, int n, int k, const void *a, int lda,              \
                         const void *b, int ldb, void *c, int ldc, bool add)                       \
    {                                                                                              \
        const T one = 1, beta = add ? 1 : 0;                                                       \
        BLAS_SYMBOL(cblas_##p##gemm)(BLAS_ROWS, ta, tb, m, n, k, PASS(one), a, lda, b, ldb,        \
                                     PASS(beta), c, ldc);                                          \
    }                                                                                              \
    static void p##_gemv(int ta, int rows, int columns, const void *a, int lda, const void *x,     \
                         int incx, void *y, int incy)                                              \
    {                                                                                              \
        const T one = 1;                                                                           \
        BLAS_SYMBOL(cblas_##p##gemv)(BLAS_ROWS, ta, rows, columns, PASS(one), a, lda, x, incx,     \
                                     PASS(one), y, incy);                                          \
    }                                                                                              \
    static void p##_trsm(int uplo, int ta, int diag, int n, int k, const void *a, int lda,         \
                         void *b, int ldb)                                                         \
    {                                                                                              \
        const T one = 1;                                                                           \
        BLAS_SYMBOL(cblas_##p##trsm)(BLAS_ROWS, BLAS_LEFT, uplo, ta, diag, n, k, PASS(one), a,     \
                                     lda, b, ldb);                                                 \
    }                                                                                              \
    static int p##_potrf(char uplo, int n, void *a)                                                \
    {                                                                                              \
        int info = 0;                                                                              \
        BLAS_SYMBOL(p##potrf_)(&uplo, &n, a, &n, &info, 1);                                        \
        return info;                                                                               \
    }                                                                                              \
    static int p##_getrf(int n, void *a, int *pivots)                                              \
    {                                                                                              \
        int info = 0;                                                                              \
        BLAS_SYMBOL(p##getrf_)(&n, &n, a, &n, pivots, &info);                                      \
        return info;                                                                               \
    }                                                                                              \
    static int p##_getrs(char trans, int n, int k, const void *lu, const int *pivots, void *b)     \
    {                                                                                              \
        int info = 0;                                                                              \
        BLAS_SYMBOL(p##getrs_)(&trans, &n, &k, lu, &n, pivots, b, &n, &info, 1);                   \
        return info;                                                                               \
    }

DEFINE(float, s, BY_VALUE)
DEFINE(double, d, BY_VALUE)
DEFINE(cfloat, c, BY_ADDRESS)
DEFINE(cdouble, z, BY_ADDRESS)

#define DEFINE_EIGH_REAL(T, p)                                                                     \
    static int p##_heevd(char uplo, int n, void *a, void *w, void *work, void *rwork, int *iwork,  \
                         int sizes[3])                                                             \
    {                                                                                              \
        (void)rwork;                                                                               \
        int info = 0;                                                                              \
        const int query = -1;                                                                      \
        if (work == NULL) {                                                                        \
            T size = 0;                                                                            \
            int isize = 0;                                                                         \
            BLAS_SYMBOL(p##syevd_)("V", &uplo, &n, a, &n, w, &size, &query, &isize, &query, &info, \
                                   1, 1);                                                          \
            sizes[0] = round_up(size);                                                             \
            sizes[1] = 0;                                                                          \
            sizes[2] = isize;                                                                      \
            return info;                                                                           \
        }                                                                                          \
        BLAS_SYMBOL(p##syevd_)("V", &uplo, &n, a, &n, w, work, &sizes[0], iwork, &sizes[2], &info, \
                               1, 1);                                                              \
        return info;                                                                               \
    }

#define DEFINE_EIGH_COMPLEX(T, R, p)                                                               \
    static int p##_heevd(char uplo, int n, void *a, void *w, void *work, void *rwork, int *iwork,  \
                         int sizes[3])                                                             \
    {                                                                                              \
        int info = 0;                                                                              \
        const int query = -1;                                                                      \
        if (work == NULL) {                                                                        \
            T size = 0;                                                                            \
            R rsize = 0;                                                                           \
            int isize = 0;                                                                         \
            BLAS_SYMBOL(p##heevd_)("V", &uplo, &n, a, &n, w, &size, &query, &rsize, &query,        \
                                   &isize, &query, &info, 1, 1);                                   \
            sizes[0] = round_up(*(R *)&size);                                                      \
            sizes[1] = round_up(rsize);                                                            \
            sizes[2] = isize;                                                                      \
            return info;                                                                           \
        }                                                                                          \
        BLAS_SYMBOL(p##heevd_)("V", &uplo, &n, a, &n, w, work, &sizes[0], rwork, &sizes[1], iwork, \
                               &sizes[2], &info, 1, 1);                                            \
        return info;                                                                               \
    }

/* Workspace sizes come back as floats, which in single precision may be rounded down. */
static int
round_up(double size)
{
    return (int)(size * (1 + 1e-6)) + 1;
}

DEFINE_EIGH_REAL(float, s)
DEFINE_EIGH_REAL(double, d)
DEFINE_EIGH_COMPLEX(cfloat, float, c)
DEFINE_EIGH_COMPLEX(cdouble, double, z)

#define TABLE(p) {p##_gemm, p##_gemv, p##_trsm, p##_potrf, p##_getrf, p##_getrs, p##_heevd}
static const Blas table_s = TABLE(s), table_d = TABLE(d), table_c = TABLE(c), table_z = TABLE(z);

static atomic_bool multiplies_in_place; /* before library_init: false */

/* Its thread count is global and its pool would compete with ours. */
static void
library_init(void)
{
    static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    static atomic_bool done;
    if (!atomic_load_explicit(&done, memory_order_acquire)) {
        BLAS_SYMBOL(openblas_set_num_threads)(1);
        const char *const core = BLAS_SYMBOL(openblas_get_corename)();
        bool found = false;
        for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
            found = found || strcmp(core, cores[i]) == 0;
        }
        multiplies_in_place = found;
        atomic_store_explicit(&done, true, memory_order_release);
    }
}

bool
blas_multiplies_in_place(DType dtype)
{
    library_init();
    return multiplies_in_place && !dtype_is_complex(dtype);
}

const Blas *
blas_of(DType dtype)
{
    library_init();
    switch (dtype) {
    case DT_f32:
        return &table_s;
    case DT_f64:
        return &table_d;
    case DT_c64:
        return &table_c;
    case DT_c128:
        return &table_z;
    default:
        return NULL;
    }
}

const char *
backend_cpu_blas_config(void)
{
    library_init();
    return BLAS_SYMBOL(openblas_get_config)();
}

const char *
backend_cpu_blas_core(void)
{
    return BLAS_SYMBOL(openblas_get_corename)();
}
