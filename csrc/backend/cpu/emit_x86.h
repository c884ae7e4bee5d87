/* backend/cpu/emit_x86.h -- bytes of x86-64 instructions on vectors of eight (AVX-512) or four
 * (AVX2) doubles, masks, and the few scalar ones that a loop needs. */
#ifndef PYARR_BACKEND_CPU_EMIT_X86_H
#define PYARR_BACKEND_CPU_EMIT_X86_H

#include "base/vec.h"

#include <stdbool.h>

/* General registers by their numbers. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_INDEX };

/* Prefixes that choose among instructions of one opcode, and opcode maps. */
enum { PP_NONE, PP_66, PP_F3, PP_F2 };
enum { MAP_0F = 1, MAP_0F38 = 2, MAP_0F3A = 3 };

/* An instruction: its map, prefix and opcode, and the bit W, which some encodings ignore. */
typedef struct Opcode {
    uint8_t map, prefix, w, code;
} Opcode;

/* The operand that may be a register or memory. */
typedef struct Rm {
    enum { RM_REGISTER, RM_MEMORY, RM_POOL } kind;
    uint8_t reg;         /* register, or base of the address */
    uint8_t index;       /* NO_INDEX without */
    uint8_t scale;       /* of the index: a power of two, its exponent */
    bool broadcast;      /* memory holds one element, which all lanes get (AVX-512) */
    uint8_t unit;        /* bytes of the memory operand, where not the whole vector */
    int32_t offset;      /* of the address, or of the datum in the pool */
} Rm;

static inline Rm
rm_register(int reg)
{
    return (Rm){.kind = RM_REGISTER, .reg = (uint8_t)reg};
}

/* A place where the distance to a datum of the pool, or to a label, is still to be filled in. */
typedef struct Fixup {
    int32_t at, end; /* of the 32 bits, and of the instruction */
    int32_t offset;  /* in the pool */
} Fixup;

/* Code and its pool of constants, which follows the code in memory. */
typedef struct Assembler {
    VEC(uint8_t) code;
    VEC(uint8_t) pool;
    VEC(Fixup) fixups;
    bool wide;   /* AVX-512, else AVX2 */
    bool failed; /* out of memory */
} Assembler;

void asm_fini(Assembler *a);

/*
 * op dst, first, rm: with the encoding of the assembler's vectors. `mask` 1..7 names the mask
 * register of AVX-512 instructions (0: none); with `zero` lanes off become zero, else they
 * keep dst. `imm` is a byte after the instruction, negative for none. Instructions of one source
 * have first = 0.
 */
typedef struct Masking {
    uint8_t mask;
    bool zero;
} Masking;
void asm_vector(Assembler *a, Opcode op, int dst, int first, Rm rm, Masking masking, int imm);
/* The same with the VEX encoding, and vectors of 16 << length bytes: masks, AVX2, scalars. */
void asm_vex(Assembler *a, Opcode op, int length, int dst, int first, Rm rm, int imm);
/* vmovdqu8 of the lowest 16 bytes under a mask, others zero. */
void asm_bytes_of_mask(Assembler *a, int dst, int mask, Rm rm);
/* The lowest 8 bytes of a vector to memory. */
void asm_store_8_bytes(Assembler *a, int reg, Rm to);
/* vgatherqpd: dst where mask, whose lanes it clears, from the pool's table by byte offsets. */
void asm_gather(Assembler *a, int dst, int index, int mask, int base);

/* Scalar instructions of 64 bits. */
void asm_load(Assembler *a, int reg, int base, int32_t offset);
void asm_move(Assembler *a, int dst, int src);
void asm_pool_address(Assembler *a, int reg, int32_t offset);
void asm_add(Assembler *a, int reg, int32_t imm);
void asm_and(Assembler *a, int reg, int32_t imm);
void asm_clear(Assembler *a, int reg);
void asm_set_one(Assembler *a, int reg);
void asm_compare(Assembler *a, int first, int second);
void asm_push(Assembler *a, int reg);
void asm_pop(Assembler *a, int reg);
void asm_store_4_bytes(Assembler *a, int reg, int base, int index, int32_t offset);
void asm_fetch(Assembler *a, Rm from); /* prefetcht1 */
void asm_branch_target(Assembler *a); /* endbr64 */
void asm_return(Assembler *a);        /* vzeroupper, ret */

/* Jumps: backward to a known place; forward ones give where to patch. */
enum { JUMP_LESS = 0xc, JUMP_NOT_ZERO = 0x5 };
void asm_jump_back(Assembler *a, int condition, int64_t to);
int64_t asm_jump_forward(Assembler *a, int condition);
void asm_land(Assembler *a, int64_t jump);

/* Places in the pool of 8 bytes repeated `count` times, and of a table; equal ones are one. */
int32_t asm_constant(Assembler *a, uint64_t word, int count);
int32_t asm_table(Assembler *a, const uint64_t *words, int count);
/* Fill in the distances to the pool, which will begin at `pool`. */
void asm_resolve(Assembler *a, int64_t pool);

#endif
