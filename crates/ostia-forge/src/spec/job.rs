//! A whole job as plain data, which may be written down, sent, and read again.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Spec, serial};
use crate::{find::Sources, store::Durability};

/// Which node a set's work begins on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodePolicy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Where the least is under way.
    LeastLoaded,
    /// On this one.
    Node(u32),
}

impl NodePolicy {
    /// The policy of that name: `round-robin`, `least-loaded` or `node=N`.
    pub fn from_name(name: &str) -> Option<NodePolicy> {
        match name {
            "round-robin" => Some(NodePolicy::RoundRobin),
            "least-loaded" => Some(NodePolicy::LeastLoaded),
            _ => {
                let digits = name.strip_prefix("node=")?;
                // A number's parser would take a sign.
                let number = digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits)?;
                number.parse().ok().map(NodePolicy::Node)
            }
        }
    }
}

impl fmt::Display for NodePolicy {
    /// The name used on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodePolicy::RoundRobin => f.write_str("round-robin"),
            NodePolicy::LeastLoaded => f.write_str("least-loaded"),
            NodePolicy::Node(node) => write!(f, "node={node}"),
        }
    }
}

/// Memory for the sets under way when nothing is said: 256 MiB.
pub const MEMORY: u64 = 256 << 20;

/// A job: which sets, what is asked for each, where the outputs go, and how much may be used for it.
///
/// Written down, every field but `sources` may be left out, and an unknown one is refused. A path that is not
/// UTF-8 is refused when the job is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The sets.
    pub sources: Sources,
    /// The folder that the outputs go to; `None` stores nothing.
    #[serde(default, with = "serial::maybe_path")]
    pub out: Option<PathBuf>,
    /// What is asked for each set.
    #[serde(default)]
    pub set: Spec,
    /// What stored files are safe against.
    #[serde(default)]
    pub durability: Durability,
    /// Which node a set's work begins on.
    #[serde(default, with = "serial::word")]
    pub node_policy: NodePolicy,
    /// Large sets, and batches of small ones, under way at a time; 0 leaves it to the job.
    #[serde(default)]
    pub concurrency: usize,
    /// Workers that search for one set at a time; 0 is no limit but the node's.
    #[serde(default)]
    pub per_set_concurrency: usize,
    /// Bytes that the sets under way may take together.
    #[serde(default = "memory")]
    pub memory: u64,
    /// Do sets again that are done already.
    #[serde(default)]
    pub force: bool,
    /// Make nothing: a set whose outputs are not as they would be made fails.
    #[serde(default)]
    pub check: bool,
    /// So many failed sets end the job; `None` goes on whatever fails.
    #[serde(default)]
    pub failures_max: Option<u64>,
}

fn memory() -> u64 {
    MEMORY
}

impl Default for JobSpec {
    fn default() -> Self {
        JobSpec {
            sources: Sources::default(),
            out: None,
            set: Spec::default(),
            durability: Durability::default(),
            node_policy: NodePolicy::default(),
            concurrency: 0,
            per_set_concurrency: 0,
            memory: MEMORY,
            force: false,
            check: false,
            failures_max: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ostia_hash::{
        best::{Predicate, Rules},
        create::{BestOf, Options},
        function::classic::RngSpec,
        keys::{KeyType, Order},
        kind::chm::Graph,
        plan::{Function, Kind},
        table::Foreign,
    };
    use proptest::{
        collection::{btree_set, vec},
        option,
        prelude::*,
        sample::select,
    };

    use super::*;
    use crate::{
        input::{Column, Format, Header, ValueShape},
        spec::{Output, ValueSource},
    };

    fn column() -> impl Strategy<Value = Column> {
        prop_oneof![".{0,8}".prop_map(Column::Name), any::<usize>().prop_map(Column::Number)]
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        ".{0,12}".prop_map(PathBuf::from)
    }

    fn sources() -> impl Strategy<Value = Sources> {
        let globs = || vec(".{0,8}", 0..3);
        let folder =
            (path(), any::<bool>(), globs(), globs()).prop_map(|(dir, recursive, include, exclude)| {
                Sources::Folder { dir, recursive, include, exclude }
            });
        prop_oneof![folder, vec(path(), 0..4).prop_map(Sources::List), path().prop_map(Sources::File)]
    }

    fn best() -> impl Strategy<Value = BestOf> {
        let target = option::of(any::<f64>().prop_filter("it is a number", |t| t.is_finite()));
        let rules = (
            select(Predicate::all().collect::<Vec<_>>()),
            any::<Option<u64>>(),
            target,
            any::<Option<u64>>(),
        );
        (rules, any::<usize>(), vec(any::<u64>(), 0..3)).prop_map(
            |((predicate, bests, target, equals), keys_min, subset)| BestOf {
                rules: Rules { predicate, bests, target, equals },
                keys_min,
                subset,
            },
        )
    }

    fn options() -> impl Strategy<Value = Options> {
        let foreign = prop_oneof![
            Just(Foreign::Unchecked),
            Just(Foreign::Exact),
            (1..=32u32).prop_map(|bits| Foreign::Fingerprint { bits })
        ];
        let rng = any::<(u64, u64, u64)>().prop_map(|(seed, subsequence, offset)| RngSpec {
            seed,
            subsequence,
            offset,
        });
        let what = (
            select(&Kind::ALL[..]),
            option::of(select(Function::all().collect::<Vec<_>>())),
            foreign,
            select(&[Graph::Peeled, Graph::Traversed][..]),
            option::of(best()),
        );
        let flags = any::<(bool, bool, bool)>();
        let numbers = any::<(Option<u64>, usize, u32, u32, u64)>();
        (what, flags, numbers, rng, vec(any::<u64>(), 0..4)).prop_map(
            |((kind, function, foreign, graph, best), flags, numbers, rng, seeds)| Options {
                kind,
                function,
                ordered: flags.0,
                foreign,
                in_place: flags.1,
                attempts: numbers.0,
                threads: numbers.1,
                rng,
                seeds,
                initial_resizes: numbers.2,
                resizes: numbers.3,
                clamp_edges: flags.2,
                attempts_per_size: numbers.4,
                graph,
                best,
            },
        )
    }

    fn spec() -> impl Strategy<Value = Spec> {
        let reading = (
            option::of(select(&Format::ALL[..])),
            option::of(select(&KeyType::ALL[..])),
            select(&[Order::Sorted, Order::Input][..]),
            option::of(column()),
            select(&[Header::Auto, Header::Yes, Header::No][..]),
        );
        let values = (
            option::of(prop_oneof![
                column().prop_map(ValueSource::Beside),
                path().prop_map(ValueSource::File)
            ]),
            prop_oneof![
                Just(ValueShape::Integers),
                any::<Option<usize>>().prop_map(|size| ValueShape::Records { size })
            ],
        );
        let rest = (
            vec(".{0,6}", 0..3),
            any::<Option<Duration>>(),
            btree_set(select(&Output::ALL[..]), 0..5),
            any::<(bool, bool, bool)>(),
        );
        (reading, values, options(), rest).prop_map(|(reading, values, options, rest)| Spec {
            format: reading.0,
            key_type: reading.1,
            order: reading.2,
            column: reading.3,
            header: reading.4,
            values: values.0,
            value_shape: values.1,
            options,
            subset: rest.0,
            time_limit: rest.1,
            outputs: rest.2,
            tests: rest.3.0,
            split: rest.3.1,
            allow_unsafe: rest.3.2,
        })
    }

    fn policy() -> impl Strategy<Value = NodePolicy> {
        prop_oneof![
            Just(NodePolicy::RoundRobin),
            Just(NodePolicy::LeastLoaded),
            any::<u32>().prop_map(NodePolicy::Node)
        ]
    }

    fn job() -> impl Strategy<Value = JobSpec> {
        let durability = select(&[Durability::Process, Durability::Power][..]);
        let rest = any::<(usize, usize, u64, bool, bool, Option<u64>)>();
        (sources(), option::of(path()), spec(), durability, policy(), rest).prop_map(
            |(sources, out, set, durability, node_policy, rest)| JobSpec {
                sources,
                out,
                set,
                durability,
                node_policy,
                concurrency: rest.0,
                per_set_concurrency: rest.1,
                memory: rest.2,
                force: rest.3,
                check: rest.4,
                failures_max: rest.5,
            },
        )
    }

    proptest! {
        #[test]
        fn a_job_that_is_written_is_read_back(job in job()) {
            let text = serde_json::to_string(&job).unwrap();
            let read: JobSpec = serde_json::from_str(&text).unwrap();
            // Everything in a job is shown by Debug, to the last bit of a number.
            prop_assert_eq!(format!("{job:?}"), format!("{read:?}"));
            prop_assert_eq!(job.set.digest(), read.set.digest());
        }
    }

    #[test]
    fn what_is_left_out_is_as_by_default() {
        let read: JobSpec = serde_json::from_str(r#"{"sources": {"folder": {"dir": "."}}}"#).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", JobSpec::default()));
        let read: JobSpec =
            serde_json::from_str(r#"{"sources": {"file": "a"}, "set": {"options": {"kind": "chm"}}}"#)
                .unwrap();
        let options = Options { kind: Kind::Chm, ..Options::default() };
        assert_eq!(format!("{:?}", read.set), format!("{:?}", Spec { options, ..Spec::default() }));
    }

    #[test]
    fn the_words_are_those_of_the_command_line() {
        let options = Options {
            function: Function::from_name("Mulshrolate4RX"),
            foreign: Foreign::Fingerprint { bits: 16 },
            ..Options::default()
        };
        let set = Spec {
            format: Some(Format::Hex),
            outputs: [Output::Table, Output::ALL[1]].into(),
            options,
            ..Spec::default()
        };
        let job = JobSpec { set, node_policy: NodePolicy::Node(3), ..JobSpec::default() };
        let written = serde_json::to_value(&job).unwrap();
        assert_eq!(written["set"]["format"], "hex");
        assert_eq!(written["set"]["outputs"], serde_json::json!(["table", "c"]));
        assert_eq!(written["set"]["options"]["function"], "Mulshrolate4RX");
        assert_eq!(written["set"]["options"]["foreign"], "fingerprint:16");
        assert_eq!(written["node_policy"], "node=3");
        assert_eq!(written["durability"], "process");
    }

    #[track_caller]
    fn refused(job: &str, because: &str) {
        let why = serde_json::from_str::<JobSpec>(job).expect_err("must be refused").to_string();
        assert!(why.starts_with(because), "{why}");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        refused("{}", "missing field `sources`");
        refused(r#"{"sources": {"file": "a"}, "speed": 1}"#, "unknown field `speed`");
        refused(r#"{"sources": {"folder": {"dir": "a", "deep": 1}}}"#, "unknown field `deep`");
        refused(r#"{"sources": {"file": "a"}, "set": {"options": {"x": 1}}}"#, "unknown field `x`");
        refused(
            r#"{"sources": {"file": "a"}, "set": {"options": {"kind": "best"}}}"#,
            "there is no kind \"best\"",
        );
        refused(
            r#"{"sources": {"file": "a"}, "node_policy": "node=+1"}"#,
            "there is no node policy \"node=+1\"",
        );
        refused(
            r#"{"sources": {"file": "a"}, "set": {"options": {"foreign": "fingerprint:33"}}}"#,
            "there is no policy for foreign keys \"fingerprint:33\"",
        );
    }

    #[test]
    fn a_target_that_is_no_number_is_refused() {
        let predicate = Predicate::from_name("LowestSlope").unwrap();
        let rules = Rules { predicate, bests: None, target: Some(f64::NAN), equals: None };
        let best = Some(BestOf { rules, keys_min: 0, subset: Vec::new() });
        let set = Spec { options: Options { best, ..Options::default() }, ..Spec::default() };
        assert!(serde_json::to_string(&set).unwrap_err().to_string().contains("not a finite number"));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_is_refused_by_its_name() {
        use std::os::unix::ffi::OsStringExt;

        let odd = || PathBuf::from(std::ffi::OsString::from_vec(b"a\xffb".to_vec()));
        let jobs = [
            JobSpec { sources: Sources::File(odd()), ..JobSpec::default() },
            JobSpec { sources: Sources::List(vec![odd()]), ..JobSpec::default() },
            JobSpec { out: Some(odd()), ..JobSpec::default() },
            JobSpec {
                set: Spec { values: Some(ValueSource::File(odd())), ..Spec::default() },
                ..JobSpec::default()
            },
        ];
        for job in jobs {
            let why = serde_json::to_string(&job).unwrap_err().to_string();
            assert_eq!(
                why,
                "a\u{fffd}b: the name is not UTF-8, and a job is written down in UTF-8; rename it"
            );
        }
    }
}
