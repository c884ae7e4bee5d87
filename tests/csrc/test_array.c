/* layers: base array */
/* Arrays, storages, devices: geometry, views, overlap against brute force, failing memory. */
#include "array/view.h"
#include "base/mem.h"

#include <string.h>

#include "check.h"

static void *
host_alloc(Device *self, size_t size)
{
    (void)self;
    return mem_new(size);
}

static void
host_free(Device *self, void *data, size_t size)
{
    (void)self;
    mem_free(data, size);
}

static Status
far_from_host(Device *self, void *data, const void *host, size_t size)
{
    (void)self;
    memcpy(data, host, size);
    return STATUS_OK;
}

static Device host = {.name = "cpu", .host_memory = true, .alloc = host_alloc, .free = host_free};
static Device far = {.name = "far",
                     .alloc = host_alloc,
                     .free = host_free,
                     .from_host = far_from_host};

static void
test_devices(void)
{
    CHECK(device_register(&host) == STATUS_OK && device_register(&far) == STATUS_OK);
    CHECK(device_register(&far) == STATUS_ERROR && err_kind() == ERR_VALUE);
    CHECK(device_cpu() == &host && device_default() == &host);
    CHECK(device_at(1) == &far && device_at(2) == NULL && device_at(-1) == NULL);
    CHECK(device_find("far") == &far);
    CHECK(device_find("moon") == NULL && strcmp(err_message(), "no device 'moon'; there is 'cpu', 'far'") == 0);
    device_set_default(&far);
    CHECK(device_default() == &far);
    device_set_default(&host);

    Array *a = array_new_zeroed(&far, DT_f64, 1, (int64_t[]){2000});
    CHECK(storage_map_host(a->storage, MAP_READ) == NULL && err_kind() == ERR_DEVICE);
    for (int i = 0; i < 16000; i++) {
        CHECK(a->storage->data[i] == 0);
    }
    array_release(a);
}

static void
test_dtypes(void)
{
    for (int a = 0; a < DTYPE_COUNT; a++) {
        for (int b = 0; b < DTYPE_COUNT; b++) {
            const DType both = dtype_promote((DType)a, (DType)b);
            CHECK(both == dtype_promote((DType)b, (DType)a));
            CHECK(dtype_promote(both, (DType)a) == both);
            CHECK(dtype_can_cast((DType)a, both, 's') && dtype_can_cast((DType)a, both, 'k'));
        }
    }
    CHECK(dtype_promote(DT_u64, DT_i8) == DT_f64 && dtype_promote(DT_i32, DT_f32) == DT_f64);
    CHECK(dtype_promote(DT_i16, DT_c64) == DT_c64 && dtype_promote(DT_i32, DT_c64) == DT_c128);
    const Weak weak[2] = {WEAK_NONE, WEAK_FLOAT};
    CHECK(dtype_result((DType[]){DT_f32, DT_f64}, weak, 2) == DT_f32);
    CHECK(dtype_result((DType[]){DT_i8, DT_f64}, weak, 2) == DT_f64);
    CHECK(!dtype_can_cast(DT_f64, DT_i64, 'k') && dtype_can_cast(DT_f64, DT_i64, 'u'));
}

static void
test_shapes(void)
{
    int64_t strides[4], shape[ARRAY_MAX_NDIM];
    int ndim;
    char text[64], tiny[5];
    CHECK(shape_strides(3, (int64_t[]){2, 3, 4}, 8, strides) == 24);
    CHECK(strides[0] == 96 && strides[1] == 32 && strides[2] == 8);
    CHECK(shape_strides(0, NULL, 8, strides) == 1);
    CHECK(shape_strides(2, (int64_t[]){0, 3}, 8, strides) == 0);
    CHECK(shape_strides(2, (int64_t[]){1ll << 40, 1ll << 40}, 1, strides) == -1 && err_kind() == ERR_VALUE);
    CHECK(shape_strides(3, (int64_t[]){1ll << 40, 0, 1ll << 40}, 1, strides) == -1);
    CHECK(shape_strides(1, (int64_t[]){-1}, 1, strides) == -1);

    const int64_t *two[2] = {(int64_t[]){2, 1}, (int64_t[]){3}};
    CHECK(shape_broadcast(2, (int[]){2, 1}, two, &ndim, shape) == STATUS_OK);
    CHECK(ndim == 2 && shape[0] == 2 && shape[1] == 3);
    const int64_t *bad[2] = {(int64_t[]){2, 3}, (int64_t[]){4}};
    CHECK(shape_broadcast(2, (int[]){2, 1}, bad, &ndim, shape) == STATUS_ERROR && err_kind() == ERR_SHAPE);
    CHECK(strncmp(err_message(), "operands could not be broadcast together with shapes (2,3) (4,)", 63) == 0);

    CHECK(strcmp(shape_text(2, (int64_t[]){3, 4}, text, sizeof text), "(3, 4)") == 0);
    CHECK(strcmp(shape_text(1, (int64_t[]){3}, text, sizeof text), "(3,)") == 0);
    CHECK(strcmp(shape_text(0, NULL, text, sizeof text), "()") == 0);
    CHECK(strlen(shape_text(3, (int64_t[]){100, 200, 300}, tiny, sizeof tiny)) == 4);
    int axis;
    CHECK(axis_normalise(-1, 3, &axis) == STATUS_OK && axis == 2);
    CHECK(axis_normalise(3, 3, &axis) == STATUS_ERROR && err_kind() == ERR_AXIS);
}

static void
test_views(void)
{
    Array *a = array_new(&host, DT_i32, 3, (int64_t[]){2, 3, 4});
    int32_t *x = (int32_t *)array_data(a);
    for (int i = 0; i < 24; i++) {
        x[i] = i;
    }
    Array *t = view_transpose(a, (int[]){2, 0, 1});
    CHECK(t->shape[0] == 4 && t->strides[0] == 4 && !array_is_contiguous(t));
    CHECK(array_is_contiguous(a) && !array_is_f_contiguous(a));
    Array *row = view_index(t, 0, -1);
    CHECK(*(int32_t *)array_data(row) == 3 && row->ndim == 2 && row->size == 6);
    CHECK(view_index(t, 0, 4) == NULL && err_kind() == ERR_INDEX);
    CHECK(strcmp(err_message(), "index 4 is out of bounds for axis 0 with size 4") == 0);
    Array *s = view_slice(a, 2, 3, -2, 2);
    CHECK(*(int32_t *)array_data(s) == 3 && s->strides[2] == -8 && s->size == 12);
    err_clear();
    CHECK(view_reshape(s, 1, (int64_t[]){-1}) == NULL && err_kind() == ERR_NONE);
    Array *r = view_reshape(s, 3, (int64_t[]){3, -1, 2});
    CHECK(r != NULL && r->shape[1] == 2 && r->strides[1] == 16);
    CHECK(view_reshape(a, 1, (int64_t[]){7}) == NULL && err_kind() == ERR_VALUE);
    CHECK(view_reshape(a, 2, (int64_t[]){-1, -1}) == NULL && err_kind() == ERR_VALUE);
    Array *e = view_expand(a, 3);
    Array *q = view_squeeze(e, -1, NULL);
    CHECK(e->ndim == 4 && e->shape[3] == 1 && q->ndim == 3 && array_is_contiguous(e));
    CHECK(view_squeeze(a, 1, (int[]){0}) == NULL);
    Array *b = view_broadcast(row, 3, (int64_t[]){5, 2, 3});
    CHECK(b->strides[0] == 0 && b->readonly && !array_is_writable(b) && b->size == 30);
    CHECK(view_broadcast(a, 1, (int64_t[]){4}) == NULL && err_kind() == ERR_SHAPE);
    Array *d = view_diagonal(a, -1, 0, 1);
    CHECK(d->ndim == 2 && d->shape[0] == 4 && d->shape[1] == 1);
    CHECK(*(int32_t *)array_data(d) == 12);
    Array *none = view_diagonal(a, INT64_MIN, 0, 1);
    CHECK(none->size == 0);
    Array *bytes = view_dtype(a, DT_u8);
    Array *wide = view_dtype(bytes, DT_i64);
    CHECK(bytes->shape[2] == 16 && wide->shape[2] == 2);
    CHECK(view_dtype(s, DT_u8) == NULL && err_kind() == ERR_VALUE);
    a->is_scalar = true;
    Array *frozen = view_alias(a);
    CHECK(!array_is_writable(frozen) && !frozen->is_scalar);
    Array *z = array_new(&host, DT_c64, 1, (int64_t[]){2});
    Array *im = view_imag(z);
    CHECK(im->dtype == DT_f32 && im->offset == 4 && im->strides[0] == 8);
    CHECK(array_new(&host, DT_f64, 65, a->shape) == NULL && err_kind() == ERR_VALUE);
    Array *all[] = {a, t, row, s, r, e, q, b, d, none, bytes, wide, frozen, z, im};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        array_release(all[i]);
    }
}

/* Overlap of random views of one small block, against marking bytes. */
static bool
marks_meet(const Array *a, const Array *b)
{
    unsigned char marks[512] = {0};
    const Array *both[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        const Array *v = both[k];
        for (int64_t i = 0; i < v->size; i++) {
            int64_t at = v->offset, rest = i;
            for (int axis = v->ndim - 1; axis >= 0; axis--) {
                at += rest % v->shape[axis] * v->strides[axis];
                rest /= v->shape[axis];
            }
            for (int byte = 0; byte < dtype_size((DType)v->dtype); byte++) {
                marks[at + byte] |= (unsigned char)(1 << k);
            }
        }
    }
    for (int i = 0; i < 512; i++) {
        if (marks[i] == 3) {
            return true;
        }
    }
    return false;
}

static uint32_t random_state = 1;

static int
random_below(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((random_state >> 8) % (uint32_t)n);
}

static Array *
random_view(Storage *storage)
{
    static const DType dtypes[4] = {DT_u8, DT_i16, DT_f32, DT_f64};
    for (;;) {
        const int ndim = random_below(4);
        int64_t shape[3], strides[3];
        for (int axis = 0; axis < ndim; axis++) {
            shape[axis] = random_below(20) == 0 ? 0 : 1 + random_below(5);
            strides[axis] = random_below(61) - 30;
        }
        Array *v = array_new_view(storage, dtypes[random_below(4)], ndim, shape, strides, 256);
        int64_t low, high;
        array_extent(v, &low, &high);
        v->offset += random_below(200) - 100;
        if (low >= 100 && high <= 400) {
            return v;
        }
        array_release(v);
    }
}

static void
test_overlap(void)
{
    Storage *storage = storage_new(&host, 512);
    int met = 0;
    for (int trial = 0; trial < 20000; trial++) {
        Array *a = random_view(storage);
        Array *b = random_view(storage);
        const bool truth = marks_meet(a, b);
        met += truth;
        CHECK(array_may_overlap(a, b) == truth && array_may_overlap(b, a) == truth);
        array_release(a);
        array_release(b);
    }
    CHECK(met > 1000 && met < 19000);
    storage_release(storage);
}

static int released;

static void
count_release(void *owner)
{
    CHECK(owner == &released);
    released++;
}

static void
test_foreign(void)
{
    double block[4] = {1, 2, 3, 4};
    Storage *s = storage_wrap(&host, block, sizeof block, true, &released, count_release);
    Storage *t = storage_wrap(&host, block + 1, 8, false, &released, count_release);
    Array *a = array_new_view(s, DT_f64, 1, (int64_t[]){4}, (int64_t[]){8}, 0);
    Array *b = array_new_view(t, DT_f64, 1, (int64_t[]){1}, (int64_t[]){8}, 0);
    CHECK(!array_is_writable(a) && array_is_writable(b) && array_may_overlap(a, b));
    CHECK(storage_map_host(s, MAP_WRITE) == NULL && err_kind() == ERR_VALUE);
    CHECK(storage_map_host(s, MAP_READ) == (char *)block);
    storage_release(s);
    storage_release(t);
    CHECK(released == 0);
    array_release(a);
    array_release(b);
    CHECK(released == 2);
}

/* Each request fails once: an error, and nothing is left behind. */
static void
test_failing_memory(void)
{
    array_trim();
    const int64_t before = mem_stats().bytes_live;
    const int64_t arrays = array_live();
    for (int64_t n = 1;; n++) {
        array_trim();
        mem_fail_at(n);
        Array *a = array_new(&host, DT_f64, 5, (int64_t[]){1, 2, 3, 4, 5});
        Array *v = a == NULL ? NULL : view_transpose(a, NULL);
        const bool failed = a == NULL || v == NULL;
        CHECK(!failed || err_kind() == ERR_MEMORY);
        array_release(a);
        array_release(v);
        mem_fail_at(0);
        array_trim();
        CHECK(mem_stats().bytes_live == before && array_live() == arrays);
        if (!failed) {
            CHECK(n > 3);
            break;
        }
    }
    mem_fail_at(1);
    CHECK(storage_wrap(&host, &released, 4, false, &released, count_release) == NULL);
    CHECK(released == 3);
    mem_fail_at(0);
}

static void
test_virtual(void)
{
    Array *a = array_new_virtual(&host, DT_f32, 2, (int64_t[]){3, 4});
    CHECK(storage_is_virtual(a->storage));
    CHECK(storage_materialise(a->storage) == STATUS_OK && !storage_is_virtual(a->storage));
    array_release(a);
    Array *empty = array_new(&host, DT_f32, 1, (int64_t[]){0});
    CHECK(!storage_is_virtual(empty->storage) && storage_map_host(empty->storage, MAP_READ) != NULL);
    array_release(empty);
    Array *two = array_new_scalar(DT_i64, WEAK_INT, &(int64_t){2});
    CHECK(two->weak == WEAK_INT && two->ndim == 0 && *(int64_t *)array_data(two) == 2);
    array_release(two);
    array_release(NULL);
}

/* Memory moves from one storage to another, also where it lies in the header. */
static void
test_hand_over(void)
{
    for (size_t size = 8; size <= 64; size += 8) {
        Storage *from = storage_new_zeroed(&host, size), *to = storage_new_virtual(&host, size);
        memset(from->data, 7, size);
        storage_hand_over(from, to);
        CHECK(from->data == NULL && to->data != NULL && !storage_is_virtual(to));
        storage_release(from);
        for (size_t i = 0; i < size; i++) {
            CHECK(to->data[i] == 7);
        }
        storage_release(to);
    }
}

int
main(void)
{
    test_devices();
    test_dtypes();
    test_shapes();
    test_virtual();
    test_foreign();
    test_failing_memory();
    test_overlap();
    test_views();
    test_hand_over();
    CHECK(array_live() == 0 && storage_live() == 0);
    array_trim();
    CHECK(mem_stats().blocks_live == 0);
    return 0;
}
