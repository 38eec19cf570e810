//! What a chapter needs of its databases, checked against their abilities. Pure.
//!
//! A database without automatic failover has no primary from a fault of its primary until the fault is undone: in
//! between, claims about its clients say nothing about it. Claims about durability (what was acknowledged is there) and
//! consistency (some order explains every response) are still judged.

use std::collections::{BTreeSet, HashMap};

use chapter::expression::Expression;
use chapter::machines::{DbnodePart, MachineEntry};
use chapter::measures::{Measure, MeasureCall, Of};
use chapter::role::{Role, parse};
use chapter::{Act, Chapter, Expect, Expected, Step, kind};

use crate::ability::{Abilities, Ability};

/// Returns the ability that a database's replication mode requires. `None`: it is a single node, which waits for no
/// other.
pub(crate) fn mode_of(entry: &MachineEntry) -> Option<Ability> {
    let part = entry.dbnode.as_ref()?;
    entry.count.filter(|count| *count > 1)?;
    Some(match part.replication.as_deref() {
        Some("async") => Ability::Async,
        Some("sync") => Ability::Sync,
        _ => Ability::Quorum,
    })
}

/// The databases of a chapter, and the faults they have had so far.
pub(crate) struct Databases<'a> {
    chapter: &'a Chapter,
    played: HashMap<&'a str, Played<'a>>,
    /// The databases whose primary is down or cut off.
    without_primary: BTreeSet<String>,
    /// The databases with a replica down or cut off.
    without_member: BTreeSet<String>,
    /// A link from the primary to a replica of these is slow.
    slowed: BTreeSet<String>,
}

struct Played<'a> {
    entry: &'a MachineEntry,
    part: &'a DbnodePart,
    /// Its abilities, if it is not the lab's own.
    abilities: Option<&'a Abilities>,
}

impl<'a> Databases<'a> {
    /// Collects the databases of a chapter.
    pub(crate) fn of(chapter: &'a Chapter, abilities: impl Fn(&str) -> Option<&'a Abilities>) -> Self {
        let played = chapter.machine.iter().filter_map(|(name, entry)| {
            let part = entry.dbnode.as_ref()?;
            let abilities = part.program.as_deref().and_then(&abilities);
            Some((name.as_str(), Played { entry, part, abilities }))
        });
        let (without_primary, without_member, slowed) = Default::default();
        Self { chapter, played: played.collect(), without_primary, without_member, slowed }
    }

    /// Returns whether all of them are the lab's own.
    pub(crate) fn are_own(&self) -> bool {
        self.played.values().all(|played| played.abilities.is_none())
    }

    /// Applies the faults of a step.
    pub(crate) fn begin(&mut self, step: &Step) {
        for (kind, harm) in step.acts().flat_map(harms) {
            match harm {
                Harm::Primary => self.without_primary.insert(kind),
                Harm::Replica => self.without_member.insert(kind),
            };
        }
        for act in step.acts() {
            match act {
                Act::Slow { from, to, .. } if kind_of(from) == kind_of(to) => {
                    self.slowed.insert(kind_of(from).to_owned());
                }
                Act::Heal { from, .. } => drop(self.slowed.remove(kind_of(from))),
                Act::HealAll => self.slowed.clear(),
                _ => {}
            }
        }
    }

    /// Applies the repairs of a step. They count from the next step on, because clients still notice while they happen.
    pub(crate) fn end(&mut self, step: &Step) {
        for act in step.acts() {
            match act {
                Act::Restart { name } | Act::Thaw { name } => {
                    let kind = kind_of(name);
                    match parse(name) {
                        Some((_, Role::Gone)) => self.without_member.remove(kind),
                        _ => self.without_primary.remove(kind),
                    };
                }
                // A killed node stays down; but a chapter that heals links also restarts its dead nodes.
                Act::HealAll | Act::Heal { .. } => self.without_primary.clear(),
                _ => {}
            }
        }
    }

    /// Returns why a step cannot be carried out.
    pub(crate) fn of_acts(&self, step: &Step) -> Option<String> {
        step.acts().find_map(|act| match act {
            Act::Fill { name } | Act::Empty { name } => self.lacking(kind_of(name), &[Ability::FullDisk]),
            _ => None,
        })
    }

    /// Returns why a claim cannot be judged.
    pub(crate) fn of_claim(&self, step: &Step, claim: &Expect) -> Option<String> {
        let expression = Expression::<MeasureCall>::parse(claim.measure.as_ref()).ok()?;
        expression.measures().into_iter().find_map(|call| {
            self.asked(step, call).into_iter().find_map(|(kind, of_primary)| {
                let played = self.played.get(kind)?;
                if played.abilities.is_none() {
                    return self.stayed(played);
                }
                self.lacking(kind, &self.wanted(kind, played, step, claim, call, of_primary))
            })
        })
    }

    /// Returns why a database is the lab's own in a chapter where others are not.
    fn stayed(&self, played: &Played<'_>) -> Option<String> {
        let mode = mode_of(played.entry)?;
        let reason =
            self.played.values().filter_map(|other| other.abilities).find_map(|other| other.lacks(mode))?;
        Some(format!("{reason}, so this database was the lab's own"))
    }

    fn lacking(&self, kind: &str, wanted: &[Ability]) -> Option<String> {
        let abilities = self.played.get(kind)?.abilities?;
        wanted.iter().find_map(|ability| abilities.lacks(*ability))
    }

    /// Returns the abilities that a claim's measure needs of a database.
    fn wanted(
        &self,
        kind: &str,
        played: &Played<'_>,
        step: &Step,
        claim: &Expect,
        call: &MeasureCall,
        of_primary: bool,
    ) -> Vec<Ability> {
        let mode = mode_of(played.entry);
        let mut wanted: Vec<Ability> = mode.into_iter().collect();
        wanted.extend(played.part.page_reads.then_some(Ability::PageReads));
        let is_bounded_above = claim.at_most.is_some() || claim.equals.is_some();
        let lost = self.without_primary.contains(kind) && mode.is_some();
        let elects = step.until.as_ref().is_some_and(|until| until.elected.is_some());
        let promotes = match call.measure {
            Measure::Promotions => true,
            Measure::Discarded => {
                wanted.push(Ability::Discards);
                true
            }
            Measure::Happened | Measure::Seconds => lost || elects,
            // Claims that something is lost assume that another node has become the primary.
            Measure::LostWrites => claim.at_least.is_some(),
            Measure::GhostWrites
            | Measure::StaleReads
            | Measure::StaleMsMax
            | Measure::ReadsJudged
            | Measure::Inversions
            | Measure::OwnWritesMissed
            | Measure::ReadsBack
            | Measure::Linearizable
            | Measure::LinearizableLatest
            | Measure::PrimariesOfATerm
            | Measure::Price => false,
            // A client that asks for the primary reaches the one that was cut off.
            _ if of_primary && lost => {
                wanted
                    .extend((mode == Some(Ability::Async) && is_bounded_above).then_some(Ability::StepsDown));
                false
            }
            _ => lost,
        };
        wanted.extend(promotes.then_some(Ability::Promotes));
        wanted
            .extend((self.slowed.contains(kind) && rests_on_slow_links(claim)).then_some(Ability::SlowLinks));
        if call.measure == Measure::Slowest
            && self.without_member.contains(kind)
            && mode == Some(Ability::Sync)
        {
            wanted.push(Ability::RefusesAtOnce);
        }
        wanted
    }

    /// Returns the databases that a measure refers to, and whether it refers to the primary alone.
    fn asked(&self, step: &Step, call: &MeasureCall) -> Vec<(&str, bool)> {
        let description = call.measure.description();
        let mut traffics: Vec<&str> = Vec::new();
        let mut asked: Vec<(&str, bool)> = Vec::new();
        for (of, name) in description.of.iter().zip(&call.of) {
            match of {
                Of::Machine | Of::Program => asked.extend(self.database(name).map(|kind| (kind, false))),
                Of::Traffic => traffics.push(name),
                Of::History => traffics.extend(self.recorded_in(name)),
                Of::Step | Of::Counter => {}
            }
        }
        if description.traffic {
            traffics.extend(call.traffic().or(self.chapter.traffic.keys().next().map(String::as_str)));
        }
        let until = step.until.as_ref().filter(|_| call.step() == Some(&step.name));
        if let (Measure::Seconds | Measure::Happened, Some(until)) = (call.measure, until) {
            let named = [&until.elected, &until.converged].into_iter().flatten();
            asked.extend(named.filter_map(|name| Some((self.database(name.as_ref())?, false))));
            traffics.extend(until.recovered.as_ref().map(|traffic| traffic.as_ref().as_str()));
        }
        asked.extend(traffics.into_iter().flat_map(|traffic| self.behind_traffic(traffic)));
        asked
    }

    fn recorded_in(&self, history: &str) -> impl Iterator<Item = &str> {
        let traffics = self.chapter.traffic.iter();
        let is_in =
            move |traffic: &chapter::Traffic| traffic.history.as_ref().is_some_and(|kept| kept.of == history);
        traffics.filter(move |(_, traffic)| is_in(traffic)).map(|(name, _)| name.as_str())
    }

    fn behind_traffic(&self, traffic: &str) -> Vec<(&str, bool)> {
        let Some(traffic) = self.chapter.traffic.get(traffic) else { return vec![] };
        let to = traffic.to.as_ref().as_str();
        if let Some((kind, role)) = parse(to) {
            return self.database(kind).map(|kind| (kind, role == Role::Primary)).into_iter().collect();
        }
        self.behind(to).map(|kind| (kind, false)).into_iter().collect()
    }

    /// Finds the database behind a machine: its own, that of its web server, or that of its upstreams.
    fn behind(&self, name: &str) -> Option<&str> {
        if let Some(kind) = self.database(name) {
            return Some(kind);
        }
        let kind = kind_in(self.chapter, name)?;
        let entry = self.chapter.machine.get(kind)?;
        let next = match (&entry.lb, &entry.webserver) {
            (Some(lb), _) => lb.upstreams.as_ref(),
            (None, Some(web)) => web.db.as_ref(),
            (None, None) => return None,
        };
        if next.as_str() == kind { self.database(next) } else { self.behind(next) }
    }

    fn database(&self, name: &str) -> Option<&str> {
        let kind = kind_in(self.chapter, name)?;
        self.played.get_key_value(kind).map(|(kind, _)| *kind)
    }
}

/// Returns whether a claim holds only while a link to a replica is slow: it says that something takes long or happens at all, or
/// that the article is wrong.
fn rests_on_slow_links(claim: &Expect) -> bool {
    claim.at_least.is_some() || claim.expected == Expected::Refute
}

/// The part of a database that an act harms.
enum Harm {
    Primary,
    Replica,
}

fn harms(act: &Act) -> Vec<(String, Harm)> {
    let harm = |name: &str| {
        let harm = match parse(name) {
            Some((_, Role::Primary)) => Harm::Primary,
            Some(_) => Harm::Replica,
            // At the start, the first node by name is the primary.
            None if name.ends_with("-1") || !name.contains('-') => Harm::Primary,
            None => Harm::Replica,
        };
        (kind_of(name).to_owned(), harm)
    };
    match act {
        Act::Kill { name } | Act::Stop { name } | Act::Freeze { name } => vec![harm(name)],
        Act::Cut { from, to } | Act::Fail { from, to } => [from, to].map(|name| harm(name)).into(),
        Act::Flap { from, to, .. } => [from, to].map(|name| harm(name)).into(),
        Act::Partition { groups } => groups.iter().flatten().map(|name| harm(name)).collect(),
        _ => vec![],
    }
}

/// Returns the kind of machine in a name: `db` in `db:primary`, in `db-1`, and in `db-1/dbnode`.
fn kind_of(name: &str) -> &str {
    kind::of(name.split([':', '/']).next().unwrap_or(name))
}

fn kind_in<'a>(chapter: &'a Chapter, name: &str) -> Option<&'a str> {
    let known = |name: &str| chapter.machine.get_key_value(name).map(|(name, _)| name.as_str());
    known(name.split([':', '/']).next().unwrap_or(name)).or_else(|| known(kind_of(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs::{self, Skips};
    use crate::{Kind, Known, Swap};
    use chapter::Source;

    fn skipped(chapter: &str, abilities: &Abilities) -> (Source, Skips) {
        let plain = Source::open(chapter, &[]).unwrap();
        let swap = Swap { kind: Kind::Db, program: "/my-db".into() };
        let source = Source::open(chapter, &swap.settings(&plain.chapter, abilities, false)).unwrap();
        let skips = needs::skips(&source.chapter, |_| Some(abilities));
        (source, skips)
    }

    fn judged(chapter: &str, abilities: &Abilities) -> Vec<String> {
        let (source, skips) = skipped(chapter, abilities);
        let claims = source.chapter.step.iter().flat_map(|step| {
            step.expect
                .iter()
                .enumerate()
                .map(move |(index, claim)| (step.name.as_str(), index, claim.claim.clone()))
        });
        let judged = claims.filter(|(step, index, _)| skips.claim(step, *index).is_none());
        judged.map(|(step, _, claim)| format!("{step}: {claim}")).collect()
    }

    #[test]
    fn a_database_that_can_everything_skips_nothing() {
        for chapter in ["replication", "primary-failure", "split-brain"] {
            assert!(skipped(chapter, &Abilities::default()).1.is_empty(), "{chapter}");
        }
    }

    #[test]
    fn who_promotes_nobody_is_judged_by_what_is_lost_and_not_by_how_long_it_takes() {
        let postgres = Known::named("postgres").unwrap().abilities();
        let judged = judged("primary-failure", &postgres);
        let has = |words: &str| judged.iter().any(|claim| claim.contains(words));
        assert!(has("flowing: Nothing fails") && has("no acknowledged deposit is lost"), "{judged:?}");
        assert!(has("the isolated primary acknowledges nothing"), "its mode is quorum: {judged:?}");
        assert!(!has("acknowledged again") && !has("one election") && !has("discarded"), "{judged:?}");
    }

    #[test]
    fn a_cut_off_primary_that_waits_for_nobody_goes_on() {
        let postgres = Known::named("postgres").unwrap().abilities();
        let judged = judged("split-brain", &postgres);
        let has = |words: &str| judged.iter().any(|claim| claim.contains(words));
        assert!(has("it goes on acknowledging deposits") && has("Quorum: while cut off"), "{judged:?}");
        assert!(!has("But not for ever") && !has("apart: "), "{judged:?}");
        assert!(has("nothing that was acknowledged is lost"), "{judged:?}");
    }

    #[test]
    fn a_link_that_is_not_in_the_way_of_the_copies_says_nothing_when_it_is_slow() {
        let redis = Known::named("redis").unwrap().abilities();
        let judged = judged("replication", &redis);
        let has = |words: &str| judged.iter().any(|claim| claim.contains(words));
        assert!(!has("strict-slow: Every deposit waits") && !has("quorum-slow: "), "{judged:?}");
        assert!(has("strict: "), "{judged:?}");
        let etcd = Known::named("etcd").unwrap().abilities();
        assert!(skipped("replication", &etcd).1.claim("quorum-slow", 0).is_none());
    }

    #[test]
    fn what_is_claimed_of_a_database_that_stayed_the_labs_own_is_skipped() {
        let cannot = [(Ability::Async, "it never waits for less".to_owned())].into();
        let abilities = Abilities { title: "Other".into(), can: None, cannot };
        let (_, skips) = skipped("replication", &abilities);
        let reason = skips.claim("merge", 0).unwrap();
        assert_eq!(reason, "it never waits for less, so this database was the lab's own");
        assert_eq!(skips.claim("strict", 0), None);
    }
}
