//! Why a request's head is rejected.

/// What is wrong with a request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is malformed or ambiguous.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its target exceeds the limit.
    #[error("the target is too long")]
    TargetTooLong,
    /// Its fields exceed the limit.
    #[error("the fields are too large")]
    FieldsTooLarge,
    /// It has an expectation other than `100-continue` (RFC 9110, 10.1.1).
    #[error("an unknown expectation")]
    UnknownExpectation,
    /// It uses another version of HTTP.
    #[error("another version of HTTP")]
    Version,
    /// It is well-formed, but needs a feature that this proxy does not implement.
    #[error("{0}")]
    NotImplemented(&'static str),
}
