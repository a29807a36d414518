//! Who may begin something with us: known addresses, whoever knows a password, and everybody else, for whom nothing is
//! kept and little is done.
//!
//! ```text
//! Guard ─┬─ doors: whose addresses are known, whose password is asked for (RFC 3261 section 22, RFC 8760)
//!        ├─ nonces: made of the time and a secret; counted only once a password was right
//!        └─ meters: how often a stranger is answered, and may guess
//! ```

use std::net::IpAddr;

use crate::auth::Credentials;

mod guard;
mod meters;
mod nonces;
#[cfg(test)]
mod tests;

pub(crate) use guard::{Guard, Standing, Verdict};

/// Who may begin something, and how everybody else is met.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// The peers there are; of two that know an address the first counts.
    pub doors: Vec<Door>,
    /// What a password is asked for.
    pub realm: String,
    /// How everybody else is met.
    pub strangers: Strangers,
}

/// One peer: a trunk.
#[derive(Debug, Clone)]
pub struct Door {
    /// Its name, told with each call.
    pub name: String,
    /// Where it is known to send from.
    pub sources: Vec<Network>,
    /// Whether its calls are taken. The rest of what it asks is answered either way.
    pub calls: bool,
    /// Calls from anywhere else are its own if they know this.
    pub credentials: Option<Credentials>,
}

/// How those are met whom nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strangers {
    /// One answer without state.
    #[default]
    Refuse,
    /// Nothing is said, unless a password is to be asked for.
    Silent,
}

/// What became of requests outside of dialogs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionStats {
    /// Calls taken from known addresses.
    pub known: u64,
    /// Calls taken for a password.
    pub proved: u64,
    /// Passwords asked for.
    pub challenged: u64,
    /// Answers that proved nothing.
    pub wrong: u64,
    /// Answers to strangers.
    pub answered: u64,
    /// Answers strangers did not get: they are to have none, or have had too many.
    pub silenced: u64,
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// One address.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: width(address) }
    }

    /// An address, or `address/bits`; `None` for what is neither, or has bits set beyond its prefix.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, bits)) = text.split_once('/') else { return text.parse().ok().map(Self::one) };
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
        let network = Self { address, bits };
        (number(address) & !network.mask() == 0).then_some(network)
    }

    /// Whether an address is one of them. IPv4 is IPv4, however it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && number(address) & self.mask() == number(self.address)
    }

    /// Of the address as a number, left-aligned.
    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(self.bits))).unwrap_or(0)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as the highest bits of a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}
