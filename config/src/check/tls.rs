//! `public.tls`, `sip.tls`, `trunks.tls`: a certificate and its key, as a listener can use them.

use std::path::Path;

use jiff::{Timestamp, ToSpan};
use rustls::Error;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::path;
use super::validity::Validity;
use crate::host::Host;
use crate::model::{Identity, Tls};
use crate::raw::RawTls;
use crate::report::Report;
use crate::secrets::Secrets;

/// Largest PEM file that is read, bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// How long before its end a certificate is pointed at, days.
const SOON_DAYS: i64 = 21;

/// `at`: where it stands.
pub(super) fn tls(at: &str, raw: &RawTls, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Tls> {
    let (at_certificate, at_key) = (&format!("{at}.certificate"), &format!("{at}.key"));
    let (certificate, key) = (path(&raw.certificate, secrets), path(&raw.key, secrets));
    let chain = complain(report, at_certificate, chain(&certificate));
    let validity =
        chain.as_ref().and_then(|(_, validity)| complain(report, at_certificate, judge(at, *validity, host.now)));
    if let Some(Some(note)) = validity {
        report.note(at_certificate, note);
    }
    let private = complain(report, at_key, private_key(&key));
    let ((chain, validity), private) = (chain?, private?);
    let identity = complain(report, at_key, join(chain, private, &certificate, &key))?;
    Some(Tls { certificate, key, identity: Identity::new(identity, validity.until) })
}

fn complain<T>(report: &mut Report, key: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|message| report.problem(key, message)).ok()
}

/// The chain, and how long its first certificate is good.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, Validity), String> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| format!("{}: {error}", path.display()))?;
    let leaf = chain.first().ok_or_else(|| format!("{} holds no certificate in PEM", path.display()))?;
    let validity = Validity::of(leaf).ok_or_else(|| format!("{}: the first certificate is none", path.display()))?;
    Ok((chain, validity))
}

/// The library's errors name sections and positions, never what stands there.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            return format!("{} holds no unencrypted private key in PEM", path.display());
        }
        format!("{}: {error}", path.display())
    })
}

fn join(
    chain: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
    certificate: &Path,
    key: &Path,
) -> Result<CertifiedKey, String> {
    CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| {
        let (key, certificate) = (key.display(), certificate.display());
        if matches!(error, Error::InconsistentKeys(_)) {
            return format!("{key} is not the key of the certificate in {certificate}");
        }
        format!("{key} with {certificate}: {error}")
    })
}

/// What to say of a certificate's time. Browsers take none that has expired, but a gateway whose certificate does is
/// better than none: others may not be so strict, and a new one is put in its place while it runs.
fn judge(at: &str, validity: Validity, now: Timestamp) -> Result<Option<String>, String> {
    let who = if at == "public.tls" { "browsers" } else { "peers" };
    let Validity { from, until } = validity;
    if from > until {
        return Err(format!("the certificate ends ({until}) before it begins ({from})"));
    }
    let soon = now.checked_add((24 * SOON_DAYS).hours()).unwrap_or(Timestamp::MAX);
    Ok(if now > until {
        Some(format!("the certificate has expired on {until}: {who} will not connect"))
    } else if now < from {
        Some(format!("the certificate is good from {from} on: {who} will not connect before"))
    } else if soon > until {
        Some(format!("the certificate expires on {until}"))
    } else {
        None
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()));
    }
    std::fs::read(path).map_err(cannot)
}
