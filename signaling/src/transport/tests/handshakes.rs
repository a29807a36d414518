//! Certificates that must not be believed, and handshakes with those who show them.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::{authority, identity, keys, named};
use crate::transport::tls::Tls;

/// What is wrong, the domain it is shown for, itself, and a part of what the error says.
pub(crate) type Bad = (&'static str, &'static str, Arc<CertifiedKey>, &'static str);

pub(super) fn below(
    issuer: &Issuer<'_, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named(&[]);
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
}

fn self_signed(params: &CertificateParams) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, &ring::default_provider()).unwrap())
}

/// All that must not be believed by who trusts `ours`.
pub(crate) fn bad_certificates(
    ours: &CertifiedIssuer<'static, KeyPair>,
    stranger: &CertifiedIssuer<'static, KeyPair>,
) -> Vec<Bad> {
    let with = |names: &[&str], change: &dyn Fn(&mut CertificateParams)| {
        let mut params = named(names);
        change(&mut params);
        identity(ours, &params, &[])
    };
    let plain = |names: &[&str]| with(names, &|_| {});
    let middle = below(ours, |_| {});
    let no_authority = below(ours, |params| params.is_ca = IsCa::ExplicitNoCa);
    let old = below(ours, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let trunk = named(&["trunk.example"]);
    vec![
        (
            "expired",
            "trunk.example",
            with(&["trunk.example"], &|params| {
                (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            }),
            "expired",
        ),
        (
            "not yet valid",
            "trunk.example",
            with(&["trunk.example"], &|params| {
                (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
            }),
            "not valid yet",
        ),
        ("another name", "trunk.example", plain(&["other.example"]), "not valid for name"),
        ("its beginning", "trunk.example", plain(&["trunk.example.other.example"]), "not valid for name"),
        ("the name of the host", "example.com", plain(&["sip1.example.com"]), "not valid for name"),
        ("self-signed", "trunk.example", self_signed(&trunk), "UnknownIssuer"),
        ("an unknown authority", "trunk.example", identity(stranger, &trunk, &[]), "UnknownIssuer"),
        ("no way to the authority", "trunk.example", identity(&middle, &trunk, &[]), "UnknownIssuer"),
        (
            "signed by nobody of authority",
            "trunk.example",
            identity(&no_authority, &trunk, &[no_authority.as_ref().der().clone()]),
            "",
        ),
        (
            "signed by an authority of the past",
            "trunk.example",
            identity(&old, &trunk, &[old.as_ref().der().clone()]),
            "",
        ),
        (
            "of a client",
            "trunk.example",
            with(&["trunk.example"], &|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "",
        ),
        (
            "a common name alone",
            "trunk.example",
            with(&[], &|params| params.distinguished_name.push(DnType::CommonName, "trunk.example")),
            "not valid for name",
        ),
        ("a wildcard for a whole top level", "trunk.example", plain(&["*.example"]), ""),
        ("a wildcard for two labels", "a.b.example.net", plain(&["*.example.net"]), "not valid for name"),
        ("another address", "127.0.0.1", plain(&["127.0.0.2"]), "not valid for name"),
        ("a name for an address", "127.0.0.1", plain(&["localhost"]), "not valid for name"),
    ]
}

/// A server that shows this certificate.
pub(super) fn server(own: &Arc<CertifiedKey>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    Arc::new(config)
}

/// One of our connections, without a network, to a peer that shows a bad certificate; all that chance decides comes out of
/// `dice`: which one, which version of TLS, in what pieces it all arrives. What our side says of it.
///
/// # Panics
/// If the connection comes up, or the peer reads a word.
pub(crate) fn refused_without_a_network(mut dice: impl FnMut() -> u64) -> String {
    static PEERS: LazyLock<(Tls, Vec<Bad>)> = LazyLock::new(|| {
        let (ours, stranger) = (authority(), authority());
        (Tls::new(keys(&ours, None, Vec::new())), bad_certificates(&ours, &stranger))
    });
    let (tls, peers) = &*PEERS;
    let (what, domain, own, part) = &peers[usize::try_from(dice()).unwrap_or_default() % peers.len()];
    let versions: [&[&'static SupportedProtocolVersion]; 3] = [&[&TLS13, &TLS12], &[&TLS13], &[&TLS12]];
    let versions = versions[usize::try_from(dice()).unwrap_or_default() % 3];
    let mut client =
        ClientConnection::new(tls.client(domain).unwrap(), ServerName::try_from(*domain).unwrap()).unwrap();
    let mut peer = ServerConnection::new(server(own, versions)).unwrap();
    // It goes out with the end of the handshake, were there one.
    client.writer().write_all(b"INVITE sip:agent@trunk.example SIP/2.0\r\n\r\n").unwrap();
    let mut piece = || 1 + usize::try_from(dice() % 700).unwrap_or_default();
    for _ in 0..20 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        for bytes in wire.chunks(piece()) {
            peer.read_tls(&mut &*bytes).unwrap();
            // What it thinks of our alert is of no interest.
            let _ = peer.process_new_packets();
        }
        let mut heard = [0; 16];
        assert!(peer.reader().read(&mut heard).map_or(0, |read| read) == 0, "{what}: the peer reads {heard:?}");
        let mut wire = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut wire).unwrap();
        }
        for bytes in wire.chunks(piece()) {
            client.read_tls(&mut &*bytes).unwrap();
            if let Err(error) = client.process_new_packets() {
                let error = error.to_string();
                assert!(error.contains("invalid peer certificate") && error.contains(part), "{what}: {error}");
                return error;
            }
        }
    }
    panic!("{what}: it is neither refused nor taken");
}
