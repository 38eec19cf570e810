//! Standard output, which may be a pipe whose reader has gone or a file on a full disk. Whatever becomes of
//! it, a command does what it was asked and ends with the code that it would have ended with.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first thing that went wrong with it. There is one standard output in a process.
static PROBLEM: OnceLock<io::Error> = OnceLock::new();

/// Whether anything was written to it.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether anything was written to standard output.
pub fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// A line on standard output.
pub fn line(text: impl Display) {
    // What goes wrong is noted.
    let _ = writeln!(Output, "{text}");
}

/// Standard output for whoever needs a writer. Nothing that is written to it fails.
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

/// Notes that standard output cannot be written, if it cannot.
pub fn note(written: io::Result<()>) {
    if let Err(problem) = written {
        // The first one says it all.
        let _ = PROBLEM.set(problem);
    }
}

/// Whether nobody reads it any more: who would write for ever can end.
pub fn is_gone() -> bool {
    PROBLEM.get().is_some()
}

/// The exit code of a command that would end with this one, and what there is to say besides.
pub fn exit_code(code: u8) -> (u8, Option<String>) {
    let _ = Output.flush();
    judge(code, PROBLEM.get())
}

/// A reader that went away (`| head`) has what it wanted. Else a result that nobody got is no success, and
/// what was found is not hidden by it.
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
