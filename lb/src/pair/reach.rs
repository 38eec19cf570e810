//! Decides where adverts for the peer are sent.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};

/// Returns the targets of an advert: the addresses in `known`, to which the peer's name resolves, as far as a
/// socket bound to `own` can reach them. `heard_from` is where the peer's latest advert came from. If it is among
/// the known addresses, it is the only target; if not, the name may be out of date or not resolve at all, so it
/// is added.
pub fn targets(own: IpAddr, known: &[SocketAddr], heard_from: Option<SocketAddr>) -> Vec<SocketAddr> {
    let known: Vec<_> = known.iter().filter_map(|address| as_seen_from(own, *address)).collect();
    match heard_from {
        Some(heard_from) if known.contains(&heard_from) => vec![heard_from],
        heard_from => heard_from.into_iter().chain(known).collect(),
    }
}

/// Converts the address to the family of the own socket, if that can reach it.
fn as_seen_from(own: IpAddr, address: SocketAddr) -> Option<SocketAddr> {
    match (own, address) {
        (IpAddr::V4(_), SocketAddr::V4(_)) | (IpAddr::V6(_), SocketAddr::V6(_)) => Some(address),
        (IpAddr::V6(own), SocketAddr::V4(address)) if own.is_unspecified() => {
            Some(SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, known: &[&str], heard_from: Option<&str>, wanted: &[&str]) {
        let parse = |text: &&str| text.parse::<SocketAddr>().unwrap();
        let known: Vec<_> = known.iter().map(parse).collect();
        let targets = targets(own.parse().unwrap(), &known, heard_from.as_ref().map(parse));
        assert_eq!(targets, wanted.iter().map(parse).collect::<Vec<_>>());
    }

    #[test]
    fn its_name_says_where_it_is_and_its_adverts_which_of_several() {
        check("10.0.0.1", &["10.0.0.2:1"], None, &["10.0.0.2:1"]);
        check("10.0.0.1", &["10.0.0.2:1", "10.1.0.2:1"], None, &["10.0.0.2:1", "10.1.0.2:1"]);
        check("10.0.0.1", &["10.0.0.2:1", "10.1.0.2:1"], Some("10.1.0.2:1"), &["10.1.0.2:1"]);
    }

    #[test]
    fn where_it_was_heard_from_counts_when_its_name_says_otherwise_or_nothing() {
        check("10.0.0.1", &["10.0.0.2:1"], Some("10.0.0.3:1"), &["10.0.0.3:1", "10.0.0.2:1"]);
        check("10.0.0.1", &[], Some("10.0.0.3:1"), &["10.0.0.3:1"]);
        check("10.0.0.1", &[], None, &[]);
    }

    #[test]
    fn only_what_the_socket_can_reach() {
        check("127.0.0.1", &["[::1]:1", "127.0.0.1:1"], None, &["127.0.0.1:1"]);
        check("::1", &["[::1]:1", "127.0.0.1:1"], None, &["[::1]:1"]);
        check("::", &["10.0.0.2:1"], Some("[::ffff:10.0.0.2]:1"), &["[::ffff:10.0.0.2]:1"]);
    }
}
