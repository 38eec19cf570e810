//! `labctl validate FILE`

use std::path::PathBuf;

use clap::Args;

use super::{Performed, say};
use crate::cli::Common;
use chapter::Source;

/// Which files.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Chapter files, or names of built-in chapters.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks chapter files; the first that is wrong ends it.
pub fn validate(args: &ValidateArgs, common: &Common) -> Performed {
    for file in &args.files {
        let source = Source::open(&file.to_string_lossy(), &[])?;
        let claims: usize = source.chapter.step.iter().map(|step| step.expect.len()).sum();
        if !common.json {
            say(format!(
                "{}: {} steps, {claims} claims, all in order",
                file.display(),
                source.chapter.step.len()
            ));
        }
    }
    Ok(0)
}
