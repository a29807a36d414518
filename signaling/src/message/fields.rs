//! The lines of a message: start line, header fields, the empty line, and what follows.

use bytes::{BufMut, Bytes, BytesMut};

use super::grammar::{is_space, is_token, trim};
use super::{HeaderName, Headers};

/// Longest header field, folded lines together.
pub(crate) const MAX_HEADER_LINE: usize = 8192;
/// Most header fields in a message.
pub(crate) const MAX_HEADERS: usize = 256;

/// Why a message is refused: the status an answer would carry, and words for it.
pub(crate) type Fault = (u16, &'static str);

/// Header fields which a message may hold only once (RFC 3261 section 7.3.1), as two readers may take different ones.
static SINGLETONS: [HeaderName; 6] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
];

/// Everything behind the start line.
pub(crate) struct Fields {
    /// The fields that could be read.
    pub(crate) headers: Headers,
    /// All octets after the empty line.
    pub(crate) rest: Bytes,
    /// The first thing that is wrong; reading goes on, so that there is something to answer with.
    pub(crate) fault: Option<Fault>,
    /// The first thing by which another reader could find another end of the message.
    pub(crate) doubt: Option<Fault>,
}

/// Cuts off a line that ends with CRLF. A CR or LF of its own is left inside.
pub(crate) fn take_line(rest: &mut Bytes) -> Option<Bytes> {
    let mut end = 0;
    loop {
        let tail = rest.get(end..)?;
        end += tail.iter().position(|b| *b == b'\r')?;
        if rest.get(end + 1) == Some(&b'\n') {
            break;
        }
        end += 1;
    }
    let line = rest.split_to(end);
    *rest = rest.slice(2..);
    Some(line)
}

/// Reads header fields up to the empty line.
pub(crate) fn read(mut rest: Bytes) -> Fields {
    let mut fields = Fields { headers: Headers::with_capacity(24), rest: Bytes::new(), fault: None, doubt: None };
    loop {
        let Some(line) = take_logical_line(&mut rest) else {
            fields.note((400, "header fields do not end"));
            return fields;
        };
        if line.is_empty() {
            fields.rest = rest;
            return fields;
        }
        if fields.headers.len() == MAX_HEADERS {
            fields.note((513, "too many header fields"));
            return fields;
        }
        match read_field(line) {
            Ok((name, value)) => fields.add(name, value),
            Err(fault) => fields.note(fault),
        }
    }
}

impl Fields {
    fn add(&mut self, name: HeaderName, value: Bytes) {
        if SINGLETONS.contains(&name) && self.headers.get(&name).is_some() {
            let fault = (400, "header field given twice that may stand only once");
            if name == HeaderName::ContentLength {
                return self.note(fault);
            }
            self.fault.get_or_insert(fault);
            return;
        }
        self.headers.push_verbatim(name, value);
    }

    fn note(&mut self, fault: Fault) {
        self.doubt.get_or_insert(fault);
        self.fault.get_or_insert(fault);
    }
}

/// A line together with the folded lines that continue it (RFC 3261 section 7.3.1), still folded.
fn take_logical_line(rest: &mut Bytes) -> Option<Bytes> {
    let whole = rest.clone();
    let mut len = take_line(rest)?.len();
    while len > 0 && rest.first().copied().is_some_and(is_space) {
        len += 2 + take_line(rest)?.len();
    }
    Some(whole.slice(..len))
}

fn read_field(line: Bytes) -> Result<(HeaderName, Bytes), Fault> {
    if line.len() > MAX_HEADER_LINE {
        return Err((513, "header field too long"));
    }
    let line = unfold(line);
    if line.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        return Err((400, "line end without its other half"));
    }
    let colon = line.iter().position(|b| *b == b':').ok_or((400, "header field without a colon"))?;
    let name = line.slice(..colon);
    // White space may stand before the colon, not before the name.
    let end = name.iter().position(|b| is_space(*b)).unwrap_or(name.len());
    if !is_token(name.get(..end).unwrap_or_default()) || !trim(&name.slice(end..)).is_empty() {
        return Err((400, "header field name is no token"));
    }
    Ok((HeaderName::parse(&name.slice(..end)), trim(&line.slice(colon + 1..))))
}

/// Line ends that fold become one space together with the white space around them.
fn unfold(line: Bytes) -> Bytes {
    let mut rest = line.clone();
    let Some(first) = take_line(&mut rest) else { return line };
    let mut out = BytesMut::with_capacity(line.len());
    out.extend_from_slice(&first);
    loop {
        let next = take_line(&mut rest);
        out.put_u8(b' ');
        out.extend_from_slice(&trim(next.as_ref().unwrap_or(&rest)));
        if next.is_none() {
            return out.freeze();
        }
    }
}
