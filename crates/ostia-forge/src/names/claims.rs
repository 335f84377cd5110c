//! Which set has which name in a run, told one set after another.
//!
//! First come, first served, in the order in which sets are found: that order is the same in every run, so the
//! same sets are refused. A set takes one entry of 20 bytes and its path; the names of the files beside its code
//! are not kept but made up again when they are asked about.

use std::{collections::HashMap, path::Path};

use ostia_emit::umbrella;

use super::{Clash, of_path};
use crate::{
    set::{SetError, languages},
    spec::Spec,
};

/// The names that are taken in a run.
#[derive(Debug)]
pub struct Claims {
    /// True when there are tests and benchmarks beside the code of each set.
    tests: bool,
    /// Stems of the files for all tables, and those files.
    umbrellas: HashMap<String, String>,
    /// Which path a name belongs to.
    owners: HashMap<Mark, u32>,
    paths: Vec<Box<Path>>,
}

/// What a name is known by: half of a digest, which no two names share by chance.
type Mark = [u8; 16];

impl Claims {
    /// Nothing is taken but the names of the files for all tables.
    pub fn new(spec: &Spec) -> Claims {
        let files = languages(spec).flat_map(|language| umbrella::emit(language, &[], spec.split));
        let stem = |file: &str| file.split('.').next().unwrap_or_default().to_ascii_lowercase();
        Claims {
            tests: spec.tests,
            umbrellas: files.map(|file| (stem(&file.name), file.name)).collect(),
            owners: HashMap::new(),
            paths: Vec::new(),
        }
    }

    /// Takes a name for the outputs of a set: the one that [`of_path`] makes of its path. Upper and lower case
    /// count as one, as they do on some file systems.
    ///
    /// # Errors
    /// [`SetError::Clash`] when another set has the name; [`SetError::Taken`] when another file of the run has it;
    /// [`SetError::Beside`] when another set has that of a file beside this one's code. Nothing is taken then.
    ///
    /// # Panics
    /// After 2^32 names.
    pub fn claim(&mut self, path: &Path, name: &str) -> Result<(), SetError> {
        let lower = name.to_ascii_lowercase();
        let taken = |by: String| Err(SetError::Taken { path: path.to_owned(), by });
        if let Some(umbrella) = self.umbrellas.get(&lower) {
            return taken(format!("the file for all tables, {umbrella}"));
        }
        if let Some(first) = self.owner(&lower) {
            return Err(SetError::Clash(Clash {
                first: first.to_owned(),
                second: path.to_owned(),
                first_name: of_path(first).unwrap_or_else(|_| name.to_owned()),
                second_name: name.to_owned(),
            }));
        }
        if self.tests {
            if let Some(beside) = mains(&lower).find_map(|main| self.owner(main)) {
                return taken(format!("a file beside the code of {}", beside.display()));
            }
            if let Some(main) = beside(&lower).find_map(|name| self.owner(&name)) {
                // The other way round: the set came first whose name a file beside this one's code would have.
                return Err(SetError::Beside { path: path.to_owned(), by: main.to_owned() });
            }
        }
        let number = u32::try_from(self.paths.len()).expect("there are fewer than 2^32 sets");
        self.owners.insert(mark(&lower), number);
        self.paths.push(path.into());
        Ok(())
    }

    fn owner(&self, lower: &str) -> Option<&Path> {
        Some(&self.paths[*self.owners.get(&mark(lower))? as usize])
    }
}

fn mark(lower: &str) -> Mark {
    let digest = blake3::hash(lower.as_bytes());
    digest.as_bytes()[..16].try_into().expect("a digest has 32 bytes")
}

/// What stands beside a module, in each language's own way to name it: `x_test`, or `test_x`.
const PARTS: [&str; 3] = ["test", "bench", "keys"];

/// The names of the files beside the code of a set.
fn beside(name: &str) -> impl Iterator<Item = String> + '_ {
    PARTS.into_iter().flat_map(move |part| [format!("{name}_{part}"), format!("{part}_{name}")])
}

/// The sets that would have a file of this name beside their code.
fn mains(name: &str) -> impl Iterator<Item = &str> {
    PARTS.into_iter().flat_map(move |part| {
        let before = name.strip_suffix(part).and_then(|main| main.strip_suffix('_'));
        let after = name.strip_prefix(part).and_then(|main| main.strip_prefix('_'));
        [before, after].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ostia_emit::lang::Language;

    use super::*;
    use crate::spec::Output;

    /// Claims the names of files one after the other; says what is refused.
    fn refused(spec: &Spec, files: &[&str]) -> Vec<String> {
        let mut claims = Claims::new(spec);
        let claim = |file: &&str| {
            let path = Path::new(file);
            claims.claim(path, &of_path(path).unwrap()).err().map(|why| why.to_string())
        };
        files.iter().filter_map(claim).collect()
    }

    #[test]
    fn names_that_become_one_are_told_by_both_files() {
        assert_eq!(
            refused(
                &Spec::default(),
                &["a-b.keys", "a.b.keys", "c.keys", "A_b.txt", "x_test.keys", "x.keys"]
            ),
            [
                "a.b.keys and a-b.keys both become a_b; rename one of the files",
                "A_b.txt and a-b.keys become A_b and a_b, which some file systems take for one; rename one \
                 of the files",
            ]
        );
    }

    #[test]
    fn with_tests_the_names_beside_the_code_are_taken_too() {
        let spec = Spec { tests: true, ..Spec::default() };
        assert_eq!(
            refused(&spec, &["x.keys", "X_test.keys", "bench-x.keys", "x_test_2.keys", "x_tests.keys"]),
            [
                "X_test.keys: its outputs would have the name of a file beside the code of x.keys; rename the set",
                "bench-x.keys: its outputs would have the name of a file beside the code of x.keys; rename the set",
            ]
        );
        assert_eq!(
            refused(&spec, &["keys_y.csv", "y.csv", "z.csv"]),
            [
                "y.csv: a file beside its code would have the name of the outputs of keys_y.csv; rename one of the sets"
            ]
        );
        // What is refused has no name that could be in anyone's way.
        assert_eq!(refused(&spec, &["x.keys", "x_test.keys", "x_test_keys.keys"]).len(), 1);
    }

    #[test]
    fn the_files_for_all_tables_have_their_names_from_the_beginning() {
        let outputs = [Output::Source(Language::C)].into();
        let spec = Spec { outputs, ..Spec::default() };
        let umbrella = umbrella::emit(Language::C, &[], false).remove(0).name;
        let stem = umbrella.split('.').next().unwrap();
        let file = format!("{}.keys", stem.to_uppercase());
        assert_eq!(
            refused(&spec, &[&file]),
            [format!(
                "{file}: its outputs would have the name of the file for all tables, {umbrella}; rename the set"
            )]
        );
        assert_eq!(refused(&Spec::default(), &[&file]), [""; 0]);
    }

    #[test]
    fn many_names_take_little_memory() {
        let mut claims = Claims::new(&Spec { tests: true, ..Spec::default() });
        for i in 0..100_000 {
            let path = PathBuf::from(format!("some/folder/with/key-sets/HologramWorld-{i:06}.keys"));
            claims.claim(&path, &of_path(&path).unwrap()).unwrap();
        }
        // Std's table is of entries and one byte for each, at most 7 of 8 in use.
        let table = claims.owners.capacity() * 8 / 7 * (size_of::<(Mark, u32)>() + 1);
        // 16: what an allocator may add to each path.
        let paths: usize = claims.paths.iter().map(|path| path.as_os_str().len() + 16).sum();
        let bytes = table + paths + claims.paths.capacity() * size_of::<Box<Path>>();
        assert!(bytes < 20_000_000, "{bytes}");
    }
}
