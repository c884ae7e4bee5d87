/* read_avx512.h -- a reading of functions.def on whole AVX-512 registers.
 *
 * For the functions whose loops compilers make worse than these instructions allow: tables in
 * registers, and the splitting of exponents. Included after functions.h; gives <name>_f64x8
 * and <name>_f32x16, with the bits of <name>_f64 and <name>_f32.
 */
#ifndef OPS_READ_AVX512_H
#define OPS_READ_AVX512_H

#include "ops/functions.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define HAS_AVX512 1

#include <immintrin.h>

/* The words on one register type: S its suffix, E the scalars, V, W and M registers of values
 * and words and masks, P and I the suffixes of intrinsics on values and words. */
#define AVX512_WORDS(S, E, V, W, M, P, I, MASKS, WORD) \
    typedef V value_##S; \
    typedef W word_##S; \
    typedef M mask_##S; \
    typedef E entry_##S; \
    typedef struct { \
        V first, second; \
    } pair_##S; \
    enum { LANES_##S = sizeof(V) / sizeof(E) }; \
    SCALAR M lanes_##S(int64_t count) \
    { \
        return count >= LANES_##S ? (M)-1 : (M)((1u << count) - 1); \
    } \
    SCALAR V constant_##S(E x) { return _mm512_set1_##P(x); } \
    SCALAR W literal_##S(uint64_t i) { return _mm512_set1_##I(WORD i); } \
    SCALAR W bits_##S(V x) { return _mm512_cast##P##_si512(x); } \
    SCALAR V floatbits_##S(W i) { return _mm512_castsi512_##P(i); } \
    SCALAR W iadd_##S(W i, W j) { return _mm512_add_##I(i, j); } \
    SCALAR W isub_##S(W i, W j) { return _mm512_sub_##I(i, j); } \
    SCALAR W iand_##S(W i, W j) { return _mm512_and_si512(i, j); } \
    SCALAR W ior_##S(W i, W j) { return _mm512_or_si512(i, j); } \
    SCALAR W ixor_##S(W i, W j) { return _mm512_xor_si512(i, j); } \
    SCALAR W ishl_##S(W i, W j) { return _mm512_sllv_##I(i, j); } \
    SCALAR W ishr_##S(W i, W j) { return _mm512_srlv_##I(i, j); } \
    SCALAR V add_##S(V x, V y) { return _mm512_add_##P(x, y); } \
    SCALAR V sub_##S(V x, V y) { return _mm512_sub_##P(x, y); } \
    SCALAR V mul_##S(V x, V y) { return _mm512_mul_##P(x, y); } \
    SCALAR V div_##S(V x, V y) { return _mm512_div_##P(x, y); } \
    SCALAR V neg_##S(V x) { return _mm512_xor_##P(x, constant_##S((E)-0.0)); } \
    SCALAR V abs_##S(V x) { return _mm512_andnot_##P(constant_##S((E)-0.0), x); } \
    SCALAR V sqrt_##S(V x) { return _mm512_sqrt_##P(x); } \
    SCALAR V fma_##S(V x, V y, V z) { return _mm512_fmadd_##P(x, y, z); } \
    SCALAR V fma_exact_##S(V x, V y, V z) { return _mm512_fmadd_##P(x, y, z); } \
    SCALAR V rint_##S(V x) { return _mm512_roundscale_##P(x, _MM_FROUND_CUR_DIRECTION); } \
    SCALAR V floor_##S(V x) { return _mm512_floor_##P(x); } \
    SCALAR V trunc_##S(V x) { return _mm512_roundscale_##P(x, _MM_FROUND_TO_ZERO); } \
    SCALAR V copysign_##S(V x, V y) \
    { \
        const V sign = constant_##S((E)-0.0); \
        return _mm512_or_##P(_mm512_andnot_##P(sign, x), _mm512_and_##P(sign, y)); \
    } \
    SCALAR M lt_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_LT_OQ); } \
    SCALAR M le_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_LE_OQ); } \
    SCALAR M gt_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_GT_OQ); } \
    SCALAR M ge_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_GE_OQ); } \
    SCALAR M eq_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_EQ_OQ); } \
    SCALAR M ne_##S(V x, V y) { return _mm512_cmp_##P##_mask(x, y, _CMP_NEQ_UQ); } \
    SCALAR M isnan_##S(V x) { return _mm512_cmp_##P##_mask(x, x, _CMP_UNORD_Q); } \
    SCALAR M signbit_##S(V x) { return _mm512_movepi##MASKS##_mask(bits_##S(x)); } \
    SCALAR V select_##S(M m, V x, V y) { return _mm512_mask_blend_##P(m, y, x); } \
    SCALAR M not_##S(M m) { return (M)~m; } \
    SCALAR M and_##S(M m, M n) { return (M)(m & n); } \
    SCALAR M or_##S(M m, M n) { return (M)(m | n); } \
    SCALAR M xor_##S(M m, M n) { return (M)(m ^ n); } \
    SCALAR V scale_floor_##S(V x, V y) { return _mm512_scalef_##P(x, y); } \
    /* of an operand that is NaN and one that is not, these give the second */ \
    SCALAR V at_least_##S(V x, V y) { return _mm512_max_##P(y, x); } \
    SCALAR V at_most_##S(V x, V y) { return _mm512_min_##P(y, x); } \
    SCALAR V load_whole_##S(const E *from) { return _mm512_loadu_##P(from); } \
    SCALAR void store_whole_##S(E *to, V x) { _mm512_storeu_##P(to, x); } \
    /* the first `count` elements, the others 1; at least one */ \
    SCALAR V load_##S(const E *from, int64_t count) \
    { \
        return _mm512_mask_loadu_##P(constant_##S((E)1), lanes_##S(count), from); \
    } \
    SCALAR void store_##S(E *to, int64_t count, V x) \
    { \
        _mm512_mask_storeu_##P(to, lanes_##S(count), x); \
    } \
    /* may pow_plain stand for pow in all lanes? */ \
    SCALAR bool pow_is_plain_##S(V x, V y, E largest) \
    { \
        const M above = gt_##S(x, constant_##S((E)0)); \
        const M below = lt_##S(x, constant_##S((E)INFINITY)); \
        const M moderate = le_##S(abs_##S(y), constant_##S(largest)); \
        return (M)~(above & below & moderate) == 0; \
    } \
    SCALAR pair_##S split_##S(V x) \
    { \
        return (pair_##S){_mm512_getmant_##P(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero), \
                          _mm512_getexp_##P(x)}; \
    } \
    /* x = m 2^e, m in [limit / 2, limit) */ \
    SCALAR pair_##S split_below_##S(V x, V limit) \
    { \
        const V m = _mm512_getmant_##P(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); \
        const V e = _mm512_getexp_##P(x); \
        const M large = ge_##S(m, limit); \
        return (pair_##S){_mm512_mask_mul_##P(m, large, m, constant_##S((E)0.5)), \
                          _mm512_mask_add_##P(e, large, e, constant_##S((E)1))}; \
    } \
    /* y where x is positive and finite; of other x what a logarithm gives, by class: quiet and \
     * signalling NaN, zero, one, -infinity, infinity, negative, positive */ \
    SCALAR V log_edges_##S(V x, V y) \
    { \
        return _mm512_fixupimm_##P(y, x, _mm512_set1_##I(0x03530422), 0); \
    }

AVX512_WORDS(f64x8, double, __m512d, __m512i, __mmask8, pd, epi64, 64, (int64_t))
AVX512_WORDS(f32x16, float, __m512, __m512i, __mmask16, ps, epi32, 32, (int32_t))
#undef AVX512_WORDS

SCALAR __m512d
table16_f64x8(const double *entries, __m512i i)
{
    return _mm512_permutex2var_pd(_mm512_loadu_pd(entries), i, _mm512_loadu_pd(entries + 8));
}

SCALAR __m512
table16_f32x16(const float *entries, __m512i i)
{
    return _mm512_permutexvar_ps(i, _mm512_loadu_ps(entries));
}

#undef CONSTI
#undef MASK1
#undef MASK2
#undef LETM
#define CONSTI(c) PASTE(literal, T)(c)
#define MASK1(name, m) PASTE(name, T)(m)
#define MASK2(name, m, n) PASTE(name, T)(m, n)
#define LETM(v, e) const PASTE(mask, T) v = e;
#define SPLIT_WORDS
#define LIMIT_WORDS
#define SCALE_WORDS
/* rounded once, as the two factors are: the first product is exact */
#define SCALE_SHIFTED \
    SCALAR VALUE PASTE(scale_shifted, T)(VALUE x, VALUE y) \
    { \
        return PASTE(scale_floor, T)(x, SUB(y, K(ROUND_SHIFT_TWICE))); \
    }
#define SPLIT_BELOW(name, bits) \
    SCALAR PASTE(pair, T) PASTE(name, T)(VALUE x) \
    { \
        return PASTE(split_below, T)(x, FLOATBITS(KI(bits + (UINT64_C(1) << MANTISSA_BITS)))); \
    }

#define T f64x8
#include "ops/constants_f64.def"
SCALE_SHIFTED
SPLIT_BELOW(log_split, SQRT_HALF_BITS)
SPLIT_BELOW(log_split_table, TABLE_START_BITS)
#include "ops/functions.def"
#undef T

#define T f32x16
#include "ops/constants_f32.def"
SCALE_SHIFTED
SPLIT_BELOW(log_split, SQRT_HALF_BITS)
SPLIT_BELOW(log_split_table, TABLE_START_BITS)
#include "ops/functions.def"
#undef T

/* the reading of read_c.h again */
#undef SPLIT_WORDS
#undef LIMIT_WORDS
#undef SCALE_WORDS
#undef CONSTI
#undef MASK1
#undef MASK2
#undef LETM
#define CONSTI(c) ((PASTE(word, T))(c))
#define MASK1(name, m) name##_mask(m)
#define MASK2(name, m, n) name##_mask(m, n)
#define LETM(v, e) const bool v = e;

#else
#define HAS_AVX512 0
#endif

#endif
