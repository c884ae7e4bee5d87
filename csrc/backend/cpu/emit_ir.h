/* backend/cpu/emit_ir.h -- one segment of a program as a list of operations on one vector.
 *
 * The native executor's form of instructions (see emit.h): a node is one operation on a whole
 * vector of doubles, on words of 64 bits in the same registers, or on masks; its inputs are
 * earlier nodes. There is no control flow. Nodes are made by the functions of this file, which
 * fold what costs nothing (negations into multiply-add), and by emit_read.c, the reading of
 * ops.def and functions.def. */
#ifndef PYARR_BACKEND_CPU_EMIT_IR_H
#define PYARR_BACKEND_CPU_EMIT_IR_H

#include "base/vec.h"
#include "ops/ops.h"

/* An operation: how many inputs. Where one instruction does it, emit_lower.c has its opcode. */
typedef enum IrOp {
    IR_NONE,
    /* values from outside: a literal, a uniform register's cell, a vector or bytes in memory */
    IR_CONSTANT,
    IR_UNIFORM,
    IR_LOAD,
    IR_LOAD_BYTES, /* of bools, as a mask */
    /* arithmetic */
    IR_ADD,
    IR_SUB,
    IR_MUL,
    IR_DIV,
    IR_GREATER, /* x if x > y, else y: also for NaN and zeros */
    IR_LESSER,  /* x if x < y, else y */
    IR_SQRT,
    IR_FMA,   /* imm: IR_MINUS_PRODUCT, IR_MINUS_ADDEND */
    IR_ROUND, /* imm: how, as the instruction has it */
    /* words, and bits of values */
    IR_AND,
    IR_ANDNOT, /* not a, and b */
    IR_OR,
    IR_XOR,
    IR_WORD_ADD,
    IR_WORD_SUB,
    IR_WORD_GREATER, /* signed; a mask of AVX2 */
    IR_SHIFT_LEFT,   /* imm: by how much */
    IR_SHIFT_RIGHT,
    IR_TABLE,    /* word: where the sixteen words are in the pool; in[0]: index modulo 16 */
    IR_FROM_I64, /* words to values (AVX-512) */
    /* lanes in another order */
    IR_UNPACK_LOW,  /* of each two: x0 y0 */
    IR_UNPACK_HIGH, /* x1 y1 */
    IR_PERMUTE,     /* imm: two bits for each lane (AVX2) */
    IR_HALVES,      /* imm: which halves of x and y (AVX2) */
    IR_PICK,        /* imm: IrOrder, of the lanes of x and then y (AVX-512) */
    /* AVX-512's own */
    IR_EXPONENT,
    IR_MANTISSA,
    IR_SCALE,
    IR_MERGE_ADD, /* in: x, y, mask; x + y where set, x elsewhere */
    IR_MERGE_MUL,
    IR_PICK_BITS, /* in: x, y, bits; those of y where set, of x elsewhere */
    IR_FIX,  /* in: result, value, table of classes */
    IR_MASK_OF_WORD, /* which words are not zero */
    IR_SIGNS,        /* which sign bits are set */
    IR_MASK_AND,
    IR_MASK_OR,
    IR_MASK_XOR,
    IR_MASK_NOT,
    /* masks of values; AVX2 has them as words of ones and zeros in vectors */
    IR_COMPARE, /* imm: which, as the instruction has it */
    IR_SELECT,  /* in: mask, value where set, value elsewhere */
    /* effects */
    IR_STORE,       /* in[0] to where `word` says */
    IR_STORE_BYTES, /* a mask as bools */
    IR_SUM,         /* in[0] added to accumulator `word` */
    IR_GUARD,       /* give up when a lane of mask in[0] is set */
    IR_FETCH,       /* into the second cache from where `word` says */
    IR_OP_COUNT
} IrOp;

typedef enum IrOrder { IR_EVENS, IR_ODDS, IR_ZIP_LOW, IR_ZIP_HIGH, IR_ORDERS } IrOrder;
enum { IR_MINUS_PRODUCT = 1, IR_MINUS_ADDEND = 2 };
enum { IR_CEILING = 10, IR_FLOORING = 9, IR_TRUNCATING = 11, IR_ROUNDING = 4 };
enum {
    IR_EQ_OQ = 0x00,
    IR_LT_OQ = 0x11,
    IR_LE_OQ = 0x12,
    IR_UNORDERED = 0x03,
    IR_NE_UQ = 0x04,
    IR_ORDERED = 0x07,
    IR_GE_OQ = 0x1d,
    IR_GT_OQ = 0x1e,
};

/* The number of a node: 0 is none, and what a builder gives that has failed. */
typedef int32_t Ir;

typedef struct IrNode {
    uint8_t op;
    uint8_t imm;
    bool mask;     /* the result is a mask register's (AVX-512) */
    Ir in[3];
    uint64_t word; /* of constants: their bits; of loads, stores, sums, uniforms: which */
} IrNode;

typedef struct IrBuilder {
    VEC(IrNode) nodes;
    bool wide;        /* AVX-512, else AVX2 */
    bool failed;      /* no memory, or: */
    bool unsupported; /* some operation has no lowering */
    bool may_guard;   /* guards are allowed */
    bool guarded;     /* some are there */
    uint64_t tables[16][16];
    int ntables;
    Ir known[4096]; /* nodes by hash, so that equal ones are one; 0 where there is none */
} IrBuilder;

/* Forget all nodes, for the next segment. */
void ir_clear(IrBuilder *b);
/* A node of an operation, or the equal one that is there; 0 where the builder failed. */
Ir ir_node(IrBuilder *b, IrOp op, int imm, Ir x, Ir y, Ir z, uint64_t word);
Ir ir_constant(IrBuilder *b, double value);
Ir ir_word(IrBuilder *b, uint64_t word);
/* The value of operation `op` on inputs, by the reading of ops.def; 0 and `unsupported` where
 * there is none. */
Ir ir_row(IrBuilder *b, OpCode op, const Ir *in);

typedef Ir (*IrRow)(IrBuilder *b, const Ir *in);
extern const IrRow ir_rows_v3[OP_ELEMENTWISE_COUNT], ir_rows_v4[OP_ELEMENTWISE_COUNT];

/* The words of vocabulary.h and row_words.h on nodes. */
#define IR_WORDS1(X)                                                                               \
    X(neg) X(abs) X(sqrt) X(square) X(reciprocal) X(rint) X(floor) X(ceil) X(trunc) X(sign)        \
    X(isnan) X(isinf) X(isfinite) X(signbit) X(not) X(bits) X(floatbits) X(positive) X(fabs)       \
    X(degrees) X(rad2deg) X(radians) X(deg2rad) X(modf_integer) X(modf_fraction) X(conjugate)      \
    X(real) X(imag) X(angle) X(abs2) X(spacing)
#define IR_WORDS2(X)                                                                               \
    X(add) X(sub) X(mul) X(div) X(copysign) X(maximum) X(minimum) X(fmax) X(fmin) X(heaviside)     \
    X(lt) X(le) X(gt) X(ge) X(eq) X(ne) X(and) X(or) X(xor) X(iadd) X(isub) X(iand) X(ior)         \
    X(ixor) X(ishl) X(ishr) X(mul0)
#define IR_WORDS3(X) X(fma) X(fma_exact) X(select) X(clip) X(share)

#define IR_DECLARE1(name) Ir ir_##name(IrBuilder *b, Ir x);
#define IR_DECLARE2(name) Ir ir_##name(IrBuilder *b, Ir x, Ir y);
#define IR_DECLARE3(name) Ir ir_##name(IrBuilder *b, Ir x, Ir y, Ir z);
IR_WORDS1(IR_DECLARE1)
IR_WORDS2(IR_DECLARE2)
IR_WORDS3(IR_DECLARE3)
#undef IR_DECLARE1
#undef IR_DECLARE2
#undef IR_DECLARE3

/* Lanes of two vectors: the even, the odd ones; or those of both in turns, the first, the last. */
Ir ir_reorder(IrBuilder *b, IrOrder order, Ir x, Ir y);

/* Entry i modulo 16 of sixteen values. */
Ir ir_table16(IrBuilder *b, const double *values, Ir i);

/* AVX-512's own words; see ops/read_avx512.h, of which these are the reading on nodes. */
Ir ir_scale_floor(IrBuilder *b, Ir x, Ir y);
Ir ir_log_edges(IrBuilder *b, Ir x, Ir y);
void ir_split(IrBuilder *b, Ir x, Ir *mantissa, Ir *exponent);
void ir_split_below(IrBuilder *b, Ir x, uint64_t limit, Ir *mantissa, Ir *exponent);

#endif
