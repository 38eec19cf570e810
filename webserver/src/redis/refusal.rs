//! Refusals: what Redis says when it rejects a command, and what that means. Pure.
//!
//! A refusal begins with a word in capitals (`MISCONF`, `NOPERM`), or with `ERR` and a sentence. Before
//! version 7, the refusal of a command in a script is in the middle of such a sentence.

#![deny(clippy::disallowed_methods)]

use std::fmt;

/// The longest quotation of what Redis said, in characters.
const SAYS_MAX: usize = 240;

/// A reply in which Redis rejects a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The word that it begins with, or one that stands for a known sentence; `other` if unknown.
    pub word: &'static str,
    /// What the refusal means.
    pub meaning: Meaning,
    /// What Redis said, without the parts that repeat the request.
    says: String,
}

/// What a refusal means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The connection is unusable: its other end is not the primary, is not ready, or rejects the shop.
    WrongServer,
    /// There is no memory for new data. Existing data can be read and removed.
    Full,
    /// Redis cannot do what the shop needs, for any request. Unknown refusals are taken for this.
    NotNow,
    /// It concerns only this request: its key, or the value under it.
    ThisRequest,
}

use Meaning::{Full, NotNow, ThisRequest, WrongServer};

/// The words that refusals begin with.
const WORDS: [(&str, Meaning); 25] = [
    ("READONLY", WrongServer),
    ("MASTERDOWN", WrongServer),
    ("LOADING", WrongServer),
    ("NOAUTH", WrongServer),
    ("WRONGPASS", WrongServer),
    ("OOM", Full),
    ("MISCONF", NotNow),
    ("NOREPLICAS", NotNow),
    ("NOPERM", NotNow),
    ("CLUSTERDOWN", NotNow),
    ("BUSY", NotNow),
    ("NOSCRIPT", NotNow),
    ("UNKILLABLE", NotNow),
    ("EXECABORT", NotNow),
    ("NOPROTO", NotNow),
    ("INPROG", NotNow),
    ("IOERR", NotNow),
    ("DENIED", WrongServer),
    ("MOVED", ThisRequest),
    ("ASK", ThisRequest),
    ("TRYAGAIN", ThisRequest),
    ("CROSSSLOT", ThisRequest),
    ("WRONGTYPE", ThisRequest),
    ("NOTBUSY", ThisRequest),
    ("BUSYKEY", ThisRequest),
];

/// Parts of sentences that begin with `ERR`, and the word that stands for each.
const SENTENCES: [(&str, &str, Meaning); 13] = [
    ("max number of clients", "MAXCLIENTS", WrongServer),
    ("DB index is out of range", "DATABASE", WrongServer),
    ("SELECT is not allowed", "DATABASE", WrongServer),
    ("without any password configured", "WRONGPASS", WrongServer),
    ("unknown command", "UNKNOWN", NotNow),
    ("Unknown Redis command", "UNKNOWN", NotNow),
    ("can't run this command", "NOPERM", NotNow),
    ("has no permissions", "NOPERM", NotNow),
    ("can't access at least one of the keys", "NOPERM", NotNow),
    ("cluster is down", "CLUSTERDOWN", NotNow),
    // A script found a value that was not written by a shop.
    (": attempt to ", "FOREIGN", ThisRequest),
    ("attempted to access a non local key", "MOVED", ThisRequest),
    ("do not hash to the same slot", "CROSSSLOT", ThisRequest),
];

impl Refusal {
    /// Classifies what Redis said.
    pub(super) fn of(said: &str) -> Self {
        let (word, meaning, from) = classify(said);
        let said = said.get(from..).unwrap_or(said);
        // Cut off where it repeats the request, or locates the error in a script.
        let said = said.split(", with args beginning with").next().unwrap_or_default();
        let said = match said.split_once(", on @") {
            Some((said, _line)) => said.rsplit_once(" script: ").map_or(said, |(said, _hash)| said),
            None => said,
        };
        Self { word, meaning, says: said.trim().chars().take(SAYS_MAX).collect() }
    }

    /// Classifies the refusal of one command in a script; Redis does not name the command.
    pub(super) fn of_command(command: &str, said: &str) -> Self {
        let mut refusal = Self::of(said);
        let is_about_it = ["NOPERM", "UNKNOWN"].contains(&refusal.word);
        if is_about_it && !refusal.says.contains(&command.to_lowercase()) {
            refusal.says = format!("{} ({command})", refusal.says);
        }
        refusal
    }

    /// The value under one of the shop's keys was not written by a shop.
    pub(crate) fn foreign() -> Self {
        let says = "what is under this key was not written by a shop".into();
        Self { word: "FOREIGN", meaning: ThisRequest, says }
    }

    /// What the operator can do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self.word {
            "UNKNOWN" => "give Redis the command back (rename-command), or use another Redis",
            "NOPERM" => "give the user the rights that docs/contract.md lists",
            "NOSCRIPT" => "let Redis keep the scripts that the shop loads",
            "NOAUTH" | "WRONGPASS" => "correct the user and the password in --redis",
            "DATABASE" => "correct the number of the database in --redis",
            "MISCONF" => "see to the disk of Redis",
            "NOREPLICAS" => "see to the replicas of Redis",
            "OOM" => "give Redis more memory (maxmemory)",
            "MAXCLIENTS" => "let Redis take more clients (maxclients)",
            "CLUSTERDOWN" | "MOVED" | "ASK" | "TRYAGAIN" | "CROSSSLOT" => {
                "use a Redis that is no member of a cluster"
            }
            _ => "see to Redis",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.says)
    }
}

/// Returns the word, its meaning, and where it begins.
fn classify(said: &str) -> (&'static str, Meaning, usize) {
    let first = said.split(' ').next().unwrap_or_default();
    if let Some((word, meaning)) = known(first) {
        return (word, meaning, 0);
    }
    if first != "ERR" && !first.starts_with("@user_script") {
        return ("other", NotNow, 0);
    }
    let sentence = SENTENCES.iter().find(|(part, ..)| said.contains(part));
    if let Some((_, word, meaning)) = sentence {
        return (word, *meaning, 0);
    }
    // `ERR Error running script (call to f_…): @user_script:1: @user_script: 1: -MISCONF Redis …`
    let buried = said.match_indices(" -").find_map(|(at, _)| {
        let from = at + 2;
        let (word, meaning) = known(said.get(from..)?.split(' ').next()?)?;
        Some((word, meaning, from))
    });
    buried.unwrap_or(("ERR", NotNow, 0))
}

fn known(word: &str) -> Option<(&'static str, Meaning)> {
    WORDS.into_iter().find(|(known, _)| *known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 7 says it; taken from its source where it could not be provoked.
    const SAID: [(&str, &str, Meaning); 41] = [
        ("READONLY You can't write against a read only replica.", "READONLY", WrongServer),
        (
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "MASTERDOWN",
            WrongServer,
        ),
        ("LOADING Redis is loading the dataset in memory", "LOADING", WrongServer),
        ("NOAUTH Authentication required.", "NOAUTH", WrongServer),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS", WrongServer),
        (
            "DENIED Redis is running in protected mode because protected mode is enabled",
            "DENIED",
            WrongServer,
        ),
        ("ERR max number of clients reached", "MAXCLIENTS", WrongServer),
        ("ERR max number of clients + cluster connections reached", "MAXCLIENTS", WrongServer),
        ("ERR DB index is out of range", "DATABASE", WrongServer),
        ("ERR SELECT is not allowed in cluster mode", "DATABASE", WrongServer),
        (
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            "WRONGPASS",
            WrongServer,
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", Full),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "MISCONF",
            NotNow,
        ),
        ("MISCONF Errors writing to the AOF file: No space left on device", "MISCONF", NotNow),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", NotNow),
        ("NOPERM this user has no permissions to run the 'get' command", "NOPERM", NotNow),
        ("NOPERM this user has no permissions to access one of the keys used as arguments", "NOPERM", NotNow),
        ("NOPERM User shop has no permissions to run the 'evalsha' command", "NOPERM", NotNow),
        ("ERR The user executing the script can't run this command or subcommand", "NOPERM", NotNow),
        (
            "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
            "NOPERM",
            NotNow,
        ),
        (
            "ERR ACL failure in script: User shop has no permissions to run the 'time' command",
            "NOPERM",
            NotNow,
        ),
        ("CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", NotNow),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN", NotNow),
        (
            "ERR Script attempted to execute a write command while the cluster is down and readonly",
            "CLUSTERDOWN",
            NotNow,
        ),
        ("ERR Script attempted to access a non local key in a cluster node", "MOVED", ThisRequest),
        ("ERR Script attempted to access keys that do not hash to the same slot", "CROSSSLOT", ThisRequest),
        ("CLUSTERDOWN The cluster is down and only accepts read commands", "CLUSTERDOWN", NotNow),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "BUSY",
            NotNow,
        ),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT", NotNow),
        (
            "UNKILLABLE Sorry the script already executed write commands against the dataset.",
            "UNKILLABLE",
            NotNow,
        ),
        ("EXECABORT Transaction discarded because of previous errors.", "EXECABORT", NotNow),
        ("NOPROTO unsupported protocol version", "NOPROTO", NotNow),
        ("ERR Unknown Redis command called from script", "UNKNOWN", NotNow),
        ("MOVED 866 127.0.0.1:7002", "MOVED", ThisRequest),
        ("ASK 866 127.0.0.1:7002", "ASK", ThisRequest),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN", ThisRequest),
        ("CROSSSLOT Keys in request don't hash to the same slot", "CROSSSLOT", ThisRequest),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE", ThisRequest),
        ("ERR user_script:14: attempt to compare nil with number", "FOREIGN", ThisRequest),
        ("ERR value is not an integer or out of range", "ERR", NotNow),
        ("NEWWORD of a later version", "other", NotNow),
    ];

    #[test]
    fn every_word_of_refusal_has_its_meaning() {
        for (said, word, meaning) in SAID {
            let refusal = Refusal::of(said);
            assert_eq!((refusal.word, refusal.meaning), (word, meaning), "{said}");
            assert_eq!(refusal.to_string(), said);
            assert!(!refusal.hint().is_empty());
        }
    }

    #[test]
    fn a_script_s_refusal_is_read_as_each_version_writes_it() {
        let new = "NOREPLICAS Not enough good replicas to write. script: ddcccb0b, on @user_script:1.";
        let old = "ERR Error running script (call to f_104ae6): @user_script:1: @user_script: 1: -NOREPLICAS Not enough good replicas to write.";
        let old_and_caught = "@user_script: 1: -NOREPLICAS Not enough good replicas to write.";
        for said in [new, old, old_and_caught] {
            let refusal = Refusal::of(said);
            assert_eq!((refusal.word, refusal.meaning), ("NOREPLICAS", NotNow), "{said}");
            assert_eq!(refusal.to_string(), "NOREPLICAS Not enough good replicas to write.");
        }
    }

    #[test]
    fn nothing_of_the_request_is_repeated() {
        let said = "ERR unknown command 'EVALSHA', with args beginning with: '0a1b' '1' 'session:secret' ";
        let refusal = Refusal::of(said);
        assert_eq!((refusal.word, refusal.meaning), ("UNKNOWN", NotNow));
        assert_eq!(refusal.to_string(), "ERR unknown command 'EVALSHA'");
        assert_eq!(Refusal::of(&"x".repeat(10_000)).to_string().len(), SAYS_MAX);
    }

    #[test]
    fn a_command_in_a_script_is_named_where_redis_does_not() {
        let said = "ERR The user executing the script can't run this command or subcommand";
        assert_eq!(Refusal::of_command("TIME", said).to_string(), format!("{said} (TIME)"));
        let said = "ERR ACL failure in script: User shop has no permissions to run the 'time' command";
        assert_eq!(Refusal::of_command("TIME", said).to_string(), said);
    }

    #[test]
    fn anything_at_all_is_read() {
        for said in ["", " ", "-", "ERR", "ERR -", "ERR a -", "ERR é -MISCONF", "\r\n", "MISCONF"] {
            let _ = Refusal::of(said);
        }
    }
}
