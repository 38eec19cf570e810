//! The chunked transfer coding: RFC 9112, 7.1, to the letter.
//!
//! ```text
//!   Size ─▶ Extension ─▶ SizeEnd ─▶ Data ─▶ DataEnd ─▶ DataEndLf ─▶ Size …
//!                           └─ 0 ─▶ Trailers ─▶ Done
//! ```
#![deny(clippy::disallowed_methods)]

use super::fields::{self, KnownHeader, LINES_MAX};

/// Limits for the chunk extensions of one body, and for its trailers, in bytes. They do not count
/// towards the body limit, so they need their own.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// Hexadecimal digits of a size; leading zeros beyond this have no use.
const DIGITS_MAX: u8 = 16;

/// A decoder for a chunked body.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    /// Bytes of the current chunk that are still to come.
    left: u64,
    digits: u8,
    extension_bytes: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    /// White space, which only an extension may follow.
    Gap,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLf,
    Trailers,
    Done,
}

/// A malformed chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked body")]
pub struct NoChunks;

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size, left: 0, digits: 0, extension_bytes: 0, trailers: vec![] }
    }
}

impl Chunks {
    /// Decodes the input, passes the data on, and returns how many bytes of the input belonged to
    /// the body.
    pub fn decode(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, NoChunks> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                let piece = &input[at..at + room.min(input.len() - at)];
                data(piece);
                at += piece.len();
                self.left -= piece.len() as u64;
                if self.left == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            self.state = self.next(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// True once the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Writes the trailer fields that may be forwarded.
    pub fn write_trailers_to(&self, out: &mut Vec<u8>) {
        let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
        if let Ok(httparse::Status::Complete((_, lines))) =
            httparse::parse_headers(&self.trailers, &mut lines)
        {
            for line in lines.iter().filter(|line| may_trail(line.name)) {
                out.extend_from_slice(line.name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(line.value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn next(&mut self, byte: u8) -> Result<State, NoChunks> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left.checked_mul(16).ok_or(NoChunks)? + u64::from(digit);
                self.digits += 1;
                Ok(State::Size)
            }
            (State::Size | State::Gap, b' ' | b'\t') if self.digits > 0 => self.extend(State::Gap),
            (State::Size | State::Gap, b';') if self.digits > 0 => self.extend(State::Extension),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extend(State::Extension),
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::SizeEnd, b'\n') => {
                self.digits = 0;
                Ok(if self.left == 0 { State::Trailers } else { State::Data })
            }
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size),
            (State::Trailers, _) => self.trail(byte),
            _ => Err(NoChunks),
        }
    }

    fn extend(&mut self, state: State) -> Result<State, NoChunks> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX { Err(NoChunks) } else { Ok(state) }
    }

    fn trail(&mut self, byte: u8) -> Result<State, NoChunks> {
        self.trailers.push(byte);
        let after_cr = self.trailers.len() > 1 && self.trailers[self.trailers.len() - 2] == b'\r';
        if self.trailers.len() > TRAILER_BYTES_MAX || (byte == b'\n') != after_cr {
            return Err(NoChunks);
        }
        if self.trailers != b"\r\n" && !self.trailers.ends_with(b"\r\n\r\n") {
            return Ok(State::Trailers);
        }
        let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
        match httparse::parse_headers(&self.trailers, &mut lines) {
            Ok(httparse::Status::Complete(_)) => Ok(State::Done),
            _ => Err(NoChunks),
        }
    }
}

/// A message's meaning is settled before its body, so such fields may not be trailers.
fn may_trail(name: &str) -> bool {
    let known = KnownHeader::of(name.as_bytes());
    let other = ["authorization", "content-encoding", "content-type", "content-range", "set-cookie", "via"];
    !known.is_vital()
        && (known == KnownHeader::Other && !other.iter().any(|no| name.eq_ignore_ascii_case(no)))
        && fields::members(name.as_bytes()).count() == 1
}

/// Writes a chunk's size line.
pub fn write_size(size: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = size;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the data, the rest of the input, and the trailers that are forwarded.
    fn decoded(input: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, Vec<u8>, String, bool), NoChunks> {
        let (mut chunks, mut data, mut at) = (Chunks::default(), vec![], 0);
        let mut cuts = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
        while at < input.len() && !chunks.is_done() {
            let piece = &input[at..input.len().min(at.saturating_add(cuts.next().unwrap().max(1)))];
            at += chunks.decode(piece, |bytes| data.extend_from_slice(bytes))?;
        }
        let mut trailers = vec![];
        chunks.write_trailers_to(&mut trailers);
        Ok((data, input[at..].to_vec(), String::from_utf8(trailers).unwrap(), chunks.is_done()))
    }

    #[test]
    fn a_body_ends_with_its_last_chunk() {
        for (input, data, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
            ("5;a=b;c=\"d\"\r\nhello\r\n00\r\n\r\n", "hello", ""),
            ("5 ;a\r\nhello\r\n0\r\n\r\n", "hello", ""),
            ("0A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", "0123456789!", ""),
        ] {
            let (found, left, _, done) = decoded(input.as_bytes(), &[]).unwrap();
            assert_eq!((found, left, done), (data.into(), rest.into(), true), "{input:?}");
        }
    }

    #[test]
    fn trailers_pass_unless_they_change_what_was_said() {
        let input = "0\r\nX-Sum: 1\r\nContent-Length: 5\r\nhost: a\r\nSet-Cookie: a\r\n\r\n";
        assert_eq!(decoded(input.as_bytes(), &[]).unwrap().2, "X-Sum: 1\r\n");
    }

    #[test]
    fn what_is_no_chunk() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(5_000));
        for bad in [
            "\r\n",
            "x\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\n",
            "5\rhello",
            "5 5\r\n",
            ";a\r\n",
            "5\r\nhelloX",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\r\n\r\n",
            "5;a\nb\r\nhello",
            "5;a\rb\r\n",
            "5;\0\r\n",
            "10000000000000000\r\n",
            "00000000000000005\r\n",
            "ffffffffffffffff0\r\n",
            "0\r\nX: a\nY: b\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nX : a\r\n\r\n",
            "0\r\nX: a\0\r\n\r\n",
            "0\r\n X: a\r\n\r\n",
            "0\r\n\rX\r\n",
            "0\r\n\n",
            "0\r\nX: a\r\n b\r\n\r\n",
            &long,
            &many,
        ] {
            assert_eq!(decoded(bad.as_bytes(), &[]), Err(NoChunks), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_body_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5),
            cuts in prop::collection::vec(1usize..20, 0..50),
        ) {
            let mut input = vec![];
            for body in &bodies {
                write_size(body.len(), &mut input);
                input.extend_from_slice(body);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\nrest");
            let (data, rest, _, done) = decoded(&input, &cuts).unwrap();
            prop_assert_eq!((data, rest, done), (bodies.concat(), b"rest".to_vec(), true));
        }

        #[test]
        fn anything_is_read_the_same_whole_or_cut(
            input in prop::collection::vec(prop::sample::select(&b"05af;\r\nX: \0"[..]), 0..40),
            cuts in prop::collection::vec(1usize..4, 0..40),
        ) {
            prop_assert_eq!(decoded(&input, &cuts), decoded(&input, &[]));
        }
    }
}
