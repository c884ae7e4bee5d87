/* backend/cpu/tile_line.c -- a step of elementwise instructions along a line: the block over the one
 * axis of its space, for one row of a tile after the other. */
#include "backend/cpu/tile.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"

#include <string.h>

enum {
    LINE_OPERANDS = 256,
    LINE_LANES = 8192,     /* of one run, where a block may have so many */
    LOOK_EVERY = 128 * 1024 /* elements between looks for Ctrl-C */
};

static const TileRef *
operand(const TileStep *step, int k)
{
    return k < step->nin ? &step->in[k] : &step->out[k - step->nin];
}

static DType
dtype_of(const TileProgram *p, const TileRef *ref)
{
    return ref->is_sum    ? p->sums[ref->at].dtype
           : ref->is_view ? p->views[ref->at].dtype
                          : p->buffers[ref->at].dtype;
}

/* One element for all of the line? */
static bool
stays(const TileProgram *p, const TileRef *ref)
{
    return ref->is_view ? ref->strides[0] == 0 : !ref->is_sum && !p->buffers[ref->at].by_rows;
}

Status
tile_prepare_line(const TileProgram *p, const TileStep *step, TilePlan *plan,
                  int64_t *scratch_bytes)
{
    uint8_t dtypes[LINE_OPERANDS];
    bool uniform[LINE_OPERANDS], in_place = false;
    if (step->nin + step->nout > LINE_OPERANDS) {
        return err_set(ERR_RUNTIME, "stage: a block is too large");
    }
    int64_t copies = 0;
    for (int i = 0; i < step->nin; i++) {
        uniform[i] = stays(p, &step->in[i]);
        dtypes[i] = (uint8_t)dtype_of(p, &step->in[i]);
        in_place = in_place || step->in[i].is_sum;
        copies += step->in[i].is_view && !uniform[i];
    }
    const BlockSpec spec = {.nin = step->nin,
                            .ninstructions = step->ninstructions,
                            .nout = step->nout,
                            .in_dtypes = dtypes,
                            .in_uniform = uniform,
                            .instructions = step->instructions,
                            .out_registers = step->out_registers,
                            .nsum = step->nsums,
                            .sum_registers = step->sum_registers,
                            .lanes = BLOCK_LANES,
                            .elements = p->rows * step->shape[0],
                            .in_place = in_place};
    plan->block = block_compile(&spec);
    if (plan->block == NULL) {
        return STATUS_ERROR;
    }
    plan->copies = step->nsums * (int64_t)BLOCK_SUM_BYTES +
                   tile_round(block_scratch_bytes(plan->block), 64);
    *scratch_bytes = plan->copies + copies * BLOCK_LANES * BLOCK_ELEMENT_BYTES;
    return STATUS_OK;
}

/* An operand that moves along the line. */
typedef struct Mover {
    int k;
    const char *at; /* its first element of the row */
    int64_t stride; /* bytes */
    int64_t size;   /* of an element */
    char *copy;     /* where a block of it is put side by side, or NULL */
} Mover;

typedef struct Line {
    const Tile *t;
    const TileStep *step;
    const TilePlan *plan;
    BlockFrame frame;
    void **pointers;
    int64_t lanes; /* of one run */
    int nmovers;
    Mover movers[LINE_OPERANDS];
} Line;

/* The row's first element of an operand. */
static char *
first_element(const Tile *t, const TileRef *ref, int64_t r)
{
    const TileProgram *p = t->program;
    if (ref->is_sum) {
        return tile_part(t, ref->at);
    }
    if (ref->is_view) {
        const TileMemory *memory = &t->sweep->views[ref->at];
        return memory->data + (t->row + r) * memory->row_stride;
    }
    const int64_t size = dtype_size(p->buffers[ref->at].dtype);
    return p->buffers[ref->at].by_rows
               ? t->buffers + t->code->places[ref->at] + r * p->buffers[ref->at].count * size
               : tile_buffer(t, ref) + r * size;
}

static void
line_find_movers(Line *l)
{
    const TileStep *step = l->step;
    char *copy = l->t->scratch + l->plan->copies;
    l->lanes = block_most_lanes(l->plan->block) < LINE_LANES ? BLOCK_LANES : LINE_LANES;
    for (int k = 0; k < step->nin + step->nout; k++) {
        const TileRef *ref = operand(step, k);
        if (stays(l->t->program, ref)) {
            continue;
        }
        Mover *m = &l->movers[l->nmovers++];
        *m = (Mover){.k = k, .size = dtype_size(dtype_of(l->t->program, ref))};
        m->stride = m->size;
        if (ref->is_view) {
            const TileMemory *memory = &l->t->sweep->views[ref->at];
            m->stride = memory->strides[0];
            const bool aligned = (uintptr_t)memory->data % (uintptr_t)m->size == 0 &&
                                 memory->row_stride % m->size == 0;
            m->copy = m->stride == m->size && aligned ? NULL : copy;
            l->lanes = m->copy == NULL ? l->lanes : BLOCK_LANES;
            copy += BLOCK_LANES * BLOCK_ELEMENT_BYTES;
        }
    }
}

static void
line_start_row(Line *l, int64_t r)
{
    for (int k = 0; k < l->step->nin + l->step->nout; k++) {
        l->pointers[k] = first_element(l->t, operand(l->step, k), r);
    }
    for (int m = 0; m < l->nmovers; m++) {
        l->movers[m].at = l->pointers[l->movers[m].k];
    }
}

static void
line_move(const Line *l, int64_t j, int64_t n)
{
    for (int i = 0; i < l->nmovers; i++) {
        const Mover *m = &l->movers[i];
        const char *from = m->at + j * m->stride;
        l->pointers[m->k] = m->copy != NULL ? m->copy : (char *)(uintptr_t)from;
        for (int64_t e = 0; m->copy != NULL && e < n; e++) {
            memcpy(m->copy + e * m->size, from + e * m->stride, (size_t)m->size);
        }
    }
}

/* The row's sums into its elements of buffers. */
static void
line_end_row(const Line *l, int64_t r)
{
    for (int s = 0; s < l->step->nsums; s++) {
        _Alignas(16) char sum[BLOCK_ELEMENT_BYTES];
        const TileRef *ref = &l->step->block_sums[s];
        block_sum_fold(l->plan->block, l->frame.sums, s, sum);
        cpu_reduce_kernels(REDUCE_SUM, l->t->program->buffers[ref->at].dtype)
            ->join(first_element(l->t, ref, r), sum, 1);
    }
}

bool
tile_line(const Tile *t, const TileStep *step, const TilePlan *plan)
{
    Line l = {.t = t, .step = step, .plan = plan, .pointers = t->pointers + plan->refs};
    l.frame = (BlockFrame){.in = (const void *const *)l.pointers,
                           .out = (void *const *)(l.pointers + step->nin),
                           .sums = t->scratch,
                           .scratch = t->scratch + step->nsums * (int64_t)BLOCK_SUM_BYTES};
    int64_t done = 0;
    line_find_movers(&l);
    for (int64_t r = 0; r < t->n; r++) {
        line_start_row(&l, r);
        block_sums_start(plan->block, l.frame.sums);
        if (!block_prologue(plan->block, &l.frame)) {
            return false;
        }
        for (int64_t j = 0; j < step->shape[0]; j += l.lanes) {
            const int64_t left = step->shape[0] - j, n = left < l.lanes ? left : l.lanes;
            done += n;
            if (done >= LOOK_EVERY && tile_is_stopped(t)) {
                return true;
            }
            done %= LOOK_EVERY;
            line_move(&l, j, n);
            if (!block_run(plan->block, &l.frame, n)) {
                return false;
            }
        }
        line_end_row(&l, r);
    }
    return true;
}
