/* Self-test of keywords.hpp: 9 of 9 keys, 19 foreign keys. Exit code 0 when all is well. */
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
    98, 114, 101, 97, 107, 126, 98, 114, 101, 97, 99, 97, 115, 101, 126, 99, 97, 115, 99, 111, 110, 116, 105,
    110, 117, 101, 126, 99, 111, 110, 116, 105, 110, 117, 100, 101, 102, 97, 117, 108, 116, 126, 100, 101,
    102, 97, 117, 108, 100, 111, 126, 100, 101, 108, 115, 101, 126, 101, 108, 115, 102, 111, 114, 126, 102,
    111, 103, 111, 116, 111, 126, 103, 111, 116, 105, 102, 126, 105,
};

constexpr std::size_t foreign_starts[19 + 1] = {
    0, 6, 10, 15, 18, 27, 34, 42, 48, 51, 52, 57, 60, 64, 66, 71, 74, 77, 78, 78,
};

inline std::string_view foreign_key(std::size_t i)
{
    return { reinterpret_cast<const char *>(foreign_bytes) + foreign_starts[i], foreign_starts[i + 1] - foreign_starts[i] };
}

/* Which of them pass: a fingerprint lets some through. */
constexpr bool passes[19] = {
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false,
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
    for (std::size_t i = 0; i < 19; ++i) {
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
