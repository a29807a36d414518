//! The DTLS 1.2 record layer as far as it is plain (RFC 6347 section 4.1).

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;

const HEADER: usize = 13;
const VERSION: [u8; 2] = [0xfe, 0xfd];

/// One record of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    pub(super) sequence: u64,
    pub(super) body: &'a [u8],
    /// Header and body.
    pub(super) whole: &'a [u8],
}

/// The records of a datagram up to the first broken one; `None` stands for what is left of it.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = first(rest);
        rest = record.and_then(|r| rest.get(r.whole.len()..)).unwrap_or_default();
        Some(record)
    })
}

fn first(bytes: &[u8]) -> Option<Record<'_>> {
    let [kind, 0xfe, 0xfd | 0xff, e0, e1, s0, s1, s2, s3, s4, s5, l0, l1, body @ ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    Some(Record {
        kind: *kind,
        epoch: u16::from_be_bytes([*e0, *e1]),
        sequence: u64::from_be_bytes([0, 0, *s0, *s1, *s2, *s3, *s4, *s5]),
        body: body.get(..length)?,
        whole: bytes.get(..HEADER + length)?,
    })
}

/// Writes a plain record.
pub(super) fn plain(kind: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER + body.len());
    record.push(kind);
    record.extend_from_slice(&VERSION);
    // Epoch 0 and a sequence number of 48 bits are eight octets together.
    record.extend_from_slice(&sequence.to_be_bytes());
    record.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// Gives the plain records of an outgoing datagram fresh sequence numbers: RFC 6347 section 4.2.4 wants that of
/// repeated flights, and plain records carry no authentication that would break.
pub(super) fn renumber(datagram: &mut [u8], next: &mut u64) {
    let mut rest = datagram;
    while let Some(length) = first(rest).map(|r| r.whole.len()) {
        let (record, behind) = rest.split_at_mut(length);
        if let [_, _, _, 0, 0, s0, s1, s2, s3, s4, s5, ..] = record {
            [_, _, *s0, *s1, *s2, *s3, *s4, *s5] = next.to_be_bytes();
            *next = next.wrapping_add(1);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_datagram_is_taken_apart() {
        let mut bytes = plain(HANDSHAKE, 7, b"abc");
        bytes.extend(plain(CHANGE_CIPHER_SPEC, 8, &[1]));
        let found: Vec<_> = records(&bytes).map(|r| r.map(|r| (r.kind, r.epoch, r.sequence, r.body))).collect();
        assert_eq!(found, [Some((22, 0, 7, &b"abc"[..])), Some((20, 0, 8, &[1][..]))]);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(records(&bytes).last(), Some(None));
    }

    #[test]
    fn only_plain_records_are_renumbered() {
        let mut bytes = plain(HANDSHAKE, 7, b"abc");
        let mut secret = plain(HANDSHAKE, 9, b"def");
        secret[4] = 1;
        bytes.extend(&secret);
        bytes.extend(plain(CHANGE_CIPHER_SPEC, 8, &[1]));
        let mut next = 0x01_0000;
        renumber(&mut bytes, &mut next);
        let found: Vec<_> = records(&bytes).flatten().map(|r| (r.epoch, r.sequence)).collect();
        assert_eq!(found, [(0, 0x01_0000), (1, 9), (0, 0x01_0001)]);
        assert_eq!(next, 0x01_0002);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = records(&bytes).count();
            renumber(&mut bytes, &mut 0);
        }
    }
}
