use std::time::Duration;

use super::load_with;
use crate::{
    Calls, Codec, FailureSound, HoldAudio, Hours, ReliableProvisional, SipTransport, Tones, WidgetKey, describe,
};

#[test]
fn an_empty_file_is_a_configuration() {
    let config = load_with("", &[]).unwrap().config;
    assert_eq!(config.public.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public.url, "http://127.0.0.1:8080");
    assert_eq!(config.control.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.media.workers, 2);
    assert_eq!(config.media.browser_codecs, [Codec::Opus, Codec::Pcmu, Codec::Pcma]);
    assert_eq!(config.media.quarantine, Duration::from_secs(10));
    assert_eq!(config.media.rtp_pairs(), 4999);
    assert_eq!(config.sip.udp_listen.to_string(), "127.0.0.1:5060");
    assert!(config.trunks.is_empty() && config.apps.is_empty());
}

#[test]
fn the_public_url_is_kept_as_browsers_write_their_origin() {
    for (written, kept) in [
        ("https://Voice.Example.com:443/", "https://voice.example.com"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("HTTPS://[::1]:8443", "https://[::1]:8443"),
        ("https://voice.example.com", "https://voice.example.com"),
    ] {
        let config = load_with(&format!("public.url = {written:?}"), &[]).unwrap().config;
        assert_eq!(config.public.url, kept, "{written}");
    }
}

#[test]
fn an_odd_first_rtp_port_is_rounded_up() {
    let ports = |range: &str| load_with(&format!("media.rtp_ports = {range:?}"), &[]).unwrap().config.media;
    assert_eq!(ports("20101-20104").rtp_ports, 20102..=20104);
    assert_eq!(ports("20101-20104").rtp_pairs(), 1);
    assert_eq!(ports("20100 - 20103").rtp_pairs(), 2);
}

#[test]
fn defaults_of_trunks_and_apps() {
    let text = "[[trunks]]\nid = 't'\ntarget = 'sip.example.com;transport=udp'\n[[apps]]\nid = 'a'\n";
    let config = load_with(text, &[]).unwrap().config;
    let (trunk, app) = (&config.trunks[0], &config.apps[0]);
    assert_eq!(trunk.target.known_transport(), Some(SipTransport::Udp));
    assert_eq!((trunk.max_calls, trunk.ring_timeout.as_secs(), trunk.max_duration.as_secs()), (1000, 60, 7200));
    assert!(trunk.enabled && trunk.auth.is_none() && trunk.session_expires == 1800);
    assert!(matches!(app.hours, Hours::Always));
    assert_eq!((app.max_calls, app.context.value_bytes, app.context.total_bytes), (500, 256, 4096));
}

#[test]
fn what_a_trunk_lets_visitors_hear() {
    let text = "[media]\nhold_audio = 'noise'\n[[trunks]]\nid = 't'\ntarget = 'h'\n\
                tones = { region = 'es', ringback = false, failure = 'tone' }\n[[trunks]]\nid = 'u'\ntarget = 'h'\n";
    let config = load_with(text, &[]).unwrap().config;
    let hold = |text: &str| load_with(text, &[]).unwrap().config.media.hold_audio;
    assert_eq!((config.media.hold_audio, hold("")), (HoldAudio::Noise, HoldAudio::Prompt));
    assert_eq!(hold("media.hold_audio = 'music'"), HoldAudio::Music);
    assert_eq!(config.trunks[1].tones, Tones::default());
    let expected = Tones { region: "es".into(), ringback: false, failure: FailureSound::Tone };
    assert_eq!(config.trunks[0].tones, expected);
}

#[test]
fn how_calls_of_a_trunk_are_made() {
    let text = "[[trunks]]\nid = 't'\ntarget = 'h'\ncalls = { reliable_provisional = 'required', late_offer = true, \
                redirect_hosts = ['Other.example', '2001:db8::1'], asserted_identity = 'tel:+34910000000', \
                privacy = ['id', 'critical'], pass_headers = ['Diversion'] }\n\
                [[trunks]]\nid = 'u'\ntarget = 'h'\n";
    let config = load_with(text, &[]).unwrap().config;
    assert_eq!(config.trunks[1].calls, Calls::default());
    let expected = Calls {
        reliable: ReliableProvisional::Required,
        late_offer: true,
        redirect_hosts: vec!["other.example".into(), "2001:db8::1".into()],
        asserted_identity: Some("tel:+34910000000".into()),
        privacy: Some("id;critical".into()),
        pass_headers: vec!["Diversion"],
        ..Calls::default()
    };
    assert_eq!(config.trunks[0].calls, expected);
}

#[test]
fn widget_keys_may_be_hashed() {
    let hex = "ab".repeat(32);
    let text = format!("[[apps]]\nid = 'a'\nwidget_keys = ['wk', 'sha256:{hex}', 'env:K']");
    let config = load_with(&text, &[("K", "elsewhere")]).unwrap().config;
    match config.apps[0].widget_keys.as_slice() {
        [WidgetKey::Plain(plain), WidgetKey::Sha256(digest), WidgetKey::Plain(elsewhere)] => {
            assert_eq!(plain.reveal(), "wk");
            assert_eq!(digest, &[0xab; 32]);
            assert_eq!(elsewhere.reveal(), "elsewhere");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timetable_is_read() {
    let text = "[[apps]]\nid = 'a'\n[apps.hours]\ntimezone = 'Europe/Madrid'\n\
                week = { mon = ['16:00-19:00', '09:00-14:00'] }\n\
                exceptions = [{ date = 2026-12-25, closed = true, label = 'x' }]\n";
    let config = load_with(text, &[]).unwrap().config;
    let Hours::Schedule(schedule) = &config.apps[0].hours else { panic!("no schedule") };
    assert_eq!(schedule.week[0], [540..=839, 960..=1139]);
    assert!(schedule.week[1].is_empty());
    assert!(schedule.exceptions[&jiff::civil::date(2026, 12, 25)].windows.is_empty());
}

#[test]
fn both_families_are_listened_on_and_told() {
    let text = "
        [media]
        rtp_listen = '::'
        [sip]
        udp_listen = '0.0.0.0:5060, [::]:5060'
        tcp_listen = '[::]:5060'
        advertise = '192.0.2.7, 2001:db8::7'";
    let config = load_with(text, &[]).unwrap().config;
    let told: Vec<String> = config.sip.udp().map(|own| config.sip.told(own).to_string()).collect();
    assert_eq!(told, ["192.0.2.7:5060", "[2001:db8::7]:5060"]);
    assert_eq!(config.sip.rtp_told(config.media.rtp_listen).len(), 2);
    assert_eq!(config.sip.rtp_told("10.0.0.5".parse().unwrap()), ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
    let text = describe(&config);
    for line in [
        "  Via, Contact   [2001:db8::7]:5060 over UDP (listening on [::]:5060)",
        "  Via, Contact   [2001:db8::7]:5060 over TCP (listening on [::]:5060)",
        "  RTP            192.0.2.7, 2001:db8::7 ports 30000-39998 (listening on ::)",
    ] {
        assert!(text.lines().any(|have| have == line), "lacks {line:?}:\n{text}");
    }
}

#[test]
fn the_description_says_what_is_advertised() {
    let text = "
        public = { listen = '0.0.0.0:8080', url = 'https://voice.example.com/', allow_insecure = true }
        [[control.api_keys]]
        name = 'ops'
        key = 'very-secret-key'
        scopes = ['read', 'admin']
        [media]
        workers = 2
        udp_listen = '10.0.0.5:20000'
        advertise = ['192.0.2.7']
        rtp_listen = '10.0.0.5'
        rtp_ports = '21001-21100'
        [sip]
        udp_listen = '10.0.0.5:5060'
        advertise = '192.0.2.7'
        [[trunks]]
        id = 'acme'
        target = 'sip.example.com:5070'
        codecs = ['G722', 'PCMA']
        auth = { username = 'u', password = 'very-secret-password' }
        [[apps]]
        id = 'shop'
        trunk = 'acme'
        default_profile = 'main'
        widget_keys = ['very-secret-widget-key']
        profiles = [{ id = 'main', destinations = ['tel:+34600000000'] }]";
    let text = describe(&load_with(text, &[]).unwrap().config);
    for line in [
        "  URL            https://voice.example.com (listening on 0.0.0.0:8080, plain HTTP)",
        "  candidates     192.0.2.7:20000 over UDP (worker 0)",
        "  candidates     192.0.2.7:20001 over UDP (worker 1)",
        "  Via, Contact   192.0.2.7:5060 over UDP (listening on 10.0.0.5:5060)",
        "  From           192.0.2.7",
        "  RTP            192.0.2.7 ports 21002-21100 (listening on 10.0.0.5)",
        "                 49 calls at once, a pair of ports each; 10 s of rest after a call",
        "  target         sip.example.com:5070 over UDP, user u",
        "  offers         G722, PCMA; plain RTP; browsers hear it in its codec, in opus while packets get lost",
        "  jitter buffer  ours",
        "  profile main (default): tel:+34600000000 through acme",
        "  key ops: read, admin",
    ] {
        assert!(text.lines().any(|have| have == line), "lacks {line:?}:\n{text}");
    }
    assert!(!text.contains("very-secret"), "{text}");
}
