//! An answer on its way down: its head, with the interim ones before it, and its body piece by
//! piece.

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

/// Interim answers before a final one: more are nobody's.
const INTERIM_MAX: usize = 16;

/// How long an upstream may think about an expectation before its client is told to go on: many
/// know nothing of expectations and just wait for the body.
const EXPECTATION: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The connection was closed before anything came.
    Closed,
    /// Something came that is no answer, or no whole one.
    Broken(&'static str),
    /// An answer came whose head is larger than is taken here.
    TooLarge,
    /// Nothing came in time.
    TooLate,
    /// The client takes nothing.
    ClientGone,
}

impl From<NoSense> for NoAnswer {
    fn from(error: NoSense) -> Self {
        if error == NoSense::TOO_LARGE { Self::TooLarge } else { Self::Broken(error.0) }
    }
}

/// What an upstream says, as it comes in.
#[derive(Debug)]
pub struct Download<'a> {
    /// The client that gets the answer.
    pub client: &'a Client,
    /// The request that it answers.
    pub request: &'a RequestHead,
    /// What has come and has not been passed on.
    pub inbox: &'a mut Vec<u8>,
    /// The lines of the answer's head.
    pub fields: &'a mut Fields,
    /// What is to be sent to the client.
    pub out: &'a mut Vec<u8>,
    /// True when the client has been told to go on with its body.
    pub told_to_continue: &'a mut bool,
    /// True when the client has seen anything of an answer.
    pub has_passed: &'a mut bool,
}

/// How passing a body on ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// All of it is there.
    Whole,
    /// It broke off: the client must see that. It is counted as this.
    Cut(Outcome),
}

impl Download<'_> {
    /// Reads the head of the final answer, or of one that switches to a protocol that was asked for.
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

    /// Tells the client to go on with its body, on the balancer's own account.
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
        Err(NoAnswer::Broken("it switches to a protocol that nobody asked for"))
    }

    /// An old client knows no interim answers, and one that was told to go on need not be told again:
    /// that is the balancer's own 100 (RFC 9110, 15.2).
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

    /// Passes the final answer on: its head, written by the caller's rewrite, and its body.
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
                // What comes in goes out from where it is.
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

/// How an answer's body is framed on its way down.
pub fn framing(request: &RequestHead, head: &AnswerHead) -> Framing {
    match (head.body, head.content_length) {
        (AnswerBody::None, Some(length)) if head.status != 204 => Framing::Length(length),
        (AnswerBody::None, _) => Framing::Unsaid,
        (AnswerBody::Length(length), _) => Framing::Length(length),
        // An old client knows no chunks: for it the body ends with the connection.
        (AnswerBody::Chunked | AnswerBody::UntilClose, _) if request.is_old => Framing::Unsaid,
        (AnswerBody::Chunked | AnswerBody::UntilClose, _) => Framing::Chunked,
    }
}

/// True when the client can tell the end of the body only by the end of the connection.
pub fn ends_with_connection(request: &RequestHead, head: &AnswerHead) -> bool {
    request.is_old && matches!(head.body, AnswerBody::Chunked | AnswerBody::UntilClose)
}

/// What is said about the client's connection.
pub fn persistence(request: &RequestHead, keep: bool) -> Persistence {
    match (keep, request.is_old) {
        (true, false) => Persistence::Usual,
        (true, true) => Persistence::Kept,
        (false, _) => Persistence::Closed,
    }
}
