//! `GET /v1/network-requirements`: what firewalls must let through, from the configuration as it is now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use trunkline_config::{Codec, Config, Scope, SipTransport, Trunk};

use super::{Api, auth};
use crate::openapi::schemas::NetworkRequirements;
use crate::problem::Problem;

/// Packets a second in each direction: 20 ms of audio in each.
const PACKETS: u32 = 50;
/// Octets of RTP (RFC 3550 section 5.1), UDP and the larger IP header.
const HEADERS: u32 = 12 + 8 + 40;
/// Octets of AEAD_AES_128_GCM's tag (RFC 7714).
const SRTP: u32 = 16;
/// What RTCP and STUN come to beside the audio, of a hundred (RFC 3550 section 6.2).
const BESIDE: u32 = 5;
/// Opus as we and browsers send it, bits a second at most: RFC 7587 section 3.1.1, wideband speech and its FEC.
const OPUS: u32 = 40_000;

/// What firewalls must let through
///
/// Hosts, ports, protocols and bandwidth of a call, for browsers and towards the trunks, from the configuration as it is
/// now. Connections and flows are named from the side that opens them.
#[utoipa::path(get, path = "/v1/network-requirements", tag = "node", security(("api_key" = ["read"])),
    responses((status = 200, description = "The requirements", body = NetworkRequirements)))]
pub(super) async fn requirements(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    Ok(Json(of(&api.settings.load())))
}

fn of(config: &Config) -> Value {
    let enabled = || config.trunks.iter().filter(|trunk| trunk.enabled);
    let of_browsers = [signalling(config), media(config)];
    let of_browsers: Vec<Value> = of_browsers.into_iter().chain(media_over_tcp(config)).collect();
    json!({
        "browsers": {
            "flows": of_browsers,
            "bandwidth": bandwidth(config.media.browser_codecs.iter().copied(), HEADERS + SRTP),
        },
        "trunks": {
            "flows": enabled().flat_map(|trunk| flows(config, trunk)).collect::<Vec<_>>(),
            "bandwidth": bandwidth(enabled().flat_map(|trunk| trunk.codecs.iter().copied()), HEADERS),
        },
    })
}

/// Where pages reach the public listener.
fn signalling(config: &Config) -> Value {
    let url = &config.public.url;
    let (scheme, authority) = url.split_once("://").unwrap_or(("https", url));
    let authority = authority.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        Some(_) | None => (authority, None),
    };
    let port = port.unwrap_or(if scheme == "https" { 443 } else { 80 });
    json!({"purpose": "signalling", "hosts": [host], "ports": [port], "transport": "tcp", "protocol": scheme,
        "direction": "from browsers"})
}

/// ICE, DTLS and SRTP on one port a worker.
fn media(config: &Config) -> Value {
    let all: Vec<_> = (0..config.media.workers.max(1)).flat_map(|worker| config.media.candidates(worker)).collect();
    let mut hosts: Vec<String> = all.iter().map(|address| address.ip().to_string()).collect();
    let mut ports: Vec<u16> = all.iter().map(|address| address.port()).collect();
    hosts.sort();
    hosts.dedup();
    ports.sort_unstable();
    ports.dedup();
    json!({"purpose": "media", "hosts": hosts, "ports": ports, "transport": "udp", "protocol": "STUN, DTLS, SRTP",
        "direction": "from browsers, answered on the same flow"})
}

/// The same in frames over connections, where UDP does not get through.
fn media_over_tcp(config: &Config) -> Option<Value> {
    let mut hosts: Vec<String> = config.media.tcp_candidates().map(|address| address.ip().to_string()).collect();
    hosts.sort();
    hosts.dedup();
    let port = config.media.tcp_listen?.port();
    Some(json!({"purpose": "media", "hosts": hosts, "ports": [port], "transport": "tcp",
        "protocol": "STUN, DTLS, SRTP", "direction": "from browsers, where UDP does not get through"}))
}

fn flows(config: &Config, trunk: &Trunk) -> [Value; 2] {
    let (transport, protocol, port) = match trunk.target.known_transport() {
        // Without records that say something else.
        Some(SipTransport::Udp) | None => ("udp", "SIP", 5060),
        Some(SipTransport::Tcp) => ("tcp", "SIP", 5060),
        Some(SipTransport::Tls) => ("tcp", "SIP over TLS", 5061),
    };
    let ports = &config.media.rtp_ports;
    let own = config.sip.rtp_told(config.media.rtp_listen).first().copied().unwrap_or(config.media.rtp_listen);
    [
        json!({"purpose": "signalling", "trunk": trunk.id, "hosts": [trunk.target.host],
            "ports": [trunk.target.port.unwrap_or(port)], "transport": transport, "protocol": protocol,
            "direction": "to the trunk, and back", "from": config.sip.contact().to_string()}),
        json!({"purpose": "media", "trunk": trunk.id, "hosts": [own],
            "ports": [{"first": ports.start(), "last": ports.end()}], "transport": "udp", "protocol": "RTP, RTCP",
            "direction": "both ways; the trunk's own ports are in its SDP"}),
    ]
}

/// Of a call, each way: the codec that needs most.
fn bandwidth(codecs: impl Iterator<Item = Codec>, headers: u32) -> Value {
    let rate = |codec: Codec| {
        let audio = match codec {
            Codec::Opus => OPUS,
            Codec::G722 | Codec::Pcmu | Codec::Pcma => 64_000,
        };
        (audio + headers * 8 * PACKETS) * (100 + BESIDE) / 100
    };
    let mut each: Vec<(String, u32)> = codecs.map(|codec| (codec.to_string(), rate(codec).div_ceil(1000))).collect();
    each.sort();
    each.dedup();
    let most = each.iter().map(|(_, kbps)| *kbps).max();
    let codecs: serde_json::Map<String, Value> = each.into_iter().map(|(name, kbps)| (name, kbps.into())).collect();
    json!({"kbps_each_way": most, "by_codec": codecs})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_requirements_are_those_of_the_configuration() {
        let mut config = testing::config();
        config.public.url = "https://voice.example:8443".into();
        config.media.workers = 2;
        config.media.udp_listen = "192.0.2.1:3478".parse().unwrap();
        config.media.advertise = vec!["198.51.100.7".parse().unwrap()];
        config.media.rtp_ports = 20_000..=20_099;
        let needed = of(&config);
        let flow = |side: &str, at: usize| needed[side]["flows"][at].clone();
        let web = flow("browsers", 0);
        assert_eq!(
            (&web["hosts"], &web["ports"], &web["transport"]),
            (&json!(["voice.example"]), &json!([8443]), &json!("tcp"))
        );
        let media = flow("browsers", 1);
        assert_eq!((&media["hosts"], &media["ports"]), (&json!(["198.51.100.7"]), &json!([3478, 3479])));
        assert_eq!(flow("browsers", 2), Value::Null);
        let rtp = flow("trunks", 1);
        assert_eq!(rtp["ports"], json!([{"first": 20_000, "last": 20_099}]));
        let trunk = config.trunks.iter().find(|trunk| trunk.enabled).unwrap();
        assert_eq!(flow("trunks", 0)["hosts"], json!([trunk.target.host]));

        config.media.tcp_listen = Some("0.0.0.0:443".parse().unwrap());
        let media = of(&config)["browsers"]["flows"][2].clone();
        assert_eq!(
            (&media["hosts"], &media["ports"], &media["transport"]),
            (&json!(["198.51.100.7"]), &json!([443]), &json!("tcp"))
        );
    }

    #[test]
    fn bandwidth_counts_headers() {
        // 64 kb/s and 50 times 60 octets, and a twentieth.
        assert_eq!(bandwidth([Codec::Pcmu].into_iter(), HEADERS)["kbps_each_way"], 93);
        assert_eq!(
            bandwidth([Codec::Opus, Codec::Pcma].into_iter(), HEADERS + SRTP)["by_codec"],
            json!({"PCMA": 100, "opus": 74})
        );
        assert_eq!(bandwidth([].into_iter(), HEADERS)["kbps_each_way"], Value::Null);
    }
}
