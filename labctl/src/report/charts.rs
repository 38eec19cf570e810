//! Charts as SVG, drawn by `plotters`. The only module that knows it.

use plotters::prelude::*;

use super::requests::Bin;
use super::windows::FaultWindow;

const WIDTH: u32 = 920;
const HEIGHT: u32 = 210;
/// Readable on white and on black.
const INK: RGBColor = RGBColor(128, 134, 145);
const GOOD: RGBColor = RGBColor(47, 158, 98);
const BAD: RGBColor = RGBColor(214, 64, 69);
const CALM: RGBColor = RGBColor(64, 116, 201);
const SHADE: RGBColor = RGBColor(214, 64, 69);

/// One traffic over time.
#[derive(Debug)]
pub struct Timeline<'a> {
    /// Its spans of time.
    pub bins: &'a [Bin],
    /// How many seconds each has.
    pub width: f64,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// When something was broken.
    pub faults: &'a [FaultWindow],
    /// When each step began, in seconds.
    pub steps: &'a [(String, f64)],
}

impl Timeline<'_> {
    /// Good and failed requests a second, over time.
    pub fn rates(&self) -> String {
        let highest = self.bins.iter().map(|bin| bin.ok + bin.failed).fold(1.0, f64::max) * 1.1;
        let all = self.points(|bin| Some(bin.ok + bin.failed));
        let good = self.points(|bin| Some(bin.ok));
        self.chart("requests/s", highest, &[(all, BAD, Look::Filled), (good, GOOD, Look::Filled)])
    }

    /// The median and the slowest percent of good answers, over time.
    pub fn latencies(&self) -> String {
        let highest = self.bins.iter().filter_map(|bin| bin.p99).fold(1.0, f64::max) * 1.1;
        let (p99, p50) = (self.points(|bin| bin.p99), self.points(|bin| bin.p50));
        self.chart("ms", highest, &[(p99, CALM, Look::Line), (p50, GOOD, Look::Line)])
    }

    /// Points in unbroken runs: where there is no figure, the line is interrupted.
    fn points(&self, figure: impl Fn(&Bin) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
        let mut runs: Vec<Vec<(f64, f64)>> = vec![vec![]];
        for (index, bin) in self.bins.iter().enumerate() {
            match figure(bin) {
                Some(figure) => {
                    let run = runs.last_mut().expect("there is always one");
                    run.push(((index as f64 + 0.5) * self.width, figure));
                }
                None => runs.push(vec![]),
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }

    fn chart(&self, unit: &str, highest: f64, lines: &[Drawn]) -> String {
        let mut svg = String::new();
        // Drawing into a string fails only on what a chart cannot have: an empty range.
        let drawn = self.draw(&mut svg, unit, highest, lines);
        if drawn.is_err() { String::new() } else { svg }
    }

    fn draw(
        &self,
        svg: &mut String,
        unit: &str,
        highest: f64,
        lines: &[Drawn],
    ) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..self.seconds.max(1.0), 0.0..highest)?;
        let text = ("sans-serif", 11).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.18))
            .axis_style(INK.mix(0.5))
            .label_style(text.clone())
            .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
            .y_label_formatter(&|figure| format!("{figure:.0}"))
            .y_desc(unit)
            .axis_desc_style(text)
            .y_labels(5)
            .draw()?;
        let shades = self
            .faults
            .iter()
            .map(|fault| Rectangle::new([(fault.from, 0.0), (fault.to, highest)], SHADE.mix(0.10).filled()));
        chart.draw_series(shades)?;
        let steps = self
            .steps
            .iter()
            .map(|(_, at)| PathElement::new(vec![(*at, 0.0), (*at, highest)], INK.mix(0.35)));
        chart.draw_series(steps)?;
        for (runs, color, look) in lines {
            for run in runs {
                match look {
                    Look::Filled => {
                        let area = AreaSeries::new(run.iter().copied(), 0.0, color.mix(0.9));
                        chart.draw_series(area.border_style(color))?;
                    }
                    Look::Line => {
                        chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
                    }
                }
            }
        }
        root.present()?;
        Ok(())
    }
}

/// A figure over time: its unbroken runs of points, and how they are drawn.
type Drawn = (Vec<Vec<(f64, f64)>>, RGBColor, Look);

#[derive(Debug, Clone, Copy)]
enum Look {
    Filled,
    Line,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_its_lines_and_shades_its_faults() {
        let bin = |ok, failed| Bin { ok, failed, p99: (ok > 0.0).then_some(20.0), p50: Some(5.0) };
        let bins = [bin(10.0, 0.0), bin(0.0, 10.0), bin(10.0, 0.0)];
        let fault = FaultWindow { what: "web-1 is gone".into(), from: 1.0, to: 2.0 };
        let steps = [("crash".to_owned(), 1.0)];
        let timeline = Timeline { bins: &bins, width: 1.0, seconds: 3.0, faults: &[fault], steps: &steps };
        let rates = timeline.rates();
        assert!(rates.starts_with("<svg") && rates.contains("requests/s"), "{rates}");
        assert!(rates.contains("#2F9E62") && rates.contains("#D64045"), "good and bad are both there");
        assert_eq!(timeline.points(|bin| bin.p99).len(), 2, "the line is interrupted where nothing was good");
        assert!(timeline.latencies().contains("ms"));
    }
}
