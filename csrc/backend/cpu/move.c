/* backend/cpu/move.c -- elements moved and cast between any two geometries.
 *
 * Four ways, the best one chosen after axes are merged and ordered: runs that are memcpy or a
 * cast kernel, tiles when the fast axes of the two differ (a transpose) or runs are short, single
 * strided items, and packing through a small block when a cast meets strides. */
#include "backend/cpu/move.h"
#include "backend/cpu/iterate.h"
#include "backend/cpu/kernels/tile.h"

#include "base/mem.h"
#include "base/pool.h"

#include <string.h>

enum {
    BLOCK = 512,
    TILE = 32,
    SHORT_RUN = 16,       /* elements */
    SHORT_RUN_BYTES = 512 /* where both sides are contiguous */
};

/* ---- runs of equal dtype ---- */

static inline void
copy_items(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, size_t item)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * to_step, from + i * from_step, item);
    }
}

/* The item size is a literal in each call, so that an item is one load and one store. */
void
cpu_copy_run(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, int item)
{
    if (to_step == item && from_step == item) {
        memcpy(to, from, (size_t)(n * item));
        return;
    }
    switch (item) {
    case 1: copy_items(to, to_step, from, from_step, n, 1); break;
    case 2: copy_items(to, to_step, from, from_step, n, 2); break;
    case 4: copy_items(to, to_step, from, from_step, n, 4); break;
    case 8: copy_items(to, to_step, from, from_step, n, 8); break;
    default: copy_items(to, to_step, from, from_step, n, 16); break;
    }
}

typedef struct Move {
    Iterate it; /* operands: out, in */
    char *data[2];
    int in_size, out_size;
    BlockKernel cast; /* NULL: same dtype */
    int tile_axis;      /* that makes tiles with the last one, or -1 */
    int64_t panel_rows; /* of it */
} Move;

static void
plain_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    const Move *move = ctx;
    cpu_copy_run(data[0], strides[0], data[1], strides[1], n, move->in_size);
}

static void
cast_run(void *ctx, char **data, const int64_t *strides, int64_t n)
{
    (void)strides;
    const void *in = data[1];
    ((const Move *)ctx)->cast(data[0], &in, n, 0);
}

/* ---- casts between strides: pack, cast, unpack ---- */

static void
cast_blocks(const Move *move, int64_t begin, int64_t end, DType from, DType to)
{
    int64_t strides[2][ARRAY_MAX_NDIM];
    _Alignas(64) char in_block[BLOCK * 16];
    _Alignas(64) char out_block[BLOCK * 16];
    const Iterate *it = &move->it;
    for (int axis = 0; axis < it->ndim; axis++) {
        strides[0][axis] = it->strides[axis][0];
        strides[1][axis] = it->strides[axis][1];
    }
    const Operand out = {move->data[0] + it->start[0], to, it->ndim, it->shape, strides[0]};
    const Operand in = {move->data[1] + it->start[1], from, it->ndim, it->shape, strides[1]};
    for (int64_t at = begin; at < end; at += BLOCK) {
        const int64_t stop = at + BLOCK < end ? at + BLOCK : end;
        iterate_pack(&in, at, stop, in_block);
        move->cast(out_block, (const void *[]){in_block}, stop - at, 0);
        iterate_unpack(&out, at, stop, out_block);
    }
}

typedef struct MoveTask {
    Move *move;
    DType from, to;
    bool blocks;
} MoveTask;

static void
move_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const MoveTask *task = ctx;
    Move *move = task->move;
    if (task->blocks) {
        cast_blocks(move, begin, end, task->from, task->to);
    } else {
        iterate_run(&move->it, move->data, begin, end, move->cast != NULL ? cast_run : plain_run,
                    move);
    }
}

/* ---- transposes and short runs: tiles in which both sides stay in the cache ---- */

static inline void
copy_tile(char *to, int64_t to_row, const char *from, int64_t from_row, int64_t from_step,
          int64_t rows, int64_t columns, size_t item)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            memcpy(to + i * to_row + j * (int64_t)item, from + i * from_row + j * from_step, item);
        }
    }
}

/* Does the kernel that transposes 8-byte elements suit? It wants them aligned. */
static bool
suits_kernel(const Move *move, const char *to, int64_t to_row, const char *from, int64_t from_row,
             int64_t from_step)
{
    const uintptr_t bits = (uintptr_t)to | (uintptr_t)to_row | (uintptr_t)from | (uintptr_t)from_step;
    return move->in_size == 8 && from_row == 8 && bits % 8 == 0 && move->it.inner >= SHORT_RUN;
}

/* Rows [begin, end) of the tile axis by all columns of the last axis, at one place of the rest. */
static void
copy_panel(const Move *move, char *to, const char *from, int64_t begin, int64_t end)
{
    const Iterate *it = &move->it;
    const int last = it->ndim - 1;
    const int axis = move->tile_axis;
    const int64_t to_row = it->strides[axis][0], from_row = it->strides[axis][1];
    const int64_t to_step = it->strides[last][0], from_step = it->strides[last][1];
    const int64_t rows = end - begin;
    to += begin * to_row;
    from += begin * from_row;
    if (from_step == move->in_size) {
        for (int64_t i = 0; i < rows; i++) {
            cpu_copy_short(to + i * to_row, from + i * from_row, it->inner * from_step);
        }
        return;
    }
    if (suits_kernel(move, to, to_row, from, from_row, from_step)) {
        cpu_tile_kernels(DT_f64)->load(to, to_row / 8, from, from_step, from_row, it->inner, rows);
        return;
    }
    for (int64_t column = 0; column < it->inner; column += TILE) {
        const int64_t columns = it->inner - column < TILE ? it->inner - column : TILE;
        char *t = to + column * to_step;
        const char *f = from + column * from_step;
        switch (move->in_size) {
        case 1: copy_tile(t, to_row, f, from_row, from_step, rows, columns, 1); break;
        case 2: copy_tile(t, to_row, f, from_row, from_step, rows, columns, 2); break;
        case 4: copy_tile(t, to_row, f, from_row, from_step, rows, columns, 4); break;
        case 8: copy_tile(t, to_row, f, from_row, from_step, rows, columns, 8); break;
        default: copy_tile(t, to_row, f, from_row, from_step, rows, columns, 16); break;
        }
    }
}

/* Panels are numbered over (all axes but the last two in play) x (blocks of the tile axis). */
static void
tile_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const Move *move = ctx;
    const Iterate *it = &move->it;
    const int64_t rows = it->shape[move->tile_axis], most = move->panel_rows;
    const int64_t blocks = (rows + most - 1) / most;
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t rest = panel / blocks;
        char *to = move->data[0] + it->start[0];
        const char *from = move->data[1] + it->start[1];
        for (int axis = it->ndim - 2; axis >= 0; axis--) {
            if (axis != move->tile_axis) {
                const int64_t i = rest % it->shape[axis];
                rest /= it->shape[axis];
                to += i * it->strides[axis][0];
                from += i * it->strides[axis][1];
            }
        }
        const int64_t row = panel % blocks * most;
        copy_panel(move, to, from, row, row + most < rows ? row + most : rows);
    }
}

/* The axis to tile with the last one: where `in` is contiguous while the last is not; or the next
 * one, since a call for each short run would take longer than the run. */
static int
find_tile_axis(const Move *move)
{
    const Iterate *it = &move->it;
    const int last = it->ndim - 1;
    if (it->strides[last][0] != move->in_size) {
        return -1;
    }
    const int64_t from_step = it->strides[last][1];
    if (from_step == move->in_size) {
        return it->inner * from_step <= SHORT_RUN_BYTES ? last - 1 : -1;
    }
    if (it->inner < SHORT_RUN) {
        return last - 1;
    }
    for (int axis = 0; axis < last; axis++) {
        const int64_t step = it->strides[axis][1];
        if ((step == move->in_size || step == -move->in_size) && it->shape[axis] >= 8 &&
            from_step != 0) {
            return axis;
        }
    }
    return -1;
}

static Status
move_tiles(Move *move)
{
    const Iterate *it = &move->it;
    const int64_t rows = it->shape[move->tile_axis];
    move->panel_rows = it->inner < TILE ? TILE * TILE / it->inner : TILE;
    const int64_t panel_bytes = move->panel_rows * it->inner * move->in_size;
    const int64_t blocks = (rows + move->panel_rows - 1) / move->panel_rows;
    const int64_t panels = it->size / (rows * it->inner) * blocks;
    const int64_t grain = MOVE_GRAIN_BYTES / 2 / panel_bytes;
    return pool_run(panels, grain > 0 ? grain : 1, tile_part, move);
}

/* ---- the driver ---- */

void
cpu_broadcast_strides(int ndim, const Operand *in, int64_t *strides)
{
    for (int axis = 0; axis < ndim; axis++) {
        const int at = axis - (ndim - in->ndim);
        strides[axis] = at < 0 || in->shape[at] == 1 ? 0 : in->strides[at];
    }
}

Status
cpu_move(const Operand *out, const Operand *in)
{
    int64_t in_strides[ARRAY_MAX_NDIM];
    Move move; /* not cleared as a whole: the iterator is large and fills itself in */
    move.data[0] = out->data;
    move.data[1] = in->data;
    move.in_size = dtype_size(in->dtype);
    move.out_size = dtype_size(out->dtype);
    move.cast = NULL;
    move.tile_axis = -1;
    cpu_broadcast_strides(out->ndim, in, in_strides);
    iterate_init(&move.it, out->ndim, out->shape, 2, (const int64_t *[]){out->strides, in_strides},
                 ITERATE_REORDER);
    const int64_t size = move.it.size;
    if (size == 0) {
        return STATUS_OK;
    }
    MoveTask task = {&move, in->dtype, out->dtype, false};
    if (in->dtype != out->dtype) {
        const int64_t *steps = move.it.strides[move.it.ndim - 1];
        const bool runs = (steps[0] == move.out_size && steps[1] == move.in_size) || size == 1;
        move.cast = cpu_cast_kernel(in->dtype, out->dtype);
        task.blocks = !runs || (move.it.ndim > 1 && move.it.inner < 32);
    } else if (move.it.ndim > 1 && (move.tile_axis = find_tile_axis(&move)) >= 0) {
        return move_tiles(&move);
    }
    const int64_t wide = move.in_size > move.out_size ? move.in_size : move.out_size;
    return pool_run(size, MOVE_GRAIN_BYTES / wide, move_part, &task);
}

Status
cpu_copy(const Call *call)
{
    return cpu_move(&call->out, &call->in[0]);
}

Status
cpu_cast(const Call *call)
{
    return cpu_move(&call->out, &call->in[0]);
}

char *
cpu_contiguous(const Operand *in, void **block, size_t *size)
{
    int64_t strides[ARRAY_MAX_NDIM];
    const int64_t n = shape_strides(in->ndim, in->shape, dtype_size(in->dtype), strides);
    *block = NULL;
    *size = (size_t)n * (size_t)dtype_size(in->dtype);
    if (operand_is_contiguous(in)) {
        return in->data;
    }
    if (n < 0 || (*block = mem_new(*size)) == NULL) {
        return NULL;
    }
    const Operand copy = {*block, in->dtype, in->ndim, in->shape, strides};
    if (cpu_move(&copy, in) != STATUS_OK) {
        mem_free(*block, *size);
        return *block = NULL;
    }
    return *block;
}
