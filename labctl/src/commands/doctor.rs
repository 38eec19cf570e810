//! `labctl doctor`: checks whether this computer can run the lab.

use std::net::{SocketAddr, TcpListener};

use super::common::Common;
use super::{Performed, say, say_document};
use lab::error::LabError;
use lab::{Backend, compose, redis, site};

/// Number of open files that a lab under load may need.
const DESCRIPTORS: u64 = 8192;

struct Finding {
    what: &'static str,
    problem: Option<String>,
}

/// Checks what the lab needs, and suggests a remedy for whatever is missing.
pub async fn doctor(common: &Common) -> Performed {
    let of_the_backend = match common.site.backend {
        Backend::Process => Finding {
            what: "a Redis server, for the chapters with sessions and caches",
            problem: redis(common),
        },
        Backend::Compose => Finding {
            what: "a Docker engine, Compose v2, and images of these programs",
            problem: compose::missing().await,
        },
    };
    let findings = [
        Finding { what: "the lab's programs are beside labctl", problem: programs() },
        Finding { what: "the lab's addresses can be used", problem: addresses(common) },
        Finding { what: "enough file descriptors", problem: open_files() },
        Finding {
            what: "the directories of the lab and of results can be written",
            problem: directories(common),
        },
        Finding { what: "cores for the lab and its load", problem: cores() },
        of_the_backend,
    ];
    if common.json {
        let findings = findings.iter().map(|finding| {
            serde_json::json!({ "what": finding.what, "ok": finding.problem.is_none(), "problem": finding.problem })
        });
        say_document("doctor", serde_json::json!({ "findings": findings.collect::<Vec<_>>() }))?;
    } else {
        for Finding { what, problem } in &findings {
            match problem {
                None => say(format!("✓ {what}")),
                Some(problem) => say(format!("✗ {what}: {problem}")),
            }
        }
    }
    match findings.iter().all(|finding| finding.problem.is_none()) {
        true => Ok(0),
        false => Err(LabError::not_ready("this computer is not ready; see above")),
    }
}

fn programs() -> Option<String> {
    site::find_programs().err().map(|error| error.to_string())
}

fn addresses(common: &Common) -> Option<String> {
    if common.site.backend == Backend::Compose {
        // They exist only while their network does.
        return None;
    }
    let [first, second] = common.site.network();
    let address = SocketAddr::from(([first, second, 0, 9], 0));
    let bound = TcpListener::bind(address);
    bound.err().map(|error| format!("cannot listen on {}: {error}", address.ip()))
}

fn open_files() -> Option<String> {
    let allowed = machine::startup::raise_file_limit();
    (allowed < DESCRIPTORS).then(|| {
        format!("this user may have {allowed} open, and a lab may need {DESCRIPTORS}; raise `ulimit -Hn`")
    })
}

fn directories(common: &Common) -> Option<String> {
    let directories = [&common.site.lab_dir, &common.site.runs_dir];
    let tried = directories.map(|path| site::own_directory(path).and_then(|()| site::can_hold_data(path)));
    tried.into_iter().find_map(Result::err).map(|error| error.to_string())
}

fn redis(common: &Common) -> Option<String> {
    let there = common.site.redis_url.is_some() || redis::find().is_some();
    (!there).then(|| redis::how_to_get_it().into())
}

fn cores() -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores < 2).then(|| "one core has to do everything; expect inconclusive verdicts".into())
}
