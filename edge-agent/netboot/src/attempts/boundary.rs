//! Where one boot of a machine ends and its next begins (DESIGN §7, QUIRKS 64).
//!
//! A boot goes forward: ROM, loader, kernel, system. What steps back has been reset, unless the machine was sent to its disk:
//! firmware may then ask by its other boot options first. What speaks again has been reset, too, if the machine was quiet for longer
//! than any firmware waits between two tries. The first line that fits says for how long a machine may be quiet
//! until a program's word is another boot's:
//!
//! | the attempt | the program | how long |
//! |---|---|---|
//! | has its kernel, or has ended | any | not at all |
//! | was not sent to its disk | is of an earlier stage than the attempt | not at all |
//! | any | has not spoken in it yet | [`NEXT_PROGRAM`] |
//! | stands under an order, and its ROM has not come for its loader | any | [`NEXT_PROGRAM`] |
//! | any | has spoken in it | [`NEXT_TRY`] |

use std::time::Duration;

use proto::event::{Answer, Client};

use super::{Attempt, Reached, reached_by};

/// Until the next program of the chain speaks, or firmware's next boot option: it may wait for its link for three minutes
/// (QUIRKS 12), or ask by IPv6 for one.
pub(super) const NEXT_PROGRAM: Duration = Duration::from_secs(300);
/// Twice the longest wait between two tries of a ROM, which asks after 4, 8, 16 and 32 s (EDK2, PXE 2.1 §2.2).
pub(crate) const NEXT_TRY: Duration = Duration::from_secs(64);

/// Which programs have spoken, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Programs(u8);

impl Programs {
    pub(super) const fn with(self, client: Client) -> Self {
        Self(self.0 | Self::bit(client))
    }

    const fn has(self, client: Client) -> bool {
        self.0 & Self::bit(client) != 0
    }

    const fn bit(client: Client) -> u8 {
        match client {
            Client::PxeRom => 1,
            Client::HttpRom => 1 << 1,
            Client::Bootp => 1 << 2,
            Client::Ipxe => 1 << 3,
            Client::Gpxe => 1 << 4,
            Client::Os => 1 << 5,
        }
    }
}

/// Is a word of `client` the attempt's, after the machine was quiet for so long?
pub(super) fn continues(attempt: &Attempt, client: Client, quiet: Duration) -> bool {
    patience(attempt, client).is_some_and(|patience| quiet < patience)
}

/// None: it is not, however soon it comes.
fn patience(attempt: &Attempt, client: Client) -> Option<Duration> {
    let to_disk = attempt.answered.is_some_and(|(_, answer, _)| answer == Answer::LocalDisk);
    let back = reached_by(client) < attempt.reached && !to_disk;
    if back || attempt.reached >= Reached::Handover {
        return None;
    }
    let another_try = attempt.spoken.has(client) && !seeks_its_form(attempt);
    Some(if another_try { NEXT_TRY } else { NEXT_PROGRAM })
}

/// A ROM that does not obey a form of reply is answered in the next one after some tries (QUIRKS 22); an order, which bears few
/// attempts, waits for that.
fn seeks_its_form(attempt: &Attempt) -> bool {
    let ordered = matches!(attempt.answered, Some((_, Answer::Loader, Some(_))));
    ordered && attempt.reached == Reached::Rom && !attempt.loaded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::{AttemptId, Mac, OrderId};

    use super::*;
    use crate::{
        attempts::{Attempts, Joined},
        time::Mono,
    };

    const MAC: Mac = Mac([2; 6]);

    /// What is told to a program, and whether under an order.
    type Told = (Answer, bool);

    const DISK: Told = (Answer::LocalDisk, false);
    const LOADER: Told = (Answer::Loader, false);
    const INSTALL: Told = (Answer::Loader, true);

    /// How many boots begin, where each program speaks at a second and is told something.
    fn boots(words: &[(u64, Client, Told)]) -> usize {
        let mut attempts = Attempts::default();
        let begins = words.iter().zip(1..).filter(|((second, client, (answer, ordered)), fresh)| {
            let now = Mono(Duration::from_secs(*second));
            let (attempt, joined) = attempts.boot_packet(now, MAC, None, *client, AttemptId([*fresh; 16]));
            attempt.answered = Some((*client, *answer, ordered.then_some(OrderId([7; 16]))));
            joined == Joined::Begins
        });
        begins.count()
    }

    #[test]
    fn a_rom_that_comes_back_minutes_after_it_was_sent_to_its_disk_begins_another_boot() {
        let came_back = |second| boots(&[(0, Client::PxeRom, DISK), (second, Client::PxeRom, DISK)]);
        assert_eq!((came_back(63), came_back(64), came_back(196)), (1, 2, 2));
    }

    #[test]
    fn other_boot_options_are_the_same_boot() {
        // OVMF, with a minute in vain by IPv6 between.
        let ovmf = [(0, Client::PxeRom, DISK), (4, Client::PxeRom, DISK), (70, Client::HttpRom, DISK)];
        assert_eq!(boots(&ovmf), 1);
        let again = [(230, Client::PxeRom, DISK), (300, Client::HttpRom, DISK)];
        assert_eq!(boots(&[&ovmf[..], &again].concat()), 2);
    }

    #[test]
    fn the_tries_of_a_rom_that_is_not_heard_are_the_same_boot() {
        // EDK2: PXE, then HTTP Boot.
        let tries = [0, 4, 12, 28].map(|second| (second, Client::PxeRom, LOADER));
        let options = [60, 64, 72, 88].map(|second| (second, Client::HttpRom, LOADER));
        assert_eq!(boots(&[tries, options].concat()), 1);
    }

    #[test]
    fn a_loader_may_wait_for_its_link() {
        assert_eq!(boots(&[(0, Client::PxeRom, LOADER), (185, Client::Ipxe, LOADER)]), 1);
    }

    #[test]
    fn a_rom_whose_form_is_sought_under_an_order_uses_one_attempt_of_the_order() {
        let tries = |told| [0, 150, 300].map(|second| (second, Client::PxeRom, told));
        assert_eq!((boots(&tries(INSTALL)), boots(&tries(LOADER))), (1, 3));
    }

    fn client() -> impl Strategy<Value = Client> {
        proptest::sample::select(vec![
            Client::PxeRom,
            Client::HttpRom,
            Client::Bootp,
            Client::Ipxe,
            Client::Gpxe,
        ])
    }

    fn told() -> impl Strategy<Value = Told> {
        proptest::sample::select(vec![DISK, LOADER, INSTALL])
    }

    proptest! {
        /// Within a minute of its last word nothing that goes forward begins another boot, and after five minutes everything does.
        #[test]
        fn no_boot_is_cut_in_its_haste_and_none_outlives_five_minutes(
            words in proptest::collection::vec((client(), told()), 1..12),
            gap in 0_u64..600,
        ) {
            let mut sorted = words.clone();
            sorted.sort_by_key(|(client, _)| reached_by(*client));
            let every = |gap: u64, words: &[(Client, Told)]| {
                let spaced = words.iter().zip(0..).map(|((client, told), n)| (n * gap, *client, *told));
                boots(&spaced.collect::<Vec<_>>())
            };
            if gap < NEXT_TRY.as_secs() {
                prop_assert_eq!(every(gap, &sorted), 1);
            }
            if gap >= NEXT_PROGRAM.as_secs() {
                prop_assert_eq!(every(gap, &words), words.len());
            }
        }
    }
}
