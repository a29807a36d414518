//! `a=crypto`: SRTP keys in descriptions (SDES, RFC 4568).

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use super::lines::Section;
use crate::srtp::{Identifier, LONGEST, MasterKey, PeerKey, Suite};

/// Suites in the order we offer them; a suite's tag is its place, from 1.
const OFFERED: [Suite; 4] =
    [Suite::AeadAes128Gcm, Suite::AeadAes256Gcm, Suite::Aes128CmSha1_80, Suite::Aes128CmSha1_32];

/// A key lives no longer (RFC 3711 section 9.2).
const LONGEST_LIFE: u64 = 1 << 48;

/// Some leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where the master keys of a call's trunk legs come from. It does not print itself.
#[derive(Clone)]
pub struct KeySource {
    seed: [u8; 32],
    drawn: u64,
}

impl KeySource {
    /// Keys drawn from this seed, which nobody may be able to guess.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Master keys for one leg, or one leg's next ones; never the same again.
    pub fn draw(&mut self, required: bool) -> Encryption {
        self.drawn += 1;
        let seed = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
        let mut random = StdRng::from_seed(seed.into());
        let mut octets = [[0; LONGEST]; OFFERED.len()];
        octets.iter_mut().for_each(|octets| random.fill(octets));
        Encryption { required, octets }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySource(***)")
    }
}

/// Encryption of a trunk leg: whether the call may do without, and the master keys of what we send, one for every suite.
/// It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Encryption {
    required: bool,
    octets: [[u8; LONGEST]; OFFERED.len()],
}

impl Encryption {
    /// Whether the leg may not be without.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Our master key for a suite.
    fn key(&self, suite: Suite) -> Option<MasterKey> {
        let at = OFFERED.iter().position(|offered| *offered == suite)?;
        MasterKey::new(suite, self.octets.get(at)?.get(..suite.key_len() + suite.salt_len())?)
    }

    /// The lines of an offer.
    pub(super) fn offered(&self) -> impl Iterator<Item = String> {
        let keys = OFFERED.into_iter().filter_map(|suite| self.key(suite));
        keys.zip(1..).map(|(key, tag)| line(tag, &key))
    }

    /// The first line of an offer that can be used, and our key for it.
    pub(super) fn choose(&self, section: &Section<'_>) -> Option<SrtpKeys> {
        section.attributes("crypto").filter_map(parse).find_map(|(tag, theirs)| {
            let ours = self.key(theirs.master.suite())?;
            // RFC 4568 section 7.1.2: the keys of the two directions are not the same.
            (ours != theirs.master).then_some(SrtpKeys { tag, ours, theirs })
        })
    }

    /// The line of an answer to [`Self::offered`]: one of ours, with its tag and suite.
    pub(super) fn answered(&self, section: &Section<'_>) -> Option<SrtpKeys> {
        let (tag, theirs) = section.attributes("crypto").find_map(parse)?;
        let suite = OFFERED.get(usize::try_from(tag).ok()?.checked_sub(1)?)?;
        let ours = self.key(*suite)?;
        (theirs.master.suite() == *suite && ours != theirs.master).then_some(SrtpKeys { tag, ours, theirs })
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("required", &self.required).finish_non_exhaustive()
    }
}

/// The keys two sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Which of the offer's lines was taken.
    tag: u32,
    /// What we send is protected with it.
    pub ours: MasterKey,
    /// What the peer sends is.
    pub theirs: PeerKey,
}

impl SrtpKeys {
    /// Keys agreed on in another way than by a description.
    #[must_use]
    pub fn new(ours: MasterKey, theirs: PeerKey) -> Self {
        Self { tag: 1, ours, theirs }
    }

    /// The suite, by its registered name.
    #[must_use]
    pub fn suite(&self) -> &'static str {
        name(self.ours.suite())
    }

    /// The line of an answer.
    pub(super) fn line(&self) -> String {
        line(self.tag, &self.ours)
    }
}

/// The registered name (RFC 4568 section 6.2, RFC 7714 section 14.2).
fn name(suite: Suite) -> &'static str {
    match suite {
        Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
        Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        Suite::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        Suite::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
    }
}

fn line(tag: u32, key: &MasterKey) -> String {
    format!("a=crypto:{tag} {} inline:{}", name(key.suite()), BASE64.encode(key.octets()))
}

/// A line that we can do exactly as it says; any other is as good as none.
fn parse(line: &str) -> Option<(u32, PeerKey)> {
    let mut words = line.split_ascii_whitespace();
    let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
    let tag = tag.parse().ok().filter(|_| tag.len() < 10)?;
    let suite = OFFERED.into_iter().find(|offered| name(*offered).eq_ignore_ascii_case(suite))?;
    words.all(is_harmless).then_some(())?;
    // Several keys would take turns by their names; one is all we keep.
    Some((tag, peer_key(suite, key.strip_prefix("inline:")?)?))
}

/// `key||salt["|" lifetime]["|" MKI ":" length]`
fn peer_key(suite: Suite, text: &str) -> Option<PeerKey> {
    let mut parts = text.split('|');
    let master = MasterKey::new(suite, &BASE64.decode(parts.next()?).ok()?)?;
    let mut key = PeerKey::unlimited(master);
    let mut part = parts.next();
    if let Some(lifetime) = part.filter(|part| !part.contains(':')) {
        key.lifetime = match lifetime.strip_prefix("2^") {
            Some(power) => 1_u64.checked_shl(power.parse().ok()?)?,
            None => lifetime.parse().ok()?,
        };
        (1..=LONGEST_LIFE).contains(&key.lifetime).then_some(())?;
        part = parts.next();
    }
    if let Some(identifier) = part {
        let (value, length) = identifier.split_once(':')?;
        let length = length.parse().ok().filter(|length| *length > 0)?;
        key.identifier = Identifier::new(value.parse().ok()?, length)?;
    }
    parts.next().is_none().then_some(key)
}

/// Whether a session parameter changes nothing of what we do (RFC 4568 section 6.3): no key derivation rate, any size of
/// the peer's replay window, and what may be ignored. Others (nothing encrypted, nothing authenticated, FEC) do.
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.starts_with("WSH=") || parameter == "KDR=0"
}

#[cfg(test)]
mod tests {
    use super::super::lines::Description;
    use super::*;

    const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn read(line: &str) -> Option<(u32, Suite, u64, Identifier)> {
        parse(line).map(|(tag, key)| (tag, key.master.suite(), key.lifetime, key.identifier))
    }

    #[test]
    fn lines_that_can_be_done_exactly_are_read() {
        let (suite, none) = (Suite::Aes128CmSha1_80, Identifier::default());
        let with = |rest: &str| read(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}{rest}"));
        assert_eq!(with(""), Some((1, suite, 1 << 48, none)));
        assert_eq!(with("|2^20"), Some((1, suite, 1 << 20, none)));
        assert_eq!(with("|1048576"), Some((1, suite, 1 << 20, none)));
        assert_eq!(with("|2^31|1:1"), Some((1, suite, 1 << 31, Identifier::new(1, 1).unwrap())));
        assert_eq!(with("|66051:4"), Some((1, suite, 1 << 48, Identifier::new(66_051, 4).unwrap())));
        assert_eq!(with(" KDR=0 WSH=128 -NEVER_HEARD_OF"), Some((1, suite, 1 << 48, none)));
        let gcm = "7 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";
        assert_eq!(read(gcm), Some((7, Suite::AeadAes128Gcm, 1 << 48, none)));
        assert_eq!(read(&format!("{gcm}==")), read(gcm), "with padding or without");
    }

    #[test]
    fn what_we_would_do_otherwise_is_as_good_as_no_line() {
        for rest in [
            "|2^0x",
            "|0",
            "|2^49",
            "|2^31|1:5",
            "|2^31|256:1",
            "|2^31|1:0",
            "|2^31|1:1|x",
            "|1:1|2^31",
            ";inline:AAAA",
            " KDR=5",
            " UNENCRYPTED_SRTP",
            " UNENCRYPTED_SRTCP",
            " UNAUTHENTICATED_SRTP",
            " FEC_ORDER=FEC_SRTP",
            " NEVER_HEARD_OF",
        ] {
            assert_eq!(read(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}{rest}")), None, "{rest}");
        }
        for line in [
            "",
            "1",
            "1 AES_CM_128_HMAC_SHA1_80",
            "x AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AEAD_AES_256_GCM inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNf",
            "1 AES_CM_128_HMAC_SHA1_80 inline:***",
            "1 AES_CM_128_HMAC_SHA1_80 uri:http",
            "1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn both_sides_have_the_keys_crosswise() {
        let mut source = KeySource::new([7; 32]);
        let (ours, theirs) = (source.draw(true), source.draw(true));
        let offer: String = ours.offered().map(|line| format!("{line}\r\n")).collect();
        assert_eq!(offer.lines().count(), 4);
        let text = format!("v=0\r\n{offer}");
        let taken = theirs.choose(&Description::parse(text.as_bytes()).unwrap().session).unwrap();
        assert_eq!(taken.suite(), "AEAD_AES_128_GCM");
        let text = format!("v=0\r\n{}\r\n", taken.line());
        let section = Description::parse(text.as_bytes()).unwrap().session;
        let agreed = ours.answered(&section).unwrap();
        assert_eq!((agreed.ours, agreed.theirs.master), (taken.theirs.master, taken.ours));
        // An answer with another tag than its suite's, or with our own key, is none.
        let text = format!("v=0\r\n{}\r\n", taken.line().replace("crypto:1", "crypto:2"));
        assert_eq!(ours.answered(&Description::parse(text.as_bytes()).unwrap().session), None);
        let text = format!("v=0\r\n{offer}");
        assert_eq!(ours.answered(&Description::parse(text.as_bytes()).unwrap().session), None);
        assert_eq!(ours.choose(&Description::parse(text.as_bytes()).unwrap().session), None);
    }

    #[test]
    fn no_key_is_drawn_twice_and_none_is_printed() {
        let mut source = KeySource::new([7; 32]);
        let keys: Vec<String> = (0..10).flat_map(|_| source.draw(false).offered().collect::<Vec<_>>()).collect();
        let mut secrets: Vec<&str> = keys.iter().filter_map(|line| line.rsplit_once(':').map(|(_, key)| key)).collect();
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), 40);
        let drawn = source.draw(true);
        assert_eq!(format!("{source:?} {drawn:?}"), "KeySource(***) Encryption { required: true, .. }");
    }
}
