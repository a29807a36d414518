//! Bursts and gaps of loss (RFC 3611 section 4.7.2), packet by packet in constant memory.

use crate::rtp::receiver::Window;

/// As many packets received in a row end a burst (RFC 3611's recommendation).
const GMIN: u32 = 16;

/// A packet's fate is settled once this many newer ones have been seen; it may come out of order until then.
const SETTLED: u32 = 32;

/// Follows one stream by the window of numbers its receiver keeps, now and then: no packet touches it. What is missing
/// after [`SETTLED`] newer ones, or was discarded, is lost.
#[derive(Debug, Default, Clone)]
pub(crate) struct BurstMeter {
    /// Highest extended sequence number noted, if any is.
    highest: u64,
    /// Bit n: `highest - n` came.
    good: u32,
    /// Bit n: `highest - n` was discarded.
    discarded: u32,
    /// How many of those bits are in use; none before the first packet.
    pending: u8,
    tally: Tally,
}

/// What the settled packets add up to.
#[derive(Debug, Default, Clone)]
struct Tally {
    packets: u32,
    lost: u32,
    /// Runs of packets lost one after the other.
    runs: u32,
    /// Bursts that are over, the packets in them, and the lost ones of those.
    bursts: u32,
    burst_packets: u32,
    burst_lost: u32,
    /// Losses with fewer than [`GMIN`] packets between them, up to now, and the packets from the first to the last.
    cluster_lost: u32,
    cluster_packets: u32,
    /// Packets received since the last loss.
    since_loss: u32,
    /// The very first packet began the first burst, so no gap lies before it.
    begins_lost: bool,
}

/// The metrics of RFC 3611 section 4.7.2.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bursts {
    /// Share of packets in bursts that are lost, 0..1.
    pub burst_density: f64,
    /// Share of packets in gaps that are lost, 0..1.
    pub gap_density: f64,
    /// Mean length of a burst, packets.
    pub burst_packets: f64,
    /// Mean length of a gap, packets.
    pub gap_packets: f64,
}

impl BurstMeter {
    /// Another source begins with this number.
    pub(crate) fn begin(&mut self, sequence: u64) {
        self.settle_all();
        self.highest = sequence;
        (self.good, self.discarded, self.pending) = (1, 0, 1);
    }

    /// Notes what came since the last time. Ask as often as [`Receiver::leaves_window`] says.
    ///
    /// [`Receiver::leaves_window`]: crate::rtp::receiver::Receiver::leaves_window
    pub(crate) fn catch_up(&mut self, window: Window) {
        if self.pending == 0 {
            return self.begin(window.highest);
        }
        let ahead = window.highest.saturating_sub(self.highest);
        // What came late since.
        let late = u32::try_from(ahead).ok().and_then(|ahead| window.seen.checked_shr(ahead)).unwrap_or(0) as u32;
        self.good |= late & u32::MAX.checked_shr(SETTLED - u32::from(self.pending)).unwrap_or(0);
        self.absent(ahead.saturating_sub(Window::NUMBERS));
        for behind in (0..ahead.min(Window::NUMBERS)).rev() {
            self.note(window.seen >> behind & 1 != 0);
        }
        self.highest = window.highest;
    }

    /// A packet that came, and was noted, was too late to be played.
    pub(crate) fn discarded(&mut self, sequence: u64) {
        if let Some(behind) = self.highest.checked_sub(sequence)
            && behind < u64::from(self.pending)
        {
            self.discarded |= 1 << behind;
        }
    }

    /// Packets lost so far, and in how many runs.
    pub(crate) fn runs(&self) -> (u32, u32) {
        (self.tally.lost, self.tally.runs)
    }

    /// The metrics so far. The session counts as surrounded by packets received.
    #[must_use]
    pub(crate) fn metrics(&self) -> Bursts {
        let mut settled = self.clone();
        settled.settle_all();
        settled.tally.metrics()
    }

    fn settle_all(&mut self) {
        for behind in (0..u32::from(std::mem::take(&mut self.pending))).rev() {
            self.tally.settle(self.is_good(behind));
        }
    }

    fn is_good(&self, behind: u32) -> bool {
        self.good & !self.discarded & 1 << behind != 0
    }

    /// The next number, and whether its packet came.
    fn note(&mut self, came: bool) {
        if u32::from(self.pending) == SETTLED {
            self.tally.settle(self.is_good(SETTLED - 1));
        } else {
            self.pending += 1;
        }
        self.good = self.good << 1 | u32::from(came);
        self.discarded <<= 1;
    }

    /// So many numbers that nobody saw, nor will.
    fn absent(&mut self, count: u64) {
        if count > 0 {
            self.settle_all();
            self.tally.lose(u32::try_from(count).unwrap_or(u32::MAX));
            (self.good, self.discarded) = (0, 0);
        }
    }
}

impl Tally {
    fn settle(&mut self, received: bool) {
        if received {
            self.packets = self.packets.saturating_add(1);
            self.since_loss = self.since_loss.saturating_add(1);
        } else {
            self.lose(1);
        }
    }

    /// So many lost in a row.
    fn lose(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        if self.packets == 0 {
            self.begins_lost = true;
        }
        if self.cluster_lost == 0 || self.since_loss > 0 {
            self.runs = self.runs.saturating_add(1);
        }
        if self.since_loss >= GMIN {
            self.close_cluster();
        }
        let between = if self.cluster_lost == 0 { 0 } else { self.since_loss };
        self.cluster_packets = self.cluster_packets.saturating_add(between).saturating_add(count);
        self.cluster_lost = self.cluster_lost.saturating_add(count);
        self.packets = self.packets.saturating_add(count);
        self.lost = self.lost.saturating_add(count);
        self.since_loss = 0;
    }

    /// A loss alone among [`GMIN`] received on both sides belongs to the gap.
    fn close_cluster(&mut self) {
        if self.cluster_lost > 1 {
            self.bursts = self.bursts.saturating_add(1);
            self.burst_packets = self.burst_packets.saturating_add(self.cluster_packets);
            self.burst_lost = self.burst_lost.saturating_add(self.cluster_lost);
        } else if self.bursts == 0 {
            // What lies before the first burst is a gap after all.
            self.begins_lost = false;
        }
        self.cluster_lost = 0;
        self.cluster_packets = 0;
    }

    fn metrics(mut self) -> Bursts {
        let ends_lost = self.since_loss == 0 && self.cluster_lost > 1;
        self.close_cluster();
        let gap_packets = self.packets.saturating_sub(self.burst_packets);
        let gap_lost = self.lost.saturating_sub(self.burst_lost);
        let gaps = self.bursts.saturating_add(1).saturating_sub(u32::from(self.begins_lost));
        let gaps = gaps.saturating_sub(u32::from(ends_lost));
        Bursts {
            burst_density: ratio(self.burst_lost, self.burst_packets),
            gap_density: ratio(gap_lost, gap_packets),
            burst_packets: ratio(self.burst_packets, self.bursts),
            gap_packets: ratio(gap_packets, gaps),
        }
    }
}

/// How much longer runs of loss are than they would be at random, at least 1 (the E-model's BurstR): a random loss of
/// this rate has runs of `1 / (1 - loss)` packets.
pub(crate) fn burst_ratio(lost: f64, runs: f64, loss: f64) -> f64 {
    if runs <= 0.0 { 1.0 } else { (lost / runs * (1.0 - loss)).clamp(1.0, 8.0) }
}

fn ratio(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

#[cfg(test)]
#[path = "burst_tests.rs"]
mod tests;
