/* backend/cpu/emit_nodes.c -- the instructions that do each kind of node. */
#include "backend/cpu/emit_lower.h"

#include "backend/cpu/block.h"

static const Masking no_mask = {0, false};

static const Opcode opcodes[IR_OP_COUNT] = {
    [IR_ADD] = {MAP_0F, PP_66, 1, 0x58},
    [IR_SUB] = {MAP_0F, PP_66, 1, 0x5c},
    [IR_MUL] = {MAP_0F, PP_66, 1, 0x59},
    [IR_DIV] = {MAP_0F, PP_66, 1, 0x5e},
    [IR_GREATER] = {MAP_0F, PP_66, 1, 0x5f},
    [IR_LESSER] = {MAP_0F, PP_66, 1, 0x5d},
    [IR_SQRT] = {MAP_0F, PP_66, 1, 0x51},
    [IR_ROUND] = {MAP_0F3A, PP_66, 1, 0x09},
    [IR_AND] = {MAP_0F, PP_66, 1, 0x54},
    [IR_ANDNOT] = {MAP_0F, PP_66, 1, 0x55},
    [IR_OR] = {MAP_0F, PP_66, 1, 0x56},
    [IR_XOR] = {MAP_0F, PP_66, 1, 0x57},
    [IR_WORD_ADD] = {MAP_0F, PP_66, 1, 0xd4},
    [IR_WORD_SUB] = {MAP_0F, PP_66, 1, 0xfb},
    [IR_WORD_GREATER] = {MAP_0F38, PP_66, 1, 0x37},
    [IR_SHIFT_LEFT] = {MAP_0F, PP_66, 1, 0x73},
    [IR_SHIFT_RIGHT] = {MAP_0F, PP_66, 1, 0x73},
    [IR_UNPACK_LOW] = {MAP_0F, PP_66, 1, 0x14},
    [IR_UNPACK_HIGH] = {MAP_0F, PP_66, 1, 0x15},
    [IR_PERMUTE] = {MAP_0F3A, PP_66, 1, 0x01},
    [IR_HALVES] = {MAP_0F3A, PP_66, 0, 0x06},
    [IR_FROM_I64] = {MAP_0F, PP_F3, 1, 0xe6},
    [IR_EXPONENT] = {MAP_0F38, PP_66, 1, 0x42},
    [IR_MANTISSA] = {MAP_0F3A, PP_66, 1, 0x26},
    [IR_MERGE_ADD] = {MAP_0F, PP_66, 1, 0x58},
    [IR_MERGE_MUL] = {MAP_0F, PP_66, 1, 0x59},
    [IR_PICK_BITS] = {MAP_0F3A, PP_66, 1, 0x25},
    [IR_SCALE] = {MAP_0F38, PP_66, 1, 0x2c},
    [IR_FIX] = {MAP_0F3A, PP_66, 1, 0x54},
    [IR_MASK_OF_WORD] = {MAP_0F38, PP_66, 1, 0x27},
    [IR_SIGNS] = {MAP_0F38, PP_F3, 1, 0x39},
    [IR_MASK_AND] = {MAP_0F, PP_66, 0, 0x41},
    [IR_MASK_OR] = {MAP_0F, PP_66, 0, 0x45},
    [IR_MASK_XOR] = {MAP_0F, PP_66, 0, 0x47},
    [IR_MASK_NOT] = {MAP_0F, PP_66, 0, 0x44},
    [IR_COMPARE] = {MAP_0F, PP_66, 1, 0xc2},
};
static const Opcode vblendmpd = {MAP_0F38, PP_66, 1, 0x65};
static const Opcode vblendvpd = {MAP_0F3A, PP_66, 0, 0x4b};
static const Opcode vpmovzxbq_wide = {MAP_0F38, PP_66, 0, 0x32};
static const Opcode vpermi2pd = {MAP_0F38, PP_66, 1, 0x77};
static const Opcode vpcmpeqq = {MAP_0F38, PP_66, 0, 0x29};
static const Opcode vpcmpgtq = {MAP_0F38, PP_66, 0, 0x37};
static const Opcode vtestpd = {MAP_0F38, PP_66, 0, 0x0f};
static const Opcode vmovmskpd = {MAP_0F, PP_66, 0, 0x50};
static const Opcode pdep = {MAP_0F38, PP_F2, 1, 0xf5};
static const Opcode kortestb = {MAP_0F, PP_66, 0, 0x98};

/* ---- nodes of one instruction ---- */

static void
lower_unary(Lower *l, Ir n, int imm)
{
    const IrNode *node = &l->alloc.nodes[n];
    const Rm x = alloc_want_rm(&l->alloc, node->in[0]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[node->op], alloc_vector(&l->alloc, n), 0, x, no_mask, imm);
}

static bool
commutes(IrOp op)
{
    switch (op) {
    case IR_ADD:
    case IR_MUL:
    case IR_AND:
    case IR_OR:
    case IR_XOR:
    case IR_WORD_ADD:
        return true;
    default:
        return false;
    }
}

static void
lower_binary(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    Ir x = node->in[0], y = node->in[1];
    if (commutes((IrOp)node->op) && alloc_is_memory(&l->alloc, x) &&
        !alloc_is_memory(&l->alloc, y)) {
        x = node->in[1];
        y = node->in[0];
    }
    const int first = alloc_want(&l->alloc, x);
    const Rm second = alloc_want_rm(&l->alloc, y);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[node->op], alloc_vector(&l->alloc, n), first, second, no_mask,
               node->op == IR_HALVES ? node->imm : -1);
}

/* dst = x shifted: the opcode's kind stands where other instructions have a register */
static void
lower_shift(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int extension = node->op == IR_SHIFT_LEFT ? 6 : 2;
    const int x = alloc_want(&l->alloc, node->in[0]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[node->op], extension, alloc_vector(&l->alloc, n), rm_register(x),
               no_mask, node->imm);
}

static int
swapped(int comparison)
{
    switch (comparison) {
    case IR_LT_OQ:
        return IR_GT_OQ;
    case IR_LE_OQ:
        return IR_GE_OQ;
    case IR_GT_OQ:
        return IR_LT_OQ;
    case IR_GE_OQ:
        return IR_LE_OQ;
    default:
        return comparison;
    }
}

static void
lower_compare(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const bool swap = alloc_is_memory(&l->alloc, node->in[0]) &&
                      !alloc_is_memory(&l->alloc, node->in[1]);
    const int first = alloc_want(&l->alloc, node->in[swap]);
    const Rm second = alloc_want_rm(&l->alloc, node->in[!swap]);
    alloc_consume(&l->alloc, n);
    const int dst = l->wide ? alloc_mask(&l->alloc, n) : alloc_vector(&l->alloc, n);
    asm_vector(l->code, opcodes[IR_COMPARE], dst, first, second, no_mask,
               swap ? swapped(node->imm) : node->imm);
}

static void
lower_select(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const Ir y = node->in[2];
    const int mask = alloc_want(&l->alloc, node->in[0]);
    if (!l->wide) {
        const int other = alloc_want(&l->alloc, y);
        const Rm x = alloc_want_rm(&l->alloc, node->in[1]);
        alloc_consume(&l->alloc, n);
        asm_vector(l->code, vblendvpd, alloc_vector(&l->alloc, n), other, x, no_mask, mask << 4);
        return;
    }
    const bool zero = l->alloc.nodes[y].op == IR_CONSTANT && l->alloc.nodes[y].word == 0;
    const int other = zero ? 0 : alloc_want(&l->alloc, y);
    const Rm x = alloc_want_rm(&l->alloc, node->in[1]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, vblendmpd, alloc_vector(&l->alloc, n), other, x,
               (Masking){(uint8_t)mask, zero}, -1);
}

static void
lower_mask_logic(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int x = alloc_want(&l->alloc, node->in[0]);
    const int y = node->in[1] == 0 ? 0 : alloc_want(&l->alloc, node->in[1]);
    const bool one = node->op == IR_MASK_NOT;
    alloc_consume(&l->alloc, n);
    asm_vex(l->code, opcodes[node->op], one ? 0 : 1, alloc_mask(&l->alloc, n), one ? 0 : x,
            rm_register(one ? x : y), -1);
}

/* The mask of words: that are not zero, or by their signs. */
static void
lower_mask_of(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int x = alloc_want(&l->alloc, node->in[0]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[node->op], alloc_mask(&l->alloc, n),
               node->op == IR_SIGNS ? 0 : x, rm_register(x), no_mask, -1);
}

/* ---- nodes that overwrite an input ---- */

/* Is the input's register free after this node? */
static bool
dies(const Lower *l, Ir n, int i)
{
    const IrNode *node = &l->alloc.nodes[n];
    const NodeState *user = &l->alloc.states[n];
    int times = 0;
    for (int k = 0; k < 3; k++) {
        times += node->in[k] == node->in[i];
    }
    return times == 1 && user->next_use[i] == ALLOC_NEVER &&
           l->alloc.states[node->in[i]].reg != ALLOC_NONE;
}

/* Which input a multiply-add overwrites: one that is not needed any more, else one that has to
 * be loaded anyway, else it is copied. */
static int
overwritten(const Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    for (int i = 2; i >= 0; i--) {
        if (dies(l, n, i)) {
            return i;
        }
    }
    for (int i = 0; i < 3; i++) {
        if (alloc_is_memory(&l->alloc, node->in[i])) {
            return i;
        }
    }
    return 2;
}

/* The register that holds input i, or a copy of it, and will hold the node. */
static int
take_over(Lower *l, Ir n, int i)
{
    const Ir x = l->alloc.nodes[n].in[i];
    if (dies(l, n, i)) {
        return alloc_want(&l->alloc, x);
    }
    if (l->alloc.states[x].reg != ALLOC_NONE) {
        (void)alloc_want(&l->alloc, x); /* must not make room for its copy */
    }
    const int reg = alloc_vector(&l->alloc, 0);
    alloc_load(&l->alloc, reg, x);
    return reg;
}

static void
lower_fma(Lower *l, Ir n)
{
    /* last digits: the product of which operands of the instruction, added to which */
    enum { FORM_132 = 0x98, FORM_213 = 0xa8, FORM_231 = 0xb8 };
    const IrNode *node = &l->alloc.nodes[n];
    const int over = overwritten(l, n);
    int second = over == 0 ? 1 : 0, third = over == 2 ? 1 : 2;
    if (alloc_is_memory(&l->alloc, node->in[second]) &&
        !alloc_is_memory(&l->alloc, node->in[third])) {
        const int other = second;
        second = third;
        third = other;
    }
    /* registers in use must be known before one is chosen for a copy */
    if (alloc_in_register(&l->alloc, node->in[third])) {
        (void)alloc_want(&l->alloc, node->in[third]);
    }
    const int first = alloc_want(&l->alloc, node->in[second]);
    const int dst = take_over(l, n, over);
    const Rm rm = alloc_want_rm(&l->alloc, node->in[third]);
    const int form = over == 2 ? FORM_231 : third == 2 ? FORM_213 : FORM_132;
    const int sign = (node->imm & IR_MINUS_PRODUCT ? 4 : 0) | (node->imm & IR_MINUS_ADDEND ? 2 : 0);
    const Opcode op = {MAP_0F38, PP_66, 1, (uint8_t)(form + sign)};
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, op, dst, first, rm, no_mask, -1);
    alloc_place(&l->alloc, n, dst);
}

static void
lower_fix(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int first = alloc_want(&l->alloc, node->in[1]);
    const int dst = take_over(l, n, 0);
    const Rm classes = alloc_want_rm(&l->alloc, node->in[2]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[IR_FIX], dst, first, classes, no_mask, 0);
    alloc_place(&l->alloc, n, dst);
}

/* vpternlogq: the byte is the truth table of the three operands' bits */
static void
lower_pick_bits(Lower *l, Ir n)
{
    enum { THIRD_CHOOSES_SECOND = 0xd8 };
    const IrNode *node = &l->alloc.nodes[n];
    const int second = alloc_want(&l->alloc, node->in[1]);
    const int dst = take_over(l, n, 0);
    const Rm bits = alloc_want_rm(&l->alloc, node->in[2]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[IR_PICK_BITS], dst, second, bits, no_mask, THIRD_CHOOSES_SECOND);
    alloc_place(&l->alloc, n, dst);
}

static void
lower_merge(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int mask = alloc_want(&l->alloc, node->in[2]);
    const int dst = take_over(l, n, 0);
    const Rm second = alloc_want_rm(&l->alloc, node->in[1]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, opcodes[node->op], dst, dst, second, (Masking){(uint8_t)mask, false}, -1);
    alloc_place(&l->alloc, n, dst);
}

static void
lower_table(Lower *l, Ir n)
{
    enum { TABLE_BYTES = 128, HALF = 64 };
    const IrNode *node = &l->alloc.nodes[n];
    Rm half = {.kind = RM_POOL, .offset = l->alloc.table + (int32_t)node->word * TABLE_BYTES};
    if (l->wide) {
        const int dst = take_over(l, n, 0);
        const int low = alloc_vector(&l->alloc, 0);
        asm_vector(l->code, asm_vmovupd_load, low, 0, half, no_mask, -1);
        half.offset += HALF;
        alloc_consume(&l->alloc, n);
        asm_vector(l->code, vpermi2pd, dst, low, half, no_mask, -1);
        alloc_place(&l->alloc, n, dst);
        return;
    }
    const int index = alloc_want(&l->alloc, node->in[0]);
    const int all = alloc_vector(&l->alloc, 0), dst = alloc_vector(&l->alloc, 0);
    asm_vector(l->code, vpcmpeqq, all, all, rm_register(all), no_mask, -1);
    asm_pool_address(l->code, ALLOC_POINTER, half.offset);
    asm_gather(l->code, dst, index, all, ALLOC_POINTER);
    alloc_consume(&l->alloc, n);
    alloc_place(&l->alloc, n, dst);
}

/* vpermi2pd: dst has the order, then the result */
static void
lower_pick(Lower *l, Ir n)
{
    static const uint64_t orders[IR_ORDERS][LANES_WIDE] = {
        [IR_EVENS] = {0, 2, 4, 6, 8, 10, 12, 14},
        [IR_ODDS] = {1, 3, 5, 7, 9, 11, 13, 15},
        [IR_ZIP_LOW] = {0, 8, 1, 9, 2, 10, 3, 11},
        [IR_ZIP_HIGH] = {4, 12, 5, 13, 6, 14, 7, 15}};
    const IrNode *node = &l->alloc.nodes[n];
    const Rm order = {.kind = RM_POOL,
                      .offset = asm_table(l->code, orders[node->imm], LANES_WIDE)};
    const int first = alloc_want(&l->alloc, node->in[0]);
    if (alloc_in_register(&l->alloc, node->in[1])) {
        (void)alloc_want(&l->alloc, node->in[1]);
    }
    const int dst = alloc_vector(&l->alloc, 0);
    asm_vector(l->code, asm_vmovupd_load, dst, 0, order, no_mask, -1);
    const Rm second = alloc_want_rm(&l->alloc, node->in[1]);
    alloc_consume(&l->alloc, n);
    asm_vector(l->code, vpermi2pd, dst, first, second, no_mask, -1);
    alloc_place(&l->alloc, n, dst);
}

/* ---- memory ---- */

static void
lower_load_bytes(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int words = alloc_vector(&l->alloc, 0);
    Rm from = alloc_address(&l->alloc, node->word, true);
    from.unit = 8;
    asm_vector(l->code, vpmovzxbq_wide, words, 0, from, no_mask, -1);
    alloc_drop(&l->alloc, words);
    if (l->wide) {
        asm_vector(l->code, opcodes[IR_MASK_OF_WORD], alloc_mask(&l->alloc, n), words,
                   rm_register(words), no_mask, -1);
    } else {
        const Rm zero = {.kind = RM_POOL, .offset = asm_constant(l->code, 0, LANES_NARROW)};
        asm_vector(l->code, vpcmpgtq, alloc_vector(&l->alloc, n), words, zero, no_mask, -1);
    }
    alloc_consume(&l->alloc, n);
}

static void
lower_store(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const int x = alloc_want(&l->alloc, node->in[0]);
    const Rm to = alloc_address(&l->alloc, node->word, false);
    asm_vector(l->code, asm_vmovupd_store, x, 0, to, no_mask, -1);
    alloc_consume(&l->alloc, n);
}

static void
lower_store_bytes(Lower *l, Ir n)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    const IrNode *node = &l->alloc.nodes[n];
    const int mask = alloc_want(&l->alloc, node->in[0]);
    const Rm pool = {.kind = RM_POOL, .offset = asm_constant(l->code, ones, 2)};
    if (l->wide) {
        const int bytes = alloc_vector(&l->alloc, 0);
        asm_bytes_of_mask(l->code, bytes, mask, pool);
        asm_store_8_bytes(l->code, bytes, alloc_address(&l->alloc, node->word, true));
    } else {
        asm_vex(l->code, vmovmskpd, 1, ALLOC_BITS, 0, rm_register(mask), -1);
        asm_vex(l->code, pdep, 0, ALLOC_BITS, ALLOC_BITS, pool, -1);
        const Rm to = alloc_address(&l->alloc, node->word, true);
        asm_store_4_bytes(l->code, ALLOC_BITS, to.reg, to.index, to.offset);
    }
    alloc_consume(&l->alloc, n);
}

static void
lower_sum(Lower *l, Ir n)
{
    const IrNode *node = &l->alloc.nodes[n];
    const Rm at = {.kind = RM_MEMORY, .reg = ALLOC_SUMS, .index = ALLOC_ROUND,
                   .offset = (int32_t)node->word * BLOCK_SUM_BYTES};
    const int x = alloc_want(&l->alloc, node->in[0]);
    const int total = alloc_vector(&l->alloc, 0);
    asm_vector(l->code, opcodes[IR_ADD], total, x, at, no_mask, -1);
    asm_vector(l->code, asm_vmovupd_store, total, 0, at, no_mask, -1);
    alloc_consume(&l->alloc, n);
}

static void
lower_guard(Lower *l, Ir n)
{
    const int mask = alloc_want(&l->alloc, l->alloc.nodes[n].in[0]);
    if (l->wide) {
        asm_vex(l->code, kortestb, 0, mask, 0, rm_register(mask), -1);
    } else {
        asm_vex(l->code, vtestpd, 1, mask, 0, rm_register(mask), -1);
    }
    if (vec_push(&l->exits, asm_jump_forward(l->code, JUMP_NOT_ZERO)) != STATUS_OK) {
        l->code->failed = true;
    }
    alloc_consume(&l->alloc, n);
}

void
emit_node(Lower *l, Ir n)
{
    switch ((IrOp)l->alloc.nodes[n].op) {
    case IR_LOAD_BYTES:
        lower_load_bytes(l, n);
        break;
    case IR_ADD:
    case IR_SUB:
    case IR_MUL:
    case IR_DIV:
    case IR_GREATER:
    case IR_LESSER:
    case IR_AND:
    case IR_ANDNOT:
    case IR_OR:
    case IR_XOR:
    case IR_WORD_ADD:
    case IR_WORD_SUB:
    case IR_WORD_GREATER:
    case IR_SCALE:
    case IR_UNPACK_LOW:
    case IR_UNPACK_HIGH:
    case IR_HALVES:
        lower_binary(l, n);
        break;
    case IR_PICK:
        lower_pick(l, n);
        break;
    case IR_SQRT:
    case IR_EXPONENT:
    case IR_FROM_I64:
        lower_unary(l, n, -1);
        break;
    case IR_ROUND:
    case IR_PERMUTE:
        lower_unary(l, n, l->alloc.nodes[n].imm);
        break;
    case IR_MANTISSA:
        lower_unary(l, n, 4); /* from 1 to 2, positive */
        break;
    case IR_FMA:
        lower_fma(l, n);
        break;
    case IR_SHIFT_LEFT:
    case IR_SHIFT_RIGHT:
        lower_shift(l, n);
        break;
    case IR_TABLE:
        lower_table(l, n);
        break;
    case IR_PICK_BITS:
        lower_pick_bits(l, n);
        break;
    case IR_MERGE_ADD:
    case IR_MERGE_MUL:
        lower_merge(l, n);
        break;
    case IR_FIX:
        lower_fix(l, n);
        break;
    case IR_MASK_OF_WORD:
    case IR_SIGNS:
        lower_mask_of(l, n);
        break;
    case IR_MASK_AND:
    case IR_MASK_OR:
    case IR_MASK_XOR:
    case IR_MASK_NOT:
        lower_mask_logic(l, n);
        break;
    case IR_COMPARE:
        lower_compare(l, n);
        break;
    case IR_SELECT:
        lower_select(l, n);
        break;
    case IR_STORE:
        lower_store(l, n);
        break;
    case IR_STORE_BYTES:
        lower_store_bytes(l, n);
        break;
    case IR_SUM:
        lower_sum(l, n);
        break;
    case IR_GUARD:
        lower_guard(l, n);
        break;
    case IR_FETCH:
        asm_fetch(l->code, alloc_address(&l->alloc, l->alloc.nodes[n].word, false));
        break;
    default: /* read where they lie */
        break;
    }
}
