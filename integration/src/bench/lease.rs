//! A load's DHCP client: one machine that asks for an address, as firmware does.

use std::time::{Duration, Instant};

use anyhow::bail;
use netboot::time::{Mono, Now};

use crate::kills::card::{Cards, Inbox};
use rom::{Action, End, Identity, Input, Machine};

/// From DISCOVER to ACK. What the machine is told to boot is not looked at. `seed` makes its transaction number.
///
/// # Errors
/// When nobody answers for a minute, or the server says no.
pub(super) async fn ask(
    identity: Identity,
    seed: u64,
    cards: &Cards,
    inbox: &mut Inbox,
) -> anyhow::Result<()> {
    while inbox.try_recv().is_ok() {}
    let began = Instant::now();
    let now = || Now { mono: Mono(began.elapsed()), ..Now::default() };
    let mut machine = Machine::power_on(now(), identity, seed);
    loop {
        while let Some(action) = machine.poll_action() {
            match action {
                Action::Broadcast(datagram) => cards.broadcast(datagram).await?,
                Action::End(End::NextDevice { why: "no address" }) => bail!("no address"),
                Action::Fetch { .. } | Action::Ask { .. } | Action::End(_) => return Ok(()),
            }
        }
        let due = machine.poll_timeout().map_or(Duration::ZERO, |due| due.since(now().mono));
        tokio::select! {
            Some(datagram) = inbox.recv() => machine.handle(now(), Input::Datagram(&datagram)),
            () = tokio::time::sleep(due) => machine.handle_timeout(now()),
        }
    }
}
