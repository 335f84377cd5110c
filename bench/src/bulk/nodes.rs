//! A machine that pretends to have two nodes, beside the same with one.

use serde_json::Value;

use super::{
    WALL, figures,
    program::{ENGINES, Ostia, Work},
    sets,
};
use crate::{
    arguments::Asked,
    gate::{Gates, Limit},
    harness::contest::Contest,
};

/// What runs against what, by the shape of the machine.
const SHAPES: [(&str, &str); 2] = [("one node", "1x2"), ("two nodes", "2x1")];

/// The runtime on one node and on two of as many CPUs together.
pub(super) fn compare(
    asked: &Asked,
    rounds: usize,
    ostia: &mut Ostia,
    gates: &mut Gates,
) -> Result<Value, String> {
    if !asked.wants_cell("nodes") {
        return Ok(Value::Null);
    }
    let work = Work { dir: sets::corpus(&ostia.folder)?, sets: sets::CORPUS, options: &["--no-file-io"] };
    let engines = ENGINES.into_iter().filter(|engine| engine.starts_with("runtime"));
    let engines: Vec<&str> = engines.collect();
    let cases: Vec<String> = engines.iter().map(|engine| format!("corpus-13637, {engine}")).collect();
    let programs = SHAPES.map(|(name, _)| name).to_vec();
    let contest = Contest::hold(rounds, &super::COLUMNS, &cases, programs, |case, name| {
        let shape = SHAPES.iter().find(|(known, _)| *known == name).map_or("", |(_, shape)| shape);
        Ok(figures(ostia.run(engines[case], &work, &["--topology", shape])?, work.sets))
    });
    contest.print("Nodes", &["one node"]);
    gates.failed(contest.failures());
    for (case, engine) in engines.iter().enumerate() {
        let of = |name| contest.rounds(case, name, WALL);
        if let (Some(one), Some(two)) = (of("one node"), of("two nodes")) {
            let what = format!("wall of two nodes over that of one, {engine}");
            gates.all(what, &two.over(one), Limit::AtMost(1.10), None);
        }
    }
    Ok(contest.json(&["one node"]))
}
