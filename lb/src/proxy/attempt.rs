//! What a request keeps while one upstream after another is tried, and why a try came to nothing.

use machine::trace::Span;

use super::download::NoAnswer;
use super::local_reply::LocalReply;
use super::request::Request;
use super::upload::{Upload, UploadFault};
use super::watchdog::Phase;
use crate::choose::sticky::Token;
use crate::upstream::{InFlight, Outcome};
use crate::wire::{RequestBody, RequestHead};

/// What a request keeps through all its tries.
pub(super) struct ForwardState {
    pub(super) upload: Upload,
    pub(super) id: [u8; 32],
    /// What it costs here, when traces are recorded.
    pub(super) span: Option<Box<Span>>,
    /// What it costs at the upstream that is being tried.
    pub(super) hop: Option<Box<Span>>,
    /// The cookie that names an upstream.
    pub(super) token: Option<Token>,
    /// The cookies without it, when it was among them.
    pub(super) cookies: Option<Vec<u8>>,
    /// True when the client has seen anything of an answer, so that nothing is tried again.
    pub(super) has_passed: bool,
    pub(super) told_to_continue: bool,
}

/// Why a try came to nothing.
pub(super) enum Failure {
    /// There was no answer; whose fault that is.
    Refused(LocalReply),
    /// The upstream had closed a connection that waited, in the very moment it was used.
    Stale,
    /// The client is no longer there to be answered.
    ClientGone,
}

impl ForwardState {
    /// Begins the span of a try.
    pub(super) fn begin_hop(&mut self, in_flight: &mut InFlight) {
        let Some(span) = &self.span else { return };
        in_flight.is_traced(span);
        self.hop = span.child(|| format!("to {}", in_flight.upstream.name)).map(Box::new);
    }

    /// Ends it, and says how the try went.
    pub(super) fn end_hop<T>(&mut self, sent: &Result<T, Failure>, outcome: Outcome) {
        if let Some(mut hop) = self.hop.take() {
            match sent {
                Err(Failure::Refused(reply)) => hop.say("outcome", reply.code()),
                _ => hop.say("outcome", outcome.label()),
            }
        }
    }

    /// Only a safe method without a body may be sent twice, or one whose body has been kept for that.
    pub(super) fn may_be_repeated(&self, head: &RequestHead) -> bool {
        let safe = head.verb.is_safe() && self.upload.is_complete() && self.upload.is_whole();
        !self.has_passed && (safe || self.upload.is_kept())
    }

    /// The same for a connection that was closed while it waited: most likely nobody saw the request,
    /// and to do twice what is idempotent is to do it once (RFC 9110, 9.2.2).
    fn may_be_sent_anew(&self, head: &RequestHead) -> bool {
        let idempotent = head.verb.is_idempotent() && head.body == RequestBody::None;
        !self.has_passed && idempotent || self.may_be_repeated(head)
    }

    /// Whose fault it is that there is no answer, and so which answer the client gets.
    pub(super) fn failure(
        &self,
        request: &Request<'_>,
        in_flight: &InFlight,
        no_answer: NoAnswer,
        was_waiting: bool,
    ) -> Failure {
        tracing::debug!(upstream = in_flight.upstream.name, ?no_answer, "no answer");
        match no_answer {
            NoAnswer::ClientGone => Failure::ClientGone,
            NoAnswer::Closed if was_waiting && self.may_be_sent_anew(request.head) => Failure::Stale,
            NoAnswer::TooLate if request.client.watch.phase() == Phase::Upload => {
                Failure::Refused(LocalReply::ClientTooSlow)
            }
            NoAnswer::TooLate => Failure::Refused(LocalReply::UpstreamTimeout),
            NoAnswer::TooLarge => Failure::Refused(LocalReply::AnswerTooLarge),
            NoAnswer::Closed | NoAnswer::Broken(_) => Failure::Refused(LocalReply::BadAnswer),
        }
    }
}

impl From<UploadFault> for Failure {
    fn from(fault: UploadFault) -> Self {
        match fault {
            UploadFault::TooLarge => Self::Refused(LocalReply::BodyTooLarge),
            UploadFault::Broken => {
                Self::Refused(LocalReply::BadRequest("the request's body broke off or is malformed"))
            }
            UploadFault::TooSlow => Self::Refused(LocalReply::ClientTooSlow),
            UploadFault::Gone => Self::ClientGone,
        }
    }
}
