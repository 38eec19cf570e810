//! `labctl claims`: judges the article's sentences by the newest results.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document, with_files};
use crate::claims::verdicts::Judged;
use crate::claims::{Evidence, Registry, Standing, verdicts};
use crate::report::{claims_text, junit};
use chapter::{library, suggest};
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE, LabError};

/// Selects the claims, and the outputs.
#[derive(Debug, Args)]
pub struct ClaimsArgs {
    /// Exit with 3 if something has not been measured yet, rather than only reporting it.
    #[arg(long)]
    all_measured: bool,

    /// Only these, separated by commas: a chapter (server-failure), part of a heading (cache), or a standing
    /// (flipped, inconclusive, not-measured, as-expected).
    #[arg(long, value_delimiter = ',', value_name = "WHICH")]
    only: Vec<String>,

    /// Write the verdicts as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Judges the article sentence by sentence, from the newest results of `labctl run all` and `labctl table`.
pub fn claims(args: &ClaimsArgs, common: &Common) -> Performed {
    if let Some(path) = &args.junit {
        junit::can_be_written(path)?;
    }
    let evidence = Evidence::gather(&common.site.runs_dir, library::names())?;
    let judged = chosen(verdicts::judge(&Registry::built_in(), &evidence), &args.only)?;
    let path = args.junit.as_deref();
    let written = path.map_or(Ok(()), |path| junit::write_claims(&judged, path).map_err(LabError::from));
    if common.json {
        say_document("claims", serde_json::json!({ "claims": judged }))?;
    } else {
        claims_text::lines(&judged).into_iter().for_each(say);
        evidence.passed_over.iter().for_each(|why| say(format!("Passed over: {why}.")));
        if judged.iter().any(|one| one.standing == Standing::NotMeasured) {
            say("To measure the rest: `labctl run all`, and `labctl table --quick`.");
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

/// Selects the requested sentences. A filter that matches none is reported as a mistake.
fn chosen(judged: Vec<Judged>, only: &[String]) -> Result<Vec<Judged>, LabError> {
    for wanted in only {
        if !judged.iter().any(|one| one.is_among(wanted)) {
            let known = library::names().chain(Standing::ALL.map(Standing::name));
            return Err(LabError::Usage(
                match Standing::ALL.iter().any(|standing| standing.name() == wanted) {
                    true => format!("no sentence is {wanted}"),
                    false => suggest::unknown("chapter, heading or standing", wanted, known),
                },
            ));
        }
    }
    let is_wanted = |one: &Judged| only.is_empty() || only.iter().any(|wanted| one.is_among(wanted));
    Ok(judged.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_chosen_by_chapter_heading_or_standing() {
        let all = verdicts::judge(&Registry::built_in(), &Evidence::default());
        let count = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(|word| (*word).to_owned()).collect();
            chosen(all.clone(), &only).map(|found| found.len())
        };
        let (everything, cache) = (count(&[]).unwrap(), count(&["cache"]).unwrap());
        assert!(0 < cache && cache < everything, "{cache} of {everything}");
        assert_eq!(count(&["not-measured"]).unwrap(), everything, "before any run");
        assert!(count(&["cache", "split"]).unwrap() > cache);
        assert!(count(&["flipped"]).unwrap_err().to_string().contains("no sentence is flipped"));
        assert!(count(&["server-failur"]).unwrap_err().to_string().contains("server-failure"));
    }
}
