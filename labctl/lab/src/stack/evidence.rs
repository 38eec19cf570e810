//! What can be observed of a machine from outside, and what follows from it. Pure.
//!
//! | somebody typed | programs | name | the machine's socket |
//! |---|---|---|---|
//! | nothing | answer | leads there | answers |
//! | `docker kill`, `docker stop` | silent | gone | refuses |
//! | `docker pause` | silent | leads there | silent |
//! | `docker network disconnect` | silent | gone | answers |
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

/// The result of a request to a program or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It answers.
    Answers,
    /// Nothing listens there.
    Refuses,
    /// No answer came in time.
    Silent,
    /// It cannot be asked: it does not exist, or not yet.
    CannotBe,
}

/// The result of resolving a machine's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// It resolves to this address.
    Leads(IpAddr),
    /// It does not resolve: neither the engine nor any other name server knows it.
    Nowhere,
    /// No result in time. The engine answers at once for the names it knows, and asks other servers for the
    /// rest.
    Unclear,
}

/// The state of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Something on it answers.
    Up,
    /// It is there, but nothing on it answers: it is starting, ending or overloaded.
    Silent,
    /// It is frozen.
    Frozen,
    /// It works, but is not on the network.
    CutOff,
    /// It is not running.
    Gone,
}

/// Judges one probe. `programs` is the best result among its programs.
pub(super) fn judge(programs: Asked, name: Name, socket: Asked) -> State {
    match (programs, name, socket) {
        (Asked::Answers, ..) => State::Up,
        (_, Name::Leads(_), Asked::Answers) => State::Silent,
        // Its name disappears a moment after the machine does.
        (_, Name::Leads(_), Asked::Refuses) => State::Gone,
        (Asked::Refuses | Asked::CannotBe, Name::Leads(_), _) => State::Silent,
        (Asked::Silent, Name::Leads(_), Asked::Silent | Asked::CannotBe) => State::Frozen,
        (_, Name::Nowhere | Name::Unclear, Asked::Answers) => State::CutOff,
        (_, Name::Nowhere | Name::Unclear, Asked::Silent) => State::Frozen,
        (_, Name::Nowhere | Name::Unclear, Asked::Refuses | Asked::CannotBe) => State::Gone,
    }
}

/// True if one probe is enough. On a busy computer anything may be silent for a moment; only an answer or a
/// refusal is certain.
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
        // A machine without a socket, from somebody else's image, is judged by its name.
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
