//! Which addresses may be reached: public ones, and those that the operator opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use weir_core::address::TrustedProxies;
use weir_core::tool::quoted;

/// An address that is not public. It travels inside the client's own error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotReached {
    name: Option<String>,
    address: IpAddr,
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.name {
            Some(name) => write!(f, "{} leads to {address}, which is no public address", quoted(name)),
            None => write!(f, "{address} is no public address"),
        }
    }
}

impl Error for NotReached {}

impl NotReached {
    /// Finds it among the causes of an error.
    pub(super) fn among<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut at = Some(error);
        while let Some(error) = at {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            // An io error does not show what it holds as its source.
            let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            at = match held {
                Some(held) => Some(held),
                None => error.source(),
            };
        }
        None
    }
}

/// Looks names up and gives the addresses only if all of them may be reached: of several the client tries one after the
/// other, and whoever answers for a name decides about their order.
#[derive(Clone, Debug)]
pub(super) struct Public {
    names: GaiResolver,
    opened: TrustedProxies,
}

impl Public {
    pub(super) fn new(opened: TrustedProxies) -> Self {
        Self { names: GaiResolver::new(), opened }
    }

    /// Whether an address may be reached.
    pub(super) fn admits(&self, address: IpAddr) -> Result<(), NotReached> {
        let open = is_public(address) || self.opened.trusts(address);
        if open { Ok(()) } else { Err(NotReached { name: None, address }) }
    }
}

impl tower_service::Service<Name> for Public {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut public = self.clone();
        Box::pin(async move {
            let asked = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tower_service::Service::call(&mut public.names, name).await?.collect();
            for address in &found {
                public.admits(address.ip()).map_err(|not| {
                    io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        NotReached { name: Some(asked.clone()), ..not },
                    )
                })?;
            }
            Ok(found.into_iter())
        })
    }
}

/// Whether an address is one of the public internet's. What holds an IPv4 address within an IPv6 one is what it holds.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        // "This network", private, shared (RFC 6598), loopback, link-local with the metadata of clouds.
        (0 | 10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (169, 254, _)
            // Protocol assignments, documentation, benchmarks, 6to4 relays.
            | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) | (192, 88, 99)
            // Alibaba's and Oracle's metadata lie elsewhere; Azure's wire server is an ordinary address.
            | (168, 63, 129)
            // Multicast, reserved, broadcast.
            | (224..=255, ..)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let embedded = |at: usize| -> Option<Ipv4Addr> {
        let bytes = address.octets();
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(four))
    };
    match (a, b) {
        // NAT64 and 6to4 carry an IPv4 address.
        (0x0064, 0xff9b) => embedded(12).is_some_and(is_public_v4),
        (0x2002, _) => embedded(2).is_some_and(is_public_v4),
        // Teredo, ORCHID, documentation, benchmarks.
        (0x2001, 0..=0x01ff | 0x0db8) => false,
        // What is assigned to the internet; unique-local, link-local, multicast, loopback are elsewhere.
        (0x2000..=0x3ffe, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let others = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "168.63.129.16",
        ];
        for address in others {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_the_operator_opens_is_open_and_nothing_else() {
        let opened =
            TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()]);
        let public = Public::new(opened);
        for (address, open) in [
            ("10.1.1.1", true),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("192.168.0.1", false),
        ] {
            assert_eq!(public.admits(address.parse().unwrap()).is_ok(), open, "{address}");
        }
    }
}
