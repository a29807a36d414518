//! VoIP metrics (RFC 3611 section 4.7): what a telephone says of what it hears, and what we say of what we hear of it.

use crate::rtp::Ssrc;

/// VoIP metrics as a peer tells them, counted since the stream began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VoipMetrics {
    /// Share of packets lost, 0..1.
    pub loss: f32,
    /// Share of packets discarded as late or early, 0..1.
    pub discard: f32,
    /// Delay of the jitter buffer, milliseconds; 0 if not told.
    pub buffer_ms: u16,
    /// Whether lost packets are concealed, if told.
    pub conceals: Option<bool>,
}

/// VoIP metrics as we tell them, counted since the stream began. `None` goes out as the value for "unavailable".
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VoipReport {
    /// Share of packets lost, 0..1.
    pub loss: f64,
    /// Share of packets discarded as late, 0..1.
    pub discard: f64,
    /// Share of packets in bursts and in gaps that are lost or discarded, 0..1.
    pub density: (f64, f64),
    /// Mean length of bursts and of gaps, milliseconds.
    pub length_ms: (f64, f64),
    /// Round trip between the two RTP interfaces, milliseconds.
    pub round_trip_ms: Option<f64>,
    /// What we add to it: our jitter buffer, and the packet that has to be full before it is sent, milliseconds.
    pub end_system_ms: f64,
    /// Level of the speech, dBm0.
    pub signal_dbm0: Option<i8>,
    /// R factor, 0..=100; it includes delay.
    pub rating: Option<f64>,
    /// Listening and conversational quality, 1..=5.
    pub mos: (Option<f64>, Option<f64>),
    /// The jitter buffer, where there is one.
    pub buffer: Option<VoipBuffer>,
}

/// Delays of an adaptive jitter buffer, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoipBuffer {
    /// Of a packet that comes on time.
    pub nominal_ms: u16,
    /// Of the earliest packet that is of use now.
    pub maximum_ms: u16,
    /// It never grows beyond this.
    pub limit_ms: u16,
}

/// No jitter buffer is longer, milliseconds: who says so tells nothing.
const LONGEST_BUFFER_MS: u16 = 5_000;

/// "Unavailable" of the fields that have such a value.
const UNAVAILABLE: u8 = 127;

/// Packets received in a row that end a burst, as the burst meter counts them.
const GMIN: u8 = 16;

/// Octets of the block after its header.
pub(super) const LENGTH: usize = 32;

pub(super) fn read(bytes: &[u8; LENGTH]) -> (Ssrc, VoipMetrics) {
    let &[s0, s1, s2, s3, loss, discard, ..] = bytes;
    let &[.., config, _, n0, n1, _, _, _, _] = bytes;
    let share = |part: u8| f32::from(part) / 256.0;
    let metrics = VoipMetrics {
        loss: share(loss),
        discard: share(discard),
        buffer_ms: Some(u16::from_be_bytes([n0, n1])).filter(|ms| *ms <= LONGEST_BUFFER_MS).unwrap_or_default(),
        conceals: match config >> 6 {
            0 => None,
            1 => Some(false),
            _ => Some(true),
        },
    };
    (Ssrc(u32::from_be_bytes([s0, s1, s2, s3])), metrics)
}

/// Appends what stands behind the block's header.
pub(super) fn write(buffer: &mut Vec<u8>, about: Ssrc, report: &VoipReport) {
    let share = |part: f64| (part * 256.0).floor().clamp(0.0, 255.0) as u8;
    let millis = |ms: f64| (ms.round().clamp(0.0, f64::from(u16::MAX)) as u16).to_be_bytes();
    let tenths = |mos: Option<f64>| mos.map_or(UNAVAILABLE, |mos| (mos * 10.0).round().clamp(10.0, 50.0) as u8);
    let (burst, gap) = report.density;
    let (burst_ms, gap_ms) = report.length_ms;
    let (listening, conversational) = report.mos;
    buffer.extend_from_slice(&about.0.to_be_bytes());
    buffer.extend_from_slice(&[share(report.loss), share(report.discard), share(burst), share(gap)]);
    for ms in [burst_ms, gap_ms, report.round_trip_ms.unwrap_or_default(), report.end_system_ms] {
        buffer.extend_from_slice(&millis(ms));
    }
    // Neither the level of its noise nor of its echo is measured.
    let signal = report.signal_dbm0.map_or(UNAVAILABLE, |level| level.to_be_bytes()[0]);
    buffer.extend_from_slice(&[signal, UNAVAILABLE, UNAVAILABLE, GMIN]);
    let rating = report.rating.map_or(UNAVAILABLE, |rating| rating.round().clamp(0.0, 100.0) as u8);
    buffer.extend_from_slice(&[rating, UNAVAILABLE, tenths(listening), tenths(conversational)]);
    // Standard concealment and an adaptive buffer where we play the stream; whoever we relay it to has its own.
    buffer.extend_from_slice(&[if report.buffer.is_some() { 0b1111_0000 } else { 0 }, 0]);
    let VoipBuffer { nominal_ms, maximum_ms, limit_ms } =
        report.buffer.unwrap_or(VoipBuffer { nominal_ms: 0, maximum_ms: 0, limit_ms: 0 });
    for ms in [nominal_ms, maximum_ms, limit_ms] {
        buffer.extend_from_slice(&ms.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voip_metrics_are_where_the_rfc_puts_them() {
        let mut body = vec![0, 0, 0, 7, 13, 26, 85, 9, 0, 120, 1, 4, 0, 50, 0, 40, 240, 200, 127, 16];
        body.extend_from_slice(&[90, 127, 42, 41, 0b1111_0000, 0, 0, 60, 0, 120, 0, 200]);
        let metrics = VoipMetrics { loss: 13.0 / 256.0, discard: 26.0 / 256.0, buffer_ms: 60, conceals: Some(true) };
        assert_eq!(read(&body.clone().try_into().unwrap()), (Ssrc(7), metrics));

        body[26..28].fill(0xff);
        assert_eq!(read(&body.clone().try_into().unwrap()).1.buffer_ms, 0, "that long is none");
        body[26..28].copy_from_slice(&[0, 60]);

        // The same told by us, as far as we know it.
        let report = VoipReport {
            loss: 13.4 / 256.0,
            discard: 26.9 / 256.0,
            density: (4.0 / 12.0, 9.1 / 256.0),
            length_ms: (120.0, 260.4),
            round_trip_ms: Some(49.6),
            end_system_ms: 40.0,
            signal_dbm0: Some(-16),
            rating: Some(90.4),
            mos: (Some(4.2), Some(4.11)),
            buffer: Some(VoipBuffer { nominal_ms: 60, maximum_ms: 120, limit_ms: 200 }),
        };
        let mut wire = Vec::new();
        write(&mut wire, Ssrc(7), &report);
        body[17] = UNAVAILABLE;
        assert_eq!(wire, body);
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unavailable_and_nothing_leaves_its_range() {
        let mut wire = Vec::new();
        write(&mut wire, Ssrc(7), &VoipReport::default());
        assert_eq!(wire.len(), LENGTH);
        assert_eq!(wire[16..26], [127, 127, 127, GMIN, 127, 127, 127, 127, 0, 0]);
        let wild = VoipReport {
            loss: 1.0,
            discard: f64::NAN,
            density: (7.0, -1.0),
            length_ms: (f64::INFINITY, -5.0),
            rating: Some(300.0),
            mos: (Some(0.0), Some(9.0)),
            ..VoipReport::default()
        };
        wire.clear();
        write(&mut wire, Ssrc(7), &wild);
        assert_eq!(wire[4..12], [255, 0, 255, 0, 255, 255, 0, 0]);
        assert_eq!(wire[20..24], [100, 127, 10, 50]);
    }
}
