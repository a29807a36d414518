//! Keys of tokens that come and go, and tokens that lie about their key.

use trunkline_config::Config;

use super::*;
use crate::settings::Settings;

/// RFC 8410 section 10: one key pair.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----";

fn shared(letter: char) -> TokenKey {
    TokenKey::Shared(Secret::new(letter.to_string().repeat(32)))
}

fn private() -> TokenKey {
    TokenKey::Private(Secret::new(PRIVATE))
}

fn public() -> TokenKey {
    TokenKey::Public(PUBLIC.to_owned())
}

fn with(keys: &[TokenKey]) -> Config {
    let mut config = testing::config();
    config.public.token_keys = keys.to_vec();
    config
}

fn desk(keys: &[TokenKey]) -> Desk {
    Desk::new(with(keys).into())
}

fn takes(desk: &Desk, token: &str) -> bool {
    match desk.tokens().verify(now().wall, token) {
        Ok(_) => true,
        Err(problem) => {
            assert_eq!((problem.slug, problem.status), ("invalid-token", 401));
            false
        }
    }
}

#[test]
fn a_key_is_replaced_without_a_gap() {
    let settings = Settings::new(with(&[shared('a')]));
    let desk = Desk::new(settings.clone());
    let (old, _) = issued(&desk);
    settings.replace(with(&[shared('b'), shared('a')]));
    let (new, _) = issued(&desk);
    assert!(takes(&desk, &old) && takes(&desk, &new));
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_ne!(kid(&old), kid(&new));
    // A node that has not heard of the change signs with the old key; the others take it.
    assert!(takes(&desk, &issued(&self::desk(&[shared('a')])).0));
    settings.replace(with(&[shared('b')]));
    assert!(!takes(&desk, &old) && takes(&desk, &new));
}

#[test]
fn the_random_key_outlives_a_change_of_the_configuration() {
    let settings = Settings::new(with(&[]));
    let desk = Desk::new(settings.clone());
    let (token, _) = issued(&desk);
    settings.replace(with(&[]));
    assert!(takes(&desk, &token));
    assert!(!takes(&self::desk(&[]), &token), "another process has another one");
    // The pages of live calls still have what it has signed; what is new is signed by the configured one.
    settings.replace(with(&[shared('a')]));
    assert!(takes(&desk, &token));
    let (new, _) = issued(&desk);
    assert!(takes(&self::desk(&[shared('a')]), &new) && !takes(&self::desk(&[shared('a')]), &token));
}

#[test]
fn an_ed25519_key_signs_and_its_public_half_checks() {
    let desk = desk(&[private()]);
    let (token, claims) = issued(&desk);
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, claims.mode), (Algorithm::EdDSA, Mode::Live));
    assert!(takes(&desk, &token));
    let checks = self::desk(&[shared('a'), public()]);
    assert!(takes(&checks, &token));
    assert_eq!(jsonwebtoken::decode_header(&issued(&checks).0).unwrap().alg, Algorithm::HS256);
    let (claims, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    assert!(!takes(&desk, &format!("{claims}.{flipped}{}", &signature[1..])));
}

/// Every way to make one key pass for another.
#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let both = desk(&[private(), shared('a')]);
    let (ed, claims) = issued(&both);
    let (hs, _) = issued(&desk(&[shared('a')]));
    assert!(takes(&both, &ed) && takes(&both, &hs));
    let claims = serde_json::to_value(&claims).unwrap();
    let (ed_header, hs_header) = (jsonwebtoken::decode_header(&ed).unwrap(), jsonwebtoken::decode_header(&hs).unwrap());
    let sign = |header: &Header, secret: &[u8]| {
        jsonwebtoken::encode(header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let kid = ed_header.kid.clone();
    let hs256 = |kid: &Option<String>| Header { alg: Algorithm::HS256, kid: kid.clone(), ..Header::default() };
    let raw = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let raw: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&raw[2 * at..2 * at + 2], 16).unwrap()).collect();
    let parts: Vec<&str> = ed.split('.').collect();
    let b64 = |header: Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string())
    };
    let ed_under = |header: &Header| {
        jsonwebtoken::encode(header, &claims, &EncodingKey::from_ed_pem(PRIVATE.as_bytes()).unwrap()).unwrap()
    };
    for (what, token) in [
        ("HS256 with the public key's PEM", sign(&hs256(&kid), PUBLIC.as_bytes())),
        ("HS256 with the public key's octets", sign(&hs256(&kid), &raw)),
        ("HS256 with the right secret under the other key's name", sign(&hs256(&kid), "a".repeat(32).as_bytes())),
        ("HS256 under its name with another secret", sign(&hs_header, "b".repeat(32).as_bytes())),
        ("EdDSA under the other key's name", ed_under(&Header { kid: hs_header.kid.clone(), ..ed_header.clone() })),
        ("EdDSA without a name", ed_under(&Header { kid: None, ..ed_header.clone() })),
        ("EdDSA with crit", ed_under(&Header { crit: Some(vec!["b64".into()]), ..ed_header.clone() })),
        ("EdDSA with jku", ed_under(&Header { jku: Some("https://evil.example/jwks".into()), ..ed_header.clone() })),
        ("no algorithm", format!("{}.{}.", b64(json!({"alg": "none", "typ": "JWT", "kid": kid})), parts[1])),
        ("no algorithm, the old signature", {
            format!("{}.{}.{}", b64(json!({"alg": "none", "typ": "JWT", "kid": kid})), parts[1], parts[2])
        }),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
    ] {
        assert!(!takes(&both, &token), "{what}");
    }
}
