//! How entries that are not 0 spread over memory: what lookups will touch.
//!
//! The counters are the predecessor's. "Used" means that an entry there is not 0; an entry that is 0 by right
//! counts as empty. Where the predecessor differs from this: for tables of 16 entries it reads beyond the end.

use alloc::{vec, vec::Vec};

use crate::{graph::dfs::Counts, math::sqrt};

/// Bytes of a cache line.
pub const LINE: usize = 64;
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes of a large page.
pub const LARGE_PAGE: usize = 2 << 20;

/// How many units of one size there are, and how many of them are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// All of them.
    pub total: u64,
    /// Those that hold an entry that is not 0.
    pub used: u64,
    /// The first used one.
    pub first: Option<u64>,
    /// The last used one.
    pub last: Option<u64>,
}

impl Usage {
    /// Those that are not used.
    pub fn empty(&self) -> u64 {
        self.total - self.used
    }

    fn for_bytes(bytes: usize, unit: usize) -> Usage {
        Usage { total: bytes.div_ceil(unit) as u64, ..Usage::default() }
    }

    /// Marks a unit as used; units come in ascending order.
    fn mark(&mut self, unit: u64) {
        self.used += u64::from(self.last != Some(unit));
        self.first.get_or_insert(unit);
        self.last = Some(unit);
    }
}

/// The straight line through a histogram: x is a bucket, y how many lines are in it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Regression {
    /// Rise per bucket.
    pub slope: f64,
    /// The value at bucket 0.
    pub intercept: f64,
    /// The correlation coefficient.
    pub correlation: f64,
    /// The value at bucket 16, whatever the number of buckets: so the predecessor has it.
    pub predicted: f64,
}

impl Regression {
    fn of(histogram: &[u64]) -> Regression {
        let [mut sum_x, mut sum_y, mut sum_xx, mut sum_xy, mut sum_yy] = [0.0; 5];
        for (x, &y) in histogram.iter().enumerate() {
            let (x, y) = (x as f64, y as f64);
            sum_x += x;
            sum_y += y;
            sum_xx += x * x;
            sum_xy += x * y;
            sum_yy += y * y;
        }
        let n = histogram.len() as f64;
        let spread_x = n * sum_xx - sum_x * sum_x;
        let spread_y = n * sum_yy - sum_y * sum_y;
        let common = n * sum_xy - sum_x * sum_y;
        let slope = common / spread_x;
        let intercept = (sum_y - slope * sum_x) / n;
        // All buckets alike have no direction.
        let correlation = if spread_y > 0.0 { common / sqrt(spread_x * spread_y) } else { 0.0 };
        Regression { slope, intercept, correlation, predicted: slope * 16.0 + intercept }
    }
}

/// What the keys of a subset touch. Each touches two entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subset {
    /// Pages touched.
    pub pages_used: u64,
    /// Large pages touched.
    pub large_pages_used: u64,
    /// Cache lines touched.
    pub lines_used: u64,
    /// The most touches of one line.
    pub line_max: u64,
    /// Keys whose two entries share a page.
    pub same_page: u64,
    /// Keys whose two entries share a large page.
    pub same_large_page: u64,
    /// Keys whose two entries share a line.
    pub same_line: u64,
}

impl Subset {
    /// Counts for keys given by their two places among `entries` entries of `bytes` bytes.
    ///
    /// # Panics
    /// When a place is not below `entries`.
    pub fn measure(places: impl IntoIterator<Item = (u32, u32)>, entries: usize, bytes: usize) -> Subset {
        let mut subset = Subset::default();
        let touched = |unit: usize| vec![0_u64; (entries * bytes).div_ceil(unit)];
        let (mut pages, mut large_pages, mut lines) = (touched(PAGE), touched(LARGE_PAGE), touched(LINE));
        for (first, second) in places {
            let (first, second) = (first as usize * bytes, second as usize * bytes);
            for (units, unit, same) in [
                (&mut pages, PAGE, &mut subset.same_page),
                (&mut large_pages, LARGE_PAGE, &mut subset.same_large_page),
                (&mut lines, LINE, &mut subset.same_line),
            ] {
                units[first / unit] += 1;
                units[second / unit] += 1;
                *same += u64::from(first / unit == second / unit);
            }
        }
        let used = |units: &[u64]| units.iter().filter(|&&touches| touches > 0).count() as u64;
        subset.pages_used = used(&pages);
        subset.large_pages_used = used(&large_pages);
        subset.lines_used = used(&lines);
        subset.line_max = lines.into_iter().max().unwrap_or(0);
        subset
    }
}

/// The coverage of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Coverage {
    /// Pages.
    pub pages: Usage,
    /// Large pages.
    pub large_pages: Usage,
    /// Cache lines.
    pub lines: Usage,
    /// Entries that are not 0.
    pub assigned: u64,
    /// How many lines have 0, 1, 2, ... entries that are not 0; as many buckets as a line has entries, and one.
    pub histogram: Vec<u64>,
    /// The most such entries in one line.
    pub line_max: u64,
    /// The line through the histogram.
    pub regression: Regression,
    /// The sum over all lines of the square of their entries that are not 0.
    pub score: u64,
    /// The score over the highest there can be with as many entries: 1 where used lines are full.
    pub rank: f64,
    /// Counts of the traversal that made the entries, if one did.
    pub traversal: Option<Counts>,
    /// Counts for a subset of the keys, if they are wanted.
    pub subset: Option<Subset>,
}

impl Coverage {
    /// Measures entries of `bytes` bytes, 1, 2 or 4.
    ///
    /// # Panics
    /// When `bytes` does not divide a cache line.
    #[track_caller]
    pub fn measure(entries: &[u32], bytes: usize) -> Coverage {
        assert!(bytes > 0 && LINE.is_multiple_of(bytes), "a line holds a whole number of entries");
        let per_line = LINE / bytes;
        let size = entries.len() * bytes;
        let mut pages = Usage::for_bytes(size, PAGE);
        let mut large_pages = Usage::for_bytes(size, LARGE_PAGE);
        let mut lines = Usage::for_bytes(size, LINE);
        let mut histogram = vec![0; per_line + 1];
        for (number, line) in entries.chunks(per_line).enumerate() {
            let count = line.iter().map(|&entry| u32::from(entry != 0)).sum::<u32>() as usize;
            histogram[count] += 1;
            if count > 0 {
                lines.mark(number as u64);
                pages.mark((number / (PAGE / LINE)) as u64);
                large_pages.mark((number / (LARGE_PAGE / LINE)) as u64);
            }
        }
        let over = |weigh: fn(u64) -> u64| {
            (0_u64..).zip(&histogram).map(|(count, &lines)| lines * weigh(count)).sum::<u64>()
        };
        let (assigned, score) = (over(|count| count), over(|count| count * count));
        let highest = (assigned * per_line as u64) as f64;
        Coverage {
            pages,
            large_pages,
            lines,
            assigned,
            line_max: histogram.iter().rposition(|&lines| lines > 0).unwrap_or(0) as u64,
            regression: Regression::of(&histogram),
            score,
            rank: if assigned > 0 { score as f64 / highest } else { 0.0 },
            histogram,
            traversal: None,
            subset: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of `bytes` bytes: line 0 is empty, line 1 has one entry that is not 0, and so on; the last is full.
    fn ladder(bytes: usize) -> Vec<u32> {
        let per_line = LINE / bytes;
        (0..=per_line).flat_map(|line| (0..per_line).map(move |place| u32::from(place < line))).collect()
    }

    #[test]
    fn a_histogram_has_every_line_and_a_bucket_for_full_ones() {
        for bytes in [1, 2, 4] {
            let coverage = Coverage::measure(&ladder(bytes), bytes);
            assert_eq!(coverage.histogram, vec![1; LINE / bytes + 1], "{bytes} bytes");
            assert_eq!(coverage.histogram.iter().sum::<u64>(), coverage.lines.total, "{bytes} bytes");
            assert_eq!(coverage.line_max, (LINE / bytes) as u64, "{bytes} bytes");
        }
        // 16 entries of one byte are a quarter of a line.
        let small = Coverage::measure(&[1; 16], 1);
        assert_eq!((small.lines.total, small.assigned, small.histogram[16]), (1, 16, 1));
    }

    #[test]
    fn lines_and_pages_are_counted_alike_for_every_width() {
        // The same 3 lines of 200 are used, whatever an entry takes.
        for bytes in [1, 2, 4] {
            let mut entries = vec![0; 200 * LINE / bytes];
            for line in [7, 8, 130] {
                entries[line * LINE / bytes] = 1;
            }
            let coverage = Coverage::measure(&entries, bytes);
            assert_eq!(coverage.lines, Usage { total: 200, used: 3, first: Some(7), last: Some(130) });
            assert_eq!(coverage.pages, Usage { total: 4, used: 2, first: Some(0), last: Some(2) });
            assert_eq!((coverage.assigned, coverage.score), (3, 3), "{bytes} bytes");
        }
    }
}
