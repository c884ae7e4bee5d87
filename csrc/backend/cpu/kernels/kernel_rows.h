/* backend/cpu/kernels/kernel_rows.h -- the kernels of one source and their table.
 *
 * Included once by real.c, complex.c and integer.c after they have defined V, OUT_<rule>,
 * IF_<class>, T, and the table's name by KT and ISA.
 */
#ifndef kernel_has_vectors
#define kernel_has_vectors(op) false
#define kernel_vectors1(op, out, xs, n) (void)0
#define kernel_vectors2(out, xs, ys, n) (void)0
#endif
#ifndef kernel_has_uniform3
#define kernel_has_uniform3 false
#endif
#ifndef kernel_short_power
#define kernel_short_power(op, out, xs, y, n) false
#endif

#define ROW1(name, cls, rule, forward, dx, flags, doc) IF_##cls(KERNEL_ROW1(name, rule, forward))
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc)                                         \
    IF_##cls(KERNEL_ROW2(name, rule, forward, flags))
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc)                                     \
    IF_##cls(KERNEL_ROW3(name, rule, forward, flags))
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3

#define ENTRY(name) [OP_##name] = name##_kernel,
extern const BlockKernel KERNEL_TABLE(KT, ISA)[OP_ELEMENTWISE_COUNT];
const BlockKernel KERNEL_TABLE(KT, ISA)[OP_ELEMENTWISE_COUNT] = {
#define ROW1(name, cls, rule, forward, dx, flags, doc) IF_##cls(ENTRY(name))
#define ROW2(name, cls, rule, forward, dx, dy, flags, doc) IF_##cls(ENTRY(name))
#define ROW3(name, cls, rule, forward, dx, dy, dz, flags, doc) IF_##cls(ENTRY(name))
#include "ops/ops.def"
#undef ROW1
#undef ROW2
#undef ROW3
    KERNEL_EXTRA_ENTRIES
};
