//! One number for all that decides the bytes of the outputs.

use std::path::Path;

use ostia_hash::{
    best::Rules,
    create::{BestOf, Options},
    function::classic::RngSpec,
};

use super::{Spec, ValueSource, serial::Word};
use crate::input::{Column, ValueShape};

#[cfg(test)]
#[path = "golden.rs"]
mod golden;

/// Raised whenever the same set and options come to other bytes within one version of the crate. The test in
/// `golden.rs` tells when that is.
const GENERATION: u64 = 1;

impl Spec {
    /// A digest of everything in here that decides the bytes of the outputs, and of the generator's version.
    ///
    /// Threads and the time limit are not in it: neither changes the outputs of a set that is done. Of a file
    /// with values the name is in it, which decides how it is read; what is in the file is not, so whoever
    /// records what was made of a set must digest that together with the set's own content.
    pub fn digest(&self) -> [u8; 32] {
        let mut canon = Canon::default();
        canon.text(env!("CARGO_PKG_VERSION"));
        canon.number(GENERATION);
        canon.spec(self);
        *canon.0.finalize().as_bytes()
    }
}

/// Takes values in an order of its own, each so that it cannot run into the next: numbers have one width,
/// texts and lists begin with their length, and what may be missing begins with whether it is there.
#[derive(Default)]
struct Canon(blake3::Hasher);

impl Canon {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_encoded_bytes());
    }

    fn word<T: Word>(&mut self, value: &T) {
        self.text(&value.word());
    }

    fn maybe<T>(&mut self, value: Option<T>, one: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            one(self, value);
        }
    }

    fn list<T>(&mut self, values: impl ExactSizeIterator<Item = T>, mut one: impl FnMut(&mut Self, T)) {
        self.number(values.len() as u64);
        for value in values {
            one(self, value);
        }
    }

    // Every field is named below, so that a new one does not compile until somebody has decided about it.

    fn spec(&mut self, spec: &Spec) {
        let Spec {
            format,
            key_type,
            order,
            column,
            header,
            values,
            value_shape,
            options,
            subset,
            time_limit: _,
            outputs,
            tests,
            split,
            allow_unsafe,
        } = spec;
        self.maybe(format.as_ref(), Canon::word);
        self.maybe(key_type.as_ref(), Canon::word);
        self.word(order);
        self.maybe(column.as_ref(), Canon::column);
        self.word(header);
        self.maybe(values.as_ref(), |canon, values| match values {
            ValueSource::Beside(column) => {
                canon.text("beside");
                canon.column(column);
            }
            ValueSource::File(path) => {
                canon.text("file");
                canon.path(path);
            }
        });
        match value_shape {
            ValueShape::Integers => self.text("integers"),
            ValueShape::Records { size } => {
                self.text("records");
                self.maybe(*size, |canon, size| canon.number(size as u64));
            }
        }
        self.options(options);
        self.list(subset.iter(), |canon, key| canon.text(key));
        self.list(outputs.iter(), Canon::word);
        self.flag(*tests);
        self.flag(*split);
        self.flag(*allow_unsafe);
    }

    fn options(&mut self, options: &Options) {
        let Options {
            kind,
            function,
            ordered,
            foreign,
            in_place,
            attempts,
            threads: _,
            rng: RngSpec { seed, subsequence, offset },
            seeds,
            initial_resizes,
            resizes,
            clamp_edges,
            attempts_per_size,
            graph,
            best,
        } = options;
        self.word(kind);
        self.maybe(function.as_ref(), Canon::word);
        self.flag(*ordered);
        self.word(foreign);
        self.flag(*in_place);
        self.maybe(*attempts, Canon::number);
        for part in [*seed, *subsequence, *offset] {
            self.number(part);
        }
        self.list(seeds.iter().copied(), Canon::number);
        self.number(u64::from(*initial_resizes));
        self.number(u64::from(*resizes));
        self.flag(*clamp_edges);
        self.number(*attempts_per_size);
        self.word(graph);
        self.maybe(best.as_ref(), Canon::best);
    }

    fn best(&mut self, best: &BestOf) {
        let BestOf { rules: Rules { predicate, bests, target, equals }, keys_min, subset } = best;
        self.word(predicate);
        self.maybe(*bests, Canon::number);
        self.maybe(*target, |canon, target| canon.number(target.to_bits()));
        self.maybe(*equals, Canon::number);
        self.number(*keys_min as u64);
        self.list(subset.iter().copied(), Canon::number);
    }

    fn column(&mut self, column: &Column) {
        match column {
            Column::Name(name) => {
                self.text("name");
                self.text(name);
            }
            Column::Number(number) => {
                self.text("number");
                self.number(*number as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use ostia_hash::{
        best::Predicate,
        function::family::Family,
        keys::{KeyType, Order},
        kind::chm::Graph,
        plan::{Function, Kind},
        table::Foreign,
    };

    use super::*;
    use crate::{
        input::{Format, Header},
        spec::Output,
    };

    /// A change, and what it is called.
    type Change = (&'static str, fn(&mut Spec));

    fn base() -> Spec {
        let predicate = Predicate::from_name("HighestScore").unwrap();
        let rules = Rules { predicate, bests: None, target: None, equals: None };
        let best = Some(BestOf { rules, keys_min: 512, subset: Vec::new() });
        Spec { options: Options { best, ..Options::default() }, ..Spec::default() }
    }

    fn best(spec: &mut Spec) -> &mut BestOf {
        spec.options.best.as_mut().unwrap()
    }

    #[test]
    fn every_field_that_decides_the_outputs_changes_the_digest() {
        let changes: &[Change] = &[
            ("nothing", |_| {}),
            ("format", |s| s.format = Some(Format::Keys)),
            ("another format", |s| s.format = Some(Format::Keys64)),
            ("key type", |s| s.key_type = Some(KeyType::I16)),
            ("order", |s| s.order = Order::Input),
            ("column by name", |s| s.column = Some(Column::Name("1".into()))),
            ("column by number", |s| s.column = Some(Column::Number(1))),
            ("header", |s| s.header = Header::Yes),
            ("no header", |s| s.header = Header::No),
            ("values beside", |s| s.values = Some(ValueSource::Beside(Column::Number(1)))),
            ("values by name", |s| s.values = Some(ValueSource::Beside(Column::Name("1".into())))),
            ("values in a file", |s| s.values = Some(ValueSource::File("1".into()))),
            ("values in another file", |s| s.values = Some(ValueSource::File("2".into()))),
            ("records", |s| s.value_shape = ValueShape::Records { size: None }),
            ("records of a size", |s| s.value_shape = ValueShape::Records { size: Some(0) }),
            ("kind", |s| s.options.kind = Kind::Halves),
            ("function", |s| s.options.function = Some(Function::Multiply)),
            ("family", |s| s.options.function = Some(Function::Family(Family::ALL[0]))),
            ("ordered", |s| s.options.ordered = false),
            ("foreign", |s| s.options.foreign = Foreign::Exact),
            ("fingerprint", |s| s.options.foreign = Foreign::Fingerprint { bits: 8 }),
            ("wider fingerprint", |s| s.options.foreign = Foreign::Fingerprint { bits: 9 }),
            ("in place", |s| s.options.in_place = true),
            ("attempts", |s| s.options.attempts = Some(7)),
            ("seed", |s| s.options.rng.seed = 7),
            ("subsequence", |s| s.options.rng.subsequence = 7),
            ("offset", |s| s.options.rng.offset = 7),
            ("seeds", |s| s.options.seeds = vec![7]),
            ("more seeds", |s| s.options.seeds = vec![7, 0]),
            ("initial resizes", |s| s.options.initial_resizes = 7),
            ("resizes", |s| s.options.resizes = 7),
            ("clamp edges", |s| s.options.clamp_edges = true),
            ("attempts per size", |s| s.options.attempts_per_size = 7),
            ("graph", |s| s.options.graph = Graph::Traversed),
            ("no best", |s| s.options.best = None),
            ("predicate", |s| best(s).rules.predicate.highest = false),
            ("bests", |s| best(s).rules.bests = Some(7)),
            ("target", |s| best(s).rules.target = Some(7.0)),
            ("equals", |s| best(s).rules.equals = Some(7)),
            ("fewest keys", |s| best(s).keys_min = 7),
            ("subset's words", |s| best(s).subset = vec![7]),
            ("subset", |s| s.subset = vec!["ab".into()]),
            ("subset, divided", |s| s.subset = vec!["a".into(), "b".into()]),
            ("table", |s| s.outputs = [Output::Table].into()),
            ("two outputs", |s| s.outputs = [Output::ALL[0], Output::ALL[1]].into()),
            ("tests", |s| s.tests = true),
            ("split", |s| s.split = true),
            ("unsafe", |s| s.allow_unsafe = true),
        ];
        let mut seen = HashMap::new();
        for (name, change) in changes {
            let mut spec = base();
            change(&mut spec);
            assert_eq!(spec.digest(), spec.clone().digest(), "{name}");
            if let Some(other) = seen.insert(spec.digest(), name) {
                panic!("{name} and {other} have one digest");
            }
        }
    }

    #[test]
    fn what_decides_nothing_does_not_change_the_digest() {
        let changes: &[Change] =
            &[("threads", |s| s.options.threads = 7), ("time", |s| s.time_limit = Some(Duration::ZERO))];
        for (name, change) in changes {
            let mut spec = base();
            change(&mut spec);
            assert_eq!(spec.digest(), base().digest(), "{name}");
        }
    }
}
