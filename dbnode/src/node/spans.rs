//! Spans of the replication of traced writes. On the primary, each write has a span for its own disk
//! and one for each peer, from sending the entry until the peer has confirmed it. The peer's own
//! span is the child of that, and lasts from receiving the entry until it is confirmed.

use std::collections::{BTreeMap, HashMap};

use machine::trace::{Context, Span};

use crate::replication::Core;
use crate::replication::disk::Batch;
use crate::replication::input::{Input, Ticket};
use crate::replication::member::Name;
use crate::replication::message::{AppendEntriesResponse, Envelope, Message, Outcome, Traced};
use crate::replication::role::Role;

/// Maximum number of spans of one kind in progress; further ones are not recorded. So a peer that
/// never confirms takes no more memory than this.
const SPANS_MAX: usize = 4_096;

/// The traced writes that this node takes part in.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// Writes whose entries are not known yet.
    asked: HashMap<Ticket, Context>,
    /// Writes of this primary that are not answered yet, by entry.
    writes: BTreeMap<u64, Context>,
    /// Entries on their way to this primary's own disk.
    disk: Vec<Span>,
    /// Entries that were sent to a peer, and not confirmed.
    sent: BTreeMap<(Name, u64), Span>,
    /// Entries that this replica has received, and not confirmed.
    received: BTreeMap<u64, Span>,
}

impl Spans {
    /// A client writes.
    pub(super) fn asked(&mut self, ticket: Ticket, context: Context) {
        self.asked.insert(ticket, context);
    }

    /// The core has handled its inputs: it has given the new writes their entries.
    pub(super) fn stepped(&mut self, core: &Core) {
        for (ticket, context) in self.asked.drain() {
            if let Some(index) = core.entry_of(ticket)
                && self.writes.len() < SPANS_MAX
            {
                self.writes.insert(index, context);
            }
        }
        match core.role() {
            Role::Primary => self.received.clear(),
            _ if self.writes.is_empty() && self.sent.is_empty() => {}
            _ => {
                self.writes.clear();
                self.fail_sent(|_| true, "this node is no longer the primary");
            }
        }
    }

    /// A message or a change of a connection has arrived.
    pub(super) fn heard(&mut self, input: &Input) {
        match input {
            Input::Received { from, envelope, .. } => match &envelope.message {
                Message::AppendEntries(_) => envelope.traces.iter().for_each(|it| self.received(it)),
                Message::AppendEntriesResponse(AppendEntriesResponse {
                    outcome: Outcome::Matched(matched),
                    ..
                }) => self.sent.retain(|(to, index), _| to != from || index > matched),
                _ => {}
            },
            Input::Disconnected { peer } => self.fail_sent(|to| to == peer, "the connection was lost"),
            _ => {}
        }
    }

    fn received(&mut self, traced: &Traced) {
        let Traced { index, trace, span } = *traced;
        let context = Context { trace, span, sampled: true };
        if self.received.len() < SPANS_MAX
            && !self.received.contains_key(&index)
            && let Some(mut span) = Span::within_context(context, || "append".into())
        {
            span.say("entry", index);
            self.received.insert(index, span);
        }
    }

    /// A message is about to be sent: entries to a peer, or a confirmation to the primary.
    pub(super) fn sending(&mut self, to: &Name, envelope: &mut Envelope) {
        match &envelope.message {
            Message::AppendEntries(append) => {
                let (Some(first), Some(last)) = (append.entries.first(), append.entries.last()) else {
                    return;
                };
                for (&index, &context) in self.writes.range(first.index..=last.index) {
                    let key = (to.clone(), index);
                    if self.sent.len() < SPANS_MAX
                        && !self.sent.contains_key(&key)
                        && let Some(mut span) = Span::within_context(context, || format!("to {to}"))
                    {
                        span.say("entry", index);
                        let Context { trace, span: id, .. } = span.context();
                        envelope.traces.push(Traced { index, trace, span: id });
                        self.sent.insert(key, span);
                    }
                }
            }
            Message::AppendEntriesResponse(AppendEntriesResponse {
                outcome: Outcome::Matched(matched),
                ..
            }) => self.received = self.received.split_off(&(matched + 1)),
            _ => {}
        }
    }

    /// A batch is about to be written to this node's disk.
    pub(super) fn persisting(&mut self, batch: &Batch) {
        let (Some(first), Some(last)) = (batch.entries.first(), batch.entries.last()) else { return };
        let writes = self.writes.range(first.index..=last.index);
        let spans = writes.filter_map(|(index, context)| {
            let mut span = Span::within_context(*context, || "disk".into())?;
            span.say("entry", index);
            Some(span)
        });
        self.disk = spans.collect();
    }

    /// The batch is on the disk.
    pub(super) fn persisted(&mut self) {
        self.disk.clear();
    }

    /// A write was acknowledged; a peer may still confirm it.
    pub(super) fn acknowledged(&mut self, index: u64) {
        self.writes.remove(&index);
    }

    /// Ends the spans of some peers without a confirmation.
    fn fail_sent(&mut self, of: impl Fn(&Name) -> bool, why: &str) {
        for (_, mut span) in self.sent.extract_if(.., |(to, _), _| of(to)) {
            span.say("error", why);
        }
    }
}
