//! What can be asked of a measured table: the words of an exhibit's expression. Pure.
#![deny(clippy::disallowed_methods)]

use crate::audit::Impact;
use crate::table::rows::{LadderRow, LadderTable, Says};

/// Every measure there is. The first thing that each is of is an architecture.
pub const NAMES: &[&str] = &[
    "ratio", "capacity", "cost", "points", "is_point", "down", "ok", "lost", "left", "recovery", "machines",
    "agrees",
];

/// The value of a measure. `None`: it was not measured.
///
/// `ratio` of capacity to the first row's, `capacity` and `left` in requests a second, `cost` in dollars,
/// `points(row[, path])` single points of failure, `is_point(row, part)` 1 when this is one,
/// `down(row, part, path)` 1 when some fault of the part takes the path down, `ok(row, part, path)` 1 when
/// none does anything to it, `lost(row, part, path)` what was lost of it, `recovery` in seconds,
/// `agrees(row, column)` 1 when the cell is as in the article.
pub fn measure(table: &LadderTable, name: &str, of: &[String]) -> Option<f64> {
    let row = table.row(of.first()?)?;
    match name {
        "ratio" => row.ratio.filter(|_| row.capacity.distrust.is_none()),
        "capacity" => Some(row.capacity.rate).filter(|_| row.capacity.distrust.is_none()),
        "cost" => Some(row.cost),
        "points" => match of.get(1) {
            None => Some(row.single_points.len() as f64),
            Some(path) => Some(row.single_points_of.get(path)?.len() as f64),
        },
        "is_point" => {
            let part = of.get(1)?;
            Some(truth(row.single_points.iter().any(|point| is_part(point, part))))
        }
        "down" => impacts(row, of.get(1)?, of.get(2)?)
            .map(|some| truth(some.iter().any(|one| one.down || one.partly_down))),
        "ok" => impacts(row, of.get(1)?, of.get(2)?)
            .map(|some| truth(some.iter().all(|one| one.class == crate::audit::Class::Ok))),
        "lost" => impacts(row, of.get(1)?, of.get(2)?)
            .map(|some| some.iter().map(|impact| impact.lost).sum::<usize>() as f64),
        "left" => Some(row.left.rate),
        "recovery" => row.recovery_seconds,
        "machines" => Some(row.machines as f64),
        "agrees" => {
            let column = row.cells.iter().find(|(column, _)| column.starts_with(of[1].as_str()))?.1;
            (column.says != Says::NotJudged).then(|| truth(column.says == Says::Confirmed))
        }
        _ => None,
    }
}

/// Whether a measure is of something in the table that should not be trusted.
pub fn is_doubted(table: &LadderTable, name: &str, of: &[String]) -> bool {
    let Some(row) = of.first().and_then(|architecture| table.row(architecture)) else { return false };
    match name {
        "cost" | "machines" => false,
        "capacity" => row.capacity.distrust.is_some(),
        // Without the first row there is nothing to divide by.
        "ratio" => row.capacity.distrust.is_some() || row.ratio.is_none(),
        "left" => row.left.distrust.is_some(),
        "agrees" => row.cells.iter().any(|(column, cell)| {
            of.get(1).is_some_and(|wanted| column.starts_with(wanted.as_str()))
                && cell.says == Says::NotJudged
        }),
        _ => row.distrust.is_some(),
    }
}

/// What killing, freezing or cutting a part did to a path. `None`: no fault of it was looked at.
fn impacts<'a>(row: &'a LadderRow, part: &str, path: &str) -> Option<Vec<&'a Impact>> {
    let faults = row.faults.iter().filter(|fault| is_part(&fault.component, part));
    let impacts: Vec<_> = faults.filter_map(|fault| fault.cells.get(path)).collect();
    (!impacts.is_empty()).then_some(impacts)
}

/// Whether a component is a part: itself, one of its kind, or by a role in it. In expressions a role is
/// written with a hyphen: `db-primary`.
fn is_part(component: &str, part: &str) -> bool {
    if component.contains(':') && component.replace(':', "-") == part {
        return true;
    }
    let rest = component.strip_prefix(part);
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with(':')
            || rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

fn truth(so: bool) -> f64 {
    f64::from(u8::from(so))
}

#[cfg(test)]
pub(crate) mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::audit::Class;
    use crate::audit::matrix::tests::impact;
    use crate::table::article::tests::measured;
    use crate::table::rows::{FaultRow, SCHEMA};

    pub(crate) fn table() -> LadderTable {
        let impact = |class, lost| impact(class, 1.0, lost);
        let fault = |component: &str, write: Impact| FaultRow {
            component: component.into(),
            fault: "killed".into(),
            cells: IndexMap::from([("write".to_owned(), write), ("login".to_owned(), impact(Class::Ok, 0))]),
        };
        let mut row = measured(6, 50.0, &["db:primary", "redis"], 2200.0);
        row.faults =
            vec![fault("db:primary", impact(Class::Outage, 4)), fault("web-1", impact(Class::Blip, 0))];
        LadderTable {
            schema: SCHEMA.into(),
            began: jiff::Timestamp::UNIX_EPOCH,
            seconds: 1.0,
            quick: true,
            whole: true,
            seed: 1,
            p99_ms: 100.0,
            rows: vec![row],
            variants: vec![],
        }
    }

    fn value(name: &str, of: &[&str]) -> Option<f64> {
        let of: Vec<_> = of.iter().map(|word| (*word).to_owned()).collect();
        measure(&table(), name, &of)
    }

    #[test]
    fn a_part_is_found_by_its_kind_or_its_role() {
        assert_eq!(value("is_point", &["row-6", "db"]), Some(1.0));
        assert_eq!(value("is_point", &["row-6", "red"]), Some(0.0));
        assert_eq!(value("down", &["row-6", "db", "write"]), Some(1.0));
        assert_eq!(value("down", &["row-6", "db-primary", "write"]), Some(1.0));
        assert_eq!(value("down", &["row-6", "db-replica", "write"]), None);
        assert_eq!(value("down", &["row-6", "web", "write"]), Some(0.0));
        assert_eq!(value("ok", &["row-6", "db", "login"]), Some(1.0));
        assert_eq!(value("lost", &["row-6", "db", "write"]), Some(4.0));
    }

    #[test]
    fn what_is_not_to_be_trusted_is_doubted_where_it_is_asked_for() {
        let mut table = table();
        table.rows[0].distrust = Some("the load generator was late".into());
        let doubted = |name: &str, of: &[&str]| {
            let of: Vec<_> = of.iter().map(|word| (*word).to_owned()).collect();
            is_doubted(&table, name, &of)
        };
        assert!(doubted("points", &["row-6"]) && doubted("down", &["row-6", "db", "write"]));
        assert!(!doubted("capacity", &["row-6"]) && !doubted("cost", &["row-6"]));
        assert!(!doubted("points", &["row-9"]));
    }

    #[test]
    fn what_was_not_looked_at_has_no_value() {
        assert_eq!(value("down", &["row-6", "lb", "write"]), None);
        assert_eq!(value("ratio", &["row-9"]), None);
    }
}
