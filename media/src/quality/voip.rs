//! A leg's speech since it began, as a telephone wants to be told of it (RFC 3611 section 4.7).

use super::burst::burst_ratio;
use super::emodel::{self, Delay, Impairments};
use super::monitor::parameters;
use crate::api::StreamStats;
use crate::audio::Codec;
use crate::rtp::rtcp::{VoipBuffer, VoipReport};

/// Full scale of a sine is -3.01 dBov, and 3.14 dBm0 by G.711.
const DBM0_OF_DBOV: i8 = 6;

/// What is told of a stream: its counters, the codec, packets lost and runs of them, the audio in a packet, the level of
/// the speech (dBov), and the most our jitter buffer may ever add.
pub(crate) fn voip_report(
    heard: &StreamStats,
    codec: Option<Codec>,
    (lost, runs): (u32, u32),
    packet_ms: u32,
    level: Option<i8>,
    limit_ms: u16,
) -> VoipReport {
    let expected = heard.packets as f64 + heard.lost as f64;
    let share = |packets: f64| if expected > 0.0 { (packets / expected).clamp(0.0, 1.0) } else { 0.0 };
    let packet_ms = f64::from(packet_ms);
    let (loss, discard) = (share(heard.lost.max(0) as f64), share(heard.discarded as f64));
    let codec = parameters(codec, true);
    let impaired = (loss + discard).min(1.0);
    let burst_ratio = burst_ratio(f64::from(lost), f64::from(runs), impaired);
    let path = Impairments { loss: impaired, burst_ratio, delay_ms: 0.0 };
    let buffer_ms = f64::from(heard.buffer_ms);
    let rating = heard.rtt_ms.map(|rtt_ms| {
        let delay = Delay { rtt_ms, buffer_ms, packet_ms, codec_ms: codec.delay_ms };
        emodel::rating(&codec, &Impairments { delay_ms: delay.one_way_ms(), ..path })
    });
    let millis = |ms: u32| u16::try_from(ms).unwrap_or(u16::MAX);
    // Relayed audio passes without a buffer.
    let buffer = (heard.buffer_target_ms > 0).then(|| VoipBuffer {
        nominal_ms: millis(heard.buffer_target_ms),
        maximum_ms: millis(heard.buffer_target_ms.max(heard.buffer_ms)),
        limit_ms,
    });
    VoipReport {
        loss,
        discard,
        density: (heard.bursts.burst_density, heard.bursts.gap_density),
        length_ms: (heard.bursts.burst_packets * packet_ms, heard.bursts.gap_packets * packet_ms),
        round_trip_ms: heard.rtt_ms,
        end_system_ms: if buffer.is_some() { buffer_ms + packet_ms } else { 0.0 },
        signal_dbm0: level.map(|level| level.saturating_add(DBM0_OF_DBOV)),
        rating,
        mos: (Some(emodel::mos(emodel::rating(&codec, &path))), rating.map(emodel::mos)),
        buffer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::Bursts;

    fn heard() -> StreamStats {
        StreamStats {
            packets: 950,
            lost: 50,
            discarded: 100,
            bursts: Bursts { burst_density: 0.5, gap_density: 0.01, burst_packets: 4.0, gap_packets: 100.0 },
            rtt_ms: Some(80.0),
            buffer_ms: 60,
            buffer_target_ms: 40,
            ..StreamStats::default()
        }
    }

    #[test]
    fn a_leg_is_told_of_as_it_is_heard() {
        let told = voip_report(&heard(), Some(Codec::Pcmu), (50, 40), 30, Some(-20), 200);
        assert_eq!((told.loss, told.discard), (0.05, 0.1));
        assert_eq!((told.density, told.length_ms), ((0.5, 0.01), (120.0, 3000.0)));
        assert_eq!((told.round_trip_ms, told.end_system_ms), (Some(80.0), 90.0));
        assert_eq!(told.signal_dbm0, Some(-14));
        assert_eq!(told.buffer, Some(VoipBuffer { nominal_ms: 40, maximum_ms: 60, limit_ms: 200 }));
        let (listening, conversational) = (told.mos.0.unwrap(), told.mos.1.unwrap());
        assert!((2.0..3.5).contains(&listening), "{listening}");
        assert!(conversational < listening, "delay counts");
        assert!((told.rating.unwrap() - 55.0).abs() < 10.0, "{told:?}");
    }

    #[test]
    fn nothing_is_made_up_where_nothing_is_known() {
        let relayed = StreamStats { rtt_ms: None, buffer_ms: 0, buffer_target_ms: 0, ..heard() };
        let told = voip_report(&relayed, Some(Codec::Pcmu), (50, 40), 20, None, 200);
        assert_eq!((told.rating, told.mos.1, told.buffer, told.signal_dbm0), (None, None, None, None));
        assert_eq!(told.end_system_ms, 0.0);
        let fresh = voip_report(&StreamStats::default(), None, (0, 0), 20, None, 200);
        assert_eq!((fresh.loss, fresh.discard), (0.0, 0.0));
    }
}
