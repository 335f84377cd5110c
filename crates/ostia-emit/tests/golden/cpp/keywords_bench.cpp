/* Micro-benchmark of keywords.hpp beside std::unordered_map. */
#include "keywords.hpp"

#include <chrono>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

namespace keywords_bench {

constexpr unsigned char bytes[] = {
    98, 114, 101, 97, 107, 99, 97, 115, 101, 99, 111, 110, 116, 105, 110, 117, 101, 100, 101, 102, 97, 117,
    108, 116, 100, 111, 101, 108, 115, 101, 102, 111, 114, 103, 111, 116, 111, 105, 102,
};

constexpr std::size_t starts[9 + 1] = {
    0, 5, 9, 17, 24, 26, 30, 33, 37, 39,
};

inline keywords::key_type key(std::size_t i)
{
    return { reinterpret_cast<const char *>(bytes) + starts[i], starts[i + 1] - starts[i] };
}

/* Every lookup adds to this, so that none can be left out. */
inline volatile std::uint64_t sink = 0;

/* Nanoseconds a lookup of every key in turn, rounds times. */
template <typename Lookup>
double time(const std::vector<keywords::key_type> &keys, std::size_t rounds, Lookup lookup)
{
    std::uint64_t sum = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t round = 0; round < rounds; ++round) {
        for (const auto &asked : keys) {
            sum += lookup(asked);
        }
        sink = sum;
    }
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    return spent.count() / static_cast<double>(rounds * keys.size());
}

} // namespace keywords_bench

int main()
{
    using keywords::key_type;
    std::vector<key_type> keys;
    std::unordered_map<key_type, std::uint32_t> map;
    for (std::size_t i = 0; i < 9; ++i) {
        keys.push_back(keywords_bench::key(i));
        map.emplace(keys.back(), static_cast<std::uint32_t>(i));
    }
    std::uint64_t state = 1;
    for (std::size_t i = keys.size() - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(keys[i], keys[(state >> 33) % (i + 1)]);
    }
    const double ours = keywords_bench::time(keys, 1 + 20000000 / keys.size(), [](key_type key) {
        return keywords::find(key).value_or(1);
    });
    std::printf("keywords: %.2f ns a lookup\n", ours);
    const double theirs = keywords_bench::time(keys, 1 + 4000000 / keys.size(), [&map](key_type key) {
        return map.find(key)->second;
    });
    std::printf("std::unordered_map: %.2f ns a lookup\n", theirs);
    return 0;
}
