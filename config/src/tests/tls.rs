//! `public.tls`: files as operators have them.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::load_in;

const TOML: &str = "[public]\nlisten = '0.0.0.0:443'\nurl = 'https://voice.example.com'\n\
                    tls = { certificate = 'cert.pem', key = 'key.pem' }\n[control]\napi_keys = []\n";

/// Writes a certificate that is good until the end of this month of this year, and its key.
fn write(dir: &Path, year: i32, month: u8) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["voice.example.com".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(year, month, 28));
    std::fs::write(dir.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn complaints(dir: &Path) -> Vec<String> {
    let shown = |problem: &crate::Problem| problem.to_string().replace(&format!("{}/", dir.display()), "");
    load_in(dir, TOML, &[]).err().map_or(Vec::new(), |problems| problems.0.iter().map(shown).collect())
}

fn notes(dir: &Path) -> Vec<String> {
    let loaded = load_in(dir, TOML, &[]).unwrap().for_run().unwrap();
    loaded.notes.iter().filter(|note| note.key.starts_with("public.tls")).map(ToString::to_string).collect()
}

#[test]
fn a_certificate_with_its_key_is_read_and_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 2027, 5);
    let config = load_in(dir.path(), TOML, &[]).unwrap().for_run().unwrap().config;
    let tls = config.public.tls.as_ref().unwrap();
    assert_eq!(tls.identity.expires().to_string(), "2027-05-28T00:00:00Z");
    assert!(notes(dir.path()).is_empty());
    let text = crate::describe(&config);
    assert!(text.contains("listening on 0.0.0.0:443, TLS, certificate good until 2027-05-28T00:00:00Z"), "{text}");

    // Another certificate shows as another configuration.
    let same = load_in(dir.path(), TOML, &[]).unwrap().config;
    assert_eq!(format!("{config:?}"), format!("{same:?}"));
    write(dir.path(), 2027, 5);
    let other = load_in(dir.path(), TOML, &[]).unwrap().config;
    assert_ne!(format!("{config:?}"), format!("{other:?}"));
}

#[test]
fn a_certificate_at_its_end_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 2026, 6);
    assert!(notes(dir.path()).is_empty());
    write(dir.path(), 2026, 5);
    let expired = "line 4: public.tls.certificate: the certificate has expired on 2026-05-28T00:00:00Z: browsers will not connect";
    assert_eq!(notes(dir.path()), [expired]);
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_key_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let missing = "No such file or directory (os error 2)";
    assert_eq!(
        complaints(dir.path()),
        [
            format!("line 4: public.tls.certificate: cannot read cert.pem: {missing}"),
            format!("line 4: public.tls.key: cannot read key.pem: {missing}")
        ]
    );
    write(dir.path(), 2027, 5);
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(
        complaints(dir.path()),
        ["line 4: public.tls.key: key.pem is not the key of the certificate in cert.pem"]
    );
    std::fs::copy(&cert, &key).unwrap();
    assert_eq!(complaints(dir.path()), ["line 4: public.tls.key: key.pem holds no unencrypted private key in PEM"]);
    write(dir.path(), 2027, 5);
    std::fs::write(&cert, "nothing").unwrap();
    assert_eq!(complaints(dir.path()), ["line 4: public.tls.certificate: cert.pem holds no certificate in PEM"]);
    std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert_eq!(complaints(dir.path()), ["line 4: public.tls.certificate: cert.pem: the first certificate is none"]);
    std::fs::remove_file(&cert).unwrap();
    std::fs::create_dir(&cert).unwrap();
    assert_eq!(complaints(dir.path()), ["line 4: public.tls.certificate: cert.pem is no file"]);
}
