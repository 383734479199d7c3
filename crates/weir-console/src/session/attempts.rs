//! How often an address may try to sign in.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use quick_cache::sync::Cache;

/// Failed attempts of one address in a window.
const FAILED_MAX: u32 = 10;
/// How long a window lasts, from its first failed attempt.
const WINDOW: Duration = Duration::from_secs(300);
/// Addresses that are remembered; the least recently seen leave first.
const ADDRESSES_MAX: usize = 10_000;

/// Failed attempts by address: of IPv6 by its network of 64 bits, since whoever has one address there has them all.
pub(crate) struct Attempts {
    failed: Cache<IpAddr, (Timestamp, u32)>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { failed: Cache::new(ADDRESSES_MAX) }
    }
}

impl Attempts {
    /// How long an address must wait before it may try again; nothing when it need not.
    pub(crate) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let (since, failed) = self.failed.get(&network(address))?;
        let gone = now.duration_since(since).unsigned_abs();
        (failed >= FAILED_MAX && gone < WINDOW).then(|| WINDOW.saturating_sub(gone))
    }

    /// Counts a failed attempt.
    pub(crate) fn failed(&self, address: IpAddr, now: Timestamp) {
        let key = network(address);
        let (since, failed) = self
            .failed
            .get(&key)
            .filter(|(since, _)| now.duration_since(*since).unsigned_abs() < WINDOW)
            .unwrap_or((now, 0));
        self.failed.insert(key, (since, failed.saturating_add(1)));
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_too_many_failures_and_others_do_not() {
        let attempts = Attempts::default();
        let at = |s: i64| Timestamp::from_second(1_800_000_000 + s).unwrap();
        let (one, same, other): (IpAddr, IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for n in 0..FAILED_MAX {
            assert_eq!(attempts.wait(one, at(i64::from(n))), None);
            attempts.failed(one, at(i64::from(n)));
        }
        assert_eq!(attempts.wait(same, at(100)), Some(Duration::from_secs(200)));
        assert_eq!(attempts.wait(other, at(100)), None);
        assert_eq!(attempts.wait(one, at(300)), None);
        attempts.failed(one, at(300));
        assert_eq!(attempts.wait(one, at(301)), None, "a new window begins");
    }
}
