//! Which form of reply a PXE ROM gets at this site, and what is made of what it does then; see [`crate::forms`].

use std::collections::BTreeMap;

use proto::{
    Architecture, Platform,
    event::{Client, EventKind, clean},
    ledger::{FormMemory, Record},
    plan::{ReplyForm, SitePlan},
};

use super::{About, Arrival, Site, dhcp::leases};
use crate::{
    dhcp::{BootAnswer, Effect, MessageType, Port, Request},
    forms::{Expected, Moved, Rom},
    time::Now,
};

/// The longest vendor class in the words for a firmware model, in characters.
const VENDOR_CLASS: usize = 48;

impl Site {
    /// The operator's word before all others; what is pinned teaches nothing.
    pub(super) fn reply_form(
        &mut self,
        now: Now,
        request: &Request,
        plan: &SitePlan,
        answer: &BootAnswer,
        about: About,
    ) -> ReplyForm {
        let mac = request.mac;
        if let Some(pinned) = plan.pinned_form(mac) {
            self.forms.let_go(mac);
            return pinned;
        }
        let fetches = matches!(answer, BootAnswer::Loader { .. }) && about.host.is_some();
        match request.client {
            // The Raspberry Pi's ROM obeys one form alone (QUIRKS 31).
            Client::PxeRom if fetches && request.platform != Some(Platform::RaspberryPi) => {
                let model = request.model();
                let (firmware, learned) = (words(request), plan.learned_form(mac, model));
                let proxy = plan.network.is_proxy();
                let rom = Rom { mac, model, firmware, xid: request.xid, learned, proxy };
                if request.kind != MessageType::Discover || request.port != Port::Dhcp {
                    return self.forms.current(&rom);
                }
                let (form, moved) = self.forms.discover(now, rom);
                if let Some(moved) = moved {
                    self.form_moved(now, plan, about, moved);
                }
                form
            }
            Client::PxeRom => {
                self.forms.let_go(mac);
                ReplyForm::default()
            }
            Client::HttpRom | Client::Ipxe | Client::Gpxe | Client::Bootp | Client::Os => {
                self.forms.spoken_over(mac);
                ReplyForm::default()
            }
        }
    }

    /// Has the ROM been made an offer, or taken its lease, ours or, beside another server, that one's?
    pub(super) fn note_dialogue(
        &mut self,
        now: Now,
        arrival: &Arrival,
        request: &Request,
        plan: &SitePlan,
        effects: &[Effect],
    ) {
        if request.client != Client::PxeRom || request.port != Port::Dhcp {
            return;
        }
        let answered = effects.iter().any(|effect| matches!(effect, Effect::Send { .. }));
        if request.kind == MessageType::Discover && answered {
            self.forms.offered(now.mono, request.mac, request.xid);
        }
        if request.kind != MessageType::Request {
            return;
        }
        let elsewhere = request.server_id.is_some_and(|server| server != arrival.server);
        if leases(effects) || plan.network.is_proxy() {
            self.forms.taken(now.mono, request.mac);
        } else if elsewhere {
            self.forms.let_go(request.mac);
        }
    }

    /// All of a loader's file has arrived: to ask for its size, or for its name, proves nothing.
    pub(super) fn note_delivered(&mut self, now: Now, about: About, expected: Expected) {
        let Some((mac, plan)) = about.mac.zip(self.plan.clone()) else { return };
        if let Some(moved) = self.forms.delivered(now, mac, expected) {
            self.form_moved(now, &plan, about, moved);
        }
    }

    /// What was learnt of machines that are no hosts any more, or is to be forgotten.
    pub(super) fn forget_forms(&mut self, plan: &SitePlan) {
        let macs =
            plan.hosts.values().flat_map(|host| host.macs.iter().map(|mac| (*mac, host.reply.forget_before)));
        self.forms.retain(&macs.collect::<BTreeMap<_, _>>());
    }

    /// On disk, if it is news; and told, unless the plan would have begun with this form. What the controller or the meter did
    /// not take is so told again at the next boot.
    fn form_moved(&mut self, now: Now, plan: &SitePlan, about: About, moved: Moved) {
        let memory = moved.memory;
        if moved.news {
            if now.wall > self.recorded {
                // Else a restart would take it for a memory of a clock that ran ahead.
                self.persist(Record::Wall(now.wall));
            }
            self.persist(Record::Form(memory));
        }
        if memory.proved && memory.form == expected(plan, &moved) {
            return;
        }
        let why = if memory.proved {
            "it has fetched what it was told to".to_owned()
        } else {
            let (misses, from) = (moved.misses, moved.from.word());
            format!("{misses} boots in a row were told by {from}, and nothing was fetched")
        };
        let FormMemory { form, proved, model, .. } = memory;
        let firmware = moved.firmware;
        self.tell(now, about, EventKind::FormMoved { form, proved, model, firmware, why });
    }
}

/// What the controller expects of a machine. Its first proof of an unusual form is a voice of its own, also where the plan has
/// the form of another of its model.
fn expected(plan: &SitePlan, moved: &Moved) -> ReplyForm {
    let FormMemory { mac, model, form, .. } = moved.memory;
    let own = plan.host_of(mac).and_then(|host| host.reply.learned(mac, model));
    let known = if moved.news && form != ReplyForm::default() { own } else { plan.learned_form(mac, model) };
    known.unwrap_or_default()
}

/// A firmware model in words.
fn words(request: &Request) -> String {
    let class = clean(&request.vendor_class, VENDOR_CLASS);
    let architecture = request.architectures.first().map(|code| Architecture::describe(*code));
    let architecture = architecture.unwrap_or_else(|| "no architecture".into());
    let [a, b, c, ..] = request.mac.0;
    format!("{class} ({architecture}; cards {a:02x}:{b:02x}:{c:02x})")
}
