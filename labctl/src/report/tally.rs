//! Counts claims by outcome. Failed, not judged and refuted as expected are separate outcomes.
#![deny(clippy::disallowed_methods)]

use crate::runner::{ClaimResult, Verdict};

/// Returns the number of claims per outcome, with its name; outcomes without claims are omitted.
pub fn tally(claims: &[ClaimResult]) -> Vec<(usize, &'static str)> {
    let count = |is_one: &dyn Fn(&ClaimResult) -> bool| claims.iter().filter(|claim| is_one(claim)).count();
    let counts = [
        (count(&|claim| claim.verdict == Verdict::Holds && !claim.is_refuted_as_expected()), "confirmed"),
        (count(&ClaimResult::is_refuted_as_expected), "refuted as expected"),
        (count(&|claim| claim.verdict == Verdict::Fails), "failed"),
        (count(&|claim| claim.verdict == Verdict::Inconclusive), "not judged"),
        (count(&|claim| claim.verdict == Verdict::Skipped), "skipped"),
    ];
    counts.into_iter().filter(|(count, _)| *count > 0).collect()
}

/// Formats the counts as a line: `26 confirmed, 1 refuted as expected, 2 not judged`.
pub fn in_a_line(claims: &[ClaimResult]) -> String {
    let parts = tally(claims).into_iter().map(|(count, words)| format!("{count} {words}"));
    let line = parts.collect::<Vec<_>>().join(", ");
    if line.is_empty() { "no claims".into() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_and_what_was_not_judged_are_told_apart() {
        let claim = |expected: &str, verdict: &str| -> ClaimResult {
            let text = format!(
                r#"{{"step":"s","claim":"c","id":null,"article":null,"measure":"m","measured":1.0,
                "bound":{{"low":0.0}},"unit":"","expected":"{expected}","verdict":"{verdict}","because":null}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let claims = [
            claim("confirm", "holds"),
            claim("refute", "holds"),
            claim("confirm", "fails"),
            claim("confirm", "inconclusive"),
            claim("confirm", "inconclusive"),
        ];
        assert_eq!(in_a_line(&claims), "1 confirmed, 1 refuted as expected, 1 failed, 2 not judged");
        assert_eq!(in_a_line(&claims[..1]), "1 confirmed");
        assert_eq!(in_a_line(&[]), "no claims");
    }
}
