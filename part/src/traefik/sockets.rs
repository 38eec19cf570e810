//! Finds the sockets that are connected to a server, in the kernel's tables (proc(5), `/proc/PID/net/tcp` and `tcp6`).
//! Pure.
//!
//! Traefik does not report how many requests a server has in flight. Each request in flight has a connection, and
//! Traefik closes idle connections after a while; so a server without connections has been drained.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Returns the inode numbers of the sockets in a table that are connected to one of these addresses.
pub(super) fn to(table: &str, remote: &[SocketAddr]) -> HashSet<u64> {
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (other, inode) = (address(fields.get(2)?)?, fields.get(9)?.parse().ok()?);
            remote.contains(&other).then_some(inode)
        })
        .collect()
}

/// Parses the inode number of a socket from a link in `/proc/PID/fd`: `socket:[1234]`.
pub(super) fn number(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Parses an address of the table. The kernel prints each four bytes as one number in the byte order of the computer:
/// `0100007F:2329` is 127.0.0.1:9001 on a little-endian one.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn row(other: &str, inode: u64) -> String {
        format!(
            "   0: 0100007F:A8F2 {other} 01 00000000:00000000 02:000003E8 00000000     0        0 {inode} 2 0 20\n"
        )
    }

    fn shown(ip: &[u8], port: u16) -> String {
        let words = ip.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let ip: String = words.map(|word| format!("{word:08X}")).collect();
        format!("{ip}:{port:04X}")
    }

    #[test]
    fn those_with_the_address_are_found() {
        let here = shown(&[127, 0, 0, 1], 9001);
        let table = format!("{HEAD}{}{}", row(&here, 12), row(&shown(&[127, 0, 0, 2], 9001), 13));
        assert_eq!(to(&table, &["127.0.0.1:9001".parse().unwrap()]), HashSet::from([12]));
        assert_eq!(to(&table, &["127.0.0.1:9002".parse().unwrap()]), HashSet::new());
        assert_eq!(to("", &["127.0.0.1:9001".parse().unwrap()]), HashSet::new());
    }

    #[test]
    fn an_address_may_be_of_either_kind() {
        let mapped: Ipv6Addr = "::ffff:127.0.0.1".parse().unwrap();
        let own: Ipv6Addr = "::1".parse().unwrap();
        let table = format!("{}{}", row(&shown(&mapped.octets(), 80), 1), row(&shown(&own.octets(), 81), 2));
        assert_eq!(to(&table, &["127.0.0.1:80".parse().unwrap()]), HashSet::from([1]));
        assert_eq!(to(&table, &["[::1]:81".parse().unwrap()]), HashSet::from([2]));
    }

    #[test]
    fn a_link_has_the_number_of_its_socket() {
        assert_eq!(number("socket:[1234]"), Some(1234));
        assert_eq!((number("/dev/null"), number("pipe:[7]")), (None, None));
    }
}
