//! Leases: which stand, who had which, and an address that is to be freed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use proto::{Mac, Wall, v1};
use tonic::Status;

use super::{boots, known, refusal};
use crate::{
    app::App,
    catalog::{Release, roles::Actor},
    events::{LeaseEntry, ReadError},
    status::last_heard,
};

/// By how much a lease that stands may be over, as far as it was told: agents tell of its renewals once an hour at least, and
/// at the first that comes after it.
const RENEWED_WITHIN: Duration = Duration::from_secs(3_600);
/// Leases of one page.
const PAGE: usize = 1_000;
/// Leases of one history: what is answered unless asked otherwise, and at most.
const HISTORY: (usize, usize) = (100, 1_000);

pub(super) async fn list(
    app: &App,
    request: v1::ListLeasesRequest,
) -> Result<v1::ListLeasesResponse, Status> {
    let limit = if request.limit == 0 { PAGE } else { PAGE.min(request.limit as usize) };
    let site = known::site(app, request.site).await?;
    let mut leases = Vec::new();
    let mut next = None;
    if request.host.is_empty() {
        let page = app.events.leases(site, request.after.to_vec(), limit).await.map_err(unread)?;
        (leases, next) = (page.leases, page.next);
    } else {
        let found = app.events.leases_of_machines(macs(app, &request.host).await?, site, PAGE).await;
        leases.extend(found.map_err(unread)?.into_iter().filter(|lease| lease.end.is_none()));
    }
    let leases = Words::new(app).all(leases).await?;
    Ok(v1::ListLeasesResponse { leases, next: next.unwrap_or_default().into() })
}

pub(super) async fn history(
    app: &App,
    request: v1::LeaseHistoryRequest,
) -> Result<v1::LeaseHistoryResponse, Status> {
    use v1::lease_history_request::Of;
    let limit = if request.limit == 0 { HISTORY.0 } else { HISTORY.1.min(request.limit as usize) };
    let site = known::site(app, request.site).await?;
    let machines = match request.of {
        Some(Of::Address(bits)) => {
            let sites = match site {
                None => app.catalog.site_names().await.map_err(refusal::read)?,
                Some(site) => vec![site],
            };
            let found = app.events.leases_of_address(sites, Ipv4Addr::from_bits(bits), limit).await;
            let leases = Words::new(app).all(found.map_err(unread)?).await?;
            return Ok(v1::LeaseHistoryResponse { leases });
        }
        Some(Of::Mac(mac)) => {
            let mac = mac.as_ref().try_into().map_err(|_| refusal::field("mac", "takes 6 bytes"))?;
            vec![Mac(mac)]
        }
        Some(Of::Host(host)) => macs(app, &host).await?,
        None => return Err(refusal::field("of", "is missing: an address, a MAC or a host")),
    };
    let found = app.events.leases_of_machines(machines, site, limit).await.map_err(unread)?;
    Ok(v1::LeaseHistoryResponse { leases: Words::new(app).all(found).await? })
}

pub(super) async fn release(
    app: &App,
    actor: &Actor,
    request: v1::ReleaseLeaseRequest,
) -> Result<v1::ReleaseLeaseResponse, Status> {
    let (site, address) = (request.site, Ipv4Addr::from_bits(request.address));
    if app.catalog.get_site(&site).await.map_err(refusal::read)?.is_none() {
        return Err(Status::not_found(format!("there is no Site {site}")));
    }
    let lease = app.events.lease(site.clone(), address).await.map_err(unread)?;
    let unknown = || Status::not_found(format!("no lease of {address} is known at site {site}"));
    let lease = lease.ok_or_else(unknown)?;
    let now = app.clock.wall();
    app.catalog.release(actor, &site, (address, lease.mac), now).await.map_err(refusal::change)?;
    Ok(v1::ReleaseLeaseResponse { lease: Words::new(app).all(vec![lease]).await?.pop() })
}

/// The link addresses of a host.
async fn macs(app: &App, host: &str) -> Result<Vec<Mac>, Status> {
    let found = app.catalog.get_host(host).await.map_err(refusal::read)?;
    let host = found.ok_or_else(|| Status::not_found(format!("there is no Host {host}")))?;
    Ok(host.spec.macs)
}

fn unread(error: ReadError) -> Status {
    tracing::error!(%error, "leases cannot be read");
    Status::unavailable(error.to_string())
}

/// What leases of one answer have in common, read once.
struct Words<'a> {
    app: &'a App,
    now: Wall,
    subnets: BTreeMap<String, Vec<Ipv4Net>>,
    releases: BTreeMap<String, Vec<Release>>,
    agents: BTreeMap<String, Option<Wall>>,
}

impl<'a> Words<'a> {
    fn new(app: &'a App) -> Self {
        let (subnets, releases, agents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { app, now: app.clock.wall(), subnets, releases, agents }
    }

    async fn all(mut self, leases: Vec<LeaseEntry>) -> Result<Vec<v1::LeaseEntry>, Status> {
        let mut all = Vec::with_capacity(leases.len());
        for lease in leases {
            all.push(self.one(lease).await?);
        }
        Ok(all)
    }

    async fn one(&mut self, lease: LeaseEntry) -> Result<v1::LeaseEntry, Status> {
        self.learn(&lease).await?;
        let host = match lease.host {
            Some(id) => boots::host_name(self.app, id).await?,
            None => self.app.catalog.host_of_mac(lease.mac).await.map_err(refusal::read)?.unwrap_or_default(),
        };
        let network = self.subnets[&lease.site].iter().find(|subnet| subnet.contains(&lease.address));
        let away = self.agents[&lease.agent];
        let refused = self.release_of(&lease).and_then(|release| release.refused.clone());
        Ok(v1::LeaseEntry {
            release_refused: refused.map(|refused| refused.why).unwrap_or_default(),
            state: self.state(&lease, away).to_owned(),
            network: network.map(Ipv4Net::to_string).unwrap_or_default(),
            host,
            address: lease.address.to_bits(),
            mac: lease.mac.0.to_vec().into(),
            began_ms: lease.began_ms.0,
            until_ms: lease.until_ms.0,
            ended_ms: lease.end.map_or(0, |end| end.at_ms.0),
            as_of_ms: away.map_or(0, |heard| heard.0.max(1)),
            site: lease.site,
            agent: lease.agent,
        })
    }

    fn state(&self, lease: &LeaseEntry, away: Option<Wall>) -> &'static str {
        let release = self.release_of(lease);
        match lease.end {
            Some(end) => end.how.word(),
            None if release.is_some_and(|release| release.refused.is_none()) => "releasing",
            None if away.is_some() && lease.until_ms < self.now => "unknown",
            // Its agent has lost its state, or what it told of the end was lost.
            None if lease.until_ms.plus(RENEWED_WITHIN) < self.now => "unknown",
            None => "leased",
        }
    }

    /// What an operator wants of the lease, whatever became of it.
    fn release_of(&self, lease: &LeaseEntry) -> Option<&Release> {
        let of = |release: &&Release| (release.address, release.mac) == (lease.address, lease.mac);
        self.releases[&lease.site].iter().find(of).filter(|_| lease.end.is_none())
    }

    async fn learn(&mut self, lease: &LeaseEntry) -> Result<(), Status> {
        if !self.subnets.contains_key(&lease.site) {
            let site = self.app.catalog.get_site(&lease.site).await.map_err(refusal::read)?;
            let subnets = site.map(|site| site.spec.subnets).unwrap_or_default();
            let subnets = subnets.into_iter().map(|subnet| subnet.network).collect();
            self.subnets.insert(lease.site.clone(), subnets);
            let releases = self.app.catalog.releases_and_refused(&lease.site).await.map_err(refusal::read)?;
            self.releases.insert(lease.site.clone(), releases);
        }
        if !self.agents.contains_key(&lease.agent) {
            let heard = last_heard(self.app, &lease.agent).await;
            self.agents.insert(lease.agent.clone(), heard);
        }
        Ok(())
    }
}
