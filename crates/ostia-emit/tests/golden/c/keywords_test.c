/* Self-test of keywords.h: 9 of 9 keys, 19 foreign keys. Exit code 0 when all is well. */
#include "keywords.h"

#include <stdio.h>

static const unsigned char keywords_test_bytes[] = {
    98, 114, 101, 97, 107, 99, 97, 115, 101, 99, 111, 110, 116, 105, 110, 117, 101, 100, 101, 102, 97, 117,
    108, 116, 100, 111, 101, 108, 115, 101, 102, 111, 114, 103, 111, 116, 111, 105, 102,
};

static const size_t keywords_test_starts[9 + 1] = {
    0, 5, 9, 17, 24, 26, 30, 33, 37, 39,
};

static const uint32_t keywords_test_indexes[9] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8,
};

static const unsigned char keywords_foreign_bytes[] = {
    98, 114, 101, 97, 107, 126, 98, 114, 101, 97, 99, 97, 115, 101, 126, 99, 97, 115, 99, 111, 110, 116, 105,
    110, 117, 101, 126, 99, 111, 110, 116, 105, 110, 117, 100, 101, 102, 97, 117, 108, 116, 126, 100, 101,
    102, 97, 117, 108, 100, 111, 126, 100, 101, 108, 115, 101, 126, 101, 108, 115, 102, 111, 114, 126, 102,
    111, 103, 111, 116, 111, 126, 103, 111, 116, 105, 102, 126, 105,
};

static const size_t keywords_foreign_starts[19 + 1] = {
    0, 6, 10, 15, 18, 27, 34, 42, 48, 51, 52, 57, 60, 64, 66, 71, 74, 77, 78, 78,
};

/* Which of them pass: a fingerprint lets some through. */
static const uint8_t keywords_foreign_passes[19] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

static int keywords_test_wrong(const char *what, size_t i)
{
    fprintf(stderr, "keywords: key %lu of the test: %s\n", (unsigned long)i, what);
    return 1;
}

int main(void)
{
    for (size_t i = 0; i < 9; ++i) {
        if (keywords_index_of_member((const char *)(keywords_test_bytes + keywords_test_starts[i]), keywords_test_starts[i + 1] - keywords_test_starts[i]) != keywords_test_indexes[i]) {
            return keywords_test_wrong("another index", i);
        }
        uint32_t found = 0;
        if (!keywords_find((const char *)(keywords_test_bytes + keywords_test_starts[i]), keywords_test_starts[i + 1] - keywords_test_starts[i], &found) || found != keywords_test_indexes[i]) {
            return keywords_test_wrong("not found", i);
        }
        if (!keywords_contains((const char *)(keywords_test_bytes + keywords_test_starts[i]), keywords_test_starts[i + 1] - keywords_test_starts[i])) {
            return keywords_test_wrong("taken for a foreign key", i);
        }
    }
    for (size_t i = 0; i < 19; ++i) {
        if (keywords_contains((const char *)(keywords_foreign_bytes + keywords_foreign_starts[i]), keywords_foreign_starts[i + 1] - keywords_foreign_starts[i]) != (keywords_foreign_passes[i] != 0)) {
            return keywords_test_wrong("a foreign key gets another answer", i);
        }
        uint32_t found = 0;
        if (keywords_find((const char *)(keywords_foreign_bytes + keywords_foreign_starts[i]), keywords_foreign_starts[i + 1] - keywords_foreign_starts[i], &found) != (keywords_foreign_passes[i] != 0)) {
            return keywords_test_wrong("a foreign key gets another answer", i);
        }
    }
    return 0;
}
