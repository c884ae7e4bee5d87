/* graph/execute_elementwise.c -- one elementwise op on concrete arrays: by its kernel on memory as
 * it lies, else as a program of casts and the op. */
#include "backend/backend.h"
#include "base/hooks.h"
#include "graph/build.h"
#include "graph/graph.h"

#include <stdlib.h>

/* One kernel call on memory as it lies: same shape or single elements, no casts. */
static Array *
elementwise_direct(BlockKernel kernel, Array *const *in, int nin, DType result, Device *device,
                   const Array *like)
{
    unsigned uniform = 0;
    const void *data[3];
    for (int i = 0; i < nin; i++) {
        if (in[i]->size == 1 && like->size != 1) {
            uniform |= 1U << i;
        }
        data[i] = array_data(in[i]);
    }
    Array *out = array_new(device, result, like->ndim, like->shape);
    if (out != NULL) {
        kernel(array_data(out), data, out->size, uniform);
    }
    return out;
}

/* The operand whose shape the result has, when elementwise_direct applies. */
static const Array *
direct_like(Array *const *in, int nin, const DType *in_dtypes)
{
    const Array *like = in[0];
    for (int i = 1; i < nin; i++) {
        if (in[i]->ndim > like->ndim || (in[i]->ndim == like->ndim && in[i]->size > like->size)) {
            like = in[i];
        }
    }
    if (like->size == 0) {
        return NULL;
    }
    for (int i = 0; i < nin; i++) {
        const Array *a = in[i];
        if ((DType)a->dtype != in_dtypes[i] || a->storage->data == NULL) {
            return NULL;
        }
        if (a->size == 1 && a->ndim <= like->ndim) {
            continue;
        }
        if (a->ndim != like->ndim || a->size != like->size || !array_is_contiguous(a) ||
            !shape_equal(a->ndim, a->shape, like->shape)) {
            return NULL;
        }
    }
    return like;
}

static Status
run_elementwise(OpCode op, Array *const *in, int nin, DType loop, const DType *in_dtypes,
                Array *out)
{
    Instruction code[4];
    Operand operands[3], result = execute_operand(out);
    int64_t strides[3][ARRAY_MAX_NDIM], bytes = array_bytes(out);
    uint16_t reg = (uint16_t)nin;
    int n = 0;
    Instruction main_op = {.op = (uint16_t)op,
                           .nin = (uint8_t)nin,
                           .loop = (uint8_t)loop,
                           .out_dtype = out->dtype};
    for (int i = 0; i < nin; i++) {
        const Array *a = in[i];
        operands[i] = execute_operand(a);
        const int lead = out->ndim - a->ndim;
        for (int k = 0; k < out->ndim; k++) {
            const bool own = k >= lead && a->shape[k - lead] != 1;
            strides[i][k] = own ? a->strides[k - lead] : 0;
        }
        operands[i].ndim = out->ndim;
        operands[i].shape = out->shape;
        operands[i].strides = strides[i];
        main_op.in[i] = (uint16_t)i;
        if ((DType)a->dtype != in_dtypes[i]) {
            code[n++] = (Instruction){.op = OP_cast,
                                      .nin = 1,
                                      .loop = a->dtype,
                                      .out_dtype = (uint8_t)in_dtypes[i],
                                      .out = reg,
                                      .in = {(uint16_t)i}};
            main_op.in[i] = reg++;
        }
    }
    main_op.out = reg;
    code[n++] = main_op;
    const Program program = {.ndim = out->ndim,
                             .shape = out->shape,
                             .nin = nin,
                             .ninstructions = n,
                             .nout = 1,
                             .in = operands,
                             .instructions = code,
                             .out = &result,
                             .out_registers = &reg};
    Device *device = out->storage->device;
    void *token = bytes >= UNLOCK_BYTES ? host_hooks.unlock() : NULL;
    const Status status = device->run_program(device, &program);
    if (bytes >= UNLOCK_BYTES) {
        host_hooks.lock(token);
    }
    return status;
}

static Array *
elementwise_general(OpCode op, Array *const *in, int nin, DType loop, const DType *in_dtypes,
                    DType result, Device *device)
{
    int ndims[3] = {0}, ndim;
    const int64_t *shapes[3] = {NULL};
    int64_t shape[ARRAY_MAX_NDIM];
    Array *moved[3];
    for (int i = 0; i < nin; i++) {
        ndims[i] = in[i]->ndim;
        shapes[i] = in[i]->shape;
    }
    if (shape_broadcast(nin, ndims, shapes, &ndim, shape) != STATUS_OK) {
        return NULL;
    }
    if (execute_move_all(in, nin, device, moved) != STATUS_OK) {
        return NULL;
    }
    Array *out = array_new(device, result, ndim, shape);
    if (out != NULL && out->size > 0 &&
        run_elementwise(op, moved, nin, loop, in_dtypes, out) != STATUS_OK) {
        array_release(out);
        out = NULL;
    }
    arrays_release(moved, nin);
    return out;
}

Array *
execute_elementwise(OpCode op, Array *const *in, int nin, DType forced)
{
    DType dtypes[3], in_dtypes[3], loop = forced, result;
    Weak weak[3];
    for (int i = 0; i < nin; i++) {
        dtypes[i] = (DType)in[i]->dtype;
        weak[i] = (Weak)in[i]->weak;
    }
    if (op_resolve(op, dtypes, weak, nin, forced != DTYPE_COUNT, &loop, in_dtypes, &result) !=
        STATUS_OK) {
        return NULL;
    }
    Device *device = execute_device(in, nin);
    if (device == NULL) {
        return NULL;
    }
    /* int64 against uint64: a loop that only programs find */
    const bool mixed = in_dtypes[0] != in_dtypes[nin - 1] && op_info(op)->cls != CLASS_SPECIAL;
    if (device == device_cpu() && !mixed) {
        const Array *like = direct_like(in, nin, in_dtypes);
        BlockKernel kernel = like == NULL ? NULL : backend_cpu_kernel(op, loop);
        if (kernel != NULL && like->size < backend_cpu_grain(op, loop)) {
            return elementwise_direct(kernel, in, nin, result, device, like);
        }
    }
    return elementwise_general(op, in, nin, loop, in_dtypes, result, device);
}

/* Is the memory of `a` apart from that of `out`, or the very same elements in the same order? */
static bool
reads_before_writes(const Array *a, const Array *out)
{
    if (a->storage != out->storage && !array_may_overlap(a, out)) {
        return true;
    }
    return array_is_same(a, out);
}

Status
execute_elementwise_into(OpCode op, Array *const *in, int nin, Array *out, bool *done)
{
    DType dtypes[3], in_dtypes[3], loop = DTYPE_COUNT, result;
    Weak weak[3];
    int ndims[3] = {0}, ndim;
    const int64_t *shapes[3] = {NULL};
    int64_t shape[ARRAY_MAX_NDIM];
    *done = false;
    for (int i = 0; i < nin; i++) {
        dtypes[i] = (DType)in[i]->dtype;
        weak[i] = (Weak)in[i]->weak;
        ndims[i] = in[i]->ndim;
        shapes[i] = in[i]->shape;
        if (in[i]->storage->device != out->storage->device || !reads_before_writes(in[i], out)) {
            return STATUS_OK;
        }
    }
    if (op_resolve(op, dtypes, weak, nin, false, &loop, in_dtypes, &result) != STATUS_OK ||
        shape_broadcast(nin, ndims, shapes, &ndim, shape) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const bool may_fail = op == OP_power && dtype_is_integer(result);
    if (may_fail || result != (DType)out->dtype || ndim != out->ndim || out->size == 0 ||
        !shape_equal(ndim, shape, out->shape)) {
        return STATUS_OK;
    }
    *done = true;
    out->storage->version++;
    return run_elementwise(op, in, nin, loop, in_dtypes, out);
}

bool
execute_axis_order(Array *const *in, int nin, int *order)
{
    const Array *first = NULL;
    for (int i = 0; i < nin; i++) {
        if (in[i]->ndim > 1 && first == NULL) {
            first = in[i];
        }
    }
    if (first == NULL || array_is_contiguous(first)) {
        return false;
    }
    bool moved = false;
    for (int k = 0; k < first->ndim; k++) {
        int at = k;
        while (at > 0 && llabs(first->strides[order[at - 1]]) < llabs(first->strides[k])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = k;
        moved = moved || at != k;
    }
    for (int i = 0; moved && i < nin; i++) {
        const Array *a = in[i];
        if (a->ndim == 0) {
            continue;
        }
        if (a->ndim != first->ndim || !shape_equal(a->ndim, a->shape, first->shape)) {
            return false;
        }
        for (int k = 1; k < a->ndim; k++) {
            if (llabs(a->strides[order[k - 1]]) < llabs(a->strides[order[k]])) {
                return false;
            }
        }
    }
    return moved;
}

Array *
execute_elementwise_in_order(OpCode op, Array *const *in, int nin, DType forced)
{
    int order[ARRAY_MAX_NDIM], back[ARRAY_MAX_NDIM];
    if (!execute_axis_order(in, nin, order)) {
        return execute_elementwise(op, in, nin, forced);
    }
    Array *turned[3] = {NULL, NULL, NULL}, *out = NULL, *result = NULL;
    bool ready = true;
    for (int i = 0; i < nin; i++) {
        turned[i] = in[i]->ndim == 0 ? array_retain(in[i]) : view_transpose(in[i], order);
        if (turned[i] == NULL) {
            ready = false;
        } else {
            turned[i]->weak = in[i]->weak;
        }
    }
    out = ready ? execute_elementwise(op, turned, nin, forced) : NULL;
    if (out != NULL) {
        for (int k = 0; k < out->ndim; k++) {
            back[order[k]] = k;
        }
        result = view_transpose(out, back);
    }
    array_release(out);
    arrays_release(turned, nin);
    return result;
}
