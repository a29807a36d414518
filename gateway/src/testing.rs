//! What several test modules share: a configuration that binds only free loopback ports.

use std::path::Path;

use trunkline_config::Config;

use crate::ids::SessionId;
use crate::routing::{Planned, Route, resolve};
use crate::session::Session;

/// Two apps, `acme` with a trunk and `idle` without an enabled one; three API keys named as their scopes.
pub(crate) const TOML: &str = r#"
[node]
name = "test"
drain_seconds = 1

[public]
listen = "127.0.0.1:0"
limits = { sessions_per_minute_per_address = 0, calls_per_minute_per_address = 0 }

[control]
listen = "127.0.0.1:0"
api_keys = [
    { name = "read", key = "k-read-0123456789abcdef", scopes = ["read"] },
    { name = "control", key = "k-control-0123456789abcdef", scopes = ["control"] },
    { name = "admin", key = "k-admin-0123456789abcdef", scopes = ["admin"] },
]

[media]
workers = 1
udp_listen = "127.0.0.1:0"
rtp_listen = "127.0.0.1"
rtp_ports = "31000-31998"

[sip]
udp_listen = "127.0.0.1:0"

[[trunks]]
id = "acme"
target = "sip:127.0.0.1:9"

[[trunks]]
id = "off"
target = "sip:127.0.0.1:9"
enabled = false

[[apps]]
id = "acme"
widget_keys = ["wk_demo"]
allowed_origins = ["https://shop.example"]
trunk = "acme"
default_profile = "main"
profiles = [
    { id = "sales", destinations = ["sip:agent@acme"], survey = false },
    { id = "main", destinations = ["sip:agent@acme"], survey = true },
]

[[apps.integrations]]
id = "crm"
url = "https://example.com/hooks"
secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

[[apps]]
id = "idle"
widget_keys = ["wk_idle"]
allowed_origins = ["https://idle.example"]
trunk = "off"
default_profile = "main"
profiles = [{ id = "main", destinations = ["sip:agent@off"] }]
"#;

pub(crate) const READ: &str = "k-read-0123456789abcdef";
pub(crate) const CONTROL: &str = "k-control-0123456789abcdef";
pub(crate) const ADMIN: &str = "k-admin-0123456789abcdef";

/// The configuration above.
pub(crate) fn config() -> Config {
    match trunkline_config::load_str(TOML, Path::new("."), std::iter::empty()) {
        Ok(mut loaded) => {
            // Made only by a daemon that is started with it.
            let bits = u64::from_be_bytes(crate::ids::random_bits());
            loaded.config.node.data_dir = std::env::temp_dir().join(format!("trunkline-test-{bits:016x}"));
            loaded.config
        }
        Err(problems) => panic!("{problems}"),
    }
}

/// A session of this app's default profile, with nothing in it.
pub(crate) fn session(app: &str) -> Session {
    Session {
        id: SessionId::from_client("ses_1"),
        app: app.into(),
        profile: None,
        profile_fallback: false,
        asked_profile: None,
        lang: "en".into(),
        preview: false,
        receive: None,
        context: Vec::new(),
        form: Vec::new(),
        destination: None,
        headers: Vec::new(),
        metadata: None,
        created: std::time::Instant::now(),
    }
}

/// The first route of that session.
pub(crate) fn route() -> Route {
    let plan = resolve(&config(), &session("acme"));
    match plan.first() {
        Some(Planned::Dial(route)) => (**route).clone(),
        other => panic!("{other:?}"),
    }
}

/// An offer as a browser makes it.
pub(crate) const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\n\
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n\
a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n\
a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:126 telephone-event/8000\r\na=ssrc:3735928559 cname:browser\r\n";
