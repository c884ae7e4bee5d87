/* backend/cpu/tile_inside.c -- products that the block reading them computes as it goes.
 *
 * Where a block walks over the rows of a shared matrix group by group, and nobody else reads
 * their products, those of one group are computed right before the block reads them: they stay
 * in the first-level cache, and tiles may have more lanes. */
#include "backend/cpu/tile.h"

bool
tile_step_uses(const TileStep *step, int buffer)
{
    for (int i = 0; i < step->nin + step->nout; i++) {
        const TileRef *ref = i < step->nin ? &step->in[i] : &step->out[i - step->nin];
        if (!ref->is_view && !ref->is_sum && ref->at == buffer) {
            return true;
        }
    }
    return false;
}

/* The only step but the map's own that has to do with its buffer, or -1. */
static int
find_reader(const TileProgram *p, int map)
{
    int reader = -1;
    for (int s = 0; s < p->nsteps; s++) {
        if (s != map && tile_step_uses(&p->steps[s], p->steps[map].out[0].at)) {
            if (reader >= 0 || s < map) {
                return -1;
            }
            reader = s;
        }
    }
    return reader;
}

/* Do all the operands lie within the rows of their index of the outermost axis? */
static bool
stays_within(const TileStep *block, int buffer, int64_t rows)
{
    for (int i = 0; i < block->nin + block->nout; i++) {
        const TileRef *ref = i < block->nin ? &block->in[i] : &block->out[i - block->nin];
        if (ref->is_view || ref->at != buffer) {
            continue;
        }
        int64_t last = ref->offset;
        for (int d = 1; d < block->ndim; d++) {
            last += ref->strides[d] * (block->shape[d] - 1);
        }
        if (i >= block->nin || ref->strides[0] != rows || last >= rows) {
            return false;
        }
    }
    return true;
}

void
tile_find_inside(TileCode *code)
{
    const TileProgram *p = code->program;
    for (int s = 0; s < p->nsteps; s++) {
        const TileStep *map = &p->steps[s];
        if (map->kind != TILE_MAP || map->ndim > 0 || p->buffers[map->out[0].at].lasts) {
            continue;
        }
        const int reader = find_reader(p, s);
        const TileStep *block = reader < 0 ? NULL : &p->steps[reader];
        if (block == NULL || block->kind != TILE_BLOCK || block->ndim < 1 ||
            block->shape[0] < 2 || map->ni % block->shape[0] != 0 ||
            code->plans[reader].map_rows > 0 || map->out[0].offset != 0 ||
            map->out[0].strides[0] != 1 ||
            !stays_within(block, map->out[0].at, map->ni / block->shape[0])) {
            continue;
        }
        code->plans[s].inside = true;
        code->plans[reader].map = s;
        code->plans[reader].map_rows = map->ni / block->shape[0];
    }
}
