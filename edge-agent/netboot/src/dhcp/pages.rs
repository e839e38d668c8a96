//! Who is where, by address: pages of neighbouring addresses, so that one is found by its place, and a vacant one without
//! looking into pages that are full.

use std::{collections::BTreeMap, net::Ipv4Addr};

/// Addresses of a page; 4 KiB of slots.
const PAGE: u32 = 1_024;

/// The slot of nobody.
const NONE: u32 = u32::MAX;

/// Slots by address.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<u32, Page>);

#[derive(Debug)]
struct Page {
    slots: Box<[u32]>,
    used: u32,
}

impl Pages {
    pub(super) fn get(&self, address: Ipv4Addr) -> Option<u32> {
        let (page, place) = split(address.to_bits());
        let slot = *self.0.get(&page)?.slots.get(place)?;
        (slot != NONE).then_some(slot)
    }

    /// Puts a slot at an address. `slot` is not 2³² - 1.
    pub(super) fn set(&mut self, address: Ipv4Addr, slot: u32) {
        let (page, place) = split(address.to_bits());
        let page = self.0.entry(page).or_insert_with(Page::vacant);
        let former = std::mem::replace(&mut page.slots[place], slot);
        page.used += u32::from(former == NONE);
    }

    pub(super) fn clear(&mut self, address: Ipv4Addr) {
        let (number, place) = split(address.to_bits());
        let Some(page) = self.0.get_mut(&number) else { return };
        let former = std::mem::replace(&mut page.slots[place], NONE);
        page.used -= u32::from(former != NONE);
        if page.used == 0 {
            self.0.remove(&number);
        }
    }

    /// At how many addresses from `first` to `last`, both included, somebody is.
    pub(super) fn count(&self, first: Ipv4Addr, last: Ipv4Addr) -> u64 {
        let ((first_page, from), (last_page, to)) = (split(first.to_bits()), split(last.to_bits()));
        if first > last {
            return 0;
        }
        let used = self.0.range(first_page..=last_page).map(|(number, page)| {
            let begin = if *number == first_page { from } else { 0 };
            let end = if *number == last_page { to + 1 } else { page.slots.len() };
            page.used_between(begin, end)
        });
        used.sum()
    }

    /// The first address from `first` to `last`, both included, at which nobody is.
    pub(super) fn first_vacant(&self, first: Ipv4Addr, last: Ipv4Addr) -> Option<Ipv4Addr> {
        let (mut address, last) = (first.to_bits(), last.to_bits());
        while address <= last {
            let (number, place) = split(address);
            let vacant = match self.0.get(&number) {
                None => Some(place),
                Some(page) if page.used == PAGE => None,
                Some(page) => (place..page.slots.len()).find(|place| page.slots[*place] == NONE),
            };
            let begins = number * PAGE;
            if let Some(vacant) = vacant.and_then(|place| u32::try_from(place).ok()) {
                let found = begins + vacant;
                return (found <= last).then_some(Ipv4Addr::from_bits(found));
            }
            address = begins.checked_add(PAGE)?;
        }
        None
    }
}

impl Page {
    fn vacant() -> Self {
        Self { slots: vec![NONE; PAGE as usize].into(), used: 0 }
    }

    /// Of the places from `begin` up to before `end`.
    fn used_between(&self, begin: usize, end: usize) -> u64 {
        if begin == 0 && end == self.slots.len() {
            return u64::from(self.used);
        }
        let places = self.slots.get(begin..end).unwrap_or_default();
        places.iter().filter(|slot| **slot != NONE).count() as u64
    }
}

fn split(address: u32) -> (u32, usize) {
    (address / PAGE, (address % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_pages_are_passed_over_and_the_ends_of_all_addresses_are_no_trap() {
        let mut pages = Pages::default();
        let vacant = |pages: &Pages, first: u32, last: u32| {
            pages.first_vacant(first.into(), last.into()).map(Ipv4Addr::to_bits)
        };
        (0..3 * PAGE).for_each(|address| pages.set(address.into(), address));
        assert_eq!(vacant(&pages, 5, 3 * PAGE - 1), None);
        assert_eq!(vacant(&pages, 5, 3 * PAGE), Some(3 * PAGE));
        pages.clear((2 * PAGE + 7).into());
        assert_eq!(vacant(&pages, 5, u32::MAX), Some(2 * PAGE + 7));
        assert_eq!(vacant(&pages, 2 * PAGE + 8, 3 * PAGE - 1), None);
        assert_eq!(vacant(&pages, 9, 8), None);
        (0..PAGE).for_each(|n| pages.set((u32::MAX - n).into(), n));
        assert_eq!(vacant(&pages, u32::MAX - 3, u32::MAX), None);
        let count = |first: u32, last: u32| pages.count(first.into(), last.into());
        assert_eq!(
            (count(0, u32::MAX), count(0, 3 * PAGE)),
            (u64::from(4 * PAGE - 1), u64::from(3 * PAGE - 1))
        );
        assert_eq!((count(5, 5), count(6, 5), count(2 * PAGE + 7, 2 * PAGE + 8)), (1, 0, 1));
        assert_eq!((count(PAGE - 1, PAGE), count(5 * PAGE, 6 * PAGE), count(u32::MAX, u32::MAX)), (2, 0, 1));
        (0..3 * PAGE).for_each(|address| pages.clear(address.into()));
        assert_eq!(pages.0.len(), 1, "empty pages are given back");
    }
}
