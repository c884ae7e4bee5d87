/* backend/cpu/gather.c -- advanced indexing: blocks read from the places that indices name. */
#include "backend/cpu/selection.h"
#include "backend/cpu/iterate.h"

#include "base/pool.h"

#include <string.h>

typedef struct Gather {
    Selection places;
    const Operand *in;
    char *out;
    int64_t block_bytes;
} Gather;

static inline void
gather_fixed(char *out, const char *in, const int64_t *offsets, int64_t n, size_t item)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + i * (int64_t)item, in + offsets[i], item);
    }
}

/* The same from the indices themselves, for one contiguous index array. */
static inline void
gather_direct(char *out, const char *in, const int64_t *index, int64_t size, int64_t stride,
              int64_t n, size_t item)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = index[i] + (index[i] < 0 ? size : 0);
        memcpy(out + i * (int64_t)item, in + at * stride, item);
    }
}

/* Places [t, t + n) of one outer element, where gather_direct applies; else false. */
static bool
gather_simple(const Gather *g, char *out, const char *in, int64_t t, int64_t n)
{
    const Selection *s = &g->places;
    const Operand *index = &s->index[0];
    if (s->k != 1 || index->ndim != 1 || index->strides[0] != (int64_t)sizeof(int64_t)) {
        return false;
    }
    const int64_t *at = (const int64_t *)index->data + t;
    switch (g->block_bytes) {
    case 4: gather_direct(out, in, at, s->sizes[0], s->strides[0], n, 4); return true;
    case 8: gather_direct(out, in, at, s->sizes[0], s->strides[0], n, 8); return true;
    case 16: gather_direct(out, in, at, s->sizes[0], s->strides[0], n, 16); return true;
    default: return false;
    }
}

static void
gather_flat(char *out, const char *in, const int64_t *offsets, int64_t n, int64_t bytes)
{
    switch (bytes) { /* literal sizes become single moves */
    case 1: gather_fixed(out, in, offsets, n, 1); return;
    case 2: gather_fixed(out, in, offsets, n, 2); return;
    case 4: gather_fixed(out, in, offsets, n, 4); return;
    case 8: gather_fixed(out, in, offsets, n, 8); return;
    case 16: gather_fixed(out, in, offsets, n, 16); return;
    case 24: gather_fixed(out, in, offsets, n, 24); return;
    case 32: gather_fixed(out, in, offsets, n, 32); return;
    default: break;
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + i * bytes, in + offsets[i], (size_t)bytes);
    }
}

/* Places [t, t + n) of the outer elements from o to `end`: what addresses them is found once. */
static void
gather_block(const Gather *g, int64_t o, int64_t end, int64_t t, int64_t n)
{
    const Selection *s = &g->places;
    int64_t offsets[SELECTION_BLOCK];
    const bool direct = s->inner_flat && end - o == 1;
    for (bool found = false; o < end; o++) {
        const char *in = g->in->data + selection_outer_offset(s, g->in, o);
        char *out = g->out + (o * s->n + t) * g->block_bytes;
        if (direct && gather_simple(g, out, in, t, n)) {
            return;
        }
        if (!found) {
            selection_offsets(s, t, t + n, offsets);
            found = true;
        }
        if (s->inner_flat) {
            gather_flat(out, in, offsets, n, g->block_bytes);
            continue;
        }
        Operand block = s->inner;
        for (int64_t i = 0; i < n; i++) {
            block.data = (char *)(uintptr_t)in + offsets[i];
            iterate_pack(&block, 0, s->inner_size, out + i * g->block_bytes);
        }
    }
}

/* Blocks [begin, end), numbered over outer x places. */
static void
gather_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const Gather *g = ctx;
    const int64_t places = g->places.n;
    for (int64_t at = begin; at < end;) {
        const int64_t o = at / places, first = at % places;
        const int64_t rows = first == 0 && end - at >= places ? (end - at) / places : 1;
        const int64_t left = rows * (places - first);
        const int64_t last = left <= end - at ? places : first + (end - at);
        for (int64_t t = first; t < last; t += SELECTION_BLOCK) {
            const int64_t n = last - t < SELECTION_BLOCK ? last - t : SELECTION_BLOCK;
            gather_block(g, o, o + rows, t, n);
        }
        at += left < end - at ? left : end - at;
    }
}

Status
cpu_gather(const Call *call)
{
    Gather g;
    g.in = &call->in[0];
    g.out = call->out.data;
    selection_init(&g.places, g.in, &call->in[1], call->nin - 1, (int)call->params[0]);
    if (selection_check(&g.places) != STATUS_OK) {
        return STATUS_ERROR;
    }
    g.block_bytes = g.places.inner_size * dtype_size(g.in->dtype);
    const int64_t blocks = g.places.outer * g.places.n;
    if (blocks == 0 || g.block_bytes == 0) {
        return STATUS_OK;
    }
    /* An index costs about as much as 16 bytes moved. */
    return pool_run(blocks, move_index_grain() / (g.block_bytes + 16) + 1, gather_part, &g);
}
