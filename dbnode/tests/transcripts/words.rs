//! Describes in words what a node does. Heartbeats, and answers that say nothing new, are left out.

use std::collections::BTreeMap;

use dbnode::replication::disk::Batch;
use dbnode::replication::effect::Effect;
use dbnode::replication::entry::{Change, Entry, Payload};
use dbnode::replication::input::Ticket;
use dbnode::replication::message::{Message, Outcome};
use dbnode::replication::role::Role;

pub fn role(name: &str, role: Role, term: u64) -> String {
    match role {
        Role::Primary => format!("{name}  is the primary of term {term}"),
        Role::Replica => format!("{name}  is a replica in term {term}"),
        Role::Candidate => format!("{name}  hears of no primary: who would vote for it?"),
        Role::Stopped => format!("{name}  has stopped"),
    }
}

pub fn effect(name: &str, effect: &Effect, clients: &BTreeMap<Ticket, String>) -> Option<String> {
    Some(match effect {
        Effect::Persist(batch) => format!("{name}  writes to disk: {}", of_batch(batch)),
        Effect::Send { to, envelope } => format!("{name}  -> {to}: {}", message(&envelope.message)?),
        Effect::Acknowledge { ticket, written } => match written.sum {
            Some(sum) => format!("{name}  tells {}: done, it is {sum} now", clients[ticket]),
            None => format!("{name}  tells {}: done", clients[ticket]),
        },
        Effect::Reject { ticket, refusal } => format!("{name}  tells {}: {refusal}", clients[ticket]),
        Effect::ReadReady { ticket } => format!("{name}  tells {}: look", clients[ticket]),
        Effect::Tell(notice) => format!("{name}  says: {notice}"),
        Effect::Halt(why) => format!("{name}  stops: {why}"),
        Effect::Compact(entries) => {
            let last = entries.last().map_or(0, |entry| entry.index);
            format!("{name}  compacts its log into the snapshot, up to #{last}")
        }
        Effect::ReadSnapshot { .. } | Effect::Install(_) => {
            format!("{name}  {effect:?}")
        }
    })
}

fn of_batch(batch: &Batch) -> String {
    let ballot = batch.ballot.as_ref().map(|ballot| match &ballot.voted_for {
        Some(name) => format!("its vote for {name} in term {}", ballot.term),
        None => format!("that it is in term {}", ballot.term),
    });
    let cut = batch.cut_after.map(|after| format!("a log without what came after #{after}"));
    let parts: Vec<_> = ballot.into_iter().chain(cut).chain(batch.entries.iter().map(entry)).collect();
    parts.join(", ")
}

fn entry(entry: &Entry) -> String {
    let says = match &entry.payload {
        Payload::Write(write) | Payload::Named(write, _) => match &write.change {
            Change::Put { value, .. } => format!("{} = {}", write.key, String::from_utf8_lossy(value)),
            Change::Delete => format!("{} is gone", write.key),
        },
        Payload::NoOp => format!("term {} begins", entry.term),
        Payload::Bootstrap(_) => "the cluster is formed".into(),
        Payload::AddMember { name, .. } | Payload::Start { name, .. } => format!("{name} joins"),
    };
    format!("#{} {says}", entry.index)
}

fn message(message: &Message) -> Option<String> {
    Some(match message {
        Message::PreVoteRequest(_) => return None,
        Message::PreVoteResponse { granted: true, .. } => "it would".into(),
        Message::PreVoteResponse { .. } => "it would not".into(),
        Message::VoteRequest { .. } => "vote for me".into(),
        Message::VoteResponse { granted: true, .. } => "you have my vote".into(),
        Message::VoteResponse { .. } => "no".into(),
        Message::AppendEntries(append) if append.entries.is_empty() => return None,
        Message::AppendEntries(append) => {
            let entries: Vec<_> = append.entries.iter().map(entry).collect();
            entries.join(", ")
        }
        Message::AppendEntriesResponse(appended) => match appended.outcome {
            Outcome::Matched(matched) => {
                format!("on disk up to #{matched}, applied up to #{}", appended.applied)
            }
            Outcome::Missing { previous, .. } => format!("#{previous} is not what is there"),
        },
        Message::NoRoom => "my disk is full".into(),
        Message::OldData { .. } => "you have less than you had".into(),
        Message::ReadIndexRequest { .. } => "up to where must I have it, to show the latest?".into(),
        Message::ReadIndexResponse { index, .. } => format!("up to #{index}"),
        Message::TimeoutNow => "be the primary".into(),
        other => format!("{other:?}"),
    })
}
