/* backend/cpu/complex_product.c -- products of complex matrices by three real ones, on tiles, and
 * by two where one of them consists of conjugate halves.
 *
 * The smaller operand is packed once for each block of terms (it is often shared by the whole
 * stack), the other one strip by strip by whoever multiplies it. Blocks, strips and units depend
 * on the shape alone, so bits do not depend on threads. Strips whose parts differ much in size,
 * or that hold something huge or NaN, get four products.
 *
 * The matrix of a Fourier transform to or from points that lie symmetrically about zero has the
 * conjugate of each row (or column) among its rows (columns), in reverse order. Such a matrix,
 * when the whole stack shares it, is two real ones of half its size, and a product is two real
 * ones that lose no digits between the parts. What looks like that is tried; should it hold
 * another element after all, or the other operand something huge or NaN, the product is taken the
 * general way. */
#include "backend/cpu/kernels/product.h"
#include "backend/cpu/matrix.h"

#include "base/mem.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

enum {
    DEPTH = 256,         /* terms of a block: some strips of them fit in L2 */
    SIDE_MIN = 16,       /* rows and columns from which packing pays */
    WORK_MIN = 1 << 15,  /* multiplications */
    UNITS = 32,          /* to aim at */
    UNIT_STRIPS_MAX = 2, /* strips that a unit packs */
    GRAIN_BYTES = 1 << 15,
    STREAM_BYTES = 1 << 23 /* of results that are written past the caches */
};

/* One operand, cut into strips. */
typedef struct Side {
    const Matrix *x;
    StripKind kind;
    int64_t size;          /* rows of a, columns of b */
    int64_t stride;        /* from one to the next, bytes */
    int64_t along;         /* from term to term */
    int64_t strips, width; /* width: rows or columns, or pairs of them */
    int64_t plane;         /* elements of a packed strip from plane to plane, 0 where there is one */
    size_t bytes;          /* of a packed strip */
    StripState (*pack)(StripKind kind, void *to, const StripSource *from);
} Side;

typedef struct Block {
    const ComplexProduct *p;
    const ProductKernel *kernel;
    ProductForm form;
    Side a, b;
    Side *kept, *cut;     /* each is one of the two */
    int64_t size;         /* bytes of an element */
    int64_t first, terms; /* or pairs of them */
    bool stream;          /* results past the caches */
    int64_t copies;       /* of kept: 1 or one for each product of the stack */
    int64_t unit;         /* strips of cut */
    char *packed;         /* strips of kept */
    StripState *states;   /* of each of them */
    char *scratch;        /* the strips of a unit, for each thread */
    _Atomic bool misfit;  /* the form does not suit the elements */
} Block;

static bool
is_shared(const ComplexProduct *p, const Matrix *x)
{
    bool shared = true;
    for (int i = 0; i < p->nbatch_axes; i++) {
        shared = shared && (x->batch[i] == 0 || p->batch_shape[i] == 1);
    }
    return shared;
}

static bool
is_aligned(const ComplexProduct *p, const Matrix *x, int64_t alignment)
{
    bool ok = (intptr_t)x->data % alignment == 0;
    for (int i = 0; i < p->nbatch_axes; i++) {
        ok = ok && x->batch[i] % alignment == 0;
    }
    return ok && x->row_stride % alignment == 0 && x->column_stride % alignment == 0;
}

bool
complex_product_fits(const ComplexProduct *p, DType dtype)
{
    if (!dtype_is_complex(dtype) || cpu_product_kernel(dtype) == NULL) {
        return false;
    }
    const int64_t m = p->a.rows, n = p->b.columns, k = p->a.columns;
    const int64_t alignment = dtype_size(dtype_real(dtype));
    return m >= SIDE_MIN && n >= SIDE_MIN && k >= SIDE_MIN &&
           (double)m * (double)n * (double)k >= WORK_MIN && is_aligned(p, &p->a, alignment) &&
           is_aligned(p, &p->b, alignment);
}

static bool
is_paired(const Side *side)
{
    return side->kind == STRIP_HALVES || side->kind == STRIP_FOLDED;
}

/* A strip of one operand. */
static StripState
pack_strip(const Block *block, const Side *side, int64_t batch, int64_t strip, char *to)
{
    const ComplexProduct *p = block->p;
    const int64_t begin = strip * side->width, depth = p->a.columns;
    const int64_t vectors = side->kind == STRIP_MIRRORED ? (side->size + 1) / 2 : side->size;
    const int64_t left = vectors - begin;
    const char *const x = matrix_at(side->x, p->nbatch_axes, p->batch_shape, batch);
    StripSource source = {
        .data = x + begin * side->stride + block->first * side->along,
        .stride = side->stride,
        .along = side->along,
        .count = left < side->width ? left : side->width,
        .terms = block->terms,
    };
    if (is_paired(side)) {
        source.mirror = x + begin * side->stride + (depth - 1 - block->first) * side->along;
        source.alone = 2 * (block->first + block->terms) > depth;
    } else if (side->kind == STRIP_MIRRORED) {
        source.mirror = x + (side->size - 1 - begin) * side->stride + block->first * side->along;
    }
    return side->pack(side->kind, to, &source);
}

static bool
is_general(const Block *block)
{
    return block->form == PRODUCT_THREE;
}

static void
pack_kept(void *ctx, int64_t begin, int64_t end, int thread)
{
    Block *block = ctx;
    const Side *kept = block->kept;
    (void)thread;
    for (int64_t at = begin; at < end; at++) {
        char *to = block->packed + at * (int64_t)kept->bytes;
        block->states[at] = pack_strip(block, kept, at / kept->strips, at % kept->strips, to);
        if (!block->states[at].fits && !is_general(block)) {
            block->misfit = true;
            return;
        }
    }
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A strip and where it lies among its operand's. */
typedef struct Strip {
    const char *packed;
    StripState state;
    int64_t number;
} Strip;

/* How, and over which terms: zeros are left out where nothing can make them more than that. */
static void
tile_choose(const Block *block, ProductTile *tile, const StripState *a, const StripState *b)
{
    const bool fits = a->fits && b->fits;
    tile->form = block->form;
    if (is_general(block) && !(fits && a->balanced && b->balanced)) {
        tile->form = PRODUCT_FOUR;
    }
    tile->end = block->terms * (is_paired(&block->a) ? 2 : 1);
    if (fits) {
        tile->begin = most(a->begin, b->begin);
        tile->end = most(tile->begin, least(a->end, b->end));
    }
}

/* The product of two strips. */
static void
multiply(const Block *block, int64_t batch, const Strip *a, const Strip *b)
{
    const Side *rows = &block->a, *columns = &block->b;
    const int64_t i = a->number * rows->width, j = b->number * columns->width;
    char *const out = block->p->out + batch * rows->size * columns->size * block->size;
    ProductTile tile = {
        .a = a->packed,
        .b = b->packed,
        .a_plane = rows->plane,
        .b_plane = columns->plane,
        .c = out + (i * columns->size + j) * block->size,
        .c_stride = columns->size * block->size,
        .m = least(rows->width, rows->size - i),
        .n = least(columns->width, columns->size - j),
        .add = block->first > 0,
        .stream = block->stream,
    };
    tile_choose(block, &tile, &a->state, &b->state);
    if (tile.form == PRODUCT_MIRRORED_ROWS) {
        tile.m = least(rows->width, (rows->size + 1) / 2 - i);
        tile.alone = 2 * (i + tile.m) > rows->size;
        tile.mirror = out + ((rows->size - 1 - i) * columns->size + j) * block->size;
    } else if (tile.form == PRODUCT_MIRRORED_COLUMNS) {
        tile.n = least(columns->width, (columns->size + 1) / 2 - j);
        tile.alone = 2 * (j + tile.n) > columns->size;
        tile.mirror = out + (i * columns->size + columns->size - j) * block->size;
    }
    if (tile.end > tile.begin || !tile.add) {
        block->kernel->tile(&tile);
    }
}

static void
run_units(void *ctx, int64_t begin, int64_t end, int thread)
{
    Block *block = ctx;
    const Side *kept = block->kept, *cut = block->cut;
    const int64_t units = (cut->strips + block->unit - 1) / block->unit;
    char *mine = block->scratch + thread * block->unit * (int64_t)cut->bytes;
    for (int64_t at = begin; at < end && !block->misfit; at++) {
        const int64_t batch = at / units, first = at % units * block->unit;
        const int64_t count = least(block->unit, cut->strips - first);
        const int64_t copy = block->copies > 1 ? batch : 0;
        Strip own[UNIT_STRIPS_MAX];
        for (int64_t s = 0; s < count; s++) {
            char *to = mine + s * (int64_t)cut->bytes;
            own[s] = (Strip){to, pack_strip(block, cut, batch, first + s, to), first + s};
            if (!own[s].state.fits && !is_general(block)) {
                block->misfit = true;
                return;
            }
        }
        for (int64_t t = 0; t < kept->strips && !pool_interrupted(); t++) {
            const int64_t place = copy * kept->strips + t;
            const Strip other = {block->packed + place * (int64_t)kept->bytes,
                                 block->states[place], t};
            for (int64_t s = 0; s < count; s++) {
                if (cut == &block->b) {
                    multiply(block, batch, &other, &own[s]);
                } else {
                    multiply(block, batch, &own[s], &other);
                }
            }
        }
    }
    if (block->stream) {
        atomic_thread_fence(memory_order_seq_cst); /* what was streamed is seen by all */
    }
}

static Status
block_run(Block *block)
{
    const int64_t strips = block->copies * block->kept->strips;
    const int64_t grain = GRAIN_BYTES / (int64_t)block->kept->bytes + 1;
    const int64_t units = (block->cut->strips + block->unit - 1) / block->unit;
    const Status status = pool_run(strips, grain, pack_kept, block);
    return status != STATUS_OK || block->misfit
               ? status
               : pool_run(units * block->p->batches, 1, run_units, block);
}

/* `depth`: the most terms, or pairs of them, of a block. */
static void
side_init(Side *side, const Matrix *x, bool by_rows, StripKind kind, int64_t width, int64_t depth,
          int64_t size)
{
    static const int planes[] = {[STRIP_SPLIT] = 3,
                                 [STRIP_PARTS] = 2,
                                 [STRIP_HALVES] = 1,
                                 [STRIP_FOLDED] = 2,
                                 [STRIP_MIRRORED] = 1};
    side->x = x;
    side->kind = kind;
    side->size = by_rows ? x->rows : x->columns;
    side->stride = by_rows ? x->row_stride : x->column_stride;
    side->along = by_rows ? x->column_stride : x->row_stride;
    side->width = kind == STRIP_MIRRORED ? width / 2 : width;
    const int64_t vectors = kind == STRIP_MIRRORED ? (side->size + 1) / 2 : side->size;
    side->strips = (vectors + side->width - 1) / side->width;
    const int64_t terms = is_paired(side) ? 2 * depth : depth;
    side->bytes = (size_t)((planes[kind] * terms * width * size / 2 + 63) / 64 * 64);
}

/* What is packed once: the operand that all share and that is two real ones, else that with fewer
 * elements, counting what a stack shares once. */
static void
block_choose(Block *block)
{
    const ComplexProduct *p = block->p;
    const int64_t copies_a = is_shared(p, &p->a) ? 1 : p->batches;
    const int64_t copies_b = is_shared(p, &p->b) ? 1 : p->batches;
    const StripKind kind = block->a.kind;
    const bool keep_a = is_general(block) ? (double)copies_a * (double)block->a.size <=
                                                (double)copies_b * (double)block->b.size
                                          : kind == STRIP_HALVES || kind == STRIP_MIRRORED;
    block->kept = keep_a ? &block->a : &block->b;
    block->cut = keep_a ? &block->b : &block->a;
    block->copies = keep_a ? copies_a : copies_b;
    const int64_t unit = block->cut->strips * p->batches / UNITS;
    block->unit = unit < 1 ? 1 : least(unit, UNIT_STRIPS_MAX);
}

/* Pairs of terms, or terms, of a product. */
static int64_t
block_length(const Block *block, StripKind a)
{
    const int64_t k = block->p->a.columns;
    return a == STRIP_HALVES || a == STRIP_FOLDED ? (k + 1) / 2 : k;
}

/* Elements from plane to plane, which lie one after the other. */
static int64_t
plane_of(const Block *block, const Side *side)
{
    const int64_t width = side == &block->a ? block->kernel->rows : block->kernel->columns;
    return side->kind == STRIP_HALVES || side->kind == STRIP_MIRRORED
               ? 0
               : block->terms * (is_paired(side) ? 2 : 1) * width;
}

static Status
run_blocks(Block *block, int64_t length, int64_t depth)
{
    Status status = STATUS_OK;
    for (block->first = 0; block->first < length && status == STATUS_OK && !block->misfit;
         block->first += depth) {
        block->terms = least(depth, length - block->first);
        block->a.plane = plane_of(block, &block->a);
        block->b.plane = plane_of(block, &block->b);
        status = block_run(block);
    }
    return status;
}

/* In one form; says whether the elements suit it. */
static Status
run_form(const ComplexProduct *p, DType dtype, ProductForm form, StripKind a, StripKind b,
         bool *fits)
{
    Block block = {
        .p = p, .kernel = cpu_product_kernel(dtype), .form = form, .size = dtype_size(dtype)};
    const int64_t length = block_length(&block, a);
    const int64_t most_terms = form == PRODUCT_FOLDED ? DEPTH / 2 : DEPTH;
    const int64_t blocks = (length + most_terms - 1) / most_terms;
    const int64_t depth = (length + blocks - 1) / blocks;
    side_init(&block.a, &p->a, true, a, block.kernel->rows, depth, block.size);
    side_init(&block.b, &p->b, false, b, block.kernel->columns, depth, block.size);
    block.a.pack = block.kernel->pack_rows;
    block.b.pack = block.kernel->pack_columns;
    block_choose(&block);
    const double results = (double)p->batches * (double)block.a.size * (double)block.b.size;
    block.stream = blocks == 1 && results * (double)block.size >= STREAM_BYTES;
    const int64_t strips = block.copies * block.kept->strips;
    const size_t scratch = (size_t)(pool_size() * block.unit) * block.cut->bytes;
    const size_t packed = (size_t)strips * block.kept->bytes;
    const size_t states = (size_t)strips * sizeof *block.states;
    Status status = STATUS_ERROR;
    block.packed = mem_new(packed);
    block.states = mem_new(states);
    block.scratch = mem_new(scratch);
    if (block.packed != NULL && block.states != NULL && block.scratch != NULL) {
        status = run_blocks(&block, length, depth);
    }
    *fits = !block.misfit;
    mem_free(block.packed, packed);
    mem_free(block.states, states);
    mem_free(block.scratch, scratch);
    return status;
}

/* What a matrix may be that the whole stack shares, seen from its first row and column: its terms
 * lie `along`, its rows or columns `across`. */
static StripKind
kind_of(const ComplexProduct *p, const Matrix *x, bool by_rows, const ProductKernel *kernel)
{
    const int64_t terms = by_rows ? x->columns : x->rows, vectors = by_rows ? x->rows : x->columns;
    const int64_t along = by_rows ? x->column_stride : x->row_stride;
    const int64_t across = by_rows ? x->row_stride : x->column_stride;
    if (!is_shared(p, x)) {
        return STRIP_SPLIT;
    }
    return kernel->is_mirrored(x->data, along, terms)       ? STRIP_HALVES
           : kernel->is_mirrored(x->data, across, vectors) ? STRIP_MIRRORED
                                                            : STRIP_SPLIT;
}

Status
complex_product_run(const ComplexProduct *p, DType dtype)
{
    const ProductKernel *kernel = cpu_product_kernel(dtype);
    const StripKind a = kind_of(p, &p->a, true, kernel), b = kind_of(p, &p->b, false, kernel);
    const StripKind other_a = a == STRIP_HALVES ? STRIP_FOLDED : STRIP_PARTS;
    const StripKind other_b = b == STRIP_HALVES ? STRIP_FOLDED : STRIP_PARTS;
    bool fits = false;
    Status status = STATUS_OK;
    if (a != STRIP_SPLIT) {
        const ProductForm form = a == STRIP_HALVES ? PRODUCT_FOLDED : PRODUCT_MIRRORED_ROWS;
        status = run_form(p, dtype, form, a, other_a, &fits);
    } else if (b != STRIP_SPLIT) {
        const ProductForm form = b == STRIP_HALVES ? PRODUCT_FOLDED : PRODUCT_MIRRORED_COLUMNS;
        status = run_form(p, dtype, form, other_b, b, &fits);
    }
    return fits || status != STATUS_OK
               ? status
               : run_form(p, dtype, PRODUCT_THREE, STRIP_SPLIT, STRIP_SPLIT, &fits);
}
