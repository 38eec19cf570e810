//! Key presses while a command runs in the foreground of a terminal. Ctrl-C remains a signal, and output is
//! processed as usual. However the command ends, the terminal is restored.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::watch::Key;

/// Interval in milliseconds at which the reader checks whether keys are still wanted.
const LOOK_EVERY_MS: u16 = 200;
/// Switches to the alternate screen and hides the cursor; and back.
const WHOLE: &str = "\x1b[?1049h\x1b[?25l";
const AS_BEFORE: &str = "\x1b[?25h\x1b[?1049l";

/// Reads keys for as long as it is held, and then restores the terminal.
pub(super) struct Keys {
    pressed: UnboundedReceiver<Key>,
    terminal: Arc<File>,
    before: Termios,
    is_whole: bool,
}

impl Keys {
    /// Reads keys from the terminal that has this command in the foreground. `None` if there is none.
    pub(super) fn listen() -> Option<Self> {
        Self::begin(false)
    }

    /// Also takes over the whole terminal for drawing.
    pub(super) fn on_the_whole_terminal() -> Option<Self> {
        let keys = Self::begin(true)?;
        keys.write(WHOLE).ok()?;
        Some(keys)
    }

    fn begin(is_whole: bool) -> Option<Self> {
        let terminal = Arc::new(File::options().read(true).write(true).open("/dev/tty").ok()?);
        // In the background, changing the terminal's mode stops the whole process group (SIGTTOU).
        if tcgetpgrp(&*terminal).ok()? != getpgrp() {
            return None;
        }
        let before = termios::tcgetattr(&*terminal).ok()?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        if is_whole {
            // Suspended with Ctrl-Z, it would leave the terminal unusable.
            now.control_chars[SpecialCharacterIndices::VSUSP as usize] = 0;
        }
        termios::tcsetattr(&*terminal, SetArg::TCSANOW, &now).ok()?;
        let (tell, pressed) = unbounded_channel();
        let weak = Arc::downgrade(&terminal);
        std::thread::spawn(move || {
            while let Some(terminal) = weak.upgrade() {
                if read(&terminal, &tell).is_none() {
                    return;
                }
            }
        });
        Some(Self { pressed, terminal, before, is_whole })
    }

    /// Returns the next key that was already pressed, without waiting.
    pub(super) fn pressed(&mut self) -> Option<Key> {
        self.pressed.try_recv().ok()
    }

    /// Waits for the next key. `None` if the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Key> {
        self.pressed.recv().await
    }

    /// Writes to the terminal, even if standard output is redirected.
    pub(super) fn write(&self, text: &str) -> std::io::Result<()> {
        (&*self.terminal).write_all(text.as_bytes())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Errors are ignored: a terminal that is gone needs no restoring.
        if self.is_whole {
            let _ = self.write(AS_BEFORE);
        }
        let _ = termios::tcsetattr(&*self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Reads what was typed, if anything. `None` if no more keys will come.
fn read(mut terminal: &File, tell: &UnboundedSender<Key>) -> Option<()> {
    let mut there = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
    if poll(&mut there, PollTimeout::from(LOOK_EVERY_MS)).ok()? == 0 {
        return Some(());
    }
    let mut bytes = [0; 64];
    let count = terminal.read(&mut bytes).ok().filter(|count| *count > 0)?;
    keys(&bytes[..count]).into_iter().try_for_each(|key| tell.send(key).ok())
}

/// Decodes the keys in a terminal's input.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            // Cursor keys in normal and in application mode.
            (0x1b, [b'[' | b'O', letter, after @ ..]) => {
                rest = after;
                found.extend(match letter {
                    b'A' => Some(Key::Up),
                    b'B' => Some(Key::Down),
                    b'C' => Some(Key::Right),
                    b'D' => Some(Key::Left),
                    b'Z' => Some(Key::BackTab),
                    _ => None,
                });
            }
            (0x1b, _) => found.push(Key::Esc),
            (b'\t', _) => found.push(Key::Tab),
            (b' '..=b'~', _) => found.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_are_told_from_what_else_is_typed() {
        use Key::{Char, Down, Esc, Left, Right, Tab, Up};
        assert_eq!(keys(b"\x1b[A\x1b[B\x1bOC\x1b[D"), [Up, Down, Right, Left]);
        assert_eq!(keys(b"x+\t\r\n"), [Char('x'), Char('+'), Tab]);
        assert_eq!(keys(b"\x1b[H\x1b"), [Esc]);
        assert_eq!(keys("é".as_bytes()), []);
    }
}
