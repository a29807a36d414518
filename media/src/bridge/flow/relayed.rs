//! Which numbers of a speaker's sequence have gone on in a relay: each once. What a packet says again of those before it
//! (RFC 2198) may be here before they are, and no number of ours is sent twice.

use super::recent::Recent;

/// The newest of them, and which went on out of a later packet.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    newest: u64,
    again: Recent,
}

impl Relayed {
    /// Another source begins with this number.
    pub(super) fn begin(&mut self, sequence: u64) {
        (self.newest, self.again) = (sequence, Recent::default());
    }

    /// A later packet says this one again. Whether it is to go on.
    pub(super) fn said_again(&mut self, sequence: u64) -> bool {
        let is_missing = sequence > self.newest;
        if is_missing {
            self.advance(sequence);
            self.again.mark();
        }
        is_missing
    }

    /// This one came. Whether it is to go on.
    pub(super) fn came(&mut self, sequence: u64) -> bool {
        match self.newest.checked_sub(sequence) {
            Some(behind) => !self.again.is_marked(behind),
            None => {
                self.advance(sequence);
                true
            }
        }
    }

    fn advance(&mut self, sequence: u64) {
        self.again.advance(sequence.saturating_sub(self.newest));
        self.newest = sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_again_goes_on_once_however_late_it_comes() {
        let mut relayed = Relayed::default();
        relayed.begin(100);
        assert!(relayed.came(100));
        // 101 and 102 are missing; 103 says both again, and is overtaken by 104.
        assert!(relayed.said_again(101) && relayed.said_again(102) && relayed.came(103));
        assert!(!relayed.said_again(102) && !relayed.said_again(103) && relayed.came(104));
        assert!(!relayed.came(101) && !relayed.came(102), "they have gone on");
        // 106 comes without the one before it, which nobody said again: it goes on when it comes.
        assert!(relayed.came(106) && relayed.came(105));
        // So far back that nothing of it is known: no packet comes so late.
        assert!(relayed.came(1_000) && relayed.came(102));
        relayed.begin(5);
        assert!(relayed.came(5) && relayed.said_again(6) && !relayed.came(6));
    }
}
