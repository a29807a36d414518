//! What travels with an INVITE beside the call itself: the back end's own header fields, and what the page knows of the
//! visitor as the trunk wants to be told it: as a header field for each key, and as User-to-User (RFC 7433).
//!
//! Values are the visitor's: they are cleaned so that none can become a header field of its own.

use trunkline_config::{Calls, ContextFields};
use trunkline_signaling::endpoint::Transport;

use crate::routing::Route;

mod user_to_user;

/// Most further header fields in an INVITE.
pub const MAX_FIELDS: usize = 48;
/// Longest header field, name and value: what contact centres are known to take.
pub const MAX_LINE: usize = 1_024;
/// What an INVITE may measure in all over UDP. RFC 3261 section 18.1.1 sends anything above 1300 octets over TCP; a UDP
/// trunk behind a tunnel may lose it.
pub const MAX_DATAGRAM: usize = 1_250;
/// The same over a connection, where only the reader's patience counts.
pub const MAX_STREAM: usize = 16 * 1_024;
/// Octets of an INVITE beside Request-URI, SDP and further fields: request line, Via, From, Call-ID, CSeq, Contact,
/// Max-Forwards, Allow, Supported, User-Agent, Content-*, blank line, and an Authorization is not counted.
const BASE: usize = 690;

/// Header fields in order, name and value.
pub type Fields = Vec<(String, String)>;

/// What there is to tell a trunk.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Those of the gateway itself, which go first and always.
    pub ours: &'a [(String, String)],
    /// The back end's own header fields, from the session.
    pub own: &'a [(String, String)],
    /// What the page knows of the visitor, in order.
    pub context: &'a [(String, String)],
    /// The call's id: whoever has it can ask for the context.
    pub call: &'a str,
}

/// The fields of an INVITE over this route, first come first kept, and how many there was no room or no name for. Of two
/// names that differ only in case the first is kept: header field names are case-insensitive, context keys are not.
#[must_use]
pub fn of_invite(told: Told<'_>, route: &Route, over: &Transport, sdp: &str) -> (Fields, usize) {
    let mut packed = Packed::new(route, over, sdp);
    told.ours.iter().for_each(|(name, value)| packed.put(name.clone(), value));
    for (name, value) in told.own {
        if !is_history(name) {
            packed.push(name.clone(), &clean(value, room_for(name)));
        } else if route.calls.pass_headers.iter().any(|passed| passed.eq_ignore_ascii_case(name)) {
            packed.push(name.clone(), &on_one_line(value));
        } else {
            packed.dropped = packed.dropped.saturating_add(1);
        }
    }
    if let Some(template) = &route.user_to_user
        && !packed.has(user_to_user::NAME)
        && let Some(value) = user_to_user::value(template, told.context)
    {
        // What does not fit, or is longer than the template allows, is fetched by the call's id.
        let short = user_to_user::lookup(template, told.call);
        let value = value.filter(|value| packed.takes(user_to_user::NAME, value)).unwrap_or(short);
        packed.push(user_to_user::NAME.to_owned(), &value);
    }
    for (key, value) in told.context.iter().filter(|(key, _)| allows(&route.context_fields, key)) {
        let name = format!("{}{key}", route.context_fields.prefix);
        let value = clean(value, room_for(&name));
        packed.push(name, &value);
    }
    (packed.fields, packed.dropped)
}

/// Whether a back end may set a field of this name: an extension's own (`X-…`), User-to-User, or where the call has been
/// before, which goes to trunks that want it.
#[must_use]
pub fn is_free(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let extension = name.len() > 2 && name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"));
    let known = name.eq_ignore_ascii_case(user_to_user::NAME) || is_history(name);
    (extension || known) && name.len() <= 128 && name.bytes().all(token)
}

/// Whether a field tells where a call has been before (RFC 5806, RFC 7044).
fn is_history(name: &str) -> bool {
    ["Diversion", "History-Info"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Octets that From and the fields about the caller's identity take, beyond those of a nameless visitor.
fn identity_len(calls: &Calls) -> usize {
    let field = |value: &Option<String>| value.as_ref().map_or(0, |value| value.len().saturating_add(28));
    let named = [&calls.from_name, &calls.asserted_identity, &calls.privacy].map(field);
    named.iter().fold(calls.from_user.len(), |all, len| all.saturating_add(*len))
}

/// Octets a value may have behind this name.
fn room_for(name: &str) -> usize {
    MAX_LINE.saturating_sub(name.len().saturating_add(2))
}

fn allows(fields: &ContextFields, key: &str) -> bool {
    fields.allow.iter().any(|allowed| allowed == "*" || allowed == key)
}

/// Fields as they are added, within all limits.
struct Packed {
    fields: Fields,
    room: usize,
    dropped: usize,
}

impl Packed {
    fn new(route: &Route, over: &Transport, sdp: &str) -> Self {
        // The URI stands in the request line and in To.
        let used = BASE
            .saturating_add(route.request_uri.len().saturating_mul(2))
            .saturating_add(sdp.len())
            .saturating_add(identity_len(&route.calls));
        let most = if *over == Transport::Udp { MAX_DATAGRAM } else { MAX_STREAM };
        Self { fields: Fields::new(), room: most.saturating_sub(used), dropped: 0 }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(taken, _)| taken.eq_ignore_ascii_case(name))
    }

    fn takes(&self, name: &str, value: &str) -> bool {
        let line = name.len().saturating_add(value.len()).saturating_add(2);
        line <= MAX_LINE && line.saturating_add(2) <= self.room && self.fields.len() < MAX_FIELDS
    }

    fn push(&mut self, name: String, value: &str) {
        if !is_free(&name) || self.has(&name) || !self.takes(&name, value) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.put(name, value);
    }

    fn put(&mut self, name: String, value: &str) {
        self.room = self.room.saturating_sub(name.len().saturating_add(value.len()).saturating_add(4));
        self.fields.push((name, value.to_owned()));
    }
}

/// Controls become spaces; whatever is not ASCII, and `%` itself, is percent-encoded; cut where it grows too long, never
/// inside a character.
fn clean(value: &str, longest: usize) -> String {
    let mut out = String::new();
    for c in value.trim().chars() {
        let before = out.len();
        if c.is_control() {
            out.push(' ');
        } else if c.is_ascii() && c != '%' {
            out.push(c);
        } else {
            percent_encode(c, &mut out);
        }
        if out.len() > longest {
            out.truncate(before);
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A value whose escapes are its own: controls become spaces, what is not ASCII is encoded.
fn on_one_line(value: &str) -> String {
    let mut out = String::new();
    for c in value.trim().chars() {
        match c {
            c if c.is_control() => out.push(' '),
            c if c.is_ascii() => out.push(c),
            c => percent_encode(c, &mut out),
        }
    }
    out
}

fn percent_encode(c: char, out: &mut String) {
    let mut utf8 = [0; 4];
    c.encode_utf8(&mut utf8).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
}

#[cfg(test)]
mod tests;
