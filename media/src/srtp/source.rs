//! Packet indices: 48 bits of which a packet carries 16 (RFC 3711 section 3.3.1), each accepted once (section 3.3.2).

/// Packets behind the newest one that are still accepted.
const WINDOW: u64 = 128;
/// Sources remembered. A peer uses one; more appear when its streams are replaced.
pub(super) const SOURCES: usize = 16;

/// What is known of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    ssrc: u32,
    highest: u64,
    /// Bit n: the packet n behind the highest was seen.
    seen: u128,
}

impl Source {
    pub(super) fn new(ssrc: u32, index: u64) -> Self {
        Self { ssrc, highest: index, seen: 1 }
    }

    /// The index nearest to the highest one that this number can be the end of (RFC 3711 appendix A).
    pub(super) fn index_of(&self, sequence: u16) -> u64 {
        let ahead = sequence.wrapping_sub(self.highest as u16).cast_signed();
        // Nothing comes before the first turn.
        self.highest.checked_add_signed(ahead.into()).unwrap_or(sequence.into())
    }

    /// Whether nothing was seen under this index, and nothing much later.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            Some(behind) => behind < WINDOW && self.seen >> behind & 1 == 0,
            None => true,
        }
    }

    pub(super) fn saw(&mut self, index: u64) {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                self.seen = u32::try_from(ahead).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
                self.highest = index;
            }
            None => self.seen |= 1_u128.checked_shl((self.highest - index) as u32).unwrap_or(0),
        }
    }
}

/// Sources of which an authentic packet came.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The one heard last, which is nearly always the one heard next.
    latest: Option<Source>,
    /// The others, the latest last.
    earlier: Vec<Source>,
}

impl Sources {
    pub(super) fn get(&self, ssrc: u32) -> Option<&Source> {
        self.latest.iter().chain(self.earlier.iter().rev()).find(|source| source.ssrc == ssrc)
    }

    /// An authentic packet came.
    pub(super) fn saw(&mut self, ssrc: u32, index: u64) {
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.ssrc == ssrc) {
            return latest.saw(index);
        }
        let known = self.earlier.iter().position(|source| source.ssrc == ssrc);
        let source = match known.map(|at| self.earlier.remove(at)) {
            Some(mut known) => {
                known.saw(index);
                known
            }
            None => Source::new(ssrc, index),
        };
        // overflow: the source heard least lately is forgotten.
        if self.earlier.len() >= SOURCES - 1 {
            self.earlier.remove(0);
        }
        self.earlier.extend(self.latest.replace(source));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.earlier.len() + usize::from(self.latest.is_some())
    }
}
