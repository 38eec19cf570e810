//! The figures of the article's table, and the verdict of a measurement on each cell. Pure.
#![deny(clippy::disallowed_methods)]

use indexmap::IndexMap;

use super::rows::{CellVerdict, Says, TableRow};

/// The article's columns.
pub const COLUMNS: [&str; 3] = ["capacity", "single points of failure", "monthly cost"];

/// Tolerated deviation of a capacity ratio from the article's, as a share.
const RATIO_TOLERANCE: f64 = 0.2;

/// One row as printed in the article.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArticleRow {
    /// Capacity, in thousands of requests per second.
    pub thousands: f64,
    /// Single points of failure.
    pub single_points: f64,
    /// Dollars per month.
    pub cost: f64,
}

/// The article's rows, in its order.
const ROWS: [ArticleRow; 6] = [
    ArticleRow { thousands: 1.0, single_points: 2.0, cost: 200.0 },
    ArticleRow { thousands: 3.0, single_points: 2.0, cost: 400.0 },
    ArticleRow { thousands: 10.0, single_points: 2.0, cost: 800.0 },
    ArticleRow { thousands: 10.0, single_points: 1.0, cost: 1000.0 },
    ArticleRow { thousands: 50.0, single_points: 1.0, cost: 1200.0 },
    ArticleRow { thousands: 50.0, single_points: 0.0, cost: 1800.0 },
];

/// Returns the article's row by number, from 1. `None` if there is no such row.
pub fn row(number: u32) -> Option<ArticleRow> {
    ROWS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// Judges each of the article's cells in a built-in row. Capacities are judged as multiples of the first
/// row's, because the lab's machines are all smaller than the article's by the same factor.
pub fn judge(measured: &TableRow) -> IndexMap<String, CellVerdict> {
    let Some(article) = row(measured.number) else { return IndexMap::new() };
    let first = ROWS[0].thousands;
    let [capacity, points, cost] = COLUMNS;
    let trusted = measured.ratio.filter(|_| measured.capacity.distrust.is_none());
    let ratio = cell(article.thousands / first, trusted, |wanted, ratio| {
        (ratio / wanted - 1.0).abs() <= RATIO_TOLERANCE
    });
    let exact = |wanted: f64, found: f64| (wanted - found).abs() < 0.5;
    let count = Some(measured.single_points.len() as f64).filter(|_| measured.distrust.is_none());
    let cells = [
        (capacity, ratio),
        (points, cell(article.single_points, count, exact)),
        (cost, cell(article.cost, Some(measured.cost), exact)),
    ];
    let explained = |(column, verdict): (&str, CellVerdict)| {
        let because = because(measured, column, &verdict);
        (column.to_owned(), CellVerdict { because, ..verdict })
    };
    cells.into_iter().map(explained).collect()
}

fn cell(article: f64, measured: Option<f64>, is_so: impl Fn(f64, f64) -> bool) -> CellVerdict {
    let says = match measured {
        None => Says::NotJudged,
        Some(figure) if is_so(article, figure) => Says::Confirmed,
        Some(_) => Says::Refuted,
    };
    CellVerdict { article: Some(article), measured, says, because: None }
}

/// Explains the verdict on a cell.
fn because(row: &TableRow, column: &str, verdict: &CellVerdict) -> Option<String> {
    let [capacity, points, cost] = COLUMNS;
    if verdict.says == Says::NotJudged {
        let why = if column == points { &row.distrust } else { &row.capacity.distrust };
        let no_base =
            || "The first row, which all are multiples of, was not measured, or is not to be trusted.";
        return Some(why.clone().unwrap_or_else(|| no_base().to_owned()));
    }
    let refuted = verdict.says == Says::Refuted;
    let sentence = match (row.number, column) {
        (2, _) if column == capacity && !refuted => {
            "Alone, the database has its memory to itself. Two machines by themselves could be twice as much at most."
        }
        (5 | 6, _) if column == capacity && !refuted => {
            "The database was the limit only up to the five web servers' own; the rest is that a page from the cache need not be built again."
        }
        (3..=6, _) if column == cost && refuted => {
            "The article's own text has five web servers; its price is that of two."
        }
        (1, _) if column == points && !refuted => {
            "Two programs, but one machine: whatever takes the machine takes both."
        }
        _ if column == points && refuted => {
            let names = row.single_points.join(", ");
            return Some(format!("Each of these, alone, takes a path down: {names}."));
        }
        _ => return None,
    };
    Some(sentence.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::rows::{MeasuredCapacity, ResidualCapacity};
    use super::*;

    pub(crate) fn measured(number: u32, ratio: f64, single_points: &[&str], cost: f64) -> TableRow {
        TableRow {
            number,
            name: format!("row-{number}"),
            title: String::new(),
            capacity: MeasuredCapacity {
                low: Some(ratio * 40.0),
                rate: ratio * 40.0,
                ..MeasuredCapacity::default()
            },
            ratio: Some(ratio),
            cost,
            single_points: single_points.iter().map(|name| (*name).to_owned()).collect(),
            single_points_of: IndexMap::new(),
            left: ResidualCapacity::default(),
            recovery_seconds: None,
            lost_writes: 0,
            lost_sessions: 0,
            cells: IndexMap::new(),
            machines: 1,
            faults: vec![],
            distrust: None,
        }
    }

    fn says(row: &TableRow) -> Vec<Says> {
        judge(row).values().map(|cell| cell.says).collect()
    }

    #[test]
    fn a_row_like_the_articles_is_confirmed() {
        assert_eq!(says(&measured(2, 3.4, &["web", "db"], 400.0)), [Says::Confirmed; 3]);
    }

    #[test]
    fn each_cell_is_refuted_by_itself() {
        let row = measured(5, 30.0, &["db", "redis"], 1800.0);
        assert_eq!(says(&row), [Says::Refuted; 3]);
        let because = judge(&row)["single points of failure"].because.clone().unwrap();
        assert_eq!(because, "Each of these, alone, takes a path down: db, redis.");
    }

    #[test]
    fn a_capacity_that_is_not_trusted_is_not_judged() {
        let mut row = measured(1, 1.0, &["a", "b"], 200.0);
        row.capacity.distrust = Some("the host was busy".into());
        assert_eq!(says(&row), [Says::NotJudged, Says::Confirmed, Says::Confirmed]);
    }

    #[test]
    fn an_audit_that_is_not_trusted_judges_no_single_points() {
        let mut row = measured(1, 1.0, &["a", "b"], 200.0);
        row.distrust = Some("the load generator was late".into());
        assert_eq!(says(&row), [Says::Confirmed, Says::NotJudged, Says::Confirmed]);
        let because = judge(&row)["single points of failure"].because.clone();
        assert_eq!(because.as_deref(), Some("the load generator was late"));
    }

    #[test]
    fn without_the_first_row_there_are_no_multiples() {
        let row = TableRow { ratio: None, ..measured(3, 1.0, &["lb", "db"], 800.0) };
        assert_eq!(says(&row), [Says::NotJudged, Says::Confirmed, Says::Confirmed]);
    }

    #[test]
    fn the_seventh_row_is_not_in_the_article() {
        assert!(judge(&measured(7, 50.0, &[], 2460.0)).is_empty());
    }
}
