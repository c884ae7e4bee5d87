/* backend/cpu/tile_squares.c -- blocks that add up squares of a product's rows, each less a shared
 * element: squared distances after a linear map.
 *
 * The kernel of the product adds them up where it has the rows in registers, so that they are
 * never stored. Terms are added in the block's order. */
#include "backend/cpu/tile.h"

#include <string.h>

/* A block as it is looked at. */
typedef struct Squares {
    const TileStep *block;
    int buffer;         /* of the product that it reads */
    int64_t count;      /* rows that one run reads */
    int shift;          /* the input that is taken off row 0, or -1 */
    int64_t shift_step; /* from one row to the next */
} Squares;

static bool
is_row(const Squares *s, int input, int64_t at)
{
    if (input >= s->block->nin) {
        return false;
    }
    const TileRef *ref = &s->block->in[input];
    return !ref->is_view && ref->at == s->buffer && ref->offset == at &&
           (s->block->ndim == 1 || ref->strides[1] == s->count);
}

/* What is taken off row 0 says how the others' must follow it. */
static bool
is_shift(Squares *s, int input, int64_t at)
{
    if (input >= s->block->nin || !s->block->in[input].is_view) {
        return false;
    }
    s->shift = at == 0 ? input : s->shift;
    if (s->shift < 0) {
        return false;
    }
    const TileRef *ref = &s->block->in[input];
    const TileRef *first = &s->block->in[s->shift];
    s->shift_step = at == 1 ? ref->offset - first->offset : s->shift_step;
    return ref->at == first->at && ref->offset == first->offset + at * s->shift_step &&
           memcmp(ref->strides, first->strides, sizeof ref->strides) == 0;
}

/* Does the instruction compute the row less its shift? */
static bool
is_difference(Squares *s, const Instruction *in, int64_t at)
{
    return in->op == OP_subtract && ((is_row(s, in->in[0], at) && is_shift(s, in->in[1], at)) ||
                                     (is_row(s, in->in[1], at) && is_shift(s, in->in[0], at)));
}

static bool
is_same(const TileRef *a, const TileRef *b)
{
    return a->is_view == b->is_view && a->at == b->at && a->offset == b->offset &&
           memcmp(a->strides, b->strides, sizeof a->strides) == 0;
}

/* Is the block nothing but the sum of the squares, added to its result? */
static bool
is_sum_of_squares(Squares *s)
{
    const TileStep *block = s->block;
    const Instruction *in = block->instructions, *const end = in + block->ninstructions;
    int sum = -1;
    for (int64_t at = 0; at < s->count; at++) {
        int term = in->in[0];
        if (is_difference(s, in, at)) {
            term = in++->out;
        } else if (s->shift >= 0 || !is_row(s, term, at)) {
            return false;
        }
        if (in == end || in->op != OP_fma || in->in[0] != term || in->in[1] != term) {
            return false;
        }
        const int before = in->in[2];
        if (at == 0 ? before >= block->nin || !is_same(&block->in[before], &block->out[0])
                    : before != sum) {
            return false;
        }
        sum = in++->out;
        if (in == end) {
            return at == s->count - 1 && block->out_registers[0] == sum;
        }
    }
    return false;
}

/* With a second axis the runs go on where those before ended. */
static bool
goes_on(const Squares *s)
{
    return s->block->ndim == 1 ||
           (s->block->out[0].strides[1] == 0 &&
            (s->shift < 0 || s->block->in[s->shift].strides[1] == s->count * s->shift_step));
}

/* All elements that squares are added to were filled right before? Then they need not be. */
static void
leave_out_fill(TileCode *code, int block)
{
    const TileProgram *p = code->program;
    const TileRef *out = &p->steps[block].out[0];
    int s = block - 1;
    while (s >= 0 && !tile_step_uses(&p->steps[s], out->at)) {
        s--;
    }
    if (s >= 0 && p->steps[s].kind == TILE_FILL && p->steps[s].op == OP_sum && out->offset == 0 &&
        out->strides[0] == 1 && p->buffers[out->at].count == p->steps[block].shape[0]) {
        code->plans[s].left_out = code->plans[block].fresh = true;
    }
}

void
tile_find_squares(TileCode *code)
{
    const TileProgram *p = code->program;
    for (int k = 0; k < p->nsteps; k++) {
        TilePlan *plan = &code->plans[k];
        const TileStep *block = &p->steps[k];
        if (plan->map_rows == 0 || block->ndim > 2 || block->nout != 1 || block->nsums > 0 ||
            block->out[0].is_view) {
            continue;
        }
        Squares s = {.block = block, .buffer = p->steps[plan->map].out[0].at, .shift = -1};
        s.count = plan->map_rows / (block->ndim == 2 ? block->shape[1] : 1);
        if (is_sum_of_squares(&s) && goes_on(&s)) {
            plan->squares = true;
            plan->shift = s.shift;
            plan->shift_step = s.shift_step;
            leave_out_fill(code, k);
        }
    }
}

void
tile_squares(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    static const double zero = 0;
    const TileStep *map = &t->program->steps[plan->map];
    const TilePlan *map_plan = &t->code->plans[plan->map];
    const TileRef *in = &map->in[0], *out = &step->out[0];
    TileSquares s = {.a = tile_matrix(t, map_plan)->rows,
                     .groups = step->shape[0],
                     .ni = plan->map_rows,
                     .nj = map->nj,
                     .in = tile_buffer(t, in),
                     .in_step = in->strides[0] * tile_distance(t, in->at),
                     .spans = tile_map_spans(t, map, map_plan),
                     .shift = (const char *)&zero,
                     .ahead = tile_ahead(t, in->at),
                     .fresh = plan->fresh};
    if (plan->shift >= 0) {
        const TileRef *shift = &step->in[plan->shift];
        const int64_t *strides = t->sweep->views[shift->at].strides;
        const int last = t->program->views[shift->at].ndim - 1;
        s.shift = tile_start(t, shift);
        s.shift_group = shift->strides[0] == 0 ? 0 : shift->strides[0] * strides[0];
        s.shift_stride = plan->shift_step == 0 ? 0 : plan->shift_step * strides[last];
    }
    cpu_tile_kernels(t->program->buffers[out->at].dtype)
        ->squares(tile_buffer(t, out), out->strides[0] * tile_distance(t, out->at), &s, t->n);
}
