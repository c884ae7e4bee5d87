/* graph/execute.c -- one op on concrete arrays: infer, allocate, call the device. */
#include "backend/backend.h"
#include "base/hooks.h"
#include "base/mem.h"
#include "graph/build.h"
#include "graph/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Work below this many bytes is over before another thread could take the lock. */
enum { UNLOCK_BYTES = 64 * 1024 };

Operand
execute_operand(const Array *a)
{
    return (Operand){.data = a->storage->data == NULL ? NULL : array_data(a),
                     .dtype = (DType)a->dtype,
                     .ndim = a->ndim,
                     .shape = a->shape,
                     .strides = a->strides};
}

/* One element, however often repeated: a number that the host knows. */
static bool
is_single(const Array *a)
{
    for (int axis = 0; axis < a->ndim; axis++) {
        if (a->strides[axis] != 0) {
            return false;
        }
    }
    return true;
}

/* The device of the result; single elements of the CPU may come along, nothing else. */
static Device *
commexecute_move(Array *const *in, int nin)
{
    Device *device = NULL;
    for (int i = 0; i < nin; i++) {
        Device *d = in[i]->storage->device;
        if (device == NULL || (d != device && device == device_cpu())) {
            device = d;
        }
    }
    for (int i = 0; i < nin; i++) {
        Device *d = in[i]->storage->device;
        if (d != device && !(d == device_cpu() && is_single(in[i]))) {
            return err_null(ERR_VALUE,
                            "operands on different devices: %s and %s; move one with .to()",
                            d->name, device->name);
        }
    }
    return device == NULL ? device_default() : device;
}

static Status
run_call(Device *device, const Call *call, int64_t bytes)
{
    void *token = bytes >= UNLOCK_BYTES ? host_hooks.unlock() : NULL;
    const Status status = device->run_primitive(device, call);
    if (bytes >= UNLOCK_BYTES) {
        host_hooks.lock(token);
    }
    return status;
}

static int64_t
bytes_of(const Array *a)
{
    return a->size * dtype_size((DType)a->dtype);
}

/* ---- elementwise ---- */

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
            memcmp(a->shape, like->shape, (size_t)a->ndim * sizeof(int64_t)) != 0) {
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
    int64_t strides[3][ARRAY_MAX_NDIM], bytes = bytes_of(out);
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
    Array *moved[3] = {NULL, NULL, NULL}, *out = NULL;
    for (int i = 0; i < nin; i++) {
        ndims[i] = in[i]->ndim;
        shapes[i] = in[i]->shape;
    }
    if (shape_broadcast(nin, ndims, shapes, &ndim, shape) != STATUS_OK) {
        return NULL;
    }
    for (int i = 0; i < nin; i++) {
        moved[i] = execute_move(in[i], device);
        if (moved[i] == NULL) {
            goto done;
        }
    }
    out = array_new(device, result, ndim, shape);
    if (out != NULL && out->size > 0 &&
        run_elementwise(op, moved, nin, loop, in_dtypes, out) != STATUS_OK) {
        array_release(out);
        out = NULL;
    }
done:
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
    Device *device = commexecute_move(in, nin);
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
    const size_t bytes = (size_t)out->ndim * sizeof(int64_t);
    return a->storage == out->storage && a->offset == out->offset && a->dtype == out->dtype &&
           a->ndim == out->ndim && memcmp(a->shape, out->shape, bytes) == 0 &&
           memcmp(a->strides, out->strides, bytes) == 0;
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
        memcmp(shape, out->shape, (size_t)ndim * sizeof(int64_t)) != 0) {
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
        if (a->ndim != first->ndim ||
            memcmp(a->shape, first->shape, (size_t)a->ndim * sizeof(int64_t)) != 0) {
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

/* ---- primitives ---- */

enum { SMALL_COPY = 64 * 1024 }; /* bytes that one thread moves at once */

Array *
execute_copy(const Array *x)
{
    Array *out = array_new(x->storage->device, (DType)x->dtype, x->ndim, x->shape);
    if (out == NULL || out->size == 0) {
        return out;
    }
    Device *device = x->storage->device;
    Status status;
    if (device->host_memory && bytes_of(out) <= SMALL_COPY && array_is_contiguous(x)) {
        status = device->from_host(device, array_data(out), array_data(x), (size_t)bytes_of(out));
    } else {
        Call call; /* a large struct: only what is used is written */
        call.op = OP_copy;
        call.nin = 1;
        call.nparams = 0;
        call.params = NULL;
        call.in[0] = execute_operand(x);
        call.out = execute_operand(out);
        status = run_call(device, &call, bytes_of(out));
    }
    if (status != STATUS_OK) {
        array_release(out);
        return NULL;
    }
    return out;
}

Array *
execute_copy_in_order(Array *x)
{
    int order[ARRAY_MAX_NDIM], back[ARRAY_MAX_NDIM];
    if (!execute_axis_order(&x, 1, order)) {
        return execute_copy(x);
    }
    for (int k = 0; k < x->ndim; k++) {
        back[order[k]] = k;
    }
    Array *turned = view_transpose(x, order);
    Array *copy = turned == NULL ? NULL : execute_copy(turned);
    Array *result = copy == NULL ? NULL : view_transpose(copy, back);
    array_release(turned);
    array_release(copy);
    return result;
}

/* Contiguous elements from one device to another, through the host where neither is it. */
static Status
move_bytes(Array *to, const Array *from)
{
    Device *target = to->storage->device, *source = from->storage->device;
    const size_t size = (size_t)bytes_of(from);
    if (size == 0) {
        return STATUS_OK;
    }
    if (source->host_memory) {
        return target->from_host(target, array_data(to), array_data(from), size);
    }
    if (target->host_memory) {
        return source->to_host(source, array_data(to), array_data(from), size);
    }
    void *host = mem_new(size);
    Status status = host == NULL ? STATUS_ERROR
                                 : source->to_host(source, host, array_data(from), size);
    if (status == STATUS_OK) {
        status = target->from_host(target, array_data(to), host, size);
    }
    mem_free(host, size);
    return status;
}

Array *
execute_move(Array *a, Device *device)
{
    Device *source = a->storage->device;
    if (source == device) {
        return array_retain(a);
    }
    if (a->storage->ready != 0) {
        if (source->wait(source, a->storage->ready) != STATUS_OK) {
            return NULL;
        }
        a->storage->ready = 0;
    }
    if (is_single(a) && a->size > 1) {
        const int64_t none[1] = {0};
        Array *element = array_new_view(a->storage, (DType)a->dtype, 0, none, none, a->offset);
        Array *one = element == NULL ? NULL : execute_move(element, device);
        Array *repeated = one == NULL ? NULL : view_broadcast(one, a->ndim, a->shape);
        array_release(element);
        array_release(one);
        return repeated;
    }
    Array *dense = array_is_contiguous(a) ? array_retain(a) : execute_copy(a);
    Array *moved = dense == NULL ? NULL : array_new(device, (DType)a->dtype, a->ndim, a->shape);
    if (moved != NULL && move_bytes(moved, dense) != STATUS_OK) {
        array_release(moved);
        moved = NULL;
    }
    if (moved != NULL) {
        moved->weak = a->weak;
    }
    array_release(dense);
    return moved;
}

Array *
graph_to_device(Array *x, Device *device)
{
    Array *value = graph_evaluate(x);
    Array *moved = value == NULL ? NULL : execute_move(value, device);
    array_release(value);
    return moved;
}

Array *
execute_view(Array *x, const int64_t *geometry)
{
    const int ndim = (int)geometry[1];
    const int64_t item = dtype_size((DType)x->dtype);
    int64_t strides[ARRAY_MAX_NDIM], offset, count = 1;
    for (int i = 0; i < ndim; i++) {
        count *= geometry[2 + i];
    }
    if (array_is_contiguous(x) || count == 0) {
        offset = count == 0 ? 0 : geometry[0] * item;
        for (int i = 0; i < ndim; i++) {
            strides[i] = geometry[2 + ndim + i] * item;
        }
    } else if (!geometry_decode(geometry, x->ndim, x->shape, x->strides, &offset, strides)) {
        Array *dense = execute_copy(x);
        Array *view = dense == NULL ? NULL : execute_view(dense, geometry);
        array_release(dense);
        return view;
    }
    Array *view = array_new_view(x->storage, (DType)x->dtype, ndim, geometry + 2, strides,
                                 x->offset + offset);
    if (view != NULL) {
        view->readonly = x->readonly;
    }
    return view;
}

static Status
run_primitive(OpCode op, Array *out, Array *const *in, int nin, const int64_t *params, int nparams)
{
    Call call = {.op = op, .nin = nin, .nparams = nparams, .params = params};
    assert(nin <= CALL_MAX_INPUTS);
    int64_t bytes = bytes_of(out);
    for (int i = 0; i < nin; i++) {
        call.in[i] = execute_operand(in[i]);
        bytes += bytes_of(in[i]);
    }
    call.out = execute_operand(out);
    Device *device = out->storage->device;
    return run_call(device, &call, op == OP_host_call ? 0 : bytes);
}

Array *
execute_primitive(OpCode op, Array *const *in, int nin, const int64_t *params, int nparams)
{
    if (op == OP_view) {
        return execute_view(in[0], params);
    }
    if (nin > CALL_MAX_INPUTS) {
        return err_null(ERR_VALUE, "%s: at most %d inputs, got %d", op_info(op)->name,
                        CALL_MAX_INPUTS, nin);
    }
    Spec specs[CALL_MAX_INPUTS], spec;
    for (int i = 0; i < nin; i++) {
        specs[i].dtype = (DType)in[i]->dtype;
        specs[i].weak = (Weak)in[i]->weak;
        specs[i].ndim = in[i]->ndim;
        memcpy(specs[i].shape, in[i]->shape, (size_t)in[i]->ndim * sizeof(int64_t));
    }
    if (op_infer(op, specs, nin, params, nparams, &spec) != STATUS_OK) {
        return NULL;
    }
    Device *device = commexecute_move(in, nin);
    if (device == NULL) {
        return NULL;
    }
    Array *moved[CALL_MAX_INPUTS] = {NULL}, *out = NULL;
    for (int i = 0; i < nin; i++) {
        moved[i] = execute_move(in[i], device);
        if (moved[i] == NULL) {
            goto done;
        }
    }
    out = array_new(device, spec.dtype, spec.ndim, spec.shape);
    if (out != NULL && (out->size > 0 || (op_info(op)->flags & FLAG_MAY_FAIL)) &&
        run_primitive(op, out, moved, nin, params, nparams) != STATUS_OK) {
        array_release(out);
        out = NULL;
    }
done:
    arrays_release(moved, nin);
    return out;
}

Status
execute_in_place(OpCode op, Array *base, Array *const *in, int nin, const int64_t *params,
                 int nparams)
{
    Array *all[CALL_MAX_INPUTS];
    Status status = STATUS_ERROR;
    int n = 1;
    all[0] = base;
    for (; n <= nin; n++) {
        all[n] = execute_move(in[n - 1], base->storage->device);
        if (all[n] == NULL) {
            goto done;
        }
    }
    status = run_primitive(op, base, all, n, params, nparams);
done:
    while (--n > 0) {
        array_release(all[n]);
    }
    return status;
}

Status
execute_assign(Array *dst, Array *src)
{
    Array *from = view_broadcast(src, dst->ndim, dst->shape), *moved = NULL;
    Status status = STATUS_ERROR;
    if (from == NULL) {
        return STATUS_ERROR;
    }
    if (dst->size == 0) {
        array_release(from);
        return STATUS_OK;
    }
    if (from->storage->device != dst->storage->device) {
        moved = execute_move(src, dst->storage->device);
        array_release(from);
        from = moved == NULL ? NULL : view_broadcast(moved, dst->ndim, dst->shape);
    } else if (array_may_overlap(from, dst)) {
        moved = execute_copy(src);
        array_release(from);
        from = moved == NULL ? NULL : view_broadcast(moved, dst->ndim, dst->shape);
    }
    if (from != NULL) {
        const bool same = from->dtype == dst->dtype;
        const int64_t params[1] = {dst->dtype};
        Call call = {.op = same ? OP_copy : OP_cast,
                     .nin = 1,
                     .nparams = same ? 0 : 1,
                     .params = params};
        call.in[0] = execute_operand(from);
        call.out = execute_operand(dst);
        status = run_call(dst->storage->device, &call, bytes_of(dst));
    }
    array_release(from);
    array_release(moved);
    return status;
}
