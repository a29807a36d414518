//! The one HTTP client for URLs that the configuration or a back end names: webhooks, the answer hook, prompts.
//!
//! Whoever names a URL may mean harm, and so may whoever answers. So: https only, and addresses are looked at after the
//! name is resolved and dialled as they were looked at (`address`), unless a policy allows more; no redirect is
//! followed, nothing is unpacked, no cookie is kept, no proxy of the environment is used; every answer has a limit in
//! bytes and every exchange one in time.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use trunkline_signaling::transport::tls;

pub mod address;
mod connect;
mod failure;
mod pool;
mod target;
#[cfg(test)]
mod tests;

pub use failure::Failure;

use connect::Connection;
use pool::Pool;
use target::Target;

/// A body nobody wants is read so far and so long, for the connection to be used again.
const REST_BYTES: usize = 16 * 1024;
const REST_TIME: Duration = Duration::from_millis(500);

/// What is asked, of whom, and on which terms.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Fields besides `Host`, `User-Agent` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The terms.
    pub policy: Policy,
}

/// The terms of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// http and private addresses are allowed too.
    pub allow_insecure: bool,
    /// From the look-up of the name to the last byte.
    pub timeout: Duration,
    /// What is wanted of the answer's body.
    pub take: Take,
}

/// What is wanted of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All of it; an answer of more bytes than this is a failure.
    Whole(usize),
    /// Nothing: the status says all. A body that is long, slow or breaks off changes nothing.
    Nothing,
}

/// What came back: any status, also one that redirects.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Its header, as it came.
    pub headers: HeaderMap,
    /// Its body, as it came: packed if the peer packed it. Empty for [`Take::Nothing`].
    pub body: Bytes,
}

/// How a name becomes addresses.
pub type Resolve = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The client; clones share its connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    tls: RwLock<Option<Arc<ClientConfig>>>,
    resolve: Resolve,
    pool: Pool,
}

impl Client {
    /// Trusts the certificate authorities of a PEM file, or those of the system; where the system has none, no https
    /// URL is reached.
    ///
    /// # Errors
    /// The file is named and holds none.
    pub fn new(authorities: Option<&Path>) -> Result<Self, tls::RootsError> {
        Self::with_resolver(authorities, system_resolver())
    }

    /// As [`Self::new`], with names resolved by something else than the system.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_resolver(authorities: Option<&Path>, resolve: Resolve) -> Result<Self, tls::RootsError> {
        let tls = RwLock::new(roots(authorities)?);
        Ok(Self { inner: Arc::new(Inner { tls, resolve, pool: Pool::default() }) })
    }

    /// Trusts others from now on.
    ///
    /// # Errors
    /// As for [`Self::new`]; then nothing has changed.
    pub fn trust(&self, authorities: Option<&Path>) -> Result<(), tls::RootsError> {
        let trusted = roots(authorities)?;
        *self.inner.tls.write().unwrap_or_else(PoisonError::into_inner) = trusted;
        self.inner.pool.clear();
        Ok(())
    }

    /// Sends a request once. (Twice only where a connection that had waited turns out closed before anything comes
    /// back.)
    ///
    /// # Errors
    /// No answer, or more of it than wanted. Every status is an answer.
    pub async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let target = Target::parse(&request.url, request.policy.allow_insecure)?;
        let exchange = self.inner.exchange(&target, request);
        tokio::time::timeout(request.policy.timeout, exchange).await.map_err(|_| Failure::TimedOut)?
    }
}

impl Inner {
    async fn exchange(&self, target: &Target, request: &Request) -> Result<Answer, Failure> {
        if let Some(connection) = self.pool.take(&target.peer, Instant::now()) {
            match self.ask(connection, target, request).await {
                Err(Failure::Closed) => {}
                answered => return answered,
            }
        }
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
        let connection = connect::connect(&target.peer, tls, &self.resolve, request.policy.timeout).await?;
        self.ask(connection, target, request).await
    }

    async fn ask(&self, mut connection: Connection, target: &Target, request: &Request) -> Result<Answer, Failure> {
        let (head, body) = connection.exchange(message(target, request)?).await?.into_parts();
        let body = match request.policy.take {
            Take::Whole(limit) => Some(collect(body, limit).await?),
            Take::Nothing => match tokio::time::timeout(REST_TIME, collect(body, REST_BYTES)).await {
                Ok(Ok(_)) => Some(Bytes::new()),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        if body.is_some() && connection.is_reusable().await {
            self.pool.give(&target.peer, connection, Instant::now());
        }
        Ok(Answer { status: head.status, headers: head.headers, body: body.unwrap_or_default() })
    }
}

fn message(target: &Target, request: &Request) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let broken = Failure::Url("it cannot be asked for");
    let mut message = hyper::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = target.path.parse().map_err(|_| broken.clone())?;
    *message.headers_mut() = request.headers.clone();
    let host = HeaderValue::from_str(&target.host_field).map_err(|_| broken)?;
    message.headers_mut().insert(HOST, host);
    let agent = concat!("trunkline/", env!("CARGO_PKG_VERSION"));
    message.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
    Ok(message)
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    let claimed = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if claimed > limit {
        return Err(Failure::TooLarge);
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > limit {
            return Err(Failure::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn roots(authorities: Option<&Path>) -> Result<Option<Arc<ClientConfig>>, tls::RootsError> {
    match tls::client(authorities) {
        Ok(config) => Ok(Some(config)),
        Err(error) if authorities.is_some() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "no https URL can be reached");
            Ok(None)
        }
    }
}

fn system_resolver() -> Resolve {
    Arc::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }))
}
