//! The life of a machine of paper before a real agent: it boots, is installed, boots again, until it is left alone.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netboot::time::{Mono, Now};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::card::{Cards, Inbox, inbox};
use super::fetch::{Fetched, fetch, http};
use super::inside;
use super::plan::Stand;
use super::segment::{MACHINES, Segment};
use super::witness::Witness;
use rom::{Action, End, Input, Machine};

/// A machine's clock runs so much faster than ours: firmware waits for seconds what a test need not.
const HASTE: u32 = 8;
/// Boots before a machine is taken to be lost. An order has three attempts, then comes the disk; an agent that is slow to
/// come back costs some more.
const MOST_BOOTS: u32 = 40;
/// How often an installer asks again for what did not come, and how long it waits before that.
const INSTALLER_TRIES: u32 = 400;
const INSTALLER_PAUSE: Duration = Duration::from_millis(150);
/// Of a hundred installers, so many lose their power after the answer file has come.
const POWER_CUTS: u32 = 20;

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Who.
    pub machine: Stand,
    /// It was left to its local disk.
    pub at_rest: bool,
    /// Its power was cut while it was installed.
    pub cut: bool,
    /// How each of its boots ended, for the message of a failed test.
    pub boots: Vec<String>,
}

/// Switches machines on; the thread ends when all of them are at rest.
///
/// # Errors
/// When their namespace cannot be entered.
pub fn begin(
    segment: &Segment,
    machines: Vec<Stand>,
    witness: Witness,
    seed: u64,
) -> io::Result<JoinHandle<io::Result<Vec<Ending>>>> {
    inside::spawn(segment.machines(), async move || live_all(machines, witness, seed).await)
}

async fn live_all(machines: Vec<Stand>, witness: Witness, seed: u64) -> io::Result<Vec<Ending>> {
    let cards = Arc::new(Cards::open(MACHINES)?);
    let (mut queues, mut lives) = (BTreeMap::new(), tokio::task::JoinSet::new());
    for stand in machines {
        let (queue, inbox) = inbox();
        queues.insert(stand.identity.mac, queue);
        let random = SmallRng::seed_from_u64(seed ^ u64::from(stand.number));
        let (cards, witness, began) = (cards.clone(), witness.clone(), Instant::now());
        lives.spawn(Life { stand, cards, inbox, witness, random, began, cut: false }.live());
    }
    let delivery = tokio::spawn(cards.deliver(queues));
    let endings = lives.join_all().await;
    delivery.abort();
    Ok(endings)
}

struct Life {
    stand: Stand,
    cards: Arc<Cards>,
    inbox: Inbox,
    witness: Witness,
    random: SmallRng,
    began: Instant,
    cut: bool,
}

impl Life {
    async fn live(mut self) -> Ending {
        let mut boots = Vec::new();
        let mut at_rest = false;
        while !at_rest && boots.len() < MOST_BOOTS as usize {
            let end = self.boot().await;
            boots.push(format!("{end:?}"));
            match end {
                End::LocalDisk => at_rest = true,
                // Somebody pushes the button again.
                End::NextDevice { .. } | End::Files(_) => tokio::time::sleep(INSTALLER_PAUSE).await,
                End::Kernel { arguments, address } => {
                    boots.push(self.install(address, &arguments).await.into())
                }
            }
        }
        Ending { machine: self.stand, at_rest, cut: self.cut, boots }
    }

    /// From the power button to the end of the firmware's and the loader's part.
    async fn boot(&mut self) -> End {
        while self.inbox.try_recv().is_ok() {}
        let mut machine = Machine::power_on(self.now(), self.stand.identity, self.random.random());
        loop {
            while let Some(action) = machine.poll_action() {
                match action {
                    // A message that is lost is sent again.
                    Action::Broadcast(datagram) => drop(self.cards.broadcast(datagram).await),
                    Action::Fetch { from, source } => {
                        self.witness.steps();
                        let file = match fetch(from, &source).await {
                            Fetched::Whole(file) => Some(file),
                            Fetched::Refused | Fetched::Broken(_) => None,
                        };
                        machine.handle(self.now(), Input::Fetched(file.as_deref()));
                    }
                    Action::Ask { .. } => unreachable!("no machine here stands beside another server"),
                    Action::End(end) => return end,
                }
            }
            self.wait(&mut machine).await;
        }
    }

    async fn wait(&mut self, machine: &mut Machine) {
        let due = machine.poll_timeout().map_or(Mono::default(), |due| due);
        let rest = due.since(self.now().mono) / HASTE;
        tokio::select! {
            Some(datagram) = self.inbox.recv() => {
                self.witness.hears(&datagram);
                machine.handle(self.now(), Input::Datagram(&datagram));
            }
            () = tokio::time::sleep(rest) => machine.handle_timeout(self.now()),
        }
    }

    /// What runs in the kernel: an installer that is patient with its server. Says how it ended.
    async fn install(&mut self, address: Ipv4Addr, arguments: &str) -> &'static str {
        let Some(order) = arguments.split(' ').find_map(|word| word.strip_prefix("order=")) else {
            return "no order in the kernel's arguments";
        };
        let token = order.rsplit('/').next().unwrap_or_default().to_owned();
        let Some(_) = self.insist("GET", address, &format!("{order}/answer"), Some(&token)).await else {
            return "no answer file";
        };
        if self.random.random_ratio(POWER_CUTS, 100) {
            self.cut = true;
            return "the power was cut";
        }
        let began = self.insist("POST", address, &format!("{order}/report/started"), None).await;
        let image = self.insist("GET", address, &format!("{order}/disk.img"), Some(&token)).await;
        if began.is_none() || image.is_none_or(|image| image != super::plan::bytes("disk.img")) {
            return "no image";
        }
        match self.insist("POST", address, &format!("{order}/report/installed"), None).await {
            Some(_) => {
                self.witness.is_installed(self.stand.identity.mac);
                "installed"
            }
            None => "nobody took the installer's last word",
        }
    }

    /// Asks until there is a whole answer; None when it is refused, or nobody answers for long.
    async fn insist(&self, method: &str, from: Ipv4Addr, url: &str, token: Option<&str>) -> Option<Vec<u8>> {
        for _ in 0..INSTALLER_TRIES {
            self.witness.steps();
            let fetched = http(method, from, url).await;
            if let (Fetched::Whole(_) | Fetched::Broken(1..), Some(token)) = (&fetched, token) {
                self.witness.obeys(self.stand.identity.mac, token);
            }
            match fetched {
                Fetched::Whole(body) => return Some(body),
                Fetched::Refused => return None,
                Fetched::Broken(_) => tokio::time::sleep(INSTALLER_PAUSE).await,
            }
        }
        None
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.began.elapsed() * HASTE), ..Now::default() }
    }
}
