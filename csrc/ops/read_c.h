/* read_c.h -- the C reading of the vocabulary, and the primitive words on float32 and float64.
 *
 * A file that expands a text defines `T` as the suffix of the dtype (f64, f32, i32, ...), so
 * that ADD(x, y) becomes add_f64(x, y): every scalar function of the project is a
 * `static inline` named <op>_<dtype>. All are branch-free where compilers are to vectorise
 * them, and give the same bits alone and in a vector. NaN, infinities and signed zeros follow
 * NumPy.
 */
#ifndef OPS_READ_C_H
#define OPS_READ_C_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ops/vocabulary.h"

/* gcc turns two selects on related conditions into branches ("jump threading") and then finds
 * control flow in a loop that should be a vector loop, or many more compares than needed */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-thread-jumps")
#endif

/* gcc gives up inlining long functions, and a loop with a call in it is no vector loop */
#define SCALAR static inline __attribute__((always_inline))

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMA)
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#define OP1(name, x) PASTE(name, T)(x)
#define OP2(name, x, y) PASTE(name, T)(x, y)
#define OP3(name, x, y, z) PASTE(name, T)(x, y, z)
#define CMP1(name, x) PASTE(name, T)(x)
#define CMP2(name, x, y) PASTE(name, T)(x, y)
#define MASK1(name, m) name##_mask(m)
#define MASK2(name, m, n) name##_mask(m, n)
#define CHOOSE(m, x, y) PASTE(select, T)(m, x, y)
#define INT1(name, i) PASTE(name, T)(i)
#define INT2(name, i, j) PASTE(name, T)(i, j)
#define CONST(c) PASTE(constant, T)(c)
#define CONSTI(c) ((PASTE(word, T))(c))
#define AS_WORD(x) PASTE(bits, T)(x)
#define AS_VALUE(i) PASTE(floatbits, T)(i)
#define TABLE16(list, i) \
    __extension__({ \
        static const PASTE(entry, T) entries[16] = {list}; \
        PASTE(table16, T)(entries, i); \
    })

#define VALUE PASTE(value, T)
#define FUNCTION1(name) \
    SCALAR VALUE PASTE(name, T)(VALUE x) \
    {
#define FUNCTION2(name) \
    SCALAR VALUE PASTE(name, T)(VALUE x, VALUE y) \
    {
#define FUNCTION3(name) \
    SCALAR VALUE PASTE(name, T)(VALUE x, VALUE y, VALUE z) \
    {
#define PAIR1(name) \
    SCALAR PASTE(pair, T) PASTE(name, T)(VALUE x) \
    {
#define PAIR2(name) \
    SCALAR PASTE(pair, T) PASTE(name, T)(VALUE x, VALUE y) \
    {
#define LET(v, e) const VALUE v = e;
#define LETI(v, e) const PASTE(word, T) v = e;
#define LETM(v, e) const bool v = e;
#define LET_PAIR1(v, w, name, x) \
    const PASTE(pair, T) v##_and_##w = PASTE(name, T)(x); \
    const VALUE v = v##_and_##w.first, w = v##_and_##w.second;
#define LET_PAIR2(v, w, name, x, y) \
    const PASTE(pair, T) v##_and_##w = PASTE(name, T)(x, y); \
    const VALUE v = v##_and_##w.first, w = v##_and_##w.second;
#define FIRST2(name, x, y) PASTE(name, T)(x, y).first
#define RESULT(e) \
    return e; \
    }
#define RESULT2(e, f) \
    return (PASTE(pair, T)){e, f}; \
    }

SCALAR bool
not_mask(bool m)
{
    return !m;
}

SCALAR bool
and_mask(bool m, bool n)
{
    return m & n;
}

SCALAR bool
or_mask(bool m, bool n)
{
    return m | n;
}

SCALAR bool
xor_mask(bool m, bool n)
{
    return m ^ n;
}

/* The primitive words on one float type: S its suffix, V and W its value and word types, F the
 * suffix of its libm functions and builtins. */
#define PRIMITIVES(S, V, W, F) \
    typedef V value_##S; \
    typedef W word_##S; \
    typedef V entry_##S; \
    typedef struct { \
        V first, second; \
    } pair_##S; \
    SCALAR V constant_##S(V x) { return x; } \
    SCALAR W bits_##S(V x) \
    { \
        W i; \
        memcpy(&i, &x, sizeof(i)); \
        return i; \
    } \
    SCALAR V floatbits_##S(W i) \
    { \
        V x; \
        memcpy(&x, &i, sizeof(x)); \
        return x; \
    } \
    SCALAR V table16_##S(const V *entries, W i) { return entries[i & 15]; } \
    SCALAR W iadd_##S(W i, W j) { return i + j; } \
    SCALAR W isub_##S(W i, W j) { return i - j; } \
    SCALAR W iand_##S(W i, W j) { return i & j; } \
    SCALAR W ior_##S(W i, W j) { return i | j; } \
    SCALAR W ixor_##S(W i, W j) { return i ^ j; } \
    SCALAR W ishl_##S(W i, W j) { return i << j; } \
    SCALAR W ishr_##S(W i, W j) { return i >> j; } \
    SCALAR V add_##S(V x, V y) { return x + y; } \
    SCALAR V sub_##S(V x, V y) { return x - y; } \
    SCALAR V mul_##S(V x, V y) { return x * y; } \
    SCALAR V div_##S(V x, V y) { return x / y; } \
    SCALAR V neg_##S(V x) { return -x; } \
    SCALAR V abs_##S(V x) { return __builtin_fabs##F(x); } \
    SCALAR V sqrt_##S(V x) { return __builtin_sqrt##F(x); } \
    SCALAR V square_##S(V x) { return x * x; } \
    SCALAR V reciprocal_##S(V x) { return 1 / x; } \
    SCALAR V rint_##S(V x) { return __builtin_rint##F(x); } \
    SCALAR V floor_##S(V x) { return __builtin_floor##F(x); } \
    SCALAR V ceil_##S(V x) { return __builtin_ceil##F(x); } \
    SCALAR V trunc_##S(V x) { return __builtin_trunc##F(x); } \
    SCALAR V copysign_##S(V x, V y) { return __builtin_copysign##F(x, y); } \
    SCALAR bool lt_##S(V x, V y) { return x < y; } \
    SCALAR bool le_##S(V x, V y) { return x <= y; } \
    SCALAR bool gt_##S(V x, V y) { return x > y; } \
    SCALAR bool ge_##S(V x, V y) { return x >= y; } \
    SCALAR bool eq_##S(V x, V y) { return x == y; } \
    SCALAR bool ne_##S(V x, V y) { return x != y; } \
    SCALAR bool isnan_##S(V x) { return x != x; } \
    SCALAR bool isinf_##S(V x) { return __builtin_fabs##F(x) == (V)INFINITY; } \
    SCALAR bool isfinite_##S(V x) { return __builtin_fabs##F(x) < (V)INFINITY; } \
    SCALAR bool signbit_##S(V x) { return bits_##S(x) >> (8 * sizeof(W) - 1) != 0; } \
    SCALAR V select_##S(bool m, V x, V y) { return m ? x : y; } \
    SCALAR V maximum_##S(V x, V y) { return ((x >= y) | (x != x)) ? x : y; } \
    SCALAR V minimum_##S(V x, V y) { return ((x <= y) | (x != x)) ? x : y; } \
    SCALAR V fmax_##S(V x, V y) { return ((x >= y) | (y != y)) ? x : y; } \
    SCALAR V fmin_##S(V x, V y) { return ((x <= y) | (y != y)) ? x : y; } \
    SCALAR V sign_##S(V x) \
    { \
        const V s = x > 0 ? (V)1 : (V)0; \
        const V t = x < 0 ? (V)-1 : s; \
        return x != x ? x : t; \
    } \
    SCALAR V heaviside_##S(V x, V y) \
    { \
        const V h = x < 0 ? (V)0 : (V)1; \
        const V t = x == 0 ? y : h; \
        return x != x ? x : t; \
    } \
    /* the remainder has the sign of y, and q = (x - r) / y is rounded so that it is integral */ \
    static inline V remainder_##S(V x, V y) \
    { \
        V r = fmod##F(x, y); \
        if (y == 0) { \
            return r; \
        } \
        if (r != 0) { \
            return (y < 0) != (r < 0) ? r + y : r; \
        } \
        return __builtin_copysign##F((V)0, y); \
    } \
    static inline V floor_divide_##S(V x, V y) \
    { \
        const V r = fmod##F(x, y); \
        if (y == 0) { \
            return x / y; \
        } \
        V q = (x - r) / y; \
        if (r != 0 && (y < 0) != (r < 0)) { \
            q -= 1; \
        } \
        if (q == 0) { \
            return __builtin_copysign##F((V)0, x / y); \
        } \
        const V f = __builtin_floor##F(q); \
        return q - f > (V)0.5 ? f + 1 : f; \
    } \
    static inline V fmod_##S(V x, V y) { return fmod##F(x, y); } \
    static inline V nextafter_##S(V x, V y) { return nextafter##F(x, y); } \
    static inline V ldexp_##S(V x, int64_t n) \
    { \
        return ldexp##F(x, n > 9999 ? 9999 : n < -9999 ? -9999 : (int)n); \
    } \
    static inline V frexp_##S(V x, int32_t *n) \
    { \
        int e = 0; \
        const V m = frexp##F(x, &e); \
        *n = e; \
        return m; \
    } \
    static inline V modf_##S(V x, V *integral) { return modf##F(x, integral); } \
    /* to the next larger size; of infinities that is NaN, in the bits too; of -0 positive */ \
    SCALAR V spacing_##S(V x) \
    { \
        const V size = abs_##S(x); \
        return copysign_##S(floatbits_##S(bits_##S(size) + 1) - size, x + 0); \
    }

PRIMITIVES(f64, double, uint64_t, )
PRIMITIVES(f32, float, uint32_t, f)

#if HAS_FMA

SCALAR double
fma_f64(double x, double y, double z)
{
    return __builtin_fma(x, y, z);
}

SCALAR double
fma_exact_f64(double x, double y, double z)
{
    return __builtin_fma(x, y, z);
}

SCALAR float
fma_f32(float x, float y, float z)
{
    return __builtin_fmaf(x, y, z);
}

SCALAR float
fma_exact_f32(float x, float y, float z)
{
    return __builtin_fmaf(x, y, z);
}

#else

SCALAR double
fma_f64(double x, double y, double z)
{
    return x * y + z;
}

/* The upper 26 bits of x, so that products of halves are exact (Dekker 1971). By a mask, which
 * can't overflow. */
SCALAR double
upper_half_f64(double x)
{
    return floatbits_f64(bits_f64(x) & UINT64_C(0xfffffffff8000000));
}

/* Product and its rounding error, then the sum and its rounding error: wrong by less than
 * 2^-100 of the larger term before the last rounding. */
SCALAR double
fma_exact_f64(double x, double y, double z)
{
    const double xh = upper_half_f64(x), xl = x - xh;
    const double yh = upper_half_f64(y), yl = y - yh;
    const double p = x * y;
    const double q = ((xh * yh - p) + (xh * yl + xl * yh)) + xl * yl;
    const double s = p + z;
    const double v = s - p;
    const double t = (p - (s - v)) + (z - v);
    return s + (t + q);
}

SCALAR float
fma_f32(float x, float y, float z)
{
    return x * y + z;
}

SCALAR float
fma_exact_f32(float x, float y, float z)
{
    return (float)((double)x * (double)y + (double)z);
}

#endif

#endif
