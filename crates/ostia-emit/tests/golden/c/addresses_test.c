/* Self-test of addresses.h: 20 of 20 keys, 24 foreign keys. Exit code 0 when all is well. */
#include "addresses.h"

#include <stdio.h>

static const uint64_t addresses_test_keys[20] = {
    0x7FF610000000, 0x7FF610000140, 0x7FF610000500, 0x7FF610000B40, 0x7FF610001400, 0x7FF610001F40,
    0x7FF610002D00, 0x7FF610003D40, 0x7FF610005000, 0x7FF610006540, 0x7FF610007D00, 0x7FF610009740,
    0x7FF61000B400, 0x7FF61000D340, 0x7FF61000F500, 0x7FF610011940, 0x7FF610014000, 0x7FF610016940,
    0x7FF610019500, 0x7FF61001C340,
};

static const uint16_t addresses_test_values[] = {
    0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000, 13000, 14000, 15000, 16000,
    17000, 18000, 19000,
};

static const uint64_t addresses_foreign_keys[24] = {
    0x7FF610000001, 0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A, 0x7FF610000141, 0xDAA66D2C7DDF743F,
    0x7FF610000142, 0x78DDE6E5FD29F054, 0x7FF610000501, 0x1715609F7C746C69, 0x7FF610000504,
    0xB54CDA58FBBEE87E, 0x7FF610000B41, 0x538454127B096493, 0x7FF610000B48, 0xF1BBCDCBFA53E0A8,
    0x7FF610001401, 0x8FF34785799E5CBD, 0x7FF610001410, 0x2E2AC13EF8E8D8D2, 0x7FF610001F41,
    0xCC623AF8783354E7, 0x7FF610001F60, 0x6A99B4B1F77DD0FC, 0x7FF610002D01,
};

/* Which of them pass: a fingerprint lets some through. */
static const uint8_t addresses_foreign_passes[24] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

static int addresses_test_wrong(const char *what, size_t i)
{
    fprintf(stderr, "addresses: key %lu of the test: %s\n", (unsigned long)i, what);
    return 1;
}

int main(void)
{
    for (size_t i = 0; i < 20; ++i) {
        if (!addresses_contains((uint64_t)addresses_test_keys[i])) {
            return addresses_test_wrong("taken for a foreign key", i);
        }
        uint16_t value = addresses_value_of_member((uint64_t)addresses_test_keys[i]);
        if (value != addresses_test_values[i]) {
            return addresses_test_wrong("another value", i);
        }
        if (!addresses_find_value((uint64_t)addresses_test_keys[i], &value) || value != addresses_test_values[i]) {
            return addresses_test_wrong("no value, or another one", i);
        }
    }
    for (size_t i = 0; i < 24; ++i) {
        if (addresses_contains((uint64_t)addresses_foreign_keys[i]) != (addresses_foreign_passes[i] != 0)) {
            return addresses_test_wrong("a foreign key gets another answer", i);
        }
    }
    return 0;
}
