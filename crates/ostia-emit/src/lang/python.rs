use super::{Artifact, EmitError, Request};

pub(super) fn emit(_: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    Ok(Vec::new())
}
