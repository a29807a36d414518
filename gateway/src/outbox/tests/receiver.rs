//! A receiver of webhooks on real sockets, plain or TLS, which does what a test's script says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The event's id.
    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Call and place in it.
    pub(super) fn place(&self) -> (String, u64) {
        let event: Value = serde_json::from_slice(&self.body).unwrap();
        (event["data"]["call"].as_str().unwrap_or_default().to_owned(), event["seq"].as_u64().unwrap())
    }
}

/// How a request is answered: status, further fields, after so long.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Duration);
type Script = Arc<dyn Fn(usize, &Got) -> Answer + Send + Sync>;

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) tls: bool,
    got: Arc<Mutex<Vec<Got>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// `script` is told how many requests came before, and the request.
    pub(super) async fn start(script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), Arc::new(script), None).await
    }

    /// As [`Self::start`], over TLS. Also the file of the authority that signed its certificate.
    pub(super) async fn start_tls(
        dir: &std::path::Path,
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
    ) -> (Self, PathBuf) {
        let (pem, acceptor) = certificate();
        let path = dir.join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        (Self::listen("127.0.0.1:0".parse().unwrap(), Arc::new(script), Some(acceptor)).await, path)
    }

    async fn listen(address: SocketAddr, script: Script, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, tls) = (listener.local_addr().unwrap(), acceptor.is_some());
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let seen = got.clone();
        let router = Router::new().fallback(move |request: Request| answer(request, seen.clone(), script.clone()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (router, acceptor) = (router.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, router).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, router).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, tls, got, task }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}/hook", if self.tls { "https" } else { "http" }, self.address)
    }

    /// All that came so far.
    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.got().iter().map(|got| got.id().to_owned()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn ok() -> Answer {
    status(204)
}

pub(super) fn status(status: u16) -> Answer {
    (status, Vec::new(), Duration::ZERO)
}

async fn answer(request: Request, seen: Arc<Mutex<Vec<Got>>>, script: Script) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let got = Got { path: parts.uri.to_string(), headers: parts.headers, body };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(got.clone());
        seen.len() - 1
    };
    let (status, fields, wait) = script(before, &got);
    tokio::time::sleep(wait).await;
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(name, value);
    }
    response.body(Body::empty()).unwrap()
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: Router) {
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

/// A certificate authority in PEM, and a server of 127.0.0.1 with a certificate of its.
fn certificate() -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], PrivateKeyDer::try_from(server_key.serialize_der()).unwrap())
        .unwrap();
    (pem, TlsAcceptor::from(Arc::new(config)))
}
