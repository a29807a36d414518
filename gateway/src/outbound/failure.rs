//! Why no answer came, in words that hold nothing of the URL.

use std::io;

/// Longest words of a library that are passed on, characters.
const WORDS_MAX: usize = 200;

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The URL cannot be used.
    #[error("the URL cannot be used: {0}")]
    Url(&'static str),
    /// The name has no address.
    #[error("the name of the host has no address")]
    Unresolved,
    /// The host has addresses, none of which may be dialled.
    #[error("the host has only addresses that are not allowed (private, local or reserved)")]
    Forbidden,
    /// No connection.
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// There is nobody to check certificates with.
    #[error("no certificate authority to trust")]
    NoAuthorities,
    /// No encrypted connection.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing, or not all, in time.
    #[error("timed out")]
    TimedOut,
    /// The connection ended before an answer.
    #[error("the connection was closed without an answer")]
    Closed,
    /// What came is no HTTP, or breaks off.
    #[error("the answer is broken")]
    Broken,
    /// The body is larger than wanted.
    #[error("the answer is too large")]
    TooLarge,
}

impl Failure {
    /// One word, for a metric's label.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Unresolved => "dns",
            Self::Forbidden => "address",
            Self::Connect(_) => "connect",
            Self::NoAuthorities | Self::Tls(_) => "tls",
            Self::TimedOut => "timeout",
            Self::Closed | Self::Broken => "broken",
            Self::TooLarge => "too_large",
        }
    }

    pub(super) fn tls(error: io::Error) -> Self {
        // A peer's certificate may name what it likes.
        let words = error.to_string();
        Self::Tls(words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect())
    }
}
