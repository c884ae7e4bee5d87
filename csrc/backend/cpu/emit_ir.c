/* backend/cpu/emit_ir.c -- the words of the op table as nodes; see ops/read_c.h for each one's
 * meaning on scalars, which these keep to the bit. */
#include "backend/cpu/emit_ir.h"

#include <math.h>
#include <string.h>

static const uint64_t SIGN_BIT = UINT64_C(1) << 63;

static bool
gives_mask(IrOp op)
{
    switch (op) {
    case IR_LOAD_BYTES:
    case IR_MASK_OF_WORD:
    case IR_SIGNS:
    case IR_MASK_AND:
    case IR_MASK_OR:
    case IR_MASK_XOR:
    case IR_MASK_NOT:
    case IR_COMPARE:
        return true;
    default:
        return false;
    }
}

void
ir_clear(IrBuilder *b)
{
    vec_clear(&b->nodes);
    memset(b->known, 0, sizeof b->known);
    b->ntables = 0;
}

static bool
is_same(const IrNode *a, const IrNode *b)
{
    return a->op == b->op && a->imm == b->imm && a->in[0] == b->in[0] && a->in[1] == b->in[1] &&
           a->in[2] == b->in[2] && a->word == b->word;
}

static uint64_t
hash_of(const IrNode *n)
{
    uint64_t h = n->op | (uint64_t)n->imm << 8 | (uint64_t)(uint32_t)n->in[0] << 16;
    h ^= ((uint64_t)(uint32_t)n->in[1] << 20) + ((uint64_t)(uint32_t)n->in[2] << 40);
    h = (h ^ n->word ^ n->word >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return h >> 40;
}

/* Where the node is known, or will be: near its hash, as a lost one would be computed twice, and
 * all that follows from it. */
static Ir *
place_of(IrBuilder *b, const IrNode *node)
{
    enum { PLACES = sizeof b->known / sizeof b->known[0], PROBES = 32 };
    const uint64_t hash = hash_of(node);
    for (uint64_t k = 0; k < PROBES; k++) {
        Ir *const place = &b->known[(hash + k) % PLACES];
        if (*place == 0 || is_same(&b->nodes.data[*place], node)) {
            return place;
        }
    }
    return &b->known[hash % PLACES];
}

Ir
ir_node(IrBuilder *b, IrOp op, int imm, Ir x, Ir y, Ir z, uint64_t word)
{
    const IrNode node = {(uint8_t)op, (uint8_t)imm, b->wide && gives_mask(op), {x, y, z}, word};
    if (b->nodes.size == 0) {
        b->failed = vec_push(&b->nodes, (IrNode){0}) != STATUS_OK;
    }
    if (b->failed) {
        return 0;
    }
    Ir *const known = place_of(b, &node);
    if (op < IR_STORE && *known != 0 && is_same(&b->nodes.data[*known], &node)) {
        return *known;
    }
    if (vec_push(&b->nodes, node) != STATUS_OK) {
        b->failed = true;
        return 0;
    }
    return *known = (Ir)(b->nodes.size - 1);
}

static Ir
node1(IrBuilder *b, IrOp op, Ir x)
{
    return ir_node(b, op, 0, x, 0, 0, 0);
}

static Ir
node2(IrBuilder *b, IrOp op, Ir x, Ir y)
{
    return ir_node(b, op, 0, x, y, 0, 0);
}

Ir
ir_word(IrBuilder *b, uint64_t word)
{
    return ir_node(b, IR_CONSTANT, 0, 0, 0, 0, word);
}

Ir
ir_constant(IrBuilder *b, double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return ir_word(b, word);
}

Ir
ir_row(IrBuilder *b, OpCode op, const Ir *in)
{
    const IrRow row = b->wide ? ir_rows_v4[op] : ir_rows_v3[op];
    if (row == NULL) {
        b->unsupported = true;
        return 0;
    }
    return row(b, in);
}

/* x of -x, else 0 */
static Ir
negated(const IrBuilder *b, Ir x)
{
    if (b->failed) {
        return 0;
    }
    const IrNode *n = &b->nodes.data[x];
    const bool flips = n->op == IR_XOR && b->nodes.data[n->in[1]].op == IR_CONSTANT &&
                       b->nodes.data[n->in[1]].word == SIGN_BIT;
    return flips ? n->in[0] : 0;
}

/* ---- arithmetic ---- */

Ir
ir_neg(IrBuilder *b, Ir x)
{
    return node2(b, IR_XOR, x, ir_word(b, SIGN_BIT));
}

Ir
ir_abs(IrBuilder *b, Ir x)
{
    return node2(b, IR_AND, x, ir_word(b, ~SIGN_BIT));
}

Ir
ir_add(IrBuilder *b, Ir x, Ir y)
{
    const Ir minus = negated(b, y);
    return minus != 0 ? node2(b, IR_SUB, x, minus) : node2(b, IR_ADD, x, y);
}

Ir
ir_sub(IrBuilder *b, Ir x, Ir y)
{
    const Ir minus = negated(b, y);
    return minus != 0 ? node2(b, IR_ADD, x, minus) : node2(b, IR_SUB, x, y);
}

Ir
ir_mul(IrBuilder *b, Ir x, Ir y)
{
    return node2(b, IR_MUL, x, y);
}

Ir
ir_div(IrBuilder *b, Ir x, Ir y)
{
    return node2(b, IR_DIV, x, y);
}

Ir
ir_fma(IrBuilder *b, Ir x, Ir y, Ir z)
{
    int signs = 0;
    const Ir minus_x = negated(b, x), minus_y = negated(b, y), minus_z = negated(b, z);
    x = minus_x != 0 ? minus_x : x;
    y = minus_y != 0 ? minus_y : y;
    z = minus_z != 0 ? minus_z : z;
    signs ^= minus_x != 0 ? IR_MINUS_PRODUCT : 0;
    signs ^= minus_y != 0 ? IR_MINUS_PRODUCT : 0;
    signs ^= minus_z != 0 ? IR_MINUS_ADDEND : 0;
    return ir_node(b, IR_FMA, signs, x, y, z, 0);
}

Ir
ir_fma_exact(IrBuilder *b, Ir x, Ir y, Ir z)
{
    return ir_fma(b, x, y, z);
}

Ir
ir_sqrt(IrBuilder *b, Ir x)
{
    return node1(b, IR_SQRT, x);
}

Ir
ir_square(IrBuilder *b, Ir x)
{
    return ir_mul(b, x, x);
}

Ir
ir_abs2(IrBuilder *b, Ir x)
{
    return ir_mul(b, x, x);
}

Ir
ir_reciprocal(IrBuilder *b, Ir x)
{
    return ir_div(b, ir_constant(b, 1), x);
}

#define ROUNDING(name, how)                                                                        \
    Ir ir_##name(IrBuilder *b, Ir x)                                                               \
    {                                                                                              \
        return ir_node(b, IR_ROUND, how, x, 0, 0, 0);                                              \
    }
ROUNDING(rint, IR_ROUNDING)
ROUNDING(floor, IR_FLOORING)
ROUNDING(ceil, IR_CEILING)
ROUNDING(trunc, IR_TRUNCATING)
ROUNDING(modf_integer, IR_TRUNCATING)
#undef ROUNDING

#define IDENTITY(name)                                                                             \
    Ir ir_##name(IrBuilder *b, Ir x)                                                               \
    {                                                                                              \
        (void)b;                                                                                   \
        return x;                                                                                  \
    }
IDENTITY(positive)
IDENTITY(conjugate)
IDENTITY(real)
IDENTITY(bits)
IDENTITY(floatbits)
#undef IDENTITY

Ir
ir_fabs(IrBuilder *b, Ir x)
{
    return ir_abs(b, x);
}

Ir
ir_imag(IrBuilder *b, Ir x)
{
    (void)x;
    return ir_constant(b, 0);
}

#define SCALED(name, factor)                                                                       \
    Ir ir_##name(IrBuilder *b, Ir x)                                                               \
    {                                                                                              \
        return ir_mul(b, x, ir_constant(b, factor));                                               \
    }
SCALED(degrees, 57.29577951308232)
SCALED(rad2deg, 57.29577951308232)
SCALED(radians, 0.017453292519943295)
SCALED(deg2rad, 0.017453292519943295)
#undef SCALED

/* ---- words ---- */

#define WORDS(name, op)                                                                            \
    Ir ir_##name(IrBuilder *b, Ir x, Ir y)                                                         \
    {                                                                                              \
        return node2(b, op, x, y);                                                                 \
    }
WORDS(iadd, IR_WORD_ADD)
WORDS(isub, IR_WORD_SUB)
WORDS(iand, IR_AND)
WORDS(ior, IR_OR)
WORDS(ixor, IR_XOR)
#undef WORDS

static Ir
shift(IrBuilder *b, IrOp op, Ir x, Ir by)
{
    if (b->failed || b->nodes.data[by].op != IR_CONSTANT || b->nodes.data[by].word > 63) {
        b->unsupported = true;
        return 0;
    }
    return ir_node(b, op, (int)b->nodes.data[by].word, x, 0, 0, 0);
}

Ir
ir_ishl(IrBuilder *b, Ir x, Ir y)
{
    return shift(b, IR_SHIFT_LEFT, x, y);
}

Ir
ir_ishr(IrBuilder *b, Ir x, Ir y)
{
    return shift(b, IR_SHIFT_RIGHT, x, y);
}

Ir
ir_table16(IrBuilder *b, const double *values, Ir i)
{
    int t = 0;
    while (t < b->ntables && memcmp(b->tables[t], values, sizeof b->tables[t]) != 0) {
        t++;
    }
    if (t == (int)(sizeof b->tables / sizeof b->tables[0])) {
        b->unsupported = true;
        return 0;
    }
    if (t == b->ntables) {
        memcpy(b->tables[b->ntables++], values, sizeof b->tables[t]);
    }
    if (!b->wide) { /* byte offsets into the table */
        i = ir_node(b, IR_SHIFT_LEFT, 3, node2(b, IR_AND, i, ir_word(b, 15)), 0, 0, 0);
    }
    return ir_node(b, IR_TABLE, 0, i, 0, 0, (uint64_t)t);
}

/* ---- tests and masks ---- */

#define COMPARISON(name, how)                                                                      \
    Ir ir_##name(IrBuilder *b, Ir x, Ir y)                                                         \
    {                                                                                              \
        return ir_node(b, IR_COMPARE, how, x, y, 0, 0);                                            \
    }
COMPARISON(lt, IR_LT_OQ)
COMPARISON(le, IR_LE_OQ)
COMPARISON(gt, IR_GT_OQ)
COMPARISON(ge, IR_GE_OQ)
COMPARISON(eq, IR_EQ_OQ)
COMPARISON(ne, IR_NE_UQ)
#undef COMPARISON

Ir
ir_isnan(IrBuilder *b, Ir x)
{
    return ir_node(b, IR_COMPARE, IR_UNORDERED, x, x, 0, 0);
}

Ir
ir_isinf(IrBuilder *b, Ir x)
{
    return ir_eq(b, ir_abs(b, x), ir_constant(b, INFINITY));
}

Ir
ir_isfinite(IrBuilder *b, Ir x)
{
    return ir_lt(b, ir_abs(b, x), ir_constant(b, INFINITY));
}

Ir
ir_signbit(IrBuilder *b, Ir x)
{
    return b->wide ? node1(b, IR_SIGNS, x)
                   : node2(b, IR_WORD_GREATER, ir_word(b, 0), x);
}

Ir
ir_not(IrBuilder *b, Ir m)
{
    return b->wide ? node1(b, IR_MASK_NOT, m) : node2(b, IR_XOR, m, ir_word(b, UINT64_MAX));
}

Ir
ir_and(IrBuilder *b, Ir m, Ir n)
{
    return node2(b, b->wide ? IR_MASK_AND : IR_AND, m, n);
}

Ir
ir_or(IrBuilder *b, Ir m, Ir n)
{
    return node2(b, b->wide ? IR_MASK_OR : IR_OR, m, n);
}

Ir
ir_xor(IrBuilder *b, Ir m, Ir n)
{
    return node2(b, b->wide ? IR_MASK_XOR : IR_XOR, m, n);
}

/* The greater or lesser of two values, if it is that which the comparison chooses. */
static Ir
select_extreme(IrBuilder *b, const IrNode *m, Ir x, Ir y)
{
    if (m->op != IR_COMPARE || (m->imm != IR_LT_OQ && m->imm != IR_GT_OQ)) {
        return 0;
    }
    const bool same = m->in[0] == x && m->in[1] == y, turned = m->in[0] == y && m->in[1] == x;
    if (!same && !turned) {
        return 0;
    }
    return node2(b, (m->imm == IR_GT_OQ) == same ? IR_GREATER : IR_LESSER, x, y);
}

Ir
ir_select(IrBuilder *b, Ir m, Ir x, Ir y)
{
    if (!b->failed) {
        const IrNode mask = b->nodes.data[m];
        const Ir extreme = select_extreme(b, &mask, x, y);
        if (extreme != 0) {
            return extreme;
        }
    }
    return ir_node(b, IR_SELECT, 0, m, x, y, 0);
}

/* ---- rows made of other words ---- */

Ir
ir_copysign(IrBuilder *b, Ir x, Ir y)
{
    const Ir sign = ir_word(b, SIGN_BIT);
    if (b->wide) {
        return ir_node(b, IR_PICK_BITS, 0, x, y, sign, 0);
    }
    return node2(b, IR_OR, ir_abs(b, x), node2(b, IR_AND, y, sign));
}

Ir
ir_maximum(IrBuilder *b, Ir x, Ir y)
{
    return ir_select(b, ir_or(b, ir_ge(b, x, y), ir_isnan(b, x)), x, y);
}

Ir
ir_minimum(IrBuilder *b, Ir x, Ir y)
{
    return ir_select(b, ir_or(b, ir_le(b, x, y), ir_isnan(b, x)), x, y);
}

Ir
ir_fmax(IrBuilder *b, Ir x, Ir y)
{
    return ir_select(b, ir_or(b, ir_ge(b, x, y), ir_isnan(b, y)), x, y);
}

Ir
ir_fmin(IrBuilder *b, Ir x, Ir y)
{
    return ir_select(b, ir_or(b, ir_le(b, x, y), ir_isnan(b, y)), x, y);
}

Ir
ir_sign(IrBuilder *b, Ir x)
{
    const Ir zero = ir_constant(b, 0);
    const Ir s = ir_select(b, ir_gt(b, x, zero), ir_constant(b, 1), zero);
    const Ir t = ir_select(b, ir_lt(b, x, zero), ir_constant(b, -1), s);
    return ir_select(b, ir_isnan(b, x), x, t);
}

Ir
ir_heaviside(IrBuilder *b, Ir x, Ir y)
{
    const Ir zero = ir_constant(b, 0);
    const Ir h = ir_select(b, ir_lt(b, x, zero), zero, ir_constant(b, 1));
    const Ir t = ir_select(b, ir_eq(b, x, zero), y, h);
    return ir_select(b, ir_isnan(b, x), x, t);
}

Ir
ir_clip(IrBuilder *b, Ir x, Ir y, Ir z)
{
    const Ir raised = ir_select(b, ir_lt(b, x, y), y, x);
    const Ir lowered = ir_select(b, ir_lt(b, z, raised), z, raised);
    const Ir low = ir_select(b, ir_isnan(b, y), y, lowered);
    return ir_select(b, ir_isnan(b, z), z, low);
}

Ir
ir_share(IrBuilder *b, Ir x, Ir y, Ir z)
{
    const Ir half = ir_mul(b, ir_constant(b, 0.5), z);
    const Ir tied = ir_select(b, ir_eq(b, x, y), half, z);
    return ir_select(b, ir_lt(b, x, y), ir_constant(b, 0), tied);
}

Ir
ir_mul0(IrBuilder *b, Ir x, Ir y)
{
    const Ir zero = ir_constant(b, 0);
    return ir_select(b, ir_eq(b, x, zero), zero, ir_mul(b, x, y));
}

Ir
ir_modf_fraction(IrBuilder *b, Ir x)
{
    const Ir rest = ir_sub(b, x, ir_trunc(b, x));
    return ir_copysign(b, ir_select(b, ir_isinf(b, x), ir_constant(b, 0), rest), x);
}

Ir
ir_angle(IrBuilder *b, Ir x)
{
    const Ir turned =
        ir_select(b, ir_signbit(b, x), ir_constant(b, 3.141592653589793), ir_constant(b, 0));
    return ir_select(b, ir_isnan(b, x), x, turned);
}

Ir
ir_spacing(IrBuilder *b, Ir x)
{
    const Ir size = ir_abs(b, x);
    const Ir next = ir_iadd(b, size, ir_word(b, 1));
    return ir_copysign(b, ir_sub(b, next, size), ir_add(b, x, ir_constant(b, 0)));
}

/* ---- AVX-512's own ---- */

Ir
ir_scale_floor(IrBuilder *b, Ir x, Ir y)
{
    return node2(b, IR_SCALE, x, y);
}

Ir
ir_log_edges(IrBuilder *b, Ir x, Ir y)
{
    return ir_node(b, IR_FIX, 0, y, x, ir_word(b, 0x03530422), 0);
}

void
ir_split(IrBuilder *b, Ir x, Ir *mantissa, Ir *exponent)
{
    *mantissa = node1(b, IR_MANTISSA, x);
    *exponent = node1(b, IR_EXPONENT, x);
}

void
ir_split_below(IrBuilder *b, Ir x, uint64_t limit, Ir *mantissa, Ir *exponent)
{
    Ir m, e;
    ir_split(b, x, &m, &e);
    const Ir large = ir_ge(b, m, ir_word(b, limit));
    *mantissa = ir_node(b, IR_MERGE_MUL, 0, m, ir_constant(b, 0.5), large, 0);
    *exponent = ir_node(b, IR_MERGE_ADD, 0, e, ir_constant(b, 1), large, 0);
}

/* ---- lanes ---- */

Ir
ir_reorder(IrBuilder *b, IrOrder order, Ir x, Ir y)
{
    enum { OUTER_IN_ORDER = 0xd8, LOW_HALVES = 0x20, HIGH_HALVES = 0x31 };
    if (b->wide) {
        return ir_node(b, IR_PICK, (int)order, x, y, 0, 0);
    }
    if (order == IR_EVENS || order == IR_ODDS) {
        const Ir pairs = node2(b, order == IR_EVENS ? IR_UNPACK_LOW : IR_UNPACK_HIGH, x, y);
        return ir_node(b, IR_PERMUTE, OUTER_IN_ORDER, pairs, 0, 0, 0);
    }
    const Ir low = node2(b, IR_UNPACK_LOW, x, y), high = node2(b, IR_UNPACK_HIGH, x, y);
    return ir_node(b, IR_HALVES, order == IR_ZIP_LOW ? LOW_HALVES : HIGH_HALVES, low, high, 0, 0);
}
