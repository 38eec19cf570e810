//! The background tasks of a running lab.

use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::{LOOK_EVERY, Laboratory};
use crate::databases;
use crate::events::Happening;
use crate::plan::Plan;

impl Laboratory {
    /// Watches for changes that processes do not report themselves, until the handle is dropped.
    pub fn watch(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let lab = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut heard = lab.events.count();
            loop {
                sleep(LOOK_EVERY).await;
                for event in lab.events.since(heard) {
                    heard += 1;
                    if let Happening::TakeoverBlocked { balancer } = event.what {
                        lab.fence(&balancer).await;
                    }
                }
                let machines: Vec<_> = lab.machines.lock().values().cloned().collect();
                machines.iter().for_each(|machine| machine.look_for_frozen(&lab.events));
            }
        }))
    }

    /// Fences the balancer that still holds the address this one cannot take, if the chapter asks for
    /// fencing.
    async fn fence(&self, balancer: &str) {
        let others = self.plan.lock().to_fence(balancer);
        for other in others.iter().filter(|other| self.is_on(other)) {
            if let Ok(commands) = self.signal_machine(other, Signal::SIGKILL).await {
                commands.into_iter().for_each(|command| self.events.record(Happening::Did { command }));
            }
        }
    }

    pub(super) fn follow(&self, balancer: &str) {
        if let Some(admin) = self.plan.lock().admin_of(balancer) {
            self.followers.lock().follow(balancer, admin, self.events.clone());
        }
    }

    /// Records which node is the primary of each database, until the lab ends.
    pub(super) fn follow_databases(&self, plan: &Plan) {
        for machine in plan.database_nodes() {
            if let Some(node) = databases::node_on(machine) {
                let following = databases::follow(machine.name.clone(), node, self.events.clone());
                self.followers.lock().keep(&machine.name, tokio::spawn(following));
            }
        }
    }
}
