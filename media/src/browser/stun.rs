//! The part of STUN (RFC 8489) an ICE-lite agent needs: reading Binding requests, writing their answers.
//!
//! Reading borrows, allocates nothing and is total: hostile bytes give `None`.

use std::net::{IpAddr, SocketAddr};

use rtc_crypto::Mac;

pub(super) const BINDING_REQUEST: u16 = 0x0001;
pub(super) const BINDING_INDICATION: u16 = 0x0011;
pub(super) const BINDING_SUCCESS: u16 = 0x0101;
pub(super) const BINDING_ERROR: u16 = 0x0111;

pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;

/// Of a peer-reflexive candidate (RFC 8445 section 5.1.2.1), which a check must name.
const CHECK_PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 0xff;

const MAGIC_COOKIE: u32 = 0x2112_A442;
const HEADER: usize = 20;
const INTEGRITY: usize = 20;
/// How many unknown attributes a 420 names; a request with more is no browser's.
const UNKNOWN_LIMIT: usize = 8;

/// One attribute of a message, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
    /// Offset of the attribute's header in the message.
    at: usize,
}

/// The message type, if these are a STUN header and as many octets as it says.
pub(super) fn message_type(bytes: &[u8]) -> Option<u16> {
    let (kind, length, cookie) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?, u32_at(bytes, 4)?);
    let whole = length % 4 == 0 && bytes.len() == HEADER + usize::from(length);
    (kind < 0x4000 && cookie == MAGIC_COOKIE && whole).then_some(kind)
}

/// The attributes up to the first broken one.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let attribute = attribute_at(bytes, at)?;
        at += 4 + attribute.value.len().next_multiple_of(4);
        Some(attribute)
    })
}

fn attribute_at(bytes: &[u8], at: usize) -> Option<Attribute<'_>> {
    let (kind, length) = (u16_at(bytes, at)?, usize::from(u16_at(bytes, at + 2)?));
    let value = bytes.get(at + 4..at + 4 + length)?;
    // The padding belongs to the message, too.
    bytes.get(at + 4..at + 4 + length.next_multiple_of(4))?;
    Some(Attribute { kind, value, at })
}

/// A Binding request that is well-formed (RFC 8489 section 6.3); its integrity is still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request<'a> {
    bytes: &'a [u8],
    pub(super) transaction: [u8; 12],
    pub(super) username: Option<&'a str>,
    /// Offset and value of MESSAGE-INTEGRITY.
    integrity: Option<(usize, &'a [u8])>,
    pub(super) use_candidate: bool,
    /// The peer believes itself controlled.
    pub(super) controlled: bool,
    unknown: [u16; UNKNOWN_LIMIT],
    unknown_count: usize,
}

impl<'a> Request<'a> {
    /// Reads a request; `None` if it is none, is malformed, or carries a wrong FINGERPRINT.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if message_type(bytes)? != BINDING_REQUEST {
            return None;
        }
        let mut request = Self {
            bytes,
            transaction: bytes.get(8..20)?.try_into().ok()?,
            username: None,
            integrity: None,
            use_candidate: false,
            controlled: false,
            unknown: [0; UNKNOWN_LIMIT],
            unknown_count: 0,
        };
        let mut end = HEADER;
        for attribute in attributes(bytes) {
            end = attribute.at + 4 + attribute.value.len().next_multiple_of(4);
            request.take(attribute)?;
        }
        (end == bytes.len()).then_some(request)
    }

    fn take(&mut self, attribute: Attribute<'a>) -> Option<()> {
        let value = attribute.value;
        if attribute.kind == FINGERPRINT {
            return fingerprint_holds(self.bytes, attribute).then_some(());
        }
        // RFC 8489 section 14.5: what follows MESSAGE-INTEGRITY is not authentic and is ignored.
        if self.integrity.is_some() {
            return Some(());
        }
        match attribute.kind {
            USERNAME => self.username = Some(std::str::from_utf8(value).ok()?),
            MESSAGE_INTEGRITY if value.len() == INTEGRITY => self.integrity = Some((attribute.at, value)),
            MESSAGE_INTEGRITY => return None,
            USE_CANDIDATE => self.use_candidate = true,
            ICE_CONTROLLED => self.controlled = true,
            PRIORITY => {}
            0x0000..=0x7fff => {
                if let Some(slot) = self.unknown.get_mut(self.unknown_count) {
                    *slot = attribute.kind;
                    self.unknown_count += 1;
                }
            }
            0x8000..=0xffff => {}
        }
        Some(())
    }

    /// Whether MESSAGE-INTEGRITY is there and made with this key. The comparison takes constant time.
    pub(super) fn is_authentic(&self, key: &mut dyn Mac) -> bool {
        self.integrity.is_some_and(|(at, value)| integrity_holds(self.bytes, at, value, key))
    }

    /// Comprehension-required attributes we do not know.
    pub(super) fn unknown(&self) -> &[u16] {
        self.unknown.get(..self.unknown_count).unwrap_or_default()
    }
}

/// Whether this is a sound answer made with this key.
pub(super) fn is_authentic_answer(bytes: &[u8], key: &mut dyn Mac) -> bool {
    let is_answer = matches!(message_type(bytes), Some(BINDING_SUCCESS | BINDING_ERROR));
    let integrity = attributes(bytes).find(|attribute| attribute.kind == MESSAGE_INTEGRITY);
    let whole = attributes(bytes).filter(|a| a.kind == FINGERPRINT).all(|a| fingerprint_holds(bytes, a));
    is_answer && whole && integrity.is_some_and(|a| integrity_holds(bytes, a.at, a.value, key))
}

/// Whether MESSAGE-INTEGRITY at this offset is made with this key.
fn integrity_holds(bytes: &[u8], at: usize, value: &[u8], key: &mut dyn Mac) -> bool {
    let Some((head, rest)) = bytes.split_at_checked(4) else { return false };
    let (Some(body), Some(kind)) = (rest.get(..at.saturating_sub(4)), head.get(..2)) else { return false };
    // The length counts up to and with MESSAGE-INTEGRITY, whatever follows.
    let length = u16::try_from(at + 4 + INTEGRITY - HEADER).unwrap_or(u16::MAX).to_be_bytes();
    key.verify(&[kind, &length, body], value).is_ok()
}

/// A check of ours, as the controlled agent that a lite one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnCheck<'a> {
    pub(super) transaction: [u8; 12],
    /// Their fragment, then ours.
    pub(super) username: (&'a str, &'a str),
    pub(super) tie_breaker: u64,
}

impl OwnCheck<'_> {
    /// Appends the request with MESSAGE-INTEGRITY and FINGERPRINT to `buffer`.
    pub(super) fn write(&self, key: &mut dyn Mac, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&BINDING_REQUEST.to_be_bytes());
        buffer.extend_from_slice(&[0, 0]);
        buffer.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        buffer.extend_from_slice(&self.transaction);
        let (theirs, ours) = self.username;
        write_attribute(USERNAME, [theirs, ":", ours].concat().as_bytes(), buffer);
        write_attribute(PRIORITY, &CHECK_PRIORITY.to_be_bytes(), buffer);
        write_attribute(ICE_CONTROLLED, &self.tie_breaker.to_be_bytes(), buffer);
        seal(start, key, buffer);
    }
}

fn fingerprint_holds(bytes: &[u8], attribute: Attribute<'_>) -> bool {
    let is_last = attribute.at + 8 == bytes.len();
    let (Some(covered), Ok(value)) = (bytes.get(..attribute.at), <[u8; 4]>::try_from(attribute.value)) else {
        return false;
    };
    is_last && crc32(covered) ^ 0x5354_554E == u32::from_be_bytes(value)
}

/// An answer to a Binding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// Success, with the address the request came from.
    Success(SocketAddr),
    /// 420 with the attributes it is about.
    UnknownAttributes(&'a [u16]),
    /// 487.
    RoleConflict,
}

impl Answer<'_> {
    /// Appends the answer with MESSAGE-INTEGRITY and FINGERPRINT to `buffer`.
    pub(super) fn write(&self, transaction: &[u8; 12], key: &mut dyn Mac, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        let kind = match self {
            Self::Success(_) => BINDING_SUCCESS,
            Self::UnknownAttributes(_) | Self::RoleConflict => BINDING_ERROR,
        };
        buffer.extend_from_slice(&kind.to_be_bytes());
        buffer.extend_from_slice(&[0, 0]);
        buffer.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        buffer.extend_from_slice(transaction);
        match self {
            Self::Success(from) => write_xor_mapped(*from, transaction, buffer),
            Self::UnknownAttributes(kinds) => {
                write_attribute(ERROR_CODE, b"\0\0\x04\x14Unknown Attribute", buffer);
                let mut value = [0; UNKNOWN_LIMIT * 2];
                for (slot, kind) in value.chunks_exact_mut(2).zip(*kinds) {
                    slot.copy_from_slice(&kind.to_be_bytes());
                }
                let length = kinds.len().min(UNKNOWN_LIMIT) * 2;
                write_attribute(UNKNOWN_ATTRIBUTES, value.get(..length).unwrap_or_default(), buffer);
            }
            Self::RoleConflict => write_attribute(ERROR_CODE, b"\0\0\x04\x57Role Conflict", buffer),
        }
        seal(start, key, buffer);
    }
}

/// Adds MESSAGE-INTEGRITY and FINGERPRINT to the message that begins at `start`.
fn seal(start: usize, key: &mut dyn Mac, buffer: &mut Vec<u8>) {
    set_length(start, 4 + INTEGRITY, buffer);
    let mut integrity = [0; INTEGRITY];
    let message = buffer.get(start..).unwrap_or_default();
    if key.sign(&[message], &mut integrity).is_err() {
        // No provider refuses HMAC-SHA1 over a few octets; if one does, nothing sensible can be sent.
        buffer.truncate(start);
        return;
    }
    write_attribute(MESSAGE_INTEGRITY, &integrity, buffer);
    set_length(start, 8, buffer);
    let crc = crc32(buffer.get(start..).unwrap_or_default()) ^ 0x5354_554E;
    write_attribute(FINGERPRINT, &crc.to_be_bytes(), buffer);
}

fn set_length(start: usize, more: usize, buffer: &mut [u8]) {
    let length = u16::try_from(buffer.len() + more - start - HEADER).unwrap_or(u16::MAX);
    if let Some(field) = buffer.get_mut(start + 2..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn write_attribute(kind: u16, value: &[u8], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&kind.to_be_bytes());
    buffer.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    buffer.extend_from_slice(value);
    let padding = value.len().next_multiple_of(4) - value.len();
    buffer.extend(std::iter::repeat_n(0, padding));
}

/// RFC 8489 section 14.2.
fn write_xor_mapped(address: SocketAddr, transaction: &[u8; 12], buffer: &mut Vec<u8>) {
    let mask = MAGIC_COOKIE.to_be_bytes().into_iter().chain(*transaction);
    let port = address.port() ^ 0x2112;
    let ip = address.ip().to_canonical();
    let (family, length) = if ip.is_ipv4() { (1, 8_u16) } else { (2, 20) };
    buffer.extend_from_slice(&XOR_MAPPED_ADDRESS.to_be_bytes());
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(&[0, family]);
    buffer.extend_from_slice(&port.to_be_bytes());
    match ip {
        IpAddr::V4(ip) => buffer.extend(ip.octets().into_iter().zip(mask).map(|(octet, mask)| octet ^ mask)),
        IpAddr::V6(ip) => buffer.extend(ip.octets().into_iter().zip(mask).map(|(octet, mask)| octet ^ mask)),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// CRC-32 of ITU-T V.42, as FINGERPRINT wants it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = crc_table();
    let step = |crc: u32, nibble: u32| {
        let index = ((crc ^ nibble) & 0xf) as usize;
        TABLE.get(index).copied().unwrap_or_default() ^ (crc >> 4)
    };
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let byte = u32::from(byte);
        step(step(crc, byte & 0xf), byte >> 4)
    })
}

const fn crc_table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing)] // const evaluation: a wrong index would not compile
        {
            table[index] = value;
        }
        index += 1;
    }
    table
}

#[cfg(test)]
#[path = "stun_tests.rs"]
pub(super) mod testing;
