//! The tables, and how rows lie in them.

use std::{borrow::Cow, path::Path};

use rusqlite::{
    Connection, OptionalExtension, Row as SqlRow,
    types::{FromSql, Value},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Entry, JournalError, Known, OutputFile, Recorded, RunId, Trouble, path, path::key};
use crate::{
    digest::Digest,
    row::{Outcome, Row, TableRow},
};

/// What the file's header says of who has made it: `OSTJ`.
pub(super) const APPLICATION: i64 = 0x4F53_544A;

/// The version of these tables.
pub(super) const VERSION: i64 = 1;

/// All tables. `STRICT`: a value of another type than its column's is refused as it is written.
const TABLES: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY, begun_ms INTEGER NOT NULL, ended_ms INTEGER, how TEXT NOT NULL, version TEXT NOT NULL,
    job TEXT NOT NULL, threads INTEGER NOT NULL, nodes INTEGER NOT NULL, found INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, stopped INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE set_row (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, path ANY NOT NULL, run INTEGER NOT NULL,
    outcome TEXT NOT NULL, error TEXT, content BLOB, options BLOB NOT NULL, bytes_in INTEGER, node INTEGER,
    attempts INTEGER NOT NULL, collisions INTEGER NOT NULL, cycles INTEGER NOT NULL, read_us INTEGER NOT NULL,
    solve_us INTEGER NOT NULL, render_us INTEGER NOT NULL, store_us INTEGER NOT NULL,
    name TEXT, keys INTEGER, key_type TEXT, kind TEXT, function TEXT, seeds TEXT, attempt INTEGER, range INTEGER,
    ordered INTEGER, foreign_keys TEXT, bytes INTEGER, cells INTEGER, why TEXT, bests TEXT, coverage TEXT
) STRICT;
CREATE TABLE output (
    set_row INTEGER NOT NULL, name TEXT NOT NULL, len INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (set_row, name)
) STRICT, WITHOUT ROWID;
";

/// The columns of a set's row but its id, in the order of [`values`] and of [`recorded`].
pub(super) const COLUMNS: [&str; 31] = [
    "key",
    "path",
    "run",
    "outcome",
    "error",
    "content",
    "options",
    "bytes_in",
    "node",
    "attempts",
    "collisions",
    "cycles",
    "read_us",
    "solve_us",
    "render_us",
    "store_us",
    // From here on all are null when there is no table.
    "name",
    "keys",
    "key_type",
    "kind",
    "function",
    "seeds",
    "attempt",
    "range",
    "ordered",
    "foreign_keys",
    "bytes",
    "cells",
    "why",
    "bests",
    "coverage",
];

/// What a file's header says that it is.
pub(super) enum Kind {
    /// Nothing is in it yet.
    Empty,
    /// A journal of this version.
    Ours,
}

/// Looks at the header. Reads of the file, and so tells a database from something else.
pub(super) fn kind(connection: &Connection, file: &Path) -> Result<Kind, JournalError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|why| JournalError::of_sqlite(file, &why))
    };
    let trouble = match (number("application_id")?, number("user_version")?) {
        (APPLICATION, VERSION) => return Ok(Kind::Ours),
        (APPLICATION, version) if version > VERSION => Trouble::Newer(version),
        (APPLICATION, version) => Trouble::Damaged(format!("its version is {version}")),
        (0, 0) => {
            let tables = connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
                .map_err(|why| JournalError::of_sqlite(file, &why))?;
            if tables == 0 {
                return Ok(Kind::Empty);
            }
            Trouble::Foreign
        }
        _ => Trouble::Foreign,
    };
    Err(JournalError::new(file, trouble))
}

/// Makes the tables: all or none.
pub(super) fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// SQLite's integers are signed; a number of 64 bits keeps its bits.
pub(super) fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

/// The values of a set's row.
pub(super) fn values(run: RunId, entry: &Entry) -> [Value; COLUMNS.len()] {
    let Entry { row, content, options, outputs: _ } = entry;
    let text = |text: &str| Value::Text(text.to_owned());
    let digest = |digest: &Digest| Value::Blob(digest.0.to_vec());
    let table = row.table.as_ref();
    let of_table = |value: fn(&TableRow) -> Value| table.map_or(Value::Null, value);
    [
        Value::Blob(path::key(&row.path)),
        path::stored(&row.path),
        Value::Integer(run.0),
        text(row.outcome.name()),
        row.error.as_deref().map_or(Value::Null, text),
        content.as_ref().map_or(Value::Null, digest),
        digest(options),
        row.bytes_in.map_or(Value::Null, integer),
        row.node.map_or(Value::Null, |node| Value::Integer(node.into())),
        integer(row.attempts),
        integer(row.collisions),
        integer(row.cycles),
        integer(row.read_us),
        integer(row.solve_us),
        integer(row.render_us),
        integer(row.store_us),
        of_table(|t| Value::Text(t.name.clone())),
        of_table(|t| integer(t.keys as u64)),
        of_table(|t| Value::Text(t.key_type.to_string())),
        of_table(|t| Value::Text(t.kind.to_string())),
        of_table(|t| Value::Text(t.function.to_string())),
        of_table(|t| json(&t.seeds)),
        of_table(|t| integer(t.attempt)),
        of_table(|t| Value::Integer(t.range.into())),
        of_table(|t| Value::Integer(t.ordered.into())),
        of_table(|t| Value::Text(t.foreign.clone())),
        of_table(|t| integer(t.bytes as u64)),
        of_table(|t| integer(t.cells as u64)),
        of_table(|t| Value::Text(t.why.clone())),
        of_table(|t| json(&t.bests)),
        of_table(|t| t.coverage.as_ref().map_or(Value::Null, json)),
    ]
}

fn json<T: Serialize>(value: &T) -> Value {
    Value::Text(serde_json::to_string(value).expect("a row is plain data"))
}

/// Takes the columns of a row one after another.
pub(super) struct Columns<'r, 's> {
    row: &'r SqlRow<'s>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn of(row: &'r SqlRow<'s>) -> Self {
        Columns { row, next: 0 }
    }

    pub(super) fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    pub(super) fn number(&mut self) -> rusqlite::Result<u64> {
        self.take().map(i64::cast_unsigned)
    }

    pub(super) fn digest(&mut self) -> rusqlite::Result<Digest> {
        self.take().map(Digest)
    }

    /// A value that has a name.
    pub(super) fn named<T>(&mut self, of: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
        let name: String = self.take()?;
        of(&name).ok_or_else(|| self.refused(format!("{name:?} is no value of this column")))
    }

    fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|why| self.refused(why))
    }

    /// An error about the column that was taken last.
    fn refused(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(self.next - 1, kind, why.into())
    }
}

/// The entry of a set's row, without its outputs.
pub(super) fn recorded(mut columns: Columns<'_, '_>) -> rusqlite::Result<Recorded> {
    let c = &mut columns;
    let _key: Vec<u8> = c.take()?;
    let stored: Value = c.take()?;
    let path = path::restored(stored).ok_or_else(|| c.refused("a path is text or bytes"))?;
    let run = RunId(c.take()?);
    let outcome = c.named(Outcome::from_name)?;
    let error = c.take()?;
    let content = c.take::<Option<[u8; 32]>>()?.map(Digest);
    let options = c.digest()?;
    // In the order of the columns: a struct's fields are evaluated as they are written.
    let mut row = Row {
        path,
        outcome,
        error,
        table: None,
        bytes_in: c.take::<Option<i64>>()?.map(i64::cast_unsigned),
        node: c.take()?,
        attempts: c.number()?,
        collisions: c.number()?,
        cycles: c.number()?,
        read_us: c.number()?,
        solve_us: c.number()?,
        render_us: c.number()?,
        store_us: c.number()?,
        files: Vec::new(),
    };
    if let Some(name) = c.take()? {
        row.table = Some(TableRow {
            name,
            keys: c.number()? as usize,
            key_type: Cow::Owned(c.take()?),
            kind: Cow::Owned(c.take()?),
            function: Cow::Owned(c.take()?),
            seeds: c.json()?,
            attempt: c.number()?,
            range: c.take()?,
            ordered: c.take()?,
            foreign: c.take()?,
            bytes: c.number()? as usize,
            cells: c.number()? as usize,
            why: c.take()?,
            bests: c.json()?,
            coverage: match c.take::<Option<String>>()? {
                Some(text) => Some(serde_json::from_str(&text).map_err(|why| c.refused(why))?),
                None => None,
            },
        });
    }
    Ok(Recorded { run, entry: Entry { row, content, options, outputs: Vec::new() } })
}

/// The outputs of a set, in the order of their names.
pub(super) const OUTPUTS: &str = "SELECT name, len, digest FROM output WHERE set_row = ?1 ORDER BY name";

/// Runs [`OUTPUTS`].
pub(super) fn outputs(
    statement: &mut rusqlite::Statement<'_>,
    set_row: i64,
) -> rusqlite::Result<Vec<OutputFile>> {
    let file = |row: &SqlRow<'_>| {
        let mut columns = Columns::of(row);
        Ok(OutputFile { name: columns.take()?, len: columns.number()?, digest: columns.digest()? })
    };
    statement.query_map([set_row], file)?.collect()
}

/// What is known of sets, in their order.
pub(super) fn known_of(
    connection: &Connection,
    paths: &[impl AsRef<Path>],
) -> rusqlite::Result<Vec<Option<Known>>> {
    let mut row =
        connection.prepare("SELECT id, outcome, name, keys, content, options FROM set_row WHERE key = ?1")?;
    let mut files = connection.prepare(OUTPUTS)?;
    let mut known_of = |path: &Path| {
        let found = row.query_row([key(path)], |row| {
            let mut columns = Columns::of(row);
            let id = columns.take::<i64>()?;
            let known = Known {
                outcome: columns.named(Outcome::from_name)?,
                name: columns.take()?,
                keys: columns.take::<Option<i64>>()?.map(i64::cast_unsigned),
                content: columns.take::<Option<[u8; 32]>>()?.map(crate::digest::Digest),
                options: columns.digest()?,
                outputs: Vec::new(),
            };
            Ok((id, known))
        });
        let Some((id, known)) = found.optional()? else { return Ok(None) };
        Ok(Some(Known { outputs: outputs(&mut files, id)?, ..known }))
    };
    paths.iter().map(|path| known_of(path.as_ref())).collect()
}

/// The identifiers of all sets that are done and have an output of that name and extension, sorted.
pub(super) fn tables(connection: &Connection, extension: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT DISTINCT set_row.name FROM set_row JOIN output ON output.set_row = set_row.id \
         WHERE set_row.outcome = 'done' AND output.name = set_row.name || '.' || ?1 ORDER BY set_row.name",
    )?;
    statement.query_map([extension], |row| row.get(0))?.collect()
}
