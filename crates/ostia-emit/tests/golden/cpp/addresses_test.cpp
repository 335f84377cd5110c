/* Self-test of addresses.hpp: 20 of 20 keys, 24 foreign keys. Exit code 0 when all is well. */
#include "addresses.hpp"

#include <cstdio>

namespace addresses_test {

constexpr std::uint64_t member_words[20] = {
    0x7FF610000000, 0x7FF610000140, 0x7FF610000500, 0x7FF610000B40, 0x7FF610001400, 0x7FF610001F40,
    0x7FF610002D00, 0x7FF610003D40, 0x7FF610005000, 0x7FF610006540, 0x7FF610007D00, 0x7FF610009740,
    0x7FF61000B400, 0x7FF61000D340, 0x7FF61000F500, 0x7FF610011940, 0x7FF610014000, 0x7FF610016940,
    0x7FF610019500, 0x7FF61001C340,
};

constexpr addresses::key_type member_key(std::size_t i)
{
    return static_cast<addresses::key_type>(member_words[i]);
}

constexpr std::uint16_t values[] = {
    0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000, 13000, 14000, 15000, 16000,
    17000, 18000, 19000,
};

inline bool is_value(const addresses::value_type &value, std::size_t i)
{
    return value == values[i];
}

constexpr std::uint64_t foreign_words[24] = {
    0x7FF610000001, 0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A, 0x7FF610000141, 0xDAA66D2C7DDF743F,
    0x7FF610000142, 0x78DDE6E5FD29F054, 0x7FF610000501, 0x1715609F7C746C69, 0x7FF610000504,
    0xB54CDA58FBBEE87E, 0x7FF610000B41, 0x538454127B096493, 0x7FF610000B48, 0xF1BBCDCBFA53E0A8,
    0x7FF610001401, 0x8FF34785799E5CBD, 0x7FF610001410, 0x2E2AC13EF8E8D8D2, 0x7FF610001F41,
    0xCC623AF8783354E7, 0x7FF610001F60, 0x6A99B4B1F77DD0FC, 0x7FF610002D01,
};

constexpr addresses::key_type foreign_key(std::size_t i)
{
    return static_cast<addresses::key_type>(foreign_words[i]);
}

/* Which of them pass: a fingerprint lets some through. */
constexpr bool passes[24] = {
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
};

/* A member is found when this is compiled. */
static_assert(addresses::contains(addresses_test::member_key(0)), "the first key is in the set");
static_assert(addresses::value_of_member(addresses_test::member_key(0)) == values[0], "the first key has its value");

inline int wrong(const char *what, std::size_t i)
{
    std::fprintf(stderr, "addresses: key %lu of the test: %s\n", static_cast<unsigned long>(i), what);
    return 1;
}

} // namespace addresses_test

int main()
{
    for (std::size_t i = 0; i < 20; ++i) {
        const auto key = addresses_test::member_key(i);
        if (!addresses::contains(key)) {
            return addresses_test::wrong("taken for a foreign key", i);
        }
        if (!addresses_test::is_value(addresses::value_of_member(key), i)) {
            return addresses_test::wrong("another value", i);
        }
        const auto value = addresses::find_value(key);
        if (!value || !addresses_test::is_value(*value, i)) {
            return addresses_test::wrong("no value, or another one", i);
        }
    }
    for (std::size_t i = 0; i < 24; ++i) {
        const auto key = addresses_test::foreign_key(i);
        if (addresses::contains(key) != addresses_test::passes[i]) {
            return addresses_test::wrong("a foreign key gets another answer", i);
        }
    }
    return 0;
}
