//! Performs the faults of a plan on the cluster, and repairs them.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cluster::{Cluster, name};
use crate::links::Passage;
use crate::plan::{Episode, Step, Who};
use crate::verdict::Failure;

/// Time limit for anything that has to happen eventually, even on a busy computer.
const LIMIT: Duration = Duration::from_secs(30);

/// How many times the primary's last entry has to reach every node before all count as caught up.
/// What the primary learns about the others meanwhile appends further entries, one at a time.
const ROUNDS: usize = 4;

/// The number of faults.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub episodes: usize,
    pub kills: usize,
    pub directories_lost: usize,
    pub copies_put_back: usize,
}

/// Carries out a plan.
pub struct Faults {
    pub cluster: Cluster,
    pub counts: Counts,
    began: Instant,
    /// What was done, one line each.
    story: Vec<String>,
    /// The primary and the two replicas when the episode began.
    cast: [usize; 3],
}

impl Faults {
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, counts: Counts::default(), began: Instant::now(), story: Vec::new(), cast: [0, 1, 2] }
    }

    pub fn story(&self) -> String {
        self.story.join("\n")
    }

    fn note(&mut self, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        self.story.push(format!("{at:>8.3} s  {what}"));
    }

    /// Performs all steps of an episode, and repairs what they left broken.
    pub async fn play(&mut self, episode: &Episode) -> Result<(), Failure> {
        sleep(Duration::from_millis(episode.rest)).await;
        let primary = self.wait_for_primary().await?;
        // The plan says which replica is the first; which node that is changes with the primary.
        self.cast = [primary, (primary + 1) % 3, (primary + 2) % 3];
        self.note(&format!("{}; {} is the primary", episode.name, name(primary)));
        self.counts.episodes += 1;
        for step in &episode.steps {
            self.step(*step).await?;
            self.cluster.ended()?;
        }
        self.put_right();
        Ok(())
    }

    /// Repairs everything, or starts to.
    pub fn put_right(&mut self) {
        self.cluster.set_links(Passage::Whole, |_, _| true);
        for node in 0..3 {
            self.cluster.empty(node);
            self.cluster.thaw(node);
            if !self.cluster.is_up(node) {
                self.cluster.run(node);
            }
        }
    }

    fn node(&self, who: Who) -> usize {
        match who {
            Who::Primary => self.cast[0],
            Who::First => self.cast[1],
            Who::Second => self.cast[2],
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), Failure> {
        if let Step::Wait(ms) = step {
            sleep(Duration::from_millis(ms)).await;
            return Ok(());
        }
        self.note(&format!("    {step:?}"));
        match step {
            Step::Wait(_) => {}
            Step::Kill(who) => self.kill(self.node(who)),
            Step::KillAll => {
                self.counts.kills += 3;
                self.cluster.kill_all();
            }
            Step::Stop(who) => self.cluster.stop(self.node(who)).await?,
            Step::Start(who) => self.start(self.node(who)),
            Step::Freeze(who) => self.cluster.freeze(self.node(who)),
            Step::Thaw(who) => self.cluster.thaw(self.node(who)),
            Step::Cut(who) => self.stop_links(|from, to, node| from == node || to == node, who),
            Step::Mute(who) => self.stop_links(|from, _, node| from == node, who),
            Step::Deafen(who) => self.stop_links(|_, to, node| to == node, who),
            Step::Slow(from, to, speed) => {
                let way = (self.node(from), self.node(to));
                self.cluster.set_links(Passage::Slow(speed), |from, to| (from, to) == way);
            }
            Step::Heal => self.cluster.set_links(Passage::Whole, |_, _| true),
            Step::Fill(who) if self.cluster.can_fill() => self.cluster.fill(self.node(who)),
            Step::Fill(_) => self.note("    (not here)"),
            Step::Empty(who) => self.cluster.empty(self.node(who)),
            Step::Wipe(who) => self.wipe(self.node(who)),
            Step::Copy(who) => self.copy(self.node(who)).await?,
            Step::PutBack(who) => self.put_back(self.node(who)),
            Step::Level => self.wait_until_level().await?,
        }
        Ok(())
    }

    fn stop_links(&self, which: impl Fn(usize, usize, usize) -> bool, who: Who) {
        let node = self.node(who);
        self.cluster.set_links(Passage::Stopped, |from, to| which(from, to, node));
    }

    fn kill(&mut self, node: usize) {
        self.counts.kills += 1;
        self.cluster.kill(node);
    }

    fn start(&mut self, node: usize) {
        if !self.cluster.is_up(node) {
            self.cluster.run(node);
        }
    }

    fn wipe(&mut self, node: usize) {
        self.kill(node);
        self.counts.directories_lost += 1;
        self.cluster.clear(node);
        self.cluster.run(node);
    }

    async fn copy(&mut self, node: usize) -> Result<(), Failure> {
        self.kill(node);
        self.cluster.make_copy(node);
        self.cluster.run(node);
        // The copy can be recognized as old by a start that all the others have heard of.
        self.wait_until_level().await
    }

    fn put_back(&mut self, node: usize) {
        self.kill(node);
        self.counts.copies_put_back += usize::from(self.cluster.put_back(node));
        self.cluster.run(node);
    }

    async fn wait_for_primary(&mut self) -> Result<usize, Failure> {
        let limit = Instant::now() + LIMIT;
        loop {
            self.cluster.ended()?;
            if let Some((primary, _)) = self.cluster.primary() {
                return Ok(primary);
            }
            if Instant::now() > limit {
                return Err(Failure::Stuck(format!("there was no primary for {LIMIT:?}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all have what the primary had a moment ago, and are all known to act under their
    /// names. After that, no node is missing anything that it had forgotten.
    pub async fn wait_until_level(&mut self) -> Result<(), Failure> {
        let limit = Instant::now() + LIMIT;
        let (mut wanted, mut rounds) = (None, 0);
        while rounds < ROUNDS {
            self.cluster.ended()?;
            if Instant::now() > limit {
                let says = |node| self.cluster.status(node).map_or("nothing".into(), |it| it.to_string());
                let all: Vec<_> = (0..3).map(|node| format!("{} says {}", name(node), says(node))).collect();
                let all = all.join("\n");
                return Err(Failure::Stuck(format!("after {LIMIT:?} not all are level:\n{all}")));
            }
            match (self.last_index(), wanted) {
                (Some((last, _)), None) => wanted = Some(last),
                (Some((last, everywhere)), Some(place)) if everywhere >= place => {
                    (wanted, rounds) = (Some(last), rounds + 1);
                }
                _ => {}
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The primary's last entry, and the last entry that all are known to have; `None` while one of
    /// them is down.
    fn last_index(&self) -> Option<(u64, u64)> {
        let (_, status) = self.cluster.primary()?;
        let replicas = status["replicas"].as_array()?;
        if !replicas.iter().all(|replica| replica["up"] == true) {
            return None;
        }
        let confirmed = replicas.iter().map(|replica| replica["acked_index"].as_u64());
        let everywhere = confirmed.min()??.min(status["committed_index"].as_u64()?);
        Some((status["last_index"].as_u64()?, everywhere))
    }
}
