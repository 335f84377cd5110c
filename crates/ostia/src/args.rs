//! The command line, and what it means.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use ostia_forge::{
    input::{Column, Format, Header, ValueShape},
    spec::{NodePolicy, Output, Spec, ValueSource},
    store::Durability,
};
use ostia_hash::{
    best::{KEYS_MIN, Predicate, Rules},
    create::{BestOf, Options},
    function::classic::RngSpec,
    keys::{KeyType, Order},
    kind::chm::Graph,
    plan::{Function, Kind},
    table::Foreign,
};

use crate::exit::Ended;

/// Turns key sets into verified, order-preserving perfect hash tables with generated lookup code.
///
/// A key set is a file of different keys: integers packed or as text, a CSV column, a JSON array, or lines of
/// strings. Its table finds the position of a key in the sorted set with a few instructions, no probing and
/// no comparison; with --foreign it recognises keys that are not in the set, with --values it carries a
/// value for each key.
#[derive(Parser, Debug)]
#[command(name = "ostia", bin_name = "ostia", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ostia create examples/keys/http_status.txt --out tables --emit c,rust,python
  ostia create ids.csv --column id --values column:price --foreign exact --out tables
  ostia bulk-create examples/keys --out tables
  ostia lookup tables/http_status.ostia 404 418

Exit codes: 0 done, 1 something failed or was not found, 2 usage, 130 interrupted.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Makes the table of one key set, and code that looks keys up in it
    Create(Create),
    /// Makes the tables of every key set in a folder; one bad set never stops the others
    BulkCreate(BulkCreate),
    /// Tells what became of the sets of a bulk run, from its journal
    Results(Results),
    /// Tells what is in a table
    Inspect(Inspect),
    /// Looks keys up in a table
    Lookup(Lookup),
    /// Checks every key of a set against a table
    Verify(Verify),
    /// Measures lookups in a table, beside a hash map and a binary search
    Bench(Bench),
    /// Prints a completion script for a shell
    #[command(after_help = "\
Example:
  ostia completions bash > ~/.local/share/bash-completion/completions/ostia")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    #[command(after_help = "\
Example:
  ostia man > ostia.1")]
    Man,
}

/// Make the table of one key set.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  ostia create examples/keys/http_status.txt --out tables --emit c,python
  ostia create examples/keys/ports.csv --key-type u16 --foreign exact --dry-run
  ostia create ids.csv --column id --values column:price --foreign exact --out tables
  seq 1 9 | ostia create - --format text --name digits --out tables")]
pub(crate) struct Create {
    /// The key set; `-` reads the standard input (with --format and --name)
    pub(crate) keys: PathBuf,
    /// The folder for the outputs; made if it is missing
    #[arg(long, short, value_name = "DIR", required_unless_present_any = ["dry_run", "no_file_io"])]
    pub(crate) out: Option<PathBuf>,
    /// What files, types and functions are named after; by default made of the file's name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Tells the plan and its predicted effort, and does nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// No self-test and no benchmark beside the code
    #[arg(long)]
    pub(crate) no_tests: bool,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// Make the tables of every key set in a folder.
///
/// A journal in the folder for the outputs remembers what was made of what. Run again, only sets are made whose input,
/// options or outputs have changed; after a kill, and with --durable after a power cut, the next run completes the rest.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  ostia bulk-create examples/keys --out tables
  ostia bulk-create keys --recursive --exclude 'old/**' --emit table,rust --json
  ostia bulk-create keys --check && echo up to date
  find keys -name '*.keys' -print0 | ostia bulk-create - --out tables
  ostia bulk-create keys --no-file-io
  ostia results keys-tables --failed

Exit codes: 0 all done, 1 some failed or are out of date, 2 usage, 130 interrupted: what was begun was ended cleanly, and
the next run goes on from there. A second Ctrl-C ends at once.")]
pub(crate) struct BulkCreate {
    /// The folder with the key sets, or one key set; `-` reads a list of files, one a line or with NUL between them
    pub(crate) dir: PathBuf,
    /// The folder for the outputs; made if it is missing [default: DIR-tables beside DIR]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Looks into folders inside the folder too
    #[arg(long, short, help_heading = "Sets")]
    pub(crate) recursive: bool,
    /// Only sets whose path in the folder matches, such as 'crypto/**' or 'id-*.csv'
    #[arg(long, value_name = "GLOB", help_heading = "Sets")]
    pub(crate) include: Vec<String>,
    /// No sets, and no folders, whose path in the folder matches
    #[arg(long, value_name = "GLOB", help_heading = "Sets")]
    pub(crate) exclude: Vec<String>,
    /// Makes every set again, also where its outputs are as they should be
    #[arg(long, help_heading = "Sets")]
    pub(crate) force: bool,
    /// Makes nothing; says whether all outputs are as they would be made
    #[arg(long, help_heading = "Sets", conflicts_with_all = ["force", "no_file_io"])]
    pub(crate) check: bool,
    /// Ends the run with the first set that fails
    #[arg(long, help_heading = "Sets", conflicts_with = "max_failures")]
    pub(crate) fail_fast: bool,
    /// Ends the run when so many sets have failed
    #[arg(long, value_name = "N", help_heading = "Sets", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_failures: Option<u64>,
    /// A self-test and a benchmark beside the code of each set
    #[arg(long)]
    pub(crate) tests: bool,

    /// What does the work: the runtime, or plain threads, which keep no journal and make every set
    #[arg(long, value_name = "ENGINE", default_value = "runtime", help_heading = "Work")]
    pub(crate) engine: Engine,
    /// The NUMA nodes to use: a list such as 0,2-3 or a mask such as 0x5 [default: all]
    #[arg(long, value_name = "NODES", help_heading = "Work")]
    pub(crate) nodes: Option<String>,
    /// Pretends to a machine of so many nodes and CPUs each, such as 2x4; nothing is bound to a CPU then
    #[arg(long, value_name = "SHAPE", help_heading = "Work")]
    pub(crate) topology: Option<String>,
    /// Which node gets a set: round-robin, least-loaded, node=N
    #[arg(long, value_name = "POLICY", default_value = "round-robin", help_heading = "Work", value_parser = node_policy)]
    pub(crate) node_policy: NodePolicy,
    /// Large sets, and batches of small ones, under way at a time; 0 is two for each thread
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Work")]
    pub(crate) concurrency: usize,
    /// Threads at one set, at most; 0 is no limit. More than one come only while they have nothing else to do
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Work")]
    pub(crate) per_set_concurrency: usize,
    /// Memory that sets under way may take together, about: 64M, 2G
    #[arg(long, value_name = "SIZE", default_value = "256M", help_heading = "Work", value_parser = size)]
    pub(crate) memory: u64,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// What does the work of a bulk run.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Runtime,
    Threads,
}

/// Options that one set and many have alike.
#[derive(ClapArgs, Debug)]
pub(crate) struct Shared {
    /// What comes out: c, cpp, rust, python, table (the .ostia file)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "c,rust,table", value_parser = output)]
    pub(crate) emit: Vec<Output>,
    /// Solves and verifies, and writes nothing
    #[arg(long, conflicts_with = "out")]
    pub(crate) no_file_io: bool,
    /// C as a header and a source instead of one header
    #[arg(long)]
    pub(crate) split: bool,
    /// Generated Rust may use unsafe to leave out bounds checks
    #[arg(long)]
    pub(crate) allow_unsafe: bool,
    /// Files survive a power cut (slower)
    #[arg(long)]
    pub(crate) durable: bool,

    #[command(flatten)]
    pub(crate) input: Input,

    /// Values for the keys: a file with one a line (or packed), or column:NAME beside the keys
    #[arg(long, value_name = "SOURCE", help_heading = "Values", value_parser = value_source)]
    pub(crate) values: Option<ValueSource>,
    /// Values are records of so many bytes instead of integers
    #[arg(long, value_name = "BYTES", help_heading = "Values", requires = "values")]
    pub(crate) record_size: Option<u32>,
    /// Values are strings of one length, which the first tells
    #[arg(long, help_heading = "Values", requires = "values", conflicts_with = "record_size")]
    pub(crate) records: bool,
    /// Cells hold the values themselves: smaller, and no index (three-part retrieval)
    #[arg(long, help_heading = "Values", requires = "values")]
    pub(crate) in_place: bool,

    /// Which kind of table: auto, chm, halves, displace, retrieval
    #[arg(long, default_value = "auto", help_heading = "Table", value_parser = kind)]
    pub(crate) kind: Kind,
    /// The hash function: fold, fold-pair, xor, mix, multiply, or one of the predecessor's (MultiplyShiftRX ...)
    #[arg(long, value_name = "NAME", help_heading = "Table", value_parser = function)]
    pub(crate) hash: Option<Function>,
    /// Keys not in the set: unchecked, fingerprint (or fingerprint:BITS), exact
    #[arg(long, default_value = "unchecked", value_name = "POLICY", help_heading = "Table", value_parser = foreign)]
    pub(crate) foreign: Foreign,
    /// An index is the position in the input, not in the sorted set
    #[arg(long, help_heading = "Table")]
    pub(crate) keep_order: bool,
    /// An index is any slot of the key's own: faster and smaller
    #[arg(long, help_heading = "Table", conflicts_with = "keep_order")]
    pub(crate) any_order: bool,

    /// Attempts of the search for a set, at most
    #[arg(long, value_name = "N", help_heading = "Search", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) attempts: Option<u64>,
    /// Time for the search of a set, at most: 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", help_heading = "Search", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,
    /// Threads; 0 is one for each CPU. Outputs are the same for any number
    #[arg(long, short, value_name = "N", default_value_t = 0, help_heading = "Search")]
    pub(crate) threads: usize,
    /// Seeds that are given, decimal or 0x hexadecimal: for the predecessor's functions 0 means drawn
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Search", value_parser = number)]
    pub(crate) seeds: Vec<u64>,
    /// The seed of the generator that gives each attempt its seeds
    #[arg(long, value_name = "N", help_heading = "Search", value_parser = number)]
    pub(crate) rng_seed: Option<u64>,
    /// Added to the number of each attempt
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search", value_parser = number)]
    pub(crate) rng_subsequence: u64,
    /// Words passed over in each attempt's stream
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search", value_parser = number)]
    pub(crate) rng_offset: u64,
    /// How often a chm table is doubled when attempts run out
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Search")]
    pub(crate) resizes: u32,
    /// How often a chm table is doubled before the first attempt
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    pub(crate) initial_resizes: u32,
    /// Attempts of a chm table's function for each size
    #[arg(long, value_name = "N", default_value_t = Options::default().attempts_per_size, help_heading = "Search")]
    pub(crate) attempts_per_size: u64,
    /// Doubling a chm table does not double the range of indexes
    #[arg(long, help_heading = "Search")]
    pub(crate) clamp_edges: bool,

    /// How a chm table's entries are found: peeled (the predecessor's graph 3) or traversed (its graph 1)
    #[arg(long, value_name = "HOW", default_value = "peeled", help_heading = "Search")]
    pub(crate) graph: GraphArg,

    /// Looks for the best of many tables, such as HighestScore or LowestNumberOfUsedCacheLines
    #[arg(long, value_name = "PREDICATE", help_heading = "Best table", value_parser = predicate)]
    pub(crate) best: Option<Predicate>,
    /// Ends after N tables that were each better than all before [default: --attempts, or 10000, decides]
    #[arg(long, value_name = "N", help_heading = "Best table", requires = "best", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) best_count: Option<u64>,
    /// Ends with the first table whose value is this or better
    #[arg(
        long,
        value_name = "VALUE",
        help_heading = "Best table",
        requires = "best",
        allow_negative_numbers = true
    )]
    pub(crate) best_target: Option<f64>,
    /// Ends after N tables as good as the best
    #[arg(long, value_name = "N", help_heading = "Best table", requires = "best", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) best_equals: Option<u64>,
    /// Sets with fewer keys get the first table
    #[arg(long, value_name = "N", help_heading = "Best table", requires = "best", default_value_t = KEYS_MIN)]
    pub(crate) best_min_keys: usize,
    /// Keys whose memory is counted apart, for the predicates about a keys subset
    #[arg(
        long,
        value_name = "KEYS",
        help_heading = "Best table",
        requires = "best",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub(crate) subset: Vec<String>,

    /// Machine-readable output, one JSON object a set
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Nothing but errors
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// How a key set is read.
#[derive(ClapArgs, Debug)]
pub(crate) struct Input {
    /// keys (packed u32), keys64 (packed u64), text, hex, csv, json, lines; by default by the file's name
    #[arg(long, value_name = "FORMAT", help_heading = "Input", value_parser = format)]
    pub(crate) format: Option<Format>,
    /// u8 u16 u32 u64 i8 i16 i32 i64 str bytes; by default by the format and the keys
    #[arg(long, value_name = "TYPE", help_heading = "Input", value_parser = key_type)]
    pub(crate) key_type: Option<KeyType>,
    /// The column of a CSV file, by name or number from 1, or the field of JSON objects
    #[arg(long, value_name = "NAME", help_heading = "Input", value_parser = column)]
    pub(crate) column: Option<Column>,
    /// Whether the first row of a CSV file names the columns
    #[arg(long, value_name = "WHETHER", default_value = "auto", help_heading = "Input")]
    pub(crate) header: HeaderArg,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum HeaderArg {
    Auto,
    Yes,
    No,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum GraphArg {
    Peeled,
    Traversed,
}

/// Tell what became of the sets of a bulk run.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  ostia results tables
  ostia results tables --failed
  ostia results tables --csv > results.csv
  ostia results tables --json | jq 'select(.attempts > 100) | .path'

A bulk run keeps a journal in its output folder. It may be looked at while a run is at work, and
after one was killed. Sets come in the order of their paths. The first columns of --csv are named
as the predecessor's.")]
pub(crate) struct Results {
    /// The output folder of the run
    pub(crate) dir: PathBuf,
    /// A header, and one line of comma-separated values a set
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// One JSON object a set, with the fields of bulk-create --json
    #[arg(long)]
    pub(crate) json: bool,
    /// Only sets that failed
    #[arg(long)]
    pub(crate) failed: bool,
}

/// Tell what is in a table.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Example:
  ostia inspect tables/http_status.ostia")]
pub(crate) struct Inspect {
    /// The .ostia file
    pub(crate) table: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Look keys up in a table.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  ostia lookup tables/http_status.ostia 404 0x1A2
  ostia lookup tables/words.ostia < words.txt

Each line is the key, its index and its value, with tabs between; a foreign key has - for its index, and makes
the exit code 1.")]
pub(crate) struct Lookup {
    /// The .ostia file
    pub(crate) table: PathBuf,
    /// Keys, decimal or 0x hexadecimal, or strings; none reads lines from the standard input
    #[arg(allow_negative_numbers = true)]
    pub(crate) keys: Vec<String>,
    /// One JSON object a key
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check every key of a set against a table.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Example:
  ostia verify tables/http_status.ostia examples/keys/http_status.txt")]
pub(crate) struct Verify {
    /// The .ostia file
    pub(crate) table: PathBuf,
    /// The key set it was made of
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) input: Input,
    /// The values it was made with: a file, or column:NAME beside the keys
    #[arg(long, value_name = "SOURCE", value_parser = value_source)]
    pub(crate) values: Option<ValueSource>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measure lookups in a table.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Example:
  ostia bench tables/http_status.ostia examples/keys/http_status.txt")]
pub(crate) struct Bench {
    /// The .ostia file
    pub(crate) table: PathBuf,
    /// The key set it was made of; needed unless the table keeps its keys (--foreign exact)
    pub(crate) keys: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: Input,
    /// Rounds; the best and the median are told
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..10_000))]
    pub(crate) rounds: u32,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Input {
    /// What these options ask for, everything else by default.
    pub(crate) fn spec(&self) -> Spec {
        let header = match self.header {
            HeaderArg::Auto => Header::Auto,
            HeaderArg::Yes => Header::Yes,
            HeaderArg::No => Header::No,
        };
        Spec {
            format: self.format,
            key_type: self.key_type,
            column: self.column.clone(),
            header,
            ..Spec::default()
        }
    }
}

impl Shared {
    /// Threads that were asked for.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// What stored files are safe against.
    pub(crate) fn durability(&self) -> Durability {
        if self.durable { Durability::Power } else { Durability::Process }
    }

    /// What these options ask for. The search has one thread: the caller knows better.
    pub(crate) fn spec(&self, tests: bool) -> Result<Spec, Ended> {
        let classic = matches!(self.hash, Some(Function::Classic(_)));
        if (classic || self.kind == Kind::Chm) && self.seeds.iter().any(|&s| s > u64::from(u32::MAX)) {
            return Err(Ended::Usage("a seed of the predecessor's functions has 32 bits".into()));
        }
        if !classic && self.kind != Kind::Chm && self.seeds.len() > 2 {
            return Err(Ended::Usage("a family has two seeds, its multipliers".into()));
        }
        let rng = RngSpec {
            seed: self.rng_seed.unwrap_or(RngSpec::default().seed),
            subsequence: self.rng_subsequence,
            offset: self.rng_offset,
        };
        let value_shape = match (self.record_size, self.records) {
            (Some(size), _) => ValueShape::Records { size: Some(size as usize) },
            (None, true) => ValueShape::Records { size: None },
            (None, false) => ValueShape::Integers,
        };
        Ok(Spec {
            order: if self.keep_order { Order::Input } else { Order::Sorted },
            values: self.values.clone(),
            value_shape,
            options: Options {
                kind: self.kind,
                function: self.hash,
                ordered: !self.any_order,
                foreign: self.foreign,
                threads: 1,
                in_place: self.in_place,
                attempts: self.attempts,
                rng,
                seeds: self.seeds.clone(),
                initial_resizes: self.initial_resizes,
                resizes: self.resizes,
                clamp_edges: self.clamp_edges,
                attempts_per_size: self.attempts_per_size,
                best: self.best.map(|predicate| BestOf {
                    rules: Rules {
                        predicate,
                        bests: self.best_count,
                        target: self.best_target,
                        equals: self.best_equals,
                    },
                    keys_min: self.best_min_keys,
                    subset: Vec::new(),
                }),
                graph: match self.graph {
                    GraphArg::Peeled => Graph::Peeled,
                    GraphArg::Traversed => Graph::Traversed,
                },
            },
            subset: self.subset.clone(),
            time_limit: self.time_limit,
            outputs: self.emit.iter().copied().collect(),
            tests,
            split: self.split,
            allow_unsafe: self.allow_unsafe,
            ..self.input.spec()
        })
    }
}

/// One of some named things, or a sentence with all names.
fn named<T>(found: Option<T>, what: &str, names: &[&str]) -> Result<T, String> {
    found.ok_or_else(|| format!("no such {what}; there are: {}", names.join(", ")))
}

fn output(name: &str) -> Result<Output, String> {
    named(Output::from_name(name), "output", &Output::ALL.map(Output::name))
}

fn node_policy(name: &str) -> Result<NodePolicy, String> {
    named(NodePolicy::from_name(name), "policy", &["round-robin", "least-loaded", "node=N"])
}

/// Bytes: a number, and K, M or G for 2^10, 2^20 or 2^30 of them.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write one such as 64M or 2G");
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

fn kind(name: &str) -> Result<Kind, String> {
    named(Kind::from_name(name), "kind", &Kind::ALL.map(Kind::name))
}

fn format(name: &str) -> Result<Format, String> {
    named(Format::from_name(name), "format", &Format::ALL.map(Format::name))
}

fn key_type(name: &str) -> Result<KeyType, String> {
    named(KeyType::from_name(name), "key type", &KeyType::ALL.map(KeyType::name))
}

fn function(name: &str) -> Result<Function, String> {
    let names: Vec<&str> = Function::all().map(Function::name).collect();
    named(Function::from_name(name), "function", &names)
}

fn predicate(name: &str) -> Result<Predicate, String> {
    let names: Vec<String> = Predicate::all().map(Predicate::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    named(Predicate::from_name(name), "predicate", &names)
}

fn column(argument: &str) -> Result<Column, String> {
    Ok(Column::from_argument(argument))
}

fn foreign(name: &str) -> Result<Foreign, String> {
    match name.split_once(':').unwrap_or((name, "16")) {
        ("unchecked", _) if name == "unchecked" => Ok(Foreign::Unchecked),
        ("exact", _) if name == "exact" => Ok(Foreign::Exact),
        ("fingerprint", bits) => match bits.parse() {
            Ok(bits @ 1..=32) => Ok(Foreign::Fingerprint { bits }),
            _ => Err("a fingerprint has 1 to 32 bits, as in fingerprint:12".into()),
        },
        _ => Err("there are: unchecked, fingerprint, fingerprint:BITS, exact".into()),
    }
}

fn value_source(argument: &str) -> Result<ValueSource, String> {
    Ok(match argument.strip_prefix("column:") {
        Some(column) => ValueSource::Beside(Column::from_argument(column)),
        None => ValueSource::File(argument.into()),
    })
}

/// A number, decimal or hexadecimal after `0x`.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => u64::from_str(text),
    };
    parsed.map_err(|_| "a number is decimal, or hexadecimal after 0x, below 2^64".into())
}

/// A time such as 500ms, 10s or 2m; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time is a number with ms, s, m or h".into()),
    };
    match digits.parse::<f64>().map(|number| Duration::try_from_secs_f64(number * unit)) {
        Ok(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err("a time is a positive number with ms, s, m or h, such as 500ms or 2.5s".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_and_numbers_have_units_and_bases() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2.5s"), Ok(Duration::from_millis(2500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "0s", "-1s", "3 days", "ms", "1e400s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(number("0x1F"), Ok(31));
        assert!(number("1F").is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("1000"), Ok(1000));
        for wrong in ["", "M", "0", "0K", "-1", "1.5G", "64MB", "99999999999G", "1é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn policies_are_read_with_their_bits() {
        assert_eq!(foreign("fingerprint:12"), Ok(Foreign::Fingerprint { bits: 12 }));
        assert_eq!(foreign("fingerprint"), Ok(Foreign::Fingerprint { bits: 16 }));
        for wrong in ["fingerprint:0", "fingerprint:33", "exact:4", "unchecked:1", "maybe"] {
            assert!(foreign(wrong).is_err(), "{wrong}");
        }
    }
}
