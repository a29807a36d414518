//! The small pieces of RFC 3261 section 25 that several header fields share.

use bytes::{BufMut, Bytes, BytesMut};

use super::uri::MAX_URI;

/// `;name=value` pairs in order; a quoted value keeps its quotes.
pub(crate) type Parameters = Vec<(Bytes, Option<Bytes>)>;

/// More parameters than any sane peer sends; beyond, comparing each with each for doubles would cost too much.
const MAX_PARAMETERS: usize = 64;

/// Longest comment seen as one.
const MAX_COMMENT: usize = 256;

/// `token` characters.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// A `token`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Linear white space left after unfolding.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without white space at both ends.
pub(crate) fn trim(bytes: &Bytes) -> Bytes {
    let start = bytes.iter().position(|b| !is_space(*b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !is_space(*b)).map_or(start, |last| last + 1);
    bytes.slice(start..end)
}

/// The bytes before and after the first `separator`.
pub(crate) fn split_once(bytes: &Bytes, separator: u8) -> Option<(Bytes, Bytes)> {
    let at = bytes.iter().position(|b| *b == separator)?;
    Some((bytes.slice(..at), bytes.slice(at + 1..)))
}

/// `1*DIGIT` up to `max`, leading zeros allowed.
pub(crate) fn number(bytes: &[u8], max: u64) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit).filter(|n| *n <= max)
    })
}

/// Splits at a separator that stands outside quoted strings, angle brackets and comments. Empty pieces are yielded too;
/// pieces are trimmed.
pub(crate) struct Split {
    rest: Option<Bytes>,
    separator: u8,
    brackets: bool,
}

impl Split {
    /// A comma list of header field values.
    pub(crate) const fn list(value: Bytes) -> Self {
        Self { rest: Some(value), separator: b',', brackets: true }
    }
    /// The pieces of a parameter list, or of a challenge, where only quotes group.
    pub(crate) const fn quoted(value: Bytes, separator: u8) -> Self {
        Self { rest: Some(value), separator, brackets: false }
    }
}

impl Iterator for Split {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let rest = self.rest.take()?;
        let Some(at) = separator_at(&rest, self.separator, self.brackets) else { return Some(trim(&rest)) };
        self.rest = Some(rest.slice(at + 1..));
        Some(trim(&rest.slice(..at)))
    }
}

/// Where the next separator outside groups stands.
pub(crate) fn separator_at(bytes: &[u8], separator: u8, brackets: bool) -> Option<usize> {
    let mut at = 0;
    let mut after_space = true;
    while let Some(byte) = bytes.get(at).copied() {
        if byte == separator {
            return Some(at);
        }
        let group = match byte {
            b'"' => quoted_len(bytes.get(at..)?),
            b'<' if brackets => near(bytes, at, MAX_URI).iter().position(|b| *b == b'>').map(|end| end + 1),
            // Only where a word could start: parentheses are ordinary characters inside a URI's user part.
            b'(' if brackets && after_space => comment_len(near(bytes, at, MAX_COMMENT)),
            _ => Some(1),
        };
        after_space = is_space(byte);
        // A group without an end: an open quote hides everything behind it, anything else is an ordinary character.
        at += match group {
            Some(len) => len,
            None if byte == b'"' => return None,
            None => 1,
        };
    }
    None
}

/// What follows a position, so far as a group may reach: many opening brackets must not cost a scan of everything each.
fn near(bytes: &[u8], at: usize, reach: usize) -> &[u8] {
    bytes.get(at..bytes.len().min(at + reach)).unwrap_or_default()
}

/// Length of the quoted string at the start, with both quotes.
pub(crate) fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Length of the comment at the start, with both parentheses; comments nest.
fn comment_len(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The content of a quoted string (given with its quotes) with quoted pairs resolved; other bytes as they are.
pub(crate) fn unquote(bytes: &Bytes) -> Bytes {
    let Some(inner) = bytes.strip_prefix(b"\"").and_then(|b| b.strip_suffix(b"\"")) else { return bytes.clone() };
    if !inner.contains(&b'\\') {
        return bytes.slice_ref(inner);
    }
    let mut out = BytesMut::with_capacity(inner.len());
    let mut escaped = false;
    for byte in inner {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            out.put_u8(*byte);
            escaped = false;
        }
    }
    out.freeze()
}

/// Writes a quoted string: quotes and backslashes escaped, control characters replaced by spaces.
pub(crate) fn put_quoted(out: &mut BytesMut, content: &[u8]) {
    out.put_u8(b'"');
    for byte in content {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(if byte.is_ascii_control() { b' ' } else { *byte });
    }
    out.put_u8(b'"');
}

/// `*(SEMI name [EQUAL value])`, each name at most once.
pub(crate) fn parameters(bytes: &Bytes) -> Result<Parameters, &'static str> {
    let bytes = trim(bytes);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if !bytes.starts_with(b";") {
        return Err("text where a parameter was expected");
    }
    let mut parsed = Parameters::new();
    for piece in Split::quoted(bytes.slice(1..), b';') {
        let (name, value) = parameter(&piece)?;
        if parsed.len() == MAX_PARAMETERS {
            return Err("too many parameters");
        }
        if find(&parsed, &name).is_some() {
            return Err("parameter given twice");
        }
        parsed.push((name, value));
    }
    Ok(parsed)
}

/// One `name [EQUAL value]`.
pub(crate) fn parameter(piece: &Bytes) -> Result<(Bytes, Option<Bytes>), &'static str> {
    let (name, value) = match split_once(piece, b'=') {
        Some((name, value)) => (trim(&name), Some(trim(&value))),
        None => (piece.clone(), None),
    };
    if !is_token(&name) {
        return Err("parameter name is no token");
    }
    if value.as_ref().is_some_and(|value| !is_parameter_value(value)) {
        return Err("malformed parameter value");
    }
    Ok((name, value))
}

/// A token, a host, or a quoted string; other visible characters are let through where they end nothing.
fn is_parameter_value(value: &[u8]) -> bool {
    if value.starts_with(b"\"") {
        return quoted_len(value) == Some(value.len());
    }
    !value.is_empty()
        && value.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b',' | b';' | b'\\'))
}

/// The value of a parameter, names compared without case.
pub(crate) fn find<'a>(parameters: &'a Parameters, name: &[u8]) -> Option<&'a Option<Bytes>> {
    parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Writes parameters as they are, control characters replaced.
pub(crate) fn put_parameters(out: &mut BytesMut, parameters: &[(Bytes, Option<Bytes>)]) {
    for (name, value) in parameters {
        put_parameter(out, name, value.as_deref());
    }
}

/// Writes one `;name=value`.
pub(crate) fn put_parameter(out: &mut BytesMut, name: &[u8], value: Option<&[u8]>) {
    out.put_u8(b';');
    out.extend(name.iter().copied().map(visible));
    if let Some(value) = value {
        out.put_u8(b'=');
        out.extend(value.iter().copied().map(visible));
    }
}

/// Nothing that could end a line; horizontal tabs stay.
pub(crate) const fn visible(byte: u8) -> u8 {
    if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }
}

/// A value as it may go on the wire: control characters replaced by spaces, then trimmed. Copies only if it must.
pub(crate) fn clean(value: Bytes) -> Bytes {
    if value.iter().any(|b| visible(*b) != *b) {
        return trim(&value.iter().copied().map(visible).collect());
    }
    trim(&value)
}
