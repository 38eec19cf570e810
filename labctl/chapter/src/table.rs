//! Tables that a run fills in: one measurement for each row and column.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Spanned;

use super::expression::Expression;
use super::measures::MeasureCall;
use super::{Chapter, Span};

/// A table as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    /// What its figures are, with their unit. `{measure}` stands for the time for which its steps were
    /// measured.
    pub title: String,
    /// The names of its rows, often of steps.
    pub rows: Vec<String>,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// The measure of each cell: an expression in which `{row}` and `{column}` stand for their names.
    pub measure: Spanned<String>,
}

impl Table {
    /// The expression of one cell.
    pub fn cell(&self, row: &str, column: &str) -> String {
        self.measure.as_ref().replace("{row}", row).replace("{column}", column)
    }

    /// The expressions of all cells.
    pub fn cells(&self) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(move |row| self.columns.iter().map(move |column| self.cell(row, column)))
    }

    /// The shortest and the longest measuring time among the table's steps, as written in the chapter. `None`
    /// if none of them is measured for a fixed time.
    pub fn measured(&self, chapter: &Chapter) -> Option<(Duration, Duration)> {
        let expressions: Vec<_> =
            self.cells().filter_map(|cell| Expression::<MeasureCall>::parse(&cell).ok()).collect();
        let named: Vec<_> =
            expressions.iter().flat_map(Expression::measures).filter_map(MeasureCall::step).collect();
        let steps = chapter.step.iter().filter(|step| named.contains(&step.name.as_str()));
        let times: Vec<_> = steps.filter_map(|step| step.measure.map(|Span(time)| time)).collect();
        Some((*times.iter().min()?, *times.iter().max()?))
    }

    /// Its title, with the measuring time after it has passed through `pace`.
    pub fn title(&self, chapter: &Chapter, pace: impl Fn(Duration) -> Duration) -> String {
        let seconds = |time: Duration| pace(time).as_secs_f64();
        let told = match self.measured(chapter).map(|(least, most)| (seconds(least), seconds(most))) {
            None => "?".into(),
            Some((least, most)) if least == most => format!("{least} s"),
            Some((least, most)) => format!("{least} to {most} s"),
        };
        self.title.replace(MEASURE, &told)
    }
}

/// The placeholder for the measuring time in a title.
pub(super) const MEASURE: &str = "{measure}";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Source;

    #[test]
    fn a_title_says_how_long_was_really_measured() {
        let chapter = Source::open("server-failure", &[]).unwrap().chapter;
        let titles = |pace: fn(Duration) -> Duration| {
            chapter.table.iter().map(|table| table.title(&chapter, pace)).collect::<Vec<_>>()
        };
        assert_eq!(titles(|time| time)[0], "Dropped requests in 4 to 5 s, of 60 a second");
        assert_eq!(titles(|time| time / 2)[0], "Dropped requests in 2 to 2.5 s, of 60 a second");
        assert_eq!(titles(|time| time)[1], "Seconds until the server was out");
    }
}
