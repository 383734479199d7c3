//! Networks: one hash table for each length of prefix that occurs, asked with the address cut to that length.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Candidates, Map};

/// The rules by the networks they name.
#[derive(Debug, Default)]
pub(super) struct Networks {
    four: Vec<(u8, Map<u32, Vec<u32>>)>,
    six: Vec<(u8, Map<u128, Vec<u32>>)>,
}

impl Networks {
    pub(super) fn is_empty(&self) -> bool {
        self.four.is_empty() && self.six.is_empty()
    }

    pub(super) fn add(&mut self, network: &IpNet, rule: u32) {
        match network {
            IpNet::V4(network) => {
                let bits = u32::from(network.network());
                table(&mut self.four, network.prefix_len()).entry(bits).or_default().push(rule);
            }
            IpNet::V6(network) => {
                let bits = u128::from(network.network());
                table(&mut self.six, network.prefix_len()).entry(bits).or_default().push(rule);
            }
        }
    }

    pub(super) fn find(&self, address: IpAddr, found: &mut Candidates) {
        match address {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                for (length, table) in &self.four {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                    table.get(&(bits & mask)).into_iter().flatten().for_each(|rule| found.add(*rule));
                }
            }
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                for (length, table) in &self.six {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                    table.get(&(bits & mask)).into_iter().flatten().for_each(|rule| found.add(*rule));
                }
            }
        }
    }

    /// All rules that name a network.
    pub(super) fn all(&self, found: &mut Candidates) {
        let four = self.four.iter().flat_map(|(_, table)| table.values());
        let six = self.six.iter().flat_map(|(_, table)| table.values());
        four.chain(six).flatten().for_each(|rule| found.add(*rule));
    }
}

fn table<B>(tables: &mut Vec<(u8, Map<B, Vec<u32>>)>, length: u8) -> &mut Map<B, Vec<u32>> {
    let at = match tables.iter().position(|(known, _)| *known == length) {
        Some(at) => at,
        None => {
            tables.push((length, Map::default()));
            tables.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "the position was found or made above")]
    &mut tables[at].1
}
