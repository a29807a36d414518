//! HTTP/1.1 to one listener, over TLS where its URL says `https`. Connections are kept.
#![allow(clippy::disallowed_methods)] // The edge: an answer is waited for in real time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use trunkline_signaling::transport::tls;

/// From a request to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener; clones share its connections.
#[derive(Clone)]
pub(crate) struct Web(Arc<Listener>);

struct Listener {
    /// As it was written, without a slash at its end.
    base: String,
    uri: Uri,
    tls: Option<TlsConnector>,
    /// Connections that wait: never more than requests were under way at once.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Web {
    /// The listener of this URL. `authorities`: a PEM file of those who vouch for its certificate, in place of the
    /// system's.
    pub(crate) fn to(base: &str, authorities: Option<&Path>) -> Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("{base}: no URL"))?;
        ensure!(uri.host().is_some(), "{base}: a URL with a scheme and a host");
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(tls::client(authorities).context("whom to trust")?.into()),
            Some(_) | None => bail!("{base}: http or https"),
        };
        Ok(Self(Arc::new(Listener { base, uri, tls, idle: Mutex::default() })))
    }

    /// The origin of a page that comes from it.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.0.uri.scheme_str().unwrap_or_default(), self.authority())
    }

    fn authority(&self) -> &str {
        self.0.uri.authority().map(|authority| authority.as_str()).unwrap_or_default()
    }

    /// A request for what is at this path.
    pub(crate) fn request(&self, method: &str, path: &str) -> Builder {
        let prefix = self.0.uri.path().trim_end_matches('/');
        Request::builder().method(method).uri(format!("{prefix}{path}")).header(HOST, self.authority())
    }

    /// Sends a request; its answer, whatever it says.
    pub(crate) async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Result<Answer> {
        let request = request.body(Full::new(body.into()))?;
        let what = format!("{} {}{}", request.method(), self.0.base, request.uri().path());
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer.context(what),
            Err(_) => bail!("{what}: no answer within {PATIENCE:?}"),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut connection = match self.waiting() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = match connection.try_send_request(request).await {
            Ok(response) => response,
            // It was closed while it waited, and took nothing.
            Err(mut failed) => {
                let Some(request) = failed.take_message() else { return Err(failed.into_error().into()) };
                connection = self.connect().await?;
                connection.send_request(request).await?
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await?.to_bytes();
        // overflow: as many as were under way at once, which the scenario bounds.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(Answer { status, headers, body })
    }

    /// The connection that was used last and is still open.
    fn waiting(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let Listener { uri, tls, .. } = &*self.0;
        // An IPv6 address stands in brackets in a URL alone.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        match tls {
            None => speak(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())?;
                speak(tls.connect(name, stream).await.context("TLS")?).await
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with its sender; what went wrong on it is what the request says.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

impl Answer {
    /// This answer if it has this status.
    pub(crate) fn expect(self, wanted: StatusCode) -> Result<Self> {
        ensure!(self.status == wanted, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }

    /// Its body as text.
    pub(crate) fn text(self) -> Result<String> {
        Ok(String::from_utf8(self.body.into())?)
    }

    /// Its body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_prefix_and_without_a_slash() {
        let web = Web::to("http://gateway.example:8080/voice/", None).unwrap();
        let request = web.request("GET", "/readyz").body(()).unwrap();
        assert_eq!((web.origin().as_str(), request.uri().path()), ("http://gateway.example:8080", "/voice/readyz"));
        assert_eq!(request.headers()[HOST], "gateway.example:8080");
        for bad in ["", "gateway.example", "ftp://gateway.example", "http:///x", "http://a b"] {
            assert!(Web::to(bad, None).is_err(), "{bad}");
        }
        assert!(Web::to("https://gateway.example", Some(Path::new("/nowhere.pem"))).is_err());
    }
}
