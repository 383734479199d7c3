//! The client's address behind trusted proxies (design, section 3).

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks whose `x-forwarded-for`, fingerprint and geography headers are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts exactly these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a peer with this address is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Walks `x-forwarded-for` from the right: starts with the socket's peer and, while the address is trusted and
/// elements remain, takes the next one. An element that is no address ends the walk at the last good one, so
/// that what a client prepends changes nothing. All header lines are given in their order.
#[must_use]
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &TrustedProxies,
) -> IpAddr {
    let mut address = peer.to_canonical();
    for element in forwarded_for.rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.trusts(address) {
            break;
        }
        match parse_element(element.trim()) {
            Some(next) => address = next,
            None => break,
        }
    }
    address
}

/// An element is an address, or one with a port as some proxies write it: `1.2.3.4:5678`, `[2001:db8::1]:443`.
fn parse_element(element: &str) -> Option<IpAddr> {
    element
        .parse::<IpAddr>()
        .ok()
        .or_else(|| element.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| element.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted = TrustedProxies::new(trusted.iter().map(|n| n.parse().unwrap()).collect());
        client_address(peer.parse().unwrap(), forwarded.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn the_walk_goes_from_the_right_while_trust_lasts() {
        let table: &[(&str, &[&str], &[&str], &str)] = &[
            ("192.0.2.1", &["203.0.113.5"], &[], "192.0.2.1"),
            ("127.0.0.1", &[], &["127.0.0.1/32"], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.5"], &["127.0.0.1/32"], "203.0.113.5"),
            ("127.0.0.1", &["1.1.1.1, 203.0.113.5"], &["127.0.0.1/32"], "203.0.113.5"),
            (
                "127.0.0.1",
                &["1.1.1.1", "203.0.113.5, 10.0.0.1"],
                &["127.0.0.1/32", "10.0.0.0/8"],
                "203.0.113.5",
            ),
            ("127.0.0.1", &["garbage, 10.0.0.1"], &["127.0.0.1/32", "10.0.0.0/8"], "10.0.0.1"),
            ("127.0.0.1", &["garbage"], &["127.0.0.1/32"], "127.0.0.1"),
            ("::ffff:127.0.0.1", &["[2001:db8::1]:443"], &["127.0.0.1/32"], "2001:db8::1"),
            ("127.0.0.1", &["203.0.113.5:1234"], &["127.0.0.1/32"], "203.0.113.5"),
            ("127.0.0.1", &["203.0.113.5,"], &["127.0.0.1/32"], "127.0.0.1"),
        ];
        for (peer, forwarded, trusted, expected) in table {
            assert_eq!(derived(peer, forwarded, trusted), *expected, "{peer} {forwarded:?} {trusted:?}");
        }
    }
}
