/* graph/stage_compile.c -- the program of a stage: its members as steps over a tile.
 *
 * Members run when their operands are there, those over small spaces first, so that blocks over
 * large spaces hold as much as can be held in registers. */
#include "graph/stage_build.h"

#include "base/mem.h"

#include <string.h>

enum { ROW_SIDE = 4 }; /* vectors that rows are multiplied with where they lie */

/* ---- all members ---- */

/* Are the row-wise operands of a member that is no block in their buffers? */
static bool
is_ready(const StageBuild *b, int32_t at)
{
    const int32_t reader = b->pushed[at] >= 0 ? b->pushed[at] : at;
    const StageMoments *moments = stage_moments_of(b, at);
    if (moments != NULL) {
        return stage_moments_ready(b, moments);
    }
    if (stage_in_block(b, reader)) {
        return stage_block_ready(b, at);
    }
    for (int k = 0; k < plan_graph_nin(b->g, reader); k++) {
        StageMap map;
        stage_resolve(&b->roles, plan_graph_input(b->g, reader, k), &map);
        if (stage_is_member(b, map.root) && !b->done[map.root]) {
            return false;
        }
    }
    return true;
}

static int64_t
volume_of(const StageBuild *b, int32_t at)
{
    if (stage_in_block(b, at)) {
        return stage_block_volume(b, at);
    }
    const Node *node = b->g->nodes[at];
    return stage_role_is_row_wise(b->roles.role[at]) ? node->size / b->roles.rows : 0;
}

static Status
add_member(StageBuild *b, int32_t at)
{
    StageMoments *moments = stage_moments_of(b, at);
    if (moments != NULL) {
        return stage_add_moments(b, moments);
    }
    if (stage_in_block(b, at) && b->pushed[at] < 0 && !stage_sums_buffer(b, at)) {
        return stage_add_block(b, at);
    }
    switch (b->roles.role[at]) {
    case ROLE_ROW_SUM:
        return b->pushed[at] >= 0 ? stage_add_pushed(b, at) : stage_add_row_sum(b, at);
    case ROLE_MAP:
        return stage_add_map(b, at);
    case ROLE_OUTER:
        return stage_add_outer(b, at);
    case ROLE_GATHER:
        return stage_add_gather(b, at);
    default:
        return stage_add_scatter(b, at);
    }
}

static Status
add_members(StageBuild *b)
{
    for (;;) {
        int32_t best = -1;
        for (int32_t i = 0; i < b->g->count; i++) {
            if (stage_is_member(b, i) && b->roles.role[i] != ROLE_ALIAS && !b->done[i] &&
                (best < 0 || volume_of(b, i) < volume_of(b, best)) && is_ready(b, i)) {
                best = i;
            }
        }
        if (best < 0) {
            return STATUS_OK;
        }
        if (add_member(b, best) != STATUS_OK) {
            return STATUS_ERROR;
        }
        b->done[best] = 1;
    }
}

/* ---- results ---- */

bool
stage_is_output(const StageBuild *b, int32_t at)
{
    const PlanGraph *g = b->g;
    if (g->result[at]) {
        return true;
    }
    int32_t count;
    const int32_t *readers = plan_graph_read_by(g, at, &count);
    for (int32_t k = 0; k < count; k++) {
        if (b->stage_of[readers[k]] != b->number) {
            return true;
        }
    }
    return false;
}

static Status
add_store(StageBuild *b, int32_t at)
{
    const Node *node = b->g->nodes[at];
    const int row = b->roles.row[at];
    int64_t offset, strides[ARRAY_MAX_NDIM];
    int axes[TILE_NDIM];
    StageMap map;
    TileRef ref;
    TileOut out = {.dtype = (DType)node->dtype, .outer = 1, .inner = 1};
    memset(&ref, 0, sizeof ref);
    stage_resolve(&b->roles, at, &map);
    if (!stage_row_aligned(&b->roles, &map, row, &offset, strides) || b->buffer[map.root] < 0) {
        return err_set(ERR_RUNTIME, "stage: a result is not there");
    }
    ref.at = b->buffer[map.root];
    ref.offset = offset;
    TileStep step = {.kind = TILE_STORE, .nin = 1, .in = &ref};
    step.ndim = stage_space(node, row, axes);
    for (int d = 0; d < step.ndim; d++) {
        step.shape[d] = node->shape[axes[d]];
        ref.strides[d] = strides[axes[d]];
    }
    for (int d = 0; d < node->ndim; d++) {
        *(d < row ? &out.outer : &out.inner) *= d == row ? 1 : node->shape[d];
    }
    step.to = (int)b->stage->outs.size;
    if (vec_push(&b->stage->outs, out) != STATUS_OK ||
        vec_push(&b->stage->outputs, at) != STATUS_OK ||
        vec_push(&b->stage->sizes, node_bytes(node)) != STATUS_OK) {
        return STATUS_ERROR;
    }
    return stage_add_step(b, &step);
}

/* An output that is no value of rows: from its place to its number. */
static Status
add_output(StageBuild *b, int32_t *at)
{
    Stage *stage = b->stage;
    const int64_t bytes = node_bytes(b->g->nodes[*at]);
    if (vec_push(&stage->outputs, *at) != STATUS_OK ||
        vec_push(&stage->sizes, bytes) != STATUS_OK) {
        return STATUS_ERROR;
    }
    *at = (int32_t)stage->outputs.size - 1;
    return STATUS_OK;
}

/* Does the stage give all that others read of it? */
static Status
check_results(const StageBuild *b)
{
    const Stage *stage = b->stage;
    for (int32_t i = 0; i < b->g->count; i++) {
        bool given = !stage_is_member(b, i) || !stage_is_output(b, i);
        for (int64_t k = 0; k < stage->outputs.size && !given; k++) {
            given = stage->outputs.data[k] == i;
        }
        if (!given) {
            return err_set(ERR_RUNTIME, "stage: a result is not there");
        }
    }
    return STATUS_OK;
}

static Status
add_results(StageBuild *b)
{
    Stage *stage = b->stage;
    for (int32_t i = 0; i < b->g->count; i++) {
        if (stage_is_member(b, i) && stage_role_is_row_wise(b->roles.role[i]) &&
            stage_is_output(b, i) && add_store(b, i) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int s = 0; s < stage->sums.size; s++) {
        if (stage->sums.data[s].output >= 0 &&
            add_output(b, &stage->sums.data[s].output) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int k = 0; k < stage->pushes.size; k++) {
        if (add_output(b, &stage->pushes.data[k].at) != STATUS_OK) {
            return STATUS_ERROR;
        }
    }
    for (int k = 0; k < stage->moments.size; k++) {
        StageMoments *m = &stage->moments.data[k];
        if (add_output(b, &m->product) != STATUS_OK ||
            (m->sum >= 0 && add_output(b, &m->sum) != STATUS_OK)) {
            return STATUS_ERROR;
        }
    }
    return check_results(b);
}

static void
find_cost(StageBuild *b)
{
    Stage *stage = b->stage;
    StageCost *cost = &stage->cost;
    cost->rows = b->roles.rows;
    cost->line = b->line;
    for (int v = 0; v < stage->views.size; v++) {
        int64_t bytes = dtype_size(stage->tile_views.data[v].dtype);
        for (int d = 0; d < stage->views.data[v].ndim; d++) {
            bytes *= stage->views.data[v].strides[d] != 0 ? stage->views.data[v].shape[d] : 1;
        }
        cost->bytes_read += stage->views.data[v].row_stride != 0 ? bytes * cost->rows : bytes;
    }
    for (int o = 0; o < stage->sizes.size; o++) {
        cost->bytes_written += stage->sizes.data[o];
    }
    for (int32_t i = 0; i < b->g->count; i++) {
        const Node *node = b->g->nodes[i];
        const int64_t bytes = node_bytes(node);
        if (stage_is_member(b, i) && b->roles.role[i] != ROLE_ALIAS) {
            cost->nodes++;
            cost->flops += node_flops(b->g->nodes[i]);
            if (bytes > cost->largest_bytes && !stage_is_output(b, i)) {
                cost->largest_bytes = bytes;
            }
        }
    }
}

/* ---- the stage ---- */

/* Under which class of axes are the stage's nodes members of one level? That of the most rows. */
static Status
find_roles(StageBuild *b, StageAxes *axes)
{
    const PlanGraph *g = b->g;
    int64_t most = 0;
    int32_t best = -1;
    int32_t *others = mem_new(((size_t)g->count + 1) * sizeof(int32_t));
    if (others == NULL) {
        return STATUS_ERROR;
    }
    for (int32_t i = 0; i < g->count; i++) {
        others[i] = b->stage_of[i] == b->number ? -1 : 0;
    }
    for (int32_t a = 0; a < axes->count; a++) {
        const int32_t owner = axes->owner[a];
        if (stage_axes_class(axes, a) != a || axes->size[a] < 2 ||
            g->nodes[owner]->shape[a - axes->first[owner]] <= most) {
            continue;
        }
        stage_roles_find(&b->roles, axes, a, others);
        bool fits = true, any = false;
        for (int32_t i = 0; i < g->count && fits; i++) {
            if (b->stage_of[i] == b->number) {
                const bool view = stage_is_view(g->nodes[i]);
                any = any || b->roles.role[i] != ROLE_NONE;
                fits = b->roles.role[i] == ROLE_NONE ? view : b->roles.level[i] == 0;
            }
        }
        if (fits && any) {
            best = a;
            most = b->roles.rows;
        }
    }
    if (best >= 0) {
        stage_roles_find(&b->roles, axes, best, others);
    }
    mem_free(others, ((size_t)g->count + 1) * sizeof(int32_t));
    return best >= 0 ? STATUS_OK : err_set(ERR_RUNTIME, "stage: no axis to sweep");
}

static Status
finish_stage(StageBuild *b)
{
    Stage *s = b->stage;
    s->program = (TileProgram){.rows = b->roles.rows,
                               .nviews = (int)s->views.size,
                               .nbuffers = (int)s->buffers.size,
                               .nsums = (int)s->sums.size,
                               .nouts = (int)s->outs.size,
                               .nsteps = (int)s->steps.size,
                               .views = s->tile_views.data,
                               .buffers = s->buffers.data,
                               .sums = s->sums.data,
                               .outs = s->outs.data,
                               .steps = s->steps.data};
    s->memory = mem_new_zeroed(((size_t)s->views.size + 1) * sizeof(TileMemory));
    s->code = s->memory == NULL ? NULL : backend_cpu_tile_prepare(&s->program);
    if (s->code == NULL) {
        return STATUS_ERROR;
    }
    const TileCost cost = backend_cpu_tile_cost(s->code);
    s->cost.lanes = cost.lanes;
    s->cost.tile_bytes = cost.tile_bytes;
    s->cost.sum_bytes = cost.sum_bytes;
    return STATUS_OK;
}

static Status
build(StageBuild *b)
{
    StageAxes axes;
    if (stage_axes_init(&axes, b->g) != STATUS_OK) {
        return STATUS_ERROR;
    }
    Status status = find_roles(b, &axes);
    stage_axes_fini(&axes, b->g);
    if (status == STATUS_OK) {
        stage_find_spaces(b);
        b->line = stage_find_line(b);
        if (b->line == 0) {
            stage_find_moments(b);
        }
        stage_find_again(b);
        stage_find_pushed(b);
        status = stage_find_buffered(b);
    }
    if (status == STATUS_OK) {
        status = add_members(b);
    }
    if (status == STATUS_OK) {
        status = add_results(b);
    }
    if (status == STATUS_OK) {
        find_cost(b);
        status = finish_stage(b);
    }
    return status;
}

Stage *
stage_compile(const PlanGraph *g, const int32_t *stage_of, int32_t number)
{
    const size_t n = (size_t)g->count + 1;
    StageBuild b = {.g = g, .stage_of = stage_of, .number = number};
    b.stage = mem_new_zeroed(sizeof *b.stage);
    b.buffer = mem_new(3 * n * sizeof(int32_t));
    b.done = mem_new_zeroed(3 * n);
    b.space = mem_new_zeroed(n * sizeof *b.space);
    Status status = STATUS_ERROR;
    if (b.stage != NULL && b.buffer != NULL && b.done != NULL && b.space != NULL &&
        stage_roles_init(&b.roles, g, stage_of, number) == STATUS_OK) {
        b.reg = b.buffer + n;
        b.pushed = b.reg + n;
        b.again = b.done + n;
        b.multiplied = b.again + n;
        memset(b.buffer, -1, 3 * n * sizeof(int32_t));
        status = build(&b);
        stage_roles_fini(&b.roles);
    }
    vec_fini(&b.loaded);
    vec_fini(&b.buffered);
    mem_free(b.buffer, 3 * n * sizeof(int32_t));
    mem_free(b.done, 3 * n);
    mem_free(b.space, n * sizeof *b.space);
    if (status != STATUS_OK) {
        stage_free(b.stage);
        return NULL;
    }
    return b.stage;
}

void
stage_free(Stage *s)
{
    if (s == NULL) {
        return;
    }
    backend_cpu_tile_release(s->code);
    for (int64_t i = 0; i < s->steps.size; i++) {
        stage_step_fini(&s->steps.data[i]);
    }
    mem_free(s->memory, ((size_t)s->views.size + 1) * sizeof(TileMemory));
    vec_fini(&s->inputs);
    vec_fini(&s->outputs);
    vec_fini(&s->sizes);
    vec_fini(&s->views);
    vec_fini(&s->tile_views);
    vec_fini(&s->buffers);
    vec_fini(&s->sums);
    vec_fini(&s->pushes);
    vec_fini(&s->moments);
    vec_fini(&s->outs);
    vec_fini(&s->steps);
    mem_free(s, sizeof *s);
}
