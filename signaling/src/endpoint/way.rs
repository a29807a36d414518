//! What carries each leg: part of the leg's name, so that no message of it can ever take another way, not even after the
//! leg has gone.

use super::{LegId, Transport};

/// Ways an endpoint may know: UDP, TCP, and TLS to so many domains.
const MAX_WAYS: usize = 4_096;
/// Bits of a leg's name that count; those above name the way.
const COUNT_BITS: u32 = 48;

/// Index of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        assert!(
            (0..MAX_WAYS * 2).filter(|n| ways.learn(&Transport::Tls(n.to_string().into())).is_some()).count()
                < MAX_WAYS
        );
    }
}
