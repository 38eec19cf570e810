//! A machine that fills up: its memory in use up to the limit, and below it the jobs that wait for its cores.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{BAD, CALM, Drawing, GOOD, INK, Size, mesh, spread, write_labels};
use crate::runner::Filled;

/// The data of the chart.
#[derive(Debug)]
pub struct Filling<'a> {
    /// Samples over time.
    pub filled: &'a [Filled],
    /// Beginning and end in seconds.
    pub stretch: (f64, f64),
    /// When the machine died for good, if it did.
    pub gone: Option<f64>,
    /// When each step began, counted from the beginning of the chart.
    pub steps: Vec<(String, f64)>,
}

/// The unit of memory in the chart.
const MIB: f64 = 1024.0 * 1024.0;

/// Draws the chart.
pub fn filling(what: &Filling<'_>, size: Size) -> String {
    super::drawn(Size { height: size.height + 90, ..size }, |root, size| draw(root, what, size))
}

fn draw(root: &Drawing<'_>, what: &Filling<'_>, size: Size) -> super::Done {
    let (from, to) = what.stretch;
    let inside = || what.filled.iter().filter(|filled| (from..to).contains(&filled.at));
    let memory: Vec<_> = inside().map(|filled| (filled.at - from, filled.held as f64 / MIB)).collect();
    let waiting: Vec<_> = inside().map(|filled| (filled.at - from, filled.waiting as f64)).collect();
    let limit = inside().map(|filled| filled.limit as f64 / MIB).fold(0.0, f64::max);
    let (upper, lower) = root.split_vertically(i32::try_from(size.height * 6 / 10).unwrap_or(i32::MAX));
    let row = Row { length: (to - from).max(0.1), gone: what.gone.map(|gone| gone - from), size };
    let steps: Vec<_> = what.steps.iter().map(|(name, at)| (*at, name.as_str())).collect();
    row.draw(&upper, &memory, "MiB held", GOOD, Some(limit).filter(|limit| *limit > 0.0), &steps)?;
    row.draw(&lower, &waiting, "jobs wait", CALM, None, &[])
}

/// Settings that both rows share.
struct Row {
    length: f64,
    gone: Option<f64>,
    size: Size,
}

impl Row {
    fn draw(
        &self,
        area: &Drawing<'_>,
        points: &[(f64, f64)],
        unit: &str,
        color: RGBColor,
        limit: Option<f64>,
        steps: &[(f64, &str)],
    ) -> super::Done {
        let size = self.size;
        let high = points.iter().map(|(_, figure)| *figure).fold(limit.unwrap_or(1.0), f64::max) * 1.15;
        let above = if steps.is_empty() { 4 } else { 2 * size.text + 8 };
        let mut plot = ChartBuilder::on(area)
            .margin_top(above)
            .margin_right(8)
            .x_label_area_size(2 * size.text + 14)
            .y_label_area_size(if size.is_narrow() { 46 } else { 58 })
            .build_cartesian_2d(0.0..self.length, 0.0..high)?;
        mesh(&mut plot, size)
            .x_label_formatter(&|seconds| format!("{seconds:.0}"))
            .y_label_formatter(&|figure| format!("{figure:.0}"))
            .x_labels(if size.is_narrow() { 5 } else { 10 })
            .y_labels(4)
            .x_desc("seconds")
            .y_desc(unit)
            .draw()?;
        plot.draw_series(
            AreaSeries::new(points.iter().copied(), 0.0, color.mix(0.55)).border_style(color.stroke_width(2)),
        )?;
        if let Some(limit) = limit {
            let line = [(0.0, limit), (self.length, limit)];
            plot.draw_series(DashedLineSeries::new(line, 6, 4, INK.stroke_width(2)))?;
            let place = plot.backend_coord(&(0.0, limit));
            let style = ("sans-serif", size.text).into_font().color(&INK);
            let style = style.pos(Pos::new(HPos::Left, VPos::Bottom));
            area.draw_text(&format!("all there is: {limit:.0} MiB"), &style, (place.0 + 4, place.1 - 2))?;
        }
        let line = |at: f64| PathElement::new(vec![(at, 0.0), (at, high)], INK.mix(0.45));
        plot.draw_series(steps.iter().map(|(at, _)| line(*at)))?;
        if let Some(gone) = self.gone.filter(|gone| *gone < self.length) {
            let line = PathElement::new(vec![(gone, 0.0), (gone, high)], BAD.stroke_width(2));
            plot.draw_series([line])?;
            if limit.is_some() {
                let (x, y) = plot.backend_coord(&(gone, high));
                let style = ("sans-serif", size.text).into_font().color(&BAD);
                let style = style.pos(Pos::new(HPos::Right, VPos::Top));
                area.draw_text("✕ killed", &style, (x - 4, y + 2))?;
            }
        }
        let marks: Vec<_> =
            steps.iter().map(|(at, name)| (plot.backend_coord(&(*at, high)).0, *name)).collect();
        write_labels(area, &spread(&marks, size, 4), size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NARROW, WIDE};
    use super::*;

    #[test]
    fn memory_grows_to_the_limit_and_the_machine_is_killed() {
        let at = |tenth: u64| Filled {
            at: tenth as f64 / 10.0,
            held: tenth << 20,
            limit: 80 << 20,
            waiting: tenth as usize / 2,
        };
        let filled: Vec<_> = (0..80).map(at).collect();
        let what = Filling {
            filled: &filled,
            stretch: (2.0, 9.0),
            gone: Some(8.0),
            steps: vec![("calm".into(), 0.0), ("beyond".into(), 3.0)],
        };
        for size in [WIDE, NARROW] {
            let svg = filling(&what, size);
            for part in ["all there is: 80 MiB", "killed", "beyond", "jobs wait", "#D55E00"] {
                assert!(svg.contains(part), "{part}: {svg}");
            }
        }
    }
}
