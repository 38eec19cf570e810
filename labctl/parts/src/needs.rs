//! What a chapter needs of its parts, checked against their abilities; balancers first. Pure.
//!
//! A claim needs what its measure depends on: shares need the policy, a detection time needs checks and events,
//! failures after a fault need whatever the balancer was told to do about faults. A missing ability is a reason to skip
//! a claim, never to fail it.

use std::collections::HashMap;

use chapter::act::RollHow;
use chapter::expression::Expression;
use chapter::machines::{LbPart, MachineEntry};
use chapter::measures::{Measure, MeasureCall, Of};
use chapter::{Act, Chapter, Expect, Step, kind};

use crate::ability::{Abilities, Ability};
use crate::databases::Databases;

/// The skipped steps and claims, with the reasons.
#[derive(Debug, Clone, Default)]
pub struct Skips {
    steps: HashMap<String, String>,
    claims: HashMap<(String, usize), String>,
}

impl Skips {
    /// Returns why a step cannot be carried out.
    pub fn step(&self, step: &str) -> Option<&str> {
        self.steps.get(step).map(String::as_str)
    }

    /// Returns why a step's claim, counted from 0, cannot be judged.
    pub fn claim(&self, step: &str, claim: usize) -> Option<&str> {
        let of_claim = self.claims.get(&(step.to_owned(), claim)).map(String::as_str);
        of_claim.or_else(|| self.step(step))
    }

    /// Returns whether nothing is skipped.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.claims.is_empty()
    }
}

/// Checks a chapter's claims against the abilities of its parts. `abilities` looks up a program's abilities; the lab's
/// own programs have all of them. The rules for databases are in `databases.rs`.
pub fn skips<'a>(chapter: &'a Chapter, abilities: impl Fn(&str) -> Option<&'a Abilities>) -> Skips {
    let of = |part: &LbPart| part.program.as_deref().and_then(&abilities);
    let played: HashMap<_, _> = chapter
        .machine
        .iter()
        .filter_map(|(name, entry)| Some((name.as_str(), (entry, of(entry.lb.as_ref()?)))))
        .collect();
    let mut databases = Databases::of(chapter, &abilities);
    let needs = Needs { chapter, played };
    let mut skips = Skips::default();
    if needs.played.values().all(|(_, abilities)| abilities.is_none()) && databases.are_own() {
        return skips;
    }
    let mut after_a_fault = false;
    for step in &chapter.step {
        after_a_fault |= is_a_fault(step);
        databases.begin(step);
        if let Some(reason) = needs.of_acts(step).or_else(|| databases.of_acts(step)) {
            skips.steps.insert(step.name.clone(), reason);
            continue;
        }
        for (index, claim) in step.expect.iter().enumerate() {
            let reason = needs.of_claim(step, claim, after_a_fault, &skips.steps);
            if let Some(reason) = reason.or_else(|| databases.of_claim(step, claim)) {
                skips.claims.insert((step.name.clone(), index), reason);
            }
        }
        databases.end(step);
    }
    skips
}

/// Returns whether a step breaks something, which then stays broken for later steps.
fn is_a_fault(step: &Step) -> bool {
    let heals = |act: &Act| {
        matches!(
            act,
            Act::Add { .. } | Act::Remove { .. } | Act::Thaw { .. } | Act::Heal { .. } | Act::HealAll
        )
    };
    step.acts().any(|act| !heals(act))
}

struct Needs<'a> {
    chapter: &'a Chapter,
    /// Balancers by name, with their abilities if they are not the lab's own.
    played: HashMap<&'a str, (&'a MachineEntry, Option<&'a Abilities>)>,
}

impl Needs<'_> {
    /// Returns why a step cannot be carried out.
    fn of_acts(&self, step: &Step) -> Option<String> {
        let kind = |name: &str| {
            let kind = Some(kind::of(name)).filter(|kind| self.chapter.machine.contains_key(*kind));
            kind.unwrap_or(name).to_owned()
        };
        let wanted = step.acts().filter_map(|act| match act {
            Act::Add { kind } => Some((kind.clone(), Ability::Add)),
            Act::Remove { name } => Some((kind(name), Ability::Remove)),
            Act::Roll { kind, how: RollHow::TellFirst, .. } => Some((kind.clone(), Ability::Remove)),
            _ => None,
        });
        wanted.into_iter().find_map(|(kind, ability)| {
            let in_front = self
                .played
                .iter()
                .filter(|(_, (entry, _))| entry.lb.as_ref().is_some_and(|lb| *lb.upstreams.as_ref() == kind));
            in_front.into_iter().find_map(|(name, _)| self.lacking(name, &[ability]))
        })
    }

    /// Returns why a claim cannot be judged.
    fn of_claim(
        &self,
        step: &Step,
        claim: &Expect,
        after_a_fault: bool,
        skipped: &HashMap<String, String>,
    ) -> Option<String> {
        let expression = Expression::<MeasureCall>::parse(claim.measure.as_ref()).ok()?;
        expression.measures().into_iter().find_map(|call| {
            let of_step = call.step().and_then(|step| skipped.get(step)).cloned();
            of_step.or_else(|| self.of_call(step, call, after_a_fault))
        })
    }

    fn of_call(&self, step: &Step, call: &MeasureCall, after_a_fault: bool) -> Option<String> {
        self.balancers_of(step, call).into_iter().find_map(|name| {
            let (entry, _) = self.played.get(name)?;
            let part = entry.lb.as_ref()?;
            if part.pair && part.program.is_none() {
                // The part could not replace this balancer, because it cannot be one of a pair.
                return self.unpaired();
            }
            self.lacking(name, &wanted(part, call.measure, after_a_fault))
        })
    }

    /// Returns why the balancers of a pair are the lab's own in a chapter where others are not.
    fn unpaired(&self) -> Option<String> {
        self.played.values().filter_map(|(_, abilities)| *abilities).find_map(|abilities| {
            let reason = abilities.lacks(Ability::Pair)?;
            Some(format!("{reason}, so this pair was the lab's own"))
        })
    }

    /// Returns the balancers that a measure refers to.
    fn balancers_of(&self, step: &Step, call: &MeasureCall) -> Vec<&str> {
        let description = call.measure.description();
        let machines = description.of.iter().zip(&call.of).filter(|(of, _)| **of == Of::Machine);
        let mut names: Vec<&str> = machines.filter_map(|(_, name)| self.balancer(name)).collect();
        let of_traffic = description.of.iter().zip(&call.of).filter(|(of, _)| **of == Of::Traffic);
        let mut traffics: Vec<&str> = of_traffic.map(|(_, name)| name.as_str()).collect();
        if description.traffic {
            let first = self.chapter.traffic.keys().next().map(String::as_str);
            traffics.extend(call.traffic().or(first));
        }
        let until = step.until.as_ref().filter(|_| call.step() == Some(&step.name));
        if let (Measure::Seconds | Measure::Happened, Some(until)) = (call.measure, until) {
            let recovered = until.recovered.as_ref().map(|traffic| traffic.as_ref().as_str());
            traffics.extend(recovered);
            let looks = until.ejected.is_some() || until.admitted.is_some();
            let by = until.by.as_ref().map(|by| by.as_ref().as_str());
            match by.filter(|_| looks) {
                Some(by) => names.extend(self.balancer(by)),
                None if looks => names.extend(self.played.keys()),
                None => {}
            }
        }
        let to = |traffic: &&str| self.balancer(self.chapter.traffic.get(*traffic)?.to.as_ref());
        names.extend(traffics.iter().filter_map(to));
        names
    }

    /// Resolves a name to a balancer, or to a kind of balancer.
    fn balancer(&self, name: &str) -> Option<&str> {
        let known = |name: &str| self.played.get_key_value(name).map(|(name, _)| *name);
        let kind = name.split([':', '/']).next().unwrap_or(name);
        known(kind).or_else(|| known(kind::of(kind)))
    }

    /// Returns the first of these abilities that a balancer lacks, as a sentence.
    fn lacking(&self, balancer: &str, wanted: &[Ability]) -> Option<String> {
        let (_, abilities) = self.played.get(balancer)?;
        let abilities = (*abilities)?;
        wanted.iter().find_map(|ability| abilities.lacks(*ability))
    }
}

/// Returns the abilities that a measure needs of a balancer with these flags.
fn wanted(part: &LbPart, measure: Measure, after_a_fault: bool) -> Vec<Ability> {
    let policy = match part.policy.as_deref() {
        Some("least-busy") => Ability::LeastBusy,
        Some("two-choices") => Ability::TwoChoices,
        Some("sticky") => Ability::Sticky,
        _ => Ability::RoundRobin,
    };
    let checks = match part.health.as_deref() {
        Some("off") => None,
        Some("connect") => Some(Ability::ConnectChecks),
        _ => Some(Ability::Checks),
    };
    let passive = part.passive_fall.filter(|fall| *fall > 0).map(|_| Ability::Passive);
    let retries = part.retries.filter(|retries| *retries > 0).map(|_| Ability::Retries);
    let try_timeout = part.try_timeout.map(|_| Ability::TryTimeout);
    let full = part.max_connections.map(|_| Ability::MaxConnections);
    let pair = part.pair.then_some(Ability::Pair);
    let wanted: Vec<Option<Ability>> = match measure {
        // An ejected server gets nothing, so shares depend on ejection.
        Measure::ShareOf | Measure::Served if after_a_fault => vec![pair, Some(policy), checks, passive],
        Measure::ShareOf | Measure::Served => vec![pair, Some(policy)],
        Measure::Detection | Measure::FalseEjections | Measure::Seconds | Measure::Happened => {
            vec![pair, Some(Ability::Events), checks, passive]
        }
        Measure::Price | Measure::Utilisation | Measure::Capacity => vec![pair],
        _ if after_a_fault => vec![pair, full, checks, passive, retries, try_timeout],
        _ => vec![pair, full],
    };
    wanted.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Known, Swap};
    use chapter::Source;

    fn lacking(name: &str, cannot: &[(Ability, &str)]) -> (Source, Skips) {
        let plain = Source::open(name, &[]).unwrap();
        let swap: Swap = "lb=haproxy".parse().unwrap();
        let cannot = cannot.iter().map(|(ability, reason)| (*ability, (*reason).to_owned())).collect();
        let abilities = Abilities { title: "Other".into(), can: None, cannot };
        let never_paired = Known::named("haproxy").unwrap().abilities();
        let source = Source::open(name, &swap.settings(&plain.chapter, &never_paired, false)).unwrap();
        let skips = skips(&source.chapter, |_| Some(&abilities));
        (source, skips)
    }

    fn claims(source: &Source, skips: &Skips) -> Vec<String> {
        let steps = source.chapter.step.iter();
        let of_step = |step: &Step| {
            let skipped = (0..step.expect.len()).filter(|claim| skips.claim(&step.name, *claim).is_some());
            skipped.map(|claim| format!("{}#{claim}", step.name)).collect::<Vec<_>>()
        };
        steps.flat_map(of_step).collect()
    }

    #[test]
    fn a_part_that_can_everything_skips_nothing() {
        for name in ["more-servers", "server-failure", "load-balancer"] {
            assert!(lacking(name, &[]).1.is_empty(), "{name}");
        }
    }

    #[test]
    fn who_cannot_be_one_of_a_pair_is_not_judged_by_the_pairs_claims() {
        let (source, skips) = lacking("load-balancer", &[(Ability::Pair, "it is alone")]);
        let skipped = claims(&source, &skips);
        assert!(
            skipped.contains(&"takeover#0".into()) && skipped.contains(&"comeback#1".into()),
            "{skipped:?}"
        );
        assert!(!skipped.iter().any(|claim| claim.starts_with("walk") || claim.starts_with("single")));
        assert_eq!(skips.claim("takeover", 0), Some("it is alone, so this pair was the lab's own"));
    }

    #[test]
    fn who_cannot_check_is_judged_by_the_rest() {
        let (source, skips) = lacking("server-failure", &[(Ability::Checks, "it asks nobody")]);
        let skipped = claims(&source, &skips);
        assert!(!skipped.iter().any(|claim| claim.starts_with("flowing")), "{skipped:?}");
        // The balancer with connect checks is not affected.
        assert!(skipped.contains(&"crash#0".into()) && !skipped.contains(&"killed#1".into()), "{skipped:?}");
        assert!(!skipped.contains(&"killed#0".into()), "nobody checks there: {skipped:?}");
        assert!(skipped.contains(&"without-it#2".into()), "that one is dead has to be noticed: {skipped:?}");
    }

    #[test]
    fn a_step_that_cannot_be_carried_out_takes_with_it_whoever_speaks_of_it() {
        let (source, skips) = lacking("more-servers", &[(Ability::Add, "it reads its servers once")]);
        let skipped = claims(&source, &skips);
        assert_eq!(skips.step("two"), Some("it reads its servers once"));
        assert_eq!((skips.step("one"), skips.step("capacities")), (None, None));
        assert!(skipped.contains(&"two#2".into()) && !skipped.contains(&"one#0".into()), "{skipped:?}");
        assert!(!skipped.contains(&"capacities#0".into()), "{skipped:?}");
    }
}
