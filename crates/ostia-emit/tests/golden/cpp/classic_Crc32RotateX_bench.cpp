/* Micro-benchmark of classic_Crc32RotateX.hpp beside std::unordered_map. */
#include "classic_Crc32RotateX.hpp"

#include <chrono>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

namespace classic_Crc32RotateX_bench {

constexpr std::uint32_t words[30] = {
    1802505825, 1826297399, 1850088973, 1873880547, 1897672121, 1921463695, 1945255269, 1969046843,
    1992838417, 2016629991, 2040421565, 2064213139, 2088004713, 2111796287, 2135587861, 3938093686,
    3961885260, 3985676834, 4009468408, 4033259982, 4057051556, 4080843130, 4104634704, 4128426278,
    4152217852, 4176009426, 4199801000, 4223592574, 4247384148, 4271175722,
};

inline classic_Crc32RotateX::key_type key(std::size_t i)
{
    return static_cast<classic_Crc32RotateX::key_type>(words[i]);
}

/* Every lookup adds to this, so that none can be left out. */
inline volatile std::uint64_t sink = 0;

/* Nanoseconds a lookup of every key in turn, rounds times. */
template <typename Lookup>
double time(const std::vector<classic_Crc32RotateX::key_type> &keys, std::size_t rounds, Lookup lookup)
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

} // namespace classic_Crc32RotateX_bench

int main()
{
    using classic_Crc32RotateX::key_type;
    std::vector<key_type> keys;
    std::unordered_map<key_type, std::uint32_t> map;
    for (std::size_t i = 0; i < 30; ++i) {
        keys.push_back(classic_Crc32RotateX_bench::key(i));
        map.emplace(keys.back(), static_cast<std::uint32_t>(i));
    }
    std::uint64_t state = 1;
    for (std::size_t i = keys.size() - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(keys[i], keys[(state >> 33) % (i + 1)]);
    }
    const double ours = classic_Crc32RotateX_bench::time(keys, 1 + 20000000 / keys.size(), [](key_type key) {
        return classic_Crc32RotateX::index(key);
    });
    std::printf("classic_Crc32RotateX: %.2f ns a lookup\n", ours);
    const double theirs = classic_Crc32RotateX_bench::time(keys, 1 + 4000000 / keys.size(), [&map](key_type key) {
        return map.find(key)->second;
    });
    std::printf("std::unordered_map: %.2f ns a lookup\n", theirs);
    return 0;
}
