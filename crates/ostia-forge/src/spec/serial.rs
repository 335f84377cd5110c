//! How a job is written down: the same words as the command line's.
//!
//! `ostia-hash` and `ostia-emit` know no serde, so their types are described here a second time, field by field;
//! the compiler keeps the two the same. A path that is not UTF-8 has no place in such text and is refused when
//! it is written: shown with signs in the place of what cannot be shown, it would be another path.

use std::path::{Path, PathBuf};

use ostia_hash::{
    best::{Predicate, Rules},
    create::{BestOf, Options},
    function::classic::RngSpec,
    keys::{KeyType, Order},
    kind::chm::Graph,
    plan::{Function, Kind},
    table::Foreign,
};
use serde::{Deserialize, Serialize};

use super::{NodePolicy, Output};
use crate::{
    input::{Format, Header},
    row::foreign_name,
};

/// What has one word on the command line.
pub(crate) trait Word: Sized {
    /// What it is, in an error.
    const WHAT: &str;

    /// Its word.
    fn word(&self) -> String;

    /// What the word stands for.
    fn of_word(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($($type:ty, $what:literal;)*) => {
        $(impl Word for $type {
            const WHAT: &str = $what;

            fn word(&self) -> String {
                self.name().to_owned()
            }

            fn of_word(word: &str) -> Option<Self> {
                <$type>::from_name(word)
            }
        })*
    };
}

words! {
    Format, "format";
    Function, "function";
    KeyType, "key type";
    Kind, "kind";
    Output, "output";
    Predicate, "predicate";
}

macro_rules! few_words {
    ($($type:ty, $what:literal, { $($word:literal => $value:path,)* };)*) => {
        $(impl Word for $type {
            const WHAT: &str = $what;

            fn word(&self) -> String {
                match self {
                    $($value => $word,)*
                }
                .to_owned()
            }

            fn of_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($value),)*
                    _ => None,
                }
            }
        })*
    };
}

few_words! {
    Header, "kind of header", { "auto" => Header::Auto, "yes" => Header::Yes, "no" => Header::No, };
    Order, "order", { "sorted" => Order::Sorted, "input" => Order::Input, };
    Graph, "graph", { "peeled" => Graph::Peeled, "traversed" => Graph::Traversed, };
}

impl Word for Foreign {
    const WHAT: &str = "policy for foreign keys";

    fn word(&self) -> String {
        foreign_name(*self)
    }

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "unchecked" => Some(Foreign::Unchecked),
            "exact" => Some(Foreign::Exact),
            _ => {
                let bits = word.strip_prefix("fingerprint:")?.parse().ok()?;
                (1..=32).contains(&bits).then_some(Foreign::Fingerprint { bits })
            }
        }
    }
}

impl Word for NodePolicy {
    const WHAT: &str = "node policy";

    fn word(&self) -> String {
        self.to_string()
    }

    fn of_word(word: &str) -> Option<Self> {
        NodePolicy::from_name(word)
    }
}

/// One word.
pub(crate) mod word {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Word;

    pub(crate) fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.word())
    }

    pub(crate) fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        T::of_word(&word).ok_or_else(|| D::Error::custom(format!("there is no {} {word:?}", T::WHAT)))
    }
}

/// Something written by one word, wherever serde asks for a type.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Word")]
struct Worded<T>(#[serde(with = "word")] T);

/// One word, or none.
pub(crate) mod maybe_word {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Word, Worded};

    pub(crate) fn serialize<T: Word + Copy, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Worded).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Word, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Option::<Worded<T>>::deserialize(deserializer)?.map(|w| w.0))
    }
}

/// A set of words.
pub(crate) mod word_set {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Word, Worded};

    pub(crate) fn serialize<T: Word + Copy, S: Serializer>(
        values: &BTreeSet<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| Worded(value)))
    }

    pub(crate) fn deserialize<'de, T: Word + Ord, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<T>, D::Error> {
        Ok(Vec::<Worded<T>>::deserialize(deserializer)?.into_iter().map(|w| w.0).collect())
    }
}

/// A path that is UTF-8.
#[derive(Serialize, Deserialize)]
pub(crate) struct Text(#[serde(serialize_with = "written")] PathBuf);

fn written<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => Err(serde::ser::Error::custom(format!(
            "{}: the name is not UTF-8, and a job is written down in UTF-8; rename it",
            path.display()
        ))),
    }
}

/// A path.
pub(crate) mod path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        super::written(path, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        PathBuf::deserialize(deserializer)
    }
}

/// A path, or none.
pub(crate) mod maybe_path {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.clone().map(Text).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// Many paths.
pub(crate) mod paths {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| Text(path.clone())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

/// A target that a value can reach.
mod target {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    pub(super) fn serialize<S: Serializer>(target: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON would make nothing of them, which means no target.
        if target.is_some_and(|target| !target.is_finite()) {
            return Err(S::Error::custom("the target of a search for the best table is not a finite number"));
        }
        target.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// [`Options`], field by field.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Options", default = "Options::default", deny_unknown_fields)]
pub(super) struct OptionsText {
    #[serde(with = "word")]
    kind: Kind,
    #[serde(with = "maybe_word")]
    function: Option<Function>,
    ordered: bool,
    #[serde(with = "word")]
    foreign: Foreign,
    in_place: bool,
    attempts: Option<u64>,
    threads: usize,
    #[serde(with = "RngText")]
    rng: RngSpec,
    seeds: Vec<u64>,
    initial_resizes: u32,
    resizes: u32,
    clamp_edges: bool,
    attempts_per_size: u64,
    #[serde(with = "word")]
    graph: Graph,
    #[serde(with = "maybe_best")]
    best: Option<BestOf>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RngSpec", default = "RngSpec::default", deny_unknown_fields)]
struct RngText {
    seed: u64,
    subsequence: u64,
    offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BestOf", deny_unknown_fields)]
struct BestText {
    #[serde(with = "RulesText")]
    rules: Rules,
    keys_min: usize,
    #[serde(default)]
    subset: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Rules", deny_unknown_fields)]
struct RulesText {
    #[serde(with = "word")]
    predicate: Predicate,
    #[serde(default)]
    bests: Option<u64>,
    #[serde(default, with = "target")]
    target: Option<f64>,
    #[serde(default)]
    equals: Option<u64>,
}

/// [`BestOf`], or none.
mod maybe_best {
    use ostia_hash::create::BestOf;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::BestText;

    #[derive(Serialize, Deserialize)]
    struct Best(#[serde(with = "BestText")] BestOf);

    pub(super) fn serialize<S: Serializer>(best: &Option<BestOf>, serializer: S) -> Result<S::Ok, S::Error> {
        best.clone().map(Best).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<BestOf>, D::Error> {
        Ok(Option::<Best>::deserialize(deserializer)?.map(|best| best.0))
    }
}
