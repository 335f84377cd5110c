/* Self-test of classic_Crc32RotateX.hpp: 30 of 30 keys. Exit code 0 when all is well. */
#include "classic_Crc32RotateX.hpp"

#include <cstdio>

namespace classic_Crc32RotateX_test {

constexpr std::uint32_t member_words[30] = {
    1802505825, 1826297399, 1850088973, 1873880547, 1897672121, 1921463695, 1945255269, 1969046843,
    1992838417, 2016629991, 2040421565, 2064213139, 2088004713, 2111796287, 2135587861, 3938093686,
    3961885260, 3985676834, 4009468408, 4033259982, 4057051556, 4080843130, 4104634704, 4128426278,
    4152217852, 4176009426, 4199801000, 4223592574, 4247384148, 4271175722,
};

constexpr classic_Crc32RotateX::key_type member_key(std::size_t i)
{
    return static_cast<classic_Crc32RotateX::key_type>(member_words[i]);
}

constexpr std::uint32_t indexes[30] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29,
};

/* A member is found when this is compiled. */
static_assert(classic_Crc32RotateX::index(classic_Crc32RotateX_test::member_key(0)) == indexes[0], "the first key has its index");

inline int wrong(const char *what, std::size_t i)
{
    std::fprintf(stderr, "classic_Crc32RotateX: key %lu of the test: %s\n", static_cast<unsigned long>(i), what);
    return 1;
}

} // namespace classic_Crc32RotateX_test

int main()
{
    for (std::size_t i = 0; i < 30; ++i) {
        const auto key = classic_Crc32RotateX_test::member_key(i);
        if (classic_Crc32RotateX::index(key) != classic_Crc32RotateX_test::indexes[i]) {
            return classic_Crc32RotateX_test::wrong("another index", i);
        }
    }
    return 0;
}
