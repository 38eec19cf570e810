//! Parses the head of an upstream's response, and rejects it if it is malformed or ambiguous.
#![deny(clippy::disallowed_methods)]

use std::mem::MaybeUninit;

use super::fields::{self, Fields, KnownHeader, LINES_MAX, Span};

/// A response's head. Its spans refer to the bytes it was parsed from.
#[derive(Debug)]
pub struct AnswerHead {
    /// Its length in bytes.
    pub length: usize,
    /// The status: 100 to 599.
    pub status: u16,
    /// The reason phrase.
    pub reason: Span,
    /// True for HTTP/1.0.
    pub is_old: bool,
    /// How the body is framed.
    pub body: AnswerBody,
    /// The `Content-Length`, whether or not a body follows.
    pub content_length: Option<u64>,
    /// True if the connection can be used for another request.
    pub keep_alive: bool,
    /// True if the head announces a body that must not follow; some upstreams send it anyway.
    pub speaks_of_body: bool,
    /// True if there is a `Date` field.
    pub has_date: bool,
}

/// How a response's body is framed (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerBody {
    /// There is no body.
    None,
    /// By `Content-Length`.
    Length(u64),
    /// With the chunked transfer coding.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// A response that is malformed or ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed response: {0}")]
pub struct NoSense(pub &'static str);

impl NoSense {
    /// The head exceeds a limit of this balancer.
    pub const TOO_LARGE: Self = Self("its head is too large");
}

impl AnswerHead {
    /// Parses a head from the beginning of the input; `None` if it is incomplete. Its fields are
    /// stored in `lines_of_it`. The response to a HEAD request has no body.
    pub fn read(
        input: &[u8],
        lines_of_it: &mut Fields,
        to_head: bool,
        bytes_max: usize,
    ) -> Result<Option<Self>, NoSense> {
        if let Some(b'\r' | b'\n') = input.first() {
            return Err(NoSense("it begins with an empty line"));
        }
        let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut lines) {
            Ok(httparse::Status::Complete(length)) if length <= bytes_max => length,
            Ok(httparse::Status::Partial) if input.len() <= bytes_max => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(NoSense::TOO_LARGE);
            }
            Err(_) => return Err(NoSense("its head is malformed")),
        };
        let head = &input[..length];
        if !fields::lines_end_properly(head) {
            return Err(NoSense("a line of its head does not end with CR LF"));
        }
        lines_of_it.fill(parsed.headers, head);
        let status = parsed.code.unwrap_or_default();
        if !(100..600).contains(&status) {
            return Err(NoSense("its status is not from 100 to 599"));
        }
        let reason = parsed.reason.unwrap_or_default().as_bytes();
        let mut answer = Self {
            length,
            status,
            reason: Span::of(reason, head),
            is_old: parsed.version == Some(0),
            body: AnswerBody::None,
            content_length: None,
            keep_alive: false,
            speaks_of_body: false,
            has_date: lines_of_it.has(KnownHeader::Date),
        };
        answer.understand(lines_of_it, head, to_head)?;
        Ok(Some(answer))
    }

    /// True for an interim response, which another one follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    fn understand(&mut self, lines: &Fields, head: &[u8], to_head: bool) -> Result<(), NoSense> {
        let coding = self.coding(lines, head)?;
        let has_no_body = self.is_interim() || matches!(self.status, 204 | 304) || to_head;
        // If both are present, only the chunks count, and the length may be an attack (RFC 9112,
        // 6.3).
        let both = coding && lines.has(KnownHeader::ContentLength);
        if !coding {
            let length = fields::content_length(lines.values(KnownHeader::ContentLength, head));
            self.content_length = length.map_err(|_| NoSense("its Content-Length is not one number"))?;
        }
        self.body = match self.content_length {
            _ if has_no_body => AnswerBody::None,
            _ if coding => AnswerBody::Chunked,
            Some(length) => AnswerBody::Length(length),
            None => AnswerBody::UntilClose,
        };
        let connection = |option: &[u8]| lines.lists(KnownHeader::Connection, option, head);
        let kept = if self.is_old { connection(b"keep-alive") } else { true } && !connection(b"close");
        self.keep_alive = kept && !both && self.body != AnswerBody::UntilClose;
        self.speaks_of_body = has_no_body && (coding || self.content_length.is_some_and(|length| length > 0));
        Ok(())
    }

    /// True if the body is chunked.
    fn coding(&self, lines: &Fields, head: &[u8]) -> Result<bool, NoSense> {
        let mut codings = lines.values(KnownHeader::TransferEncoding, head);
        match (codings.next(), codings.next()) {
            (None, _) => Ok(false),
            (Some(_), _) if self.is_old => Err(NoSense("HTTP/1.0 has no Transfer-Encoding")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
            // A transfer coding that is removed without being decoded would be lost.
            _ => Err(NoSense("its transfer coding is not exactly one 'chunked'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, to_head: bool) -> Result<AnswerHead, NoSense> {
        let read = AnswerHead::read(text.as_bytes(), &mut Fields::default(), to_head, 8192)?;
        read.ok_or(NoSense("incomplete"))
    }

    #[test]
    fn bodies_are_framed_as_the_standard_says() {
        for (text, body, kept) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", AnswerBody::Length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", AnswerBody::Chunked, true),
            ("HTTP/1.1 200 OK\r\n\r\n", AnswerBody::UntilClose, false),
            ("HTTP/1.1 204 No\r\n\r\n", AnswerBody::None, true),
            ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", AnswerBody::None, true),
            ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", AnswerBody::None, true),
            ("HTTP/1.1 304 No\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", AnswerBody::None, false),
            ("HTTP/1.1 103 Early\r\n\r\n", AnswerBody::None, true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", AnswerBody::Length(5), false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
                AnswerBody::Length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
                AnswerBody::Length(5),
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                AnswerBody::Chunked,
                false,
            ),
            ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", AnswerBody::Length(0), true),
        ] {
            let head = read(text, false).unwrap();
            assert_eq!((head.body, head.keep_alive), (body, kept), "{text:?}");
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body_and_its_connection_is_kept() {
        for (lines, kept, speaks) in [
            ("", true, false),
            ("Content-Length: 0\r\n", true, false),
            ("Content-Length: 5\r\n", true, true),
            ("Transfer-Encoding: chunked\r\n", true, true),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", false, true),
            ("Content-Length: 5\r\nConnection: close\r\n", false, true),
        ] {
            let head = read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), true).unwrap();
            let read = (head.body, head.keep_alive, head.speaks_of_body);
            assert_eq!(read, (AnswerBody::None, kept, speaks), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for text in [
            "nonsense\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let error = read(text, false).map(|_| ()).unwrap_err();
            assert_ne!(error, NoSense("incomplete"), "{text:?}");
        }
    }

    #[test]
    fn what_exceeds_a_limit_is_told_from_what_is_no_answer() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(8192));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(LINES_MAX + 1));
        for text in [format!("{long}\r\n\r\n"), long, many] {
            assert_eq!(read(&text, false).map(|_| ()).unwrap_err(), NoSense::TOO_LARGE);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = AnswerHead::read(&input, &mut Fields::default(), false, 8192);
        }
    }
}
