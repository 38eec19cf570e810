//! State that a request keeps across attempts, and why an attempt failed.

use machine::trace::Span;

use super::download::NoAnswer;
use super::local_reply::LocalReply;
use super::request::Request;
use super::upload::{Upload, UploadFault};
use super::watchdog::Phase;
use crate::choose::sticky::Token;
use crate::upstream::{InFlight, Outcome};
use crate::wire::{RequestBody, RequestHead};

/// State that a request keeps across all its attempts.
pub(super) struct ForwardState {
    pub(super) upload: Upload,
    pub(super) id: [u8; 32],
    /// The span of the whole request, if tracing is on.
    pub(super) span: Option<Box<Span>>,
    /// The span of the current attempt.
    pub(super) hop: Option<Box<Span>>,
    /// The client's sticky cookie, which names an upstream.
    pub(super) token: Option<Token>,
    /// The `Cookie` value without the sticky cookie, if the client sent one.
    pub(super) cookies: Option<Vec<u8>>,
    /// True once the client has seen any byte of a response; there are no retries after that.
    pub(super) has_passed: bool,
    pub(super) told_to_continue: bool,
}

/// Why an attempt failed.
pub(super) enum Failure {
    /// There was no response; the local reply says whose fault that is.
    Refused(LocalReply),
    /// The upstream had closed the idle connection at the moment it was reused.
    Stale,
    /// The client has gone.
    ClientGone,
}

impl ForwardState {
    /// Starts the span of an attempt.
    pub(super) fn begin_hop(&mut self, in_flight: &mut InFlight) {
        let Some(span) = &self.span else { return };
        in_flight.is_traced(span);
        self.hop = span.child(|| format!("to {}", in_flight.upstream.name)).map(Box::new);
    }

    /// Ends the attempt's span with its outcome.
    pub(super) fn end_hop<T>(&mut self, sent: &Result<T, Failure>, outcome: Outcome) {
        if let Some(mut hop) = self.hop.take() {
            match sent {
                Err(Failure::Refused(reply)) => hop.say("outcome", reply.code()),
                _ => hop.say("outcome", outcome.label()),
            }
        }
    }

    /// Only a request with a safe method and no body may be sent twice, or one whose body was kept
    /// for that.
    pub(super) fn may_be_repeated(&self, head: &RequestHead) -> bool {
        let safe = head.verb.is_safe() && self.upload.is_complete() && self.upload.is_whole();
        !self.has_passed && (safe || self.upload.is_kept())
    }

    /// The same for an idle connection that the upstream had closed: most likely the upstream never
    /// saw the request, and repeating an idempotent request is harmless (RFC 9110, 9.2.2).
    fn may_be_sent_anew(&self, head: &RequestHead) -> bool {
        let idempotent = head.verb.is_idempotent() && head.body == RequestBody::None;
        !self.has_passed && idempotent || self.may_be_repeated(head)
    }

    /// Decides whose fault it is that there is no response, and so which reply the client gets.
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
