/* Self-test of http_status.hpp: 12 of 12 keys. Exit code 0 when all is well. */
#include "http_status.hpp"

#include <cstdio>

namespace http_status_test {

constexpr std::uint32_t member_words[12] = {
    200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 500, 503,
};

constexpr http_status::key_type member_key(std::size_t i)
{
    return static_cast<http_status::key_type>(member_words[i]);
}

constexpr std::uint32_t indexes[12] = {
    0, 8, 3, 11, 4, 12, 1, 2, 7, 15, 13, 6,
};

constexpr std::uint8_t values[] = {
    0, 4, 9, 13, 18, 23, 27, 32, 37, 41, 46, 50, 55, 60, 64, 69, 74, 78, 83, 87, 92, 97, 101, 106, 111, 115,
    120, 124, 129, 134, 138, 143, 148, 152, 157, 161, 166, 171, 175, 180, 185, 189, 194, 198, 203, 208, 212,
    217, 222, 226, 231, 235, 240, 245, 249, 254, 3, 7, 12, 16,
};

inline bool is_value(const http_status::value_type &value, std::size_t i)
{
    for (std::size_t at = 0; at < value.size(); ++at) {
        if (value[at] != values[i * value.size() + at]) {
            return false;
        }
    }
    return true;
}

/* A member is found when this is compiled. */
static_assert(http_status::index(http_status_test::member_key(0)) == indexes[0], "the first key has its index");

inline int wrong(const char *what, std::size_t i)
{
    std::fprintf(stderr, "http_status: key %lu of the test: %s\n", static_cast<unsigned long>(i), what);
    return 1;
}

} // namespace http_status_test

int main()
{
    for (std::size_t i = 0; i < 12; ++i) {
        const auto key = http_status_test::member_key(i);
        if (http_status::index(key) != http_status_test::indexes[i]) {
            return http_status_test::wrong("another index", i);
        }
        if (!http_status_test::is_value(http_status::value(key), i)) {
            return http_status_test::wrong("another value", i);
        }
    }
    return 0;
}
