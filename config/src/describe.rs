//! What a configuration comes to, for people: who can reach what, where audio flows, who may look on.

use std::fmt::Write as _;

use crate::model::{
    App, BrowserAudio, Config, Dtmf, FailureSound, GroupMember, Hours, Scope, SipTransport, Srtp, Trunk,
};

/// What each leg will advertise and how much it can hold, as text of several lines. Shows no secret.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _written = write_all(&mut text, config);
    text
}

fn write_all(text: &mut String, config: &Config) -> std::fmt::Result {
    writeln!(text, "node {}: a drain waits up to {} s for live calls", config.node.name, config.node.drain.as_secs())?;
    browsers(text, config)?;
    sip(text, config)?;
    for trunk in &config.trunks {
        write_trunk(text, trunk)?;
    }
    for group in &config.trunk_groups {
        let member = |one: &GroupMember| format!("{} (priority {}, weight {})", one.trunk, one.priority, one.weight);
        writeln!(text, "group {}: {}", group.id, list(group.members.iter().map(member)))?;
    }
    for app in &config.apps {
        write_app(text, app)?;
    }
    control(text, config)
}

fn browsers(text: &mut String, config: &Config) -> std::fmt::Result {
    let (public, media) = (&config.public, &config.media);
    let plain = match &public.tls {
        Some(tls) => format!("TLS, certificate good until {}", tls.identity.expires()),
        None => "plain HTTP".to_owned(),
    };
    writeln!(text, "browsers")?;
    writeln!(text, "  URL            {} (listening on {}, {plain})", public.url, public.listen)?;
    writeln!(text, "  codecs         {}", list(media.browser_codecs.iter().copied()))?;
    for worker in 0..media.workers {
        writeln!(text, "  candidates     {} over UDP (worker {worker})", list(media.candidates(worker)))?;
    }
    if let Some(listen) = media.tcp_listen {
        writeln!(text, "                 {} over TCP (listening on {listen})", list(media.tcp_candidates()))?;
    }
    if media.udp_listen.ip().is_loopback() && media.advertise.is_empty() {
        writeln!(text, "                 reached from this machine only; Firefox takes no loopback candidates")?;
    }
    let servers: Vec<&String> = public.ice_servers.iter().flat_map(|server| &server.urls).collect();
    if !servers.is_empty() {
        writeln!(text, "  STUN, TURN     {}", list(servers.into_iter()))?;
    }
    let times = [media.setup, media.inactivity, media.grace].map(|time| time.as_secs());
    let [setup, inactivity, grace] = times;
    writeln!(text, "  waits          {setup} s for media, {inactivity} s without RTP, {grace} s for a vanished browser")
}

fn sip(text: &mut String, config: &Config) -> std::fmt::Result {
    let (sip, media) = (&config.sip, &config.media);
    let told = sip.rtp_told(media.rtp_listen);
    let rtp = if told.is_empty() { media.rtp_listen.to_string() } else { list(told.iter()) };
    let (low, high) = (media.rtp_ports.start(), media.rtp_ports.end());
    writeln!(text, "SIP")?;
    let over_udp = sip.udp().map(|own| ("UDP", own));
    let over_tcp = sip.tcp_listen.iter().map(|own| ("TCP", *own));
    let over_tls = sip.tls_listen.iter().map(|own| ("TLS", *own));
    for (over, own) in over_udp.chain(over_tcp).chain(over_tls) {
        writeln!(text, "  Via, Contact   {} over {over} (listening on {own})", sip.told(own))?;
    }
    if let Some(tls) = &sip.tls {
        writeln!(text, "  certificate    good until {}", tls.identity.expires())?;
    }
    writeln!(text, "  From           {}", sip.from_host())?;
    if !sip.dns_servers.is_empty() {
        writeln!(text, "  name servers   {}", list(sip.dns_servers.iter()))?;
    }
    writeln!(text, "  RTP            {rtp} ports {low}-{high} (listening on {})", media.rtp_listen)?;
    let rest = media.quarantine.as_secs();
    writeln!(
        text,
        "                 {} calls at once, a pair of ports each; {rest} s of rest after a call",
        media.rtp_pairs()
    )
}

fn write_trunk(text: &mut String, trunk: &Trunk) -> std::fmt::Result {
    let state = if trunk.enabled { "" } else { " (switched off)" };
    let transport = match trunk.target.known_transport() {
        Some(SipTransport::Udp) => "UDP",
        Some(SipTransport::Tcp) => "TCP",
        Some(SipTransport::Tls) => "TLS",
        None => "what its DNS records say, else UDP",
    };
    let host =
        if trunk.target.host.contains(':') { format!("[{}]", trunk.target.host) } else { trunk.target.host.clone() };
    let port = trunk.target.port.map_or_else(String::new, |port| format!(":{port}"));
    let audio = match trunk.browser_audio {
        BrowserAudio::Relay => "in the trunk's codec",
        BrowserAudio::Elastic => "in its codec, in opus while packets get lost",
        BrowserAudio::Opus => "in opus",
    };
    let buffer = if trunk.transparent { "the trunk's own" } else { "ours" };
    let srtp = match trunk.srtp {
        Srtp::Off => "plain RTP",
        Srtp::Optional => "SRTP if the peer likes",
        Srtp::Required => "SRTP only",
    };
    let credentials =
        trunk.auth.as_ref().map_or_else(|| "no credentials".to_owned(), |auth| format!("user {}", auth.username));
    writeln!(text, "trunk {}{state}", trunk.id)?;
    writeln!(text, "  target         {host}{port} over {transport}, {credentials}")?;
    if let Some(registration) = &trunk.registration {
        let registrars = list(registration.registrars.iter().map(|registrar| registrar.host.clone()));
        let seconds = registration.expires_seconds;
        writeln!(text, "  registers      {} with {registrars} for {seconds} s", registration.address_of_record)?;
    }
    if let Some(proxy) = &trunk.outbound_proxy {
        writeln!(text, "  goes through   {}", proxy.host)?;
    }
    writeln!(text, "  offers         {}; {srtp}; browsers hear it {audio}", list(trunk.codecs.iter().copied()))?;
    writeln!(text, "  jitter buffer  {buffer}")?;
    let digits = match trunk.dtmf {
        Dtmf::Auto => "as the trunk's SDP says",
        Dtmf::Rfc4733 => "as telephone-events",
        Dtmf::Info => "by INFO",
        Dtmf::Inband => "as tones",
    };
    writeln!(text, "  digits         {digits}")?;
    let ringback = if trunk.tones.ringback { ", ringback" } else { "" };
    let failure = match trunk.tones.failure {
        FailureSound::Off => "",
        FailureSound::Tone => ", busy tone",
        FailureSound::Prompt => ", a prompt when nobody can be reached",
    };
    writeln!(text, "  tones          of {}{ringback}{failure}", trunk.tones.region)?;
    let [ring, longest] = [trunk.ring_timeout, trunk.max_duration].map(|time| time.as_secs());
    let session = match trunk.session_expires {
        0 => "no session timer".to_owned(),
        seconds => format!("sessions of {seconds} s"),
    };
    let warning =
        trunk.max_duration_warning.map_or_else(String::new, |time| format!(" (a tone {} s before)", time.as_secs()));
    let pace = match trunk.max_calls_per_second {
        0 => String::new(),
        calls => format!(", {calls} begun a second"),
    };
    writeln!(
        text,
        "  limits         {} calls{pace}, {ring} s of ringing, {longest} s a call{warning}, {session}",
        trunk.max_calls
    )?;
    let mut told: Vec<String> =
        trunk.context_fields.allow.iter().map(|key| format!("{}{key}", trunk.context_fields.prefix)).collect();
    if let Some(user_to_user) = &trunk.user_to_user {
        told.push(format!("User-to-User ({})", list(user_to_user.fields.iter())));
    }
    writeln!(text, "  is told        {}", list(told.iter()))?;
    let Some(inbound) = &trunk.inbound else { return Ok(()) };
    let from = if inbound.allow.is_empty() { "its own addresses".to_owned() } else { list(inbound.allow.iter()) };
    let user = inbound.auth.as_ref().map_or_else(String::new, |auth| format!(", and from who is {}", auth.username));
    writeln!(text, "  calls from     {from}{user}")?;
    if !inbound.hosts.is_empty() {
        writeln!(text, "  calls us       {}", list(inbound.hosts.iter()))?;
    }
    for number in &inbound.numbers {
        writeln!(text, "  number {}: {} of {}", number.number, number.name, number.app)?;
    }
    Ok(())
}

fn write_app(text: &mut String, app: &App) -> std::fmt::Result {
    let taken = hours(&app.hours);
    writeln!(text, "app {}", app.id)?;
    writeln!(
        text,
        "  takes          {} calls at once, {taken}; widget keys: {}",
        app.max_calls,
        app.widget_keys.len()
    )?;
    writeln!(text, "  pages on       {}", list(app.allowed_origins.iter()))?;
    if let Some(hook) = &app.answer {
        // What stands behind a question mark may be a secret.
        let urls = [Some(&hook.url), hook.fallback_url.as_ref()].into_iter().flatten();
        let shown = urls.map(|url| url.split('?').next().unwrap_or_default().to_owned());
        writeln!(text, "  asks           {}", list(shown))?;
    }
    for profile in &app.profiles {
        let default = if app.default_profile.as_ref() == Some(&profile.id) { " (default)" } else { "" };
        let through = app.trunk.as_ref().map_or_else(String::new, |trunk| format!(" through {trunk}"));
        let own_hours = profile.hours.as_ref().map_or_else(String::new, |own| format!("; taken {}", hours(own)));
        let destinations = list(profile.destinations.iter());
        writeln!(text, "  profile {}{default}: {destinations}{through}{own_hours}", profile.id)?;
    }
    Ok(())
}

fn hours(hours: &Hours) -> String {
    match hours {
        Hours::Always => "around the clock".to_owned(),
        Hours::Schedule(schedule) => {
            format!("by a timetable in {}", schedule.timezone.iana_name().unwrap_or("its own time zone"))
        }
    }
}

fn control(text: &mut String, config: &Config) -> std::fmt::Result {
    writeln!(text, "operators and back ends")?;
    writeln!(text, "  listening on   {}", config.control.listen)?;
    for key in &config.control.api_keys {
        let scopes = key.scopes.iter().map(|scope| match scope {
            Scope::Read => "read",
            Scope::Control => "control",
            Scope::Admin => "admin",
        });
        writeln!(text, "  key {}: {}", key.name, list(scopes))?;
    }
    Ok(())
}

/// `a, b`, or `none`.
fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
