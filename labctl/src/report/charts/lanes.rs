//! Traffics in lanes, one below the other: due, answered and failed requests on one scale.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{BAD, Drawing, GOOD, INK, LETTER, Size, TRIED, in_seconds, mesh, spread, write_labels};
use crate::report::lanes::LaneCourse;

/// Height of a lane without its text.
const LANE: u32 = 92;

/// Draws the lanes of a run. `limit` is the machines' capacity in requests per second.
pub fn lanes(lanes: &[LaneCourse], limit: Option<f64>, size: Size) -> String {
    let height = lanes.len() as u32 * (LANE + 2 * size.text) + foot(size);
    super::drawn(Size { height, ..size }, |root, size| draw(root, lanes, limit, size))
}

fn draw(root: &Drawing<'_>, lanes: &[LaneCourse], limit: Option<f64>, size: Size) -> super::Done {
    let most = |figure: fn(&crate::report::lanes::Span) -> f64| {
        lanes.iter().flat_map(|lane| &lane.spans).map(figure).fold(0.0, f64::max)
    };
    let asks_again = lanes.iter().any(LaneCourse::asks_again);
    let work = if asks_again { most(|span| span.work) } else { 0.0 };
    let high = most(|span| span.ok.max(span.offered)).max(work).max(limit.unwrap_or(0.0)).max(1.0) * 1.1;
    let low = -(most(|span| span.failed).max(high / 10.0) * 1.05);
    let longest = lanes.iter().map(|lane| lane.length).fold(1.0, f64::max);
    let foot = foot(size);
    let (rows, _) = root.split_vertically((size.height - foot) as i32);
    let areas = rows.split_evenly((lanes.len().max(1), 1));
    for (number, (area, lane)) in areas.iter().zip(lanes).enumerate() {
        let steps_too = number == 0 || lane.steps != lanes[number - 1].steps;
        one(area, lane, &Scale { low, high, longest, limit, steps_too }, size)?;
    }
    axis(root, longest, size)
}

/// Returns the height of the axis below all lanes.
fn foot(size: Size) -> u32 {
    2 * size.text + 16
}

/// Settings that all lanes of a chart share.
struct Scale {
    low: f64,
    high: f64,
    longest: f64,
    limit: Option<f64>,
    /// Whether to write the steps of this lane: not if they equal those of the lane above.
    steps_too: bool,
}

/// Returns the left and right margins of the plot.
fn sides(size: Size) -> (u32, u32) {
    (if size.is_narrow() { 40 } else { 52 }, 10)
}

fn one(area: &Drawing<'_>, lane: &LaneCourse, scale: &Scale, size: Size) -> super::Done {
    let (left, right) = sides(size);
    let Scale { low, high, longest, limit, steps_too } = *scale;
    let mut plot = ChartBuilder::on(area)
        .margin_top(2 * size.text + 4)
        .margin_right(right)
        .y_label_area_size(left)
        .build_cartesian_2d(0.0..longest, low..high)?;
    mesh(&mut plot, size)
        .disable_x_axis()
        .y_label_formatter(&|figure| format!("{:.0}", figure.abs()))
        .y_labels(3)
        .draw()?;
    let points = |figure: fn(&crate::report::lanes::Span) -> f64| {
        let middle = move |index: usize| (index as f64 + 0.5) * lane.width;
        lane.spans.iter().enumerate().map(move |(index, span)| (middle(index), figure(span)))
    };
    plot.draw_series(AreaSeries::new(points(|span| span.ok), 0.0, GOOD.mix(0.75)).border_style(GOOD))?;
    plot.draw_series(points(|span| -span.failed).filter(|(_, failed)| *failed < 0.0).map(|(at, failed)| {
        let half = lane.width * 0.45;
        Rectangle::new([(at - half, 0.0), (at + half, failed)], BAD.filled())
    }))?;
    plot.draw_series(LineSeries::new(points(|span| span.offered), INK.stroke_width(1)))?;
    if lane.asks_again() {
        plot.draw_series(LineSeries::new(points(|span| span.work), TRIED.stroke_width(2)))?;
    }
    if let Some(limit) = limit {
        plot.draw_series(DashedLineSeries::new([(0.0, limit), (longest, limit)], 6, 4, INK.stroke_width(2)))?;
    }
    let marks: Vec<_> = lane.steps.iter().map(|(name, at)| (*at, name.as_str())).collect();
    if lane.steps.len() > 1 {
        let line = |(at, _): &(f64, &str)| PathElement::new(vec![(*at, low), (*at, high)], INK.mix(0.45));
        plot.draw_series(marks.iter().map(line))?;
    }
    let x = |moment: f64| plot.backend_coord(&(moment, 0.0)).0;
    let row = size.text as i32 + 2;
    write_title(area, lane, size)?;
    if steps_too && lane.steps.len() > 1 {
        let places: Vec<_> = marks.iter().map(|(at, name)| (x(*at), *name)).collect();
        let labels = spread(&places, size, row);
        let one_row: Vec<_> = labels.into_iter().filter(|(_, y, _)| *y == row).collect();
        write_labels(area, &one_row, size)?;
    }
    Ok(())
}

/// Writes a lane's label and its result.
fn write_title(area: &Drawing<'_>, lane: &LaneCourse, size: Size) -> super::Done {
    let bold = ("sans-serif", size.text, FontStyle::Bold).into_font().color(&INK);
    let (left, right) = sides(size);
    let told = lane.told();
    area.draw_text(&fitting(&lane.label, &told, size), &bold, (left as i32, 1))?;
    let color = if lane.failed > 0 { BAD } else { GOOD };
    let end = bold.color(&color).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw_text(&told, &end, ((size.width - right) as i32, 1))?;
    Ok(())
}

/// Truncates a label to the room beside the result.
fn fitting(label: &str, told: &str, size: Size) -> String {
    let letters = (f64::from(size.width - 60) / (f64::from(size.text) * LETTER)) as usize;
    let room = letters.saturating_sub(told.chars().count() + 2);
    match label.chars().count() {
        length if length <= room => label.to_owned(),
        _ => label.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Draws the axis of seconds, below all lanes.
fn axis(root: &Drawing<'_>, longest: f64, size: Size) -> super::Done {
    let (left, right) = sides(size);
    let foot = foot(size);
    let (_, below) = root.split_vertically((size.height - foot) as i32);
    let text = ("sans-serif", size.text).into_font().color(&INK);
    let mut plot = ChartBuilder::on(&below)
        .margin_right(right)
        .x_label_area_size(foot - 1)
        .y_label_area_size(left)
        .build_cartesian_2d(0.0..longest, 0.0..1.0)?;
    plot.configure_mesh()
        .disable_mesh()
        .disable_y_axis()
        .axis_style(INK.mix(0.5))
        .label_style(text.clone())
        .x_label_formatter(&in_seconds(longest))
        .x_labels(if size.is_narrow() { 5 } else { 10 })
        .x_desc("seconds; requests a second upwards, failed ones downwards")
        .axis_desc_style(text)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{NARROW, WIDE};
    use super::*;
    use crate::report::lanes::Span;

    fn lane(label: &str, failed: f64) -> LaneCourse {
        let span = Span { offered: 70.0, ok: 70.0 - failed, failed, work: 70.0 + 3.0 * failed };
        let steps = vec![("well".to_owned(), 0.0), ("crash".to_owned(), 2.0)];
        let failed = failed as usize;
        LaneCourse {
            label: label.into(),
            length: 4.0,
            width: 0.1,
            spans: vec![span; 40],
            steps,
            requests: 99,
            failed,
        }
    }

    #[test]
    fn each_lane_says_what_it_is_and_how_many_failed() {
        for size in [WIDE, NARROW] {
            let svg = lanes(&[lane("once", 0.0), lane("storm", 60.0)], Some(100.0), size);
            for part in
                ["once", "none of 99 failed", "storm", "60 of 99 failed", "crash", "#0072B2", "#D55E00"]
            {
                assert!(svg.contains(part), "{part}: {svg}");
            }
            assert_eq!(svg.matches(">\ncrash\n<").count(), 1, "the same steps are written once");
        }
        assert!(!lanes(&[], None, WIDE).contains("NaN"));
    }
}
