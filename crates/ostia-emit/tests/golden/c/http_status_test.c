/* Self-test of http_status.h: 12 of 12 keys. Exit code 0 when all is well. */
#include "http_status.h"

#include <stdio.h>
#include <string.h>

static const uint32_t http_status_test_keys[12] = {
    200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 500, 503,
};

static const uint32_t http_status_test_indexes[12] = {
    0, 8, 3, 11, 4, 12, 1, 2, 7, 15, 13, 6,
};

static const uint8_t http_status_test_values[] = {
    0, 4, 9, 13, 18, 23, 27, 32, 37, 41, 46, 50, 55, 60, 64, 69, 74, 78, 83, 87, 92, 97, 101, 106, 111, 115,
    120, 124, 129, 134, 138, 143, 148, 152, 157, 161, 166, 171, 175, 180, 185, 189, 194, 198, 203, 208, 212,
    217, 222, 226, 231, 235, 240, 245, 249, 254, 3, 7, 12, 16,
};

static int http_status_test_wrong(const char *what, size_t i)
{
    fprintf(stderr, "http_status: key %lu of the test: %s\n", (unsigned long)i, what);
    return 1;
}

int main(void)
{
    for (size_t i = 0; i < 12; ++i) {
        if (http_status_index((uint32_t)http_status_test_keys[i]) != http_status_test_indexes[i]) {
            return http_status_test_wrong("another index", i);
        }
        const uint8_t *value = http_status_value((uint32_t)http_status_test_keys[i]);
        if (memcmp(value, http_status_test_values + i * 5, 5) != 0) {
            return http_status_test_wrong("another record", i);
        }
    }
    /* Many at once, in runs of an odd length, so that what is left over is tested too. */
    for (size_t start = 0; start < 12; start += 101) {
        size_t length = 12 - start < 101 ? 12 - start : 101;
        uint32_t keys[101];
        uint32_t indexes[101];
        for (size_t i = 0; i < length; ++i) {
            keys[i] = (uint32_t)http_status_test_keys[start + i];
        }
        http_status_index_batch(keys, indexes, length);
        for (size_t i = 0; i < length; ++i) {
            if (indexes[i] != http_status_test_indexes[start + i]) {
                return http_status_test_wrong("another index among many", start + i);
            }
        }
    }
    return 0;
}
