//! The field lines of a head, as spans of the bytes that hold it.
#![deny(clippy::disallowed_methods)]

/// The most field lines that a head may have.
pub const LINES_MAX: usize = 100;

/// A range of bytes in a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Returns the span of `part` in `whole`, of which it must be a subslice.
    pub fn of(part: &[u8], whole: &[u8]) -> Self {
        if part.is_empty() {
            // An empty slice may point anywhere.
            return Self::default();
        }
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        debug_assert!(start + part.len() <= whole.len());
        let number = |at: usize| u32::try_from(at).expect("heads are limited to far less than 4 GiB");
        Self { start: number(start), end: number(start + part.len()) }
    }

    /// The bytes of this span.
    pub fn in_bytes(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..self.end as usize]
    }
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The field's name.
    pub name: Span,
    /// The field's value, trimmed.
    pub value: Span,
    /// The field's name, if it is relevant to the balancer.
    pub known: KnownHeader,
}

/// Field names that are relevant to the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name it is spelled like")]
pub enum KnownHeader {
    Other,
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    Host,
    IdempotencyKey,
    KeepAlive,
    MaxForwards,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    Trailer,
    Traceparent,
    TransferEncoding,
    Upgrade,
    XForwardedFor,
    XForwardedProto,
    XRequestId,
    XServedBy,
}

impl KnownHeader {
    /// Looks up a field name.
    pub fn of(name: &[u8]) -> Self {
        let known: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"te", Self::Te)],
            4 => &[(b"host", Self::Host), (b"date", Self::Date)],
            6 => &[(b"cookie", Self::Cookie), (b"expect", Self::Expect)],
            7 => &[(b"upgrade", Self::Upgrade), (b"trailer", Self::Trailer)],
            10 => &[(b"connection", Self::Connection), (b"keep-alive", Self::KeepAlive)],
            11 => &[(b"x-served-by", Self::XServedBy), (b"traceparent", Self::Traceparent)],
            12 => &[(b"x-request-id", Self::XRequestId), (b"max-forwards", Self::MaxForwards)],
            14 => &[(b"content-length", Self::ContentLength)],
            15 => &[(b"x-forwarded-for", Self::XForwardedFor), (b"idempotency-key", Self::IdempotencyKey)],
            16 => &[(b"proxy-connection", Self::ProxyConnection)],
            17 => &[
                (b"x-forwarded-proto", Self::XForwardedProto),
                (b"transfer-encoding", Self::TransferEncoding),
            ],
            19 => &[(b"proxy-authorization", Self::ProxyAuthorization)],
            _ => &[],
        };
        // Among names of the same length, the first letter usually decides.
        let first = name.first().map(u8::to_ascii_lowercase);
        let found = known
            .iter()
            .find(|(known, _)| known.first().copied() == first && known.eq_ignore_ascii_case(name));
        found.map_or(Self::Other, |(_, known)| *known)
    }

    /// True for a hop-by-hop field (RFC 9110, 7.6.1), or one that each hop writes itself.
    /// `Connection` can name more.
    pub fn is_of_one_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::Expect
                | Self::KeepAlive
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// True for a field whose removal would change the message's meaning. A client cannot have it
    /// removed by naming it in `Connection`, and it cannot be a trailer.
    pub fn is_vital(self) -> bool {
        matches!(self, Self::Host | Self::ContentLength | Self::TransferEncoding | Self::Cookie | Self::Date)
    }
}

/// The field lines of a head.
#[derive(Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
}

impl Fields {
    /// Replaces the content with the fields parsed from `bytes`.
    pub fn fill(&mut self, parsed: &[httparse::Header<'_>], bytes: &[u8]) {
        self.list.clear();
        self.list.extend(parsed.iter().map(|header| Field {
            name: Span::of(header.name.as_bytes(), bytes),
            value: Span::of(header.value, bytes),
            known: KnownHeader::of(header.name.as_bytes()),
        }));
    }

    /// All field lines, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list.iter()
    }

    /// The values of all lines with this name.
    pub fn values<'a>(&'a self, known: KnownHeader, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.list.iter().filter(move |field| field.known == known).map(|field| field.value.in_bytes(bytes))
    }

    /// True if there is a line with this name.
    pub fn has(&self, known: KnownHeader) -> bool {
        self.list.iter().any(|field| field.known == known)
    }

    /// The list members of all lines with this name, trimmed.
    pub fn members<'a>(&'a self, known: KnownHeader, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.values(known, bytes).flat_map(members)
    }

    /// True if a list with this name has this member.
    pub fn lists(&self, known: KnownHeader, member: &[u8], bytes: &[u8]) -> bool {
        self.members(known, bytes).any(|found| found.eq_ignore_ascii_case(member))
    }

    /// Clears the list, and frees the memory that a large head has taken.
    pub fn shrink(&mut self, lines: usize) {
        self.list.clear();
        self.list.shrink_to(lines);
    }
}

/// Splits a comma-separated list into its members.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// A `Content-Length` that is not a single number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Content-Length is not one number")]
pub struct NoLength;

/// Returns the body length from the `Content-Length` values; `None` if there are none. Anything but
/// one line of digits is an error.
pub fn content_length<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, NoLength> {
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() || first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
        return Err(NoLength);
    }
    let digits = std::str::from_utf8(first).map_err(|_| NoLength)?;
    digits.parse().map(Some).map_err(|_| NoLength)
}

/// True if every line ends with CR LF, as it must: httparse also accepts a bare LF.
pub fn lines_end_properly(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for (name, known) in [
            ("Host", KnownHeader::Host),
            ("CONTENT-length", KnownHeader::ContentLength),
            ("x-forwarded-PROTO", KnownHeader::XForwardedProto),
            ("X-Other", KnownHeader::Other),
            ("hosts", KnownHeader::Other),
        ] {
            assert_eq!(KnownHeader::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn a_length_is_digits_and_is_given_once() {
        let length = |values: &[&'static str]| content_length(values.iter().map(|value| value.as_bytes()));
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["0"]), Ok(Some(0)));
        assert_eq!(length(&["0012"]), Ok(Some(12)));
        for bad in ["", "+5", "-5", "0x5", "5x", "5 5", "5, 5", "5_0", "18446744073709551616", "٣"] {
            assert_eq!(length(&[bad]), Err(NoLength), "{bad:?}");
        }
        assert_eq!(length(&["5", "5"]), Err(NoLength));
    }

    #[test]
    fn lists_are_split_at_commas() {
        let found: Vec<_> = members(b" close ,, X-A,\tx-b").collect();
        assert_eq!(found, [&b"close"[..], b"X-A", b"x-b"]);
    }

    #[test]
    fn a_single_line_feed_ends_no_line() {
        assert!(lines_end_properly(b"GET / HTTP/1.1\r\nA: b\r\n\r\n"));
        for bad in [&b"GET / HTTP/1.1\nA: b\r\n\r\n"[..], b"GET / HTTP/1.1\r\nA: b\n\r\n", b"\n"] {
            assert!(!lines_end_properly(bad));
        }
    }
}
