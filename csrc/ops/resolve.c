/* ops/resolve.c -- which loop an elementwise row runs for given dtypes, as NumPy 2 chooses. */
#include "ops/infer.h"

#include <ctype.h>
#include <stdio.h>

/* float16 has no loops yet: where NumPy computes bool and 8-bit integers in float16, we use
 * float32, as for 16-bit integers. */
static DType
integer_to_float(DType dtype)
{
    if (dtype >= DT_f32) {
        return dtype;
    }
    return dtype_size(dtype) <= 2 ? DT_f32 : DT_f64;
}

static DType
signed_byte_for_bool(DType dtype)
{
    return dtype == DT_bool ? DT_i8 : dtype;
}

static Status
unsupported(OpCode op)
{
    return err_set(ERR_TYPE,
                   "ufunc '%s' not supported for the input types, and the inputs could not be "
                   "safely coerced to any supported types according to the casting rule ''safe''",
                   op_info(op)->name);
}

/* "<class 'numpy.dtypes.UInt8DType'>" */
static void
class_text(DType dtype, char *out, size_t size)
{
    char name[16];
    snprintf(name, sizeof name, "%s", dtype_info(dtype)->name);
    name[0] = (char)toupper((unsigned char)name[0]);
    if (name[0] == 'U') {
        name[1] = 'I';
    }
    snprintf(out, size, "<class 'numpy.dtypes.%sDType'>", name);
}

/* gcd and lcm: NumPy's newer way to refuse. */
static Status
unsupported_pair(OpCode op, const DType *dtypes)
{
    char a[64], b[64];
    class_text(dtypes[0], a, sizeof a);
    class_text(dtypes[1], b, sizeof b);
    return err_set(ERR_TYPE,
                   "ufunc '%s' did not contain a loop with signature matching types (%s, %s) -> "
                   "None",
                   op_info(op)->name, a, b);
}

static Status
no_loop(OpCode op)
{
    return err_set(ERR_TYPE,
                   "No loop matching the specified signature and casting was found for ufunc %s",
                   op_info(op)->name);
}

/* Does the row have a loop in exactly this dtype? */
static bool
class_has(OpCode op, DType dtype)
{
    switch ((OpClass)op_info(op)->cls) {
    case CLASS_ALL:
        return true;
    case CLASS_NUMBER:
        return dtype != DT_bool;
    case CLASS_REAL:
        return !dtype_is_complex(dtype);
    case CLASS_REALNUM:
        return dtype != DT_bool && !dtype_is_complex(dtype);
    case CLASS_INEXACT:
        return dtype_is_inexact(dtype) &&
               (op != OP_float_power || dtype == DT_f64 || dtype == DT_c128);
    case CLASS_FLOAT:
        return dtype_is_float(dtype);
    case CLASS_INTEGER:
        return dtype_is_integer(dtype);
    case CLASS_BITS:
        return dtype < DT_f32;
    case CLASS_SPECIAL:
        return op == OP_where || dtype_is_float(dtype);
    }
    return false;
}

/* Rows that NumPy refuses for booleans although int8 would do. */
static Status
check_bool(OpCode op)
{
    switch (op) {
    case OP_subtract:
        return err_set(ERR_TYPE, "numpy boolean subtract, the `-` operator, is not supported, "
                                 "use the bitwise_xor, the `^` operator, or the logical_xor "
                                 "function instead.");
    case OP_negative:
        return err_set(ERR_TYPE, "The numpy boolean negative, the `-` operator, is not "
                                 "supported, use the `~` operator or the logical_not function "
                                 "instead.");
    case OP_positive:
    case OP_sign:
        return err_set(ERR_TYPE, "ufunc '%s' did not contain a loop with signature matching "
                                 "types <class 'numpy.dtypes.BoolDType'> -> None",
                       op_info(op)->name);
    default:
        return STATUS_OK;
    }
}

/* The common dtype for rows that compute in floating point: each integer operand asks for the
 * float that holds it, so that (uint16, int16) gives float32 and not the float64 of int32. */
static DType
common_inexact(OpCode op, const DType *dtypes, const Weak *weak, int nin)
{
    DType asked[3];
    bool inexact = false;
    bool all_weak = true;
    for (int i = 0; i < nin; i++) {
        all_weak = all_weak && weak[i] != WEAK_NONE;
        inexact = inexact || dtype_is_inexact(dtypes[i]);
    }
    for (int i = 0; i < nin; i++) {
        asked[i] = dtypes[i];
        if (weak[i] == WEAK_NONE) {
            asked[i] = integer_to_float(dtypes[i]);
        }
    }
    if (op == OP_divide && !inexact) {
        return DT_f64;
    }
    if (all_weak) {
        return integer_to_float(dtype_result(dtypes, weak, nin));
    }
    /* a Python float beside integers counts as float64 */
    bool integers = true;
    bool weak_float = false;
    bool weak_complex = false;
    bool bools = true; /* a Python int beside them counts as int64 */
    bool weak_int = false;
    for (int i = 0; i < nin; i++) {
        bools = bools && (weak[i] != WEAK_NONE || dtypes[i] == DT_bool);
        weak_int = weak_int || weak[i] == WEAK_INT;
        integers = integers && (weak[i] != WEAK_NONE || !dtype_is_inexact(dtypes[i]));
        weak_float = weak_float || weak[i] == WEAK_FLOAT;
        weak_complex = weak_complex || weak[i] == WEAK_COMPLEX;
    }
    if (integers && weak_complex) {
        return DT_c128;
    }
    if (bools && weak_int && !weak_float) {
        return DT_f64;
    }
    if (integers && weak_float) {
        return DT_f64;
    }
    return dtype_result(asked, weak, nin);
}

static bool
is_comparison(OpCode op)
{
    return op == OP_greater || op == OP_greater_equal || op == OP_less || op == OP_less_equal ||
           op == OP_equal || op == OP_not_equal;
}

static bool
is_signed(DType dtype)
{
    return dtype >= DT_i8 && dtype <= DT_i64;
}

/*
 * Integers are compared by value whatever their types (NumPy >= 2): Python integers keep 64
 * bits instead of taking the array's dtype, and uint64 meets signed types in loops of their
 * own, told by loop uint64 with one input int64. True when that applies.
 */
static bool
compare_integers(const DType *dtypes, const Weak *weak, DType *loop, DType *in_dtypes)
{
    DType strong[2];
    bool mixed_signs = false;
    for (int i = 0; i < 2; i++) {
        if (dtypes[i] >= DT_f32) {
            return false;
        }
        strong[i] = dtypes[i];
    }
    for (int i = 0; i < 2; i++) {
        const DType a = strong[i], b = strong[1 - i];
        mixed_signs = mixed_signs || (a == DT_u64 && is_signed(b));
    }
    if (mixed_signs) {
        *loop = DT_u64;
        in_dtypes[0] = strong[0] == DT_u64 ? DT_u64 : DT_i64;
        in_dtypes[1] = strong[1] == DT_u64 ? DT_u64 : DT_i64;
        return true;
    }
    (void)weak;
    *loop = dtype_promote(strong[0], strong[1]);
    in_dtypes[0] = in_dtypes[1] = *loop;
    return true;
}

static DType
result_dtype(OpCode op, DType loop)
{
    switch ((OpRule)op_info(op)->rule) {
    case RULE_BOOL:
        return DT_bool;
    case RULE_PARTS:
        return dtype_real(loop);
    case RULE_COMPLEX:
        return dtype_complex(loop);
    case RULE_U8:
        return DT_u8;
    case RULE_I32:
        return DT_i32;
    case RULE_SAME:
        break;
    }
    return loop;
}

/* The loop that the input dtypes ask for. */
static Status
choose_loop(OpCode op, const DType *dtypes, const Weak *weak, int nin, DType *loop)
{
    const OpClass cls = (OpClass)op_info(op)->cls;
    if (cls == CLASS_INEXACT || cls == CLASS_FLOAT) {
        *loop = common_inexact(op, dtypes, weak, nin);
        if (op == OP_float_power) {
            *loop = dtype_is_complex(*loop) ? DT_c128 : DT_f64;
        }
        return class_has(op, *loop) ? STATUS_OK : unsupported(op);
    }
    *loop = dtype_result(dtypes, weak, nin);
    if ((op == OP_gcd || op == OP_lcm) && !class_has(op, *loop)) {
        return unsupported_pair(op, dtypes);
    }
    if (*loop == DT_bool && !class_has(op, DT_bool)) {
        if (check_bool(op) != STATUS_OK) {
            return STATUS_ERROR;
        }
        *loop = signed_byte_for_bool(*loop);
    }
    return class_has(op, *loop) ? STATUS_OK : unsupported(op);
}

DType
op_plain_result(OpCode op, DType dtype)
{
    const bool plain = dtype_is_inexact(dtype) && op_info(op)->cls != CLASS_SPECIAL &&
                       op != OP_float_power && class_has(op, dtype);
    return plain ? result_dtype(op, dtype) : DTYPE_COUNT;
}

/* A loop demanded by dtype=: it must exist and the inputs must cast to it by same_kind. */
static Status
check_forced(OpCode op, const DType *dtypes, const Weak *weak, int nin, DType loop)
{
    if (!class_has(op, loop)) {
        return no_loop(op);
    }
    for (int i = 0; i < nin; i++) {
        const bool fits = weak[i] == WEAK_INT ? loop != DT_bool
                                              : dtype_can_cast(dtypes[i], loop, 'k');
        if (!fits && nin == 1) {
            return err_set(ERR_TYPE, "Cannot cast ufunc '%s' input from dtype('%s') to "
                                     "dtype('%s') with casting rule 'same_kind'",
                           op_info(op)->name, dtype_info(dtypes[i])->name, dtype_info(loop)->name);
        }
        if (!fits) {
            return err_set(ERR_TYPE, "Cannot cast ufunc '%s' input %d from dtype('%s') to "
                                     "dtype('%s') with casting rule 'same_kind'",
                           op_info(op)->name, i, dtype_info(dtypes[i])->name,
                           dtype_info(loop)->name);
        }
    }
    return STATUS_OK;
}

/* where: the condition is bool, the loop that of the values. */
static Status
resolve_where(const DType *dtypes, const Weak *weak, bool forced, DType *loop, DType *in_dtypes,
              DType *out)
{
    if (forced) {
        if (check_forced(OP_where, dtypes + 1, weak + 1, 2, *loop) != STATUS_OK) {
            return STATUS_ERROR;
        }
    } else {
        *loop = dtype_result(dtypes + 1, weak + 1, 2);
    }
    in_dtypes[0] = DT_bool;
    in_dtypes[1] = in_dtypes[2] = *loop;
    *out = *loop;
    return STATUS_OK;
}

/* ldexp: the exponent is an integer that int64 holds. */
static Status
resolve_ldexp(const DType *dtypes, const Weak *weak, bool forced, DType *loop, DType *in_dtypes,
              DType *out)
{
    if (dtypes[1] >= DT_f32 || dtypes[1] == DT_u64) {
        return unsupported(OP_ldexp);
    }
    if (forced) {
        if (check_forced(OP_ldexp, dtypes, weak, 1, *loop) != STATUS_OK) {
            return STATUS_ERROR;
        }
    } else {
        *loop = integer_to_float(dtype_result(dtypes, weak, 1));
        if (!dtype_is_float(*loop)) {
            return unsupported(OP_ldexp);
        }
    }
    in_dtypes[0] = *loop;
    in_dtypes[1] = DT_i64;
    *out = *loop;
    return STATUS_OK;
}

Status
op_resolve(OpCode op, const DType *dtypes, const Weak *weak, int nin, bool forced, DType *loop,
           DType *in_dtypes, DType *out)
{
    if (nin != op_info(op)->nin) {
        return err_set(ERR_TYPE, "%s() takes from %d to %d positional arguments but %d were given",
                       op_info(op)->name, op_info(op)->nin, op_info(op)->nin + 1, nin);
    }
    if (op == OP_where) {
        return resolve_where(dtypes, weak, forced, loop, in_dtypes, out);
    }
    if (op == OP_ldexp) {
        return resolve_ldexp(dtypes, weak, forced, loop, in_dtypes, out);
    }
    if (forced && op_info(op)->rule == RULE_BOOL) {
        /* dtype= names the result there; bool is what it is anyway */
        if (*loop != DT_bool) {
            return no_loop(op);
        }
        forced = false;
    }
    if (!forced && is_comparison(op) && compare_integers(dtypes, weak, loop, in_dtypes)) {
        *out = DT_bool;
        return STATUS_OK;
    }
    const Status status = forced ? check_forced(op, dtypes, weak, nin, *loop)
                                 : choose_loop(op, dtypes, weak, nin, loop);
    if (status != STATUS_OK) {
        return STATUS_ERROR;
    }
    for (int i = 0; i < nin; i++) {
        in_dtypes[i] = *loop;
    }
    *out = result_dtype(op, *loop);
    return STATUS_OK;
}
