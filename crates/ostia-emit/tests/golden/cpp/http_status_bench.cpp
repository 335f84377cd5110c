/* Micro-benchmark of http_status.hpp beside std::unordered_map. */
#include "http_status.hpp"

#include <chrono>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

namespace http_status_bench {

constexpr std::uint32_t words[12] = {
    200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 500, 503,
};

inline http_status::key_type key(std::size_t i)
{
    return static_cast<http_status::key_type>(words[i]);
}

/* Every lookup adds to this, so that none can be left out. */
inline volatile std::uint64_t sink = 0;

/* Nanoseconds a lookup of every key in turn, rounds times. */
template <typename Lookup>
double time(const std::vector<http_status::key_type> &keys, std::size_t rounds, Lookup lookup)
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

} // namespace http_status_bench

int main()
{
    using http_status::key_type;
    std::vector<key_type> keys;
    std::unordered_map<key_type, std::uint32_t> map;
    for (std::size_t i = 0; i < 12; ++i) {
        keys.push_back(http_status_bench::key(i));
        map.emplace(keys.back(), static_cast<std::uint32_t>(i));
    }
    std::uint64_t state = 1;
    for (std::size_t i = keys.size() - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(keys[i], keys[(state >> 33) % (i + 1)]);
    }
    const double ours = http_status_bench::time(keys, 1 + 20000000 / keys.size(), [](key_type key) {
        return http_status::index(key);
    });
    std::printf("http_status: %.2f ns a lookup\n", ours);
    const double theirs = http_status_bench::time(keys, 1 + 4000000 / keys.size(), [&map](key_type key) {
        return map.find(key)->second;
    });
    std::printf("std::unordered_map: %.2f ns a lookup\n", theirs);
    return 0;
}
