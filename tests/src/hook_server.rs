//! A back end on a real socket that answers as the test says, byte by byte where it has to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this JSON.
    Json(Value),
    /// These bytes, and the connection is closed.
    Bytes(Vec<u8>),
    /// The first, then the second for ever, with a pause between.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Nothing at all, and the connection stays open.
    Silence,
}

impl Reply {
    /// A whole response.
    #[must_use]
    pub fn http(status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and header fields.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// A header field's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// See the module. It ends when dropped.
pub struct HookServer {
    address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl HookServer {
    /// A server that answers everything like this.
    pub async fn start(reply: Reply) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (reply, received) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(Vec::new())));
        let (script, log) = (reply.clone(), received.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Ok(Self { address, reply, received, task })
    }

    /// Answers like this from now on.
    pub fn answer(&self, reply: Reply) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, reply: Arc<Mutex<Reply>>, log: Arc<Mutex<Vec<Received>>>) -> Option<()> {
    loop {
        let request = read(&mut stream).await?;
        let reply = reply.lock().unwrap_or_else(PoisonError::into_inner).clone();
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        match reply {
            Reply::Json(value) => {
                let body = value.to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n";
                stream
                    .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                    .await
                    .ok()?;
            }
            Reply::Bytes(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Reply::Endless(first, more, pause) => {
                stream.write_all(&first).await.ok()?;
                loop {
                    stream.write_all(&more).await.ok()?;
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Silence => std::future::pending().await,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = Received { head: String::from_utf8_lossy(&head).into_owned(), body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
