//! Sets of CPUs.

use std::{error::Error, fmt, str::FromStr};

/// Twice what any system we run on can number: Linux can be built for 8,192, Windows has at most 64 groups of 64. A
/// number beyond it in a list or a record is a mistake or an attack, and would cost memory.
pub(crate) const MAX_CPUS: u32 = 1 << 14;

/// A set of CPUs (logical processors), of any size.
///
/// # Platforms
///
/// On Linux a CPU has the kernel's number. On Windows it is 64 times the number of its processor group, plus its
/// number in the group; so each word of [`CpuSet::words`] is the mask of one group.
///
/// ```
/// let cpus: ostia_os::CpuSet = "0-3,8".parse()?;
/// assert_eq!(cpus.len(), 5);
/// assert!(cpus.contains(8));
/// assert_eq!(cpus.to_string(), "0-3,8");
/// # Ok::<(), ostia_os::UnreadableCpus>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    /// Without zeros at the end, so that equal sets are equal.
    words: Vec<u64>,
}

impl CpuSet {
    /// The empty set.
    pub const fn new() -> CpuSet {
        CpuSet { words: Vec::new() }
    }

    /// The set whose bits are these: bit `b` of word `w` is CPU `64 * w + b`.
    pub fn from_words(words: impl Into<Vec<u64>>) -> CpuSet {
        let mut set = CpuSet { words: words.into() };
        set.words.truncate(MAX_CPUS as usize / 64);
        set.trim();
        set
    }

    /// The bits of the set, without zeros at the end.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds a CPU.
    ///
    /// # Panics
    ///
    /// When the number is 16,384 or more, which no system has.
    #[track_caller]
    pub fn insert(&mut self, cpu: u32) {
        assert!(cpu < MAX_CPUS, "there is no CPU {cpu}");
        let word = cpu as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (cpu % 64);
    }

    /// True when the CPU is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.words.get(cpu as usize / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// How many CPUs are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// True when no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The lowest CPU.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The CPUs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(&word, index)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| 64 * index + bit)
        })
    }

    /// The CPUs of either.
    pub fn union(&self, other: &CpuSet) -> CpuSet {
        self.zip(other, |a, b| a | b)
    }

    /// The CPUs of both.
    pub fn intersection(&self, other: &CpuSet) -> CpuSet {
        self.zip(other, |a, b| a & b)
    }

    /// The CPUs of this set that are not in the other.
    pub fn difference(&self, other: &CpuSet) -> CpuSet {
        self.zip(other, |a, b| a & !b)
    }

    /// True when every CPU of this set is in the other.
    pub fn is_subset(&self, other: &CpuSet) -> bool {
        self.difference(other).is_empty()
    }

    fn zip(&self, other: &CpuSet, combine: impl Fn(u64, u64) -> u64) -> CpuSet {
        let word = |set: &CpuSet, at| set.words.get(at).copied().unwrap_or(0);
        let len = self.words.len().max(other.words.len());
        CpuSet::from_words((0..len).map(|at| combine(word(self, at), word(other, at))).collect::<Vec<_>>())
    }

    fn trim(&mut self) {
        let used = self.words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        self.words.truncate(used);
    }
}

impl FromIterator<u32> for CpuSet {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> CpuSet {
        let mut set = CpuSet::new();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

/// As Linux writes it: `0-3,8-11`.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

/// Reads what [`CpuSet`]'s `Display` and Linux write: numbers and ranges, separated by commas; nothing is the empty
/// set. Space around it is skipped.
impl FromStr for CpuSet {
    type Err = UnreadableCpus;

    fn from_str(list: &str) -> Result<CpuSet, UnreadableCpus> {
        let mut set = CpuSet::new();
        let list = list.trim();
        if list.is_empty() {
            return Ok(set);
        }
        for part in list.split(',') {
            let wrong = || UnreadableCpus { part: part.chars().take(40).collect() };
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|&cpu: &u32| digits && cpu < MAX_CPUS).ok_or_else(wrong)
            };
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(wrong());
            }
            (first..=last).for_each(|cpu| set.insert(cpu));
        }
        Ok(set)
    }
}

/// A list of CPUs that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableCpus {
    part: String,
}

impl fmt::Display for UnreadableCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = &self.part;
        write!(
            f,
            "`{part}` is no CPU and no range of CPUs: a list looks like 0-3,8 and ends below {MAX_CPUS}"
        )
    }
}

impl Error for UnreadableCpus {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(list: &str, expected: &[u32]) {
        let set: CpuSet = list.parse().unwrap_or_else(|why| panic!("{list}: {why}"));
        assert_eq!(set.iter().collect::<Vec<_>>(), expected, "{list}");
        assert_eq!(set.to_string().parse(), Ok(set), "{list}");
    }

    #[test]
    fn lists_are_read_as_linux_writes_them() {
        check("", &[]);
        check("\n", &[]);
        check("0\n", &[0]);
        check("0-3,8-11\n", &[0, 1, 2, 3, 8, 9, 10, 11]);
        check("63-64", &[63, 64]);
        check("5,1,1-2", &[1, 2, 5]);
        check("8191", &[8191]);
    }

    #[test]
    fn what_is_no_list_is_refused_and_named() {
        for wrong in
            [",", "1,", "-", "3-1", "1-2-3", "a", "+1", "1 2", "16384", "0-4294967295", "99999999999"]
        {
            let why = wrong.parse::<CpuSet>().expect_err(wrong);
            assert!(why.to_string().contains("no CPU and no range"), "{wrong}: {why}");
        }
    }

    #[test]
    fn sets_are_equal_when_their_cpus_are() {
        assert_eq!(CpuSet::from_words([1, 0, 0]), CpuSet::from_words([1]));
        let one: CpuSet = [0, 70].into_iter().collect();
        let other: CpuSet = [70, 200].into_iter().collect();
        assert_eq!(one.intersection(&other).to_string(), "70");
        assert_eq!(one.union(&other).to_string(), "0,70,200");
        assert_eq!(one.difference(&other), CpuSet::from_words([1]));
        assert!(one.intersection(&other).is_subset(&one));
        assert!(!one.is_subset(&other));
        assert_eq!((one.first(), CpuSet::new().first()), (Some(0), None));
    }

    proptest! {
        #[test]
        fn any_set_survives_being_written_and_read(cpus in proptest::collection::btree_set(0u32..9000, 0..40)) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert_eq!(set.len(), cpus.len());
            prop_assert!(set.iter().eq(cpus.iter().copied()));
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }

        #[test]
        fn no_text_makes_the_reader_panic(list in "[0-9,\\- a]{0,30}") {
            let _ = list.parse::<CpuSet>();
        }
    }
}
