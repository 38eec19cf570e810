//! Charts as SVG, drawn by `plotters`; only this module depends on it. Success is blue and failure is orange,
//! which colour-blind readers can tell apart; in addition, failures are drawn downwards.

mod filling;
mod lanes;
mod map;
mod shares;

use plotters::chart::{ChartContext, MeshStyle};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::requests::Course;
use super::terminal::{short, wrap};
use super::windows::{FaultWindow, merged};
use crate::runner::FilledChart;
pub use filling::{Filling, filling};
pub use lanes::lanes;
pub use map::map;
pub use shares::{color_of, shares};

/// Readable on white and on black.
const INK: RGBColor = RGBColor(128, 134, 145);
/// Okabe and Ito's blue, vermilion and sky blue.
const GOOD: RGBColor = RGBColor(0, 114, 178);
const BAD: RGBColor = RGBColor(213, 94, 0);
const CALM: RGBColor = RGBColor(86, 180, 233);
const SHADE: RGBColor = RGBColor(230, 159, 0);
/// Attempts by clients that retry.
const TRIED: RGBColor = RGBColor(204, 121, 167);
/// Text inside a shaded band.
const BAND: RGBColor = RGBColor(166, 112, 0);
/// Approximate width of a letter, as a share of the font size.
const LETTER: f64 = 0.46;

/// The size of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    width: u32,
    height: u32,
    text: u32,
}

impl Size {
    /// Returns whether it is meant for a phone.
    fn is_narrow(self) -> bool {
        self.width < 500
    }
}

/// The drawing surface.
type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Drawing into a string fails only for an impossible chart, such as an empty range.
type Done = Result<(), Box<dyn std::error::Error>>;
/// A plot of figures over figures.
type Plane<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Begins the mesh that all charts have: horizontal lines only, and labels in the color of text.
fn mesh<'a, 'b, DB: DrawingBackend>(
    plot: &'b mut Plane<'a, DB>,
    size: Size,
) -> MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, DB> {
    let text = ("sans-serif", size.text).into_font().color(&INK);
    let mut mesh = plot.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.18))
        .axis_style(INK.mix(0.5))
        .label_style(text.clone())
        .axis_desc_style(text);
    mesh
}

/// Returns the labels of a time axis of this length, in seconds.
fn in_seconds(length: f64) -> impl Fn(&f64) -> String {
    move |seconds| if length < 10.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}

/// Returns a picture of this size; empty if there is nothing to draw.
fn drawn(size: Size, draw: impl FnOnce(&Drawing<'_>, Size) -> Done) -> String {
    let mut svg = String::new();
    let done = {
        let root = SVGBackend::with_string(&mut svg, (size.width, size.height)).into_drawing_area();
        let drawn = draw(&root, size);
        drawn.and_then(|()| Ok(root.present()?))
    };
    if done.is_err() { String::new() } else { svg }
}

/// For a desktop. The text keeps its size on a phone.
pub const WIDE: Size = Size { width: 960, height: 250, text: 15 };
/// For a phone.
pub const NARROW: Size = Size { width: 340, height: 220, text: 14 };

/// One traffic over time.
#[derive(Debug)]
pub struct Timeline<'a> {
    /// Its spans of time.
    pub course: &'a Course,
    /// Width of a bin in seconds.
    pub width: f64,
    /// When something that it depends on was broken.
    pub faults: &'a [FaultWindow],
    /// When each step began, in seconds.
    pub steps: &'a [(String, f64)],
}

/// The data series of one chart.
struct Plot {
    unit: &'static str,
    low: f64,
    high: f64,
    drawn: Vec<Drawn>,
}

impl Timeline<'_> {
    /// Draws due, successful and failed requests per second over time, failures downwards.
    pub fn rates(&self, size: Size) -> String {
        let most = |figure: fn(&super::requests::Bin) -> f64| {
            self.course.bins.iter().map(figure).fold(0.0, f64::max)
        };
        let high = most(|bin| bin.ok.max(bin.offered)).max(1.0) * 1.1;
        let failed = most(|bin| bin.failed);
        let low = if failed > 0.0 { -(failed.max(high / 8.0) * 1.1) } else { 0.0 };
        let drawn = vec![
            (self.points(|bin| Some(bin.ok)), GOOD, Look::Filled),
            (self.points(|bin| (bin.failed > 0.0).then_some(-bin.failed)), BAD, Look::Bars),
            (self.points(|bin| Some(bin.offered)), INK, Look::Line),
        ];
        self.chart(size, &Plot { unit: "requests/s", low, high, drawn })
    }

    /// Draws the median and the 99th percentile of latency over the due time of the requests.
    pub fn latencies(&self, size: Size) -> String {
        let high = self.course.bins.iter().filter_map(|bin| bin.p99).fold(1.0, f64::max) * 1.1;
        let (p99, p50) = (self.points(|bin| bin.p99), self.points(|bin| bin.p50));
        let drawn = vec![(p99, CALM, Look::Line), (p50, GOOD, Look::Line)];
        self.chart(size, &Plot { unit: "ms", low: 0.0, high, drawn })
    }

    /// Splits points into continuous runs: a missing figure interrupts the line.
    fn points(&self, figure: impl Fn(&super::requests::Bin) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
        let mut runs: Vec<Vec<(f64, f64)>> = vec![vec![]];
        for (index, bin) in self.course.bins.iter().enumerate() {
            match figure(bin) {
                Some(figure) => {
                    let run = runs.last_mut().expect("there is always one");
                    run.push((self.course.from + (index as f64 + 0.5) * self.width, figure));
                }
                None => runs.push(vec![]),
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }

    /// Returns the interval that contains data.
    fn span(&self) -> (f64, f64) {
        let length = (self.course.bins.len() as f64 * self.width).max(1.0);
        let margin = length * 0.02;
        ((self.course.from - margin).max(0.0), self.course.from + length + margin)
    }

    fn chart(&self, size: Size, plot: &Plot) -> String {
        drawn(size, |root, size| self.draw(root, size, plot))
    }

    fn draw(&self, root: &Drawing<'_>, size: Size, plot: &Plot) -> Done {
        let (from, to) = self.span();
        let Plot { unit, low, high, ref drawn } = *plot;
        // Leaves room above the plot for the steps' names, in two rows.
        let names = 2 * size.text + 8;
        let left = if size.is_narrow() { 46 } else { 58 };
        let mut chart = ChartBuilder::on(root)
            .margin(6)
            .margin_top(names)
            .x_label_area_size(2 * size.text + 14)
            .y_label_area_size(left)
            .build_cartesian_2d(from..to, low..high)?;
        let shades = merged(self.faults).into_iter().filter(|(begin, end, _)| *begin < to && *end > from);
        let shades: Vec<_> = shades.collect();
        chart.draw_series(shades.iter().map(|(begin, end, _)| {
            let corners = [(begin.max(from), low), (end.min(to), high)];
            Rectangle::new(corners, SHADE.mix(0.16).filled())
        }))?;
        mesh(&mut chart, size)
            .x_label_formatter(&in_seconds(to - from))
            .y_label_formatter(&|figure| format!("{:.0}", figure.abs()))
            .x_labels(if size.is_narrow() { 5 } else { 10 })
            .y_labels(5)
            .x_desc("seconds since the run began")
            .y_desc(unit)
            .draw()?;
        for (runs, color, look) in drawn {
            for run in runs {
                match look {
                    Look::Filled => {
                        let area = AreaSeries::new(run.iter().copied(), 0.0, color.mix(0.75));
                        chart.draw_series(area.border_style(color))?;
                    }
                    Look::Line => {
                        chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
                    }
                    Look::Bars => {
                        let half = self.width * 0.45;
                        chart.draw_series(run.iter().map(|(at, figure)| {
                            Rectangle::new([(at - half, 0.0), (at + half, *figure)], color.filled())
                        }))?;
                    }
                }
            }
        }
        let steps: Vec<_> = self.steps.iter().filter(|(_, at)| (from..to).contains(at)).collect();
        chart.draw_series(
            steps.iter().map(|(_, at)| PathElement::new(vec![(*at, low), (*at, high)], INK.mix(0.45))),
        )?;
        let at = |moment: f64, figure: f64| chart.backend_coord(&(moment, figure));
        let marks: Vec<_> = steps.iter().map(|(name, moment)| (at(*moment, high).0, name.as_str())).collect();
        let labels = spread(&marks, size, 6);
        let bands: Vec<_> = shades
            .iter()
            .map(|(begin, end, what)| {
                let (left, top) = at(begin.max(from), high);
                (left, top, at(end.min(to), low).0 - left, what.as_str())
            })
            .collect();
        write_labels(root, &labels, size)?;
        write_bands(root, &bands, size)
    }
}

/// Draws a chapter's bar chart: a bar for each figure, and a line for the law.
pub fn bars(chart: &FilledChart, size: Size) -> String {
    drawn(size, |root, size| draw_bars(root, chart, size))
}

fn draw_bars(root: &Drawing<'_>, chart: &FilledChart, size: Size) -> Done {
    let points = &chart.points;
    let figures = points.iter().flat_map(|point| [point.figure, point.law]).flatten();
    let high = figures.fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.18;
    let mut plot = ChartBuilder::on(root)
        .margin(6)
        .x_label_area_size(3 * size.text)
        .y_label_area_size(if size.is_narrow() { 46 } else { 58 })
        .build_cartesian_2d(0.0..points.len() as f64, 0.0..high)?;
    let text = ("sans-serif", size.text).into_font().color(&INK);
    mesh(&mut plot, size)
        .x_labels(0)
        .y_labels(5)
        .y_label_formatter(&|figure| short(*figure))
        .y_desc(chart.unit.trim())
        .draw()?;
    let places = || points.iter().enumerate().map(|(index, point)| (index as f64, point));
    let measured = places().filter_map(|(at, point)| Some((at, point.figure?)));
    plot.draw_series(measured.map(|(at, figure)| {
        Rectangle::new([(at + 0.22, 0.0), (at + 0.78, figure)], GOOD.mix(0.75).filled())
    }))?;
    let law: Vec<_> = places().filter_map(|(at, point)| Some((at + 0.5, point.law?))).collect();
    if grows_or_falls(&law) {
        plot.draw_series(LineSeries::new(law.iter().copied(), BAD.stroke_width(2)))?;
        plot.draw_series(law.iter().map(|at| Circle::new(*at, 4, BAD.filled())))?;
    } else {
        // Values of unordered categories are not connected by a line.
        let mark = |(at, figure): &(f64, f64)| {
            PathElement::new(vec![(at - 0.38, *figure), (at + 0.38, *figure)], BAD.stroke_width(3))
        };
        plot.draw_series(law.iter().map(mark))?;
    }
    let written: Vec<_> = places()
        .map(|(at, point)| {
            let (x, bottom) = plot.backend_coord(&(at + 0.5, 0.0));
            // The mark of the law does not cross the figure above its bar.
            let figure = point.figure.unwrap_or(0.0);
            let near = |law: &f64| (law - figure).abs() < 0.12 * high && *law > figure;
            let (_, top) = plot.backend_coord(&(at + 0.5, point.law.filter(near).unwrap_or(figure)));
            (x, bottom, top, point)
        })
        .collect();
    let above = text.clone().pos(Pos::new(HPos::Center, VPos::Bottom));
    let below = text.pos(Pos::new(HPos::Center, VPos::Top));
    for (x, bottom, top, point) in written {
        root.draw_text(&point.figure.map_or("–".into(), short), &above, (x, top - 4))?;
        let room = (size.width as usize / points.len().max(1)) as f64 / (f64::from(size.text) * LETTER);
        for (row, line) in wrap(&point.label, room as usize).iter().take(2).enumerate() {
            root.draw_text(line, &below, (x, bottom + 6 + row as i32 * (size.text as i32 + 2)))?;
        }
    }
    Ok(())
}

/// Returns whether a law is monotonic.
fn grows_or_falls(law: &[(f64, f64)]) -> bool {
    // A line between two figures looks like a trend, and is none.
    if law.len() < 3 {
        return false;
    }
    let goes = |way: fn(&f64, &f64) -> bool| law.windows(2).all(|pair| way(&pair[0].1, &pair[1].1));
    goes(|one, next| one <= next) || goes(|one, next| one >= next)
}

/// A data series: its continuous runs of points, its colour, and how it is drawn.
type Drawn = (Vec<Vec<(f64, f64)>>, RGBColor, Look);

#[derive(Debug, Clone, Copy)]
enum Look {
    Filled,
    Line,
    Bars,
}

/// Estimates the width of a text.
fn width_of(text: &str, size: Size) -> i32 {
    (text.chars().count() as f64 * f64::from(size.text) * LETTER) as i32
}

/// Places names in two rows without overlap; names without room are left out.
fn spread<'a>(marks: &[(i32, &'a str)], size: Size, top: i32) -> Vec<(i32, i32, &'a str)> {
    let row = size.text as i32 + 2;
    let mut ends = [i32::MIN; 2];
    let mut placed = Vec::new();
    for (at, name) in marks {
        let end = at + width_of(name, size) + 6;
        let free = ends.iter().position(|taken| taken < at);
        if let Some(free) = free.filter(|_| end < size.width as i32 + 6) {
            ends[free] = end;
            placed.push((at + 2, top + free as i32 * row, *name));
        }
    }
    placed
}

fn write_labels(root: &Drawing<'_>, labels: &[(i32, i32, &str)], size: Size) -> Done {
    let style = ("sans-serif", size.text).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Top));
    for (x, y, name) in labels {
        root.draw_text(name, &style, (*x, *y))?;
    }
    Ok(())
}

/// Writes the fault into its band, truncated to the available room.
fn write_bands(root: &Drawing<'_>, bands: &[(i32, i32, i32, &str)], size: Size) -> Done {
    const FEW: usize = 6;
    let style = ("sans-serif", size.text).into_font().color(&BAND).pos(Pos::new(HPos::Left, VPos::Top));
    for (left, top, width, what) in bands {
        let room = (f64::from(*width) / (f64::from(size.text) * LETTER)) as usize;
        let shown = match what.chars().count() {
            length if length <= room => (*what).to_owned(),
            _ if room >= FEW => what.chars().take(room - 1).chain(['…']).collect(),
            _ => continue,
        };
        root.draw_text(&shown, &style, (left + 3, top + 2))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::requests::Bin;
    use crate::runner::FilledPoint;

    fn bin(ok: f64, failed: f64) -> Bin {
        Bin { offered: ok + failed, ok, failed, p99: (ok > 0.0).then_some(20.0), p50: Some(5.0) }
    }

    #[test]
    fn a_chart_shows_its_lines_its_faults_and_its_steps_by_name() {
        let course = Course { from: 7.0, bins: vec![bin(10.0, 0.0), bin(0.0, 10.0), bin(10.0, 0.0)] };
        let fault = FaultWindow { what: "web-1 is gone".into(), machine: "web-1".into(), from: 8.0, to: 9.9 };
        let steps = [("calm".to_owned(), 1.0), ("crash".to_owned(), 8.0)];
        let timeline = Timeline { course: &course, width: 1.0, faults: &[fault], steps: &steps };
        for size in [WIDE, NARROW] {
            let rates = timeline.rates(size);
            assert!(rates.starts_with("<svg") && rates.contains("requests/s"), "{rates}");
            assert!(rates.contains("#0072B2") && rates.contains("#D55E00"), "good and bad are both there");
            assert!(rates.contains("crash") && rates.contains("web-1 is gone"), "{rates}");
            assert!(!rates.contains("calm"), "before its life there is nothing of a traffic");
        }
        assert_eq!(timeline.points(|bin| bin.p99).len(), 2, "the line is interrupted where nothing was good");
        assert!(timeline.latencies(WIDE).contains("ms"));
    }

    #[test]
    fn a_chapters_chart_has_a_bar_for_each_figure_and_its_law() {
        let point = |label: &str, figure, law| FilledPoint { label: label.into(), figure, law };
        let points = vec![
            point("one core", Some(100.0), Some(100.0)),
            point("two cores", Some(140.0), Some(147.0)),
            point("never measured", None, None),
        ];
        let chart =
            FilledChart { unit: "req/s".into(), law: Some("law".into()), points, ..FilledChart::default() };
        for size in [WIDE, NARROW] {
            let svg = bars(&chart, size);
            for part in ["140", "two cores", "–", "#D55E00", "req/s"] {
                assert!(svg.contains(part), "{part}: {svg}");
            }
            assert!(!svg.contains("circle"), "two figures are no trend: {svg}");
        }
        let three = (1..=3).map(|n| point("n cores", Some(f64::from(n)), Some(f64::from(n))));
        let trend = FilledChart { points: three.collect(), ..chart.clone() };
        assert!(bars(&trend, WIDE).contains("circle"), "three are");
        let nothing = FilledChart { points: vec![], ..chart };
        assert!(!bars(&nothing, WIDE).contains("NaN"));
    }

    #[test]
    fn names_do_not_lie_on_one_another() {
        let marks = [(100, "one"), (105, "two"), (108, "three"), (200, "four")];
        let placed: Vec<_> = spread(&marks, WIDE, 0).into_iter().map(|(_, y, name)| (name, y)).collect();
        assert_eq!(placed, [("one", 0), ("two", 17), ("four", 0)], "for a third there is no row");
    }
}
