/* graph/execute.c -- one primitive on concrete arrays: infer, allocate, call the device; copies and
 * moves between devices. */
#include "backend/backend.h"
#include "base/hooks.h"
#include "base/mem.h"
#include "graph/build.h"
#include "graph/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

Device *
execute_device(Array *const *in, int nin)
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
    if (device->host_memory && array_bytes(out) <= SMALL_COPY && array_is_contiguous(x)) {
        status = device->from_host(device, array_data(out), array_data(x),
                                   (size_t)array_bytes(out));
    } else {
        Call call; /* a large struct: only what is used is written */
        call.op = OP_copy;
        call.nin = 1;
        call.nparams = 0;
        call.params = NULL;
        call.in[0] = execute_operand(x);
        call.out = execute_operand(out);
        status = run_call(device, &call, array_bytes(out));
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
    const size_t size = (size_t)array_bytes(from);
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

Status
execute_move_all(Array *const *in, int nin, Device *device, Array **moved)
{
    for (int i = 0; i < nin; i++) {
        moved[i] = execute_move(in[i], device);
        if (moved[i] == NULL) {
            arrays_release(moved, i);
            return STATUS_ERROR;
        }
    }
    return STATUS_OK;
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
    int64_t bytes = array_bytes(out);
    for (int i = 0; i < nin; i++) {
        call.in[i] = execute_operand(in[i]);
        bytes += array_bytes(in[i]);
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
    Device *device = execute_device(in, nin);
    if (device == NULL) {
        return NULL;
    }
    Array *moved[CALL_MAX_INPUTS];
    if (execute_move_all(in, nin, device, moved) != STATUS_OK) {
        return NULL;
    }
    Array *out = array_new(device, spec.dtype, spec.ndim, spec.shape);
    if (out != NULL && (out->size > 0 || (op_info(op)->flags & FLAG_MAY_FAIL)) &&
        run_primitive(op, out, moved, nin, params, nparams) != STATUS_OK) {
        array_release(out);
        out = NULL;
    }
    arrays_release(moved, nin);
    return out;
}

Status
execute_in_place(OpCode op, Array *base, Array *const *in, int nin, const int64_t *params,
                 int nparams)
{
    Array *all[CALL_MAX_INPUTS];
    all[0] = base;
    if (execute_move_all(in, nin, base->storage->device, all + 1) != STATUS_OK) {
        return STATUS_ERROR;
    }
    const Status status = run_primitive(op, base, all, nin + 1, params, nparams);
    arrays_release(all + 1, nin);
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
        status = run_call(dst->storage->device, &call, array_bytes(dst));
    }
    array_release(from);
    array_release(moved);
    return status;
}
