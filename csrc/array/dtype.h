/* array/dtype.h -- element types and NumPy 2's promotion between them (NEP 50). */
#ifndef PYARR_ARRAY_DTYPE_H
#define PYARR_ARRAY_DTYPE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DType {
#define DTYPE(suffix, ctype, name, kind, format) DT_##suffix,
#include "array/dtypes.def"
#undef DTYPE
    DTYPE_COUNT
} DType;

/* How strongly an operand insists on its dtype: a Python scalar is weak (NEP 50). */
typedef enum Weak { WEAK_NONE, WEAK_INT, WEAK_FLOAT, WEAK_COMPLEX } Weak;

typedef struct DTypeInfo {
    const char *suffix; /* "f64" */
    const char *name;   /* "float64" */
    const char *format; /* struct-module format of the buffer protocol */
    char kind;          /* b i u f c */
    int size;           /* bytes */
} DTypeInfo;

extern const DTypeInfo dtype_infos[DTYPE_COUNT];
static inline const DTypeInfo *dtype_info(DType dtype) { return &dtype_infos[dtype]; }
static inline bool dtype_is_complex(DType d) { return d == DT_c64 || d == DT_c128; }
static inline bool dtype_is_float(DType d) { return d == DT_f32 || d == DT_f64; }
static inline bool dtype_is_inexact(DType d) { return d >= DT_f32; }
static inline bool dtype_is_integer(DType d) { return d > DT_bool && d < DT_f32; }
static inline int dtype_size(DType dtype) { return dtype_infos[dtype].size; }
DType dtype_real(DType dtype);    /* c128 -> f64; others unchanged */
DType dtype_complex(DType dtype); /* f64 -> c128; integers -> c128; f32 -> c64 */

/* Smallest dtype that holds both, as numpy.promote_types. */
DType dtype_promote(DType a, DType b);

/*
 * The common dtype of operands, as numpy.result_type: weak ones only raise the kind
 * (a weak float with i32 gives f64, with f32 gives f32). All weak: bool/i64/f64/c128.
 */
DType dtype_result(const DType *dtypes, const Weak *weak, int n);

/* As numpy.can_cast with casting = 'n'o, 'e'quiv, 's'afe, same_'k'ind, 'u'nsafe. */
bool dtype_can_cast(DType from, DType to, char casting);

#endif
