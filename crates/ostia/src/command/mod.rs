//! The commands, one file each.

mod bench;
mod bulk;
mod create;
mod inspect;
mod lookup;
mod results;
mod verify;

use std::{io::Write, ops::Deref, path::Path};

use clap::CommandFactory;
use ostia_emit::file;
use ostia_forge::{input::read_bytes, row::Row};
use ostia_hash::table::Table;
use ostia_os::map::Map;

use crate::{
    args::{Args, Command},
    exit::Ended,
};

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Ended> {
    match &args.command {
        Command::Create(args) => create::run(args),
        Command::BulkCreate(args) => bulk::run(args),
        Command::Results(args) => results::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Lookup(args) => lookup::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "ostia", &mut out);
            Ok(std::io::stdout().write_all(&out)?)
        }
        Command::Man => {
            let mut out = Vec::new();
            man(Args::command(), "ostia".into(), &mut out)?;
            Ok(std::io::stdout().write_all(&out)?)
        }
    }
}

/// The page of the program, then those of its commands.
fn man(command: clap::Command, name: String, out: &mut Vec<u8>) -> std::io::Result<()> {
    let command = command.display_name(&name).name(name.clone());
    clap_mangen::Man::new(command.clone()).render(out)?;
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        man(sub.clone(), format!("{name}-{}", sub.get_name()), out)?;
    }
    Ok(())
}

/// The bytes of a table's file.
///
/// Mapped, since a table that was stored is complete, and replaced rather than written to; so one lookup in a large
/// table needs no second copy of it. What cannot be mapped, such as a pipe, is read; and reading says why, if that
/// is not possible either.
fn table_bytes(path: &Path) -> Result<Box<dyn Deref<Target = [u8]>>, Ended> {
    if path != Path::new("-")
        && let Ok(map) = Map::open(path)
    {
        return Ok(Box::new(map));
    }
    Ok(Box::new(read_bytes(path).map_err(Ended::failed)?))
}

/// The table in a file's bytes.
fn table<'b>(path: &Path, bytes: &'b [u8]) -> Result<Table<'b>, Ended> {
    file::read(bytes).map_err(|why| Ended::failed(format_args!("{}: {why}", path.display())))
}

/// A row, for machines.
fn json_row(row: &Row) -> String {
    serde_json::to_string(row).expect("a row is plain data")
}
