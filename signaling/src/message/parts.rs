//! Bodies of several parts (RFC 2046 section 5.1, RFC 5621): the one that is wanted is taken out, the others are passed over.

use bytes::Bytes;

use super::fields;
use super::grammar::{find, parameters, unquote};
use super::{HeaderName, Headers};

/// Parts of one body that are looked at.
const MAX_PARTS: usize = 16;
/// Bodies within bodies.
const MAX_DEPTH: u8 = 3;
/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The first part of this type that describes the session itself, however deep it lies: another disposition makes another
/// thing of it (RFC 5621 section 8).
pub(crate) fn find_part(headers: &Headers, body: &Bytes, wanted: &str) -> Option<Bytes> {
    within(headers, body, wanted, MAX_DEPTH)
}

fn within(headers: &Headers, body: &Bytes, wanted: &str, depth: u8) -> Option<Bytes> {
    let depth = depth.checked_sub(1)?;
    let boundary = boundary(headers)?;
    Parts::new(body, &boundary).take(MAX_PARTS).find_map(|part| {
        let fields = fields::read(part);
        let is_wanted = fields.headers.content_type().as_deref() == Some(wanted) && is_plain(&fields.headers);
        if is_wanted { Some(fields.rest) } else { within(&fields.headers, &fields.rest, wanted, depth) }
    })
}

/// What separates the parts; `None` for a body that has none.
fn boundary(headers: &Headers) -> Option<Bytes> {
    if !headers.content_type()?.starts_with("multipart/") {
        return None;
    }
    let value = headers.get(&HeaderName::ContentType)?;
    let start = value.iter().position(|b| *b == b';')?;
    let parameters = parameters(&value.slice(start..)).ok()?;
    let boundary = unquote(find(&parameters, b"boundary")?.as_ref()?);
    (1..=MAX_BOUNDARY).contains(&boundary.len()).then_some(boundary)
}

/// Whether a part is the session's, written down as it is.
fn is_plain(headers: &Headers) -> bool {
    let says = |name: &HeaderName, allowed: &[&[u8]]| {
        headers.get(name).is_none_or(|value| {
            let word = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            allowed.iter().any(|known| word.eq_ignore_ascii_case(known))
        })
    };
    let coding = HeaderName::other("Content-Transfer-Encoding");
    says(&HeaderName::ContentDisposition, &[b"session"]) && says(&coding, &[b"7bit", b"8bit", b"binary"])
}

/// The parts between the lines of a boundary. What stands before the first and behind the last line is no part.
struct Parts<'a> {
    body: &'a Bytes,
    boundary: &'a [u8],
    /// Where the next part begins.
    at: Option<usize>,
}

impl<'a> Parts<'a> {
    fn new(body: &'a Bytes, boundary: &'a Bytes) -> Self {
        let mut parts = Self { body, boundary, at: None };
        parts.at = parts.next_line(0).and_then(|(_, next)| next);
        parts
    }

    /// The next line of the boundary: where it begins, and where the part behind it does, unless the line is the last.
    fn next_line(&self, from: usize) -> Option<(usize, Option<usize>)> {
        let mut at = from;
        loop {
            let line = self.body.get(at..)?;
            let end = line.iter().position(|b| *b == b'\n').map_or(line.len(), |end| end + 1);
            let found = line.get(..end).and_then(|line| line.strip_prefix(b"--")?.strip_prefix(self.boundary));
            match found.map(<[u8]>::trim_ascii) {
                Some(b"") => return Some((at, Some(at + end))),
                Some(b"--") => return Some((at, None)),
                Some(_) | None if end == 0 => return None,
                Some(_) | None => at += end,
            }
        }
    }
}

impl Iterator for Parts<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let start = self.at.take()?;
        let (end, next) = self.next_line(start)?;
        self.at = next;
        // The line end before the boundary belongs to that.
        let part = self.body.get(start..end)?;
        let part = part.strip_suffix(b"\n").map_or(part, |part| part.strip_suffix(b"\r").unwrap_or(part));
        Some(self.body.slice_ref(part))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";

    fn found(content_type: &str, body: &str) -> Option<String> {
        let mut headers = Headers::default();
        headers.push(HeaderName::ContentType, content_type.to_owned());
        let part = find_part(&headers, &Bytes::copy_from_slice(body.as_bytes()), "application/sdp");
        part.map(|part| String::from_utf8(part.to_vec()).unwrap())
    }

    #[test]
    fn the_description_is_found_among_other_parts() {
        let sdp = format!("Content-Type: application/sdp\r\n\r\n{SDP}");
        let other = "Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling=optional\r\n\r\n\u{1}\u{2}--b";
        let mixed = "multipart/mixed;boundary=b";
        for (content_type, body) in [
            (mixed, format!("--b\r\n{sdp}\r\n--b\r\n{other}\r\n--b--\r\n")),
            (mixed, format!("\r\n--b\r\n{other}\r\n--b  \r\n{sdp}\r\n--b--")),
            (
                "Multipart/Mixed ; charset=x; Boundary=\"b c\"",
                format!("preamble\r\n--b c\r\n{sdp}\r\n--b c--\r\nepilogue"),
            ),
            ("multipart/related;boundary=b", format!("--b\n{sdp}\n--b--\n")),
            (
                mixed,
                format!(
                    "--b\r\nc: Application/SDP; x=y\r\nContent-Disposition: Session;handling=required\r\n\r\n{SDP}\r\n--b--"
                ),
            ),
            (
                mixed,
                format!(
                    "--b\r\nContent-Type: multipart/alternative;boundary=bb\r\n\r\n--bb\r\n{sdp}\r\n--bb--\r\n\r\n--b--"
                ),
            ),
        ] {
            assert_eq!(found(content_type, &body).as_deref(), Some(SDP), "{content_type}\n{body}");
        }
    }

    #[test]
    fn what_is_no_description_of_the_session_is_not_taken_for_one() {
        let sdp = format!("Content-Type: application/sdp\r\n\r\n{SDP}");
        let within = |fields: &str| format!("--b\r\nContent-Type: application/sdp\r\n{fields}\r\n\r\n{SDP}\r\n--b--");
        let deep = (0..4).fold(sdp.clone(), |inner, n| {
            format!("Content-Type: multipart/mixed;boundary=b{n}\r\n\r\n--b{n}\r\n{inner}\r\n--b{n}--")
        });
        for (content_type, body) in [
            ("multipart/mixed", format!("--b\r\n{sdp}\r\n--b--")),
            ("multipart/mixed;boundary=\"\"", format!("--\r\n{sdp}\r\n----")),
            ("text/plain;boundary=b", format!("--b\r\n{sdp}\r\n--b--")),
            ("multipart/mixed;boundary=b", within("Content-Disposition: early-session")),
            ("multipart/mixed;boundary=b", within("Content-Transfer-Encoding: base64")),
            ("multipart/mixed;boundary=b", format!("--b--\r\n{sdp}\r\n--b")),
            ("multipart/mixed;boundary=b", format!("--bb\r\n{sdp}\r\n--bb--")),
            ("multipart/mixed;boundary=b", format!("--b\r\n{sdp}")),
            ("multipart/mixed;boundary=b", format!("--b\r\n{deep}\r\n--b--")),
            ("multipart/mixed;boundary=b", format!("{}--b\r\n{sdp}\r\n--b--", "--b\r\n\r\n".repeat(MAX_PARTS))),
        ] {
            assert_eq!(found(content_type, &body), None, "{content_type}\n{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_harms(body in prop::collection::vec(prop_oneof![Just(b'-'), Just(b'b'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..300)) {
            let mut headers = Headers::default();
            headers.push(HeaderName::ContentType, "multipart/mixed;boundary=b");
            let body = Bytes::from(body);
            if let Some(part) = find_part(&headers, &body, "application/sdp") {
                prop_assert!(part.len() < body.len());
            }
        }
    }
}
