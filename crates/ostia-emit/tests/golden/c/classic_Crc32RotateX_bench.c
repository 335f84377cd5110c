/* Micro-benchmark of classic_Crc32RotateX.h beside bsearch over the sorted keys. */
#include "classic_Crc32RotateX.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint32_t classic_Crc32RotateX_bench_key;

static const uint32_t classic_Crc32RotateX_bench_words[30] = {
    1802505825, 1826297399, 1850088973, 1873880547, 1897672121, 1921463695, 1945255269, 1969046843,
    1992838417, 2016629991, 2040421565, 2064213139, 2088004713, 2111796287, 2135587861, 3938093686,
    3961885260, 3985676834, 4009468408, 4033259982, 4057051556, 4080843130, 4104634704, 4128426278,
    4152217852, 4176009426, 4199801000, 4223592574, 4247384148, 4271175722,
};

static int classic_Crc32RotateX_bench_compare(const void *left, const void *right)
{
    classic_Crc32RotateX_bench_key a = *(const classic_Crc32RotateX_bench_key *)left;
    classic_Crc32RotateX_bench_key b = *(const classic_Crc32RotateX_bench_key *)right;
    return (a > b) - (a < b);
}

static classic_Crc32RotateX_bench_key classic_Crc32RotateX_bench_sorted[30];
static classic_Crc32RotateX_bench_key classic_Crc32RotateX_bench_asked[30];
static uint32_t classic_Crc32RotateX_bench_indexes[30];

/* Every lookup adds to this, so that none can be left out. */
static volatile uint64_t classic_Crc32RotateX_bench_sink;

static double classic_Crc32RotateX_bench_ns(clock_t start, size_t rounds)
{
    return 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)(rounds * 30u);
}

int main(void)
{
    size_t rounds = 1 + 20000000u / 30u;
    size_t round;
    size_t i;
    uint64_t sum = 0;
    uint64_t state = 1;
    clock_t start;
    for (i = 0; i < 30u; ++i) {
        classic_Crc32RotateX_bench_sorted[i] = (classic_Crc32RotateX_bench_key)classic_Crc32RotateX_bench_words[i];
    }
    memcpy(classic_Crc32RotateX_bench_asked, classic_Crc32RotateX_bench_sorted, sizeof classic_Crc32RotateX_bench_asked);
    qsort(classic_Crc32RotateX_bench_sorted, 30u, sizeof classic_Crc32RotateX_bench_sorted[0], classic_Crc32RotateX_bench_compare);
    for (i = 30u - 1; i > 0; --i) {
        size_t other;
        classic_Crc32RotateX_bench_key key = classic_Crc32RotateX_bench_asked[i];
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        other = (size_t)((state >> 33) % (i + 1));
        classic_Crc32RotateX_bench_asked[i] = classic_Crc32RotateX_bench_asked[other];
        classic_Crc32RotateX_bench_asked[other] = key;
    }

    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 30u; ++i) {
            sum += classic_Crc32RotateX_index(classic_Crc32RotateX_bench_asked[i]);
        }
        classic_Crc32RotateX_bench_sink += sum;
    }
    printf("classic_Crc32RotateX: %.2f ns a lookup\n", classic_Crc32RotateX_bench_ns(start, rounds));

    start = clock();
    for (round = 0; round < rounds; ++round) {
        classic_Crc32RotateX_index_batch(classic_Crc32RotateX_bench_asked, classic_Crc32RotateX_bench_indexes, 30u);
        classic_Crc32RotateX_bench_sink += classic_Crc32RotateX_bench_indexes[round % 30u];
    }
    printf("classic_Crc32RotateX, many at once: %.2f ns a lookup\n", classic_Crc32RotateX_bench_ns(start, rounds));

    rounds = 1 + 2000000u / 30u;
    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 30u; ++i) {
            const classic_Crc32RotateX_bench_key *found = (const classic_Crc32RotateX_bench_key *)bsearch(
                &classic_Crc32RotateX_bench_asked[i], classic_Crc32RotateX_bench_sorted, 30u, sizeof classic_Crc32RotateX_bench_sorted[0], classic_Crc32RotateX_bench_compare);
            sum += (uint64_t)(found - classic_Crc32RotateX_bench_sorted);
        }
        classic_Crc32RotateX_bench_sink += sum;
    }
    printf("bsearch: %.2f ns a lookup\n", classic_Crc32RotateX_bench_ns(start, rounds));
    return 0;
}
