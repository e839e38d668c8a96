//! Wrong codes: who tries many is not answered for a while. Codes cannot be guessed; this bounds what trying costs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// For so long wrong codes are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Wrong codes of one address in that time.
const OF_ONE: u32 = 10;
/// Addresses that are counted; further ones wait until a window is over.
const ADDRESSES: usize = 1_024;

/// The wrong codes of late. Pure: the present is passed in.
#[derive(Debug, Default)]
pub(super) struct Tries(HashMap<IpAddr, (Instant, u32)>);

impl Tries {
    /// May this address try?
    pub(crate) fn may(&mut self, now: Instant, from: IpAddr) -> bool {
        self.0.retain(|_, (began, _)| now < *began + WINDOW);
        match self.0.get(&network(from)) {
            Some((_, wrong)) => *wrong < OF_ONE,
            None => self.0.len() < ADDRESSES,
        }
    }

    /// It has tried a wrong one.
    pub(crate) fn wrong(&mut self, now: Instant, from: IpAddr) {
        let (_, wrong) = self.0.entry(network(from)).or_insert((now, 0));
        *wrong = wrong.saturating_add(1);
    }
}

/// Whoever has an IPv6 address has a /64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn wrong_codes_of_an_address_are_bounded_and_no_other_suffers() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
        for _ in 0..OF_ONE {
            assert!(tries.may(now, one));
            tries.wrong(now, one);
        }
        assert!(!tries.may(now, one) && tries.may(now, two));
        assert!(!tries.may(now, address("::ffff:10.0.0.1")), "the same address");
        assert!(tries.may(now + WINDOW, one));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for number in 0..OF_ONE {
            tries.wrong(now, address(&format!("2001:db8::{number:x}")));
        }
        assert!(!tries.may(now, address("2001:db8::ffff")) && tries.may(now, address("2001:db8:0:1::1")));
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for number in 0..ADDRESSES as u32 {
            tries.wrong(now, IpAddr::V4(number.into()));
        }
        let newcomer = address("192.0.2.1");
        assert!(!tries.may(now, newcomer) && tries.may(now + WINDOW, newcomer));
    }
}
