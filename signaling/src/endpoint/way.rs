//! What carries each leg: part of the leg's name, so that no message of it can ever take another way, not even after the
//! leg has gone.

use super::{LegId, Transport};

/// Ways an endpoint may know: UDP, TCP, and TLS to so many domains.
const MAX_WAYS: usize = 4_096;
/// Bits of a leg's name that count; those above name the way.
const COUNT_BITS: u32 = 48;

/// Index of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way(u16);

impl Way {
    pub(super) const UDP: Self = Self(0);

    /// The name of a leg on this way.
    pub(super) fn leg(self, count: u64) -> LegId {
        LegId((u64::from(self.0) << COUNT_BITS) | (count & ((1 << COUNT_BITS) - 1)))
    }

    /// Of a leg.
    pub(super) fn of(leg: LegId) -> Self {
        Self(u16::try_from(leg.0 >> COUNT_BITS).unwrap_or_default())
    }
}

/// The transports by index.
#[derive(Debug)]
pub(super) struct Ways(Vec<Transport>);

impl Default for Ways {
    fn default() -> Self {
        Self(vec![Transport::Udp])
    }
}

impl Ways {
    pub(super) fn find(&self, over: &Transport) -> Option<Way> {
        self.0.iter().position(|known| known == over).and_then(|at| u16::try_from(at).ok()).map(Way)
    }

    /// Finds or adds one; `None` if there are too many.
    pub(super) fn learn(&mut self, over: &Transport) -> Option<Way> {
        if let Some(known) = self.find(over) {
            return Some(known);
        }
        if self.0.len() >= MAX_WAYS {
            return None;
        }
        self.0.push(over.clone());
        self.find(over)
    }

    pub(super) fn transport(&self, way: Way) -> Option<&Transport> {
        self.0.get(usize::from(way.0))
    }

    /// Whether a request of the peer's may come this way to a leg: its own way, or one that is at least as hard to forge
    /// and to listen to. A peer sends what is too large for a datagram over a connection (RFC 3261 section 18.1.1), and
    /// opens connections of its own.
    pub(super) fn may_reach(&self, leg: Way, came: Way) -> bool {
        match (self.transport(leg), self.transport(came)) {
            (Some(Transport::Tls(domain)), Some(Transport::Tls(other))) => domain == other || other.is_empty(),
            (Some(Transport::Tls(_)), Some(Transport::Udp | Transport::Tcp))
            | (Some(Transport::Tcp), Some(Transport::Udp))
            | (None, _)
            | (_, None) => false,
            (Some(Transport::Udp | Transport::Tcp), Some(_)) => true,
        }
    }

    /// Whether the answer to a request may come this way: as the request went. A peer that opens a connection for it
    /// (section 18.2.2) has proven to be nobody, and knows what only the request's own connection told.
    pub(super) fn may_answer(&self, went: Way, came: Way) -> bool {
        went == came || (matches!(self.transport(went), Some(Transport::Tls(_))) && self.may_reach(went, came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_names_its_way() {
        let mut ways = Ways::default();
        assert_eq!(ways.find(&Transport::Tcp), None);
        for (over, count) in [(Transport::Udp, 1), (Transport::Tcp, 2), (Transport::Tls("a.example".into()), u64::MAX)]
        {
            let way = ways.learn(&over).unwrap();
            assert_eq!(ways.learn(&over), Some(way));
            assert_eq!(ways.transport(Way::of(way.leg(count))), Some(&over));
        }
        assert_eq!(Way::of(Way::UDP.leg(7)), Way::UDP);
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls("a.example".into()), Transport::accepted_tls()];
        let may = |judge: fn(&Ways, Way, Way) -> bool, ways: &mut Ways| {
            let ways_of: Vec<Way> = all.iter().map(|over| ways.learn(over).unwrap()).collect();
            let row = |one: Way| ways_of.iter().map(|other| u8::from(judge(ways, one, *other)).to_string()).collect();
            ways_of.iter().map(|one| row(*one)).collect::<Vec<String>>()
        };
        assert_eq!(may(Ways::may_reach, &mut ways), ["1111", "0111", "0011", "0001"]);
        assert_eq!(may(Ways::may_answer, &mut ways), ["1000", "0100", "0011", "0001"]);
        assert!(
            (0..MAX_WAYS * 2).filter(|n| ways.learn(&Transport::Tls(n.to_string().into())).is_some()).count()
                < MAX_WAYS
        );
    }
}
