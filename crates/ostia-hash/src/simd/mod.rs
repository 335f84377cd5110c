//! Vector kernels and the choice among them. The only place of this crate with `unsafe`.
#![expect(unsafe_code, reason = "vector loads, stores and calls into code for a CPU feature")]

pub mod leaves;
pub mod lookup;
pub mod pairs;

use core::fmt;

/// What the CPU offers. A value of this type is proof that it does: it comes from detection alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level(Tier);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Tier {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
fn detect() -> Tier {
    use std::arch::is_x86_feature_detected as has;

    if !(has!("avx2") && has!("sse4.2")) {
        Tier::Portable
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("popcnt") {
        Tier::Avx512
    } else {
        Tier::Avx2
    }
}

/// Detection needs the operating system's word, so without `std` the features of the build are what counts.
#[cfg(all(target_arch = "x86_64", not(feature = "std")))]
fn detect() -> Tier {
    if !cfg!(all(target_feature = "avx2", target_feature = "sse4.2")) {
        Tier::Portable
    } else if cfg!(all(
        target_feature = "avx512f",
        target_feature = "avx512bw",
        target_feature = "avx512dq",
        target_feature = "avx512vl",
        target_feature = "popcnt"
    )) {
        Tier::Avx512
    } else {
        Tier::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Tier {
    Tier::Portable
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Tier::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512 => "AVX-512",
        })
    }
}

impl Level {
    /// Plain Rust, on every machine.
    pub const PORTABLE: Level = Level(Tier::Portable);

    /// The best this machine has.
    pub fn best() -> Level {
        Level(detect())
    }

    /// Every level this machine has, the plainest first.
    pub fn available() -> impl Iterator<Item = Level> {
        let best = Level::best();
        [
            Level::PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Level(Tier::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level(Tier::Avx512),
        ]
        .into_iter()
        .filter(move |level| *level <= best)
    }
}
