//! `labctl claims`

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document, with_files};
use crate::claims::{Evidence, Registry, Standing, verdicts};
use crate::report::{claims_text, junit};
use chapter::library;
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE, LabError};

/// Which claims, and what for.
#[derive(Debug, Args)]
pub struct ClaimsArgs {
    /// Exit with 3 when something was not measured yet, rather than only say so.
    #[arg(long)]
    all_measured: bool,

    /// Write the verdicts as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Judges the article, sentence by sentence, by the newest results: of `labctl run all`, and of `labctl
/// table`.
pub fn claims(args: &ClaimsArgs, common: &Common) -> Performed {
    if let Some(path) = &args.junit {
        junit::can_be_written(path)?;
    }
    let evidence = Evidence::gather(&common.site.runs_dir, library::names())?;
    let judged = verdicts::judge(&Registry::built_in(), &evidence);
    let path = args.junit.as_deref();
    let written = path.map_or(Ok(()), |path| junit::write_claims(&judged, path).map_err(LabError::from));
    if common.json {
        say_document("claims", serde_json::json!({ "claims": judged }))?;
    } else {
        claims_text::lines(&judged).into_iter().for_each(say);
        evidence.passed_over.iter().for_each(|why| say(format!("Passed over: {why}.")));
        if judged.iter().any(|one| one.standing == Standing::NotMeasured) {
            say("To measure what was not: `labctl run all`, and `labctl table --quick`.");
        }
    }
    let code = match verdicts::worst(&judged) {
        Standing::Flipped => EXIT_FAILED,
        Standing::Inconclusive => EXIT_INCONCLUSIVE,
        Standing::NotMeasured if args.all_measured => EXIT_INCONCLUSIVE,
        Standing::NotMeasured | Standing::AsExpected => 0,
    };
    with_files(code, written)
}
