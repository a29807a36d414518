//! Writing our answer to the browser.

use super::browser::{AnswerParts, BrowserMedia, Offer};
use super::{opus_asked, push_line};
use crate::audio::Codec;
use crate::rtp::PayloadType;

pub(super) fn write(offer: &Offer, media: &BrowserMedia, parts: &AnswerParts<'_>) -> String {
    let mut text = String::with_capacity(1500);
    macro_rules! line {
        ($($line:tt)*) => { push_line(&mut text, format_args!($($line)*)) };
    }
    let (id, version) = parts.session;
    line!("v=0");
    line!("o=- {id} {version} IN IP4 127.0.0.1");
    line!("s=-");
    line!("t=0 0");
    line!("a=ice-lite");
    line!("a=group:BUNDLE {}", offer.mid);
    line!("a=msid-semantic: WMS *");
    let formats: String = formats(media).map(|number| format!(" {}", number.0)).collect();
    let (address, port) = default_destination(parts.candidates);
    line!("m=audio {port} {}{formats}", offer.protocol);
    let family = if address.contains(':') { "IP6" } else { "IP4" };
    line!("c=IN {family} {address}");
    line!("a=mid:{}", offer.mid);
    line!("a={}", direction(media));
    line!("a=rtcp-mux");
    if offer.rtcp_rsize {
        line!("a=rtcp-rsize");
    }
    line!("a=ice-ufrag:{}", parts.ice.ufrag);
    line!("a=ice-pwd:{}", parts.ice.password);
    line!("a=fingerprint:{} {}", parts.fingerprint.algorithm, parts.fingerprint.hex());
    line!("a=setup:passive");
    for (payload_type, codec) in &media.accepted {
        let payload_type = payload_type.0;
        match codec {
            Codec::Opus => {
                line!("a=rtpmap:{payload_type} opus/48000/2");
                let asked = opus_asked::of_browser(parts.playback_rate, media.redundancy.is_some());
                line!("a=fmtp:{payload_type} minptime=10;{asked}");
            }
            Codec::G722 | Codec::Pcmu | Codec::Pcma => {
                line!("a=rtpmap:{payload_type} {}/{}", codec.name(), codec.clock_rate());
            }
        }
    }
    for payload_type in &media.nacks {
        line!("a=rtcp-fb:{} nack", payload_type.0);
    }
    if let (Some(red), Some((opus, _))) = (media.redundancy, media.accepted.iter().find(|(_, c)| *c == Codec::Opus)) {
        line!("a=rtpmap:{} red/48000/2", red.0);
        line!("a=fmtp:{} {1}/{1}", red.0, opus.0);
    }
    if let Some(event) = media.telephone_event {
        line!("a=rtpmap:{} telephone-event/{}", event.0, media.codec.clock_rate());
        line!("a=fmtp:{} 0-15", event.0);
    }
    line!("a=maxptime:60");
    if media.sends {
        line!("a=msid:{0} {0}-audio", parts.cname);
        line!("a=ssrc:{} cname:{}", parts.ssrc.0, parts.cname);
    }
    for candidate in parts.candidates {
        line!("a={}", with_name(candidate));
    }
    line!("a=end-of-candidates");
    text
}

/// What `a=candidate` lines begin with, whether the caller wrote the name or not.
pub(super) fn with_name(candidate: &str) -> String {
    let candidate = candidate.trim().trim_start_matches("a=");
    match candidate.strip_prefix("candidate:") {
        Some(_) => candidate.to_owned(),
        None => format!("candidate:{candidate}"),
    }
}

/// Redundancy stands before what it repeats: behind it, Chromium would take it for something to hear, not to say.
fn formats(media: &BrowserMedia) -> impl Iterator<Item = PayloadType> {
    let audio = media.accepted.iter().flat_map(|&(number, codec)| {
        let twice = media.redundancy.filter(|_| codec == Codec::Opus);
        twice.into_iter().chain([number])
    });
    audio.chain(media.telephone_event)
}

/// Our view: what the browser sends we receive.
fn direction(media: &BrowserMedia) -> &'static str {
    match (media.sends, media.receives) {
        (true, true) => "sendrecv",
        (true, false) => "sendonly",
        (false, true) => "recvonly",
        (false, false) => "inactive",
    }
}

/// Address and port of the first UDP candidate; without one the dummy of RFC 8840 section 4.1.1.
fn default_destination(candidates: &[String]) -> (&str, &str) {
    let udp = candidates.iter().find_map(|candidate| {
        let words: Vec<&str> = candidate.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, _, transport, _, address, port, ..] if transport.eq_ignore_ascii_case("udp") => Some((*address, *port)),
            _ => None,
        }
    });
    udp.unwrap_or(("0.0.0.0", "9"))
}
