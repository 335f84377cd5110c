/* Micro-benchmark of keywords.h beside bsearch over the sorted keys. */
#include "keywords.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *text;
    size_t length;
} keywords_bench_key;

static const unsigned char keywords_bench_bytes[] = {
    98, 114, 101, 97, 107, 99, 97, 115, 101, 99, 111, 110, 116, 105, 110, 117, 101, 100, 101, 102, 97, 117,
    108, 116, 100, 111, 101, 108, 115, 101, 102, 111, 114, 103, 111, 116, 111, 105, 102,
};

static const size_t keywords_bench_starts[9 + 1] = {
    0, 5, 9, 17, 24, 26, 30, 33, 37, 39,
};

static int keywords_bench_compare(const void *left, const void *right)
{
    const keywords_bench_key *a = (const keywords_bench_key *)left;
    const keywords_bench_key *b = (const keywords_bench_key *)right;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static keywords_bench_key keywords_bench_sorted[9];
static keywords_bench_key keywords_bench_asked[9];

/* Every lookup adds to this, so that none can be left out. */
static volatile uint64_t keywords_bench_sink;

static double keywords_bench_ns(clock_t start, size_t rounds)
{
    return 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)(rounds * 9u);
}

int main(void)
{
    size_t rounds = 1 + 20000000u / 9u;
    size_t round;
    size_t i;
    uint64_t sum = 0;
    uint64_t state = 1;
    clock_t start;
    for (i = 0; i < 9u; ++i) {
        keywords_bench_sorted[i].text = (const char *)(keywords_bench_bytes + keywords_bench_starts[i]);
        keywords_bench_sorted[i].length = keywords_bench_starts[i + 1] - keywords_bench_starts[i];
    }
    memcpy(keywords_bench_asked, keywords_bench_sorted, sizeof keywords_bench_asked);
    qsort(keywords_bench_sorted, 9u, sizeof keywords_bench_sorted[0], keywords_bench_compare);
    for (i = 9u - 1; i > 0; --i) {
        size_t other;
        keywords_bench_key key = keywords_bench_asked[i];
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        other = (size_t)((state >> 33) % (i + 1));
        keywords_bench_asked[i] = keywords_bench_asked[other];
        keywords_bench_asked[other] = key;
    }

    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 9u; ++i) {
            uint32_t found = 0;
            sum += keywords_find(keywords_bench_asked[i].text, keywords_bench_asked[i].length, &found) ? found : 1;
        }
        keywords_bench_sink += sum;
    }
    printf("keywords: %.2f ns a lookup\n", keywords_bench_ns(start, rounds));

    rounds = 1 + 2000000u / 9u;
    start = clock();
    for (round = 0; round < rounds; ++round) {
        for (i = 0; i < 9u; ++i) {
            const keywords_bench_key *found = (const keywords_bench_key *)bsearch(
                &keywords_bench_asked[i], keywords_bench_sorted, 9u, sizeof keywords_bench_sorted[0], keywords_bench_compare);
            sum += (uint64_t)(found - keywords_bench_sorted);
        }
        keywords_bench_sink += sum;
    }
    printf("bsearch: %.2f ns a lookup\n", keywords_bench_ns(start, rounds));
    return 0;
}
