//! SDP as lines (RFC 8866), within limits. Every reader here is total: hostile bytes give an error.

use std::net::IpAddr;

use crate::audio::OpusWishes;

/// More than any browser or trunk sends; Chromium's offer for one audio line has 5 KiB.
const SIZE_LIMIT: usize = 64 * 1024;
const MEDIA_LIMIT: usize = 16;
/// Candidates counted per description; more are not looked at.
pub(super) const CANDIDATES_LIMIT: usize = 64;

/// A description: what stands before the first `m=`, and the media sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description<'a> {
    pub(super) session: Section<'a>,
    pub(super) media: Vec<Media<'a>>,
}

/// Lines with their type letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section<'a> {
    lines: Vec<(u8, &'a str)>,
}

/// A media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media<'a> {
    /// `audio`, `video`, ...
    pub(super) kind: &'a str,
    pub(super) port: u16,
    pub(super) protocol: &'a str,
    /// Payload types as they are written.
    pub(super) formats: Vec<&'a str>,
    pub(super) section: Section<'a>,
}

/// A codec as `a=rtpmap` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RtpMap<'a> {
    pub(super) name: &'a str,
    pub(super) clock: u32,
    /// 1 unless it is written.
    pub(super) channels: u32,
}

impl<'a> Description<'a> {
    /// Takes a description apart.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut lines = lines(bytes)?.into_iter().peekable();
        if lines.next_if(|line| *line == (b'v', "0")).is_none() {
            return Err("does not begin with v=0".into());
        }
        let mut description = Self { session: Section::default(), media: Vec::new() };
        for (kind, value) in lines {
            if kind == b'm' && description.media.len() >= MEDIA_LIMIT {
                return Err("too many m-lines".into());
            }
            match (kind, description.media.last_mut()) {
                (b'm', _) => description.media.push(Media::parse(value)?),
                (_, Some(media)) => media.section.lines.push((kind, value)),
                (_, None) => description.session.lines.push((kind, value)),
            }
        }
        Ok(description)
    }
}

/// The lines of a description or a fragment of one.
fn lines(bytes: &[u8]) -> Result<Vec<(u8, &str)>, String> {
    if bytes.len() > SIZE_LIMIT {
        return Err("longer than 64 KiB".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty());
    let split = |line: &'_ str| match line.as_bytes() {
        [kind @ b'a'..=b'z', b'=', ..] => Ok(*kind),
        _ => Err(format!("not a line of SDP: {}", line.chars().take(20).collect::<String>().escape_debug())),
    };
    lines.map(|line| Ok((split(line)?, line.get(2..).unwrap_or_default().trim_end()))).collect()
}

impl<'a> Section<'a> {
    /// The lines of something that has no `v=` (RFC 8840 section 9), media sections not kept apart.
    pub(super) fn parse_fragment(bytes: &'a [u8]) -> Result<Self, String> {
        Ok(Self { lines: lines(bytes)? })
    }

    /// Values of all lines of a type.
    pub(super) fn lines(&self, kind: u8) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |line| line.0 == kind).map(|line| line.1)
    }

    /// Values of all attributes of a name; of property attributes the empty string.
    pub(super) fn attributes(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(b'a').filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':').map(str::trim_start) }
        })
    }

    /// The first attribute of a name.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    /// Whether an attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// `a=rtpmap` of a payload type.
    pub(super) fn rtpmap(&self, payload_type: u8) -> Result<Option<RtpMap<'a>>, String> {
        let own = |value: &'a str| {
            let (number, encoding) = value.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(encoding.trim())
        };
        self.attributes("rtpmap").find_map(own).map(RtpMap::parse).transpose()
    }

    /// What `a=fmtp` of a payload type says that is Opus (RFC 7587 section 6.1); what it does not say, or says badly, is as
    /// the RFC has it without.
    pub(super) fn opus_wishes(&self, payload_type: u8) -> OpusWishes {
        let own = |value: &'a str| {
            let (number, parameters) = value.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(parameters)
        };
        let mut wishes = OpusWishes::default();
        let parameters = self.attributes("fmtp").find_map(own).unwrap_or_default();
        for (name, value) in parameters.split(';').filter_map(|parameter| parameter.split_once('=')) {
            let number = value.trim().parse::<u32>().ok();
            match (name.trim(), number) {
                ("useinbandfec", Some(flag)) => wishes.fec = flag == 1,
                ("maxplaybackrate", Some(rate)) => wishes.playback_rate = rate,
                ("maxaveragebitrate", Some(rate)) => wishes.bitrate = Some(rate),
                _ => {}
            }
        }
        wishes
    }

    /// Address of `c=`.
    pub(super) fn connection(&self) -> Result<Option<IpAddr>, String> {
        let Some(line) = self.lines(b'c').next() else { return Ok(None) };
        let mut words = line.split_ascii_whitespace();
        let address = match (words.next(), words.next(), words.next()) {
            (Some("IN"), Some("IP4"), Some(address)) => address.parse().map(IpAddr::V4).ok(),
            (Some("IN"), Some("IP6"), Some(address)) => address.parse().map(IpAddr::V6).ok(),
            _ => None,
        };
        address.map(Some).ok_or_else(|| "c= names no IP address".into())
    }
}

impl<'a> RtpMap<'a> {
    fn parse(encoding: &'a str) -> Result<Self, String> {
        let mut parts = encoding.split('/');
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().and_then(|p| p.parse().ok()).ok_or("a=rtpmap without a clock")?;
        let channels = parts.next().map_or(Ok(1), |p| p.parse().map_err(|_| "a=rtpmap with bad channels"))?;
        Ok(Self { name, clock, channels })
    }
}

impl<'a> Media<'a> {
    fn parse(value: &'a str) -> Result<Self, String> {
        // What is rejected is echoed, so it must be fit to be written.
        if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err("m= has odd characters".into());
        }
        let mut words = value.split_ascii_whitespace();
        let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err("m= is too short".into());
        };
        // `49170/2` asks for several ports; the first is what counts here.
        let port = port.split('/').next().unwrap_or_default();
        let port = port.parse().map_err(|_| "m= has a bad port")?;
        Ok(Self { kind, port, protocol, formats: words.collect(), section: Section::default() })
    }

    /// Payload types of an RTP line, each once, in order.
    pub(super) fn payload_types(&self) -> Result<Vec<u8>, String> {
        let mut types: Vec<u8> = Vec::new();
        for format in &self.formats {
            let number = format.parse().ok().filter(|n| *n < 128).ok_or("a payload type is none")?;
            if !types.contains(&number) {
                types.push(number);
            }
        }
        Ok(types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        let check = |text: &str| Description::parse(text.as_bytes()).map(|d| d.media.len());
        assert_eq!(check("v=0\r\n"), Ok(0));
        assert_eq!(check(&format!("v=0\n{}", "m=audio 9 RTP/AVP 0\n".repeat(16))), Ok(16));
        assert!(check(&format!("v=0\n{}", "m=audio 9 RTP/AVP 0\n".repeat(17))).is_err());
        assert!(check(&format!("v=0\na={}", "x".repeat(SIZE_LIMIT))).is_err());
        assert!(check("o=- 0 0 IN IP4 0.0.0.0\r\nv=0\r\n").is_err());
        assert!(check("v=0\r\nnonsense\r\n").is_err());
        assert!(check("v=0\r\nm=audio x RTP/AVP 0\r\n").is_err());
        assert!(check("v=0\r\nm=audio 65536 RTP/AVP 0\r\n").is_err());
        assert!(Description::parse(b"v=0\r\ns=\xff\r\n").is_err());
    }

    #[test]
    fn attributes_are_found_by_their_whole_name() {
        let description =
            Description::parse(b"v=0\r\na=rtcp-mux-only\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=mid: 0 \r\n").unwrap();
        let session = &description.session;
        assert!(!session.has("rtcp-mux"));
        assert_eq!(session.attribute("rtcp"), Some("9 IN IP4 0.0.0.0"));
        assert_eq!(session.attribute("mid"), Some("0"));
        assert!(session.has("rtcp-mux-only"));
    }

    #[test]
    fn addresses_are_read() {
        let check = |line: &str| {
            let text = format!("v=0\r\n{line}\r\n");
            Description::parse(text.as_bytes()).unwrap().session.connection()
        };
        assert_eq!(check("c=IN IP4 192.0.2.1"), Ok(Some("192.0.2.1".parse().unwrap())));
        assert_eq!(check("c=IN IP6 2001:db8::1"), Ok(Some("2001:db8::1".parse().unwrap())));
        assert_eq!(check("s=-"), Ok(None));
        assert!(check("c=IN IP4 example.com").is_err());
        assert!(check("c=IN IP4").is_err());
    }
}
