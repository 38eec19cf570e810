//! The links between the machines of a lab, and the acts that change them.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::Laboratory;
use crate::error::LabError;
use crate::events::Happening;
use crate::link::{Link, Rules};
use crate::plan::Plan;

/// The links, by the machines at both ends (from, to).
pub(super) type Links = HashMap<(String, String), Link>;

/// Opens every link of a plan.
pub(super) async fn open_links(plan: &Plan) -> Result<Links, LabError> {
    let mut links = HashMap::new();
    for link in &plan.links {
        let open = Link::open(link.listen, link.target, link.distance).await;
        let open =
            open.map_err(|error| LabError::NotReady(format!("cannot listen on {}: {error}", link.listen)))?;
        links.insert((link.from.clone(), link.to.clone()), open);
    }
    Ok(links)
}

impl Laboratory {
    /// Does something to a link, or to every link between two kinds of machines, and records its new state.
    pub(super) async fn on_link(
        &self,
        from: &str,
        to: &str,
        act: impl Fn(&Link),
        now: &str,
        typed: &str,
    ) -> Result<Vec<String>, LabError> {
        let (from, to) = (&*self.resolve_and_remember(from).await?, &*self.resolve_and_remember(to).await?);
        let plan = self.plan();
        let is = |name: &str, wanted: &str| {
            name == wanted || plan.machines.get(name).is_some_and(|machine| machine.kind == wanted)
        };
        let meant = self.links.iter().filter(|((one, other), _)| is(one, from) && is(other, to));
        if meant.map(|(_, link)| act(link)).count() == 0 {
            let mut known: Vec<_> = self.links.keys().map(|(from, to)| format!("{from} {to}")).collect();
            known.sort_unstable();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(LabError::Usage(format!(
                "there is no link from {from} to {to} (`labctl up --all-links` makes one of every connection); there are: {known}"
            )));
        }
        self.record_link(from, to, now);
        Ok(vec![format!("labctl {typed}")])
    }

    /// Cuts every link between machines of different groups.
    pub(super) async fn partition(&self, groups: &[Vec<String>]) -> Result<Vec<String>, LabError> {
        let mut meant = Vec::new();
        for group in groups {
            let names = join_all(group.iter().map(|name| self.resolve_and_remember(name))).await;
            let names = names.into_iter().collect::<Result<Vec<_>, _>>()?;
            names.iter().try_for_each(|name| self.machine(name).map(drop))?;
            meant.push(names);
        }
        // A machine that is not named belongs to the last group.
        let last = meant.len().saturating_sub(1);
        let group_of = |name: &String| meant.iter().position(|group| group.contains(name)).unwrap_or(last);
        let mut done = Vec::new();
        for ((from, to), link) in &self.links {
            if group_of(from) != group_of(to) {
                link.set(Rules::Cut);
                self.record_link(from, to, "cut");
                done.push(format!("labctl cut {from} {to}"));
            }
        }
        if done.is_empty() {
            return Err(LabError::Usage("there is no link between these groups".into()));
        }
        done.sort_unstable();
        Ok(done)
    }

    pub(super) fn record_link(&self, from: &str, to: &str, now: &str) {
        self.events.record(Happening::Link { from: from.into(), to: to.into(), now: now.into() });
    }
}
