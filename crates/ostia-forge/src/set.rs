//! One set through the house: read, solve, verify, render, store.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ostia_emit::{
    file,
    lang::{Artifact, EmitError, Language, Request, emit},
};
use ostia_hash::{
    create::{Created, Failure, Options, create},
    keys::{KeySet, KeyType},
    search::{Ended, Watch},
    table::{Shape, Values},
};

use crate::{
    find::FindError,
    input::{self, Format, Input, ReadError, ReadFailure, Reading},
    names::{self, Clash, NameError},
    spec::{Output, Spec, ValueSource},
    store::{Store, StoreError},
};

/// A set that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The identifier that its outputs are named after.
    pub name: String,
    /// The keys.
    pub keys: KeySet,
    /// Their values, by index.
    pub values: Option<Values>,
}

/// A set that was solved and whose outputs are in memory.
#[derive(Clone, Debug)]
pub struct Forged {
    /// The verified table, and how it came about.
    pub created: Created,
    /// The files that are to be stored.
    pub artifacts: Vec<Artifact>,
    /// What each phase took.
    pub times: Times,
}

/// Wall-clock times of a set's phases.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// Reading and checking the input.
    pub read: Duration,
    /// Search, assembly and verification.
    pub solve: Duration,
    /// Rendering.
    pub render: Duration,
    /// Storing.
    pub store: Duration,
}

/// Why a set has no table, or its table no file.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetError {
    /// The input.
    Read(ReadError),
    /// It is named like a set and is none.
    Found {
        /// What is named so.
        path: PathBuf,
        /// What it is.
        why: FindError,
    },
    /// Its name.
    Name {
        /// The input.
        path: PathBuf,
        /// What is wrong with its name.
        why: NameError,
    },
    /// Another set has its name.
    Clash(Clash),
    /// Another file of the run has the name of one of its outputs.
    Taken {
        /// The input.
        path: PathBuf,
        /// What has the name.
        by: String,
    },
    /// A file beside its code would have the name of another set's outputs.
    Beside {
        /// The input.
        path: PathBuf,
        /// The other set.
        by: PathBuf,
    },
    /// The search.
    Failure {
        /// The input.
        path: PathBuf,
        /// What happened.
        why: Failure,
        /// True when it was the time limit that ended the search.
        out_of_time: bool,
    },
    /// The rendering.
    Emit(EmitError),
    /// An output.
    Store(StoreError),
    /// Its outputs are not as they would be made, and nothing was to be made.
    Stale {
        /// The input.
        path: PathBuf,
        /// True when they were made once, of this input or another one.
        is_known: bool,
    },
    /// It takes more memory than sets may.
    Memory {
        /// The input.
        path: PathBuf,
        /// What it takes, in bytes.
        needs: u64,
        /// What there is.
        budget: u64,
    },
    /// Its file is much longer than when it was found.
    Grew {
        /// The input.
        path: PathBuf,
    },
    /// The run was ended before the set was done.
    Ended {
        /// The input.
        path: PathBuf,
    },
    /// The set's work panicked: a defect of Ostia.
    Panicked {
        /// The input.
        path: PathBuf,
        /// What it said.
        what: String,
    },
}

impl SetError {
    /// True when somebody ended the work, and it is not the set's fault.
    pub fn is_stopped(&self) -> bool {
        matches!(
            self,
            SetError::Ended { .. } | SetError::Failure { why: Failure::Stopped(_), out_of_time: false, .. }
        )
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Read(error) => error.fmt(f),
            SetError::Found { path, why } => write!(f, "{} {why}", path.display()),
            SetError::Name { path, why } => write!(f, "{}: {why}", path.display()),
            SetError::Clash(clash) => clash.fmt(f),
            SetError::Taken { path, by } => {
                write!(f, "{}: its outputs would have the name of {by}; rename the set", path.display())
            }
            SetError::Beside { path, by } => write!(
                f,
                "{}: a file beside its code would have the name of the outputs of {}; rename one of the sets",
                path.display(),
                by.display()
            ),
            SetError::Failure { path, why: Failure::Stopped(report), out_of_time: true } => write!(
                f,
                "{}: not solved within the time limit, in {} attempts; allow more time, another function, or auto",
                path.display(),
                report.tally().attempts()
            ),
            SetError::Failure { path, why, .. } => write!(f, "{}: {why}", path.display()),
            SetError::Stale { path, is_known: true } => write!(
                f,
                "{}: its input, what is asked for, or a file that was made of it has changed; run without --check",
                path.display()
            ),
            SetError::Stale { path, is_known: false } => {
                write!(f, "{}: nothing was made of it yet; run without --check", path.display())
            }
            SetError::Memory { path, needs, budget } => write!(
                f,
                "{}: takes about {} KiB, and all sets together may take {}; allow more with --memory",
                path.display(),
                needs.div_ceil(1 << 10),
                budget >> 10
            ),
            SetError::Grew { path } => {
                write!(f, "{}: has grown since it was found; run again when it is complete", path.display())
            }
            SetError::Ended { path } => write!(f, "{}: not done, the run was ended", path.display()),
            SetError::Emit(error) => error.fmt(f),
            SetError::Store(error) => error.fmt(f),
            SetError::Panicked { path, what } => {
                write!(
                    f,
                    "{}: the work on this set panicked, which is a defect of Ostia: {what}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for SetError {}

/// Ends a search at a moment, besides whatever else ends it.
struct Timed<'a> {
    watch: &'a dyn Watch,
    until: Option<Instant>,
}

impl Timed<'_> {
    fn over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Watch for Timed<'_> {
    fn stopped(&self) -> bool {
        self.watch.stopped() || self.over()
    }

    fn abandoned(&self) -> bool {
        self.watch.abandoned()
    }

    fn tried(&self, attempts: u64) {
        self.watch.tried(attempts);
    }
}

/// Reads a set and its values, and gives it a name: `name`, or one made of the file's.
///
/// # Errors
/// When the input or the name is refused.
pub fn load(path: &Path, name: Option<&str>, spec: &Spec) -> Result<Loaded, SetError> {
    let name = match name {
        Some(name) => names::identifier(name),
        None => names::of_path(path),
    };
    let name = name.map_err(|why| SetError::Name { path: path.to_owned(), why })?;
    let reading = spec.reading(spec.format.unwrap_or(Format::Keys));
    let input = input::read(path, spec.format, &reading).map_err(SetError::Read)?;
    let values = match &spec.values {
        Some(ValueSource::File(file)) => Some(input::read_bytes(file).map_err(SetError::Read)?),
        Some(ValueSource::Beside(_)) | None => None,
    };
    loaded(name, input, values.as_deref(), spec)
}

/// The set in bytes that were read: `bytes` are those of its file, `values` those of the file with the values, if the
/// specification names one.
///
/// # Errors
/// When the input is refused.
pub fn parse(
    path: &Path,
    name: &str,
    bytes: &[u8],
    values: Option<&[u8]>,
    spec: &Spec,
) -> Result<Loaded, SetError> {
    let fail = |why| SetError::Read(ReadError { path: path.to_owned(), why });
    let format = spec.format.or_else(|| Format::of_path(path));
    let format = format.ok_or_else(|| fail(ReadFailure::UnknownFormat))?;
    let input = input::parse(bytes, &spec.reading(format));
    let input = input.map_err(|why| fail(ReadFailure::Input(Box::new(why))))?;
    loaded(name.to_owned(), input, values, spec)
}

/// Gives each key its value.
fn loaded(name: String, input: Input, values: Option<&[u8]>, spec: &Spec) -> Result<Loaded, SetError> {
    let values = match (&spec.values, values) {
        (Some(ValueSource::File(file)), Some(bytes)) => {
            let reading = Reading::new(Format::of_path(file).unwrap_or(Format::Text));
            let parsed = input::parse_values(bytes, &reading, spec.value_shape, input.keys.len());
            let fail = |why| ReadError { path: file.clone(), why: ReadFailure::Input(Box::new(why)) };
            Some(parsed.map_err(|why| SetError::Read(fail(why)))?)
        }
        _ => input.values,
    };
    let values = values.map(|values| {
        let values = match values {
            input::Values::Integers(integers) => Values::integers(&integers),
            input::Values::Records { size, bytes } => Values::records(size as u32, bytes)
                .expect("the input has as many records of that size as keys, which are not none"),
        };
        match input.keys.origin() {
            Some(origin) => values.permuted(origin),
            None => values,
        }
    });
    Ok(Loaded { name, keys: input.keys, values })
}

/// Solves a set, verifies its table and, if they are wanted, renders its outputs.
///
/// # Errors
/// When it is not solved, or cannot be rendered.
pub fn forge(
    path: &Path,
    set: &Loaded,
    spec: &Spec,
    with_outputs: bool,
    watch: &dyn Watch,
) -> Result<Forged, SetError> {
    let begun = Instant::now();
    // A limit beyond what the clock can say is none.
    let timed = Timed { watch, until: spec.time_limit.and_then(|limit| begun.checked_add(limit)) };
    let fail = |why| {
        let out_of_time = timed.over() && !watch.stopped();
        SetError::Failure { path: path.to_owned(), why, out_of_time }
    };
    let options = with_subset(set, spec).map_err(|why| fail(Failure::Options(why)))?;
    let created = create(&set.keys, set.values.as_ref(), &options, &timed).map_err(fail)?;
    let solved = Instant::now();
    // A search for the best table that was ended has a table to give; all else that is ended has none.
    let searched = created.report.tried.last().is_some_and(|last| last.ended != Ended::Stopped);
    let mut artifacts = Vec::new();
    for output in spec.outputs.iter().filter(|_| with_outputs) {
        if searched && watch.stopped() {
            return Err(fail(Failure::Stopped(created.report)));
        }
        artifacts.extend(render(set, &created, spec, output).map_err(SetError::Emit)?);
    }
    if searched && watch.stopped() {
        return Err(fail(Failure::Stopped(created.report)));
    }
    let times = Times { solve: solved - begun, render: solved.elapsed(), ..Times::default() };
    Ok(Forged { created, artifacts, times })
}

/// The options, with the subset's keys as words of the set's type.
pub fn with_subset<'s>(set: &Loaded, spec: &'s Spec) -> Result<Cow<'s, Options>, String> {
    if spec.subset.is_empty() {
        return Ok(Cow::Borrowed(&spec.options));
    }
    let mut options = spec.options.clone();
    let key_type = set.keys.key_type();
    let best = options.best.as_mut().ok_or("a subset of the keys is for a search for the best table")?;
    for text in &spec.subset {
        best.subset.push(typed_key(text, key_type)?);
    }
    Ok(Cow::Owned(options))
}

/// The word of a key that was typed: decimal, hexadecimal after `0x`, or a string.
///
/// # Errors
/// A sentence, when it is no key of that type.
pub fn typed_key(text: &str, key_type: KeyType) -> Result<u64, String> {
    if key_type.is_text() {
        return Err(format!("{text:?} is a string, and this needs an integer key"));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    // The parsers below would take a second sign.
    let digits = if digits.starts_with(['-', '+']) { "" } else { digits };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(['-', '+']) => "".parse(),
        Some(hex) => i128::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let value = value.map_err(|_| format!("{text:?} is no integer, decimal or hexadecimal after 0x"))?;
    key_type.word(sign * value).ok_or_else(|| format!("{text} does not fit keys of type {}", key_type.name()))
}

/// The files of one output of a table.
///
/// # Errors
/// When a language cannot say what the table holds.
pub fn render(
    set: &Loaded,
    created: &Created,
    spec: &Spec,
    output: &Output,
) -> Result<Vec<Artifact>, EmitError> {
    let about = spec.about();
    let request = Request {
        name: &set.name,
        table: &created.table,
        set: &set.keys,
        about: &about,
        tests: spec.tests,
        split: spec.split,
        allow_unsafe: spec.allow_unsafe,
    };
    match output {
        Output::Table => {
            let bytes = file::write(&created.table);
            Ok(vec![Artifact { name: format!("{}.ostia", set.name), bytes }])
        }
        Output::Source(language) => emit(*language, &request),
    }
}

/// Stores the outputs of a set in a folder; returns their paths.
///
/// # Errors
/// At the first file that cannot be stored.
pub fn store(store: &Store, out: &Path, artifacts: &[Artifact]) -> Result<Vec<PathBuf>, SetError> {
    let one = |artifact: &Artifact| {
        let path = out.join(&artifact.name);
        store.put(&path, &artifact.bytes).map_err(SetError::Store)?;
        Ok(path)
    };
    artifacts.iter().map(one).collect()
}

/// The languages among a job's outputs.
pub fn languages(spec: &Spec) -> impl Iterator<Item = Language> + '_ {
    spec.outputs.iter().filter_map(|output| match output {
        Output::Source(language) => Some(*language),
        Output::Table => None,
    })
}

/// The seeds of a table, as the command line takes them again.
pub fn seeds(shape: &Shape) -> Vec<u64> {
    match shape {
        Shape::Chm { function, seeds, .. } => {
            seeds[..function.seed_count()].iter().map(|&s| u64::from(s)).collect()
        }
        Shape::Halves { multipliers, .. }
        | Shape::Displace { multipliers, .. }
        | Shape::Retrieval { multipliers, .. } => multipliers.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_typed_key_has_one_sign_at_most() {
        assert_eq!(typed_key("-5", KeyType::I32), Ok(0xFFFF_FFFB));
        assert_eq!(typed_key("0x1F", KeyType::U8), Ok(0x1F));
        let lowest = format!("-{}", i128::MIN);
        for text in ["--5", "-+5", "+5", "0x-1", "-0x+1", "-", "0x", lowest.as_str()] {
            assert!(typed_key(text, KeyType::I32).is_err(), "{text}");
        }
    }

    #[test]
    fn a_set_that_is_solved_when_the_work_is_ended_is_not_rendered() {
        /// Stops as soon as the first attempt was made.
        #[derive(Default)]
        struct AfterOne(AtomicBool);
        impl Watch for AfterOne {
            fn stopped(&self) -> bool {
                self.0.load(Ordering::Relaxed)
            }
            fn tried(&self, _: u64) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let keys = KeySet::u32s(&[3, 5, 9]).unwrap();
        let set = Loaded { name: "three".into(), keys, values: None };
        let spec = Spec { outputs: [Output::Table].into(), ..Spec::default() };
        let solved = forge(Path::new("three"), &set, &spec, true, &ostia_hash::search::Alone).unwrap();
        assert_eq!(solved.artifacts.len(), 1);
        let ended = forge(Path::new("three"), &set, &spec, true, &AfterOne::default()).unwrap_err();
        assert!(ended.is_stopped(), "{ended}");
    }
}
