//! Messages out of a stream of octets: Content-Length alone says where one ends (RFC 3261 section 18.3), and a stream
//! that leaves any doubt about it is over. Between messages there may be keep-alives (RFC 5626 section 3.5.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::message::content_length;
use crate::message::parse::MAX_MESSAGE;

/// Longest start line and header fields together, octets.
const MAX_HEAD: usize = 32_768;
/// A keep-alive, and the answer to one (RFC 5626 section 3.5.1).
pub(super) const PING: &[u8] = b"\r\n\r\n";
pub(super) const PONG: &[u8] = b"\r\n";

/// What a stream brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole message.
    Message(Bytes),
    /// A keep-alive that wants a CRLF back.
    Ping,
    /// One that would be too long, as long as it takes to be refused (513); the stream is over with it.
    TooLong(Bytes),
}

/// The stream cannot be cut into messages any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(&'static str);

/// What came of a stream and has not been taken yet: at most one message and what was read along with it.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// No end of the head before this place.
    searched: usize,
}

impl Framer {
    /// Where read octets go.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes the answer to a ping of ours, if that is all there is: more could make a ping of it.
    pub(super) fn take_pong(&mut self) -> bool {
        let is_pong = self.buffer == PONG;
        if is_pong {
            self.buffer.clear();
        }
        is_pong
    }

    /// Whether a message has begun and is not whole.
    pub(super) fn is_within_message(&self) -> bool {
        !PING.starts_with(&self.buffer)
    }

    /// The next frame, if it is there to its end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Broken> {
        loop {
            if self.buffer.starts_with(PING) {
                self.buffer.advance(PING.len());
                return Ok(Some(Frame::Ping));
            }
            if PING.starts_with(&self.buffer) {
                return Ok(None);
            }
            if !self.buffer.starts_with(PONG) {
                break;
            }
            // The answer to a ping of ours.
            self.buffer.advance(PONG.len());
        }
        self.message()
    }

    fn message(&mut self) -> Result<Option<Frame>, Broken> {
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        let found = unread.windows(PING.len()).position(|window| window == PING);
        let Some(end) = found.map(|at| self.searched + at + PING.len()) else {
            self.searched = self.buffer.len().saturating_sub(PING.len() - 1);
            return if self.buffer.len() > MAX_HEAD { Err(Broken("header fields do not end")) } else { Ok(None) };
        };
        self.searched = end - PING.len();
        if end > MAX_HEAD {
            return Err(Broken("header fields too long"));
        }
        let head = Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default());
        let length = content_length(head).map_err(Broken)?;
        let Some(total) = end.checked_add(length).filter(|total| *total <= MAX_MESSAGE) else {
            // Its end is not waited for: whoever refuses it looks at its header fields and its length.
            let mut refused = self.buffer.split_to(end);
            refused.resize(MAX_MESSAGE + 1, 0);
            return Ok(Some(Frame::TooLong(refused.freeze())));
        };
        if self.buffer.len() < total {
            return Ok(None);
        }
        self.searched = 0;
        Ok(Some(Frame::Message(self.buffer.split_to(total).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(stream: &[u8], step: usize) -> Result<Vec<String>, Broken> {
        let (mut framer, mut found) = (Framer::default(), Vec::new());
        for piece in stream.chunks(step.max(1)) {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next()? {
                found.push(match frame {
                    Frame::Message(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Frame::Ping => "ping".into(),
                    Frame::TooLong(_) => return Err(Broken("too long")),
                });
            }
        }
        Ok(found)
    }

    const A: &str = "BYE sip:a@b SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
    const B: &str = "SIP/2.0 200 OK\r\nVia: x\r\nl : 0\r\n\r\n";
    const TRICK: &str =
        "INFO sip:a@b SIP/2.0\r\nContent-Length: 52\r\n\r\nBYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n1234567890";

    #[test]
    fn messages_end_where_content_length_says() {
        for step in 1..150 {
            let stream = format!("{A}{B}\r\n\r\n\r\n{TRICK}\r\n\r\n{B}");
            let expected = [A, B, "ping", TRICK, "ping", B].map(str::to_owned);
            assert_eq!(frames(stream.as_bytes(), step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn what_leaves_a_doubt_ends_the_stream() {
        let check = |stream: &str| assert!(frames(stream.as_bytes(), 7).is_err(), "{stream:.80}");
        check("BYE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: 3\r\nl: 0\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: 3, 0\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: 0x3\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: 18446744073709551615\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length: 70000\r\n\r\n");
        check("BYE sip:a@b SIP/2.0\r\nContent-Length : \r\n\r\n");
        check(&format!("BYE sip:a@b SIP/2.0\r\nX: {}\r\n", "x".repeat(40_000)));
        check(&"X: y\r\n".repeat(8_000));
    }

    /// RFC 4475 and RFC 5118 over a stream: each message comes out as it went in, followed by the next one; what leaves
    /// its own end in doubt ends the stream, and what is said to be longer than it is waits for the rest.
    #[test]
    fn torture_messages_come_over_a_stream_as_they_are() {
        let mut seen = [0; 3];
        for folder in ["rfc4475", "rfc5118"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(folder);
            let table = std::fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
            for file in table.lines().skip(1).filter_map(|row| row.split('\t').next()) {
                let message = std::fs::read(folder.join(file)).unwrap();
                for step in [1, 7, 1_000_000] {
                    let whole = [message.as_slice(), A.as_bytes()].concat();
                    match (file, frames(&whole, step)) {
                        // The last but one holds two messages and text beyond the second's end, the last has no empty line.
                        ("ncl.dat" | "mcl01.dat" | "inv2543.dat" | "dblreq.dat" | "baddn.dat", result) => {
                            assert!(result.is_err(), "{file}");
                            seen[0] += 1;
                        }
                        ("clerr.dat", result) => {
                            assert_eq!(result.unwrap(), [""; 0]);
                            seen[1] += 1;
                        }
                        (_, result) => {
                            let found = result.unwrap_or_else(|error| panic!("{file}: {error}"));
                            assert_eq!(found, [String::from_utf8_lossy(&message).as_ref(), A], "{file}");
                            seen[2] += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, [3 * 5, 3, 3 * 55]);
    }

    proptest! {
        /// However many messages there are, whatever their bodies hold and wherever the pieces end.
        #[test]
        fn messages_in_bodies_stay_bodies(
            bodies in proptest::collection::vec((0..4_usize, proptest::collection::vec(any::<u8>(), 0..40)), 1..12),
            step in 1..300_usize,
        ) {
            let hidden = ["", A, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\nBYE sip:a@b SIP/2.0\r\n\r\n"];
            let mut sent = Vec::new();
            for (kind, noise) in bodies {
                let body = [noise.as_slice(), hidden[kind].as_bytes()].concat();
                let head = format!("INFO sip:a@b SIP/2.0\r\nX: 1\r\nl:{}\r\n\r\n", body.len());
                sent.push([head.as_bytes(), &body].concat());
            }
            let text = |message: &Vec<u8>| String::from_utf8_lossy(message).into_owned();
            let expected: Vec<String> = sent.iter().map(text).collect();
            prop_assert_eq!(frames(&sent.concat(), step).unwrap(), expected);
        }

        #[test]
        fn no_bytes_panic_or_pile_up(stream in proptest::collection::vec(any::<u8>(), 0..2_000), step in 1..300_usize) {
            let _ = frames(&stream, step);
        }
    }
}
