//! What to try for a set, in which order, and what it should cost: fixed tables, never a clock or this CPU.
//!
//! `auto` compares the kinds that do what was asked by a predicted lookup time, and takes the fastest. Every
//! kind has a ladder of steps: a family, then a stronger one, then a larger table. Each step has a limit of
//! attempts that a set it suits passes once in e^20, so that a ladder always ends.

use alloc::{format, string::String, vec::Vec};

use crate::{
    function::{classic::Classic, family::Family},
    math::sqrt,
};

/// The kind of table that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// The fastest one that does what is asked.
    #[default]
    Auto,
    /// One table and a function of the predecessor.
    Chm,
    /// Two halves and a family of ours.
    Halves,
    /// Xor-displace.
    Displace,
    /// Three-part retrieval.
    Retrieval,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Auto, Kind::Chm, Kind::Halves, Kind::Displace, Kind::Retrieval];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Auto => "auto",
            Kind::Chm => "chm",
            Kind::Halves => "halves",
            Kind::Displace => "displace",
            Kind::Retrieval => "retrieval",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// A hash function that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// One of the predecessor's.
    Classic(Classic),
    /// One of our families.
    Family(Family),
    /// One multiply, for displace tables.
    Multiply,
}

impl Function {
    /// The function of that name, whatever the kind.
    pub fn from_name(name: &str) -> Option<Function> {
        match name {
            "multiply" => Some(Function::Multiply),
            _ => Family::from_name(name)
                .map(Function::Family)
                .or_else(|| Classic::from_name(name).map(Function::Classic)),
        }
    }

    /// Every function.
    pub fn all() -> impl Iterator<Item = Function> {
        let families = Family::ALL.into_iter().map(Function::Family);
        let classics = Classic::ALL.iter().copied().map(Function::Classic);
        families.chain([Function::Multiply]).chain(classics)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Function::Classic(classic) => classic.name(),
            Function::Family(family) => family.name(),
            Function::Multiply => "multiply",
        }
    }
}

/// One thing to try.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// The table's geometry and function.
    pub what: What,
    /// Attempts that may be made.
    pub limit: u64,
    /// The probability that one attempt succeeds, were the hash function random.
    pub chance: f64,
}

/// A geometry and a function; sizes are powers of two, but for the cells of a retrieval part.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(missing_docs, reason = "as in table::Shape")]
pub enum What {
    Chm { function: Classic, vertices: u32, index_bits: u32 },
    Halves { family: Family, first: u32, second: u32, index_bits: u32 },
    Displace { mixed: bool, buckets: u32, slots: u32 },
    Retrieval { part: u32 },
}

/// What a plan depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Keys.
    pub count: u32,
    /// Bits of a word that is hashed: at most 32, or 64.
    pub bits: u32,
    /// The kind.
    pub kind: Kind,
    /// The function, if it matters.
    pub function: Option<Function>,
    /// True when an index must be a position in the set.
    pub ordered: bool,
    /// True when cells must hold values.
    pub in_place: bool,
    /// True when the best of many graphs is looked for.
    pub best: bool,
    /// How often a classic table is doubled before the first attempt.
    pub initial_resizes: u32,
    /// How often a classic table may be doubled when attempts run out.
    pub resizes: u32,
    /// Keep the number of edges when a classic table is doubled.
    pub clamp_edges: bool,
    /// Attempts of a classic function for each size.
    pub attempts_per_size: u64,
}

/// The steps, in order, and why they are these.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What to try.
    pub steps: Vec<Step>,
    /// Why, in a sentence.
    pub why: String,
}

/// Makes the plan.
///
/// # Errors
/// A sentence, when what is wanted contradicts itself.
pub fn plan(wanted: &Wanted) -> Result<Plan, String> {
    let kind = match wanted.kind {
        Kind::Auto => match wanted.function {
            // A function says which kind is meant.
            Some(Function::Classic(_)) => Some(Kind::Chm),
            Some(Function::Multiply) => Some(Kind::Displace),
            _ if wanted.in_place => Some(Kind::Retrieval),
            Some(Function::Family(_)) => Some(Kind::Halves),
            None if wanted.best => Some(Kind::Halves),
            None => None,
        },
        kind => Some(kind),
    };
    if wanted.in_place && kind != Some(Kind::Retrieval) {
        return Err(String::from("only retrieval tables hold values in place; leave the kind to auto"));
    }
    if wanted.best && !matches!(kind, Some(Kind::Halves | Kind::Chm)) {
        return Err(String::from("the best of many is looked for among chm and halves tables"));
    }
    match kind {
        Some(kind) => {
            let steps = steps(wanted, kind)?;
            let why = match (wanted.in_place, wanted.best) {
                (true, _) => "values in place were asked for".into(),
                (false, true) => format!("the best of many {} tables was asked for", kind.name()),
                (false, false) => format!("{} was asked for", kind.name()),
            };
            Ok(Plan { steps, why })
        }
        None => automatic(wanted),
    }
}

fn automatic(wanted: &Wanted) -> Result<Plan, String> {
    let mut rated = Vec::new();
    for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
        let steps = steps(wanted, kind)?;
        let rating = rate(&steps[0].what, wanted);
        rated.push((rating, kind, steps));
    }
    rated.sort_by_key(|(rating, ..)| *rating);
    let told: Vec<String> = rated
        .iter()
        .map(|(r, kind, _)| {
            format!("{} {}.{} ns in {}", kind.name(), r.tenths / 10, r.tenths % 10, size(r.bytes))
        })
        .collect();
    let why = format!("the fastest by the cost table: {}", told.join(", "));
    let (_, _, steps) = rated.swap_remove(0);
    Ok(Plan { steps, why })
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    if bytes < 10 * 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes / 1024) }
}

/// Predicted lookup time in tenths of a nanosecond, then bytes: less is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rating {
    tenths: u32,
    bytes: u64,
}

fn rate(what: &What, wanted: &Wanted) -> Rating {
    let index_bytes = |bits: u32| u64::from(crate::lane::Lane::width_below(1 << bits));
    let index_bits = wanted.count.next_power_of_two().trailing_zeros();
    match *what {
        What::Chm { vertices, index_bits, .. } => {
            let bytes = index_bytes(index_bits) << vertices;
            Rating { tenths: 14 + 5 + load(bytes, 2), bytes }
        }
        What::Halves { family, first, second, index_bits } => {
            let bytes = index_bytes(index_bits) * ((1 << first) + (1 << second));
            let hash = if family == Family::Mix { 27 } else { 19 };
            Rating { tenths: hash + 5 + load(bytes, 2), bytes }
        }
        What::Displace { mixed, buckets, slots } => {
            let displacements = index_bytes(slots) << buckets;
            let hash = if mixed { 24 } else { 11 };
            if wanted.ordered {
                let ranks = index_bytes(index_bits) << slots;
                let bytes = displacements + ranks;
                // Both arrays share the caches, and the second load waits for the first: it is priced as the
                // later one of two.
                let loads = load(displacements + ranks / 2, 1) + load(bytes, 2);
                Rating { tenths: hash + 7 + loads, bytes }
            } else {
                Rating { tenths: hash + 5 + load(displacements, 1), bytes: displacements }
            }
        }
        What::Retrieval { part } => {
            let bytes = index_bytes(index_bits) * 3 * u64::from(part);
            Rating { tenths: 45 + load(bytes, 3), bytes }
        }
    }
}

/// Tenths of a nanosecond for `parallel` loads spread over so many bytes: a server core with 32 KiB, 1 MiB and
/// 32 MiB of caches, as measured in `docs/decisions/cost-table.md`.
fn load(bytes: u64, parallel: u32) -> u32 {
    const LEVELS: [(u64, u64); 4] = [(32 << 10, 13), (1 << 20, 45), (32 << 20, 250), (u64::MAX, 900)];
    let mut within = 0; // thousandths of loads that the levels so far serve, all `parallel` of them
    let mut time = 0;
    for (capacity, tenths) in LEVELS {
        let share = (1000 * u128::from(capacity) / u128::from(bytes.max(1))).min(1000) as u64;
        let all = (1..parallel).fold(share, |all, _| all * share / 1000);
        time += (all - within) * tenths;
        within = all;
    }
    (time / 1000) as u32
}

fn steps(wanted: &Wanted, kind: Kind) -> Result<Vec<Step>, String> {
    let misfit = |function: Function| {
        Err(format!("the function {} does not serve a {} table", function.name(), kind.name()))
    };
    match (kind, wanted.function) {
        (Kind::Chm, Some(Function::Classic(function))) => chm(wanted, &[function]),
        (Kind::Chm, None) => chm(wanted, &[Classic::MultiplyShiftRX, Classic::Mulshrolate4RX]),
        (Kind::Halves, Some(Function::Family(family))) => Ok(halves(wanted, Some(family))),
        // The search that holds one side sees ten times as many graphs.
        (Kind::Halves, None) if wanted.best && wanted.bits <= 32 => {
            Ok(halves(wanted, Some(Family::FoldPair)))
        }
        (Kind::Halves, None) => Ok(halves(wanted, None)),
        (Kind::Displace, Some(Function::Multiply)) => Ok(displace(wanted, &[false])),
        (Kind::Displace, Some(Function::Family(Family::Mix))) => Ok(displace(wanted, &[true])),
        (Kind::Displace, None) if wanted.bits <= 32 => Ok(displace(wanted, &[false, true])),
        (Kind::Displace, None) => Ok(displace(wanted, &[true])),
        (Kind::Retrieval, None | Some(Function::Family(Family::Mix))) => Ok(retrieval(wanted)),
        (_, Some(function)) => misfit(function),
        (Kind::Auto, None) => unreachable!("plan() has replaced auto by a kind"),
    }
    .and_then(|steps| {
        if steps.is_empty() {
            Err(format!(
                "no {} table serves {} keys of {} bits with that function",
                kind.name(),
                wanted.count,
                wanted.bits
            ))
        } else {
            Ok(steps)
        }
    })
}

fn chm(wanted: &Wanted, functions: &[Classic]) -> Result<Vec<Step>, String> {
    if wanted.bits > 32 {
        return Err(String::from("the functions of chm tables take keys that vary in at most 32 bits"));
    }
    let edges = wanted.count.max(8).next_power_of_two().trailing_zeros();
    let mut steps = Vec::new();
    for resize in wanted.initial_resizes..=wanted.initial_resizes.saturating_add(wanted.resizes).min(31) {
        let vertices = edges + 1 + resize;
        if vertices > 31 {
            break;
        }
        let index_bits = if wanted.clamp_edges { edges } else { vertices - 1 };
        for &function in functions {
            let c = 2.0 * f64::from(wanted.count) / (1u64 << vertices) as f64;
            let step = Step {
                what: What::Chm { function, vertices, index_bits },
                limit: wanted.attempts_per_size,
                chance: sqrt((1.0 - c).max(0.0)),
            };
            steps.push(step);
        }
    }
    Ok(steps)
}

fn halves(wanted: &Wanted, forced: Option<Family>) -> Vec<Step> {
    let count = wanted.count;
    let index_bits = count.next_power_of_two().trailing_zeros();
    let e = index_bits.max(1);
    let mut steps = Vec::new();
    for (first, second) in
        [(e, e.max(2) - 1), (e, e), (e + 1, e), (e + 1, e + 1), (e + 2, e + 1), (e + 2, e + 2)]
    {
        // Vertices are numbered in 32 bits.
        if (1u64 << first) + (1 << second) > u64::from(u32::MAX) {
            continue;
        }
        let chance = halves_chance(count, first, second);
        // A smaller table is worth more attempts, but not more than some milliseconds of them.
        if chance < 0.3 && f64::from(count) > 250_000.0 * chance {
            continue;
        }
        for family in [Family::Fold, Family::Xor, Family::Mix, Family::FoldPair] {
            let ours = match forced {
                Some(forced) => family == forced,
                // The fold's 32 bits are all used up by two halves of 2^16.
                None if family == Family::Xor => !Family::Fold.serves(wanted.bits, first, second),
                None => family != Family::FoldPair,
            };
            if ours && family.serves(wanted.bits, first, second) {
                let limit = (20.0 / chance) as u64 + 20;
                steps.push(Step { what: What::Halves { family, first, second, index_bits }, limit, chance });
            }
        }
    }
    steps
}

/// The probability that a random graph of two halves has no cycle.
pub fn halves_chance(count: u32, first: u32, second: u32) -> f64 {
    let n = f64::from(count);
    let c = n * n / (1u128 << (first + second)) as f64;
    match c {
        // Within the critical window a finite set does better than the formula, by about n^(-1/6).
        c if c > 1.0 => 0.0,
        c => sqrt(1.0 - c).max(0.4 / sqrt(sqrt(sqrt(n)))),
    }
}

fn displace(wanted: &Wanted, mixes: &[bool]) -> Vec<Step> {
    let slots = wanted.count.next_power_of_two().trailing_zeros().max(1);
    let mut steps = Vec::new();
    for (fewer, more) in [(2, 0), (1, 0), (2, 1), (1, 2)] {
        for &mixed in mixes {
            let slots = slots + more;
            if slots > 31 {
                continue;
            }
            let buckets = slots.saturating_sub(fewer).max(1);
            steps.push(Step { what: What::Displace { mixed, buckets, slots }, limit: 32, chance: 0.7 });
        }
    }
    steps
}

fn retrieval(wanted: &Wanted) -> Vec<Step> {
    let third = u64::from(wanted.count) * 125 / 300;
    [100, 110, 130, 200]
        .into_iter()
        // A few cells more, for sets so small that the law of large numbers does not hold.
        .map(|percent| third * percent / 100 + 3)
        .map(|part| Step { what: What::Retrieval { part: part as u32 }, limit: 32, chance: 0.9 })
        .collect::<Vec<_>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        count: 29_251,
        bits: 32,
        kind: Kind::Auto,
        function: None,
        ordered: true,
        in_place: false,
        best: false,
        initial_resizes: 0,
        resizes: 5,
        clamp_edges: false,
        attempts_per_size: 1000,
    };

    #[test]
    fn auto_says_what_it_compared() {
        let plan = plan(&WANTED).unwrap();
        assert!(plan.why.starts_with("the fastest by the cost table: "), "{}", plan.why);
        for kind in ["halves", "displace", "retrieval"] {
            assert!(plan.why.contains(kind), "{}", plan.why);
        }
        let unordered = super::plan(&Wanted { ordered: false, ..WANTED }).unwrap();
        assert!(matches!(unordered.steps[0].what, What::Displace { mixed: false, .. }));
    }

    #[test]
    fn every_count_has_a_ladder_of_two_sizes_or_more() {
        let counts = (0..30).flat_map(|k| [(1u32 << k) - 1, 1 << k, (1 << k) + 1]).filter(|&c| c > 0);
        for count in counts {
            for bits in [8, 16, 32, 64] {
                for kind in [Kind::Halves, Kind::Displace, Kind::Retrieval] {
                    let plan = plan(&Wanted { count, bits, kind, ..WANTED }).unwrap();
                    assert!(plan.steps.len() >= 2, "{count} {bits} {kind:?}");
                    assert!(plan.steps.iter().all(|s| s.limit > 1 && s.chance > 0.0));
                }
            }
        }
    }

    #[test]
    fn no_size_of_the_largest_set_is_more_than_32_bits_number() {
        for count in [(1u32 << 29) + 1, 1 << 30] {
            for (bits, kind) in [32, 64].into_iter().flat_map(|b| [(b, Kind::Halves), (b, Kind::Displace)]) {
                let plan = plan(&Wanted { count, bits, kind, ..WANTED }).unwrap();
                for step in plan.steps {
                    match step.what {
                        What::Halves { first, second, .. } => {
                            assert!((1u64 << first) + (1 << second) < 1 << 32, "{count} {step:?}");
                        }
                        What::Displace { buckets, slots, .. } => assert!(buckets.max(slots) < 32, "{step:?}"),
                        other => panic!("neither halves nor displace: {other:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let of = |kind, name| plan(&Wanted { kind, function: Function::from_name(name), ..WANTED });
        assert!(of(Kind::Halves, "MultiplyShiftR").is_err());
        assert!(of(Kind::Retrieval, "fold").is_err());
        assert!(plan(&Wanted { in_place: true, kind: Kind::Halves, ..WANTED }).is_err());
        assert!(plan(&Wanted { bits: 64, kind: Kind::Chm, ..WANTED }).is_err());
        assert!(
            plan(&Wanted { bits: 64, function: Some(Function::Family(Family::Fold)), ..WANTED }).is_err()
        );
    }
}
