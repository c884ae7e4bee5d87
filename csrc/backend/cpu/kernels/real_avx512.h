/* backend/cpu/kernels/real_avx512.h -- loops of real.c on whole AVX-512 registers.
 *
 * Included by real.c after V and KT. For the rows that compilers make slower from the scalar
 * text; the bits are the same.
 */
#define REGISTERS_f64 f64x8
#define REGISTERS_f32 f32x16
#define IN_REGISTERS(name) PASTE(name, PASTE(REGISTERS, KT))

/* Largest exponent of pow_plain. */
#define POW_PLAIN_MAX_f64 0x1p36
#define POW_PLAIN_MAX_f32 0x1p10f

#define EACH_VECTOR_ROW(X) X(exp) X(log) X(log2) X(log10) X(log1p) X(cbrt)

SCALAR bool
kernel_has_vectors(OpCode op)
{
    switch (op) {
#define X(name) case OP_##name:
        EACH_VECTOR_ROW(X)
#undef X
        return true;
    default:
        return op == OP_power || op == OP_float_power;
    }
}

SCALAR IN_REGISTERS(value)
kernel_on_register(OpCode op, IN_REGISTERS(value) x)
{
    switch (op) {
#define X(name)                                                                                    \
    case OP_##name:                                                                                \
        return IN_REGISTERS(name)(x);
        EACH_VECTOR_ROW(X)
#undef X
    default:
        return x;
    }
}

SCALAR void
kernel_vectors1(OpCode op, V *out, const V *xs, int64_t n)
{
    enum { LANES = IN_REGISTERS(LANES) };
    int64_t i = 0;
    for (; i <= n - LANES; i += LANES) {
        IN_REGISTERS(store_whole)
        (out + i, kernel_on_register(op, IN_REGISTERS(load_whole)(xs + i)));
    }
    if (i < n) {
        const IN_REGISTERS(value) x = IN_REGISTERS(load)(xs + i, n - i);
        IN_REGISTERS(store)(out + i, n - i, kernel_on_register(op, x));
    }
}

/* Powers: special cases are met only in registers that have one. */
static void
kernel_vectors2(V *out, const V *xs, const V *ys, int64_t n)
{
    enum { LANES = IN_REGISTERS(LANES) };
    for (int64_t i = 0; i < n; i += LANES) {
        const IN_REGISTERS(value) x = IN_REGISTERS(load)(xs + i, n - i);
        const IN_REGISTERS(value) y = IN_REGISTERS(load)(ys + i, n - i);
        const bool plain = IN_REGISTERS(pow_is_plain)(x, y, PASTE(POW_PLAIN_MAX, KT));
        IN_REGISTERS(store)
        (out + i, n - i, plain ? IN_REGISTERS(pow_plain)(x, y) : IN_REGISTERS(pow)(x, y));
    }
}
