//! Session tokens: JWT (RFC 7519, RFC 8725), HS256 alone, one key.

use std::sync::Once;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trunkline_config::Secret;

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
    /// It can start no call any more; for the call it has started it stays good.
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

/// The key that signs and checks tokens.
pub struct TokenKey {
    header: Header,
    issuer: String,
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
}

impl TokenKey {
    /// A key. The issuer is part of every token: another gateway's tokens are not ours, even under the same key.
    #[must_use]
    pub fn new(secret: &Secret, issuer: &str) -> Self {
        use_one_crypto_library();
        let secret = secret.reveal().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_exp = false; // Checked here, against the time that is passed in.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key_id(secret));
        Self {
            header,
            issuer: issuer.to_owned(),
            sign: EncodingKey::from_secret(secret),
            check: DecodingKey::from_secret(secret),
            validation,
        }
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
            mode: if session.preview { Mode::Preview } else { Mode::Live },
            sid: session.id.clone(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.sign)
            .map_err(|_| Problem::internal_error("the token could not be signed"))?;
        Ok((token, Timestamp::from_second(exp).unwrap_or(wall)))
    }

    /// Checks a token. Problem: `invalid-token` 401, the same for whatever is wrong with it.
    pub fn verify(&self, wall: Timestamp, token: &str) -> Result<Verified, Problem> {
        let invalid = || Problem::invalid_token("send the token of a session as a bearer token");
        if token.len() > LONGEST {
            return Err(invalid());
        }
        // The header must be the very one we write: no other algorithm or key, no jku, x5u, jwk, crit, …
        if jsonwebtoken::decode_header(token).map_err(|_| invalid())? != self.header {
            return Err(invalid());
        }
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation).map_err(|_| invalid())?.claims;
        let now = wall.as_second();
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(0);
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(0);
        if claims.exp.saturating_sub(claims.iat) > lifetime || claims.iat > now.saturating_add(leeway) {
            return Err(invalid());
        }
        let expired = now >= claims.exp.saturating_add(leeway);
        Ok(Verified { claims, expired })
    }
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
