//! Chooses the cheapest measured architecture that meets given needs: the article's own closing advice. Pure.
#![deny(clippy::disallowed_methods)]

use super::rows::{MeasuredTable, TableRow};

/// The requirements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needs {
    /// Requests per second.
    pub rps: f64,
    /// Upper bound of the 99th percentile of latency, in milliseconds.
    pub p99_ms: f64,
    /// Number of simultaneous failures that must neither take it down nor lose anything.
    pub survive: u32,
}

impl Needs {
    /// Checks whether a table can answer the question.
    pub fn check(&self) -> Result<(), String> {
        match self.survive {
            0 | 1 => Ok(()),
            _ => Err("only single failures were looked at: give --survive 0 or 1, and see `labctl audit --depth 2`"
                .into()),
        }
    }
}

/// The advice.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The chosen architecture, if any qualifies.
    pub chosen: Option<String>,
    /// The objection to each of the others, by name, in the table's order.
    pub rejected: Vec<(String, String)>,
}

/// Chooses an architecture. The error says why no advice is possible.
pub fn advise(table: &MeasuredTable, needs: &Needs) -> Result<Advice, String> {
    if needs.p99_ms < table.p99_ms {
        return Err(format!(
            "the capacities were measured for answers within {:.0} ms, and say nothing of {:.0} ms: measure again with `labctl table --p99 {:.0}ms`",
            table.p99_ms, needs.p99_ms, needs.p99_ms
        ));
    }
    needs.check()?;
    let mut rejected = Vec::new();
    let mut fit: Vec<&TableRow> = Vec::new();
    for row in &table.rows {
        match objection(row, needs) {
            Some(objection) => rejected.push((row.name.clone(), objection)),
            None => fit.push(row),
        }
    }
    // Of two with the same cost, the one with fewer parts comes first in the table.
    let mut cheapest: Option<&TableRow> = None;
    for row in fit.iter().copied() {
        if cheapest.is_none_or(|best| row.cost < best.cost) {
            cheapest = Some(row);
        }
    }
    if let Some(best) = cheapest {
        let dearer = fit.iter().filter(|row| row.name != best.name);
        let dearer = dearer.map(|row| (row.name.clone(), format!("would do, for ${:.0} a month", row.cost)));
        rejected.extend(dearer);
    }
    Ok(Advice { chosen: cheapest.map(|row| row.name.clone()), rejected })
}

/// Returns the objection to a row, if there is one.
fn objection(row: &TableRow, needs: &Needs) -> Option<String> {
    if let Some(reason) = &row.capacity.distrust {
        return Some(format!("its capacity is not known: {reason}"));
    }
    if let Some(reason) = row.any_distrust().filter(|_| needs.survive > 0) {
        return Some(format!("what it survives is not known: {reason}"));
    }
    // The highest rate that met the objective, not the middle of an interval.
    let good = row.capacity.low.unwrap_or(0.0);
    if good < needs.rps {
        return Some(format!("sustains {good:.0} requests a second"));
    }
    if needs.survive == 0 {
        return None;
    }
    if !row.single_points.is_empty() {
        return Some(format!("goes down with {}", row.single_points.join(", or ")));
    }
    if row.lost_writes + row.lost_sessions > 0 {
        return Some(format!(
            "lost {} acknowledged writes and {} sessions to some failure",
            row.lost_writes, row.lost_sessions
        ));
    }
    let left = row.left.rate;
    (left < needs.rps).then(|| format!("sustains {left:.0} requests a second without {}", row.left.without))
}

#[cfg(test)]
mod tests {
    use super::super::article::tests::measured;
    use super::super::rows::{ResidualCapacity, SCHEMA};
    use super::*;

    fn table() -> MeasuredTable {
        let left = ResidualCapacity { rate: 1500.0, without: "web-1".into(), distrust: None };
        let rows = vec![
            measured(1, 1.0, &["app"], 200.0),
            measured(3, 10.0, &["lb", "db"], 1400.0),
            TableRow { left: left.clone(), lost_writes: 3, ..measured(6, 50.0, &[], 2200.0) },
            TableRow { left, ..measured(7, 50.0, &[], 2460.0) },
        ];
        MeasuredTable {
            schema: SCHEMA.into(),
            began: jiff::Timestamp::UNIX_EPOCH,
            seconds: 1.0,
            quick: true,
            whole: true,
            seed: 1,
            p99_ms: 200.0,
            rows,
            variants: vec![],
        }
    }

    fn chosen(rps: f64, survive: u32) -> Option<String> {
        advise(&table(), &Needs { rps, p99_ms: 250.0, survive }).unwrap().chosen
    }

    #[test]
    fn the_simplest_that_bears_the_traffic_is_chosen() {
        assert_eq!(chosen(30.0, 0).as_deref(), Some("row-1"));
        assert_eq!(chosen(300.0, 0).as_deref(), Some("row-3"));
        assert_eq!(chosen(9000.0, 0), None);
    }

    #[test]
    fn who_has_to_survive_a_failure_pays_for_it() {
        assert_eq!(chosen(30.0, 1).as_deref(), Some("row-7"));
        assert_eq!(chosen(1900.0, 1), None, "it has to bear that after the failure, too");
    }

    #[test]
    fn every_other_one_is_told_why_not() {
        let advice = advise(&table(), &Needs { rps: 30.0, p99_ms: 200.0, survive: 1 }).unwrap();
        let why = |name| &advice.rejected.iter().find(|(row, _)| row == name).unwrap().1;
        assert_eq!(why("row-3"), "goes down with lb, or db");
        assert_eq!(why("row-6"), "lost 3 acknowledged writes and 0 sessions to some failure");
    }

    #[test]
    fn what_was_not_measured_is_not_advised_on() {
        let error = advise(&table(), &Needs { rps: 1.0, p99_ms: 50.0, survive: 0 }).unwrap_err();
        assert!(error.contains("measure again with `labctl table --p99 50ms`"), "{error}");
        assert!(advise(&table(), &Needs { rps: 1.0, p99_ms: 200.0, survive: 2 }).is_err());
    }
}
