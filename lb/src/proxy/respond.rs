//! Writes the balancer's own replies to a client.

use super::download;
use super::local_reply::LocalReply;
use super::request::{After, Request};
use super::stream;
use super::watchdog::Phase;
use crate::wire::{RequestBody, Verb};

/// Sends a local reply. If part of the request is unread, the connection is closed afterwards,
/// because the rest would be taken for the next request.
pub async fn refuse(request: &mut Request<'_>, reply: LocalReply, is_unread: bool) -> After {
    let client = request.client;
    client.worker.refused.count(reply);
    let closes = is_unread && request.head.body != RequestBody::None
        || reply.casts_doubt_on_the_rest()
        || !request.head.keep_alive
        || !client.worker.vitals.is_fit();
    let persistence = download::persistence(request.head, !closes);
    let answer = reply.raw_answer(&client.worker.date(), persistence, request.head.verb == Verb::Head);
    write_response(request, &answer, if closes { After::Linger } else { After::Next }).await
}

/// Answers a request that may not be forwarded any further (RFC 9110, 7.6.2).
pub(super) async fn answer_for_the_last(request: &mut Request<'_>) -> After {
    let closes = request.head.body != RequestBody::None || !request.head.keep_alive;
    let persistence = download::persistence(request.head, !closes);
    let answer = LocalReply::options(&request.client.worker.date(), persistence);
    write_response(request, &answer, if closes { After::Linger } else { After::Next }).await
}

async fn write_response(request: &mut Request<'_>, answer: &[u8], after: After) -> After {
    let client = request.client;
    client.watch.enter(Phase::Download);
    if !client.worker.may_answer() {
        return After::Cut;
    }
    match stream::write_all(request.stream, answer, &client.watch).await {
        Ok(()) => after,
        Err(_) => After::Cut,
    }
}
