/* ops/ops.c -- the table of ops as records, and lookup by name. */
#include "ops/ops.h"

#include <string.h>

const OpInfo op_infos[OP_COUNT] = {
#define ROW1(name, cls, rule, forward, dx, flags, doc)                                             \
    [OP_##name] = {#name, doc, 1, cls, rule, AXES_ELEMENTWISE, flags},
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc)                                         \
    [OP_##name] = {#name, doc, 2, cls, rule, AXES_ELEMENTWISE, flags},
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc)                                     \
    [OP_##name] = {#name, doc, 3, cls, rule, AXES_ELEMENTWISE, flags},
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3
#define PRIMITIVE(name, nin, axis_map, flags, doc) [OP_##name] = {#name, doc, nin, 0, 0, axis_map, flags},
#include "ops/primitives.def"
#undef PRIMITIVE
};

OpCode
op_find(const char *name)
{
    for (int op = 0; op < OP_COUNT; op++) {
        if (strcmp(op_infos[op].name, name) == 0) {
            return (OpCode)op;
        }
    }
    return OP_COUNT;
}

int
op_first_index(OpCode op)
{
    switch (op) {
    case OP_gather:
    case OP_take_along: return 1;
    case OP_scatter:
    case OP_scatter_add:
    case OP_put_along_add: return 2;
    default: return 0;
    }
}
