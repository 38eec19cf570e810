//! Progress of a long measurement, with the time left: a bar on a terminal, one line per part elsewhere. Work
//! is counted in expected seconds.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use parking_lot::Mutex;

use crate::runner::{EventKind, Observer, RunEvent};

/// Without a bar, interval between reports of the time left.
const SAID_EVERY: Duration = Duration::from_secs(30);

/// Shows the progress of a long measurement.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    work: Arc<Mutex<Work>>,
    started: Instant,
    /// When the time left was last reported.
    said: Mutex<Instant>,
}

/// Work in expected seconds.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    all: f64,
    done: f64,
}

impl Work {
    /// Estimates the remaining time from the pace so far; initially, from the expectation.
    fn left(self, elapsed: Duration) -> Duration {
        let rest = (self.all - self.done).max(0.0);
        // A little work says little about the pace, so the expectation weighs as much as ten seconds of it.
        let pace = (elapsed.as_secs_f64() + 10.0) / (self.done + 10.0);
        Duration::try_from_secs_f64(rest * pace).unwrap_or_default()
    }
}

impl Progress {
    /// Starts with no expected work.
    pub fn begin() -> Self {
        use std::io::IsTerminal;
        let (work, started) = (Arc::new(Mutex::new(Work::default())), Instant::now());
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:28.cyan/dim} {percent:>3} %  {left} · {wide_msg}");
            let style = style.expect("the template is valid").progress_chars("━━─");
            let work = Arc::clone(&work);
            // Computed on every redraw, because time passes even while no part is completed.
            let style = style.with_key("left", move |_: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{} left", minutes(work.lock().left(started.elapsed())));
            });
            let bar = ProgressBar::new(1000).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, work, started, said: Mutex::new(started) }
    }

    /// Adds expected work, in seconds.
    fn expect(&self, seconds: f64) {
        self.work.lock().all += seconds;
        self.draw(None);
    }

    /// Shows the current activity.
    fn doing(&self, what: &str) {
        self.draw(Some(what));
    }

    /// Adds completed work, in expected seconds.
    fn done(&self, seconds: f64) {
        self.work.lock().done += seconds;
        self.draw(None);
    }

    /// Prints a line that stays.
    fn line(&self, text: &str) {
        let print = || drop(writeln!(std::io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => {
                print();
                self.say_what_is_left();
            }
        }
    }

    /// Prints something while the bar is out of the way.
    pub fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn say_what_is_left(&self) {
        let mut said = self.said.lock();
        if said.elapsed() >= SAID_EVERY {
            *said = Instant::now();
            let left = self.work.lock().left(self.started.elapsed());
            drop(writeln!(std::io::stderr(), "  … about {} left", minutes(left)));
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, doing: Option<&str>) {
        let Some(bar) = &self.bar else { return };
        let work = *self.work.lock();
        bar.set_position((1000.0 * work.done / work.all.max(1e-9)).clamp(0.0, 1000.0) as u64);
        if let Some(doing) = doing {
            bar.set_message(doing.to_owned());
        }
    }
}

impl Observer for Progress {
    fn on(&self, event: &RunEvent<'_>) {
        match event.kind {
            EventKind::AuditBegins { seconds, .. } | EventKind::Expected { seconds } => self.expect(seconds),
            EventKind::Fault { architecture, title } => {
                self.doing(&format!("auditing {architecture}: {title}"));
            }
            EventKind::FaultEnded { architecture, title, worst, seconds } => {
                self.done(seconds);
                self.line(&format!("  {architecture}: {title} → {worst}"));
            }
            EventKind::Doing { what } => self.doing(what),
            EventKind::Done { found, seconds } => {
                self.done(seconds);
                self.line(&format!("  {found}"));
            }
            EventKind::Note { text } => self.line(&format!("  {text}")),
            // Runs are reported by `Terminal`.
            _ => {}
        }
    }
}

/// Formats a duration for people.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 { format!("{} min {:02} s", seconds / 60, seconds % 60) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(all: f64, done: f64, elapsed: u64) -> u64 {
        Work { all, done }.left(Duration::from_secs(elapsed)).as_secs()
    }

    #[test]
    fn what_is_left_is_as_expected_at_first_and_then_as_it_went() {
        assert_eq!(left(100.0, 0.0, 0), 100);
        assert_eq!(left(100.0, 50.0, 50), 50);
        assert!(left(1000.0, 500.0, 1000) > 900, "it went at half the pace");
        assert!(left(1000.0, 500.0, 250) < 300, "it went at twice the pace");
        assert_eq!(left(100.0, 120.0, 50), 0);
    }

    #[test]
    fn times_are_told_in_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(42)), "42 s");
        assert_eq!(minutes(Duration::from_secs(185)), "3 min 05 s");
    }
}
