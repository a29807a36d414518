//! How many connections peers may have: in all, and from one place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Limits on the connections that peers open.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one IPv4 address, or one IPv6 network of 64 bits: whoever has an address there has them all.
    pub per_source: usize,
}

#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by: HashMap<IpAddr, usize>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    source: IpAddr,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// A place for a connection from there, if there is one.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let source = network(from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.by.get(&source).copied().unwrap_or_default();
        if taken.total >= self.limits.total || theirs >= self.limits.per_source {
            return None;
        }
        taken.total = taken.total.saturating_add(1);
        taken.by.insert(source, theirs.saturating_add(1));
        Some(Place { room: Arc::clone(self), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        match taken.by.get(&self.source).copied() {
            Some(theirs) if theirs > 1 => taken.by.insert(self.source, theirs.saturating_sub(1)),
            Some(_) | None => taken.by.remove(&self.source),
        };
    }
}

fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_the_room_alone() {
        let room = Room::new(Limits { total: 5, per_source: 2 });
        let enter = |from: &str| room.enter(from.parse().unwrap());
        let first = enter("192.0.2.1");
        let mut all = vec![enter("::ffff:192.0.2.1"), enter("2001:db8::1"), enter("2001:db8::2:0:0:2")];
        assert!(first.is_some() && all.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none() && enter("2001:db8::3").is_none());
        all.push(enter("2001:db8:0:1::1"));
        assert!(all.last().unwrap().is_some() && enter("192.0.2.2").is_none());
        drop(first);
        assert!(enter("192.0.2.2").is_some());
        all.clear();
        let taken = room.taken.lock().unwrap();
        assert!(taken.total == 0 && taken.by.is_empty());
    }
}
