//! Writes log lines without blocking. If the reader of a pipe stops reading, a thread that logs would block in the
//! middle of its work, holding its locks. So a line that does not fit is dropped and counted.

use std::io::{self, Stderr, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for room, unless the previous line already waited in vain.
const PATIENCE: Duration = Duration::from_millis(20);

/// The most bytes that a pipe with room accepts without blocking (`PIPE_BUF`).
const PIECE_BYTES: usize = 4096;

/// A writer of log lines that never blocks.
#[derive(Debug)]
pub struct LogLines<W>(Mutex<Output<W>>);

#[derive(Debug)]
struct Output<W> {
    to: W,
    /// Lines dropped since the last one that was written.
    lost: u64,
}

impl LogLines<Stderr> {
    /// Writes to stderr.
    pub fn to_stderr() -> Self {
        Self::new(io::stderr())
    }
}

impl<W: Write + AsFd> LogLines<W> {
    fn new(to: W) -> Self {
        Self(Mutex::new(Output { to, lost: 0 }))
    }
}

impl<'a, W: Write + AsFd + 'a> MakeWriter<'a> for LogLines<W> {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl<W: Write + AsFd> Write for &LogLines<W> {
    /// Writes a line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut output = self.0.lock();
        let patience = if output.lost == 0 { PATIENCE } else { Duration::ZERO };
        if output.lost > 0 && has_room(&output.to, Duration::ZERO) {
            let told = notice(output.lost, line.starts_with(b"{"));
            output.lost = 0;
            output.to.write_all(told.as_bytes())?;
        }
        for piece in line.chunks(PIECE_BYTES) {
            if !has_room(&output.to, patience) {
                output.lost += 1;
                break;
            }
            output.to.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that reports dropped lines, in the log's format.
fn notice(lost: u64, in_json: bool) -> String {
    let told = format!("{lost} lines of this log are missing here: nobody read them");
    match in_json {
        true => format!("{{\"level\":\"WARN\",\"fields\":{{\"message\":\"{told}\"}}}}\n"),
        false => format!("WARN {told}\n"),
    }
}

/// True if a write would not block, which includes a write that would fail at once.
fn has_room(to: &impl AsFd, patience: Duration) -> bool {
    let mut files = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    // If polling fails, try to write.
    poll(&mut files, patience).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    #[test]
    fn lines_that_nobody_reads_are_lost_and_counted_and_nobody_waits() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = LogLines::new(writer);
        let began = Instant::now();
        for number in 0..2_000 {
            let line = format!("INFO {number} {}\n", "x".repeat(200));
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(lines.0.lock().lost > 0);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while lines.0.lock().lost > 0 {
            (&lines).write_all(b"INFO last\n").unwrap();
        }
        drop(lines);
        let text = reading.join().unwrap();
        let mut last = text.lines().rev();
        assert_eq!(last.next(), Some("INFO last"));
        assert!(last.next().unwrap().ends_with("lines of this log are missing here: nobody read them"));
        assert!(last.next().unwrap().starts_with("INFO "), "and those before are whole");
    }
}
