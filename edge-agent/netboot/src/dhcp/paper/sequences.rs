//! Random lives of a few machines, with restarts, against a reference that knows only what was acknowledged.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MACHINES: u8 = 6;

/// The reference: each machine's last acknowledged address, and until when.
#[derive(Debug, Default)]
struct Reference(BTreeMap<Mac, (Ipv4Addr, Wall)>);

impl Reference {
    fn holder(&self, address: Ipv4Addr, now: Wall) -> Option<Mac> {
        self.0.iter().find(|(_, held)| held.0 == address && now < held.1).map(|(mac, _)| *mac)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Discover(u8),
    /// Take the last offer that the machine heard.
    Select(u8),
    /// Ask for the nth address of the subnet.
    Reboot(u8, u8),
    Renew(u8),
    Decline(u8),
    Release(u8),
    Bootp(u8),
    Wait(u16),
    Restart,
    /// The other of two plans.
    Replan,
    FullDisk(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let machine = 0..MACHINES;
    prop_oneof![
        4 => machine.clone().prop_map(Step::Discover),
        4 => machine.clone().prop_map(Step::Select),
        2 => (machine.clone(), 0_u8..16).prop_map(|(mac, address)| Step::Reboot(mac, address)),
        2 => machine.clone().prop_map(Step::Renew),
        1 => machine.clone().prop_map(Step::Decline),
        1 => machine.clone().prop_map(Step::Release),
        1 => machine.prop_map(Step::Bootp),
        2 => (1_u16..5000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Replan),
        1 => any::<bool>().prop_map(Step::FullDisk),
    ]
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 2, 0, n])
}

/// Machine 0 is known with a fixed address, 1 with or without one, 2 without; the others are strangers.
fn plans() -> [SitePlan; 2] {
    let pool = "10.1.0.8-10.1.0.12";
    let (zero, two) =
        (host(1, "zero", vec![mac(0)], Some([10, 1, 0, 9].into())), host(3, "two", vec![mac(2)], None));
    let one = |address| host(2, "one", vec![mac(1)], address);
    [
        plan(1, pool, &[zero.clone(), one(None), two.clone()]),
        plan(2, pool, &[zero, one(Some([10, 1, 0, 11].into())), two]),
    ]
}

struct World {
    site: Site,
    plans: [SitePlan; 2],
    reference: Reference,
    offers: BTreeMap<Mac, Message>,
}

impl World {
    fn new() -> Self {
        let plans = plans();
        let (reference, offers) = (Reference::default(), BTreeMap::new());
        Self { site: Site::of(plans[0].clone()), plans, reference, offers }
    }

    /// The message of a step, or None where it changes the world itself.
    fn message(&mut self, step: &Step) -> Option<Message> {
        let held = |n: &u8| self.reference.0.get(&mac(*n)).map(|held| held.0);
        match step {
            Step::Discover(n) => Some(discover(mac(*n))),
            Step::Select(n) => Some(select(&discover(mac(*n)), self.offers.get(&mac(*n))?)),
            Step::Reboot(n, last) => Some(reboot(mac(*n), [10, 1, 0, *last].into())),
            Step::Renew(n) => Some(renew(mac(*n), held(n)?)),
            Step::Decline(n) => Some(message(mac(*n), &[(53, &[4]), (50, &held(n)?.octets())])),
            Step::Release(n) => Some(Message { ciaddr: held(n)?, ..message(mac(*n), &[(53, &[7])]) }),
            Step::Bootp(n) => Some(message(mac(*n), &[])),
            Step::Wait(seconds) => {
                self.site.wait(Duration::from_secs(u64::from(*seconds)));
                None
            }
            Step::Restart => {
                self.site.restart();
                None
            }
            Step::Replan => {
                self.plans.swap(0, 1);
                self.site.plan = self.plans[0].clone();
                None
            }
            Step::FullDisk(full) => {
                self.site.grants_allowed = !full;
                None
            }
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let Some(message) = self.message(step) else { return Ok(()) };
        if matches!(step, Step::Decline(_) | Step::Release(_)) {
            self.reference.0.remove(&message.mac);
        }
        let effects = self.site.hear(&message);
        let Some((reply, _)) = sent(&effects) else { return Ok(()) };
        match kind(&reply) {
            Some(2) => {
                self.check_address(&reply)?;
                self.offers.insert(reply.mac, reply);
            }
            Some(5) => self.acknowledged(&effects, &reply)?,
            Some(6) => {
                self.reference.0.remove(&reply.mac);
            }
            None => self.check_address(&reply)?,
            Some(other) => prop_assert!(false, "message type {other}"),
        }
        Ok(())
    }

    /// Nobody else has it, and it is reserved for nobody else.
    fn check_address(&self, reply: &Message) -> Result<(), TestCaseError> {
        let (address, now) = (reply.yiaddr, self.site.now.wall);
        let holder = self.reference.holder(address, now);
        prop_assert!(holder.is_none_or(|mac| mac == reply.mac), "{address} is {holder:?}'s");
        let reserved = self.site.plan.hosts.values().find(|host| host.address == Some(address));
        prop_assert!(reserved.is_none_or(|host| host.macs.contains(&reply.mac)), "{address} is reserved");
        prop_assert_ne!(address, SERVER);
        Ok(())
    }

    fn acknowledged(&mut self, effects: &[Effect], reply: &Message) -> Result<(), TestCaseError> {
        self.check_address(reply)?;
        let until = self.site.now.wall.plus(LEASE);
        let persisted = effects.iter().position(|effect| {
            matches!(effect, Effect::Persist(Record::Lease(lease))
                if lease.address == reply.yiaddr && lease.key.mac == reply.mac && lease.until == until)
        });
        let sent = effects.iter().position(|effect| matches!(effect, Effect::Send { .. }));
        prop_assert!(persisted.is_some() && persisted < sent, "persisted before it is sent");
        self.reference.0.insert(reply.mac, (reply.yiaddr, until));
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_address_to_two_machines(steps in proptest::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
            prop_assert!(world.site.server.leases().count() <= usize::from(MACHINES));
        }
    }

    /// What the ledger brings back is what was there.
    #[test]
    fn the_ledger_brings_the_leases_back(steps in proptest::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
        }
        // A quarantine that is over leaves no record; a server that was just filled still has it.
        world.site.server.handle_timeout(world.site.now);
        let before: Vec<Record> = world.site.server.snapshot().collect();
        world.site.restart();
        world.site.server.handle_timeout(world.site.now);
        prop_assert_eq!(world.site.server.snapshot().collect::<Vec<_>>(), before);
    }
}
