/* Micro-benchmark of addresses.h beside bsearch over the sorted keys. */
#include "addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t addresses_bench_key;

static const uint64_t addresses_bench_words[20] = {
    0x7FF610000000, 0x7FF610000140, 0x7FF610000500, 0x7FF610000B40, 0x7FF610001400, 0x7FF610001F40,
    0x7FF610002D00, 0x7FF610003D40, 0x7FF610005000, 0x7FF610006540, 0x7FF610007D00, 0x7FF610009740,
    0x7FF61000B400, 0x7FF61000D340, 0x7FF61000F500, 0x7FF610011940, 0x7FF610014000, 0x7FF610016940,
    0x7FF610019500, 0x7FF61001C340,
};

static int addresses_bench_compare(const void *left, const void *right)
{
    addresses_bench_key a = *(const addresses_bench_key *)left;
    addresses_bench_key b = *(const addresses_bench_key *)right;
    return (a > b) - (a < b);
}

static addresses_bench_key addresses_bench_sorted[20];
static addresses_bench_key addresses_bench_asked[20];

/* Every lookup adds to this, so that none can be left out. */
static volatile uint64_t addresses_bench_sink;

static double addresses_bench_ns(clock_t start, size_t rounds)
{
    return 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)(rounds * 20u);
}

int main(void)
{
    size_t rounds = 1 + 20000000u / 20u;
    size_t round;
    size_t i;
    uint64_t sum = 0;
    uint64_t state = 1;
    clock_t start;
    for (i = 0; i < 20u; ++i) {
        addresses_bench_sorted[i] = (addresses_bench_key)addresses_bench_words[i];
    }
    memcpy(addresses_bench_asked, addresses_bench_sorted, sizeof addresses_bench_asked);
    qsort(addresses_bench_sorted, 20u, sizeof addresses_bench_sorted[0], addresses_bench_compare);
    for (i = 20u - 1; i > 0; --i) {
        size_t other;
        addresses_bench_key key = addresses_bench_asked[i];
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        other = (size_t)((state >> 33) % (i + 1));
        addresses_bench_asked[i] = addresses_bench_asked[other];
        addresses_bench_asked[other] = key;
    }

    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 20u; ++i) {
            uint16_t value = 0;
            sum += addresses_find_value(addresses_bench_asked[i], &value) ? value : 1;
        }
        addresses_bench_sink += sum;
    }
    printf("addresses: %.2f ns a lookup\n", addresses_bench_ns(start, rounds));

    rounds = 1 + 2000000u / 20u;
    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 20u; ++i) {
            const addresses_bench_key *found = (const addresses_bench_key *)bsearch(
                &addresses_bench_asked[i], addresses_bench_sorted, 20u, sizeof addresses_bench_sorted[0], addresses_bench_compare);
            sum += (uint64_t)(found - addresses_bench_sorted);
        }
        addresses_bench_sink += sum;
    }
    printf("bsearch: %.2f ns a lookup\n", addresses_bench_ns(start, rounds));
    return 0;
}
