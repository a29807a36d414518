//! Handshake messages out of fragments (RFC 6347 section 4.2.3), in order and within limits.
//!
//! The handshake engine is handed whole messages only: how deep it recurses and how much it keeps then does not depend
//! on how a peer cuts its messages.

use std::collections::BTreeMap;

/// Octets in a handshake header.
const HEADER: usize = 12;
/// A big post-quantum ClientHello has under 2 KiB, a certificate chain of a browser under 2 KiB as well.
const MESSAGE_LIMIT: usize = 16 * 1024;
/// Messages of one flight that may be under way at once.
const WINDOW: u16 = 6;
/// Pieces of one message; 16 KiB in fragments of 256 octets.
const PIECES_LIMIT: usize = 64;

/// A fragment of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    pub(super) length: usize,
    pub(super) sequence: u16,
    offset: usize,
    data: &'a [u8],
}

/// The fragments in the body of a handshake record; `None` stands for a broken rest.
pub(super) fn fragments(body: &[u8]) -> impl Iterator<Item = Option<Fragment<'_>>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let fragment = first(rest);
        rest = fragment.and_then(|f| rest.get(HEADER + f.data.len()..)).unwrap_or_default();
        Some(fragment)
    })
}

fn first(bytes: &[u8]) -> Option<Fragment<'_>> {
    let [kind, l0, l1, l2, q0, q1, o0, o1, o2, f0, f1, f2, data @ ..] = bytes else { return None };
    let number = |a: u8, b: u8, c: u8| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    let (length, offset) = (number(*l0, *l1, *l2), number(*o0, *o1, *o2));
    let data = data.get(..number(*f0, *f1, *f2))?;
    let fits = offset + data.len() <= length;
    let sequence = u16::from_be_bytes([*q0, *q1]);
    fits.then_some(Fragment { kind: *kind, length, sequence, offset, data })
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Kept; a message may be complete.
    Kept,
    /// Of a message that was handed out before: the peer repeats itself.
    Repeated,
    /// Beyond a limit, or at odds with its fellows.
    Refused,
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
    /// Header (as if never cut) and body, the way transcripts hash it.
    pub(super) whole: Vec<u8>,
}

/// Collects fragments.
#[derive(Debug)]
pub(super) struct Reassembly {
    next: u16,
    partial: BTreeMap<u16, Partial>,
}

#[derive(Debug)]
struct Partial {
    kind: u8,
    body: Vec<u8>,
    /// Sorted, disjoint, not touching.
    pieces: Vec<(usize, usize)>,
}

impl Reassembly {
    /// Expects this message first.
    pub(super) fn starting_at(next: u16) -> Self {
        Self { next, partial: BTreeMap::new() }
    }

    /// Takes a fragment.
    pub(super) fn push(&mut self, fragment: Fragment<'_>) -> Pushed {
        if fragment.sequence < self.next {
            return Pushed::Repeated;
        }
        if fragment.sequence >= self.next.saturating_add(WINDOW) || fragment.length > MESSAGE_LIMIT {
            return Pushed::Refused;
        }
        if fragment.data.len() == fragment.length {
            // Nothing that came before in pieces, from whomever, stands in the way of a whole message.
            self.partial.remove(&fragment.sequence);
        }
        let partial = self.partial.entry(fragment.sequence).or_insert_with(|| Partial {
            kind: fragment.kind,
            body: vec![0; fragment.length],
            pieces: Vec::new(),
        });
        if partial.kind != fragment.kind || partial.body.len() != fragment.length || !partial.add(fragment) {
            return Pushed::Refused;
        }
        Pushed::Kept
    }

    /// The next message, once it is whole.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let entry = self.partial.first_entry().filter(|e| *e.key() == self.next && e.get().is_whole())?;
        let (sequence, partial) = entry.remove_entry();
        self.next = self.next.saturating_add(1);
        let length = u32::try_from(partial.body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut whole = vec![partial.kind];
        whole.extend_from_slice(length.get(1..).unwrap_or_default());
        whole.extend_from_slice(&sequence.to_be_bytes());
        whole.extend_from_slice(&[0, 0, 0]);
        whole.extend_from_slice(length.get(1..).unwrap_or_default());
        whole.extend_from_slice(&partial.body);
        Some(Message { kind: partial.kind, body: partial.body, whole })
    }
}

impl Partial {
    fn add(&mut self, fragment: Fragment<'_>) -> bool {
        let (start, end) = (fragment.offset, fragment.offset + fragment.data.len());
        let Some(place) = self.body.get_mut(start..end) else { return false };
        place.copy_from_slice(fragment.data);
        self.pieces.push((start, end));
        self.pieces.sort_unstable();
        self.pieces.dedup_by(|next, last| {
            let touches = next.0 <= last.1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        self.pieces.len() <= PIECES_LIMIT
    }

    fn is_whole(&self) -> bool {
        self.pieces == [(0, self.body.len())]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn cut(kind: u8, sequence: u16, body: &[u8], from: usize, to: usize) -> Vec<u8> {
        let three = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
        let mut bytes = vec![kind];
        bytes.extend(three(body.len()));
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(three(from));
        bytes.extend(three(to - from));
        bytes.extend(&body[from..to]);
        bytes
    }

    fn push(reassembly: &mut Reassembly, bytes: &[u8]) -> Pushed {
        reassembly.push(fragments(bytes).next().unwrap().unwrap())
    }

    #[test]
    fn fragments_come_in_any_order_and_overlap() {
        let body: Vec<u8> = (0..100).collect();
        let mut reassembly = Reassembly::starting_at(0);
        for (from, to) in [(60, 100), (0, 30), (20, 70)] {
            assert_eq!(reassembly.pop(), None);
            assert_eq!(push(&mut reassembly, &cut(1, 0, &body, from, to)), Pushed::Kept);
        }
        let message = reassembly.pop().unwrap();
        assert_eq!((message.kind, &message.body), (1, &body));
        assert_eq!(message.whole, cut(1, 0, &body, 0, 100));
        assert_eq!(push(&mut reassembly, &cut(1, 0, &body, 0, 30)), Pushed::Repeated);
    }

    #[test]
    fn messages_come_out_in_order() {
        let mut reassembly = Reassembly::starting_at(1);
        push(&mut reassembly, &cut(16, 2, b"second", 0, 6));
        assert_eq!(reassembly.pop(), None);
        push(&mut reassembly, &cut(11, 1, b"", 0, 0));
        assert_eq!(reassembly.pop().map(|m| m.kind), Some(11));
        assert_eq!(reassembly.pop().map(|m| m.kind), Some(16));
    }

    #[test]
    fn limits_hold() {
        let check = |bytes: &[u8]| push(&mut Reassembly::starting_at(0), bytes);
        assert_eq!(check(&cut(1, WINDOW, b"x", 0, 1)), Pushed::Refused);
        assert_eq!(check(&cut(1, 0, &vec![0; MESSAGE_LIMIT + 1], 0, 1)), Pushed::Refused);
        let mut reassembly = Reassembly::starting_at(0);
        let body = vec![0; 1000];
        let crumbs = (0..500).map(|n| cut(1, 0, &body, n * 2, n * 2 + 1));
        assert_eq!(crumbs.map(|c| push(&mut reassembly, &c)).last(), Some(Pushed::Refused));
        assert_eq!(push(&mut reassembly, &cut(2, 0, &body, 0, 1)), Pushed::Refused);
        assert_eq!(push(&mut reassembly, &cut(1, 0, b"whole", 0, 5)), Pushed::Kept);
        assert_eq!(reassembly.pop().map(|m| m.body), Some(b"whole".to_vec()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reassembly = Reassembly::starting_at(0);
            for fragment in fragments(&bytes).flatten() {
                reassembly.push(fragment);
            }
            while reassembly.pop().is_some() {}
        }

        #[test]
        fn any_cut_in_any_order_gives_the_message(
            body in proptest::collection::vec(any::<u8>(), 1..300),
            size in 1usize..60,
            turn: usize,
        ) {
            prop_assume!(body.len() / size < PIECES_LIMIT);
            let mut pieces: Vec<_> = (0..body.len()).step_by(size)
                .map(|from| cut(1, 0, &body, from, (from + size).min(body.len()))).collect();
            let turn = turn % pieces.len();
            pieces.rotate_left(turn);
            let mut reassembly = Reassembly::starting_at(0);
            for piece in &pieces {
                prop_assert_eq!(push(&mut reassembly, piece), Pushed::Kept);
            }
            prop_assert_eq!(reassembly.pop().unwrap().body, body);
        }
    }
}
