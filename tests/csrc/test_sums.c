/* The order of sums against its definition, written out element by element. */
#include "base/sums.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"

enum { N = 5 * SUM_CHUNK + 777 };

static double x[N];
static double part[N / SUM_CHUNK + 1];

static double
chunk_by_definition(const double *values, int64_t n)
{
    double acc[32];
    for (int k = 0; k < 32; k++) {
        acc[k] = -0.0;
    }
    for (int64_t i = 0; i < n; i++) {
        acc[i % 32] += values[i];
    }
    for (int w = 16; w >= 1; w /= 2) {
        for (int k = 0; k < w; k++) {
            acc[k] += acc[k + w];
        }
    }
    return n == 0 ? 0.0 : acc[0];
}

static double
merge_by_definition(const double *values, int64_t count)
{
    if (count == 1) {
        return values[0];
    }
    /* The left half of the tree is the largest power of two below count. */
    int64_t left = 1;
    while (2 * left < count) {
        left *= 2;
    }
    return merge_by_definition(values, left) + merge_by_definition(values + left, count - left);
}

static bool
same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

int
main(void)
{
    for (int i = 0; i < N; i++) {
        x[i] = sin(i * 1.7) * exp(sin(i * 0.01) * 20);
    }
    for (int64_t n = 0; n <= SUM_CHUNK; n += n < 200 ? 1 : 997) {
        CHECK(same_bits(sums_chunk_f64(x + 3, n), chunk_by_definition(x + 3, n)));
    }
    for (int64_t n = 1; n <= N; n += 13331) {
        const int64_t chunks = sums_chunks(n);
        double expected[N / SUM_CHUNK + 1];
        for (int64_t c = 0; c < chunks; c++) {
            const int64_t left = n - c * SUM_CHUNK;
            part[c] = sums_chunk_f64(x + c * SUM_CHUNK, left < SUM_CHUNK ? left : SUM_CHUNK);
            expected[c] = part[c];
        }
        CHECK(same_bits(sums_merge_f64(part, chunks), merge_by_definition(expected, chunks)));
    }
    /* In blocks, as programs do, the bits are the same. */
    SUMS_START(double, acc, -0.0)
    for (int64_t at = 0; at < 5000; at += SUM_BLOCK) {
        const double *block = x + at;
        const int64_t n = 5000 - at < SUM_BLOCK ? 5000 - at : SUM_BLOCK;
        SUMS_ADD(double, acc, n, i, block[i], SUMS_PLUS);
    }
    SUMS_FOLD(acc, SUMS_PLUS);
    CHECK(same_bits(acc[0], sums_chunk_f64(x, 5000)));

    CHECK(sums_chunks(0) == 0 && sums_chunks(1) == 1 && sums_chunks(SUM_CHUNK + 1) == 2);
    const double zeros[] = {-0.0, -0.0, -0.0};
    CHECK(signbit(sums_chunk_f64(zeros, 3)) && !signbit(sums_chunk_f64(zeros, 0)));
    CHECK(!signbit(sums_merge_f64(NULL, 0)));
    const float floats[] = {1.5f, 2.5f, -1.0f};
    CHECK(sums_chunk_f32(floats, 3) == 3.0f);
    return 0;
}
