/* backend/cpu/tile_reading.c -- which loaded buffers can be read where the view's memory lies.
 *
 * Where rows lie side by side there, blocks and products do as well with the memory itself: that
 * saves copying it. The rows of the next tile are fetched meanwhile, by the machine code of blocks
 * where that computes much, else by the products that read them. */
#include "backend/cpu/tile.h"

#include "backend/cpu/native.h"

/* How the step reads its i-th input, if it is that buffer, as far as it goes. */
static TileReading
reading_of(const TileStep *step, int i)
{
    switch (step->kind) {
    case TILE_BLOCK:
    case TILE_SUM:
        return TILE_FETCHED_AT_ONCE;
    case TILE_MAP:
        return i == 0 ? TILE_FETCHED_BY_READER : TILE_COPIED;
    case TILE_OUTER:
        return i == 1 ? TILE_FETCHED_BY_READER : TILE_FETCHED_AT_ONCE;
    default:
        return TILE_COPIED;
    }
}

/* All readers must do with the memory; a single one may fetch the next rows. */
static TileReading
buffer_reading(const TileProgram *p, int load)
{
    const int buffer = p->steps[load].out[0].at;
    TileReading all = TILE_FETCHED_BY_READER;
    int readers = 0;
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *step = &p->steps[s];
        for (int o = 0; o < step->nout; o++) {
            if (s != load && !step->out[o].is_view && step->out[o].at == buffer) {
                return TILE_COPIED;
            }
        }
        for (int i = 0; i < step->nin; i++) {
            if (!step->in[i].is_view && !step->in[i].is_sum && step->in[i].at == buffer) {
                const TileReading one = reading_of(step, i);
                all = one < all ? one : all;
                readers++;
            }
        }
    }
    return readers > 1 && all == TILE_FETCHED_BY_READER ? TILE_FETCHED_AT_ONCE : all;
}

/* ---- stores ---- */

/* Does the step go over all elements of its buffer in their order? */
static bool
walks_in_order(const TileProgram *p, const TileStep *step)
{
    int64_t stride = 1;
    for (int d = step->ndim - 1; d >= 0; d--) {
        if (step->shape[d] > 1 && step->in[0].strides[d] != stride) {
            return false;
        }
        stride *= step->shape[d];
    }
    return step->in[0].offset == 0 && stride == p->buffers[step->in[0].at].count;
}

/* Only blocks write no lanes beyond the last row. Nobody may read the memory in a way that needs
 * a buffer's. */
static bool
may_store_in_place(const TileCode *code, int store)
{
    const TileProgram *p = code->program;
    const TileStep *step = &p->steps[store];
    const int buffer = step->in[0].at;
    const TileOut *out = &p->outs[step->to];
    if (out->inner != 1 || out->dtype != p->buffers[buffer].dtype || p->buffers[buffer].lasts ||
        !walks_in_order(p, step)) {
        return false;
    }
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *other = &p->steps[s];
        for (int k = 0; k < other->nin + other->nout; k++) {
            const TileRef *ref = k < other->nin ? &other->in[k] : &other->out[k - other->nin];
            if (!ref->is_view && !ref->is_sum && ref->at == buffer && s != store &&
                (other->kind != TILE_BLOCK || code->plans[s].squares || s > store)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- what blocks fetch ---- */

enum { NODES_A_LINE = 6 }; /* that a block computes while a line comes from memory */

/* Streams that all runs of the block together have the time for. */
static int64_t
room_for_streams(const TileCode *code, int s, int64_t *runs)
{
    const TileStep *step = &code->program->steps[s];
    int64_t nodes = 0;
    for (int k = 0; k < step->ninstructions && !code->plans[s].squares; k++) {
        nodes += native_nodes(&step->instructions[k], true);
    }
    *runs = tile_space(step);
    return nodes * *runs / NODES_A_LINE;
}

static int64_t
streams_of(const TileCode *code, const TileStep *load)
{
    const TileView *view = &code->program->views[load->in[0].at];
    return tile_space(load) * dtype_size(view->dtype) / (int64_t)sizeof(double);
}

/* The loads whose rows blocks fetch: as many as they have the time for, of those that nobody
 * else fetches better first. */
static Status
choose_streams(TileCode *code, int64_t room)
{
    const TileProgram *p = code->program;
    for (int reading = TILE_FETCHED_AT_ONCE; reading <= TILE_FETCHED_BY_READER; reading++) {
        for (int s = 0; s < p->nsteps; s++) {
            const TileStep *step = &p->steps[s];
            const int size = step->kind == TILE_LOAD ? dtype_size(p->views[step->in[0].at].dtype) : 0;
            const int parts = size / (int)sizeof(double);
            if (size == 0 || size % (int)sizeof(double) != 0 ||
                code->reading[step->out[0].at] != reading || streams_of(code, step) > room) {
                continue;
            }
            room -= streams_of(code, step);
            code->reading[step->out[0].at] = TILE_FETCHED_BY_BLOCKS;
            for (int64_t k = 0; k < streams_of(code, step); k++) {
                if (vec_push(&code->streams, (TileStream){s, k / parts, (int)(k % parts)}) !=
                    STATUS_OK) {
                    return STATUS_ERROR;
                }
            }
        }
    }
    return STATUS_OK;
}

/* To each block its share, the same number to each of its runs. */
static void
share_streams(TileCode *code, int64_t room)
{
    const TileProgram *p = code->program;
    int64_t next = 0;
    for (int s = 0; s < p->nsteps && next < code->streams.size; s++) {
        if (p->steps[s].kind == TILE_BLOCK) {
            int64_t runs;
            const int64_t own = room_for_streams(code, s, &runs);
            const int64_t share = (code->streams.size * own + room - 1) / room;
            code->plans[s].stream = (int)next;
            code->plans[s].nstreams = (int)((share + runs - 1) / runs);
            next += code->plans[s].nstreams * runs;
        }
    }
    code->nstreams = next > code->streams.size ? next : code->streams.size;
}

void
tile_drop_streams(TileCode *code)
{
    const TileProgram *p = code->program;
    for (int s = 0; s < p->nsteps; s++) {
        code->plans[s].nstreams = 0;
        if (p->steps[s].kind == TILE_LOAD) {
            code->reading[p->steps[s].out[0].at] = (uint8_t)buffer_reading(p, s);
        }
    }
    vec_clear(&code->streams);
    code->nstreams = 0;
}

/* ---- running ---- */

void
tile_aim_stores(const Tile *t)
{
    const TileProgram *p = t->program;
    for (int s = 0; s < p->nsteps; s++) {
        if (p->steps[s].kind == TILE_STORE && t->code->plans[s].in_place) {
            const int64_t size = dtype_size(p->outs[p->steps[s].to].dtype);
            const int buffer = p->steps[s].in[0].at;
            t->bases[buffer] = t->sweep->outs[p->steps[s].to] + t->row * size;
            t->distances[buffer] = p->rows * size;
        }
    }
}

/* The view's elements are as far from one another as their order says, so that one distance leads
 * from each to the next; 0 where they are not. */
static int64_t
even_distance(const TileMemory *memory, const TileStep *step, int64_t size)
{
    int64_t distance = size, next = 0;
    for (int d = step->ndim - 1; d >= 0; d--) {
        if (step->shape[d] == 1) {
            continue;
        }
        if (next == 0) {
            distance = memory->strides[d];
        } else if (memory->strides[d] != next) {
            return 0;
        }
        next = memory->strides[d] * step->shape[d];
    }
    return distance;
}

/* Lanes beyond the last row would be written to, so there must be none. */
int64_t
tile_distance_in_place(const Tile *t, const TileStep *step)
{
    const int view = step->in[0].at;
    const TileMemory *memory = &t->sweep->views[view];
    const int64_t size = tile_view_size(t, view);
    const int64_t part = dtype_size(dtype_real(t->program->views[view].dtype));
    const int64_t distance = even_distance(memory, step, size);
    const bool there = t->code->reading[step->out[0].at] != TILE_COPIED &&
                       t->n % TILE_UNIT == 0 && memory->row_stride == size &&
                       distance % size == 0 && (uintptr_t)memory->data % (uintptr_t)part == 0;
    return there ? distance : 0;
}

void
tile_aim_streams(const Tile *t)
{
    const char *from = NULL;
    int64_t distance = 0;
    int load = -1;
    for (int64_t k = 0; k < t->code->nstreams && t->next >= 0; k++) {
        const TileStream *s = &t->code->streams.data[k];
        t->streams[k] = t->scratch;
        if (k >= t->code->streams.size) {
            continue;
        }
        if (s->load != load) {
            const TileStep *step = &t->program->steps[s->load];
            const int view = step->in[0].at;
            load = s->load;
            distance = tile_distance_in_place(t, step);
            from = t->sweep->views[view].data + t->next * tile_view_size(t, view);
        }
        if (distance != 0) {
            const int64_t bytes = t->code->rows * (int64_t)sizeof(double);
            t->streams[k] = from + s->element * distance + s->part * bytes;
        }
    }
}

Status
tile_find_readings(TileCode *code)
{
    const TileProgram *p = code->program;
    int64_t room = 0;
    for (int s = 0; s < p->nsteps; s++) {
        if (p->steps[s].kind == TILE_LOAD) {
            code->reading[p->steps[s].out[0].at] = (uint8_t)buffer_reading(p, s);
        }
        if (p->steps[s].kind == TILE_STORE) {
            code->plans[s].in_place = may_store_in_place(code, s);
        }
        if (p->steps[s].kind == TILE_BLOCK) {
            int64_t runs;
            room += room_for_streams(code, s, &runs);
        }
    }
    if (choose_streams(code, room) != STATUS_OK) {
        return STATUS_ERROR;
    }
    if (code->streams.size > 0) {
        share_streams(code, room);
    }
    return STATUS_OK;
}
