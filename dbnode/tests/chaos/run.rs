//! Runs one seed, from its plan to the verdict.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dbclient::Read;
use history::History;
use history::lost::Final;
use tokio::time::sleep;

use crate::clients::{PROCESSES, Process, client, now};
use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::plan::Plan;
use crate::verdict::{self, Failure, Seen};

/// How far the wall clock and the monotonic clock may drift apart between two readings: this much,
/// plus a thousandth, because the wall clock may be slewed.
const CLOCK_SET: Duration = Duration::from_millis(2);

/// Time limit for the final reads.
const READ_BY: Duration = Duration::from_secs(60);

/// Runs a plan. A failure is reported with everything that is needed to investigate it.
pub async fn run(plan: &Plan) -> Result<Seen, Failure> {
    println!("{}: compacted after {} entries", plan.command(), plan.log_entries);
    let mut faults = Faults::new(Cluster::start(plan).await);
    let outcome = break_and_judge(plan, &mut faults).await;
    outcome.map_err(|failure| {
        let directory = faults.cluster.keep();
        fs::write(directory.join("story.txt"), faults.story()).unwrap();
        let (story, directory, again) = (faults.story(), directory.display(), plan.command());
        failure.told(|why| {
            format!(
                "{story}\n\n{why}\n\nthe logs and the journals are in {directory}\nto try it again: {again}"
            )
        })
    })
}

async fn break_and_judge(plan: &Plan, faults: &mut Faults) -> Result<Seen, Failure> {
    faults.wait_until_level().await?;
    let nodes: Vec<_> = (0..3).map(|node| faults.cluster.address(node)).collect();
    let directory = faults.cluster.directory().to_owned();
    let mut clocks = Clocks::read();
    let start = |process| Process::start(process, plan.seed, &nodes, &directory);
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    let until = Instant::now() + plan.length;
    for episode in plan.episodes.iter().take_while(|_| Instant::now() < until) {
        faults.play(episode).await?;
        clocks = clocks.compare()?;
    }
    faults.put_right();
    faults.wait_until_level().await?;
    let mut operations = Vec::new();
    for process in processes {
        operations.extend(process.end().await.map_err(Failure::Stuck)?.operations);
    }
    faults.wait_until_level().await?;
    clocks.compare()?;
    let found = find(&nodes, verdict::keys(&operations).into_iter()).await?;
    let seen = verdict::judge(&History::new(operations), &found).map_err(Failure::Broken)?;
    let counts = faults.counts;
    println!(
        "{}: {} episodes, {} kills, {} directories lost, {} copies put back; {} operations, {} acknowledged writes, {} named additions: all holds{}",
        plan.command(),
        counts.episodes,
        counts.kills,
        counts.directories_lost,
        counts.copies_put_back,
        seen.operations,
        seen.acknowledged,
        seen.additions,
        if seen.undecided { " (of one record too much is unknown to judge the order)" } else { "" },
    );
    if (seen.acknowledged as u64) < plan.length.as_secs() * 5 {
        let few = format!("only {} writes were acknowledged: that shows nothing", seen.acknowledged);
        return Err(Failure::Inconclusive(few));
    }
    Ok(seen)
}

/// Both clocks at one moment. The clients in their processes share only the wall clock, which may
/// be set.
struct Clocks {
    forward: Instant,
    of_the_day: Duration,
}

impl Clocks {
    /// Reads both clocks; repeats that if the thread was interrupted in between.
    fn read() -> Self {
        loop {
            let forward = Instant::now();
            let of_the_day = Duration::from_nanos(now().0);
            if forward.elapsed() < Duration::from_micros(200) {
                return Self { forward, of_the_day };
            }
        }
    }

    /// Reads both clocks again. Fails if one was set since.
    fn compare(&self) -> Result<Self, Failure> {
        let next = Self::read();
        let forward = next.forward - self.forward;
        let apart = next.of_the_day.saturating_sub(self.of_the_day).abs_diff(forward);
        match apart <= CLOCK_SET + forward / 1_000 {
            true => Ok(next),
            false => Err(Failure::Inconclusive("the clock of this computer was set meanwhile".into())),
        }
    }
}

/// Reads the final values of all records.
async fn find(nodes: &[SocketAddr], keys: impl Iterator<Item = &str>) -> Result<Final, Failure> {
    let client = client(nodes.to_vec(), Duration::from_secs(3));
    let limit = Instant::now() + READ_BY;
    let mut found = BTreeMap::new();
    for key in keys {
        let record = loop {
            match client.get(key, Read::Latest).await {
                Ok(record) => break record,
                Err(error) if Instant::now() > limit => {
                    return Err(Failure::Stuck(format!("{key} cannot be read afterwards: {error}")));
                }
                // On a busy computer, an election may happen at any time.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        found.insert(key.to_owned(), record.map(|it| String::from_utf8_lossy(&it.value).into_owned()));
    }
    Ok(found)
}
