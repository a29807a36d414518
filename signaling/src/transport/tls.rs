//! Whom an encrypted connection trusts.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The certificates to trust cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file.
    #[error("{0}")]
    File(String),
    /// There is none.
    #[error("no certificate authority to trust")]
    Empty,
    /// The library refuses.
    #[error(transparent)]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// TLS 1.2 and 1.3 as a client that trusts the certificate authorities of this PEM file, or those of the system.
///
/// # Errors
/// If there is nobody to trust.
pub fn client(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            let file = |error: &dyn std::fmt::Display| RootsError::File(format!("{}: {error}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| file(&error))? {
                roots.add(certificate.map_err(|error| file(&error))?)?;
            }
        }
        None => {
            // One that cannot be read is no reason not to trust the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(RootsError::Empty);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
