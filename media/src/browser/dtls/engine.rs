//! The handshake engine behind a wall: one association, no timers of its own, no panic that gets out.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::{CryptoError, RTCCrypto, RTCCryptoProvider, RTCRandom};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use super::hello::{COOKIE, ClientHello, Cookie};
use super::identity::{self, DtlsIdentity};
use super::record;
use crate::browser::srtp::Profile;
use crate::sdp::browser::Fingerprint;

/// Handshake messages are cut to fit the smallest path a call is likely to meet.
const MTU: usize = 1200;
/// RFC 5764 section 4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
/// The engine's own repeats are never asked for.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// The engine names its associations by address; ours has one and its address may change.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

const SUITES: [CipherSuiteId; 2] = [
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
];
/// The registered numbers of the cipher suites we accept.
pub(super) const SUITE_NUMBERS: [u16; 2] = [SUITES[0] as u16, SUITES[1] as u16];

/// What feeding led to.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// To be sent.
    pub(super) datagrams: Vec<Vec<u8>>,
    /// The handshake is done with this.
    pub(super) connected: bool,
    /// The peer said goodbye or gave up, authentically.
    pub(super) closed: bool,
}

/// Why feeding failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EngineError {
    /// The input was no good; nothing else happened.
    Unusable,
    /// The engine ended the handshake with an alert.
    Refused {
        code: u8,
        /// The certificate is not the one in the SDP.
        fingerprint: bool,
        datagrams: Vec<Vec<u8>>,
    },
    /// A bug in the engine; it must not be used any more.
    Panicked,
}

/// One association.
pub(super) struct Engine {
    endpoint: Endpoint,
    mismatch: Arc<AtomicBool>,
    sequence: u64,
}

impl Engine {
    /// A server for the client of this hello: it agrees on its best SRTP profile, and gives out the cookie in it.
    pub(super) fn new(identity: &DtlsIdentity, fingerprints: &Arc<[Fingerprint]>, hello: &ClientHello) -> Option<Self> {
        let provider = Arc::new(WithCookie {
            provider: Arc::clone(identity.provider()),
            cookie: hello.cookie.as_slice().try_into().ok()?,
            given: AtomicBool::new(false),
        });
        let mismatch = Arc::new(AtomicBool::new(false));
        let (fingerprints, flag) = (Arc::clone(fingerprints), Arc::clone(&mismatch));
        let config = settings(identity, provider)
            .with_srtp_protection_profiles(vec![use_srtp(hello.profile)])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_insecure_skip_verify(true) // the fingerprint below is the verification (RFC 8827 section 6.5)
            .with_verify_peer_certificate(Some(Arc::new(move |chain: &[Vec<u8>], _| {
                if chain.first().is_some_and(|certificate| identity::matches(certificate, &fingerprints)) {
                    return Ok(());
                }
                flag.store(true, Ordering::Relaxed);
                Err(Error::Other("the certificate is not the one in the SDP".into()))
            })))
            .build(false, None)
            .ok()?;
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, Some(Arc::new(config)));
        Some(Self { endpoint, mismatch, sequence: 0 })
    }

    /// Goes on where another one has stopped after its handshake.
    pub(super) fn resume(now: Instant, identity: &DtlsIdentity, state: State) -> Option<Self> {
        let config = settings(identity, Arc::clone(identity.provider())).build(false, None).ok()?;
        let mut endpoint = Endpoint::new(PEER, TransportProtocol::UDP, None);
        // Whose hello came first is in the state; a state that is done sends nothing here.
        endpoint.connect(now, PEER, Arc::new(config), Some(state)).ok()?;
        Some(Self { endpoint, mismatch: Arc::default(), sequence: 0 })
    }

    /// What it knows of the association.
    pub(super) fn state(&self) -> Option<&State> {
        self.endpoint.get_connection_state(PEER)
    }

    /// Feeds the body of a plain record.
    pub(super) fn feed_plain(&mut self, now: Instant, kind: u8, body: &[u8]) -> Result<Fed, EngineError> {
        let record = record::plain(kind, self.sequence, body);
        self.sequence += 1;
        self.feed(now, record)
    }

    /// Feeds a record.
    pub(super) fn feed(&mut self, now: Instant, record: Vec<u8>) -> Result<Fed, EngineError> {
        let data = BytesMut::from(&record[..]);
        let endpoint = &mut self.endpoint;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = endpoint.read(now, PEER, None, data);
            let datagrams: Vec<_> =
                std::iter::from_fn(|| endpoint.poll_transmit()).map(|t| t.message.to_vec()).collect();
            (result, datagrams)
        }));
        let (result, datagrams) = result.map_err(|_| EngineError::Panicked)?;
        let events = match result {
            Ok(events) => events,
            Err(Error::ErrAlertFatalOrClose) => return Ok(Fed { datagrams, connected: false, closed: true }),
            Err(_) => {
                let Some(code) = datagrams.iter().find_map(|d| fatal_alert(d)) else {
                    return Err(EngineError::Unusable);
                };
                let fingerprint = self.mismatch.load(Ordering::Relaxed);
                return Err(EngineError::Refused { code, fingerprint, datagrams });
            }
        };
        let connected = events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete));
        let closed = events.iter().any(|e| matches!(e, EndpointEvent::PeerClosed));
        Ok(Fed { datagrams, connected, closed })
    }

    /// Whether records of the next epoch can be opened.
    pub(super) fn can_open(&self) -> bool {
        self.state().and_then(|s| s.cipher_suite()).is_some_and(|suite| suite.is_initialized())
    }

    /// Both sides' SRTP keys and salts, if the engine agrees on the profile.
    pub(super) fn keying_material(&self, profile: Profile) -> Option<Vec<u8>> {
        let state = self.state()?;
        if state.srtp_protection_profile() != use_srtp(profile) {
            return None;
        }
        let material = state.export_keying_material(EXPORTER_LABEL, &[], profile.keying_material_len()).ok()?;
        Some(material.as_ref().to_vec())
    }

    /// Ends the association; what is returned is to be sent.
    pub(super) fn close(mut self, now: Instant) -> Vec<Vec<u8>> {
        let endpoint = &mut self.endpoint;
        let datagrams = catch_unwind(AssertUnwindSafe(|| {
            endpoint.stop(now, PEER);
            std::iter::from_fn(|| endpoint.poll_transmit()).map(|t| t.message.to_vec()).collect()
        }));
        datagrams.unwrap_or_default()
    }
}

fn settings(identity: &DtlsIdentity, provider: Arc<dyn RTCCryptoProvider>) -> ConfigBuilder {
    ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_certificates(vec![identity.certificate.clone()])
        .with_cipher_suites(SUITES.to_vec())
        .with_flight_interval(NEVER)
        .with_mtu(MTU)
}

/// The engine draws its cookie at random; this makes it draw the one we gave out already. Everything else is as random
/// as it was.
struct WithCookie {
    provider: Arc<dyn RTCCryptoProvider>,
    cookie: Cookie,
    given: AtomicBool,
}

impl RTCCryptoProvider for WithCookie {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    fn random(&self) -> &dyn RTCRandom {
        self
    }
}

impl RTCRandom for WithCookie {
    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        if output.len() == COOKIE && !self.given.swap(true, Ordering::Relaxed) {
            output.copy_from_slice(&self.cookie);
            return Ok(());
        }
        self.provider.random().fill(output)
    }
}

fn use_srtp(profile: Profile) -> SrtpProtectionProfile {
    profile.id().into()
}

/// The code of a plain fatal alert in an outgoing datagram.
fn fatal_alert(datagram: &[u8]) -> Option<u8> {
    let alert = record::records(datagram).flatten().find(|r| r.kind == record::ALERT)?;
    match (alert.epoch, alert.body) {
        (0, &[2, code]) => Some(code),
        _ => None,
    }
}
