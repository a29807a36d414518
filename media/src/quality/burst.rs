//! Bursts and gaps of loss (RFC 3611 section 4.7.2), packet by packet in constant memory.

/// As many packets received in a row end a burst (RFC 3611's recommendation).
const GMIN: u32 = 16;

/// A packet's fate is settled once this many newer ones have been seen; it may come out of order until then.
const SETTLED: u32 = 32;

/// Follows one stream. Packets are noted as they come, in any order; what is missing after [`SETTLED`] newer ones, or
/// was discarded, is lost.
#[derive(Debug, Default, Clone)]
pub(crate) struct BurstMeter {
    /// Highest extended sequence number noted.
    highest: Option<u64>,
    /// Bit n: `highest - n` came and was not discarded.
    good: u32,
    /// How many of those bits are in use.
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
    /// A packet came that was not seen before. `restarted`: it belongs to a new source.
    pub(crate) fn came(&mut self, sequence: u64, restarted: bool) {
        match self.highest {
            Some(highest) if !restarted => {
                if sequence > highest {
                    self.advance(sequence - highest);
                    self.highest = Some(sequence);
                    self.good |= 1;
                } else if let Ok(behind) = u32::try_from(highest - sequence)
                    && behind < u32::from(self.pending)
                {
                    self.good |= 1 << behind;
                }
            }
            Some(_) | None => {
                self.settle_all();
                self.highest = Some(sequence);
                self.good = 1;
                self.pending = 1;
            }
        }
    }

    /// A packet that came was too late to be played.
    pub(crate) fn discarded(&mut self, sequence: u64) {
        if let Some(behind) = self.highest.and_then(|highest| highest.checked_sub(sequence))
            && let Ok(behind) = u32::try_from(behind)
            && behind < SETTLED
        {
            self.good &= !(1 << behind);
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
            self.tally.settle(self.good >> behind & 1 != 0);
        }
    }

    /// The newest number moves on by this many; the oldest ones are settled.
    fn advance(&mut self, by: u64) {
        let room = SETTLED - u32::from(self.pending);
        let leaving = by.saturating_sub(u64::from(room));
        for _ in 0..leaving.min(u64::from(self.pending)) {
            self.pending -= 1;
            self.tally.settle(self.good >> self.pending & 1 != 0);
        }
        // Numbers never seen at all that leave at once.
        let unseen = leaving.saturating_sub(u64::from(SETTLED - room));
        self.tally.lose(u32::try_from(unseen).unwrap_or(u32::MAX));
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        self.good = self.good.checked_shl(by).unwrap_or(0);
        self.pending = u8::try_from(u32::from(self.pending).saturating_add(by).min(SETTLED)).unwrap_or(u8::MAX);
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
