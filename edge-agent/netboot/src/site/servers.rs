//! Other DHCP servers at the site: what is overheard of them, what they are asked, and whose boots they take.

use std::net::Ipv4Addr;

use proto::event::{AlarmKind, EventKind};
use rand::RngCore;

use super::{About, Action, Site};
use crate::{
    dhcp::{Destination, ServerMessage, question},
    time::Now,
};

impl Site {
    pub(super) fn handle_overheard(&mut self, now: Now, message: &ServerMessage) {
        let Some(plan) = self.plan.clone() else { return };
        let stations = &self.config.stations;
        // Our address from another machine is no word of ours: anybody can write it.
        if stations.iter().any(|station| station.mac == message.mac) {
            return;
        }
        let ours: Vec<Ipv4Addr> = stations.iter().map(|station| station.address).collect();
        if let Some(detail) = self.foreign_servers.hear(now.mono, &plan.network, message, &ours) {
            self.tell(now, About::default(), EventKind::Alarm { kind: AlarmKind::ForeignDhcp, detail });
        }
    }

    /// Nobody takes the offers up: they are told of, like those that are overheard.
    pub(super) fn ask_for_servers(&mut self, now: Now) {
        if self.foreign_servers.next_question().is_none_or(|at| now.mono < at) {
            return;
        }
        self.foreign_servers.asked(now.mono, self.random.next_u32());
        for (interface, station) in (0..).zip(&self.config.stations) {
            let datagram = question(station.mac, self.random.next_u32());
            let to = Destination::Servers;
            self.actions.push_back(Action::Send { interface, datagram, to, at_once: true });
        }
    }

    /// A machine that was offered what to boot has gone with another server: its attempt says so, once for each server.
    pub(super) fn note_foreign_offer(&mut self, now: Now, about: About, server: Ipv4Addr) {
        if about.attempt.is_none() || self.is_own_address(server) {
            return;
        }
        let Some(attempt) = self.attempt_of(now, about) else { return };
        if attempt.foreign_server.replace(server) != Some(server) {
            let known = self.foreign_servers.known_of(server);
            self.tell(now, about, EventKind::ForeignOfferTaken { server, known });
        }
    }

    fn is_own_address(&self, address: Ipv4Addr) -> bool {
        self.config.stations.iter().any(|station| station.address == address)
    }
}
