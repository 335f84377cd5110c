//! Folders of key sets of our own making, written once and kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ostia_hash::philox::Philox;

/// Changes whenever what is written does, so that nothing old is taken for new.
const EDITION: u32 = 1;

/// How many sets the predecessor's whole corpus has.
pub(crate) const CORPUS: usize = 13_637;

/// Sizes of the 1000 sets of `sys32-1000`, in order: of some of them the rank and the size, close where they grow
/// fast. In between, sizes grow by equal factors.
const SIZES: [(u32, u32); 46] = [
    (0, 4),
    (25, 9),
    (50, 15),
    (75, 20),
    (100, 26),
    (125, 31),
    (150, 37),
    (175, 45),
    (200, 54),
    (225, 64),
    (250, 73),
    (275, 82),
    (300, 89),
    (325, 98),
    (350, 106),
    (375, 121),
    (400, 131),
    (425, 147),
    (450, 158),
    (475, 169),
    (500, 187),
    (525, 209),
    (550, 233),
    (575, 270),
    (600, 300),
    (625, 332),
    (650, 366),
    (675, 405),
    (700, 458),
    (725, 508),
    (750, 578),
    (775, 683),
    (800, 767),
    (825, 890),
    (850, 1051),
    (875, 1281),
    (900, 1519),
    (925, 2026),
    (950, 2785),
    (975, 4523),
    (985, 6985),
    (990, 10_473),
    (993, 13_472),
    (996, 15_640),
    (998, 37_508),
    (999, 48_852),
];

/// How far one key lies from the next, as in sets of addresses: so many of a hundred are below the bound, and not
/// below the one before.
const GAPS: [(u32, u32); 7] = [(25, 5), (25, 17), (25, 81), (15, 305), (5, 657), (4, 2_992), (1, 16_673)];

/// The folder with as many sets as the predecessor's corpus has, and sizes spread as there.
pub(crate) fn corpus(work: &Path) -> Result<PathBuf, String> {
    let size = |index: usize| size_at(index as f64 * 999.0 / (CORPUS - 1) as f64);
    folder(work, &format!("corpus-{CORPUS}"), CORPUS, size)
}

/// The folder with so many sets of 4 to 64 keys.
pub(crate) fn small(work: &Path, count: usize) -> Result<PathBuf, String> {
    folder(work, &format!("small-{count}"), count, |index| 4 + (index as u32).wrapping_mul(0x9E37_79B9) % 61)
}

/// The size at a rank among a thousand.
fn size_at(rank: f64) -> u32 {
    let above =
        SIZES.iter().position(|&(known, _)| f64::from(known) >= rank).unwrap_or(SIZES.len() - 1).max(1);
    let ((from, least), (to, most)) = (SIZES[above - 1], SIZES[above]);
    let part = (rank - f64::from(from)) / f64::from(to - from);
    (f64::from(least) * (f64::from(most) / f64::from(least)).powf(part)).round() as u32
}

/// Writes a folder, unless it is there already.
fn folder(work: &Path, name: &str, count: usize, size: impl Fn(usize) -> u32) -> Result<PathBuf, String> {
    let fail = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let dir = work.join(format!("{name}-e{EDITION}"));
    if dir.is_dir() {
        return Ok(dir);
    }
    // Under another name until it is whole.
    let begun = work.join(format!("{name}.part"));
    if begun.is_dir() {
        fs::remove_dir_all(&begun).map_err(|error| fail(&begun, error))?;
    }
    fs::create_dir_all(&begun).map_err(|error| fail(&begun, error))?;
    for index in 0..count {
        let keys = keys(index as u64, size(index));
        let path = begun.join(format!("set{index:06}-{}.keys", keys.len()));
        let bytes: Vec<u8> = keys.into_iter().flat_map(u32::to_le_bytes).collect();
        fs::write(&path, bytes).map_err(|error| fail(&path, error))?;
    }
    fs::rename(&begun, &dir).map_err(|error| fail(&dir, error))?;
    Ok(dir)
}

/// So many ascending keys.
fn keys(set: u64, count: u32) -> Vec<u32> {
    let mut stream = Philox::new(0x0571_B001, set, 0);
    let mut key = 0x1000 + stream.word() % 0x1000;
    let next = |()| {
        let own = key;
        key += gap(stream.word() % 100, stream.word());
        own
    };
    std::iter::repeat_n((), count as usize).map(next).collect()
}

/// A gap of the class that `hundredth` falls into.
fn gap(mut hundredth: u32, chance: u32) -> u32 {
    let mut least = 1;
    for (share, bound) in GAPS {
        if hundredth < share {
            return least + chance % (bound - least);
        }
        hundredth -= share;
        least = bound;
    }
    unreachable!("the shares are a hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_spread_as_in_the_sample() {
        assert!(SIZES.is_sorted() && SIZES.iter().all(|&(rank, size)| size_at(rank.into()) == size));
        let all: u64 = (0..1000).map(|rank| u64::from(size_at(rank.into()))).sum();
        // The sample has 760,031 keys.
        assert!(all.abs_diff(760_031) < 760_031 / 20, "{all}");
    }

    #[test]
    fn keys_ascend_and_are_the_same_each_time() {
        assert_eq!(GAPS.iter().map(|(share, _)| share).sum::<u32>(), 100);
        let many = keys(7, 48_852);
        assert!(many.len() == 48_852 && many.is_sorted_by(|one, next| one < next));
        assert_eq!(keys(3, 9), keys(3, 9));
        assert_ne!(keys(3, 9), keys(4, 9));
    }
}
