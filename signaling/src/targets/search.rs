//! One search: RFC 3263 section 4 as a function of what DNS has said so far.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::lookup::{Kind, Naptr, NoAnswer, Question, Records, Srv};
use super::order::by_priority_and_weight;
use super::{Families, Protocol, Target, Unresolved, Wanted};

/// SRV records of one search that are used.
const MAX_PLACES: usize = 16;
/// Hosts of one search whose addresses are asked for.
const MAX_HOSTS: usize = 8;
/// Targets of one search.
const MAX_TARGETS: usize = 16;
/// Services of one domain whose SRV records are asked for.
const MAX_SERVICES: usize = 6;

/// How a search goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These are not known yet.
    Ask(Vec<Question>),
    /// It is over.
    Done(Result<Vec<Target>, Unresolved>),
}

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    wanted: Wanted,
    families: Families,
    known: Vec<(Question, Result<Arc<Records>, NoAnswer>)>,
    /// Where to go, in order, once that is known.
    places: Option<Vec<Place>>,
}

#[derive(Debug, Clone)]
struct Place {
    host: Arc<str>,
    port: u16,
    protocol: Protocol,
}

impl Search {
    pub(super) fn new(wanted: Wanted, families: Families) -> Self {
        Self { wanted, families, known: Vec::new(), places: None }
    }

    /// DNS, or what is remembered of it, has said something.
    pub(super) fn learn(&mut self, question: Question, answer: Result<Arc<Records>, NoAnswer>) {
        if self.known(&question).is_none() {
            self.known.push((question, answer));
        }
    }

    /// The next questions, or the result.
    pub(super) fn go_on(&mut self, below: impl FnMut(u32) -> u32) -> Next {
        let protocol = self.wanted.default_transport();
        let port = self.wanted.port.unwrap_or(protocol.default_port());
        if let Ok(ip) = self.wanted.host.parse::<IpAddr>() {
            let place = Place { host: Arc::clone(&self.wanted.host), port, protocol };
            return Next::Done(Ok(vec![self.target(&place, ip)]));
        }
        let places = match self.places.take() {
            Some(places) => places,
            None => match self.find_places(below) {
                Ok(Ok(places)) => places,
                Ok(Err(unresolved)) => return Next::Done(Err(unresolved)),
                Err(questions) => return Next::Ask(questions),
            },
        };
        let mut hosts: Vec<&Arc<str>> = Vec::new();
        for place in &places {
            if !hosts.contains(&&place.host) && hosts.len() < MAX_HOSTS {
                hosts.push(&place.host);
            }
        }
        let ask = hosts
            .into_iter()
            .flat_map(|host| self.families.kinds().iter().map(|&kind| Question { kind, name: Arc::clone(host) }));
        let unknown: Vec<Question> = ask.filter(|question| self.known(question).is_none()).collect();
        let next = if unknown.is_empty() { Next::Done(self.targets(&places)) } else { Next::Ask(unknown) };
        self.places = Some(places);
        next
    }

    /// Hosts with port and transport, in order; `Err`: what has to be asked first.
    fn find_places(&self, mut below: impl FnMut(u32) -> u32) -> Result<Result<Vec<Place>, Unresolved>, Vec<Question>> {
        let host = &self.wanted.host;
        let plain = |protocol: Protocol| {
            let port = self.wanted.port.unwrap_or(protocol.default_port());
            vec![Place { host: Arc::clone(host), port, protocol }]
        };
        if self.wanted.port.is_some() {
            return Ok(Ok(plain(self.wanted.default_transport())));
        }
        let services = self.services()?;
        let question = |name: &Arc<str>| Question { kind: Kind::Srv, name: Arc::clone(name) };
        let unknown = services.iter().map(|(_, name)| question(name)).filter(|q| self.known(q).is_none());
        let unknown: Vec<Question> = unknown.collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let (mut places, mut denied) = (Vec::new(), false);
        for (protocol, name) in &services {
            let Some(Ok(records)) = self.known(&question(name)) else { continue };
            let Records::Srv(records) = &**records else { continue };
            // A lone record without a host: the service is decidedly not offered (RFC 2782, "Target").
            let offered: Vec<Srv> = records.iter().filter(|srv| !srv.target.is_empty()).cloned().collect();
            denied |= offered.is_empty();
            let ordered = by_priority_and_weight(offered, |srv| (srv.priority, srv.weight), &mut below);
            places.extend(ordered.into_iter().map(|srv| Place {
                host: srv.target,
                port: srv.port,
                protocol: *protocol,
            }));
        }
        // Who asks for encryption first is not reached without it because that one does not answer.
        if places.first().is_some_and(|place: &Place| place.protocol == Protocol::Tls) {
            places.retain(|place| place.protocol == Protocol::Tls);
        }
        places.truncate(MAX_PLACES);
        match (places.is_empty(), denied) {
            (true, true) => Ok(Err(Unresolved::NotOffered)),
            // Section 4.2: without SRV records the name's own addresses, over what is usual.
            (true, false) => Ok(Ok(plain(self.wanted.default_transport()))),
            (false, _) => Ok(Ok(places)),
        }
    }

    /// Transports and the names of their SRV records, best first (section 4.1).
    fn services(&self) -> Result<Vec<(Protocol, Arc<str>)>, Vec<Question>> {
        let host = &self.wanted.host;
        let named = |protocol: Protocol| {
            let prefix = match protocol {
                Protocol::Udp => "_sip._udp.",
                Protocol::Tcp => "_sip._tcp.",
                Protocol::Tls => "_sips._tcp.",
            };
            (protocol, Arc::from(format!("{prefix}{host}")))
        };
        if let Some(protocol) = self.wanted.transport {
            return Ok(vec![named(protocol)]);
        }
        let question = Question { kind: Kind::Naptr, name: Arc::clone(host) };
        let Some(answer) = self.known(&question) else { return Err(vec![question]) };
        let offered = match answer {
            Ok(records) => match &**records {
                Records::Naptr(records) => self.offered(records),
                Records::Srv(_) | Records::Addresses(_) => Vec::new(),
            },
            // There is none, or DNS cannot say: the next step is the same.
            Err(_) => Vec::new(),
        };
        Ok(match (offered.is_empty(), self.wanted.secure) {
            (false, _) => offered,
            (true, true) => vec![named(Protocol::Tls)],
            (true, false) => [Protocol::Udp, Protocol::Tcp, Protocol::Tls].map(named).into(),
        })
    }

    /// Those services of a domain that we speak, best first.
    fn offered(&self, records: &[Naptr]) -> Vec<(Protocol, Arc<str>)> {
        let mut sorted: Vec<&Naptr> = records.iter().collect();
        sorted.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let usable = sorted.into_iter().filter(|naptr| naptr.flags.eq_ignore_ascii_case("s"));
        let spoken = usable.filter_map(|naptr| {
            let protocol = match naptr.service.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Protocol::Udp,
                "SIP+D2T" => Protocol::Tcp,
                "SIPS+D2T" => Protocol::Tls,
                _ => return None,
            };
            let allowed = !self.wanted.secure || protocol == Protocol::Tls;
            (allowed && !naptr.replacement.is_empty()).then(|| (protocol, Arc::clone(&naptr.replacement)))
        });
        spoken.take(MAX_SERVICES).collect()
    }

    fn targets(&self, places: &[Place]) -> Result<Vec<Target>, Unresolved> {
        let mut targets: Vec<Target> = Vec::new();
        for place in places {
            let of_kind = self.families.kinds().iter().filter_map(|&kind| {
                let answer = self.known(&Question { kind, name: Arc::clone(&place.host) })?;
                answer.as_ref().ok()
            });
            let addresses = of_kind.flat_map(|records| match &**records {
                Records::Addresses(addresses) => addresses.as_slice(),
                Records::Naptr(_) | Records::Srv(_) => &[],
            });
            for &ip in addresses {
                let target = self.target(place, ip);
                let is_new = targets.iter().all(|t| (t.address, &t.over) != (target.address, &target.over));
                if is_new && targets.len() < MAX_TARGETS {
                    targets.push(target);
                }
            }
        }
        if targets.is_empty() { Err(self.why_none()) } else { Ok(targets) }
    }

    fn target(&self, place: &Place, ip: IpAddr) -> Target {
        Target {
            address: SocketAddr::new(ip, place.port),
            over: place.protocol.towards(&self.wanted.host),
            name: Arc::clone(&place.host),
        }
    }

    /// A failure of DNS weighs more than that it has nothing: nobody knows what it would have said.
    fn why_none(&self) -> Unresolved {
        let failures = self.known.iter().filter_map(|(_, answer)| answer.as_ref().err());
        let failed = failures.clone().find_map(|failure| match failure {
            NoAnswer::Failed(why) => Some(Unresolved::Failed(why.clone())),
            NoAnswer::Nothing(_) | NoAnswer::TimedOut => None,
        });
        let timed_out = failures.into_iter().any(|failure| *failure == NoAnswer::TimedOut);
        failed.or(timed_out.then_some(Unresolved::TimedOut)).unwrap_or(Unresolved::NoAddress)
    }

    fn known(&self, question: &Question) -> Option<&Result<Arc<Records>, NoAnswer>> {
        self.known.iter().find(|(known, _)| known == question).map(|(_, answer)| answer)
    }
}
