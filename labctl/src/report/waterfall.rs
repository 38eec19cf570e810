//! A trace as text: a line per span, with a bar at its position in time. Pure.
#![deny(clippy::disallowed_methods)]

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::traces::{Placed, Trace};

const BAR_WIDTH: u64 = 40;

/// Formats a trace.
pub fn waterfall(trace: &Trace) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["machine", "what", "ms", "own ms", "", ""]);
    for placed in &trace.spans {
        table.add_row([
            format!("{}/{}", placed.span.machine, placed.span.program),
            format!("{}{}", "  ".repeat(placed.depth), placed.span.name),
            ms(placed.span.us),
            ms(placed.own_us),
            bar(trace, placed),
            about(placed),
        ]);
    }
    format!("trace {}, {} ms\n{table}", trace.trace, ms(trace.us()))
}

fn ms(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

fn about(placed: &Placed) -> String {
    let about = placed.span.about.iter().map(|(key, value)| format!("{key}={value}"));
    about.collect::<Vec<_>>().join(" ")
}

/// Draws a span's position and duration within its trace.
fn bar(trace: &Trace, placed: &Placed) -> String {
    let (start, whole) = trace.spans.first().map_or((0, 1), |root| (root.span.start_us, root.span.us.max(1)));
    let at = |us: u64| (us.saturating_sub(start).min(whole) * BAR_WIDTH / whole).min(BAR_WIDTH);
    let (from, to) = (at(placed.span.start_us), at(placed.span.start_us + placed.span.us));
    (0..BAR_WIDTH).map(|place| if place >= from && place < to.max(from + 1) { '█' } else { '·' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::traces::{Span, assemble};

    #[test]
    fn a_waterfall_shows_where_the_time_went() {
        let span = |id: &str, parent: Option<&str>, start_us, us| Span {
            trace: "4bf9".into(),
            span: id.into(),
            parent: parent.map(str::to_owned),
            machine: format!("{id}-1"),
            program: id.into(),
            name: "GET /".into(),
            start_us,
            us,
            about: [("status".to_owned(), "200".to_owned())].into(),
        };
        let traces = assemble(vec![span("lb", None, 1_000, 8_000), span("web", Some("lb"), 5_000, 2_000)]);
        let text = waterfall(&traces[0]);
        assert!(text.starts_with("trace 4bf9, 8.000 ms\n"), "{text}");
        let line = text.lines().last().expect("there is one");
        let wanted = format!("{}{}{}", "·".repeat(20), "█".repeat(10), "·".repeat(10));
        assert!(line.contains("web-1/web") && line.contains("  GET /") && line.contains("2.000"), "{line}");
        assert!(line.contains(&wanted) && line.contains("status=200"), "{line}");
    }
}
