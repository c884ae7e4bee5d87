/* backend/cpu/kernels/integer.c -- the rows on signed and unsigned integers. */
/* variants: KT=i8,i16,i32,i64,u8,u16,u32,u64 ISA */
#include "backend/cpu/kernels/kernel.h"
#include "ops/read_c.h"
#include "ops/row_words.h"

/* V as the dtype, U an unsigned type that wraps instead of overflowing. */
#define V_i8 int8_t
#define V_i16 int16_t
#define V_i32 int32_t
#define V_i64 int64_t
#define V_u8 uint8_t
#define V_u16 uint16_t
#define V_u32 uint32_t
#define V_u64 uint64_t
#define U_i8 uint32_t
#define U_i16 uint32_t
#define U_i32 uint32_t
#define U_i64 uint64_t
#define U_u8 uint32_t
#define U_u16 uint32_t
#define U_u32 uint32_t
#define U_u64 uint64_t

#define T KT
typedef PASTE(V, KT) V;
typedef PASTE(U, KT) U;
#undef CONST
#define CONST(c) ((V)(c))

#define BITS_OF_V ((U)(8 * sizeof(V)))
#define IS_SIGNED ((V)-1 < (V)1)
#define IS_NEGATIVE(x) (IS_SIGNED && (x) < (V)1 && (x) != 0)
#define DEFINE1(name) SCALAR V PASTE(name, KT)(V x)
#define DEFINE2(name) SCALAR V PASTE(name, KT)(V x, V y)
#define TEST1(name) SCALAR bool PASTE(name, KT)(V x)
#define TEST2(name) SCALAR bool PASTE(name, KT)(V x, V y)

DEFINE2(add) { return (V)((U)x + (U)y); }
DEFINE2(sub) { return (V)((U)x - (U)y); }
DEFINE2(mul) { return (V)((U)x * (U)y); }
DEFINE1(neg) { return (V)(0 - (U)x); }
DEFINE1(positive) { return x; }
DEFINE1(square) { return (V)((U)x * (U)x); }
DEFINE1(abs2) { return (V)((U)x * (U)x); }
DEFINE1(conjugate) { return x; }
DEFINE1(real) { return x; }
DEFINE1(imag) { return (V)(x ^ x); }
DEFINE1(floor) { return x; }
DEFINE1(ceil) { return x; }
DEFINE1(trunc) { return x; }
DEFINE1(abs) { return IS_NEGATIVE(x) ? (V)(0 - (U)x) : x; }
DEFINE1(sign) { return (V)((x > 0) - IS_NEGATIVE(x)); }
/* 1 / 0 is what x86 makes of infinity, as in NumPy: the least integer of 32 and 64 bits */
DEFINE1(reciprocal)
{
    const V of_zero = IS_SIGNED && sizeof(V) >= 4 ? (V)((U)1 << (BITS_OF_V - 1)) : (V)0;
    const V whole = x == 1 || (IS_SIGNED && x == (V)-1) ? x : (V)0;
    return x == 0 ? of_zero : whole;
}

TEST2(lt) { return x < y; }
TEST2(le) { return x <= y; }
TEST2(gt) { return x > y; }
TEST2(ge) { return x >= y; }
TEST2(eq) { return x == y; }
TEST2(ne) { return x != y; }
TEST1(isfinite) { return (void)x, true; }
TEST1(isinf) { return (void)x, false; }
TEST1(isnan) { return (void)x, false; }

DEFINE2(maximum) { return x > y ? x : y; }
DEFINE2(minimum) { return x < y ? x : y; }
DEFINE2(fmax) { return x > y ? x : y; }
DEFINE2(fmin) { return x < y ? x : y; }

SCALAR V
PASTE(clip, KT)(V x, V y, V z)
{
    const V raised = x > y ? x : y;
    return raised < z ? raised : z;
}

DEFINE2(bitwise_and) { return x & y; }
DEFINE2(bitwise_or) { return x | y; }
DEFINE2(bitwise_xor) { return x ^ y; }
DEFINE1(invert) { return (V)~x; }

/* Shifts past the width move every bit out; negative counts are past it, as in NumPy. */
DEFINE2(left_shift)
{
    const U count = (U)y;
    const V moved = (V)((U)x << (count % BITS_OF_V));
    return count < BITS_OF_V ? moved : (V)0;
}

DEFINE2(right_shift)
{
    const U count = (U)y;
    const V moved = (V)(x >> (count < BITS_OF_V ? count : BITS_OF_V - 1));
    const V gone = IS_NEGATIVE(x) ? (V)-1 : (V)0;
    return count < BITS_OF_V ? moved : gone;
}

SCALAR uint8_t
PASTE(bitwise_count, KT)(V x)
{
    return (uint8_t)__builtin_popcountll((unsigned long long)(U)PASTE(abs, KT)(x) &
                                         (~0ull >> (64 - 8 * sizeof(V))));
}

/* Rounded down; by 0 it gives 0, and the least integer by -1 wraps. */
DEFINE2(floor_divide)
{
    if (y == 0) {
        return 0;
    }
    if (IS_SIGNED && y == (V)-1) {
        return (V)(0 - (U)x);
    }
    const V quotient = (V)(x / y);
    return x % y != 0 && IS_NEGATIVE(x) != IS_NEGATIVE(y) ? (V)(quotient - 1) : quotient;
}

DEFINE2(fmod)
{
    return y == 0 || (IS_SIGNED && y == (V)-1) ? (V)0 : (V)(x % y);
}

DEFINE2(remainder)
{
    const V rest = PASTE(fmod, KT)(x, y);
    return rest != 0 && IS_NEGATIVE(rest) != IS_NEGATIVE(y) ? (V)(rest + y) : rest;
}

/* y >= 0: the program runner has checked that. */
DEFINE2(pow)
{
    U result = 1;
    U base = (U)x;
    for (U exponent = (U)y; exponent != 0; exponent >>= 1) {
        if ((exponent & 1) != 0) {
            result *= base;
        }
        base *= base;
    }
    return (V)result;
}

static inline U
common_divisor(V x, V y)
{
    U a = (U)PASTE(abs, KT)(x);
    U b = (U)PASTE(abs, KT)(y);
    while (a != 0) {
        const U rest = b % a;
        b = a;
        a = rest;
    }
    return b;
}

DEFINE2(gcd) { return (V)common_divisor(x, y); }

DEFINE2(lcm)
{
    const U divisor = common_divisor(x, y);
    return divisor == 0 ? (V)0 : (V)((U)PASTE(abs, KT)(x) / divisor * (U)PASTE(abs, KT)(y));
}

#define kernel_has_tail(op) false
#define kernel_any_in_tail(op, xs, n) false
#define kernel_in_tail(op, x) (x)

#define OUT_RULE_SAME V
#define OUT_RULE_BOOL uint8_t
#define OUT_RULE_PARTS V
#define OUT_RULE_U8 uint8_t

#define IF_CLASS_ALL(...) __VA_ARGS__
#define IF_CLASS_NUMBER(...) __VA_ARGS__
#define IF_CLASS_REAL(...) __VA_ARGS__
#define IF_CLASS_REALNUM(...) __VA_ARGS__
#define IF_CLASS_INEXACT(...)
#define IF_CLASS_FLOAT(...)
#define IF_CLASS_INTEGER(...) __VA_ARGS__
#define IF_CLASS_BITS(...) __VA_ARGS__
#define IF_CLASS_SPECIAL(...)

#define KERNEL_EXTRA_ENTRIES
#include "backend/cpu/kernels/kernel_rows.h"
