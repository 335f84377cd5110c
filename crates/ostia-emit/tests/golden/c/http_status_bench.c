/* Micro-benchmark of http_status.h beside bsearch over the sorted keys. */
#include "http_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint32_t http_status_bench_key;

static const uint32_t http_status_bench_words[12] = {
    200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 500, 503,
};

static int http_status_bench_compare(const void *left, const void *right)
{
    http_status_bench_key a = *(const http_status_bench_key *)left;
    http_status_bench_key b = *(const http_status_bench_key *)right;
    return (a > b) - (a < b);
}

static http_status_bench_key http_status_bench_sorted[12];
static http_status_bench_key http_status_bench_asked[12];
static uint32_t http_status_bench_indexes[12];

/* Every lookup adds to this, so that none can be left out. */
static volatile uint64_t http_status_bench_sink;

static double http_status_bench_ns(clock_t start, size_t rounds)
{
    return 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)(rounds * 12u);
}

int main(void)
{
    size_t rounds = 1 + 20000000u / 12u;
    size_t round;
    size_t i;
    uint64_t sum = 0;
    uint64_t state = 1;
    clock_t start;
    for (i = 0; i < 12u; ++i) {
        http_status_bench_sorted[i] = (http_status_bench_key)http_status_bench_words[i];
    }
    memcpy(http_status_bench_asked, http_status_bench_sorted, sizeof http_status_bench_asked);
    qsort(http_status_bench_sorted, 12u, sizeof http_status_bench_sorted[0], http_status_bench_compare);
    for (i = 12u - 1; i > 0; --i) {
        size_t other;
        http_status_bench_key key = http_status_bench_asked[i];
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        other = (size_t)((state >> 33) % (i + 1));
        http_status_bench_asked[i] = http_status_bench_asked[other];
        http_status_bench_asked[other] = key;
    }

    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 12u; ++i) {
            sum += http_status_index(http_status_bench_asked[i]);
        }
        http_status_bench_sink += sum;
    }
    printf("http_status: %.2f ns a lookup\n", http_status_bench_ns(start, rounds));

    start = clock();
    for (round = 0; round < rounds; ++round) {
        http_status_index_batch(http_status_bench_asked, http_status_bench_indexes, 12u);
        http_status_bench_sink += http_status_bench_indexes[round % 12u];
    }
    printf("http_status, many at once: %.2f ns a lookup\n", http_status_bench_ns(start, rounds));

    rounds = 1 + 2000000u / 12u;
    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 12u; ++i) {
            const http_status_bench_key *found = (const http_status_bench_key *)bsearch(
                &http_status_bench_asked[i], http_status_bench_sorted, 12u, sizeof http_status_bench_sorted[0], http_status_bench_compare);
            sum += (uint64_t)(found - http_status_bench_sorted);
        }
        http_status_bench_sink += sum;
    }
    printf("bsearch: %.2f ns a lookup\n", http_status_bench_ns(start, rounds));
    return 0;
}
