//! The chart that explains a chapter, of one of five kinds: figures beside the values that a law predicts,
//! traffics as lanes one below the other, answers by server, a machine that fills up, or the map.

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::{Checked, at};
use super::{Chapter, Spanned, suggest};
use crate::mistake::Mistake;

/// A chart as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chart {
    /// Its title.
    pub title: Spanned<String>,
    /// The unit of its figures.
    #[serde(default)]
    pub unit: String,
    /// The law that the points follow, in words.
    pub law: Option<String>,
    /// Figures, from left to right.
    #[serde(default)]
    pub points: Vec<Point>,
    /// Traffics over time, one below the other, each from the start of its first step.
    #[serde(default)]
    pub lanes: Vec<Lane>,
    /// A traffic's answers by server, stacked.
    pub servers: Option<Lane>,
    /// A machine that fills up: its memory and the jobs that wait for its cores, over time.
    pub machine: Option<Filling>,
    /// The chapter's map, with distances in proportion to the round trips.
    #[serde(default)]
    pub map: bool,
    /// The capacity of the machines, in requests a second: a line across the lanes.
    pub limit: Option<f64>,
}

/// One figure of a chart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Point {
    /// The label below it.
    pub label: String,
    /// The measure: an expression.
    pub measure: Spanned<String>,
    /// The value that the law predicts: an expression.
    pub law: Option<Spanned<String>>,
}

/// One traffic, during some steps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lane {
    /// The label beside it.
    #[serde(default)]
    pub label: String,
    /// The traffic.
    pub traffic: Spanned<String>,
    /// The first step that is shown.
    pub from: Spanned<String>,
    /// The last step that is shown; by default only the first one is.
    pub to: Option<Spanned<String>>,
}

/// One machine, during some steps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Filling {
    /// The machine.
    pub name: Spanned<String>,
    /// The first step that is shown.
    pub from: Spanned<String>,
    /// The last step that is shown; by default only the first one is.
    pub to: Option<Spanned<String>>,
}

impl Chart {
    /// Every expression in the chart.
    pub fn expressions(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.points.iter().flat_map(|point| std::iter::once(&point.measure).chain(&point.law))
    }

    /// All lanes of the chart, however they are drawn.
    fn all_lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().chain(&self.servers)
    }
}

/// Checks that a chart has exactly one kind, and that everything it names exists.
pub(super) fn check(chapter: &Chapter, chart: &Chart) -> Checked {
    let here = |message: &str| Err(at(chart.title.span(), format!("a chart {message}")));
    let kinds = [
        !chart.points.is_empty(),
        !chart.lanes.is_empty(),
        chart.servers.is_some(),
        chart.machine.is_some(),
        chart.map,
    ];
    if kinds.iter().filter(|is| **is).count() != 1 {
        return here("shows one thing: points, lanes, servers, machine, or map = true");
    }
    if !chart.points.is_empty() && chart.unit.is_empty() {
        return here("with points says what they are in: unit = \" ms\"");
    }
    if chart.limit.is_some_and(|limit| !(limit.is_finite() && limit > 0.0)) {
        return here("has a limit above 0, in requests a second");
    }
    if chart.limit.is_some() && chart.lanes.is_empty() {
        return here("has a limit only where it has lanes");
    }
    if chart.map && chapter.map.is_empty() {
        return here("shows a map, and the chapter has none");
    }
    for lane in chart.all_lanes() {
        let traffic = &lane.traffic;
        if !chapter.traffic.contains_key(traffic.as_ref()) {
            let known = chapter.traffic.keys().map(String::as_str);
            return Err(at(traffic.span(), suggest::unknown("traffic", traffic.as_ref(), known)));
        }
        check_steps(chapter, &lane.from, lane.to.as_ref())?;
    }
    match &chart.machine {
        Some(Filling { name, from, to }) => {
            if chapter.machine.get(name.as_ref()).is_none_or(|entry| entry.count.is_some()) {
                let single = chapter.machine.iter().filter(|(_, entry)| entry.count.is_none());
                let known = single.map(|(name, _)| name.as_str());
                return Err(at(name.span(), suggest::unknown("machine", name.as_ref(), known)));
            }
            check_steps(chapter, from, to.as_ref())
        }
        None => Ok(()),
    }
}

/// Checks that two steps exist, in this order.
fn check_steps(chapter: &Chapter, from: &Spanned<String>, to: Option<&Spanned<String>>) -> Checked {
    let place = |step: &Spanned<String>| -> Result<usize, Mistake> {
        let names = chapter.step.iter().map(|step| step.name.as_str());
        let found = names.clone().position(|name| name == step.as_ref());
        found.ok_or_else(|| at(step.span(), suggest::unknown("step", step.as_ref(), names)))
    };
    let first = place(from)?;
    match to {
        Some(to) if place(to)? < first => {
            Err(at(to.span(), format!("step '{}' is before '{}'", to.as_ref(), from.as_ref())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Source;

    const CHAPTER: &str = r#"
number = 1
title = "Small"
question = "Does it?"

[machine.app]
webserver = { db = "app" }
dbnode = {}

[traffic.pages]
to = "app"
path = "/products/{key}"

[[step]]
name = "one"
say = "One."
load = { pages = 10 }
measure = "1s"

[[step]]
name = "two"
say = "Two."
measure = "1s"

[[chart]]
title = "What happens"
"#;

    fn refused(chart: &str) -> String {
        let text = format!("{CHAPTER}{chart}\n");
        Source::parse(Path::new("small.toml"), &text, &[])
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_chart_is_one_picture_of_what_there_is() {
        let accepted = [
            r#"lanes = [{ label = "pages", traffic = "pages", from = "one", to = "two" }]"#,
            "limit = 100\nlanes = [{ traffic = \"pages\", from = \"one\" }]",
            r#"servers = { traffic = "pages", from = "two" }"#,
            r#"machine = { name = "app", from = "one", to = "two" }"#,
            "unit = \" ms\"\npoints = [{ label = \"a\", measure = \"p50(one)\" }]",
        ];
        for chart in accepted {
            assert_eq!(refused(chart), "", "{chart}");
        }
        let wrong = [
            ("", "shows one thing"),
            ("map = true\nservers = { traffic = \"pages\", from = \"two\" }", "shows one thing"),
            ("map = true", "the chapter has none"),
            (r#"servers = { traffic = "page", from = "two" }"#, "pages"),
            (r#"servers = { traffic = "pages", from = "three" }"#, "three"),
            (r#"servers = { traffic = "pages", from = "two", to = "one" }"#, "is before 'two'"),
            (r#"machine = { name = "apps", from = "one" }"#, "app"),
            (r#"points = [{ label = "a", measure = "p50(one)" }]"#, "says what they are in"),
            ("limit = 0\nlanes = [{ traffic = \"pages\", from = \"one\" }]", "a limit above 0"),
            ("limit = 9\nservers = { traffic = \"pages\", from = \"one\" }", "only where it has lanes"),
        ];
        for (chart, why) in wrong {
            let told = refused(chart);
            assert!(told.contains(why) && told.contains("small.toml:"), "{chart}: {told}");
        }
    }
}
