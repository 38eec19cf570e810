//! HTTP/1.1 on the wire: heads, targets, framing, chunks.
//!
//! Everything here is pure: bytes in, meaning or a rejection out. httparse parses the grammar of
//! lines, names and values; this module decides what a message *means* (RFC 9112), and rejects what
//! httparse tolerates for old servers. Anything that two servers could read in two ways is
//! rejected, and the connection is closed: such ambiguity is how requests are smuggled.

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
