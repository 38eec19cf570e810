//! HTTP/1.1 as it is on the wire: heads, targets, framing, chunks.
//!
//! Everything here is pure: bytes in, meaning or a refusal out. The grammar of lines, names and
//! values is httparse's; what it lets pass for the sake of old servers, and what a message *means*
//! (RFC 9112), is decided here. Whatever two servers could read in two ways is refused, and the
//! connection closed: that is how requests are smuggled.

/// The head of an upstream's answer ◇.
pub mod answer_head;
/// Bodies in chunks ◇.
pub mod chunks;
/// Why a head is not understood ◇.
pub mod error;
/// The lines of a head ◇.
pub mod fields;
/// The head of a client's request ◇.
pub mod request_head;
/// What a request is for: its target and its host ◇.
pub mod target;

pub use answer_head::{AnswerBody, AnswerHead};
pub use chunks::Chunks;
pub use error::HeadError;
pub use fields::{Field, Fields, KnownHeader};
pub use request_head::{RequestBody, RequestHead, Verb};
