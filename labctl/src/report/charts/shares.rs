//! Answers by server, stacked, with the failures on top.

use plotters::prelude::*;

use super::{BAD, Drawing, INK, Size, in_seconds, mesh, spread, write_labels};
use crate::report::lanes::Shares;

/// Colours for servers that colour-blind readers can tell apart, also from the orange of failures (Okabe and
/// Ito).
const SERVERS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(128, 134, 145),
];

/// Returns the colour of a server, by its position in the picture.
pub fn color_of(place: usize) -> String {
    let RGBColor(red, green, blue) = SERVERS[place % SERVERS.len()];
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Draws the chart.
pub fn shares(shares: &Shares, size: Size) -> String {
    super::drawn(size, |root, size| draw(root, shares, size))
}

fn draw(root: &Drawing<'_>, shares: &Shares, size: Size) -> super::Done {
    let count = shares.failed.len();
    let mut levels = vec![vec![0.0; count]];
    for (_, answered) in &shares.servers {
        let below = levels.last().expect("there is always one");
        levels.push(below.iter().zip(answered).map(|(below, more)| below + more).collect());
    }
    let top = levels.last().expect("there is always one").clone();
    let high = top.iter().zip(&shares.failed).map(|(good, failed)| good + failed).fold(1.0, f64::max) * 1.1;
    let mut plot = ChartBuilder::on(root)
        .margin(6)
        .margin_top(2 * size.text + 8)
        .x_label_area_size(2 * size.text + 14)
        .y_label_area_size(if size.is_narrow() { 46 } else { 58 })
        .build_cartesian_2d(0.0..shares.length, 0.0..high)?;
    mesh(&mut plot, size)
        .x_label_formatter(&in_seconds(shares.length))
        .y_label_formatter(&|figure| format!("{figure:.0}"))
        .x_labels(if size.is_narrow() { 5 } else { 10 })
        .y_labels(5)
        .x_desc("seconds")
        .y_desc("requests/s")
        .draw()?;
    for (place, pair) in levels.windows(2).enumerate() {
        let color = SERVERS[place % SERVERS.len()];
        plot.draw_series(
            bars(&pair[0], &pair[1], shares).map(|corners| Rectangle::new(corners, color.filled())),
        )?;
    }
    let above: Vec<_> = top.iter().zip(&shares.failed).map(|(good, failed)| good + failed).collect();
    plot.draw_series(bars(&top, &above, shares).map(|corners| Rectangle::new(corners, BAD.filled())))?;
    let line = |at: f64| PathElement::new(vec![(at, 0.0), (at, high)], INK.mix(0.6));
    plot.draw_series(shares.steps.iter().map(|(_, at)| line(*at)))?;
    let marks: Vec<_> =
        shares.steps.iter().map(|(name, at)| (plot.backend_coord(&(*at, high)).0, name.as_str())).collect();
    write_labels(root, &spread(&marks, size, 6), size)
}

/// Returns the rectangles between two levels, bin by bin, without empty ones.
fn bars<'a>(
    low: &'a [f64],
    high: &'a [f64],
    shares: &'a Shares,
) -> impl Iterator<Item = [(f64, f64); 2]> + 'a {
    let corners = |(index, (low, high)): (usize, (&f64, &f64))| {
        let from = index as f64 * shares.width;
        (high > low).then(|| [(from, *low), ((from + shares.width).min(shares.length), *high)])
    };
    low.iter().zip(high).enumerate().filter_map(corners)
}

#[cfg(test)]
mod tests {
    use super::super::{NARROW, WIDE};
    use super::*;

    #[test]
    fn servers_are_stacked_and_failures_lie_on_top() {
        let picture = Shares {
            length: 2.0,
            width: 1.0,
            servers: vec![("web-1".into(), vec![50.0, 0.0]), ("web-2".into(), vec![50.0, 50.0])],
            failed: vec![0.0, 50.0],
            steps: vec![("well".into(), 0.0), ("crash".into(), 1.0)],
        };
        for size in [WIDE, NARROW] {
            let svg = shares(&picture, size);
            for part in ["#0072B2", "#56B4E9", "#D55E00", "crash"] {
                assert!(svg.contains(part), "{part}: {svg}");
            }
        }
        assert_eq!(color_of(0), "#0072b2");
        assert_eq!(color_of(5), color_of(0));
    }
}
