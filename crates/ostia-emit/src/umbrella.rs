use crate::lang::{Artifact, Language};
pub fn emit(_l: Language, _n: &[&str], _s: bool) -> Vec<Artifact> {
    Vec::new()
}
