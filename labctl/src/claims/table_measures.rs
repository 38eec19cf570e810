//! The measures of a table that an exhibit's expression can use. Pure.
#![deny(clippy::disallowed_methods)]

use crate::audit::Impact;
use crate::table::rows::{MeasuredTable, Says, TableRow};
use chapter::expression::Vocabulary;
use chapter::kind;

/// A measure of a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableMeasure {
    /// Capacity as a multiple of the first row's.
    Ratio,
    /// Capacity in requests per second.
    Capacity,
    /// Cost in dollars per month.
    Cost,
    /// Number of single points of failure, optionally of one path.
    Points,
    /// 1 if this component is a single point of failure.
    IsPoint,
    /// 1 if some fault of this component takes this path down.
    Down,
    /// 1 if no fault of this component affects this path.
    Ok,
    /// Number of losses on this path due to faults of this component.
    Lost,
    /// Capacity without its weakest component, in requests per second.
    Left,
    /// Longest recovery in seconds.
    Recovery,
    /// Number of machines.
    Machines,
    /// 1 if the cell in this column agrees with the article.
    Agrees,
}

impl TableMeasure {
    /// All measures.
    const ALL: [Self; 12] = [
        Self::Ratio,
        Self::Capacity,
        Self::Cost,
        Self::Points,
        Self::IsPoint,
        Self::Down,
        Self::Ok,
        Self::Lost,
        Self::Left,
        Self::Recovery,
        Self::Machines,
        Self::Agrees,
    ];

    /// Returns its name, and the minimum and maximum number of arguments, including the row.
    fn signature(self) -> (&'static str, usize, usize) {
        match self {
            Self::Ratio => ("ratio", 1, 1),
            Self::Capacity => ("capacity", 1, 1),
            Self::Cost => ("cost", 1, 1),
            Self::Points => ("points", 1, 2),
            Self::IsPoint => ("is_point", 2, 2),
            Self::Down => ("down", 3, 3),
            Self::Ok => ("ok", 3, 3),
            Self::Lost => ("lost", 3, 3),
            Self::Left => ("left", 1, 1),
            Self::Recovery => ("recovery", 1, 1),
            Self::Machines => ("machines", 1, 1),
            Self::Agrees => ("agrees", 2, 2),
        }
    }
}

/// A measure of the table with its arguments; the first is an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCall {
    measure: TableMeasure,
    of: Vec<String>,
}

impl Vocabulary for TableCall {
    fn understand(name: &str, of: Vec<String>) -> Result<Self, String> {
        let mut known = TableMeasure::ALL.into_iter();
        let measure = known.find(|measure| measure.signature().0 == name);
        let measure = measure.ok_or_else(|| format!("the table has no measure '{name}'"))?;
        let (_, least, most) = measure.signature();
        if of.len() < least || of.len() > most {
            return Err(format!("'{name}' is of {least} to {most} things, not of ({})", of.join(", ")));
        }
        Ok(Self { measure, of })
    }
}

impl std::fmt::Display for TableCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}({})", self.measure.signature().0, self.of.join(", "))
    }
}

impl TableCall {
    /// Returns the architecture.
    pub fn architecture(&self) -> &str {
        &self.of[0]
    }

    /// Evaluates the measure. `None` if it was not measured.
    pub fn value(&self, table: &MeasuredTable) -> Option<f64> {
        let Self { measure, of } = self;
        let row = table.row(of.first()?)?;
        match measure {
            TableMeasure::Ratio => row.ratio.filter(|_| row.capacity.distrust.is_none()),
            TableMeasure::Capacity => Some(row.capacity.rate).filter(|_| row.capacity.distrust.is_none()),
            TableMeasure::Cost => Some(row.cost),
            TableMeasure::Points => match of.get(1) {
                None => Some(row.single_points.len() as f64),
                Some(path) => Some(row.single_points_of.get(path)?.len() as f64),
            },
            TableMeasure::IsPoint => {
                let part = of.get(1)?;
                Some(truth(row.single_points.iter().any(|point| is_part(point, part))))
            }
            TableMeasure::Down => impacts(row, of.get(1)?, of.get(2)?)
                .map(|some| truth(some.iter().any(|one| one.down || one.partly_down))),
            TableMeasure::Ok => impacts(row, of.get(1)?, of.get(2)?)
                .map(|some| truth(some.iter().all(|one| one.class == crate::audit::Class::Ok))),
            TableMeasure::Lost => impacts(row, of.get(1)?, of.get(2)?)
                .map(|some| some.iter().map(|impact| impact.lost).sum::<usize>() as f64),
            TableMeasure::Left => Some(row.left.rate),
            TableMeasure::Recovery => row.recovery_seconds,
            TableMeasure::Machines => Some(row.machines as f64),
            TableMeasure::Agrees => {
                let wanted = of.get(1)?.as_str();
                let cell = row.cells.iter().find(|(column, _)| column.starts_with(wanted))?.1;
                (cell.says != Says::NotJudged).then(|| truth(cell.says == Says::Confirmed))
            }
        }
    }

    /// Returns whether the measure rests on unreliable results.
    pub fn is_doubted(&self, table: &MeasuredTable) -> bool {
        let Self { measure, of } = self;
        let Some(row) = of.first().and_then(|architecture| table.row(architecture)) else { return false };
        match measure {
            TableMeasure::Cost | TableMeasure::Machines => false,
            TableMeasure::Capacity => row.capacity.distrust.is_some(),
            // Without the first row there is no divisor.
            TableMeasure::Ratio => row.capacity.distrust.is_some() || row.ratio.is_none(),
            TableMeasure::Left => row.left.distrust.is_some(),
            TableMeasure::Agrees => row.cells.iter().any(|(column, cell)| {
                of.get(1).is_some_and(|wanted| column.starts_with(wanted.as_str()))
                    && cell.says == Says::NotJudged
            }),
            TableMeasure::Points
            | TableMeasure::IsPoint
            | TableMeasure::Down
            | TableMeasure::Ok
            | TableMeasure::Lost
            | TableMeasure::Recovery => row.distrust.is_some(),
        }
    }
}

/// Returns the impacts of a component's faults on a path. `None` if no such fault was tested.
fn impacts<'a>(row: &'a TableRow, part: &str, path: &str) -> Option<Vec<&'a Impact>> {
    let faults = row.faults.iter().filter(|fault| is_part(&fault.component, part));
    let impacts: Vec<_> = faults.filter_map(|fault| fault.cells.get(path)).collect();
    (!impacts.is_empty()).then_some(impacts)
}

/// Returns whether a component matches a name: exactly, as one of that kind, or by a role in it. In
/// expressions a role is written with a hyphen: `db-primary`.
fn is_part(component: &str, part: &str) -> bool {
    if component.contains(':') && component.replace(':', "-") == part {
        return true;
    }
    let of_role = component.split_once(':').map(|(kind, _)| kind);
    of_role == Some(part) || kind::is_of(component, part)
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

    pub(crate) fn table() -> MeasuredTable {
        let impact = |class, lost| impact(class, 1.0, lost);
        let fault = |component: &str, write: Impact| FaultRow {
            component: component.into(),
            fault: "killed".into(),
            cells: IndexMap::from([("write".to_owned(), write), ("login".to_owned(), impact(Class::Ok, 0))]),
        };
        let mut row = measured(6, 50.0, &["db:primary", "redis"], 2200.0);
        row.faults =
            vec![fault("db:primary", impact(Class::Outage, 4)), fault("web-1", impact(Class::Blip, 0))];
        MeasuredTable {
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

    fn call(name: &str, of: &[&str]) -> TableCall {
        TableCall::understand(name, of.iter().map(|word| (*word).to_owned()).collect()).unwrap()
    }

    fn value(name: &str, of: &[&str]) -> Option<f64> {
        call(name, of).value(&table())
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
        let doubted = |name: &str, of: &[&str]| call(name, of).is_doubted(&table);
        assert!(doubted("points", &["row-6"]) && doubted("down", &["row-6", "db", "write"]));
        assert!(!doubted("capacity", &["row-6"]) && !doubted("cost", &["row-6"]));
        assert!(!doubted("points", &["row-9"]));
    }

    #[test]
    fn what_there_is_none_of_is_refused() {
        assert!(TableCall::understand("rotio", vec!["row-6".into()]).is_err());
        assert!(TableCall::understand("agrees", vec!["row-6".into()]).is_err());
    }

    #[test]
    fn what_was_not_looked_at_has_no_value() {
        assert_eq!(value("down", &["row-6", "lb", "write"]), None);
        assert_eq!(value("ratio", &["row-9"]), None);
    }
}
