/* backend/cpu/emit_x86.c -- the encodings of emit_x86.h (Intel's manual, volume 2, chapter 2). */
#include "backend/cpu/emit_x86.h"

#include <string.h>

enum { MOD_NONE = 0x00, MOD_BYTE = 0x40, MOD_WORD = 0x80, MOD_REGISTER = 0xc0 };

static void
byte(Assembler *a, int value)
{
    if (vec_push(&a->code, (uint8_t)value) != STATUS_OK) {
        a->failed = true;
    }
}

static void
word32(Assembler *a, int32_t value)
{
    for (int k = 0; k < 32; k += 8) {
        byte(a, (int)((uint32_t)value >> k & 0xff));
    }
}

void
asm_fini(Assembler *a)
{
    vec_fini(&a->code);
    vec_fini(&a->pool);
    vec_fini(&a->fixups);
}

/* ModRM, SIB and displacement; `reg` gives the three bits of the register operand. `unit`: bytes
 * that a displacement of 8 bits counts in (EVEX), 1 elsewhere. `tail`: bytes that follow. */
static void
operand(Assembler *a, int reg, Rm rm, int unit, int tail)
{
    const int middle = (reg & 7) << 3;
    if (rm.kind == RM_REGISTER) {
        byte(a, MOD_REGISTER | middle | (rm.reg & 7));
        return;
    }
    if (rm.kind == RM_POOL) {
        byte(a, MOD_NONE | middle | 5);
        const int32_t at = (int32_t)a->code.size;
        if (vec_push(&a->fixups, (Fixup){at, at + 4 + tail, rm.offset}) != STATUS_OK) {
            a->failed = true;
        }
        word32(a, 0);
        return;
    }
    const bool sib = rm.index != NO_INDEX || (rm.reg & 7) == RSP;
    const bool none = rm.offset == 0 && (rm.reg & 7) != RBP;
    const int32_t scaled = rm.offset / unit;
    const bool small = rm.offset % unit == 0 && scaled >= -128 && scaled <= 127;
    const int mod = none ? MOD_NONE : small ? MOD_BYTE : MOD_WORD;
    byte(a, mod | middle | (sib ? RSP : rm.reg & 7));
    if (sib) {
        byte(a, rm.scale << 6 | (rm.index == NO_INDEX ? RSP : rm.index & 7) << 3 | (rm.reg & 7));
    }
    if (mod == MOD_BYTE) {
        byte(a, scaled & 0xff);
    } else if (mod == MOD_WORD) {
        word32(a, rm.offset);
    }
}

/* Inverted high bits of register numbers, as prefixes hold them. */
static int
absent(int reg, int bit, int place)
{
    return ((reg >> bit & 1) ^ 1) << place;
}

static int
rm_high_x(Rm rm)
{
    if (rm.kind == RM_REGISTER) {
        return absent(rm.reg, 4, 6);
    }
    return rm.kind == RM_MEMORY && rm.index != NO_INDEX ? absent(rm.index, 3, 6) : 1 << 6;
}

static int
rm_high_b(Rm rm)
{
    return rm.kind == RM_POOL ? 1 << 5 : absent(rm.reg, 3, 5);
}

static void
evex(Assembler *a, Opcode op, int length, int dst, int first, Rm rm, Masking masking, int imm)
{
    byte(a, 0x62);
    byte(a, absent(dst, 3, 7) | rm_high_x(rm) | rm_high_b(rm) | absent(dst, 4, 4) | op.map);
    byte(a, op.w << 7 | (~first & 15) << 3 | 4 | op.prefix);
    byte(a, masking.zero << 7 | length << 5 | rm.broadcast << 4 | absent(first, 4, 3) |
                masking.mask);
    byte(a, op.code);
    const int unit = rm.broadcast ? 8 : rm.unit != 0 ? rm.unit : 16 << length;
    operand(a, dst, rm, unit, imm >= 0);
    if (imm >= 0) {
        byte(a, imm);
    }
}

void
asm_vex(Assembler *a, Opcode op, int length, int dst, int first, Rm rm, int imm)
{
    byte(a, 0xc4);
    byte(a, absent(dst, 3, 7) | (rm.kind == RM_REGISTER ? 1 << 6 : rm_high_x(rm)) |
                rm_high_b(rm) | op.map);
    byte(a, op.w << 7 | (~first & 15) << 3 | length << 2 | op.prefix);
    byte(a, op.code);
    operand(a, dst, rm, 1, imm >= 0);
    if (imm >= 0) {
        byte(a, imm);
    }
}

void
asm_vector(Assembler *a, Opcode op, int dst, int first, Rm rm, Masking masking, int imm)
{
    if (a->wide) {
        evex(a, op, 2, dst, first, rm, masking, imm);
    } else {
        asm_vex(a, op, 1, dst, first, rm, imm);
    }
}

void
asm_bytes_of_mask(Assembler *a, int dst, int mask, Rm rm)
{
    const Opcode vmovdqu8 = {MAP_0F, PP_F2, 0, 0x6f};
    evex(a, vmovdqu8, 0, dst, 0, rm, (Masking){(uint8_t)mask, true}, -1);
}

void
asm_store_8_bytes(Assembler *a, int reg, Rm to)
{
    const Opcode vmovq = {MAP_0F, PP_66, 1, 0xd6};
    to.unit = 8;
    evex(a, vmovq, 0, reg, 0, to, (Masking){0, false}, -1);
}

void
asm_gather(Assembler *a, int dst, int index, int mask, int base)
{
    byte(a, 0xc4);
    byte(a, absent(dst, 3, 7) | absent(index, 3, 6) | absent(base, 3, 5) | MAP_0F38);
    byte(a, 1 << 7 | (~mask & 15) << 3 | 1 << 2 | PP_66);
    byte(a, 0x93);
    byte(a, MOD_BYTE | (dst & 7) << 3 | RSP);
    byte(a, (index & 7) << 3 | (base & 7));
    byte(a, 0);
}

/* ---- scalar instructions ---- */

/* Prefix REX.W with the high bits of both operands. */
static void
rex(Assembler *a, int reg, int rm)
{
    byte(a, 0x48 | (reg >> 3) << 2 | rm >> 3);
}

void
asm_load(Assembler *a, int reg, int base, int32_t offset)
{
    rex(a, reg, base);
    byte(a, 0x8b);
    operand(a, reg, (Rm){.kind = RM_MEMORY, .reg = (uint8_t)base, .index = NO_INDEX,
                         .offset = offset}, 1, 0);
}

void
asm_fetch(Assembler *a, Rm from)
{
    byte(a, 0x40 | (from.index != NO_INDEX ? from.index >> 3 << 1 : 0) | from.reg >> 3);
    byte(a, 0x0f);
    byte(a, 0x18);
    operand(a, 2, from, 1, 0);
}

void
asm_move(Assembler *a, int dst, int src)
{
    rex(a, dst, src);
    byte(a, 0x8b);
    operand(a, dst, rm_register(src), 1, 0);
}

void
asm_pool_address(Assembler *a, int reg, int32_t offset)
{
    rex(a, reg, 0);
    byte(a, 0x8d);
    operand(a, reg, (Rm){.kind = RM_POOL, .offset = offset}, 1, 0);
}

static void
immediate(Assembler *a, int extension, int reg, int32_t imm)
{
    rex(a, 0, reg);
    byte(a, 0x81);
    operand(a, extension, rm_register(reg), 1, 4);
    word32(a, imm);
}

void
asm_add(Assembler *a, int reg, int32_t imm)
{
    immediate(a, 0, reg, imm);
}

void
asm_and(Assembler *a, int reg, int32_t imm)
{
    immediate(a, 4, reg, imm);
}

void
asm_clear(Assembler *a, int reg)
{
    rex(a, reg, reg);
    byte(a, 0x31);
    operand(a, reg, rm_register(reg), 1, 0);
}

void
asm_set_one(Assembler *a, int reg)
{
    rex(a, 0, reg);
    byte(a, 0xc7);
    operand(a, 0, rm_register(reg), 1, 4);
    word32(a, 1);
}

void
asm_compare(Assembler *a, int first, int second)
{
    rex(a, first, second);
    byte(a, 0x3b);
    operand(a, first, rm_register(second), 1, 0);
}

void
asm_push(Assembler *a, int reg)
{
    rex(a, 0, reg);
    byte(a, 0x50 | (reg & 7));
}

void
asm_pop(Assembler *a, int reg)
{
    rex(a, 0, reg);
    byte(a, 0x58 | (reg & 7));
}

void
asm_store_4_bytes(Assembler *a, int reg, int base, int index, int32_t offset)
{
    byte(a, 0x40 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
    byte(a, 0x89);
    operand(a, reg, (Rm){.kind = RM_MEMORY, .reg = (uint8_t)base, .index = (uint8_t)index,
                         .offset = offset}, 1, 0);
}

void
asm_branch_target(Assembler *a)
{
    byte(a, 0xf3);
    byte(a, 0x0f);
    byte(a, 0x1e);
    byte(a, 0xfa);
}

void
asm_return(Assembler *a)
{
    byte(a, 0xc5);
    byte(a, 0xf8);
    byte(a, 0x77);
    byte(a, 0xc3);
}

static void
patch32(Assembler *a, int64_t at, int32_t value)
{
    if (!a->failed) {
        memcpy(a->code.data + at, &value, sizeof value); /* little-endian, as the code */
    }
}

int64_t
asm_jump_forward(Assembler *a, int condition)
{
    byte(a, 0x0f);
    byte(a, 0x80 | condition);
    word32(a, 0);
    return a->code.size;
}

void
asm_land(Assembler *a, int64_t jump)
{
    patch32(a, jump - 4, (int32_t)(a->code.size - jump));
}

void
asm_jump_back(Assembler *a, int condition, int64_t to)
{
    const int64_t after = asm_jump_forward(a, condition);
    patch32(a, after - 4, (int32_t)(to - after));
}

/* ---- the pool ---- */

int32_t
asm_table(Assembler *a, const uint64_t *words, int count)
{
    const int64_t bytes = count * (int64_t)sizeof *words;
    for (int64_t at = 0; at + bytes <= a->pool.size; at += bytes) {
        if (memcmp(a->pool.data + at, words, (size_t)bytes) == 0) {
            return (int32_t)at;
        }
    }
    while (a->pool.size % bytes != 0 && !a->failed) {
        a->failed = vec_push(&a->pool, (uint8_t)0) != STATUS_OK;
    }
    const int64_t at = a->pool.size;
    if (vec_append(&a->pool, (const uint8_t *)words, bytes) != STATUS_OK) {
        a->failed = true;
    }
    return (int32_t)at;
}

int32_t
asm_constant(Assembler *a, uint64_t word, int count)
{
    uint64_t words[8];
    for (int k = 0; k < count; k++) {
        words[k] = word;
    }
    return asm_table(a, words, count);
}

void
asm_resolve(Assembler *a, int64_t pool)
{
    for (int64_t k = 0; k < a->fixups.size; k++) {
        const Fixup *f = &a->fixups.data[k];
        patch32(a, f->at, (int32_t)(pool + f->offset - f->end));
    }
}
