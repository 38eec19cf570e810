//! Waiting until a machine answers. Polled, never slept for.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::http;
use super::machine::RunningMachine;
use super::plan::{ProgramPlan, Readiness};
use crate::error::LabError;

const POLL: Duration = Duration::from_millis(10);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until everything on a machine answers its health check, for at most `limit`. Fails at
/// once when one of its programs ends, with the last thing that program said.
pub async fn until_ready(machine: &RunningMachine, logs: &Path, limit: Duration) -> Result<(), LabError> {
    let deadline = Instant::now() + limit;
    for program in &machine.plan.programs {
        let name = program.program.name();
        loop {
            if is_ready(program).await {
                break;
            }
            let gone = machine.programs().get(name).is_some_and(|life| !life.alive) || !machine.is_on();
            if gone || Instant::now() > deadline {
                let what = if gone {
                    "ended while it started".into()
                } else {
                    format!("did not answer within {limit:?}")
                };
                let log = logs.join(&machine.plan.name).join(format!("{name}.log"));
                let said = match last_line(&log) {
                    // What its machine said of it is not in its log.
                    None if gone => machine.last_said().await,
                    said => said,
                };
                return Err(LabError::NotReady(format!(
                    "{}/{name} {what}: {}; its log is {}",
                    machine.plan.name,
                    said.as_deref().unwrap_or("it said nothing"),
                    log.display()
                )));
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}

async fn is_ready(program: &ProgramPlan) -> bool {
    match &program.readiness {
        Readiness::Healthz => {
            let health = http::ask(program.health, Method::GET, "/healthz", None, PATIENCE).await;
            health.is_ok_and(|answer| answer.status == StatusCode::OK)
        }
        Readiness::Redis { ask, says } => {
            timeout(PATIENCE, redis_says(program.address, ask, says)).await.is_ok_and(|said| said.is_ok())
        }
    }
}

/// Types a line to a Redis server, and reads until it has said all of these.
async fn redis_says(address: SocketAddr, ask: &str, says: &[String]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{ask}\r\n").as_bytes()).await?;
    let mut said = Vec::new();
    loop {
        if stream.read_buf(&mut said).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&said);
        if says.iter().all(|wanted| text.contains(wanted)) {
            return Ok(());
        }
    }
}

fn last_line(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().map(|line| line.trim().to_owned())
}
