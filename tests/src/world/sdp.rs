//! A phone's SDP, written and read by hand: the gateway's reader and writer are judged by somebody else's.

use std::net::{IpAddr, SocketAddr};

use trunkline_media::audio::Codec;

/// What a phone reads of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Where its audio goes.
    pub address: SocketAddr,
    /// Payload types of the audio line.
    pub formats: Vec<u8>,
    /// `sendrecv` and its kin.
    pub direction: String,
}

/// Reads a description with one audio line.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Described> {
    let text = std::str::from_utf8(bytes).ok()?;
    let ip: IpAddr = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?.trim().parse().ok()?;
    let audio = text.lines().find_map(|line| line.strip_prefix("m=audio "))?;
    let mut words = audio.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let formats = words.skip(1).filter_map(|word| word.parse().ok()).collect();
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let direction = text.lines().find_map(|line| {
        let name = line.strip_prefix("a=")?;
        directions.contains(&name).then(|| name.to_owned())
    });
    Some(Described { address: SocketAddr::new(ip, port), formats, direction: direction.unwrap_or("sendrecv".into()) })
}

/// Somebody who has not described himself yet.
#[must_use]
pub fn anybody(codec: Codec) -> Described {
    let address = SocketAddr::from(([192, 0, 2, 255], 9));
    Described { address, formats: vec![payload_type(codec)], direction: "sendrecv".into() }
}

/// The payload type of a codec on a trunk.
#[must_use]
pub fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 96,
    }
}

/// Writes a description with one codec, `telephone-event` if it has that, and this direction.
#[must_use]
pub fn write(address: SocketAddr, codec: Codec, events: bool, version: u32, direction: &str) -> String {
    let (ip, port, pt) = (address.ip(), address.port(), payload_type(codec));
    let channels = if codec == Codec::Opus { "/2" } else { "" };
    let (name, clock) = (codec.name(), codec.clock_rate());
    let (format, events) = match events {
        true => (" 101", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"),
        false => ("", ""),
    };
    format!(
        "v=0\r\no=phone 77 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {pt}{format}\r\na=rtpmap:{pt} {name}/{clock}{channels}\r\n{events}\
         a=ptime:20\r\na={direction}\r\n"
    )
}
