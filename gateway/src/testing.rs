//! What several test modules share: a configuration that binds only free loopback ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use trunkline_config::{
    ApiKey, App, BrowserAudio, Codec, Config, ContextLimits, Control, Hours, Media, Node, Profile, Public,
    PublicLimits, RtpSource, Scope, Secret, Sip, SipTransport, Srtp, Trunk, TrunkTarget, WidgetKey,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANY_PORT: SocketAddr = SocketAddr::new(LOOPBACK, 0);

/// Two apps, `acme` with a trunk and `idle` without an enabled one; three API keys: `k-read`, `k-control`, `k-admin`.
pub(crate) fn config() -> Config {
    Config {
        node: Node { name: "test".into(), data_dir: PathBuf::from("."), drain: Duration::from_secs(1) },
        public: Public {
            listen: ANY_PORT,
            url: "http://127.0.0.1:0".into(),
            allow_insecure: false,
            tls: None,
            trusted_proxies: Vec::new(),
            limits: PublicLimits { sessions_per_minute_per_address: 0, calls_per_minute_per_address: 0 },
            token_key: None,
        },
        control: Control {
            listen: ANY_PORT,
            api_keys: vec![
                api_key("k-read", Scope::Read),
                api_key("k-control", Scope::Control),
                api_key("k-admin", Scope::Admin),
            ],
        },
        media: Media {
            workers: 1,
            udp_listen: ANY_PORT,
            tcp_listen: None,
            advertise: Vec::new(),
            browser_codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            rtp_listen: LOOPBACK,
            rtp_ports: 31_000..=31_998,
            setup: Duration::from_secs(20),
            inactivity: Duration::from_secs(20),
            grace: Duration::from_secs(30),
            prompts_dir: None,
        },
        sip: Sip { udp_listen: ANY_PORT, tcp_listen: None, tls_listen: None, advertise: None, domain: String::new() },
        trunks: vec![trunk("acme", true), trunk("off", false)],
        apps: vec![
            app("acme", "wk_demo", "acme", "https://shop.example"),
            app("idle", "wk_idle", "off", "https://idle.example"),
        ],
    }
}

fn api_key(key: &str, scope: Scope) -> ApiKey {
    ApiKey { name: key.into(), key: Secret::new(key), scopes: vec![scope] }
}

fn trunk(id: &str, enabled: bool) -> Trunk {
    Trunk {
        id: id.into(),
        target: TrunkTarget { host: "127.0.0.1".into(), port: Some(9), transport: SipTransport::Udp },
        codecs: vec![Codec::Pcmu],
        browser_audio: BrowserAudio::Opus,
        srtp: Srtp::Off,
        auth: None,
        register: false,
        options: None,
        max_calls: 10,
        ring_timeout: Duration::from_secs(60),
        max_duration: Duration::from_secs(7200),
        enabled,
        rtp_source: RtpSource::Signalled,
    }
}

fn app(id: &str, key: &str, trunk: &str, origin: &str) -> App {
    let profile =
        |id: &str, survey| Profile { id: id.into(), destinations: vec![format!("sip:agent@{trunk}")], survey };
    App {
        id: id.into(),
        widget_keys: vec![WidgetKey::Plain(Secret::new(key))],
        allowed_origins: vec![origin.into()],
        trunk: Some(trunk.into()),
        default_profile: Some("main".into()),
        max_calls: 10,
        answer_url: None,
        answer_fallback_url: None,
        hours: Hours::Always,
        profiles: vec![profile("sales", false), profile("main", true)],
        integrations: Vec::new(),
        context: ContextLimits { value_bytes: 256, total_bytes: 4096 },
    }
}

/// The calls of a configuration.
pub(crate) fn calls(config: &Config) -> crate::calls::Calls {
    crate::calls::testing::calls(config)
}
