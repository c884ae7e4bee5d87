/* backend/cpu/native_select.c -- which instructions can be emitted, and what they are as nodes:
 * those on float64 that ops.def's reading knows, logic on bool, casts and choices of both, and
 * complex numbers from parts and back. */
#include "backend/cpu/native.h"

#include <pthread.h>
#include <stddef.h>

enum { ROW_NONE, ROW_PLAIN, ROW_GUARDED };

/* By instruction set (0: AVX2) and row. */
static uint8_t rows[2][OP_ELEMENTWISE_COUNT];
static uint16_t row_nodes[2][OP_ELEMENTWISE_COUNT]; /* that a row takes */
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

/* Each row is read once, to see whether it has a reading. */
static void
find_rows(void)
{
    for (int wide = 0; wide < 2; wide++) {
        for (int op = 0; op < OP_ELEMENTWISE_COUNT; op++) {
            IrBuilder b = {.wide = wide == 1, .may_guard = true};
            Ir in[3];
            for (int i = 0; i < 3; i++) {
                in[i] = ir_node(&b, IR_LOAD, 0, 0, 0, 0, (uint64_t)i);
            }
            (void)ir_row(&b, (OpCode)op, in);
            rows[wide][op] = b.failed || b.unsupported ? ROW_NONE
                             : b.guarded              ? ROW_GUARDED
                                                      : ROW_PLAIN;
            row_nodes[wide][op] = (uint16_t)(b.nodes.size - in[2]);
            vec_fini(&b.nodes);
        }
    }
}

typedef enum Logic { LOGIC_NONE, LOGIC_AND, LOGIC_OR, LOGIC_XOR, LOGIC_SAME, LOGIC_NOT } Logic;

static Logic
logic_of(OpCode op)
{
    switch (op) {
    case OP_multiply:
    case OP_logical_and:
    case OP_bitwise_and:
    case OP_minimum:
    case OP_fmin:
        return LOGIC_AND;
    case OP_add:
    case OP_logical_or:
    case OP_bitwise_or:
    case OP_maximum:
    case OP_fmax:
        return LOGIC_OR;
    case OP_bitwise_xor:
    case OP_logical_xor:
    case OP_not_equal:
        return LOGIC_XOR;
    case OP_equal:
        return LOGIC_SAME;
    case OP_invert:
    case OP_logical_not:
        return LOGIC_NOT;
    default:
        return LOGIC_NONE;
    }
}

static bool
supports_cast(DType from, DType to, bool wide)
{
    if (to == DT_f64) {
        return from == DT_bool || from == DT_f64 || (wide && from == DT_i64);
    }
    return to == DT_bool && (from == DT_bool || from == DT_f64);
}

bool
native_joins_parts(const Compiler *c, const Instruction *in)
{
    return in->op == OP_make_complex && in->out_dtype == DT_c128 &&
           c->dtypes[in->in[0]] == DT_f64 && c->dtypes[in->in[1]] == DT_f64;
}

bool
native_takes_part(const Compiler *c, const Instruction *in)
{
    return (in->op == OP_real || in->op == OP_imag) && in->out_dtype == DT_f64 &&
           c->dtypes[in->in[0]] == DT_c128;
}

bool
native_supports(const Compiler *c, const Instruction *in, bool wide)
{
    const DType first = (DType)c->dtypes[in->in[0]], out = (DType)in->out_dtype;
    if (native_joins_parts(c, in) || native_takes_part(c, in)) {
        return true;
    }
    if (in->op == OP_cast) {
        return supports_cast(first, out, wide);
    }
    if (in->op == OP_where) {
        return (out == DT_f64 || out == DT_bool) && first == DT_bool &&
               c->dtypes[in->in[1]] == out && c->dtypes[in->in[2]] == out;
    }
    for (int i = 0; i < in->nin; i++) {
        if (c->dtypes[in->in[i]] != in->loop) {
            return false;
        }
    }
    if (in->loop == DT_bool) {
        return out == DT_bool && logic_of((OpCode)in->op) != LOGIC_NONE;
    }
    if (in->loop != DT_f64 || (out != DT_f64 && out != DT_bool)) {
        return false;
    }
    if (pthread_once(&rows_once, find_rows) != 0) {
        return false;
    }
    const int row = rows[wide][in->op];
    return row == ROW_PLAIN || (row == ROW_GUARDED && !c->spec->in_place);
}

int
native_nodes(const Instruction *in, bool wide)
{
    const bool row = in->loop == DT_f64 && op_is_elementwise((OpCode)in->op) &&
                     in->op != OP_make_complex;
    return row && pthread_once(&rows_once, find_rows) == 0 ? row_nodes[wide][in->op] : 1;
}

static Ir
cast_value(IrBuilder *b, DType from, DType to, Ir x)
{
    if (from == to) {
        return x;
    }
    if (from == DT_bool) {
        return ir_select(b, x, ir_constant(b, 1), ir_constant(b, 0));
    }
    return from == DT_i64 ? ir_node(b, IR_FROM_I64, 0, x, 0, 0, 0)
                          : ir_ne(b, x, ir_constant(b, 0));
}

static Ir
logic_value(IrBuilder *b, Logic logic, Ir x, Ir y)
{
    switch (logic) {
    case LOGIC_AND:
        return ir_and(b, x, y);
    case LOGIC_OR:
        return ir_or(b, x, y);
    case LOGIC_XOR:
        return ir_xor(b, x, y);
    case LOGIC_SAME:
        return ir_not(b, ir_xor(b, x, y));
    default:
        return ir_not(b, x);
    }
}

Ir
native_value(IrBuilder *b, const Compiler *c, const Instruction *in, const Ir *inputs)
{
    if (in->op == OP_cast) {
        return cast_value(b, (DType)c->dtypes[in->in[0]], (DType)in->out_dtype, inputs[0]);
    }
    if (in->op == OP_where && in->out_dtype == DT_bool) {
        return ir_or(b, ir_and(b, inputs[0], inputs[1]),
                     ir_and(b, ir_not(b, inputs[0]), inputs[2]));
    }
    if (in->op == OP_where) {
        return ir_select(b, inputs[0], inputs[1], inputs[2]);
    }
    if (in->loop == DT_bool) {
        return logic_value(b, logic_of((OpCode)in->op), inputs[0], inputs[1]);
    }
    return ir_row(b, (OpCode)in->op, inputs);
}
