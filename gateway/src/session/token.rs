//! Session tokens: JWT (RFC 7519, RFC 8725), signed with HS256 or EdDSA; the key decides which.

use std::sync::Once;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trunkline_config::{Secret, TokenKey};

use super::{LIFETIME, Session};
use crate::ids::SessionId;
use crate::problem::Problem;

/// No token of ours is longer.
const LONGEST: usize = 4096;
/// Whom tokens are for.
const AUDIENCE: &str = "trunkline";
/// How far the clocks of the nodes that share a key may be apart.
const LEEWAY: Duration = Duration::from_secs(5);

/// Whether a session may start calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It may.
    Live,
    /// It may not.
    Preview,
    /// It waits for calls, and answers them.
    Receive,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the public URL of the gateway.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// Until when a call may be started, seconds since 1970.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// This token's own name.
    pub jti: String,
    /// App.
    pub app: String,
    /// Profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prf: Option<String>,
    /// Live or preview.
    pub mode: Mode,
    /// Session.
    pub sid: SessionId,
}

/// A token that is ours, fresh or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// It can start no call, any more or by a clock that was set back since it was made; for the call it has started it
    /// stays good.
    pub expired: bool,
}

impl Verified {
    /// The claims, if it can still start a call. Problem: `token-expired` 401.
    pub fn fresh(self) -> Result<Claims, Problem> {
        if self.expired {
            return Err(Problem::token_expired("create a new session"));
        }
        Ok(self.claims)
    }
}

/// The keys of tokens: the first that can signs, all of them check. So a key is replaced without a gap: the new one is put
/// before the old one, which goes when the tokens it signed have expired.
pub struct TokenKeys {
    issuer: String,
    ring: Vec<Key>,
}

struct Key {
    /// Of every token of this key, to the letter: the algorithm belongs to the key (RFC 8725 section 3.1).
    header: Header,
    sign: Option<EncodingKey>,
    check: DecodingKey,
    validation: Validation,
}

impl TokenKeys {
    /// The configured keys; last `random`, which signs when there is none, and checks on what it has signed when there comes
    /// one. The issuer is part of every token: another gateway's tokens are not ours, even under the same key.
    #[must_use]
    pub fn new(configured: &[TokenKey], random: &Secret, issuer: &str) -> Self {
        use_one_crypto_library();
        let random = TokenKey::Shared(random.clone());
        let keys = configured.iter().chain([&random]);
        Self { issuer: issuer.to_owned(), ring: keys.filter_map(|key| Key::of(key, issuer)).collect() }
    }

    /// A token for a session, and until when it can start a call.
    pub fn issue(&self, wall: Timestamp, session: &Session, jti: [u8; 16]) -> Result<(String, Timestamp), Problem> {
        let iat = wall.as_second();
        let exp = iat.saturating_add(i64::try_from(LIFETIME.as_secs()).unwrap_or(0));
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            exp,
            iat,
            jti: hex(&jti),
            app: session.app.clone(),
            prf: session.profile.clone(),
            mode: match session.receive {
                _ if session.preview => Mode::Preview,
                Some(_) => Mode::Receive,
                None => Mode::Live,
            },
            sid: session.id.clone(),
        };
        let signed =
            self.ring.iter().find_map(|key| Some(jsonwebtoken::encode(&key.header, &claims, key.sign.as_ref()?)));
        let Some(Ok(token)) = signed else {
            return Err(Problem::internal_error("the token could not be signed"));
        };
        Ok((token, Timestamp::from_second(exp).unwrap_or(wall)))
    }

    /// Checks a token. Problem: `invalid-token` 401, the same for whatever is wrong with it.
    pub fn verify(&self, wall: Timestamp, token: &str) -> Result<Verified, Problem> {
        let invalid = || Problem::invalid_token("send the token of a session as a bearer token");
        if token.len() > LONGEST {
            return Err(invalid());
        }
        // The header must be the very one we write under one of the keys, which its kid picks: no other algorithm, no
        // jku, x5u, jwk, crit, …
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let key = self.ring.iter().find(|key| key.header == header).ok_or_else(invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.check, &key.validation).map_err(|_| invalid())?.claims;
        let now = wall.as_second();
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(0);
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(0);
        if claims.exp.saturating_sub(claims.iat) > lifetime {
            return Err(invalid());
        }
        let expired = now >= claims.exp.saturating_add(leeway) || claims.iat > now.saturating_add(leeway);
        Ok(Verified { claims, expired })
    }
}

impl Key {
    /// `None` for what is no key at all, which the configuration does not let through.
    fn of(key: &TokenKey, issuer: &str) -> Option<Self> {
        let (algorithm, sign, check, id) = match key {
            TokenKey::Shared(secret) => {
                let secret = secret.reveal().as_bytes();
                let (sign, check) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
                (Algorithm::HS256, Some(sign), check, key_id(secret))
            }
            TokenKey::Private(pem) => {
                let sign = EncodingKey::from_ed_pem(pem.reveal().as_bytes()).ok()?;
                let (check, id) = public_half(&Jwk::from_encoding_key(&sign, Algorithm::EdDSA).ok()?)?;
                (Algorithm::EdDSA, Some(sign), check, id)
            }
            TokenKey::Public(pem) => {
                let check = DecodingKey::from_ed_pem(pem.as_bytes()).ok()?;
                let (check, id) = public_half(&Jwk::from_decoding_key(&check, Some(Algorithm::EdDSA)).ok()?)?;
                (Algorithm::EdDSA, None, check, id)
            }
        };
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_exp = false; // Checked by hand, against the time that is passed in.
        let mut header = Header::new(algorithm);
        header.kid = Some(id);
        Some(Self { header, sign, check, validation })
    }
}

/// What checks an Ed25519 key's tokens, and the key's name: the same whichever half is at hand.
fn public_half(key: &Jwk) -> Option<(DecodingKey, String)> {
    let AlgorithmParameters::OctetKeyPair(pair) = &key.algorithm else { return None };
    Some((DecodingKey::from_ed_components(&pair.x).ok()?, key_id(pair.x.as_bytes())))
}

/// A name for the key that says nothing useful about it.
fn key_id(secret: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"trunkline key id\0").chain_update(secret).finalize();
    hex(digest.get(..8).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Should another crate of the build ever switch on the second implementation, the choice would be ambiguous.
fn use_one_crypto_library() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}
