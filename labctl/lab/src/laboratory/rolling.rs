//! Rolling replacement of the machines of a kind, as a deploy does it: one is stopped, its new version is
//! installed, it is started and put back into rotation, and then comes the next one.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::Laboratory;
use super::acts::JOIN_MAX;
use crate::balancers;
use crate::error::LabError;
use chapter::act::RollHow;

/// How long a machine may take to end after it was asked to: longer than any drain.
const DRAIN_MAX: Duration = Duration::from_secs(40);

impl Laboratory {
    /// Replaces the machines of a kind one by one. Each is off for `install`, the time that installing a new
    /// version takes.
    pub(super) async fn roll(
        &self,
        kind: &str,
        how: RollHow,
        install: Duration,
    ) -> Result<Vec<String>, LabError> {
        let plan = self.plan();
        let names: Vec<_> = plan.of_kind(kind).map(|machine| machine.name.clone()).collect();
        if names.len() < 2 {
            return Err(LabError::Usage(format!(
                "'{kind}' is not a kind with two or more machines: a roll replaces one while the others go on"
            )));
        }
        let mut done = Vec::new();
        for name in &names {
            done.extend(self.replace(name, how, install).await?);
        }
        Ok(done)
    }

    /// Stops one machine in this way, and restarts it. Returns when its balancers send it requests again.
    async fn replace(&self, name: &str, how: RollHow, install: Duration) -> Result<Vec<String>, LabError> {
        let machine = self.machine(name)?;
        let balancers = self.balancers_of(&machine.plan);
        let mut done = Vec::new();
        if how == RollHow::TellFirst {
            for balancer in &balancers {
                let admin = self.admin(balancer)?;
                balancers::remove(&admin, name).await?;
                done.push(format!("curl -X DELETE http://{}/upstreams/{name}", admin.address));
            }
        }
        // A machine that has ended by itself is replaced as well.
        if machine.is_on() {
            done.push(match how {
                RollHow::Kill => machine.signal(Signal::SIGKILL).await?,
                RollHow::Stop | RollHow::TellFirst => machine.ask_to_end().await?,
            });
        }
        if !machine.wait_until_off(DRAIN_MAX).await {
            machine.signal(Signal::SIGKILL).await?;
            machine.wait_until_off(JOIN_MAX).await;
        }
        sleep(install).await;
        let plan = self.plan.lock().current(name).map_err(LabError::Usage)?;
        let address = plan.programs.first().map(|program| program.address);
        self.start_machine(plan).await?;
        done.push(format!("labctl restart {name}"));
        for balancer in &balancers {
            let admin = self.admin(balancer)?;
            match (how, address) {
                (RollHow::TellFirst, Some(address)) => {
                    balancers::add(&admin, name, address, JOIN_MAX).await?;
                    done.push(format!("curl -X POST http://{}/upstreams …", admin.address));
                }
                _ => balancers::wait_until_up(&admin, name, JOIN_MAX).await?,
            }
        }
        Ok(done)
    }
}
