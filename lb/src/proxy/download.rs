//! Passes a response from the upstream to the client: interim responses, the final head, and the body
//! piece by piece.

use std::time::Duration;

use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::proxy::client::Client;
use crate::proxy::headers::{self, Framing, Persistence, ResponseRewrite};
use crate::proxy::stream::{self, Stop, consume};
use crate::upstream::Outcome;
use crate::wire::answer_head::NoSense;
use crate::wire::chunks::{Chunks, write_size};
use crate::wire::{AnswerBody, AnswerHead, Fields, KnownHeader, RequestHead, Verb};

/// Interim responses accepted before the final one; no honest upstream sends more.
const INTERIM_MAX: usize = 16;

/// How long an upstream may take to answer `Expect: 100-continue` before the balancer sends the 100
/// itself: many servers ignore expectations and just wait for the body (RFC 9110, 10.1.1).
const EXPECTATION: Duration = Duration::from_secs(1);

/// Why there is no response.
#[derive(Debug)]
pub enum NoAnswer {
    /// The connection was closed before any byte arrived.
    Closed,
    /// What arrived is malformed or incomplete.
    Broken(&'static str),
    /// The response's head exceeds the limit.
    TooLarge,
    /// Nothing arrived in time.
    TooLate,
    /// The client no longer accepts data.
    ClientGone,
}

impl From<NoSense> for NoAnswer {
    fn from(error: NoSense) -> Self {
        if error == NoSense::TOO_LARGE { Self::TooLarge } else { Self::Broken(error.0) }
    }
}

/// A response while it is being received and passed on.
#[derive(Debug)]
pub struct Download<'a> {
    /// The client that gets the response.
    pub client: &'a Client,
    /// The request it belongs to.
    pub request: &'a RequestHead,
    /// Bytes received that have not been passed on.
    pub inbox: &'a mut Vec<u8>,
    /// The fields of the response's head.
    pub fields: &'a mut Fields,
    /// Bytes to be sent to the client.
    pub out: &'a mut Vec<u8>,
    /// True once the client has been sent a 100.
    pub told_to_continue: &'a mut bool,
    /// True once the client has seen any byte of a response.
    pub has_passed: &'a mut bool,
}

/// How passing the body on ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// The body is complete.
    Whole,
    /// The body broke off, and the client must see that. Counted with this outcome.
    Cut(Outcome),
}

impl Download<'_> {
    /// Reads the head of the final response, or of a 101 for a protocol that the client asked for.
    pub async fn head(
        &mut self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Result<AnswerHead, NoAnswer> {
        let bytes_max = 2 * self.client.worker.config.limits.header_bytes;
        let to_head = self.request.verb == Verb::Head;
        let mut interim = 0;
        loop {
            if !self.inbox.is_empty() {
                let read = AnswerHead::read(self.inbox, self.fields, to_head, bytes_max);
                match read? {
                    Some(head) if head.status == 101 => return self.switch(head),
                    Some(head) if head.is_interim() => {
                        interim += 1;
                        if interim > INTERIM_MAX {
                            return Err(NoAnswer::Broken("too many interim answers"));
                        }
                        self.pass_interim(&head, to).await?;
                        consume(self.inbox, head.length);
                        continue;
                    }
                    Some(head) => return Ok(head),
                    None => {}
                }
            }
            self.read_head_bytes(from, to).await?;
        }
    }

    async fn read_head_bytes(
        &mut self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Result<(), NoAnswer> {
        let worker = &self.client.worker;
        if self.inbox.capacity() == 0 {
            *self.inbox = worker.buffers.take();
        }
        let waits_for_body = self.request.expects_continue && !*self.told_to_continue;
        let reading = stream::read(from, self.inbox, &self.client.watch);
        let read = if waits_for_body {
            match timeout(EXPECTATION, reading).await {
                Ok(read) => read,
                Err(_) => return self.tell_to_continue(to).await,
            }
        } else {
            reading.await
        };
        match read {
            Ok(0) | Err(Stop::Broken(_)) if self.inbox.is_empty() => Err(NoAnswer::Closed),
            Ok(0) | Err(Stop::Broken(_)) => Err(NoAnswer::Broken("its head broke off")),
            Ok(_) => Ok(()),
            Err(Stop::TooLate) => Err(NoAnswer::TooLate),
        }
    }

    /// Sends the client a 100 on the balancer's own behalf, so that it sends its body.
    pub async fn tell_to_continue(&mut self, to: &mut WriteHalf<'_>) -> Result<(), NoAnswer> {
        *self.told_to_continue = true;
        self.say(to, b"HTTP/1.1 100 Continue\r\n\r\n").await
    }

    async fn say(&mut self, to: &mut WriteHalf<'_>, bytes: &[u8]) -> Result<(), NoAnswer> {
        if !self.client.worker.may_answer() {
            return Err(NoAnswer::ClientGone);
        }
        stream::write_all(to, bytes, &self.client.watch).await.map_err(|_| NoAnswer::ClientGone)
    }

    fn switch(&self, head: AnswerHead) -> Result<AnswerHead, NoAnswer> {
        let protocol = self.fields.values(KnownHeader::Upgrade, self.inbox).next().unwrap_or_default();
        let asked_for = self.request.upgrades().any(|wanted| wanted.eq_ignore_ascii_case(protocol));
        if self.request.wants_upgrade && asked_for {
            return Ok(head);
        }
        Err(NoAnswer::Broken("it switches to a protocol that was not requested"))
    }

    /// Passes an interim response on. An HTTP/1.0 client knows none (RFC 9110, 15.2), and a client
    /// that has already had a 100 from the balancer needs no second one.
    async fn pass_interim(&mut self, head: &AnswerHead, to: &mut WriteHalf<'_>) -> Result<(), NoAnswer> {
        let is_continue = head.status == 100;
        let wanted = !is_continue || !*self.told_to_continue;
        *self.told_to_continue |= is_continue;
        if self.request.is_old || !wanted {
            return Ok(());
        }
        *self.has_passed = true;
        let mut interim = Vec::new();
        headers::write_interim(head, self.fields, self.inbox, None, &mut interim);
        self.say(to, &interim).await
    }

    /// Passes the final response on: its head, changed by `rewrite`, and its body.
    pub async fn pass(
        &mut self,
        head: &AnswerHead,
        rewrite: &ResponseRewrite<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Passed {
        self.out.clear();
        headers::write_answer(head, self.fields, self.inbox, rewrite, self.out);
        consume(self.inbox, head.length);
        match head.body {
            AnswerBody::None => match self.flush(to).await {
                Ok(passed) | Err(passed) => passed,
            },
            AnswerBody::Length(length) => self.pass_length(length, from, to).await,
            AnswerBody::Chunked => self.pass_chunks(rewrite.framing, from, to).await,
            AnswerBody::UntilClose => self.pass_until_close(rewrite.framing, from, to).await,
        }
    }

    async fn pass_length(
        &mut self,
        mut left: u64,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Passed {
        loop {
            let bytes = self.inbox.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= bytes as u64;
            if self.out.is_empty() {
                // Written directly from the receive buffer, without a copy.
                let written = stream::write_all(to, &self.inbox[..bytes], &self.client.watch).await;
                if written.is_err() {
                    return Passed::Cut(Outcome::Abandoned);
                }
            } else {
                self.out.extend_from_slice(&self.inbox[..bytes]);
                if let Err(cut) = self.flush(to).await {
                    return cut;
                }
                self.client.worker.buffers.give_back(self.out);
            }
            consume(self.inbox, bytes);
            if left == 0 {
                return Passed::Whole;
            }
            match self.read_body(from).await {
                Ok(0) => return Passed::Cut(Outcome::Broken),
                Ok(_) => {}
                Err(cut) => return cut,
            }
        }
    }

    async fn pass_chunks(
        &mut self,
        framing: Framing,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Passed {
        let mut chunks = Chunks::default();
        let framed = framing == Framing::Chunked;
        loop {
            let out = &mut *self.out;
            let used = chunks.decode(self.inbox, |data| put_piece(data, framed, out));
            let malformed = used.is_err();
            consume(self.inbox, used.unwrap_or_default());
            if chunks.is_done() && framed {
                self.out.extend_from_slice(b"0\r\n");
                if self.request.takes_trailers {
                    chunks.write_trailers_to(self.out);
                }
                self.out.extend_from_slice(b"\r\n");
            }
            if let Err(cut) = self.flush(to).await {
                return cut;
            }
            if malformed {
                return Passed::Cut(Outcome::Broken);
            }
            if chunks.is_done() {
                return Passed::Whole;
            }
            match self.read_body(from).await {
                Ok(0) => return Passed::Cut(Outcome::Broken),
                Ok(_) => {}
                Err(cut) => return cut,
            }
        }
    }

    async fn pass_until_close(
        &mut self,
        framing: Framing,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Passed {
        let framed = framing == Framing::Chunked;
        loop {
            if !self.inbox.is_empty() {
                put_piece(self.inbox, framed, self.out);
                self.inbox.clear();
            }
            if let Err(cut) = self.flush(to).await {
                return cut;
            }
            match self.read_body(from).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(cut) => return cut,
            }
        }
        if framed {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        match self.flush(to).await {
            Ok(whole) => whole,
            Err(cut) => cut,
        }
    }

    async fn flush(&mut self, to: &mut WriteHalf<'_>) -> Result<Passed, Passed> {
        let written = stream::write_all(to, self.out, &self.client.watch).await;
        self.out.clear();
        written.map(|()| Passed::Whole).map_err(|_| Passed::Cut(Outcome::Abandoned))
    }

    async fn read_body(&mut self, from: &mut ReadHalf<'_>) -> Result<usize, Passed> {
        if self.inbox.capacity() == 0 {
            *self.inbox = self.client.worker.buffers.take();
        }
        let read = stream::read(from, self.inbox, &self.client.watch).await;
        self.client.watch.note_progress();
        read.map_err(|stop| match stop {
            Stop::TooLate => Passed::Cut(Outcome::TimedOut),
            Stop::Broken(_) => Passed::Cut(Outcome::Broken),
        })
    }
}

fn put_piece(data: &[u8], framed: bool, out: &mut Vec<u8>) {
    if framed {
        write_size(data.len(), out);
    }
    out.extend_from_slice(data);
    if framed {
        out.extend_from_slice(b"\r\n");
    }
}

/// Decides how a response's body is framed for the client.
pub fn framing(request: &RequestHead, head: &AnswerHead) -> Framing {
    match (head.body, head.content_length) {
        (AnswerBody::None, Some(length)) if head.status != 204 => Framing::Length(length),
        (AnswerBody::None, _) => Framing::Unsaid,
        (AnswerBody::Length(length), _) => Framing::Length(length),
        // HTTP/1.0 has no chunked coding, so the body ends with the connection.
        (AnswerBody::Chunked | AnswerBody::UntilClose, _) if request.is_old => Framing::Unsaid,
        (AnswerBody::Chunked | AnswerBody::UntilClose, _) => Framing::Chunked,
    }
}

/// True if the client can recognize the end of the body only by the end of the connection.
pub fn ends_with_connection(request: &RequestHead, head: &AnswerHead) -> bool {
    request.is_old && matches!(head.body, AnswerBody::Chunked | AnswerBody::UntilClose)
}

/// Decides what the response says about the client's connection.
pub fn persistence(request: &RequestHead, keep: bool) -> Persistence {
    match (keep, request.is_old) {
        (true, false) => Persistence::Usual,
        (true, true) => Persistence::Kept,
        (false, _) => Persistence::Closed,
    }
}
