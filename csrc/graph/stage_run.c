/* graph/stage_run.c -- running a stage on arrays: views bound to memory, results allocated. */
#include "graph/stage_build.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic int64_t runs;

int
stage_inputs(const Stage *stage, const int32_t **places)
{
    *places = stage->inputs.data;
    return (int)stage->inputs.size;
}

int
stage_outputs(const Stage *stage, const int32_t **places)
{
    *places = stage->outputs.data;
    return (int)stage->outputs.size;
}

StageCost
stage_cost(const Stage *stage)
{
    return stage->cost;
}

int64_t
stage_runs(void)
{
    return atomic_load(&runs);
}

/* Where the view lies; false where its axes are no axes of the array. */
static bool
bind_view(const Stage *stage, int v, int ndim, const int64_t *shape, const int64_t *strides)
{
    const StageView *view = &stage->views.data[v];
    const int n = view->ndim;
    int64_t geometry[GEOMETRY_MAX], offset, bound[ARRAY_MAX_NDIM];
    geometry[0] = view->offset;
    geometry[1] = n + 1;
    geometry[2] = view->row_stride != 0 ? stage->program.rows : 1;
    memcpy(geometry + 3, view->shape, (size_t)n * sizeof(int64_t));
    geometry[3 + n] = view->row_stride;
    memcpy(geometry + 4 + n, view->strides, (size_t)n * sizeof(int64_t));
    const int64_t item = dtype_size(stage->tile_views.data[v].dtype);
    int64_t stride = item;
    bool contiguous = true;
    for (int d = ndim - 1; d >= 0; d--) {
        contiguous = contiguous && (shape[d] == 1 || strides[d] == stride);
        stride *= shape[d];
    }
    if (contiguous) {
        offset = view->offset * item;
        for (int d = 0; d <= n; d++) {
            bound[d] = geometry[3 + n + d] * item;
        }
    } else if (!geometry_decode(geometry, ndim, shape, strides, &offset, bound)) {
        return false;
    }
    TileMemory *memory = &stage->memory[v];
    memory->data = (char *)(intptr_t)offset;
    memory->row_stride = bound[0];
    memcpy(memory->strides, bound + 1, (size_t)n * sizeof(int64_t));
    return true;
}

bool
stage_bind(Stage *stage, int k, int ndim, const int64_t *shape, const int64_t *strides)
{
    for (int v = 0; v < stage->views.size; v++) {
        if (stage->views.data[v].input == k && !bind_view(stage, v, ndim, shape, strides)) {
            return false;
        }
    }
    return true;
}

/* The products that sums over rows were pushed through. */
static void
finish_pushes(const Stage *stage, const TileMemory *views, char *const *sums, char *const *out)
{
    for (int k = 0; k < stage->pushes.size; k++) {
        const StagePush *push = &stage->pushes.data[k];
        const TileMemory *matrix = &views[push->view];
        const int n = push->ndim;
        int64_t index[TILE_NDIM] = {0}, from = 0;
        for (bool more = true; more; from += push->nj) {
            const char *a = matrix->data;
            int64_t to = 0;
            for (int d = 0; d < n; d++) {
                a += index[d] * matrix->strides[d];
                to += index[d] * push->strides[d];
            }
            for (int64_t i = 0; i < push->ni; i++) {
                double total = 0;
                for (int64_t j = 0; j < push->nj; j++) {
                    const char *w = a + i * matrix->strides[n] + j * matrix->strides[n + 1];
                    double x;
                    float y;
                    if (push->single) {
                        memcpy(&y, w, sizeof y);
                        total += (double)y * (double)((const float *)sums[push->sum])[from + j];
                    } else {
                        memcpy(&x, w, sizeof x);
                        total += x * ((const double *)sums[push->sum])[from + j];
                    }
                }
                const int64_t e = to + i * push->strides[n];
                if (push->single) {
                    ((float *)out[push->at])[e] = (float)total;
                } else {
                    ((double *)out[push->at])[e] = total;
                }
            }
            more = false;
            for (int d = n - 1; d >= 0 && !more; d--) {
                more = ++index[d] < push->shape[d];
                index[d] = more ? index[d] : 0;
            }
        }
    }
}

bool
stage_may_fail_to_hold(const Stage *stage)
{
    return stage->moments.size > 0;
}

/* Where each sum goes: an output, or temporary memory. What is left of that. */
static char *
place_sums(const Stage *stage, char *const *out, char *temporary, char **sums)
{
    for (int s = 0; s < stage->sums.size; s++) {
        const TileSum *sum = &stage->sums.data[s];
        sums[s] = sum->output >= 0 ? out[sum->output] : temporary;
        temporary += sum->output >= 0 ? 0 : stage_temporary_bytes(sum);
    }
    return temporary;
}

Status
stage_run(const Stage *stage, char *const *in, char *const *out, bool *holds)
{
    const size_t view_bytes = (size_t)stage->views.size * sizeof(TileMemory);
    const size_t sum_bytes = (size_t)stage->sums.size * sizeof(char *);
    const size_t bytes = view_bytes + sum_bytes + (size_t)stage->temporary_bytes;
    TileMemory *views = mem_new(bytes);
    if (views == NULL) {
        return STATUS_ERROR;
    }
    char **sums = (char **)((char *)views + view_bytes);
    memcpy(views, stage->memory, view_bytes);
    char *const room = place_sums(stage, out, (char *)sums + sum_bytes, sums);
    for (int v = 0; v < stage->views.size; v++) {
        const int32_t input = stage->views.data[v].input;
        if (input >= 0) {
            views[v].data = in[input] + (intptr_t)stage->memory[v].data;
        }
    }
    stage_set_pivots(stage, views, room);
    Status status = backend_cpu_tile_run(stage->code, views, out, sums);
    *holds = true;
    if (status == STATUS_OK) {
        finish_pushes(stage, views, sums, out);
        status = stage_finish_moments(stage, views, sums, out, holds);
    }
    mem_free(views, bytes);
    atomic_fetch_add(&runs, 1);
    return status;
}
