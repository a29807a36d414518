//! Messages out of a stream of octets: Content-Length alone says where one ends (RFC 3261 section 18.3), and a stream
//! that leaves any doubt about it is over. Between messages there may be keep-alives (RFC 5626 section 3.5.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::message::ParseError;
use crate::message::head::{Fault, Head};
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
    /// One that is longer than we take (RFC 3261 section 21.5.7). Its end is not waited for: the stream is over.
    TooLong(ParseError),
    /// One whose end is in doubt: the stream is over.
    Unreadable(ParseError),
}

/// What came of a stream and has not been taken yet: at most one message and what was read along with it.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// No end of the head before this place.
    searched: usize,
    /// Octets of the message that has begun, once its head is there.
    length: Option<usize>,
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
    pub(super) fn next(&mut self) -> Option<Frame> {
        loop {
            if self.buffer.starts_with(PING) {
                self.buffer.advance(PING.len());
                return Some(Frame::Ping);
            }
            if PING.starts_with(&self.buffer) {
                return None;
            }
            if !self.buffer.starts_with(PONG) {
                break;
            }
            // The answer to a ping of ours.
            self.buffer.advance(PONG.len());
        }
        let length = match self.length {
            Some(length) => length,
            None => match self.measure()? {
                Ok(length) => *self.length.insert(length),
                Err(refusal) => return Some(refusal),
            },
        };
        if self.buffer.len() < length {
            return None;
        }
        (self.searched, self.length) = (0, None);
        Some(Frame::Message(self.buffer.split_to(length).freeze()))
    }

    /// How long the message is that has begun, or what the stream ends with; `None` before that can be said.
    fn measure(&mut self) -> Option<Result<usize, Frame>> {
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        let found = unread.windows(PING.len()).position(|window| window == PING);
        let Some(end) = found.map(|at| self.searched + at + PING.len()) else {
            self.searched = self.buffer.len().saturating_sub(PING.len() - 1);
            let is_too_long = self.buffer.len() > MAX_HEAD;
            return is_too_long.then(|| Err(refuse(&self.head(self.buffer.len()), (513, "header fields do not end"))));
        };
        let head = self.head(end);
        if end > MAX_HEAD {
            return Some(Err(refuse(&head, (513, "header fields too long"))));
        }
        let length = head.body_length().and_then(|length| {
            let length = end.checked_add(length).filter(|length| *length <= MAX_MESSAGE);
            length.ok_or((513, "message too long"))
        });
        Some(length.map_err(|fault| refuse(&head, fault)))
    }

    fn head(&self, end: usize) -> Head {
        Head::read(Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default()))
    }
}

fn refuse(head: &Head, fault: Fault) -> Frame {
    let error = head.refuse(fault);
    if fault.0 == 513 { Frame::TooLong(error) } else { Frame::Unreadable(error) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::HeaderName;

    /// What comes of a stream; or what it ends with.
    fn frames(stream: &[u8], step: usize) -> Result<Vec<String>, Frame> {
        let (mut framer, mut found) = (Framer::default(), Vec::new());
        for piece in stream.chunks(step.max(1)) {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next() {
                found.push(match frame {
                    Frame::Message(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Frame::Ping => "ping".into(),
                    Frame::TooLong(_) | Frame::Unreadable(_) => return Err(frame),
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

    const BYE: &str =
        "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c\r\nf: <sip:d@c>;tag=1\r\nTo: <sip:a@b>\r\ni: 1\r\nCSeq: 1 BYE\r\n";

    /// How a stream ends: whether it counts as too long, and the status that is answered.
    fn ending(stream: &str, step: usize) -> (bool, Option<u16>) {
        let (is_too_long, error) = match frames(stream.as_bytes(), step).unwrap_err() {
            Frame::TooLong(error) => (true, error),
            Frame::Unreadable(error) => (false, error),
            other @ (Frame::Message(_) | Frame::Ping) => panic!("{other:?}"),
        };
        let status = error.answer.map(|answer| {
            let (status, headers) = *answer;
            let fields = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
            assert!(fields.iter().all(|name| headers.get(name).is_some()), "{headers:?}");
            status
        });
        (is_too_long, status)
    }

    #[test]
    fn what_leaves_a_doubt_or_is_too_long_ends_the_stream_with_an_answer() {
        let (doubtful, too_long) = (|status| (false, Some(status)), |status| (true, Some(status)));
        let x = |count: usize| format!("X: {}\r\n", "x".repeat(count));
        let huge = x(8_000).repeat(5);
        let rows = [
            // The end is in doubt.
            (format!("{BYE}\r\n"), doubtful(400)),
            (format!("{BYE}Content-Length: 3\r\nl: 0\r\n\r\n"), doubtful(400)),
            (format!("{BYE}Content-Length: 3, 0\r\n\r\n"), doubtful(400)),
            (format!("{BYE}Content-Length: -1\r\n\r\n"), doubtful(400)),
            (format!("{BYE}Content-Length: 0x3\r\n\r\n"), doubtful(400)),
            (format!("{BYE}Content-Length : \r\n\r\n"), doubtful(400)),
            (format!("{BYE}X y\r\nl: 0\r\n\r\n"), doubtful(400)),
            // The end is too far.
            (format!("{BYE}Content-Length: 70000\r\n\r\n"), too_long(513)),
            (format!("{BYE}l: 18446744073709551615\r\n\r\n"), too_long(513)),
            (format!("{BYE}{}l: 0\r\n\r\n", x(8_200)), too_long(513)),
            (format!("{BYE}{}l: 0\r\n\r\n", x(1).repeat(300)), too_long(513)),
            (format!("{BYE}{huge}l: 0\r\n\r\n"), too_long(513)),
            (format!("{BYE}X: {}", "x".repeat(40_000)), too_long(513)),
            (format!("{BYE}X: y\r\n{}", " z\r\n".repeat(10_000)), too_long(513)),
            // What the start line says goes first.
            (format!("{BYE}{huge}").replace("SIP/2.0\r", "SIP/3.0\r"), too_long(505)),
            (format!("{BYE}{huge}").replace("sip:a@b S", &format!("sip:{}@b S", "a".repeat(5_000))), too_long(414)),
            // There is nobody or nothing to answer.
            (format!("{BYE}l: 70000\r\n\r\n").replace("BYE", "ACK"), (true, None)),
            (format!("{BYE}\r\n").replace("BYE", "ACK"), (false, None)),
            (format!("{BYE}l: 70000\r\n\r\n").replace("BYE sip:a@b SIP/2.0", "SIP/2.0 200 OK"), (true, None)),
            (format!("{BYE}l: 70000\r\n\r\n").replace("Via", "X-Via"), (true, None)),
            (format!("BYE sip:{}", "a".repeat(40_000)), (true, None)),
            ("X: y\r\n".repeat(8_000), (true, None)),
        ];
        for (stream, expected) in rows {
            for step in [1_000, 4_096, 100_000] {
                assert_eq!(ending(&stream, step), expected, "{stream:.300} by {step}");
            }
        }
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
                            let found = result.unwrap_or_else(|last| panic!("{file}: {last:?}"));
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
