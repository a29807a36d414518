//! Datagrams over a connection (RFC 4571 section 2): each behind its length in two octets.

/// No path would carry a longer datagram unfragmented.
pub(crate) const FRAME_MAX: usize = 2048;

/// Takes a stream of octets apart. It never holds more than it was given since the last whole frame was taken.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    bytes: Vec<u8>,
    /// What is before has been taken.
    start: usize,
}

/// A frame longer than any of ours: whoever sends it does not speak this, and what follows cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame is too long")]
pub(crate) struct TooLong;

impl Deframer {
    /// More of the stream came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.start));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is here; it stays the next one.
    pub(crate) fn peek(&self) -> Result<Option<&[u8]>, TooLong> {
        Ok(self.whole()?.and_then(|(from, to)| self.bytes.get(from..to)))
    }

    /// Takes the next frame.
    pub(crate) fn take(&mut self) -> Result<Option<&mut [u8]>, TooLong> {
        let Some((from, to)) = self.whole()? else { return Ok(None) };
        self.start = to;
        Ok(self.bytes.get_mut(from..to))
    }

    /// Where the next frame begins and ends.
    fn whole(&self) -> Result<Option<(usize, usize)>, TooLong> {
        let Some(&[high, low]) = self.bytes.get(self.start..).and_then(|rest| rest.first_chunk::<2>()) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > FRAME_MAX {
            return Err(TooLong);
        }
        let from = self.start + 2;
        Ok((self.bytes.len() >= from + length).then_some((from, from + length)))
    }
}

/// Appends a datagram as a frame; `false`, and nothing, if it is too long to be one.
pub(crate) fn frame(datagram: &[u8], buffer: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(datagram.len()) else { return false };
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(datagram);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
        let sent: [&[u8]; 4] = [b"one", b"", &[7; FRAME_MAX], b"last"];
        let mut stream = Vec::new();
        assert!(sent.iter().all(|datagram| frame(datagram, &mut stream)));
        for piece in [1, 2, 3, 700, 5000] {
            let mut deframer = Deframer::default();
            let mut got: Vec<Vec<u8>> = Vec::new();
            for bytes in stream.chunks(piece) {
                deframer.push(bytes);
                while let Some(datagram) = deframer.take().unwrap() {
                    got.push(datagram.to_vec());
                }
            }
            assert_eq!(got, sent, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_frame_that_is_looked_at_is_still_to_be_taken() {
        let mut deframer = Deframer::default();
        deframer.push(&[0, 2, 5]);
        assert_eq!(deframer.peek(), Ok(None));
        deframer.push(&[6, 0]);
        assert_eq!(deframer.peek(), Ok(Some(&[5, 6][..])));
        assert_eq!(deframer.take().unwrap().unwrap(), [5, 6]);
        assert_eq!(deframer.peek(), Ok(None));
    }

    #[test]
    fn what_is_too_long_for_a_datagram_is_no_frame() {
        let mut deframer = Deframer::default();
        deframer.push(b"GET / HTTP/1.1\r\n");
        assert_eq!(deframer.take(), Err(TooLong));
        assert!(!frame(&[0; 65_536], &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn no_stream_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut deframer = Deframer::default();
            for piece in pieces {
                deframer.push(&piece);
                while let Ok(Some(datagram)) = deframer.take() {
                    prop_assert!(datagram.len() <= FRAME_MAX);
                }
            }
        }
    }
}
