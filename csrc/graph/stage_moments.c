/* graph/stage_moments.c -- gradients through a weighted affine map of the rows, by their moments.
 *
 * y = M x + s for each row, and the sums of w y and of w y x' over the rows, w being one weight
 * for many elements of y: the gradient of any sum of functions of |M x + s|^2, as mixtures of
 * Gaussians have them. The sums equal M (sum w x x') + s (sum w x') and so on: half the work,
 * and y need not be kept. They round as the sums do: y itself, a difference, is no more precise.
 * What overflows in them but would not in w y is found after the sweep, and another plan runs. */
#include "graph/stage_product.h"

#include <string.h>

/* ---- finding ---- */

static bool
is_backward_sum(const StageBuild *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    return (node->flags & NODE_BACKWARD) != 0 && node->dtype == DT_f64;
}

/* y as M x + s. */
static bool
find_affine(const StageBuild *b, int32_t y, StageMoments *m)
{
    const Node *node = b->g->nodes[y];
    StageOperand operand;
    m->affine = y;
    m->matrix_sign = 1;
    m->shift_operand = -1;
    if (b->roles.role[y] == ROLE_MAP) {
        m->map = y;
        return true;
    }
    if (b->roles.role[y] != ROLE_ELEMENTWISE || (node->op != OP_add && node->op != OP_subtract)) {
        return false;
    }
    for (int k = 0; k < 2; k++) {
        stage_space_operand(b, y, k, &operand);
        if (operand.reading == READ_LANES && b->roles.role[operand.root] == ROLE_MAP &&
            stage_space_whole(b, &operand, &b->space[y])) {
            m->map = operand.root;
            m->shift_operand = 1 - k;
            m->matrix_sign = k == 1 && node->op == OP_subtract ? -1 : 1;
            m->shift_sign = k == 0 && node->op == OP_subtract ? -1 : 1;
            stage_space_operand(b, y, 1 - k, &operand);
            return operand.reading == READ_SHARED;
        }
    }
    return false;
}

/* Does the operand repeat along the last axes of the space, and walk over it by one stride along
 * the others? How many elements it has, and how often each repeats. */
static bool
find_weight(const StageOperand *operand, const StageSpace *space, StageMoments *m)
{
    int d = space->ndim - 1;
    m->ni = m->nk = 1;
    for (; d >= 0 && operand->strides[d] == 0; d--) {
        m->ni *= space->shape[d];
    }
    const int64_t unit = d >= 0 ? operand->strides[d] : 0;
    for (; d >= 0; d--) {
        if (operand->strides[d] != unit * m->nk) {
            return false;
        }
        m->nk *= space->shape[d];
    }
    return operand->reading == READ_LANES && m->ni > 1;
}

/* w y as w and y. */
static bool
find_factors(const StageBuild *b, int32_t at, StageMoments *m)
{
    const Node *node = b->g->nodes[at];
    m->value = at;
    if (b->roles.role[at] != ROLE_ELEMENTWISE || node->op != OP_multiply ||
        node->dtype != DT_f64 || b->g->result[at]) {
        return false;
    }
    for (int k = 0; k < 2; k++) {
        StageOperand w, y;
        stage_space_operand(b, at, k, &w);
        stage_space_operand(b, at, 1 - k, &y);
        if (find_weight(&w, &b->space[at], m) && y.reading == READ_LANES &&
            stage_space_whole(b, &y, &b->space[at]) && find_affine(b, y.root, m)) {
            m->weight = w.root;
            m->weight_operand = k;
            return true;
        }
    }
    return false;
}

/* Are the rows that the product adds up with w y those that the map takes? */
static bool
same_rows(const StageBuild *b, int32_t at, const StageProduct *p, int k, StageMoments *m)
{
    StageProduct map;
    StageOperand x, own;
    stage_product_of(b, m->map, &map);
    stage_operand(b, m->map, map.rows, map.naxes[map.rows], map.axes[map.rows], &own);
    stage_operand(b, at, k, p->naxes[k], p->axes[k], &x);
    m->nx = map.shape[map.ndim + 1];
    return map.ndim == 0 && map.shape[map.ndim] == m->nk * m->ni &&
           p->shape[p->ndim + k] == m->nx && own.reading == READ_ROWS &&
           x.reading == own.reading && x.root == own.root &&
           x.offset == own.offset && x.row_stride == own.row_stride &&
           x.strides[p->ndim] == own.strides[map.ndim];
}

/* Does nobody but the product and one sum over rows read w y? */
static bool
find_readers(const StageBuild *b, int32_t at, StageMoments *m)
{
    const PlanGraph *g = b->g;
    for (int32_t i = at + 1; i < g->count; i++) {
        for (int k = 0; k < plan_graph_nin(g, i); k++) {
            if (plan_graph_input(g, i, k) != at || i == m->product) {
                continue;
            }
            StageOperand operand;
            const Node *node = g->nodes[i];
            if (stage_is_member(b, i) && b->roles.role[i] == ROLE_ALIAS && !g->result[i]) {
                if (!find_readers(b, i, m)) {
                    return false;
                }
                continue;
            }
            if (!stage_is_member(b, i) || b->roles.role[i] != ROLE_ROW_SUM || m->sum >= 0 ||
                node->op != OP_sum || node->params[1] != 1 || !is_backward_sum(b, i)) {
                return false;
            }
            stage_space_operand(b, i, 0, &operand);
            if (!stage_space_whole(b, &operand, &b->space[i])) {
                return false;
            }
            m->sum = i;
        }
    }
    return true;
}

/* Half of the products of moments, against those of w y; what comes after the sweep runs on one
 * thread. */
static bool
pays(const StageBuild *b, const StageMoments *m)
{
    const double own = (double)(m->ni * m->nx), pairs = (double)((m->nx + 1) * (m->nx + 2) / 2);
    const double after = 8.0 * (double)m->ni * (double)((m->nx + 1) * (m->nx + 1));
    return 4 * pairs < 3 * own && (double)b->roles.rows * (own - pairs) > after;
}

static bool
find_product(const StageBuild *b, int32_t at, StageMoments *m)
{
    StageProduct p;
    if (b->roles.role[at] != ROLE_OUTER || !is_backward_sum(b, at)) {
        return false;
    }
    stage_product_of(b, at, &p);
    for (int k = 0; k < 2 && !stage_product_loops(&p); k++) {
        StageOperand value;
        memset(m, 0, sizeof *m);
        stage_operand(b, at, k, p.naxes[k], p.axes[k], &value);
        m->product = at;
        m->sum = m->part = -1;
        m->turned = k == 1;
        if (value.reading == READ_LANES && value.offset == 0 && value.strides[p.ndim] == 1 &&
            find_factors(b, value.root, m) && p.shape[p.ndim + k] == m->nk * m->ni &&
            same_rows(b, at, &p, 1 - k, m) && pays(b, m) && find_readers(b, m->value, m)) {
            return true;
        }
    }
    return false;
}

void
stage_find_moments(StageBuild *b)
{
    for (int32_t i = 0; i < b->g->count && !b->g->careful; i++) {
        StageMoments m;
        if (stage_is_member(b, i) && find_product(b, i, &m) &&
            vec_push(&b->stage->moments, m) == STATUS_OK) {
            b->done[m.value] = STAGE_DROPPED;
        }
    }
}

StageMoments *
stage_moments_of(const StageBuild *b, int32_t at)
{
    for (int64_t k = 0; k < b->stage->moments.size; k++) {
        StageMoments *m = &b->stage->moments.data[k];
        if (m->product == at || m->sum == at) {
            return m;
        }
    }
    return NULL;
}

bool
stage_moments_need(const StageBuild *b, int32_t dropped, int k)
{
    for (int64_t i = 0; i < b->stage->moments.size; i++) {
        const StageMoments *m = &b->stage->moments.data[i];
        if (m->value == dropped) {
            return m->weight_operand == k;
        }
    }
    return true;
}

/* ---- the step ---- */

bool
stage_moments_ready(const StageBuild *b, const StageMoments *m)
{
    StageMap map;
    StageProduct p;
    stage_product_of(b, m->map, &p);
    stage_resolve(&b->roles, plan_graph_input(b->g, m->map, p.rows), &map);
    return b->done[m->weight] == 1 && (!stage_is_member(b, map.root) || b->done[map.root] == 1);
}

static Status
find_views(StageBuild *b, StageMoments *m, const StageProduct *p)
{
    StageOperand operand;
    const int s = 1 - p->rows;
    stage_operand(b, m->map, s, p->naxes[s], p->axes[s], &operand);
    m->matrix = stage_view(b, &operand, p->naxes[s], p->shape, true);
    m->shift = -1;
    stage_operand(b, m->map, p->rows, p->naxes[p->rows], p->axes[p->rows], &operand);
    m->rows = stage_view(b, &operand, 1, &m->nx, true);
    m->pivot = stage_own_view(b, m->nx);
    if (m->matrix >= 0 && m->shift_operand >= 0) {
        const StageSpace *space = &b->space[m->affine];
        stage_space_operand(b, m->affine, m->shift_operand, &operand);
        m->shift = stage_view(b, &operand, space->ndim, space->shape, true);
    }
    return m->matrix < 0 || m->rows < 0 || m->pivot < 0 ||
                   (m->shift_operand >= 0 && m->shift < 0)
               ? STATUS_ERROR
               : STATUS_OK;
}

Status
stage_add_moments(StageBuild *b, StageMoments *m)
{
    const StageSpace *space = &b->space[m->value];
    StageProduct p;
    StageOperand operand;
    TileRef in[3];
    if (m->part >= 0) {
        return STATUS_OK;
    }
    memset(in, 0, sizeof in);
    stage_product_of(b, m->map, &p);
    stage_space_operand(b, m->value, m->weight_operand, &operand);
    if (find_views(b, m, &p) != STATUS_OK ||
        stage_lanes(b, &operand, space->ndim, space->shape, &in[0]) != STATUS_OK ||
        stage_product_lanes(b, m->map, &p, p.rows, &in[1]) != STATUS_OK) {
        return STATUS_ERROR;
    }
    int64_t unit = 0;
    for (int d = 0; d < space->ndim; d++) {
        unit = in[0].strides[d] != 0 ? in[0].strides[d] : unit; /* the last one */
    }
    in[0].strides[0] = unit;
    in[1].strides[0] = in[1].strides[p.ndim];
    m->part = stage_add_sum(b, m->product, -1);
    if (m->part < 0) {
        return STATUS_ERROR;
    }
    TileSum *sum = &b->stage->sums.data[m->part];
    sum->output = -1;
    sum->count = (m->nx + 1) * (m->nx + 2) / 2 * m->nk;
    b->stage->temporary_bytes += stage_temporary_bytes(sum) + m->nx * (int64_t)sizeof(double);
    in[2] = (TileRef){.is_view = true, .at = m->pivot};
    const TileStep step = {
        .kind = TILE_MOMENTS, .ni = m->nx, .nj = m->nk, .to = m->part, .nin = 3, .in = in};
    return stage_add_step(b, &step);
}

/* ---- before the sweep ---- */

static double
element_at(const char *from)
{
    double x;
    memcpy(&x, from, sizeof x);
    return x;
}

/* The median of rows from all over the data: neither their order nor outliers move it away. */
static double
median_of(const char *column, int64_t row_stride, int64_t rows)
{
    enum { SAMPLES = 15 };
    double sorted[SAMPLES];
    for (int k = 0; k < SAMPLES; k++) {
        const double x = element_at(column + (2 * k + 1) * rows / (2 * SAMPLES) * row_stride);
        int at = k;
        for (; at > 0 && sorted[at - 1] > x; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = x;
    }
    return sorted[SAMPLES / 2];
}

void
stage_set_pivots(const Stage *stage, TileMemory *views, char *room)
{
    for (int64_t k = 0; k < stage->moments.size; k++) {
        const StageMoments *m = &stage->moments.data[k];
        const TileMemory *rows = &views[m->rows];
        views[m->pivot].data = room;
        for (int64_t j = 0; j < m->nx; j++, room += sizeof(double)) {
            const double x = median_of(rows->data + j * rows->strides[0], rows->row_stride,
                                       stage->program.rows);
            memcpy(room, &x, sizeof x);
        }
    }
}

/* ---- after the sweep ---- */

typedef struct MomentRows {
    const Stage *stage;
    const StageMoments *moments;
    const TileMemory *views;
} MomentRows;

/* s of elements of y from `first` on, into the last column. */
static void
read_shift(const MomentRows *r, int64_t first, int64_t n, double *to)
{
    const StageMoments *m = r->moments;
    const TileView *view = &r->stage->tile_views.data[m->shift];
    for (int64_t e = first; e < first + n; e++, to += m->nx + 1) {
        const char *from = r->views[m->shift].data;
        int64_t rest = e;
        for (int d = view->ndim - 1; d >= 0; d--) {
            from += rest % view->shape[d] * r->views[m->shift].strides[d];
            rest /= view->shape[d];
        }
        *to = m->shift_sign * element_at(from);
    }
}

/* M and s side by side: a row for each element of y. */
static void
read_rows(const void *ctx, int64_t first, int64_t n, double *to)
{
    const MomentRows *r = ctx;
    const StageMoments *m = r->moments;
    const TileMemory *matrix = &r->views[m->matrix];
    const int axis = r->stage->tile_views.data[m->matrix].ndim - 2;
    const int64_t stride = matrix->strides[axis + 1];
    for (int64_t i = 0; i < n; i++) {
        const char *from = matrix->data + (first + i) * matrix->strides[axis];
        double *row = to + i * (m->nx + 1);
        const bool plain = m->matrix_sign == 1 && stride == (int64_t)sizeof(double);
        if (plain) {
            memcpy(row, from, (size_t)m->nx * sizeof(double));
        }
        for (int64_t j = 0; j < m->nx && !plain; j++, from += stride) {
            row[j] = m->matrix_sign * element_at(from);
        }
        row[m->nx] = 0.0;
    }
    if (m->shift >= 0) {
        read_shift(r, first, n, to + m->nx);
    }
}

Status
stage_finish_moments(const Stage *stage, const TileMemory *views, char *const *sums,
                     char *const *out, bool *finite)
{
    Status status = STATUS_OK;
    *finite = true;
    for (int64_t k = 0; k < stage->moments.size && status == STATUS_OK; k++) {
        const StageMoments *m = &stage->moments.data[k];
        const MomentRows rows = {stage, m, views};
        const TileMoments moments = {
            .nx = m->nx,
            .nk = m->nk,
            .ni = m->ni,
            .sums = (const double *)(const void *)sums[m->part],
            .pivot = (const double *)(const void *)views[m->pivot].data,
            .read_rows = read_rows,
            .from = &rows,
            .product = (double *)(void *)out[m->product],
            .row_stride = m->turned ? 1 : m->nx,
            .x_stride = m->turned ? m->nk * m->ni : 1,
            .sum = m->sum >= 0 ? (double *)(void *)out[m->sum] : NULL};
        bool all;
        status = backend_cpu_tile_moments(&moments, &all);
        *finite = *finite && all;
    }
    return status;
}
