//! What a job is asked to do: plain data.

use std::{collections::BTreeSet, time::Duration};

use ostia_emit::lang::Language;
use ostia_hash::create::Options;
use serde::{Deserialize, Serialize};

mod digest;
mod job;
pub(crate) mod serial;

pub use self::job::{JobSpec, MEMORY, NodePolicy};
use crate::input::{Column, Format, Header, Reading, ValueShape};

/// What comes out of a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Output {
    /// The `.ostia` file.
    Table,
    /// Source code.
    Source(Language),
}

impl Output {
    /// Every output.
    pub const ALL: [Output; 5] = [
        Output::Table,
        Output::Source(Language::C),
        Output::Source(Language::Cpp),
        Output::Source(Language::Rust),
        Output::Source(Language::Python),
    ];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Output::Table => "table",
            Output::Source(language) => language.name(),
        }
    }

    /// The output of that name.
    pub fn from_name(name: &str) -> Option<Output> {
        Output::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// Where the values of a set are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// In a column or field beside the keys.
    Beside(Column),
    /// In a file of their own.
    File(#[serde(with = "serial::path")] std::path::PathBuf),
}

/// What is asked for each set of a job. Written down, what is left out is as by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// The format of the input; `None` goes by the file's name.
    #[serde(with = "serial::maybe_word")]
    pub format: Option<Format>,
    /// The type of the keys; `None` goes by the format and the keys.
    #[serde(with = "serial::maybe_word")]
    pub key_type: Option<ostia_hash::keys::KeyType>,
    /// Which position an index is.
    #[serde(with = "serial::word")]
    pub order: ostia_hash::keys::Order,
    /// Where the keys are in a table or in objects.
    pub column: Option<Column>,
    /// Whether a table has a header.
    #[serde(with = "serial::word")]
    pub header: Header,
    /// Where the values are.
    pub values: Option<ValueSource>,
    /// What the values are.
    pub value_shape: ValueShape,
    /// How the table is made.
    #[serde(with = "serial::OptionsText")]
    pub options: Options,
    /// Keys whose memory a search for the best table counts apart, as they would stand in a text file.
    pub subset: Vec<String>,
    /// The time a set may take; an attempt is not begun after it.
    pub time_limit: Option<Duration>,
    /// What comes out.
    #[serde(with = "serial::word_set")]
    pub outputs: BTreeSet<Output>,
    /// Self-test and micro-benchmark beside each source.
    pub tests: bool,
    /// C as a header and a source, not as one header.
    pub split: bool,
    /// Rust without bounds checks.
    pub allow_unsafe: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            format: None,
            key_type: None,
            order: ostia_hash::keys::Order::Sorted,
            column: None,
            header: Header::Auto,
            values: None,
            value_shape: ValueShape::Integers,
            options: Options::default(),
            subset: Vec::new(),
            time_limit: None,
            outputs: BTreeSet::new(),
            tests: false,
            split: false,
            allow_unsafe: false,
        }
    }
}

impl Spec {
    /// How an input is read.
    pub(crate) fn reading(&self, format: Format) -> Reading {
        let values = match &self.values {
            Some(ValueSource::Beside(column)) => Some((column.clone(), self.value_shape)),
            Some(ValueSource::File(_)) | None => None,
        };
        Reading {
            key_type: self.key_type,
            order: self.order,
            column: self.column.clone(),
            header: self.header,
            values,
            ..Reading::new(format)
        }
    }

    /// The lines that tell a reader of the generated code what was asked.
    pub(crate) fn about(&self) -> Vec<String> {
        let options = &self.options;
        let mut asked = vec![format!("kind {}", options.kind.name())];
        asked.extend(options.function.map(|f| format!("function {}", f.name())));
        if !options.ordered {
            asked.push("any order".into());
        }
        if !options.seeds.is_empty() {
            asked.push("given seeds".into());
        }
        vec![format!("Asked for: {}.", asked.join(", "))]
    }
}
