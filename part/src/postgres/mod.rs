//! The PostgreSQL adapter: a primary and its streaming replicas. The first member by name is always the primary:
//! PostgreSQL has no automatic failover of its own.

mod settings;
mod store;

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use dbnode::Args;
use machine::Machine;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::child::{self, Home, Program};
use crate::database::Node;
use settings::USER;
use store::Postgres;

/// The port of a single node.
const PORT: u16 = 5432;
/// How long `initdb`, or one copy of the primary, may take.
const FILL_MAX: Duration = Duration::from_secs(60);
/// How long a replica waits for its primary, and any node for its own PostgreSQL.
const START_MAX: Duration = Duration::from_secs(60);
/// How long the children of a killed PostgreSQL may take to notice.
const END_MAX: Duration = Duration::from_secs(10);
/// The pause between attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The users to run PostgreSQL as if we are root, because it refuses to run as root.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// The file that marks the data as complete.
const COMPLETE: &str = "lab.complete";

/// Runs PostgreSQL from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args, machine: Machine) -> anyhow::Result<()> {
    let node = Node::begin(args, machine)?;
    let listen = node.program_listens(PORT);
    let primary = primary_of(&node)?;
    refuse_strangers(&node.config.data)?;
    let home = Home::make(&node.config.data, &USERS)?;
    let password = password(&node, &home)?;
    // The program on the PATH may be a link to the directory with the tools.
    let program = &program.canonicalize().with_context(|| format!("find {}", program.display()))?;
    let tools = program.parent().context("--program is a path")?.to_owned();
    fill(&tools, &home, primary, &password).await?;
    let others: Vec<_> = node.members.iter().filter(|name| **name != node.config.id).cloned().collect();
    let waits = settings::waits(node.mode, &others);
    home.write("lab.conf", &settings::text(&node.config.id, listen, &waits, primary, &password))?;
    home.write("pg_hba.conf", settings::ACCESS)?;
    if primary.is_some() {
        home.write("standby.signal", "")?;
    }
    clear_lock(home.directory()).await?;
    let flags = ["-D".to_owned(), home.as_programs_see_it()];
    let mut child = home.start(program, &flags)?;
    let store = tokio::select! {
        store = Postgres::connect(&node, listen, &password) => store?,
        ended = child.wait() => return Err(child::how("PostgreSQL", ended)),
    };
    let store = Arc::new(store);
    if primary.is_none() {
        store.prepare(&node).await?;
        tokio::spawn(Arc::clone(&store).forget_names(node.config.idempotency_window));
    }
    // SIGINT is a fast shutdown: it aborts transactions in progress, and writes everything to disk.
    node.serve(store, Program { title: "PostgreSQL", child, ends_on: Signal::SIGINT }).await
}

/// Returns the address at which a replica finds the primary. `None`: this node is the primary.
fn primary_of(node: &Node) -> anyhow::Result<Option<SocketAddr>> {
    if node.is_first() {
        return Ok(None);
    }
    let first = node.members.first().map(String::as_str).unwrap_or_default();
    let way = node.way_to(first).context("the primary is a --peer")?;
    let address =
        way.parse().with_context(|| format!("--peer {first}={way}: PostgreSQL is given an address"))?;
    Ok(Some(address))
}

/// Returns the password known to the adapters of one database: the members' shared secret, or one that a single node
/// has generated.
fn password(node: &Node, home: &Home) -> anyhow::Result<String> {
    if let Some(secret) = &node.secret {
        return Ok(hex::encode(secret));
    }
    let kept = home.directory().with_extension("password");
    if let Ok(known) = std::fs::read_to_string(&kept) {
        return Ok(known);
    }
    let password = hex::encode(rand::random::<[u8; 16]>());
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kept)?;
        file.write_all(password.as_bytes())
    };
    write().with_context(|| format!("write {}", kept.display()))?;
    Ok(password)
}

/// Fills an empty directory with a new database, or with a copy of the primary's.
async fn fill(tools: &Path, home: &Home, primary: Option<SocketAddr>, password: &str) -> anyhow::Result<()> {
    let directory = home.directory();
    if directory.join(COMPLETE).exists() {
        return Ok(());
    }
    let begun = begun(directory);
    if begun.exists() {
        // It was killed while the directory was being filled.
        empty(directory)?;
    }
    std::fs::write(&begun, "").with_context(|| format!("write {}", begun.display()))?;
    match primary {
        None => create(tools, home, password).await?,
        Some(primary) => copy(tools, home, primary, password).await?,
    }
    home.write(COMPLETE, "")?;
    std::fs::remove_file(&begun).with_context(|| format!("remove {}", begun.display()))
}

/// Removes the lock of a killed predecessor. PostgreSQL would refuse to start if any process has the recorded PID, even
/// a zombie; so check instead whether a process has the directory as its working directory, as all of PostgreSQL's
/// have.
async fn clear_lock(directory: &Path) -> anyhow::Result<()> {
    let lock = directory.join("postmaster.pid");
    let Ok(directory) = directory.canonicalize() else { return Ok(()) };
    if !lock.exists() || !Path::new("/proc/self/cwd").exists() {
        return Ok(());
    }
    let deadline = Instant::now() + END_MAX;
    while stands_in(&directory) {
        anyhow::ensure!(
            Instant::now() < deadline,
            "another PostgreSQL runs in {}: end it first",
            directory.display()
        );
        sleep(AGAIN_AFTER).await;
    }
    std::fs::remove_file(&lock).with_context(|| format!("remove {}", lock.display()))
}

/// Returns whether a process has this as its working directory.
fn stands_in(directory: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok())
        .any(|cwd| cwd == directory)
}

/// Returns the path of the file that marks a directory as being filled.
fn begun(directory: &Path) -> PathBuf {
    directory.with_extension("begun")
}

/// Refuses a directory with foreign content.
fn refuse_strangers(directory: &Path) -> anyhow::Result<()> {
    let is_ours = directory.join(COMPLETE).exists() || begun(directory).exists();
    let holds_something = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if holds_something && !is_ours {
        bail!(
            "--data {}: there is something in it that is not this adapter's; name another one",
            directory.display()
        );
    }
    Ok(())
}

fn empty(directory: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

async fn create(tools: &Path, home: &Home, password: &str) -> anyhow::Result<()> {
    // `initdb` wants an empty directory, and cannot read the password from standard input, only from a file.
    let mut file = tempfile::NamedTempFile::new().context("make a file for a password")?;
    std::io::Write::write_all(&mut file, password.as_bytes())?;
    home.give(file.path(), 0o600)?;
    let flags = [
        format!("--pgdata={}", home.as_programs_see_it()),
        format!("--username={USER}"),
        format!("--pwfile={}", file.path().display()),
        "--auth=scram-sha-256".into(),
        "--encoding=UTF8".into(),
        "--locale=C".into(),
        "--no-sync".into(),
    ];
    home.run(&tools.join("initdb"), &flags, &[], FILL_MAX).await?;
    let path = home.directory().join("postgresql.conf");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    home.write("postgresql.conf", &(text + "\ninclude_if_exists 'lab.conf'\n"))
}

/// Copies the primary's data, once the primary answers.
async fn copy(tools: &Path, home: &Home, primary: SocketAddr, password: &str) -> anyhow::Result<()> {
    let flags = [
        format!("--pgdata={}", home.as_programs_see_it()),
        format!("--host={}", primary.ip()),
        format!("--port={}", primary.port()),
        format!("--username={USER}"),
        "--checkpoint=fast".into(),
        "--wal-method=stream".into(),
        "--no-sync".into(),
        "--no-password".into(),
    ];
    let variables = [("PGPASSWORD", password), ("PGCONNECT_TIMEOUT", "2"), ("PGSSLMODE", "disable")];
    let tool: PathBuf = tools.join("pg_basebackup");
    let deadline = Instant::now() + START_MAX;
    while let Err(error) = home.run(&tool, &flags, &variables, FILL_MAX).await {
        if Instant::now() > deadline {
            return Err(error.context(format!("the primary at {primary} could not be copied")));
        }
        empty(home.directory())?;
        sleep(AGAIN_AFTER).await;
    }
    Ok(())
}
