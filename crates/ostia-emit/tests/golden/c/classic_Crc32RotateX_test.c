/* Self-test of classic_Crc32RotateX.h: 30 of 30 keys. Exit code 0 when all is well. */
#include "classic_Crc32RotateX.h"

#include <stdio.h>

static const uint32_t classic_Crc32RotateX_test_keys[30] = {
    1802505825, 1826297399, 1850088973, 1873880547, 1897672121, 1921463695, 1945255269, 1969046843,
    1992838417, 2016629991, 2040421565, 2064213139, 2088004713, 2111796287, 2135587861, 3938093686,
    3961885260, 3985676834, 4009468408, 4033259982, 4057051556, 4080843130, 4104634704, 4128426278,
    4152217852, 4176009426, 4199801000, 4223592574, 4247384148, 4271175722,
};

static const uint32_t classic_Crc32RotateX_test_indexes[30] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29,
};

static int classic_Crc32RotateX_test_wrong(const char *what, size_t i)
{
    fprintf(stderr, "classic_Crc32RotateX: key %lu of the test: %s\n", (unsigned long)i, what);
    return 1;
}

int main(void)
{
    for (size_t i = 0; i < 30; ++i) {
        if (classic_Crc32RotateX_index((uint32_t)classic_Crc32RotateX_test_keys[i]) != classic_Crc32RotateX_test_indexes[i]) {
            return classic_Crc32RotateX_test_wrong("another index", i);
        }
    }
    /* Many at once, in runs of an odd length, so that what is left over is tested too. */
    for (size_t start = 0; start < 30; start += 101) {
        size_t length = 30 - start < 101 ? 30 - start : 101;
        uint32_t keys[101];
        uint32_t indexes[101];
        for (size_t i = 0; i < length; ++i) {
            keys[i] = (uint32_t)classic_Crc32RotateX_test_keys[start + i];
        }
        classic_Crc32RotateX_index_batch(keys, indexes, length);
        for (size_t i = 0; i < length; ++i) {
            if (indexes[i] != classic_Crc32RotateX_test_indexes[start + i]) {
                return classic_Crc32RotateX_test_wrong("another index among many", start + i);
            }
        }
    }
    return 0;
}
