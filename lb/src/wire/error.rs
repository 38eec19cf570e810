//! Why a request's head is not understood.

/// What is wrong with a request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is malformed or ambiguous, in this way.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its target exceeds the limit.
    #[error("the target is too long")]
    TargetTooLong,
    /// Its fields exceed the limit.
    #[error("the fields are too large")]
    FieldsTooLarge,
    /// It expects something other than `100-continue` (RFC 9110, 10.1.1).
    #[error("an unknown expectation")]
    UnknownExpectation,
    /// It is of another version of HTTP.
    #[error("another version of HTTP")]
    Version,
    /// It asks for something that is well-formed, but that a proxy of this kind does not do.
    #[error("{0}")]
    NotImplemented(&'static str),
}
