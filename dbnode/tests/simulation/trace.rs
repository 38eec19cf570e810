//! Records what happened: as a hash, which is the same for identical runs, and on request as text.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

/// Maximum number of lines kept, from the end; SIMULATION_LINES overrides it.
const LINES: u64 = 400;

/// A record of what happened.
#[derive(Debug)]
pub struct Trace {
    kept: Kept,
    lines_max: u64,
    hash: u64,
    lines: VecDeque<String>,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: most seeds are only judged.
    Nothing,
    /// The hash and the last lines.
    All,
}

impl Trace {
    /// An empty trace.
    pub fn new(kept: Kept) -> Self {
        let lines_max = crate::seeds::setting("SIMULATION_LINES", LINES);
        Self { kept, lines_max, hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new() }
    }

    /// Records an event.
    pub fn note(&mut self, now: Duration, what: fmt::Arguments<'_>) {
        if self.kept == Kept::Nothing {
            return;
        }
        let mut line = String::new();
        let _ = write!(line, "{:>12.6} ms  {what}", now.as_secs_f64() * 1e3);
        // FNV-1a.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.lines.len() as u64 == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The hash of everything that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last events.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
