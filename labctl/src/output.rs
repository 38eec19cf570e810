//! Standard output, which may be a closed pipe or a file on a full disk. Write errors never abort a command:
//! it completes its work, and only a result that could not be written changes a successful exit code.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first write error. There is one standard output per process.
static PROBLEM: OnceLock<io::Error> = OnceLock::new();

/// Whether anything was written to standard output.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Returns whether anything was written to standard output.
pub fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Prints a line on standard output.
pub fn line(text: impl Display) {
    // `Output` records the error.
    let _ = writeln!(Output, "{text}");
}

/// Standard output as a writer that never returns an error.
#[derive(Debug, Clone, Copy)]
pub struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BEGUN.store(true, Ordering::Relaxed);
        if PROBLEM.get().is_none() {
            note(io::stdout().lock().write_all(bytes));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if PROBLEM.get().is_none() {
            note(io::stdout().lock().flush());
        }
        Ok(())
    }
}

/// Records a write error of standard output.
pub fn note(written: io::Result<()>) {
    if let Err(problem) = written {
        // Only the first error matters.
        let _ = PROBLEM.set(problem);
    }
}

/// Returns whether standard output is broken, so that endless output can stop.
pub fn is_gone() -> bool {
    PROBLEM.get().is_some()
}

/// Returns the final exit code for a command's own code, and a message if output was lost.
pub fn exit_code(code: u8) -> (u8, Option<String>) {
    let _ = Output.flush();
    judge(code, PROBLEM.get())
}

/// A reader that went away (`| head`) has what it wanted. Any other write error turns success into failure,
/// but never hides a command's own failure code.
fn judge(code: u8, problem: Option<&io::Error>) -> (u8, Option<String>) {
    const BROKEN: u8 = 5;
    match problem {
        Some(problem) if problem.kind() != ErrorKind::BrokenPipe => {
            let code = if code == 0 { BROKEN } else { code };
            (code, Some(format!("standard output could not be written to its end: {problem}")))
        }
        _ => (code, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_changes_nothing() {
        let gone = io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!((judge(0, Some(&gone)), judge(1, Some(&gone))), ((0, None), (1, None)));
    }

    #[test]
    fn what_could_not_be_written_is_no_success_and_hides_no_failure() {
        let full = io::Error::from(ErrorKind::StorageFull);
        let (code, said) = judge(0, Some(&full));
        assert!(code == 5 && said.unwrap().starts_with("standard output could not be written"));
        assert_eq!((judge(1, Some(&full)).0, judge(3, Some(&full)).0), (1, 3));
    }
}
