//! Writes log lines without blocking, and without failing. If the reader of a pipe stops reading, a thread that
//! logs would block in the middle of its work, holding its locks; if the disk is full, it would panic. So a line
//! that cannot be written is dropped and counted.

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
    /// True if the last line was written in part.
    is_cut: bool,
}

impl LogLines<Stderr> {
    /// Writes to stderr.
    pub fn to_stderr() -> Self {
        Self::new(io::stderr())
    }
}

impl<W: Write + AsFd> LogLines<W> {
    fn new(to: W) -> Self {
        Self(Mutex::new(Output { to, lost: 0, is_cut: false }))
    }
}

impl<'a, W: Write + AsFd + 'a> MakeWriter<'a> for LogLines<W> {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl<W: Write + AsFd> Write for &LogLines<W> {
    /// Writes a line, or drops it. Never fails: tracing reports an error on stderr, and panics if that fails, too.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().put_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write + AsFd> Output<W> {
    fn put_line(&mut self, line: &[u8]) {
        let patience = if self.lost == 0 { PATIENCE } else { Duration::ZERO };
        if self.lost > 0 && has_room(&self.to, Duration::ZERO) {
            let told = notice(self.lost, self.is_cut, line.starts_with(b"{"));
            if self.put(told.as_bytes()).is_err() {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        for piece in line.chunks(PIECE_BYTES) {
            if !has_room(&self.to, patience) || self.put(piece).is_err() {
                self.lost += 1;
                return;
            }
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_cut = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The line that reports dropped lines, in the log's format. It ends a line that was cut.
fn notice(lost: u64, is_cut: bool, in_json: bool) -> String {
    let end = if is_cut { "\n" } else { "" };
    let told = format!("{lost} lines of this log are missing here: they could not be written");
    match in_json {
        true => format!("{end}{{\"level\":\"WARN\",\"fields\":{{\"message\":\"{told}\"}}}}\n"),
        false => format!("{end}WARN {told}\n"),
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
        assert!(
            last.next().unwrap().ends_with("lines of this log are missing here: they could not be written")
        );
        assert!(last.next().unwrap().starts_with("INFO "), "and those before are whole");
    }

    /// A log on a disk that is full from its `room`-th byte on, until there is room again.
    struct SmallDisk {
        file: std::fs::File,
        room: usize,
        text: Vec<u8>,
    }

    impl AsFd for SmallDisk {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = bytes.len().min(self.room - self.text.len());
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.extend_from_slice(&bytes[..room]);
            Ok(room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_lost_and_counted_and_nothing_fails() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let lines = LogLines::new(SmallDisk { file, room: 11, text: vec![] });
        for number in 1..=3 {
            (&lines).write_all(format!("INFO {number}\n").as_bytes()).unwrap();
        }
        lines.0.lock().to.room = 1_000;
        (&lines).write_all(b"INFO 4\n").unwrap();
        let text = String::from_utf8(lines.0.into_inner().to.text).unwrap();
        let told = "WARN 2 lines of this log are missing here: they could not be written";
        assert_eq!(text, format!("INFO 1\nINFO\n{told}\nINFO 4\n"));
    }
}
