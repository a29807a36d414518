//! Browsers that go away and come back.

/// How a browser went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowserLoss {
    /// Everything stopped at once.
    Silence,
    /// DTLS close_notify.
    CloseNotify,
    /// RTCP BYE.
    RtcpBye,
}

/// What ended a browser's absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackCause {
    /// Its packets simply came again.
    SamePath,
    /// An authentic check from a new address.
    NewAddress,
    /// An ICE restart.
    IceRestart,
    /// A new peer connection.
    Reattach,
}

/// Why nothing was heard of a browser that came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GapKind {
    /// It sent nothing: its packets' numbers go on where they stopped (a sleeping laptop, a frozen page).
    Asleep,
    /// It sent, and the network lost it: the numbers went on meanwhile.
    Network,
    /// Nothing tells (a new peer connection, no audio before or after).
    #[default]
    Unknown,
}

impl GapKind {
    /// Its name in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asleep => "asleep",
            Self::Network => "network",
            Self::Unknown => "unknown",
        }
    }
}
