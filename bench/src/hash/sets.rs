//! The key sets: of our own making, but for one that is read where it is found. The build script uses this too.

use std::{env, fs, path::PathBuf};

use ostia_hash::philox::Philox;

/// Random sets have so many keys.
pub(crate) const SIZES: [u32; 4] = [1_000, 7_000, 29_251, 64_000];

/// The set that the gates are about.
pub(crate) const HOLOGRAM: &str = "HologramWorld-29251";

/// Another hard one, for the predecessor's functions.
pub(crate) const MSHTML: &str = "mshtml-37374";

/// A set and its name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) keys: Vec<u32>,
}

/// The sets whose lookups are compared. The last one is there when its file is.
pub(crate) fn for_lookups() -> Vec<Named> {
    let random = SIZES.map(|count| Named { name: format!("random-{count}"), keys: random(count) });
    random.into_iter().chain(hard(HOLOGRAM)).collect()
}

/// So many different random keys, sorted.
pub(crate) fn random(count: u32) -> Vec<u32> {
    let mut stream = Philox::new(0x0571_A000, u64::from(count), 0);
    let mut keys: Vec<u32> = Vec::new();
    while keys.len() < count as usize {
        let missing = count as usize - keys.len();
        keys.extend((0..missing).map(|_| stream.word()));
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

/// A set of the folder `hard`, if there is one.
pub(crate) fn hard(name: &str) -> Option<Named> {
    let path = folder()?.join("hard").join(format!("{name}.keys"));
    Some(Named { name: name.to_owned(), keys: packed(&fs::read(path).ok()?) })
}

/// The folder with sets that are not ours to give away.
pub(crate) fn folder() -> Option<PathBuf> {
    env::var_os("OSTIA_KEYS").map(PathBuf::from)
}

/// Packed little-endian words.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}
