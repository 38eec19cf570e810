//! What can be seen of a machine from beside it, and what follows from that. Pure.
//!
//! | somebody typed | programs | name | the machine's socket |
//! |---|---|---|---|
//! | nothing | answer | leads there | answers |
//! | `docker kill`, `docker stop` | silent | gone | refuses |
//! | `docker pause` | silent | leads there | silent |
//! | `docker network disconnect` | silent | gone | answers |
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

/// What came of asking a program or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It answers.
    Answers,
    /// Nothing listens there.
    Refuses,
    /// Nothing came in time.
    Silent,
    /// It cannot be asked: there is no such thing, or not yet.
    CannotBe,
}

/// Where the machine's name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// To this address.
    Leads(IpAddr),
    /// Nowhere: the engine does not know it, and nobody else does.
    Nowhere,
    /// It is not known in time. The engine answers at once for what it knows, and asks others for the rest.
    Unclear,
}

/// How a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Something on it answers.
    Up,
    /// It is there, and nothing on it answers: it starts, ends, or has too much to do.
    Silent,
    /// It stands still.
    Frozen,
    /// It works, and is not on the network.
    CutOff,
    /// It does not run.
    Gone,
}

/// Judges one look. `programs` is the best of what the programs on it said.
pub(super) fn judge(programs: Asked, name: Name, socket: Asked) -> State {
    match (programs, name, socket) {
        (Asked::Answers, ..) => State::Up,
        (_, Name::Leads(_), Asked::Answers) => State::Silent,
        // Its name goes a moment after it.
        (_, Name::Leads(_), Asked::Refuses) => State::Gone,
        (Asked::Refuses | Asked::CannotBe, Name::Leads(_), _) => State::Silent,
        (Asked::Silent, Name::Leads(_), Asked::Silent | Asked::CannotBe) => State::Frozen,
        (_, Name::Nowhere | Name::Unclear, Asked::Answers) => State::CutOff,
        (_, Name::Nowhere | Name::Unclear, Asked::Silent) => State::Frozen,
        (_, Name::Nowhere | Name::Unclear, Asked::Refuses | Asked::CannotBe) => State::Gone,
    }
}

/// Whether one look is enough. A busy computer makes anything silent for a moment; only what is refused and what
/// answers is certain.
pub(super) fn is_certain(state: State, name: Name, socket: Asked) -> bool {
    match state {
        State::Up => true,
        State::Gone => socket == Asked::Refuses || name == Name::Nowhere,
        State::CutOff => name == Name::Nowhere,
        State::Silent | State::Frozen => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Name = Name::Leads(IpAddr::V4(std::net::Ipv4Addr::new(172, 30, 1, 2)));

    #[test]
    fn what_somebody_typed_is_told_apart() {
        use Asked::{Answers, CannotBe, Refuses, Silent};
        assert_eq!(judge(Answers, THERE, Answers), State::Up);
        assert_eq!(judge(Silent, Name::Nowhere, Refuses), State::Gone, "docker kill");
        assert_eq!(judge(Silent, THERE, Silent), State::Frozen, "docker pause");
        assert_eq!(judge(Silent, Name::Nowhere, Answers), State::CutOff, "docker network disconnect");
        // Of what has no socket, an image of somebody else, the name has to do.
        assert_eq!(judge(Silent, Name::Unclear, CannotBe), State::Gone);
        assert_eq!(judge(Silent, THERE, CannotBe), State::Frozen);
        assert_eq!(judge(Refuses, THERE, CannotBe), State::Silent, "it starts");
    }

    #[test]
    fn a_busy_computer_kills_and_freezes_nothing_at_one_look() {
        assert!(!is_certain(State::Frozen, THERE, Asked::Silent));
        assert!(!is_certain(State::Gone, Name::Unclear, Asked::CannotBe));
        assert!(is_certain(State::Gone, Name::Unclear, Asked::Refuses));
        assert!(is_certain(State::Gone, Name::Nowhere, Asked::CannotBe));
    }
}
