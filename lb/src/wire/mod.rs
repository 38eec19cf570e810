//! HTTP/1.1 as it is on the wire: heads, targets, framing, chunks.
//!
//! Everything here is pure: bytes in, meaning or a refusal out. The grammar of lines, names and
//! values is httparse's; what it lets pass for the sake of old servers, and what a message *means*
//! (RFC 9112), is decided here. Whatever two servers could read in two ways is refused, and the
//! connection closed: that is how requests are smuggled.

pub mod answer_head;
pub mod chunks;
pub mod error;
pub mod fields;
pub mod request_head;
pub mod target;

pub use answer_head::{AnswerBody, AnswerHead};
pub use chunks::Chunks;
pub use error::HeadError;
pub use fields::{Field, Fields, KnownHeader};
pub use request_head::{RequestBody, RequestHead, Verb};
