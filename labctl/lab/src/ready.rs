//! Waits until a machine answers, by polling rather than by a fixed sleep.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::http::Client;
use super::machine::RunningMachine;
use super::plan::{ProgramPlan, Readiness};
use crate::error::LabError;

const POLL: Duration = Duration::from_millis(10);
/// The timeout of one check.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until everything on a machine answers its health check, up to `limit`. Fails at once if one of its
/// programs ends, with the last line that the program logged.
pub async fn until_ready(
    machine: &RunningMachine,
    client: &Client,
    logs: &Path,
    limit: Duration,
) -> Result<(), LabError> {
    let deadline = Instant::now() + limit;
    for program in &machine.plan.programs {
        let name = program.program.name();
        loop {
            let Err(met) = is_ready(program, client).await else { break };
            let gone = machine.programs().get(name).is_some_and(|life| !life.alive) || !machine.is_on();
            if gone || Instant::now() > deadline {
                let what =
                    if gone { "ended while it started".into() } else { format!("{met} within {limit:?}") };
                let logs = logs.join(&machine.plan.name);
                let why = reason(machine, gone, &logs, name).await;
                return Err(LabError::NotReady(format!("{}/{name} {what}: {why}", machine.plan.name)));
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}

/// Checks that a program is ready; the error says what the check got instead.
async fn is_ready(program: &ProgramPlan, client: &Client) -> Result<(), String> {
    let silent = || "did not answer".to_owned();
    match &program.readiness {
        Readiness::Healthz => {
            let health = client.ask(program.health, Method::GET, "/healthz", None, PATIENCE).await;
            match health {
                Ok(answer) if answer.status == StatusCode::OK => Ok(()),
                Ok(answer) => Err(format!("was not ready (GET /healthz: {})", answer.status)),
                Err(error) if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) => {
                    Err(format!("did not answer GET /healthz at {} in HTTP", program.health))
                }
                Err(_) => Err(silent()),
            }
        }
        Readiness::Redis { ask, says } => {
            let said = timeout(PATIENCE, redis_says(program.address, ask, says)).await;
            said.map_err(|_| silent())?.map_err(|_| silent())
        }
    }
}

/// Sends a line to a Redis server, and reads until all of these strings have arrived.
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

/// The reason why a program did not start, from its own log or its machine's, and where to read more.
async fn reason(machine: &RunningMachine, gone: bool, logs: &Path, program: &str) -> String {
    let own = logs.join(format!("{program}.log"));
    let text = |log: &Path| std::fs::read_to_string(log).unwrap_or_default();
    if let Some(said) = telling_line(&text(&own)) {
        return format!("{said}; its log is {}", own.display());
    }
    // If the machine could not start the program, the reason is in the machine's log.
    let of_machine = logs.join("machine.log");
    match telling_line(&text(&of_machine)) {
        Some(said) if gone => format!("{said}; its machine's log is {}", of_machine.display()),
        _ => match machine.last_said().await {
            Some(said) if gone => said,
            _ => format!("it said nothing; its log is {}", own.display()),
        },
    }
}

/// The line of a log that gives the reason. A rejected command line ends with advice, after the `error:`
/// line. `None` if the log is empty.
fn telling_line(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back();
    lines.find(|line| line.starts_with("error:")).or(last).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why_is_told() {
        let refused =
            "error: invalid value 'logfmt' for '--log-format'\n\nFor more information, try '--help'.\n";
        assert_eq!(telling_line(refused).unwrap(), "error: invalid value 'logfmt' for '--log-format'");
        let log = "12:00 INFO listening\n12:01 ERROR the disk failed\n";
        assert_eq!(telling_line(log).unwrap(), "12:01 ERROR the disk failed");
        assert_eq!(telling_line("\n"), None);
    }
}
