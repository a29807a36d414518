//! What is measured, and how long it is kept.

use std::time::Duration;

/// What is measured of a call, and what counts as good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Sampling, levels, series.
    pub measure: bool,
    /// Detectors that listen to the audio; never without `measure`.
    pub listen: bool,
    /// Lost and discarded packets over 5 s, 0..1.
    pub loss: Bands,
    /// Round trip, milliseconds.
    pub rtt_ms: Bands,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: Bands,
    /// Conversational score: the level holds below the number.
    pub mos: Bands,
    /// Time without expected audio, milliseconds.
    pub gap_ms: Bands,
    /// Red for so long before a loss makes the network its cause.
    pub poor_after: Duration,
}

/// Where amber and red begin. Red is the worse of the two, so that there is no hole between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// Amber from here on.
    pub amber: f64,
    /// Red from here on.
    pub red: f64,
}

/// How long calls are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Records {
    /// After their end.
    pub keep: Duration,
    /// What the database may grow to, bytes.
    pub keep_bytes: u64,
}

/// The log of events and of their deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events {
    /// Events are forgotten so long after they happened.
    pub keep: Duration,
    /// The oldest are forgotten when they take more, bytes.
    pub keep_bytes: u64,
    /// What may wait in memory while the disk is away, bytes.
    pub backlog_bytes: u64,
    /// Deliveries that may wait for one integration.
    pub pending_max: u64,
}
