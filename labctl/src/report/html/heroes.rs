//! The charts that a chapter defines, with their legends.

use crate::report::charts::{self, NARROW, Size, WIDE, color_of};
use crate::report::geography::Geography;
use crate::report::lanes::{LaneCourse, Shares, Steps};
use crate::report::requests::Record;
use crate::report::windows::FaultWindow;
use crate::runner::{FilledChart, RunDocument};
use chapter::{Chapter, Chart};

/// Okabe and Ito's blue, vermilion, sky blue and reddish purple; grey for due requests.
const GOOD: &str = "#0072b2";
const BAD: &str = "#d55e00";
const CALM: &str = "#56b4e9";
const TRIED: &str = "#cc79a7";
const INK: &str = "#808691";

/// A chapter's own chart, for desktop and phone.
#[derive(Debug)]
pub(super) struct Hero {
    pub(super) title: String,
    pub(super) wide: String,
    pub(super) narrow: String,
    /// Colours with their meanings.
    pub(super) legend: Vec<(String, String)>,
}

/// Draws all charts of a run, in the chapter's order. Charts of steps that the run did not reach are left
/// out.
pub(super) fn heroes(
    chapter: &Chapter,
    run: &RunDocument,
    records: &[Record],
    faults: &[FaultWindow],
) -> Vec<Hero> {
    let steps = Steps { begins: &run.findings.steps, ended: run.findings.ended };
    let drawn = run.findings.charts.iter().zip(&chapter.chart).filter_map(|(filled, chart)| {
        let picture = Picture::of(chapter, chart, filled, records, &steps, faults)?;
        let legend = picture.legend(filled);
        let legend = legend.into_iter().map(|(color, words)| (color.to_string(), words));
        Some(Hero {
            title: filled.title.clone(),
            wide: picture.drawn(WIDE),
            narrow: picture.drawn(NARROW),
            legend: legend.collect(),
        })
    });
    drawn.collect()
}

/// The kinds of charts.
enum Picture<'a> {
    Bars(&'a FilledChart),
    Lanes(Vec<LaneCourse>, Option<f64>),
    Shares(Shares),
    Filling(charts::Filling<'a>),
    Map(Geography),
}

impl<'a> Picture<'a> {
    fn of(
        chapter: &Chapter,
        chart: &Chart,
        filled: &'a FilledChart,
        records: &[Record],
        steps: &Steps<'_>,
        faults: &[FaultWindow],
    ) -> Option<Self> {
        if let Some(servers) = &chart.servers {
            return Shares::of(servers, records, steps).map(Self::Shares);
        }
        if let Some(machine) = &chart.machine {
            let stretch =
                steps.stretch(machine.from.as_ref(), machine.to.as_ref().map(|to| to.as_ref().as_str()))?;
            let is_its_end = |fault: &&FaultWindow| {
                fault.machine == *machine.name.as_ref() && fault.what.ends_with("is gone")
            };
            let gone = faults.iter().find(is_its_end).map(|fault| fault.from);
            let steps = steps.within(stretch);
            return Some(Self::Filling(charts::Filling { filled: &filled.filled, stretch, gone, steps }));
        }
        if chart.map {
            return Some(Self::Map(geography(chapter)));
        }
        if !chart.lanes.is_empty() {
            let lanes: Vec<_> =
                chart.lanes.iter().filter_map(|lane| LaneCourse::of(lane, records, steps)).collect();
            return (!lanes.is_empty()).then_some(Self::Lanes(lanes, chart.limit));
        }
        Some(Self::Bars(filled))
    }

    fn drawn(&self, size: Size) -> String {
        match self {
            Self::Bars(filled) => charts::bars(filled, size),
            Self::Lanes(lanes, limit) => charts::lanes(lanes, *limit, size),
            Self::Shares(shares) => charts::shares(shares, size),
            Self::Filling(filling) => charts::filling(filling, size),
            Self::Map(geography) => charts::map(geography, size),
        }
    }

    fn legend(&self, filled: &FilledChart) -> Vec<(String, String)> {
        let said = |color: &str, words: &str| (color.to_owned(), words.to_owned());
        match self {
            Self::Bars(_) => {
                let law = filled.law.iter().map(|law| said(BAD, law));
                std::iter::once(said(GOOD, "measured")).chain(law).collect()
            }
            Self::Lanes(lanes, limit) => {
                let mut legend = vec![
                    said(INK, "due"),
                    said(GOOD, "▲ answered well, when it was"),
                    said(BAD, "▼ failed, drawn downwards"),
                ];
                if lanes.iter().any(LaneCourse::asks_again) {
                    legend.push(said(TRIED, "attempts: what the servers are asked"));
                }
                legend.extend(
                    limit.map(|limit| said(INK, &format!("dashed: they can do {limit:.0} a second"))),
                );
                legend
            }
            Self::Shares(shares) => {
                let names = shares.servers.iter().enumerate();
                let mut legend: Vec<_> = names
                    .map(|(place, (name, _))| {
                        let name = if name.is_empty() { "unknown server" } else { name };
                        (color_of(place), name.to_owned())
                    })
                    .collect();
                if shares.failed.iter().any(|failed| *failed > 0.0) {
                    legend.push(said(BAD, "failed, on top"));
                }
                legend
            }
            Self::Filling(_) => {
                vec![
                    said(GOOD, "memory held by requests and programs"),
                    said(CALM, "jobs that wait for a core"),
                ]
            }
            Self::Map(_) => {
                vec![said(GOOD, "a place"), said(INK, "a way, as long as it is slow: there and back")]
            }
        }
    }
}

/// Builds a chapter's map with its machines.
fn geography(chapter: &Chapter) -> Geography {
    let mut names: Vec<&str> = Vec::new();
    for (from, ways) in &chapter.map {
        for name in std::iter::once(from.as_ref().as_str()).chain(ways.keys().map(String::as_str)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let number = |name: &str| names.iter().position(|known| *known == name).unwrap_or_default();
    let ways = chapter.map.iter().flat_map(|(from, ways)| {
        ways.iter().map(|(to, way)| (number(from.as_ref()), number(to), way.0.as_secs_f64() * 1e3))
    });
    let ways = ways.collect();
    let places =
        names.iter().map(|name| ((*name).to_owned(), machines_at(chapter, name).join(", "))).collect();
    Geography { places, ways }
}

/// Returns the machines at a place.
fn machines_at(chapter: &Chapter, wanted: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, entry) in &chapter.machine {
        let Some(place) = &entry.place else { continue };
        match entry.count {
            None if place.as_ref().of(0) == Some(wanted) => found.push(kind.clone()),
            None => {}
            Some(count) => {
                let there = (0..count).filter(|number| place.as_ref().of(*number as usize) == Some(wanted));
                found.extend(there.map(|number| format!("{kind}-{}", number + 1)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;

    #[test]
    fn a_map_has_every_place_with_its_machines_and_every_way() {
        let chapter = Source::open("regions", &[]).unwrap().chapter;
        let geography = geography(&chapter);
        let names: Vec<_> = geography.places.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["virginia", "ireland", "sydney"]);
        assert_eq!(geography.places[0].1, "fast-1, majority-1, all-1, shop");
        assert_eq!(geography.ways, [(0, 1, 80.0), (0, 2, 200.0), (1, 2, 140.0)]);
    }
}
