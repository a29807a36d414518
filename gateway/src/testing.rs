//! What several test modules share: a configuration that binds only free loopback ports.

use std::path::Path;

use trunkline_config::Config;

/// Two apps, `acme` with a trunk and `idle` without an enabled one; three API keys named as their scopes.
const TOML: &str = r#"
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
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}
