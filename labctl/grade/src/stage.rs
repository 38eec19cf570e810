//! What a stage does and wants, as a TOML file says it: what all kinds have in common, and the acts of a balancer's.

use std::time::Duration;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::database;

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A load balancer.
    Lb,
    /// A database.
    Db,
}

impl Kind {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "db",
        }
    }

    /// The number of its stages.
    pub fn stage_count(self) -> usize {
        match self {
            Self::Lb => Stages::<Act>::of_balancer().stage.len(),
            Self::Db => Stages::<database::Act>::of_database().stage.len(),
        }
    }
}

/// All stages of a kind, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages<A> {
    /// The stages.
    pub stage: Vec<Stage<A>>,
}

/// One stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage<A> {
    /// Its name, by which it is spoken of.
    pub name: String,
    /// What it asks for, in one line.
    pub about: String,
    /// What it is worth.
    pub points: u32,
    /// The number of web servers behind a balancer, or of a database's nodes.
    #[serde(alias = "nodes")]
    pub servers: usize,
    /// The part's flags besides its addresses.
    #[serde(default)]
    pub flags: IndexMap<String, String>,
    /// What to think of, one after the other.
    pub hints: Vec<String>,
    /// Where to read on.
    pub read: String,
    /// What is done, in order.
    pub steps: Vec<A>,
}

/// One thing that is done, and what is wanted of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Sends one request, and looks at the answer and at what the server saw.
    Exchange {
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// The path with its query.
        path: String,
        /// Headers of the request.
        #[serde(default)]
        headers: IndexMap<String, String>,
        /// Its body.
        #[serde(default)]
        body: String,
        /// The status of the answer: one of these.
        status: Vec<u16>,
        /// The answer's body.
        answer: Option<String>,
        /// The length of the answer's body.
        length: Option<usize>,
        /// Headers that the server must have seen, each with what must be in it.
        #[serde(default)]
        seen: IndexMap<String, String>,
        /// Headers that the server must not have seen.
        #[serde(default)]
        not_seen: Vec<String>,
        /// Whether the answer must name its server, as the server names itself.
        #[serde(default)]
        named: bool,
        /// How long it may take.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Sends a number of requests, and waits for all answers.
    Send {
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// The number of requests.
        count: usize,
        /// How many a second.
        rate: f64,
        /// How many may fail.
        #[serde(default)]
        failed: usize,
        /// How many each of these servers must answer: at least, at most.
        #[serde(default)]
        share: IndexMap<String, (usize, usize)>,
        /// Whether each must have reached servers at most once, whatever its answer was.
        #[serde(default)]
        once: bool,
        /// How long each may take.
        #[serde(default = "two_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Begins to send requests at a rate, while the next things are done.
    Flow {
        /// How many a second.
        rate: f64,
    },
    /// Ends that, and looks back at it.
    Flowed {
        /// How many may have failed.
        failed: usize,
        /// How long before the end the last one may have failed at the latest.
        #[serde(default, deserialize_with = "span")]
        quiet: Duration,
        /// How long the slowest percent may have taken at the longest.
        #[serde(default, deserialize_with = "maybe_span")]
        p99: Option<Duration>,
    },
    /// Lets time pass.
    Wait {
        /// The time to wait.
        #[serde(deserialize_with = "span")]
        time: Duration,
    },
    /// Kills a server (SIGKILL).
    Kill {
        /// The server's name.
        server: String,
    },
    /// Freezes a server (SIGSTOP).
    Freeze {
        /// The server's name.
        server: String,
    },
    /// Starts a killed server again.
    Restart {
        /// The server's name.
        server: String,
    },
    /// Makes a server behave in a way: `well`, `failing` (500), `breaking` (no answer), `slow` (half a second).
    Mode {
        /// The server's name.
        server: String,
        /// The way in which it misbehaves.
        mode: String,
    },
    /// Starts one more server, and tells the part of it.
    Add {
        /// The server's name.
        server: String,
    },
    /// Tells the part to let a server go.
    Remove {
        /// The server's name.
        server: String,
    },
    /// Counts what reaches a server.
    Reach {
        /// The server's name.
        server: String,
        /// For how long.
        #[serde(deserialize_with = "span")]
        over: Duration,
        /// At least.
        #[serde(default)]
        at_least: u64,
        /// At most.
        at_most: u64,
    },
    /// Sends bytes as they are, on a connection of their own.
    Raw {
        /// What is wrong with them.
        why: String,
        /// The bytes.
        send: String,
        /// The status of the answer: one of these. A closed connection without an answer is as good.
        status: Vec<u16>,
    },
    /// Opens connections that send a request very slowly, and keeps them until the stage's end.
    SlowClients {
        /// The number of requests.
        count: usize,
    },
    /// Sends a slow request, asks the part to end (SIGTERM), and waits for both.
    Drain {
        /// How long the part may take to end.
        #[serde(deserialize_with = "span")]
        within: Duration,
    },
    /// Compares the CPU time of a request with that of HAProxy.
    Speed {
        /// How many requests.
        count: usize,
        /// How many at a time.
        at_once: usize,
        /// How many times HAProxy's CPU time a request may take.
        times: f64,
    },
}

pub(crate) fn get() -> String {
    "GET".into()
}

pub(crate) fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

pub(crate) fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

pub(crate) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}

pub(crate) fn maybe_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

impl Stages<Act> {
    /// The stages of a balancer.
    pub fn of_balancer() -> Self {
        Self::parse("grades/lb.toml", include_str!("../grades/lb.toml"))
    }
}

impl<A: DeserializeOwned> Stages<A> {
    /// Reads a file that comes with the lab.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let read = toml::from_str(text);
        read.unwrap_or_else(|error: toml::de::Error| panic!("a test reads {name}: {error}"))
    }

    /// What all of them are worth.
    pub fn points(&self) -> u32 {
        self.stage.iter().map(|stage| stage.points).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_that_come_with_the_lab_can_be_read() {
        let stages = Stages::of_balancer();
        assert_eq!((stages.stage.len(), stages.points()), (14, 140));
        for stage in &stages.stage {
            assert!((1..=3).contains(&stage.hints.len()), "{}", stage.name);
            assert!(stage.servers <= 9 && !stage.steps.is_empty(), "{}", stage.name);
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        let text = "do = 'send'\ncount = 1\nrate = 1.0\nspeed = 3";
        assert!(toml::from_str::<Act>(text).unwrap_err().message().contains("speed"));
    }
}
