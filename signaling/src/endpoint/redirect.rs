//! 3xx: whom to ask instead (RFC 3261 section 8.1.3.4). Whether to follow is for the caller of the endpoint to say.

use super::Failure;
use super::compose;
use crate::message::{HeaderName, NameAddr, Response, Uri};

/// Contacts of one answer that are told.
const MAX_CONTACTS: usize = 8;
/// The weight of a Contact that names none, in thousandths.
const FULL: u16 = 1000;

/// What a 3xx says.
pub(super) fn read(response: &Response) -> Failure {
    let mut contacts: Vec<(u16, Uri)> = response
        .headers
        .list(&HeaderName::Contact)
        .filter_map(|value| NameAddr::parse(&value).ok())
        .map(|contact| (weight(&contact), contact.uri))
        .collect();
    // Stable: of equal ones the first comes first.
    contacts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    contacts.truncate(MAX_CONTACTS);
    Failure::Redirected {
        status: response.status,
        contacts: contacts.into_iter().map(|(_, uri)| uri).collect(),
        reason: compose::reason_of(&response.headers),
    }
}

/// `q` (RFC 3261 section 20.10) in thousandths; what is none counts least.
fn weight(contact: &NameAddr) -> u16 {
    let Some(value) = contact.parameter("q").flatten() else { return FULL };
    let text = String::from_utf8_lossy(value);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    match (whole, part.parse::<u16>()) {
        ("1", _) => FULL,
        ("0", Ok(part)) => part,
        _ => 0,
    }
}
