/* Micro-benchmark of addresses.hpp beside std::unordered_map. */
#include "addresses.hpp"

#include <chrono>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

namespace addresses_bench {

constexpr std::uint64_t words[20] = {
    0x7FF610000000, 0x7FF610000140, 0x7FF610000500, 0x7FF610000B40, 0x7FF610001400, 0x7FF610001F40,
    0x7FF610002D00, 0x7FF610003D40, 0x7FF610005000, 0x7FF610006540, 0x7FF610007D00, 0x7FF610009740,
    0x7FF61000B400, 0x7FF61000D340, 0x7FF61000F500, 0x7FF610011940, 0x7FF610014000, 0x7FF610016940,
    0x7FF610019500, 0x7FF61001C340,
};

inline addresses::key_type key(std::size_t i)
{
    return static_cast<addresses::key_type>(words[i]);
}

/* Every lookup adds to this, so that none can be left out. */
inline volatile std::uint64_t sink = 0;

/* Nanoseconds a lookup of every key in turn, rounds times. */
template <typename Lookup>
double time(const std::vector<addresses::key_type> &keys, std::size_t rounds, Lookup lookup)
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

} // namespace addresses_bench

int main()
{
    using addresses::key_type;
    std::vector<key_type> keys;
    std::unordered_map<key_type, std::uint32_t> map;
    for (std::size_t i = 0; i < 20; ++i) {
        keys.push_back(addresses_bench::key(i));
        map.emplace(keys.back(), static_cast<std::uint32_t>(i));
    }
    std::uint64_t state = 1;
    for (std::size_t i = keys.size() - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(keys[i], keys[(state >> 33) % (i + 1)]);
    }
    const double ours = addresses_bench::time(keys, 1 + 20000000 / keys.size(), [](key_type key) {
        return std::uint64_t{addresses::find_value(key).value_or(1)};
    });
    std::printf("addresses: %.2f ns a lookup\n", ours);
    const double theirs = addresses_bench::time(keys, 1 + 4000000 / keys.size(), [&map](key_type key) {
        return map.find(key)->second;
    });
    std::printf("std::unordered_map: %.2f ns a lookup\n", theirs);
    return 0;
}
