/* Self-test of keywords.hpp: 9 of 9 keys, 92 foreign keys. Exit code 0 when all is well. */
#include "keywords.hpp"

#include <cstdio>

namespace keywords_test {

constexpr unsigned char member_bytes[] = {
    98, 114, 101, 97, 107, 99, 97, 115, 101, 99, 111, 110, 116, 105, 110, 117, 101, 100, 101, 102, 97, 117,
    108, 116, 100, 111, 101, 108, 115, 101, 102, 111, 114, 103, 111, 116, 111, 105, 102,
};

constexpr std::size_t member_starts[9 + 1] = {
    0, 5, 9, 17, 24, 26, 30, 33, 37, 39,
};

inline std::string_view member_key(std::size_t i)
{
    return { reinterpret_cast<const char *>(member_bytes) + member_starts[i], member_starts[i + 1] - member_starts[i] };
}

constexpr std::uint32_t indexes[9] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8,
};

constexpr unsigned char foreign_bytes[] = {
    98, 114, 101, 97, 98, 114, 101, 97, 107, 120, 99, 97, 115, 99, 97, 115, 101, 120, 99, 111, 110, 116, 105,
    110, 117, 99, 111, 110, 116, 105, 110, 117, 101, 120, 100, 100, 101, 102, 97, 117, 108, 100, 101, 102, 97,
    117, 108, 116, 120, 100, 111, 120, 101, 108, 115, 101, 108, 115, 101, 120, 102, 111, 102, 111, 114, 101,
    105, 103, 110, 32, 48, 102, 111, 114, 101, 105, 103, 110, 32, 49, 48, 51, 54, 102, 111, 114, 101, 105,
    103, 110, 32, 49, 48, 55, 51, 102, 111, 114, 101, 105, 103, 110, 32, 49, 49, 49, 102, 111, 114, 101, 105,
    103, 110, 32, 49, 49, 49, 48, 102, 111, 114, 101, 105, 103, 110, 32, 49, 49, 52, 55, 102, 111, 114, 101,
    105, 103, 110, 32, 49, 49, 56, 52, 102, 111, 114, 101, 105, 103, 110, 32, 49, 50, 50, 49, 102, 111, 114,
    101, 105, 103, 110, 32, 49, 50, 53, 56, 102, 111, 114, 101, 105, 103, 110, 32, 49, 50, 57, 53, 102, 111,
    114, 101, 105, 103, 110, 32, 49, 51, 51, 50, 102, 111, 114, 101, 105, 103, 110, 32, 49, 51, 54, 57, 102,
    111, 114, 101, 105, 103, 110, 32, 49, 52, 48, 54, 102, 111, 114, 101, 105, 103, 110, 32, 49, 52, 52, 51,
    102, 111, 114, 101, 105, 103, 110, 32, 49, 52, 56, 102, 111, 114, 101, 105, 103, 110, 32, 49, 52, 56, 48,
    102, 111, 114, 101, 105, 103, 110, 32, 49, 53, 49, 55, 102, 111, 114, 101, 105, 103, 110, 32, 49, 53, 53,
    52, 102, 111, 114, 101, 105, 103, 110, 32, 49, 53, 57, 49, 102, 111, 114, 101, 105, 103, 110, 32, 49, 54,
    50, 56, 102, 111, 114, 101, 105, 103, 110, 32, 49, 54, 54, 53, 102, 111, 114, 101, 105, 103, 110, 32, 49,
    55, 48, 50, 102, 111, 114, 101, 105, 103, 110, 32, 49, 55, 51, 57, 102, 111, 114, 101, 105, 103, 110, 32,
    49, 55, 55, 54, 102, 111, 114, 101, 105, 103, 110, 32, 49, 56, 49, 51, 102, 111, 114, 101, 105, 103, 110,
    32, 49, 56, 53, 102, 111, 114, 101, 105, 103, 110, 32, 49, 56, 53, 48, 102, 111, 114, 101, 105, 103, 110,
    32, 49, 56, 56, 55, 102, 111, 114, 101, 105, 103, 110, 32, 49, 57, 50, 52, 102, 111, 114, 101, 105, 103,
    110, 32, 49, 57, 54, 49, 102, 111, 114, 101, 105, 103, 110, 32, 49, 57, 57, 56, 102, 111, 114, 101, 105,
    103, 110, 32, 50, 48, 51, 53, 102, 111, 114, 101, 105, 103, 110, 32, 50, 48, 55, 50, 102, 111, 114, 101,
    105, 103, 110, 32, 50, 49, 48, 57, 102, 111, 114, 101, 105, 103, 110, 32, 50, 49, 52, 54, 102, 111, 114,
    101, 105, 103, 110, 32, 50, 49, 56, 51, 102, 111, 114, 101, 105, 103, 110, 32, 50, 50, 50, 102, 111, 114,
    101, 105, 103, 110, 32, 50, 50, 50, 48, 102, 111, 114, 101, 105, 103, 110, 32, 50, 50, 53, 55, 102, 111,
    114, 101, 105, 103, 110, 32, 50, 50, 57, 52, 102, 111, 114, 101, 105, 103, 110, 32, 50, 51, 51, 49, 102,
    111, 114, 101, 105, 103, 110, 32, 50, 53, 57, 102, 111, 114, 101, 105, 103, 110, 32, 50, 57, 54, 102, 111,
    114, 101, 105, 103, 110, 32, 51, 51, 51, 102, 111, 114, 101, 105, 103, 110, 32, 51, 55, 102, 111, 114,
    101, 105, 103, 110, 32, 51, 55, 48, 102, 111, 114, 101, 105, 103, 110, 32, 52, 48, 55, 102, 111, 114, 101,
    105, 103, 110, 32, 52, 52, 52, 102, 111, 114, 101, 105, 103, 110, 32, 52, 56, 49, 102, 111, 114, 101, 105,
    103, 110, 32, 53, 49, 56, 102, 111, 114, 101, 105, 103, 110, 32, 53, 53, 53, 102, 111, 114, 101, 105, 103,
    110, 32, 53, 57, 50, 102, 111, 114, 101, 105, 103, 110, 32, 54, 50, 57, 102, 111, 114, 101, 105, 103, 110,
    32, 54, 54, 54, 102, 111, 114, 101, 105, 103, 110, 32, 55, 48, 51, 102, 111, 114, 101, 105, 103, 110, 32,
    55, 52, 102, 111, 114, 101, 105, 103, 110, 32, 55, 52, 48, 102, 111, 114, 101, 105, 103, 110, 32, 55, 55,
    55, 102, 111, 114, 101, 105, 103, 110, 32, 56, 49, 52, 102, 111, 114, 101, 105, 103, 110, 32, 56, 53, 49,
    102, 111, 114, 101, 105, 103, 110, 32, 56, 56, 56, 102, 111, 114, 101, 105, 103, 110, 32, 57, 50, 53, 102,
    111, 114, 101, 105, 103, 110, 32, 57, 54, 50, 102, 111, 114, 101, 105, 103, 110, 32, 57, 57, 57, 102, 111,
    114, 120, 103, 111, 116, 103, 111, 116, 111, 120, 105, 105, 102, 120, 120, 98, 114, 101, 97, 107, 120, 99,
    97, 115, 101, 120, 99, 111, 110, 116, 105, 110, 117, 101, 120, 100, 101, 102, 97, 117, 108, 116, 120, 100,
    111, 120, 101, 108, 115, 101, 120, 102, 111, 114, 120, 103, 111, 116, 111, 120, 105, 102,
};

constexpr std::size_t foreign_starts[92 + 1] = {
    0, 0, 4, 10, 13, 18, 25, 34, 35, 41, 49, 52, 55, 60, 62, 71, 83, 95, 106, 118, 130, 142, 154, 166, 178,
    190, 202, 214, 226, 237, 249, 261, 273, 285, 297, 309, 321, 333, 345, 357, 368, 380, 392, 404, 416, 428,
    440, 452, 464, 476, 488, 499, 511, 523, 535, 547, 558, 569, 580, 590, 601, 612, 623, 634, 645, 656, 667,
    678, 689, 700, 710, 721, 732, 743, 754, 765, 776, 787, 798, 802, 805, 810, 811, 814, 820, 825, 834, 842,
    845, 850, 854, 859, 862,
};

inline std::string_view foreign_key(std::size_t i)
{
    return { reinterpret_cast<const char *>(foreign_bytes) + foreign_starts[i], foreign_starts[i + 1] - foreign_starts[i] };
}

/* Which of them pass: a fingerprint lets some through. */
constexpr bool passes[92] = {
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false,
};

constexpr char first_member[] = { '\142', '\162', '\145', '\141', '\153', '\0' };
/* A member is found when this is compiled. */
static_assert(keywords::contains(std::string_view(keywords_test::first_member, sizeof first_member - 1)), "the first key is in the set");
static_assert(keywords::index_of_member(std::string_view(keywords_test::first_member, sizeof first_member - 1)) == indexes[0], "the first key has its index");

inline int wrong(const char *what, std::size_t i)
{
    std::fprintf(stderr, "keywords: key %lu of the test: %s\n", static_cast<unsigned long>(i), what);
    return 1;
}

} // namespace keywords_test

int main()
{
    for (std::size_t i = 0; i < 9; ++i) {
        const auto key = keywords_test::member_key(i);
        if (keywords::index_of_member(key) != keywords_test::indexes[i]) {
            return keywords_test::wrong("another index", i);
        }
        if (keywords::find(key) != keywords_test::indexes[i]) {
            return keywords_test::wrong("not found", i);
        }
        if (!keywords::contains(key)) {
            return keywords_test::wrong("taken for a foreign key", i);
        }
    }
    for (std::size_t i = 0; i < 92; ++i) {
        const auto key = keywords_test::foreign_key(i);
        if (keywords::contains(key) != keywords_test::passes[i]) {
            return keywords_test::wrong("a foreign key gets another answer", i);
        }
        if (keywords::find(key).has_value() != keywords_test::passes[i]) {
            return keywords_test::wrong("a foreign key gets another answer", i);
        }
    }
    return 0;
}
