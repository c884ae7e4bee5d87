/* array/dtype.c -- element types and NumPy 2's promotion, by rules on kind and size.
 *
 * Nothing here enumerates dtypes: a row added to dtypes.def takes part at once. */
#include "array/dtype.h"

#include <assert.h>

const DTypeInfo dtype_infos[DTYPE_COUNT] = {
#define DTYPE(suffix, ctype, name, kind, format) {#suffix, name, format, kind, (int)sizeof(ctype)},
#include "array/dtypes.def"
#undef DTYPE
};

DType
dtype_real(DType dtype)
{
    return dtype == DT_c128 ? DT_f64 : dtype == DT_c64 ? DT_f32 : dtype;
}

DType
dtype_complex(DType dtype)
{
    return dtype == DT_f32 || dtype == DT_c64 ? DT_c64 : DT_c128;
}

/* The dtype of this kind with at least `size` bytes, or the widest of the kind. */
static DType
dtype_of(char kind, int size)
{
    DType best = DTYPE_COUNT;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (dtype_infos[d].kind == kind) {
            best = (DType)d;
            if (dtype_infos[d].size >= size) {
                break;
            }
        }
    }
    return best;
}

/* Order of kinds: b < u < i < f < c. */
static int
kind_rank(char kind)
{
    return kind == 'b' ? 0 : kind == 'u' ? 1 : kind == 'i' ? 2 : kind == 'f' ? 3 : 4;
}

/* Bytes of the float that holds all of an integer type (64-bit ones make do with 8). */
static int
float_bytes(int integer_bytes)
{
    return integer_bytes >= 4 ? 8 : 2 * integer_bytes;
}

DType
dtype_promote(DType a, DType b)
{
    if (a == b) {
        return a;
    }
    if (kind_rank(dtype_infos[a].kind) > kind_rank(dtype_infos[b].kind)) {
        const DType t = a;
        a = b;
        b = t;
    }
    const DTypeInfo *low = &dtype_infos[a];
    const DTypeInfo *high = &dtype_infos[b];
    if (low->kind == high->kind) {
        return low->size > high->size ? a : b;
    }
    if (low->kind == 'b') {
        return b;
    }
    if (high->kind == 'i') { /* low is unsigned */
        if (high->size > low->size) {
            return b;
        }
        return low->size == 8 ? DT_f64 : dtype_of('i', 2 * low->size);
    }
    const int part = high->kind == 'c' ? high->size / 2 : high->size;
    const int need = low->kind == 'f' ? low->size : float_bytes(low->size);
    if (need <= part) {
        return b;
    }
    return dtype_of(high->kind, high->kind == 'c' ? 2 * need : need);
}

/* The dtype that a weak scalar of this kind has on its own. */
static DType
weak_default(Weak weak)
{
    return weak == WEAK_INT ? DT_i64 : weak == WEAK_FLOAT ? DT_f64 : DT_c128;
}

DType
dtype_result(const DType *dtypes, const Weak *weak, int n)
{
    assert(n > 0);
    Weak weakest = WEAK_NONE;
    DType strong = DTYPE_COUNT;
    for (int i = 0; i < n; i++) {
        if (weak != NULL && weak[i] != WEAK_NONE) {
            weakest = weak[i] > weakest ? weak[i] : weakest;
        } else {
            strong = strong == DTYPE_COUNT ? dtypes[i] : dtype_promote(strong, dtypes[i]);
        }
    }
    if (strong == DTYPE_COUNT) {
        return weak_default(weakest);
    }
    switch (weakest) {
    case WEAK_NONE: return strong;
    case WEAK_INT: return strong == DT_bool ? DT_i64 : strong;
    case WEAK_FLOAT: return dtype_is_inexact(strong) ? strong : DT_f64;
    case WEAK_COMPLEX: break;
    }
    return dtype_is_complex(strong) ? strong : dtype_complex(strong);
}

bool
dtype_can_cast(DType from, DType to, char casting)
{
    if (from == to || casting == 'u') {
        return true;
    }
    if (casting == 'n' || casting == 'e') {
        return false;
    }
    if (dtype_promote(from, to) == to) {
        return true;
    }
    return casting == 'k' && kind_rank(dtype_infos[from].kind) <= kind_rank(dtype_infos[to].kind);
}
