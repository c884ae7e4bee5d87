/* backend/cpu/emit_read.c -- ops.def and functions.def read as nodes of emit_ir.h. */
/* variants: KT=v3,v4 */
#include "backend/cpu/emit_ir.h"

#include <math.h>

#define v3 0
#define v4 1
#if KT == v4
#define SPLIT_WORDS
#define SCALE_WORDS
#endif
#undef v3
#undef v4

#define OP1(name, x) read_##name(ir, x)
#define OP2(name, x, y) read_##name(ir, x, y)
#define OP3(name, x, y, z) read_##name(ir, x, y, z)
#define CMP1 OP1
#define CMP2 OP2
#define MASK1 OP1
#define MASK2 OP2
#define CHOOSE(m, x, y) read_select(ir, m, x, y)
#define INT1 OP1
#define INT2 OP2
#define CONST(c) ir_constant(ir, c)
#define CONSTI(c) ir_word(ir, c)
#define AS_WORD(x) (x)
#define AS_VALUE(i) (i)
#define TABLE16(list, i)                                                                           \
    __extension__({                                                                                \
        static const double entries[16] = {list};                                                  \
        ir_table16(ir, entries, i);                                                                 \
    })

typedef struct Pair {
    Ir first, second;
} Pair;

/* Not every function of the list is in a row. */
#define READING __attribute__((unused)) static
#define FUNCTION1(name)                                                                            \
    READING Ir read_##name(IrBuilder *ir, Ir x)                                                     \
    {
#define FUNCTION2(name)                                                                            \
    READING Ir read_##name(IrBuilder *ir, Ir x, Ir y)                                               \
    {
#define FUNCTION3(name)                                                                            \
    READING Ir read_##name(IrBuilder *ir, Ir x, Ir y, Ir z)                                         \
    {
#define PAIR1(name)                                                                                \
    READING Pair read_##name(IrBuilder *ir, Ir x)                                                   \
    {
#define PAIR2(name)                                                                                \
    READING Pair read_##name(IrBuilder *ir, Ir x, Ir y)                                             \
    {
#define LET(v, e) const Ir v = e;
#define LETI LET
#define LETM LET
#define LET_PAIR1(v, w, name, x)                                                                   \
    const Pair v##_and_##w = read_##name(ir, x);                                                    \
    const Ir v = v##_and_##w.first, w = v##_and_##w.second;
#define LET_PAIR2(v, w, name, x, y)                                                                \
    const Pair v##_and_##w = read_##name(ir, x, y);                                                 \
    const Ir v = v##_and_##w.first, w = v##_and_##w.second;
#define FIRST2(name, x, y) read_##name(ir, x, y).first
#define RESULT(e)                                                                                  \
    return e;                                                                                      \
    }
#define RESULT2(e, f)                                                                              \
    return (Pair){e, f};                                                                           \
    }

#include "ops/row_words.h"
#include "ops/constants_f64.def"

#define WORD1(name)                                                                                \
    READING Ir read_##name(IrBuilder *ir, Ir x)                                                     \
    {                                                                                              \
        return ir_##name(ir, x);                                                                    \
    }
#define WORD2(name)                                                                                \
    READING Ir read_##name(IrBuilder *ir, Ir x, Ir y)                                               \
    {                                                                                              \
        return ir_##name(ir, x, y);                                                                 \
    }
#define WORD3(name)                                                                                \
    READING Ir read_##name(IrBuilder *ir, Ir x, Ir y, Ir z)                                         \
    {                                                                                              \
        return ir_##name(ir, x, y, z);                                                              \
    }
IR_WORDS1(WORD1)
IR_WORDS2(WORD2)
IR_WORDS3(WORD3)

#ifdef SPLIT_WORDS
WORD2(scale_floor)
WORD2(log_edges)

/* rounded once, as the two factors are: the first product is exact */
READING Ir
read_scale_shifted(IrBuilder *ir, Ir x, Ir y)
{
    return ir_scale_floor(ir, x, SUB(y, K(ROUND_SHIFT_TWICE)));
}

READING Pair
read_split(IrBuilder *ir, Ir x)
{
    Pair pair;
    ir_split(ir, x, &pair.first, &pair.second);
    return pair;
}

#define SPLIT_BELOW(name, bits)                                                                    \
    READING Pair read_##name(IrBuilder *ir, Ir x)                                                   \
    {                                                                                              \
        Pair pair;                                                                                 \
        ir_split_below(ir, x, bits + (UINT64_C(1) << MANTISSA_BITS), &pair.first, &pair.second);    \
        return pair;                                                                               \
    }
SPLIT_BELOW(log_split, SQRT_HALF_BITS)
SPLIT_BELOW(log_split_table, TABLE_START_BITS)
#endif

#include "ops/functions.def"

/* ---- rows ---- */

READING Ir
read_xlog1py(IrBuilder *ir, Ir x, Ir y)
{
    const Ir zero = AND(EQ(x, K(0)), NOT(ISNAN(y)));
    return SELECT(zero, K(0), MUL(x, LOG1P(y)));
}

/* Words that stay calls of their kernels. A power's kernel looks at its exponents. */
READING Ir
no_reading(IrBuilder *ir)
{
    ir->unsupported = true;
    return 0;
}
#undef POW
#define POW(x, y) no_reading(ir)
#define NO_WORD(...) no_reading(ir)
#define read_floor_divide NO_WORD
#define read_remainder NO_WORD
#define read_fmod NO_WORD
#define read_nextafter NO_WORD
#define read_ldexp NO_WORD
#define read_frexp_mantissa NO_WORD
#define read_frexp_exponent NO_WORD
#define read_make_complex NO_WORD
#define read_erfinv NO_WORD
#define read_gamma NO_WORD
#define read_lgamma NO_WORD
#define read_digamma NO_WORD
#define read_polygamma NO_WORD
#define read_sinc_derivative NO_WORD
#define read_i0 NO_WORD
#define read_i1 NO_WORD
#define read_bessel_i NO_WORD

#define IF_CLASS_ALL(...) __VA_ARGS__
#define IF_CLASS_NUMBER(...) __VA_ARGS__
#define IF_CLASS_REAL(...) __VA_ARGS__
#define IF_CLASS_REALNUM(...) __VA_ARGS__
#define IF_CLASS_INEXACT(...) __VA_ARGS__
#define IF_CLASS_FLOAT(...) __VA_ARGS__
#define IF_CLASS_INTEGER(...)
#define IF_CLASS_BITS(...)
#define IF_CLASS_SPECIAL(...)

/* Functions whose line is right up to a limit: beyond, the block goes another way. */
static void
guard(IrBuilder *ir, Ir x, double limit)
{
    ir->unsupported = ir->unsupported || !ir->may_guard;
    ir->guarded = true;
    ir_node(ir, IR_GUARD, 0, ir_gt(ir, ir_abs(ir, x), ir_constant(ir, limit)), 0, 0, 0);
}

static void
guard_row(IrBuilder *ir, OpCode op, Ir x)
{
    switch (op) {
#define TAIL(name, limit_f64, limit_f32)                                                           \
    case OP_##name:                                                                                \
        guard(ir, x, limit_f64);                                                                    \
        break;
#include "ops/tails.def"
#undef TAIL
    default:
        break;
    }
}

#define ROW(name, names, forward)                                                                  \
    static Ir row_##name(IrBuilder *ir, const Ir *in)                                               \
    {                                                                                              \
        names;                                                                                     \
        guard_row(ir, OP_##name, x);                                                                \
        return forward;                                                                            \
    }
#define IN1 const Ir x = in[0]
#define IN2 const Ir x = in[0], y = in[1]; (void)y
#define IN3 const Ir x = in[0], y = in[1], z = in[2]
#define ROW1(name, cls, rule, forward, dx, flags, doc) IF_##cls(ROW(name, IN1, forward))
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc) IF_##cls(ROW(name, IN2, forward))
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc) IF_##cls(ROW(name, IN3, forward))
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3

#define TABLE_(isa) ir_rows_##isa
#define TABLE_OF(isa) TABLE_(isa)
#define ENTRY(name) [OP_##name] = row_##name,
const IrRow TABLE_OF(KT)[OP_ELEMENTWISE_COUNT] = {
#define ROW1(name, cls, rule, forward, dx, flags, doc) IF_##cls(ENTRY(name))
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc) IF_##cls(ENTRY(name))
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc) IF_##cls(ENTRY(name))
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3
};
