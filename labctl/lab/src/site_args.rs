//! The labctl flags that say where a lab runs.

use std::path::PathBuf;

use super::backend::Backend;
use super::directories::{BESIDE_PREFIX, absolute};
use super::http::Client;
use super::plan::Deployment;

/// Maximum shift of the ports: a Sentinel's, the highest, is 26379.
const PORT_SHIFT_MAX: i64 = 39_000;

/// Where a lab runs: its directories, its back end, its network.
#[derive(Debug, Clone, clap::Args)]
pub struct SiteArgs {
    /// Directory of the running lab: its state, data and logs.
    #[arg(long, global = true, env = "LABCTL_LAB_DIR", default_value = ".lab", hide = true)]
    pub lab_dir: PathBuf,

    /// Directory that results are written to.
    #[arg(long, global = true, env = "LABCTL_RUNS_DIR", default_value = "runs", hide = true)]
    pub runs_dir: PathBuf,

    /// What machines run as: processes on this computer, or containers.
    #[arg(long, global = true, env = "LABCTL_BACKEND", value_enum, default_value_t, hide = true)]
    pub backend: Backend,

    /// First two bytes of the machines' addresses: loopback for processes, private for containers [default:
    /// 127.77, or 172.28].
    #[arg(long, global = true, env = "LABCTL_NETWORK", value_parser = parse_network, hide = true)]
    pub network: Option<Network>,

    /// Added to every port, in case another program on this computer uses one.
    #[arg(long, global = true, env = "LABCTL_PORT_SHIFT", default_value_t = 0, hide = true,
          value_parser = clap::value_parser!(u16).range(..=PORT_SHIFT_MAX))]
    pub port_shift: u16,

    /// A Redis server that is already there, to be used instead of starting one:
    /// redis://127.0.0.1:6379.
    #[arg(
        long,
        global = true,
        env = "LABCTL_REDIS_URL",
        value_name = "URL",
        hide_env_values = true,
        hide = true
    )]
    pub redis_url: Option<String>,

    /// Record what each request costs at each hop; `labctl trace` shows it. Only with processes.
    #[arg(long, global = true, env = "LABCTL_TRACE", hide = true)]
    pub trace: bool,
}

/// The first two bytes of a network.
#[derive(Debug, Clone, Copy)]
pub struct Network(pub [u8; 2]);

fn parse_network(text: &str) -> Result<Network, String> {
    let bytes =
        text.split_once('.').and_then(|(first, second)| Some([first.parse().ok()?, second.parse().ok()?]));
    match bytes {
        Some(network @ ([127 | 10, _] | [172, 16..=31] | [192, 168])) => Ok(Network(network)),
        _ => Err(format!(
            "'{text}' is not of the form 127.N, nor the beginning of a private network such as 172.28"
        )),
    }
}

/// The `number`-th network after this one, of the same kind.
fn network_beside([first, second]: [u8; 2], number: u8) -> [u8; 2] {
    // Two private networks are left out: the engine's own (172.17), and that of docker-compose.yml (172.30).
    const PRIVATE: [u8; 14] = [16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31];
    match first {
        127 | 10 => [first, second.wrapping_add(number)],
        _ => {
            // There is only one network that begins with 192.168, so the private ones in 172 follow it.
            let from = if first == 172 { second } else { Backend::Compose.network()[1] };
            let at = PRIVATE.iter().position(|private| *private >= from).unwrap_or(0);
            [172, PRIVATE[(at + usize::from(number)) % PRIVATE.len()]]
        }
    }
}

impl SiteArgs {
    /// The first two bytes of the machines' addresses.
    pub fn network(&self) -> [u8; 2] {
        self.network.map_or(self.backend.network(), |network| network.0)
    }

    /// The arguments of another lab beside this one: a directory within its own, and another network.
    pub fn beside(&self, number: u8) -> Self {
        Self {
            lab_dir: self.lab_dir.join(format!("{BESIDE_PREFIX}{number}")),
            network: Some(Network(network_beside(self.network(), number))),
            ..self.clone()
        }
    }

    /// The deployment that these arguments describe.
    pub fn deployment(&self) -> Deployment {
        Deployment {
            backend: self.backend,
            network: self.network(),
            port_shift: self.port_shift,
            data: absolute(&self.lab_dir).join("data"),
            redis_url: self.redis_url.clone(),
            client: match self.backend.is_containers() {
                false => Client::without_token(),
                true => Client::with_new_token(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_beside_one_are_private_and_nobody_elses() {
        for number in 1..14 {
            let [first, second] = network_beside([172, 28], number);
            assert!(first == 172 && (16..=31).contains(&second), "{number}: {first}.{second}");
            assert!(![17, 28, 30].contains(&second), "{number}: {first}.{second}");
        }
        assert_eq!(network_beside([172, 28], 1), [172, 29]);
        assert_eq!(network_beside([172, 28], 2), [172, 31]);
        assert_eq!(network_beside([172, 30], 1), [172, 16]);
        assert_eq!(network_beside([192, 168], 1), [172, 29]);
        assert_eq!(network_beside([127, 77], 3), [127, 80]);
    }
}
