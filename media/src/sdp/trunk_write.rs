//! Writing our offers and answers to the trunk.

use super::browser::Direction;
use super::push_line;
use super::trunk::{DEFAULT_PTIME_MS, Encryption, Lines, LocalMedia, TrunkMedia};
use crate::audio::Codec;
use crate::rtp::PayloadType;

/// The number everybody knows it by, and one for other clocks.
const TELEPHONE_EVENT: PayloadType = PayloadType(101);
const OTHER_EVENT: PayloadType = PayloadType(102);

/// The extended reports we make use of (RFC 3611 section 5.1).
const EXTENDED_REPORTS: &str = "a=rtcp-xr:rcvr-rtt=all voip-metrics";

/// An offer, the first or one in a session that has media.
pub(super) fn offer(local: &LocalMedia, current: Option<&TrunkMedia>) -> String {
    let required = local.encryption.as_ref().is_some_and(Encryption::is_required);
    let lines = current.map(|media| media.lines.clone()).unwrap_or_default();
    let spoken = lines.profile.as_deref().filter(|profile| !required || profile.contains("SAVP"));
    let profile = spoken.unwrap_or(if required { "RTP/SAVP" } else { "RTP/AVP" });
    let Numbers { codecs, events } = Numbers::new(&local.codecs, current);
    let numbers = codecs.iter().map(|(number, _)| number).chain(events.iter().map(|(number, _)| number));
    let numbers: String = numbers.map(|number| format!(" {}", number.0)).collect();
    // Not of our own accord: many a trunk would take it as leave to send no more than it detects as voice.
    let noise = current.is_some_and(|media| media.comfort_noise);
    let mut text = head(local);
    push_refused(&mut text, &lines.before);
    push_line(&mut text, format_args!("m=audio {} {profile}{numbers}{}", local.address.port(), noise_number(noise)));
    for (number, codec) in codecs {
        push_codec(&mut text, number, codec);
    }
    push_noise(&mut text, noise);
    for event in events {
        push_telephone_event(&mut text, event);
    }
    for line in local.encryption.iter().flat_map(Encryption::offered) {
        push_line(&mut text, format_args!("{line}"));
    }
    if current.is_some_and(|media| media.rtcp_mux) {
        push_line(&mut text, format_args!("a=rtcp-mux"));
    }
    // Who does not know them passes over them (RFC 8866 section 5.13).
    push_line(&mut text, format_args!("{EXTENDED_REPORTS}"));
    push_line(&mut text, format_args!("a=ptime:{DEFAULT_PTIME_MS}"));
    push_line(&mut text, format_args!("a={}", if local.holding { "sendonly" } else { "sendrecv" }));
    push_refused(&mut text, &lines.behind);
    text
}

/// The answer by which this media was agreed on. One codec only, so that nobody changes codecs in the middle of a call,
/// with the offer's numbers.
pub(super) fn answer(local: &LocalMedia, media: &TrunkMedia) -> String {
    let Lines { profile, before, behind } = &media.lines;
    let profile = profile.as_deref().unwrap_or("RTP/AVP");
    let event: String = media.telephone_event.map(|(event, _)| format!(" {}", event.0)).unwrap_or_default();
    let mut text = head(local);
    push_refused(&mut text, before);
    let number = media.payload_type.0;
    let noise = noise_number(media.comfort_noise);
    push_line(&mut text, format_args!("m=audio {} {profile} {number}{noise}{event}", local.address.port()));
    push_codec(&mut text, media.payload_type, media.codec);
    push_noise(&mut text, media.comfort_noise);
    if let Some(event) = media.telephone_event {
        push_telephone_event(&mut text, event);
    }
    if let Some(srtp) = &media.srtp {
        push_line(&mut text, format_args!("{}", srtp.line()));
    }
    if media.rtcp_mux {
        push_line(&mut text, format_args!("a=rtcp-mux"));
    }
    // Who knows them is asked for the same in return.
    if media.extended.is_some() {
        push_line(&mut text, format_args!("{EXTENDED_REPORTS}"));
    }
    push_line(&mut text, format_args!("a=ptime:{DEFAULT_PTIME_MS}"));
    // RFC 3264 section 6.1: what the peer only sends we only receive.
    let direction = match media.peer_direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "recvonly",
        Direction::RecvOnly => "sendonly",
        Direction::Inactive => "inactive",
    };
    push_line(&mut text, format_args!("a={direction}"));
    push_refused(&mut text, behind);
    text
}

/// Payload types of an offer.
struct Numbers {
    codecs: Vec<(PayloadType, Codec)>,
    /// One for each clock of the codecs (RFC 4733 section 2.1, RFC 7587 section 4.1), and that of telephones: some know no
    /// other, beside whatever codec.
    events: Vec<(PayloadType, u32)>,
}

impl Numbers {
    /// Numbers that have a meaning in the session keep it; the others are ours as far as they are free.
    fn new(codecs: &[Codec], current: Option<&TrunkMedia>) -> Self {
        let known = |media: &TrunkMedia| {
            let mut known = vec![(media.payload_type, media.codec)];
            known.extend_from_slice(&media.also);
            known
        };
        let known = current.map(known).unwrap_or_default();
        let mut taken: Vec<PayloadType> = known.iter().map(|(number, _)| *number).collect();
        let known_event = current.and_then(|media| media.telephone_event);
        taken.extend(known_event.map(|(number, _)| number));
        let mut events: Vec<(PayloadType, u32)> = Vec::new();
        for clock in codecs.iter().map(|codec| codec.clock_rate()).chain([8_000]) {
            if events.iter().any(|(_, known)| *known == clock) {
                continue;
            }
            let event = known_event.filter(|(_, of)| *of == clock).unwrap_or_else(|| {
                let number = free(if clock == 8_000 { TELEPHONE_EVENT } else { OTHER_EVENT }, &taken);
                taken.push(number);
                (number, clock)
            });
            events.push(event);
        }
        let mut number = |codec: Codec| {
            let number = known.iter().find(|(_, of)| *of == codec).map(|(number, _)| *number);
            number.unwrap_or_else(|| {
                let number = free(payload_type(codec), &taken);
                taken.push(number);
                number
            })
        };
        let codecs = codecs.iter().map(|&codec| (number(codec), codec)).collect();
        Self { codecs, events }
    }
}

/// This number, or else a dynamic one.
fn free(wanted: PayloadType, taken: &[PayloadType]) -> PayloadType {
    let mut all = std::iter::once(wanted).chain((96..128).map(PayloadType));
    all.find(|number| !taken.contains(number)).unwrap_or(wanted)
}

/// Our payload types: the fixed ones of RFC 3551, and those most of the world uses for the others.
fn payload_type(codec: Codec) -> PayloadType {
    match codec {
        Codec::Pcmu => PayloadType(0),
        Codec::Pcma => PayloadType(8),
        Codec::G722 => PayloadType(9),
        Codec::Opus => PayloadType(96),
    }
}

fn head(local: &LocalMedia) -> String {
    let mut text = String::with_capacity(400);
    let ip = local.address.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    push_line(&mut text, format_args!("v=0"));
    push_line(&mut text, format_args!("o=- {} {} IN {family} {ip}", local.session_id, local.version));
    push_line(&mut text, format_args!("s=-"));
    push_line(&mut text, format_args!("c=IN {family} {ip}"));
    push_line(&mut text, format_args!("t=0 0"));
    text
}

fn push_refused(text: &mut String, lines: &[String]) {
    for line in lines {
        push_line(text, format_args!("{line}"));
    }
}

/// Comfort noise among the numbers of a line, where it is agreed on.
fn noise_number(agreed: bool) -> String {
    if agreed { format!(" {}", PayloadType::COMFORT_NOISE.0) } else { String::new() }
}

fn push_noise(text: &mut String, agreed: bool) {
    if agreed {
        push_line(text, format_args!("a=rtpmap:{} CN/8000", PayloadType::COMFORT_NOISE.0));
    }
}

fn push_codec(text: &mut String, payload_type: PayloadType, codec: Codec) {
    let (number, name, clock) = (payload_type.0, codec.name(), codec.clock_rate());
    match codec {
        Codec::Opus => {
            push_line(text, format_args!("a=rtpmap:{number} {name}/{clock}/2"));
            push_line(text, format_args!("a=fmtp:{number} useinbandfec=1;stereo=0"));
        }
        Codec::G722 | Codec::Pcmu | Codec::Pcma => push_line(text, format_args!("a=rtpmap:{number} {name}/{clock}")),
    }
}

fn push_telephone_event(text: &mut String, (payload_type, clock): (PayloadType, u32)) {
    let number = payload_type.0;
    push_line(text, format_args!("a=rtpmap:{number} telephone-event/{clock}"));
    push_line(text, format_args!("a=fmtp:{number} 0-15"));
}
