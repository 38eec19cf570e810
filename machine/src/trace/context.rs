//! A span's identity, as `traceparent` carries it (W3C Trace Context, level 1). Pure.
#![deny(clippy::disallowed_methods)]

/// The name of the header field.
pub const TRACEPARENT: &str = "traceparent";

/// Length of a version 00 value, in bytes.
pub const TRACEPARENT_BYTES: usize = 55;

/// The identity of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace id, never 0.
    pub trace: u128,
    /// The span id, never 0.
    pub span: u64,
    /// True if an earlier hop asked for the trace to be recorded.
    pub sampled: bool,
}

impl Context {
    /// Parses a header value; `None` if it is malformed, and then a new trace begins (section
    /// 3.2.2.2).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')) {
            return None;
        }
        let mut parts = text.splitn(5, '-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        // Later versions may append more fields, after another hyphen.
        let is_known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_known || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// Formats a header value.
    pub fn header(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_as_the_standard_has_it() {
        let context = Context::parse(EXAMPLE.as_bytes()).expect("it is the standard's own example");
        let wanted = Context {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
            sampled: true,
        };
        assert_eq!(context, wanted);
        assert_eq!(context.header(), EXAMPLE);
        assert_eq!(EXAMPLE.len(), TRACEPARENT_BYTES);
        let later = Context::parse(EXAMPLE.replacen("00", "cc", 1).as_bytes());
        assert_eq!(later, Some(wanted), "a later version begins in the same way");
        let more = EXAMPLE.replacen("00", "cc", 1) + "-abc-def";
        assert_eq!(Context::parse(more.as_bytes()), Some(wanted));
    }

    #[test]
    fn what_is_malformed_begins_a_new_trace() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
