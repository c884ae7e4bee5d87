/* backend/cpu/complex_product.c -- products of complex matrices by three real ones, on tiles.
 *
 * The smaller operand is packed once for each block of terms (it is often shared by the whole
 * stack), the other one strip by strip by whoever multiplies it. Blocks, strips and units depend
 * on the shape alone, so bits do not depend on threads. Strips whose parts differ much in size,
 * or that hold something huge or NaN, get four products. */
#include "backend/cpu/kernels/product.h"
#include "backend/cpu/matrix.h"

#include "base/mem.h"
#include "base/pool.h"

#include <string.h>

enum {
    DEPTH = 256,         /* terms of a block: some strips of them fit in L2 */
    SIDE_MIN = 16,       /* rows and columns from which packing pays */
    WORK_MIN = 1 << 15,  /* multiplications */
    UNITS = 32,          /* to aim at */
    UNIT_STRIPS_MAX = 2, /* strips that a unit packs */
    GRAIN_BYTES = 1 << 17
};

/* One operand, cut into strips. */
typedef struct Side {
    const Matrix *x;
    int64_t size;     /* rows of a, columns of b */
    int64_t stride;   /* from one to the next, bytes */
    int64_t along;    /* from term to term */
    int64_t strips, width;
    size_t bytes;     /* of a packed strip */
    bool (*pack)(void *to, const StripSource *from);
} Side;

typedef struct Block {
    const ComplexProduct *p;
    const ProductKernel *kernel;
    Side a, b;
    Side *kept, *cut; /* each is one of the two */
    int64_t size;     /* bytes of an element */
    int64_t first, terms;
    int64_t copies;   /* of kept: 1 or one for each product of the stack */
    int64_t unit;     /* strips of cut */
    char *packed;     /* strips of kept */
    bool *balanced;   /* each of them */
    char *scratch;    /* the strips of a unit, for each thread */
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

/* The first term of this block of one row of a, or column of b. */
static const char *
operand_at(const Block *block, const Side *side, int64_t batch, int64_t vector)
{
    const ComplexProduct *p = block->p;
    return matrix_at(side->x, p->nbatch_axes, p->batch_shape, batch) + vector * side->stride +
           block->first * side->along;
}

/* A strip of one operand; says whether it is balanced. */
static bool
pack_strip(const Block *block, const Side *side, int64_t batch, int64_t strip, char *to)
{
    const int64_t begin = strip * side->width, left = side->size - begin;
    const StripSource source = {
        .data = operand_at(block, side, batch, begin),
        .stride = side->stride,
        .along = side->along,
        .count = left < side->width ? left : side->width,
        .terms = block->terms,
    };
    return side->pack(to, &source);
}

static void
pack_kept(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Block *block = ctx;
    const Side *kept = block->kept;
    (void)thread;
    for (int64_t at = begin; at < end; at++) {
        char *to = block->packed + at * (int64_t)kept->bytes;
        block->balanced[at] = pack_strip(block, kept, at / kept->strips, at % kept->strips, to);
    }
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The product of two strips. */
static void
multiply(const Block *block, int64_t batch, int64_t row_strip, int64_t column_strip, const char *a,
         const char *b, bool three)
{
    const Side *rows = &block->a, *columns = &block->b;
    const int64_t i = row_strip * rows->width, j = column_strip * columns->width;
    const ProductTile tile = {
        .a = a,
        .b = b,
        .c = block->p->out + ((batch * rows->size + i) * columns->size + j) * block->size,
        .c_stride = columns->size * block->size,
        .m = least(rows->width, rows->size - i),
        .n = least(columns->width, columns->size - j),
        .k = block->terms,
        .three = three,
        .add = block->first > 0,
    };
    block->kernel->tile(&tile);
}

static void
run_units(void *ctx, int64_t begin, int64_t end, int thread)
{
    const Block *block = ctx;
    const Side *kept = block->kept, *cut = block->cut;
    const int64_t units = (cut->strips + block->unit - 1) / block->unit;
    char *mine = block->scratch + thread * block->unit * (int64_t)cut->bytes;
    for (int64_t at = begin; at < end; at++) {
        const int64_t batch = at / units, first = at % units * block->unit;
        const int64_t count = least(block->unit, cut->strips - first);
        const int64_t copy = block->copies > 1 ? batch : 0;
        bool balanced[UNIT_STRIPS_MAX];
        for (int64_t s = 0; s < count; s++) {
            char *to = mine + s * (int64_t)cut->bytes;
            balanced[s] = pack_strip(block, cut, batch, first + s, to);
        }
        for (int64_t t = 0; t < kept->strips && !pool_interrupted(); t++) {
            const int64_t place = copy * kept->strips + t;
            const char *other = block->packed + place * (int64_t)kept->bytes;
            for (int64_t s = 0; s < count; s++) {
                const char *own = mine + s * (int64_t)cut->bytes;
                const bool three = balanced[s] && block->balanced[place];
                if (cut == &block->b) {
                    multiply(block, batch, t, first + s, other, own, three);
                } else {
                    multiply(block, batch, first + s, t, own, other, three);
                }
            }
        }
    }
}

static Status
block_run(Block *block)
{
    const int64_t strips = block->copies * block->kept->strips;
    const int64_t grain = GRAIN_BYTES / (int64_t)block->kept->bytes + 1;
    const int64_t units = (block->cut->strips + block->unit - 1) / block->unit;
    const Status status = pool_run(strips, grain, pack_kept, block);
    return status != STATUS_OK ? status
                               : pool_run(units * block->p->batches, 1, run_units, block);
}

static void
side_init(Side *side, const Matrix *x, bool by_rows, int64_t width, int64_t depth, int64_t size)
{
    side->x = x;
    side->size = by_rows ? x->rows : x->columns;
    side->stride = by_rows ? x->row_stride : x->column_stride;
    side->along = by_rows ? x->column_stride : x->row_stride;
    side->width = width;
    side->strips = (side->size + width - 1) / width;
    side->bytes = (size_t)((STRIP_PARTS * depth * width * size / 2 + 63) / 64 * 64);
}

/* What is packed once: the operand with fewer elements, counting what a stack shares once. */
static void
block_choose(Block *block)
{
    const ComplexProduct *p = block->p;
    const int64_t copies_a = is_shared(p, &p->a) ? 1 : p->batches;
    const int64_t copies_b = is_shared(p, &p->b) ? 1 : p->batches;
    const bool keep_a = (double)copies_a * (double)block->a.size <=
                        (double)copies_b * (double)block->b.size;
    block->kept = keep_a ? &block->a : &block->b;
    block->cut = keep_a ? &block->b : &block->a;
    block->copies = keep_a ? copies_a : copies_b;
    const int64_t unit = block->cut->strips * p->batches / UNITS;
    block->unit = unit < 1 ? 1 : least(unit, UNIT_STRIPS_MAX);
}

Status
complex_product_run(const ComplexProduct *p, DType dtype)
{
    const int64_t k = p->a.columns, blocks = (k + DEPTH - 1) / DEPTH;
    const int64_t depth = (k + blocks - 1) / blocks;
    Block block = {.p = p, .kernel = cpu_product_kernel(dtype), .size = dtype_size(dtype)};
    side_init(&block.a, &p->a, true, block.kernel->rows, depth, block.size);
    side_init(&block.b, &p->b, false, block.kernel->columns, depth, block.size);
    block.a.pack = block.kernel->pack_rows;
    block.b.pack = block.kernel->pack_columns;
    block_choose(&block);
    const int64_t strips = block.copies * block.kept->strips;
    const size_t scratch = (size_t)(pool_size() * block.unit) * block.cut->bytes;
    const size_t packed = (size_t)strips * block.kept->bytes;
    Status status = STATUS_ERROR;
    block.packed = mem_new(packed);
    block.balanced = mem_new((size_t)strips);
    block.scratch = mem_new(scratch);
    if (block.packed == NULL || block.balanced == NULL || block.scratch == NULL) {
        goto done;
    }
    status = STATUS_OK;
    for (block.first = 0; block.first < k && status == STATUS_OK; block.first += depth) {
        block.terms = least(depth, k - block.first);
        status = block_run(&block);
    }
done:
    mem_free(block.packed, packed);
    mem_free(block.balanced, (size_t)strips);
    mem_free(block.scratch, scratch);
    return status;
}
