//! The flags of a pair as written and as checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, value_parser};

use super::advert::{ID_BYTES_MAX, Secret};
use super::failover::Rules;

/// Flags of a balancer that shares its address with another one.
#[derive(Debug, Clone, clap::Args)]
pub struct PairArgs {
    /// Name of this balancer in its pair. With it, `--listen` is an address that two balancers share: one is
    /// active on it, the other stands by.
    #[arg(long, env = "LB_PAIR_ID", value_name = "NAME", requires_all = ["pair_peer", "pair_listen"])]
    pub pair_id: Option<String>,

    /// Where the other balancer listens for adverts, by UDP.
    #[arg(long, env = "LB_PAIR_PEER", value_name = "HOST:PORT", requires = "pair_id")]
    pub pair_peer: Option<String>,

    /// Where this balancer listens for adverts, by UDP.
    #[arg(long, env = "LB_PAIR_LISTEN", value_name = "HOST:PORT", requires = "pair_id")]
    pub pair_listen: Option<String>,

    /// Priority: the balancer with the higher one wins when both want the address. It does not preempt an
    /// active balancer.
    #[arg(long, env = "LB_PAIR_PRIORITY", default_value_t = 100, value_name = "PRIORITY", value_parser = value_parser!(u8).range(1..=254))]
    pub pair_priority: u8,

    /// Time between two adverts of the active balancer. After three to four times this without one, the other
    /// takes over.
    #[arg(long, env = "LB_PAIR_ADVERT", default_value = "200ms", value_name = "DURATION")]
    pub pair_advert: humantime::Duration,

    /// File with the secret that signs adverts, at least 16 bytes. Required unless both listen on loopback.
    #[arg(long, env = "LB_PAIR_SECRET_FILE", value_name = "FILE")]
    pub pair_secret_file: Option<PathBuf>,

    /// How to take over the address: `bind` listens on it once no other process on this host does; `vip` adds
    /// it to a network interface and announces it (needs the programs `ip` and `arping`, and CAP_NET_ADMIN).
    #[arg(long, env = "LB_TAKEOVER", value_enum, default_value_t = TakeoverName::Bind)]
    pub takeover: TakeoverName,

    /// Network interface to add the address to.
    #[arg(long, env = "LB_VIP_INTERFACE", default_value = "eth0", value_name = "INTERFACE")]
    pub vip_interface: String,
}

/// How the address is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeoverName {
    /// By listening on it.
    Bind,
    /// By adding it to an interface.
    Vip,
}

/// The checked configuration of a balancer that shares its address.
#[derive(Debug, Clone)]
pub struct PairConfig {
    /// Its name, priority and timing.
    pub rules: Rules,
    /// Where it listens for adverts, by UDP.
    pub listen: SocketAddr,
    /// Where its peer listens: `HOST:PORT`.
    pub peer: String,
    /// The secret that signs adverts, if there is one.
    pub secret: Option<Secret>,
    /// How the address is taken over.
    pub takeover: TakeoverName,
    /// The network interface that the address is added to.
    pub interface: String,
}

/// The allowed range of advert intervals, which is wider than any pair needs.
const ADVERT: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(40);

const INTERFACE_BYTES_MAX: usize = 15;

impl PairConfig {
    /// Checks the flags and combines them; an error names the flag. `read` reads a secret from a file.
    pub fn check(
        args: PairArgs,
        read: impl FnOnce(&str, &std::path::Path) -> Result<String, String>,
    ) -> Result<Option<Self>, String> {
        let (Some(id), Some(peer), Some(listen)) = (args.pair_id, args.pair_peer, args.pair_listen) else {
            return Ok(None);
        };
        let nameable = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(nameable) {
            return Err("--pair-id: a name has 1 to 64 letters, digits, '.', '-' or '_'".into());
        }
        if !peer.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(format!("--pair-peer: '{peer}' is not HOST:PORT"));
        }
        let found = machine::names::find(&listen).ok().and_then(|found| found.first().copied());
        let listen = found.ok_or_else(|| format!("--pair-listen: '{listen}' is no address"))?;
        let advert: Duration = args.pair_advert.into();
        if !ADVERT.contains(&advert) {
            return Err("--pair-advert: is between 20ms and 40s".into());
        }
        let secret = args.pair_secret_file.map(|path| read("--pair-secret-file", &path)).transpose()?;
        if secret.is_none() && !listen.ip().is_loopback() {
            return Err(format!(
                "--pair-listen: {listen} can be reached by others; give --pair-secret-file, or a loopback address"
            ));
        }
        let plain = args.vip_interface.bytes().all(|byte| nameable(byte) || byte == b'@');
        if !plain || !(1..=INTERFACE_BYTES_MAX).contains(&args.vip_interface.len()) {
            return Err("--vip-interface: is not the name of a network interface".into());
        }
        Ok(Some(Self {
            rules: Rules { id, priority: args.pair_priority, advert },
            listen,
            peer,
            secret: secret.map(|secret| Secret::new(secret.as_bytes())),
            takeover: args.takeover,
            interface: args.vip_interface,
        }))
    }
}
