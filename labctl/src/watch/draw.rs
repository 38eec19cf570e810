//! Lays the view out as the lines of a terminal.
#![deny(clippy::disallowed_methods)]

use super::lines::{self, KEYS};
use super::paint::{Line, Look};
use super::state::Second;
use super::view::{Screen, View};

/// Height of one figure's chart in lines, including its heading.
const CHART: usize = 3;
/// Number of lines below the charts that are reserved for the traffics.
const BELOW: usize = 5;

/// A figure per second: its name, its accessor, and its look.
type Figure = (&'static str, fn(&Second) -> f64, Look);

/// Draws everything, in at most as many lines as the terminal has.
pub fn draw(view: &View, width: usize, height: usize) -> Vec<Line> {
    let (header, footer) = (lines::header(view, width), lines::footer(view, width));
    let room = height.saturating_sub(header.len() + 1 + footer.len());
    let body = if view.helps { help() } else { body(view, width, room) };
    let empty = room.saturating_sub(body.len());
    let all = header.into_iter().chain([lines::tabs(view)]).chain(body.into_iter().take(room));
    all.chain(std::iter::repeat_n(Line::default(), empty)).chain(footer).take(height).collect()
}

fn body(view: &View, width: usize, room: usize) -> Vec<Line> {
    let mut shown = if view.screen == Screen::Traffic { charts(view, width, room) } else { vec![] };
    let left = room.saturating_sub(shown.len());
    let (text, seen) = lines::body(view, width);
    // A list scrolls as little as possible, a text exactly as far as requested.
    let above = match view.screen {
        Screen::Lab => (seen + 1).saturating_sub(left),
        _ => seen.min(text.len().saturating_sub(1)),
    };
    shown.extend(text.into_iter().skip(above));
    shown
}

/// Draws the last minute, as far as there is room.
fn charts(view: &View, width: usize, room: usize) -> Vec<Line> {
    let figures: [Figure; 4] = [
        ("due, a second", |second| second.offered, Look::Plain),
        ("ok", |second| second.good, Look::Good),
        ("failed", |second| second.failed, Look::Bad),
        ("p99, ms", |second| second.p99_ms.unwrap_or_default(), Look::Calm),
    ];
    // Rates share one scale, so that they can be compared.
    let most = |figure: fn(&Second) -> f64| view.seconds.iter().map(figure).fold(0.0, f64::max);
    let highest = figures[..3].iter().map(|(_, figure, _)| most(*figure)).fold(1.0, f64::max);
    let fitting = room.saturating_sub(BELOW) / CHART;
    let charts = figures.into_iter().enumerate().take(fitting).flat_map(|(index, (name, figure, look))| {
        let scale = if index < 3 { highest } else { most(figure).max(1.0) };
        let now = view.seconds.back().map_or(0.0, figure);
        // The newest second is at the right.
        let shown = view.seconds.iter().skip(view.seconds.len().saturating_sub(width));
        let [upper, lower] = spark(&shown.map(figure).collect::<Vec<_>>(), scale);
        let title = format!("{name}: {now:.0} now, at most {:.0} in {} s", most(figure), view.seconds.len());
        [Line::new(title, Look::Dim), Line::new(upper, look), Line::new(lower, look)]
    });
    charts.collect()
}

/// Draws figures as bars, two lines high.
fn spark(figures: &[f64], scale: f64) -> [String; 2] {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let level = |figure: f64| (figure / scale * 16.0).round().clamp(0.0, 16.0) as usize;
    let upper = figures.iter().map(|figure| LEVELS[level(*figure).saturating_sub(8)]).collect();
    let lower = figures.iter().map(|figure| LEVELS[level(*figure).min(8)]).collect();
    [upper, lower]
}

fn help() -> Vec<Line> {
    let keys = KEYS.iter().map(|(key, what)| Line::plain(format!("  {key:<10} {what}")));
    [Line::default()].into_iter().chain(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::super::view::Key;
    use super::super::view::tests::view;
    use super::*;

    /// Returns the content of a terminal of this size.
    fn screen(view: &View, width: usize, height: usize) -> String {
        let lines = draw(view, width, height);
        assert!(lines.len() <= height);
        let cut = lines.iter().map(|line| line.text().chars().take(width).collect::<String>());
        cut.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_figure_is_cut_at_60_80_or_120_columns() {
        let mut view = view();
        view.press(Key::Down);
        view.press(Key::Down);
        for width in [60, 80, 120] {
            let shown = screen(&view, width, 24);
            for part in [
                "10. What happens when a server fails",
                "250/s due, 200 ok, 50 failed, p99 263 ms",
                "since web-1 is gone: 148 of 750 failed",
                "1 Lab",
                "users → lb → web ×2 → db",
                "web-2 → db: slow by 200ms",
                "▶✕ web-1",
                "100 %",
                "primary, term 4",
                "at its limit",
                "50.0 s web-1/webserver",
                "? shows the keys",
            ] {
                assert!(shown.contains(part), "{width}: {part}\n{shown}");
            }
            let lines = draw(&view, width, 24);
            assert!(lines.iter().all(|line| line.text().chars().count() <= width), "{width}\n{shown}");
        }
        assert!(screen(&view, 120, 24).contains("57/80 MiB"));
        assert!(screen(&view, 120, 24).contains("killed by signal 9, not by labctl"));
    }

    #[test]
    fn every_screen_is_drawn_at_every_size() {
        for key in '1'..='5' {
            let mut view = view();
            view.press(Key::Char(key));
            for (width, height) in [(60, 24), (80, 24), (120, 40), (20, 5), (1, 1), (0, 0)] {
                screen(&view, width, height);
            }
        }
        let mut view = view();
        view.press(Key::Char('2'));
        let shown = screen(&view, 80, 30);
        let parts = ["failed: 50 now", "shoppers was answered by web-2 100 %", "█"];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
        view.press(Key::Char('3'));
        let shown = screen(&view, 60, 24);
        assert!(shown.contains("$ labctl kill web-1") && shown.contains("· The balancer notices"), "{shown}");
        view.press(Key::Char('5'));
        assert!(screen(&view, 60, 24).contains("no two runs to compare"));
    }

    #[test]
    fn the_chosen_machine_is_seen_on_a_low_terminal() {
        let mut view = view();
        view.press(Key::Up);
        let shown = screen(&view, 80, 8);
        assert!(shown.contains("▶● db"), "{shown}");
    }

    #[test]
    fn the_help_says_every_key() {
        let mut view = view();
        view.press(Key::Char('?'));
        for width in [60, 80, 120] {
            let shown = screen(&view, width, 24);
            for (key, what) in KEYS {
                assert!(shown.contains(key) && shown.contains(what), "{width}: {key}\n{shown}");
            }
        }
    }

    #[test]
    fn bars_are_as_high_as_their_figures() {
        assert_eq!(
            spark(&[0.0, 4.0, 8.0, 12.0, 16.0, 99.0], 16.0),
            ["   ▄██".to_owned(), " ▄████".to_owned()]
        );
    }
}
