//! Encrypted connections as both ends: who we are, and whom we trust.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};

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
    Tls(#[from] Error),
}

/// What handshakes are done with. Clones share it: what is put in its place holds for every connection from then on,
/// and closes none.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    keys: Arc<RwLock<Keys>>,
}

/// Certificates of ours and authorities we trust. By default there are none: nothing is encrypted then, and nothing
/// that should be is sent.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    /// For some domains we are somebody else.
    clients: HashMap<String, Arc<ClientConfig>>,
}

impl Keys {
    /// `own` is shown to whoever connects and to peers that ask for it, unless there is another for their domain in
    /// `others`; peers are checked against the authorities of the PEM file or, without one, of the system.
    ///
    /// # Errors
    /// If there is nobody to trust; a server alone is made by [`Self::server_only`].
    pub fn new(
        authorities: Option<&Path>,
        own: Option<&Arc<CertifiedKey>>,
        others: impl IntoIterator<Item = (String, Arc<CertifiedKey>)>,
    ) -> Result<Self, RootsError> {
        let roots = Arc::new(roots(authorities)?);
        let clients = others
            .into_iter()
            .map(|(domain, key)| Ok((domain.to_ascii_lowercase(), Arc::new(client_config(&roots, Some(&key))?))));
        Ok(Self {
            client: Some(Arc::new(client_config(&roots, own)?)),
            clients: clients.collect::<Result<_, Error>>()?,
            ..Self::server_only(own)?
        })
    }

    /// Trusts nobody, so that no connection of ours comes up.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn server_only(own: Option<&Arc<CertifiedKey>>) -> Result<Self, RootsError> {
        let server = own.map(|key| {
            let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_no_client_auth();
            Ok::<_, Error>(Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))))))
        });
        Ok(Self { server: server.transpose()?, ..Self::default() })
    }
}

impl Tls {
    /// Begins with these.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys: Arc::new(RwLock::new(keys)) }
    }

    /// Others, from now on.
    pub fn replace(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// For a connection to a domain.
    pub(super) fn client(&self, domain: &str) -> Option<Arc<ClientConfig>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clients.get(&domain.to_ascii_lowercase()).or(keys.client.as_ref()).cloned()
    }

    /// For a connection from a peer.
    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).server.clone()
    }
}

/// TLS 1.2 and 1.3 as a client that trusts the certificate authorities of this PEM file, or those of the system.
///
/// # Errors
/// If there is nobody to trust.
pub fn client(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    Ok(Arc::new(client_config(&Arc::new(roots(authorities)?), None)?))
}

fn client_config(roots: &Arc<RootCertStore>, own: Option<&Arc<CertifiedKey>>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_root_certificates(Arc::clone(roots));
    Ok(match own {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
        None => builder.with_no_client_auth(),
    })
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, RootsError> {
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
    if roots.is_empty() { Err(RootsError::Empty) } else { Ok(roots) }
}
