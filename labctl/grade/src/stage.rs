//! The format of stages in TOML: what all kinds have in common, and the acts of a balancer's stages.

use std::time::Duration;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::database;

/// The kind of part that is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A load balancer.
    Lb,
    /// A database.
    Db,
}

impl Kind {
    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "db",
        }
    }

    /// Returns the number of its stages.
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
    /// Its name.
    pub name: String,
    /// What it checks, in one line.
    pub about: String,
    /// The points that it is worth.
    pub points: u32,
    /// The number of web servers behind a balancer, or of a database's nodes.
    #[serde(alias = "nodes")]
    pub servers: usize,
    /// The part's flags besides its addresses.
    #[serde(default)]
    pub flags: IndexMap<String, String>,
    /// Hints, in order.
    pub hints: Vec<String>,
    /// Further reading.
    pub read: String,
    /// The acts, in order.
    pub steps: Vec<A>,
}

/// One act, and what it expects.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Sends one request, and checks the response and what the server saw.
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
        /// The accepted statuses.
        status: Vec<u16>,
        /// The expected body.
        answer: Option<String>,
        /// The expected length of the body, in bytes.
        length: Option<usize>,
        /// Headers that the server must have received, each with text that its value must contain.
        #[serde(default)]
        seen: IndexMap<String, String>,
        /// Headers that the server must not have received.
        #[serde(default)]
        not_seen: Vec<String>,
        /// Whether the response must name its server, with the name that the server uses.
        #[serde(default)]
        named: bool,
        /// Timeout of the request.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Sends a number of requests, and waits for all responses.
    Send {
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// The number of requests.
        count: usize,
        /// The rate, in requests a second.
        rate: f64,
        /// The number of requests that may fail.
        #[serde(default)]
        failed: usize,
        /// For these servers, the minimum and maximum number of requests to be answered by each.
        #[serde(default)]
        share: IndexMap<String, (usize, usize)>,
        /// Whether each request must have reached a server at most once, whatever the response.
        #[serde(default)]
        once: bool,
        /// Timeout of each request.
        #[serde(default = "two_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Starts sending requests at a constant rate in the background.
    Flow {
        /// The rate, in requests a second.
        rate: f64,
    },
    /// Stops the flow and checks its results.
    Flowed {
        /// The number of requests that may have failed.
        failed: usize,
        /// The final period in which no request may have failed.
        #[serde(default, deserialize_with = "span")]
        quiet: Duration,
        /// The highest p99 response time allowed.
        #[serde(default, deserialize_with = "maybe_span")]
        p99: Option<Duration>,
    },
    /// Waits.
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
    /// Sets a server's mode: `well`, `failing` (500), `breaking` (no response), `slow` (half a second).
    Mode {
        /// The server's name.
        server: String,
        /// The mode.
        mode: String,
    },
    /// Starts one more server, and adds it to the part.
    Add {
        /// The server's name.
        server: String,
    },
    /// Tells the part to drain and remove a server.
    Remove {
        /// The server's name.
        server: String,
    },
    /// Counts the requests that reach a server.
    Reach {
        /// The server's name.
        server: String,
        /// The duration.
        #[serde(deserialize_with = "span")]
        over: Duration,
        /// The minimum.
        #[serde(default)]
        at_least: u64,
        /// The maximum.
        at_most: u64,
    },
    /// Sends raw bytes on a new connection.
    Raw {
        /// What is wrong with them.
        why: String,
        /// The bytes.
        send: String,
        /// The accepted statuses. Closing the connection without a response is accepted as well.
        status: Vec<u16>,
    },
    /// Opens connections that send a request very slowly, and keeps them until the end of the stage (Slowloris).
    SlowClients {
        /// The number of connections.
        count: usize,
    },
    /// Sends a slow request, asks the part to end (SIGTERM), and waits for both.
    Drain {
        /// How long the part may take to end.
        #[serde(deserialize_with = "span")]
        within: Duration,
    },
    /// Compares the CPU time per request with that of HAProxy.
    Speed {
        /// The number of requests.
        count: usize,
        /// The number of concurrent requests.
        at_once: usize,
        /// The largest allowed ratio to HAProxy's CPU time.
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
    /// Returns the stages of a balancer.
    pub fn of_balancer() -> Self {
        Self::parse("grades/lb.toml", include_str!("../grades/lb.toml"))
    }
}

impl<A: DeserializeOwned> Stages<A> {
    /// Parses a file that is embedded in the program.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let read = toml::from_str(text);
        read.unwrap_or_else(|error: toml::de::Error| panic!("a test reads {name}: {error}"))
    }

    /// Returns the points that all stages are worth.
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
