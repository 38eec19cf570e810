//! External programs in place of the lab's own: checks whether a chapter can use the ones it names.

use chapter::Source;
use parts::Cast;

use super::directories::find_programs;
use super::plan::Plan;
use super::site::ADAPTER;
use crate::error::LabError;

/// Finds the external programs that a chapter names, and what they support.
pub async fn of(source: &Source, plan: &Plan) -> Result<Cast, LabError> {
    let cast = Cast::assemble(&source.chapter).await?;
    if !cast.is_own() && plan.deployment().backend.is_containers() {
        return Err(LabError::Usage(
            "--part, or `program` in a chapter: other programs stand in for the lab's own as processes, not in containers; leave --backend compose out"
                .into(),
        ));
    }
    if cast.wants_adapter() && !find_programs()?.join(ADAPTER).is_file() {
        return Err(LabError::NotReady(format!(
            "'{ADAPTER}', which speaks for other programs, is not beside labctl: build all of the lab with `cargo build --release`"
        )));
    }
    Ok(cast)
}
