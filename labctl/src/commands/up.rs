//! `labctl up CHAPTER`: starts a lab that keeps running in the background.
//!
//! The lab is kept by a labctl process in the background (the keeper), which watches it and ends everything
//! when it ends itself. The process in the foreground waits until the machines answer.
//!
//! ```text
//! labctl up ──starts──> labctl up --keeper ──starts──> machines
//!     <──── one line: ready, or what is wrong ────┘
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::common::Common;
use super::parts::PartArgs;
use super::{Performed, by_hand, running, say, say_document, say_note, status};
use crate::report::columns;
use crate::report::gallery::Gallery;
use crate::report::terminal::wrap;
use crate::testbed::ClaimedSite;
use chapter::{Chapter, Setting, Source, kind};
use lab::compose::Cable;
use lab::control::Control;
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::state::State;
use lab::{Backend, Laboratory, MachineStatus, Plan, site};
use machine::network::Accept;
use page::Page;

/// The random seed of traffic from the page, the same as the default of `labctl load`.
const SEED: u64 = 42;

/// Selects the chapter, and how to start it.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// A chapter's name (`labctl list`), or a path to a .toml file.
    chapter: String,

    /// Change one value of the chapter: machine.web.cores=2.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,

    #[command(flatten)]
    parts: PartArgs,

    /// Give every connection a link, so that each can be slowed and cut, not only those that the chapter names.
    #[arg(long)]
    all_links: bool,

    /// Serve the live page on this loopback address, or on the next free port if its port is in use.
    #[arg(long, value_name = "ADDRESS", default_value_t = page::DEFAULT_ADDRESS)]
    page: SocketAddr,

    /// Serve no live page.
    #[arg(long, conflicts_with = "page")]
    no_page: bool,

    /// Keep the lab, and do not go into the background.
    #[arg(long, hide = true)]
    keeper: bool,
}

/// The keeper's report that the lab is up, or cannot be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Ready { swept: Vec<String>, page: Option<page::Found> },
    Failed { code: u8, reason: String },
}

/// Starts a lab that keeps running.
pub async fn up(args: &UpArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    // A mistake in the chapter is reported before there is a keeper.
    let mut source = args.parts.open(&args.chapter, &args.settings).await?;
    if args.all_links {
        let with_links = args.settings.iter().cloned().chain([every_link(&source.chapter)?]);
        source = args.parts.open(&args.chapter, &with_links.collect::<Vec<_>>()).await?;
    }
    page::check_address(args.page)?;
    if args.keeper {
        return keep(&source, args, common, interrupt).await;
    }
    let mut keeper = start_keeper(common)?;
    let backend = common.site.backend;
    let word = interrupt.unless(hear(&mut keeper, backend.ready_max())).await;
    match word {
        Ok(Word::Ready { swept, page }) => {
            if let Some(found) = page {
                show_page(&found, args.page, common);
            }
            if !swept.is_empty() {
                say(format!(
                    "(a lab that was killed had left something behind; removed: {})",
                    swept.join(", ")
                ));
            }
            introduce(&source, common).await
        }
        Ok(Word::Failed { code, reason }) => Err(LabError::reported(code, reason)),
        Err(error) => {
            end(&mut keeper, backend.end_max()).await;
            Err(error)
        }
    }
}

/// Returns the setting that gives every connection of a chapter a link: from balancers to their servers, and
/// from web servers to their database and Redis.
fn every_link(chapter: &Chapter) -> Result<Setting, LabError> {
    let own = chapter.links.iter().map(|(from, to)| (from.as_ref().clone(), to.as_ref().clone()));
    let mut links: Vec<(String, String)> = own.collect();
    for (kind, entry) in &chapter.machine {
        let upstreams = entry.lb.iter().map(|lb| &lb.upstreams);
        let stores = entry.webserver.iter().flat_map(|web| std::iter::once(&web.db).chain(&web.redis));
        for to in upstreams.chain(stores).map(|to| to.as_ref().as_str()) {
            // Programs on the same machine need no network.
            if to == kind {
                continue;
            }
            // A link to all machines of a kind replaces links to some of them.
            links.retain(|(one, other)| !(kind::is_of(one, kind) && kind::is_of(other, to)));
            let members = match entry.count {
                None => vec![kind.clone()],
                Some(count) => (1..=count).map(|number| format!("{kind}-{number}")).collect(),
            };
            links.extend(members.into_iter().map(|from| (from, to.to_owned())));
        }
    }
    let links = links.iter().map(|(from, to)| format!("[\"{from}\", \"{to}\"]")).collect::<Vec<_>>();
    format!("links=[{}]", links.join(", ")).parse().map_err(LabError::Usage)
}

/// Prints the page's URL, and why its port is not the requested one.
fn show_page(found: &page::Found, wanted: SocketAddr, common: &Common) {
    say_note(common, format!("The live page: {}", found.url));
    if wanted.port() != 0 && found.address.port() != wanted.port() {
        let (wanted, port) = (wanted.port(), found.address.port());
        say_note(common, format!("(port {wanted} is taken, so it is on {port}; `labctl open` opens it)"));
    }
}

/// Starts this program in the background with the same arguments.
fn start_keeper(common: &Common) -> Result<Child, LabError> {
    site::own_directory(&common.site.lab_dir)?;
    let log = common.site.lab_dir.join("keeper.log");
    let log = File::create(&log)
        .map_err(|error| LabError::not_ready(format!("cannot write {}: {error}", log.display())))?;
    let own = std::env::current_exe().context("find this program")?;
    let words = without_redis_url(std::env::args_os().skip(1));
    let mut command = Command::new(own);
    // The flag belongs to `up`, so it comes last.
    command.args(words).arg("--keeper");
    command.envs(common.site.redis_url.as_ref().map(|url| ("LABCTL_REDIS_URL", url)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Ok(command.spawn().context("start the lab's keeper")?)
}

/// Returns all arguments except the URL of a Redis, which may contain a password: the keeper is long-lived,
/// and every user can read its command line.
fn without_redis_url(mut words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const FLAG: &str = "--redis-url";
    let mut left = Vec::new();
    while let Some(word) = words.next() {
        match word.to_str().and_then(|word| word.strip_prefix(FLAG)) {
            Some("") => drop(words.next()),
            Some(rest) if rest.starts_with('=') => {}
            _ => left.push(word),
        }
    }
    left
}

async fn hear(keeper: &mut Child, limit: Duration) -> Result<Word, LabError> {
    let stdout = keeper.stdout.take().context("its standard output is piped")?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    match tokio::time::timeout(limit, reader.read_line(&mut line)).await {
        Ok(Ok(length)) if length > 0 => {
            Ok(serde_json::from_str(&line).context("understand the lab's keeper")?)
        }
        Ok(_) => Err(LabError::Broken(anyhow!(
            "the lab's keeper ended without a word; see keeper.log in the lab's directory"
        ))),
        Err(_) => Err(LabError::not_ready(format!(
            "the lab was not up within {limit:?}, and was stopped: `labctl doctor` shows what this computer lacks"
        ))),
    }
}

async fn end(keeper: &mut Child, limit: Duration) {
    if let Some(pid) = keeper.id() {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
        let _ = tokio::time::timeout(limit, keeper.wait()).await;
    }
}

async fn introduce(source: &Source, common: &Common) -> Performed {
    let (_, logs, machines) = running::status(common).await?;
    if common.json {
        say_document(
            "status",
            serde_json::json!({ "chapter": source.name, "logs": logs, "machines": machines }),
        )?;
        return Ok(0);
    }
    say(format!("{}. {}", source.chapter.number, source.chapter.title));
    wrap(&source.chapter.question, columns::prose()).into_iter().for_each(say);
    say("");
    status::plain_lines(&machines, columns::width()).into_iter().for_each(say);
    say("Now it is yours. For instance:");
    say("  labctl load --rps 50       send it 50 requests a second");
    for line in by_hand(source, common, &machines)? {
        say(line);
    }
    say("  labctl status              the state of everything");
    say("  labctl events              what happened, and who did it");
    say("  labctl down                end it");
    Ok(0)
}

/// Suggests acts on the first machine, with labctl and without.
fn by_hand(source: &Source, common: &Common, machines: &[MachineStatus]) -> Result<Vec<String>, LabError> {
    let name = machines.first().map_or("NAME", |machine| machine.name.as_str());
    let kill = format!("  labctl kill {name:<14} or");
    if common.site.backend == Backend::Process {
        return Ok(vec![format!("{kill} `kill -9` any pid above")]);
    }
    let plan = Plan::of(&source.chapter, common.site.deployment()).map_err(LabError::Usage)?;
    let Some(address) = plan.ip_of(name) else { return Ok(vec![]) };
    let cable = Cable::of(common.site.network(), name, address);
    let container = &cable.container;
    Ok(vec![
        format!("{kill} `docker kill {container}`, `docker pause {container}`"),
        format!("  {}  (pulls its cable)", cable.pull()),
        format!("  {}  (puts it back, as `labctl heal` does)", cable.plug()),
    ])
}

/// Keeps a lab until it is told to end.
async fn keep(source: &Source, args: &UpArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    // A session of its own, so that Ctrl-C and closing the terminal affect only the process in the
    // foreground.
    nix::unistd::setsid().context("leave the terminal's session")?;
    match stay(source, args, common, interrupt).await {
        Ok(()) => Ok(0),
        Err(error) => {
            tell(&Word::Failed { code: error.code(), reason: error.to_string() });
            Ok(error.code())
        }
    }
}

async fn stay(
    source: &Source,
    args: &UpArgs,
    common: &Common,
    interrupt: &Interrupt,
) -> Result<(), LabError> {
    // An unavailable port is reported before anything is started.
    let listener = match args.no_page {
        true => None,
        false => Some(page::listen(args.page).await?),
    };
    let lab = start(source, common, interrupt).await?;
    let _watch = lab.watch();
    let control = Control::begin(&lab, &source.name, interrupt);
    let page = listener.map(|listener| serve_page(&lab, listener, source, common)).transpose();
    if control.is_ok()
        && let Ok(page) = &page
    {
        let found = page.as_ref().map(|page| page.found().clone());
        tell(&Word::Ready { swept: lab.swept().to_vec(), page: found });
        tokio::select! {
            () = interrupt.raised() => {}
            // Once its directory is removed, no other command can find the lab to end it.
            () = State::until_forgotten(&common.site.lab_dir) => {}
        }
    }
    let (page, failed) = match page {
        Ok(page) => (page, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(page) = page {
        page.end().await;
    }
    let closed = lab.close().await;
    control?.end().await;
    failed.map_or(closed, Err)
}

fn serve_page(
    lab: &Arc<Laboratory>,
    listener: Box<dyn Accept>,
    source: &Source,
    common: &Common,
) -> Result<Page, LabError> {
    let options = page::Options {
        source: source.clone(),
        traffics: by_hand::all(&source.chapter, &lab.plan(), SEED)?,
        labctl: running::command(common),
        directory: common.site.lab_dir.clone(),
        run: None,
        results: Arc::new(Gallery::new(common.site.runs_dir.clone())),
    };
    Page::serve(lab, listener, options)
}

async fn start(source: &Source, common: &Common, interrupt: &Interrupt) -> Result<Arc<Laboratory>, LabError> {
    let site = ClaimedSite::claim(&source.chapter, &common.site)?;
    let logs = site.own_logs()?;
    site.start_machines(source, &logs, None, interrupt).await
}

fn tell(word: &Word) {
    let line = serde_json::to_string(word).expect("words serialize");
    // The process in the foreground may have been interrupted.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keeper_is_not_told_of_a_redis_by_its_words() {
        let left = |words: &str| {
            let left = without_redis_url(words.split(' ').map(OsString::from));
            left.join(OsString::from(" ").as_os_str()).into_string().unwrap()
        };
        assert_eq!(left("up cache --redis-url redis://:secret@box --json"), "up cache --json");
        assert_eq!(left("--redis-url=redis://:secret@box up cache"), "up cache");
        assert_eq!(left("up cache --set a=b"), "up cache --set a=b");
        assert_eq!(left("up cache --redis-url"), "up cache");
    }

    #[test]
    fn every_connection_gets_one_link() {
        let chapter = Source::open("sinkhole", &[]).unwrap().chapter;
        let setting = every_link(&chapter).unwrap();
        let links = Source::open("sinkhole", &[setting]).unwrap().chapter.links;
        let links: Vec<_> =
            links.iter().map(|(from, to)| format!("{} {}", from.as_ref(), to.as_ref())).collect();
        for link in ["turns web", "careful web", "web-1 db", "web-5 db"] {
            assert!(links.iter().any(|known| known == link), "{link}: {links:?}");
        }
        assert!(!links.contains(&"turns web-1".to_owned()), "one is for all of them: {links:?}");
        let alone = Source::open("one-machine", &[]).unwrap().chapter;
        assert_eq!(every_link(&alone).unwrap().to_string(), "links=[]");
    }
}
