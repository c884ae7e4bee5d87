/* ops/ops.h -- the op table as C: codes, records, lookup. Rows live in ops.def (elementwise)
 * and primitives.def (everything else). */
#ifndef PYARR_OPS_OPS_H
#define PYARR_OPS_OPS_H

#include "array/array.h"

typedef enum OpCode {
#define ROW1(name, cls, rule, forward, dx, flags, doc) OP_##name,
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc) OP_##name,
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc) OP_##name,
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3
    OP_ELEMENTWISE_COUNT,
    OP_before_primitives = OP_ELEMENTWISE_COUNT - 1,
#define PRIMITIVE(name, nin, axis_map, flags, doc) OP_##name,
#include "ops/primitives.def"
#undef PRIMITIVE
    OP_COUNT
} OpCode;

/* Which dtypes have a kernel ("loop"). Inputs are cast to the loop dtype first. */
typedef enum OpClass {
    CLASS_ALL,     /* bool, integers, floats, complex */
    CLASS_NUMBER,  /* integers, floats, complex */
    CLASS_REAL,    /* bool, integers, floats */
    CLASS_REALNUM, /* integers, floats */
    CLASS_INEXACT, /* floats, complex; integers go to float64 (8 and 16 bit: float32) */
    CLASS_FLOAT,   /* floats; integers as above */
    CLASS_INTEGER, /* integers */
    CLASS_BITS,    /* bool, integers */
    CLASS_SPECIAL  /* resolved by name in resolve.c (where, ldexp, ...) */
} OpClass;

/* The result's dtype from the loop dtype. */
typedef enum OpRule {
    RULE_SAME,
    RULE_BOOL,
    RULE_PARTS,   /* complex -> its real dtype */
    RULE_COMPLEX, /* real -> its complex dtype */
    RULE_U8,
    RULE_I32
} OpRule;

enum OpFlags {
    FLAG_NONE = 0,
    FLAG_SINGULAR = 1 << 0,    /* derivative may be infinite or NaN where the value is finite */
    FLAG_COMMUTES = 1 << 1,
    FLAG_MAY_FAIL = 1 << 2,    /* may raise depending on values: evaluated at the call */
    FLAG_NONDIFF = 1 << 3,     /* result is never differentiated (comparisons, argmax) */
    FLAG_INTERNAL = 1 << 4,    /* not exported as a function of the Python module */
    FLAG_LINEAR = 1 << 5,      /* linear in its differentiable input(s) jointly */
    FLAG_UFUNC = 1 << 6,       /* numpy.<name> exists and dispatches to this row */
    FLAG_CHEAP = 1 << 7        /* a few instructions an element: bound by memory */
};

/* How the output axes of a PRIMITIVE come from its input axes (design, section 3). */
typedef enum AxisMap {
    AXES_ELEMENTWISE, AXES_VIEW, AXES_ASSIGN, AXES_REDUCE, AXES_SCAN, AXES_MATMUL, AXES_CONCAT,
    AXES_GATHER, AXES_SCATTER, AXES_ALONG, AXES_LAST2, AXES_OPAQUE
} AxisMap;

typedef struct OpInfo {
    const char *name;
    const char *doc;
    int8_t nin;       /* -1: any number */
    uint8_t cls;      /* OpClass; elementwise only */
    uint8_t rule;     /* OpRule; elementwise only */
    uint8_t axis_map; /* AxisMap */
    uint32_t flags;
} OpInfo;

extern const OpInfo op_infos[OP_COUNT];
static inline const OpInfo *op_info(OpCode op) { return &op_infos[op]; }
OpCode op_find(const char *name); /* OP_COUNT when there is none */
static inline bool op_is_elementwise(OpCode op) { return op < OP_ELEMENTWISE_COUNT; }
/* The first of the inputs that are indices into input 0, with which alone the op can fail; 0 for
 * ops without such. */
int op_first_index(OpCode op);

#endif
