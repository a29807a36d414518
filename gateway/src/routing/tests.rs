use super::*;
use crate::session::Session;

fn config() -> Config {
    let mut config = crate::testing::config();
    let acme = config.trunks.first().cloned().unwrap();
    let trunk = |id: &str| Trunk { id: id.into(), ..acme.clone() };
    let mut v6 = trunk("v6");
    (v6.target.host, v6.target.port) = ("2001:db8::1".into(), None);
    let mut off = trunk("off");
    off.enabled = false;
    let mut mute = trunk("mute");
    mute.codecs = Vec::new();
    config.trunks = vec![Trunk { id: "acme".into(), ..acme }, v6, off, mute];
    for app in &mut config.apps {
        app.trunk = Some("acme".into());
    }
    config
}

fn session(app: &str, profile: Option<&str>, destination: Option<&str>) -> Session {
    Session {
        profile: profile.map(Into::into),
        destination: destination.map(Into::into),
        ..crate::testing::session(app)
    }
}

fn route_of(config: &Config, destination: &str) -> Result<(String, String), &'static str> {
    let app = config.apps.first().map(|a| a.id.clone()).unwrap();
    match resolve(config, &session(&app, None, Some(destination))).pop() {
        Some(Planned::Dial(route)) => Ok((route.trunk.clone(), route.request_uri.clone())),
        Some(Planned::Skip { reason, .. }) => Err(reason.detail().unwrap_or(reason.word())),
        Some(Planned::Hunt(_)) => Err("a group"),
        None => Err("nothing"),
    }
}

#[test]
fn a_trunk_says_how_audio_goes_across() {
    let mut config = config();
    let mut route = |audio, transparent| {
        let trunk = config.trunks.first_mut().unwrap();
        (trunk.browser_audio, trunk.transparent) = (audio, transparent);
        match over(&config, "acme", "sip:agent@acme") {
            Planned::Dial(route) => (route.relay, route.elastic, route.on_arrival),
            Planned::Skip { .. } | Planned::Hunt(_) => panic!(),
        }
    };
    assert_eq!(route(BrowserAudio::Relay, false), (true, false, false));
    assert_eq!(route(BrowserAudio::Elastic, true), (false, true, true));
    assert_eq!(route(BrowserAudio::Opus, false), (false, false, false));
}

#[test]
fn a_destination_becomes_a_request_uri_and_a_trunk() {
    let config = config();
    let target = |t: &Trunk| format!("{}:{}", t.target.host, t.target.port.unwrap());
    let at = target(config.trunks.first().unwrap());
    let rows = [
        ("sip:agent@acme", "acme", format!("sip:agent@{at}")),
        ("SIP:agent@acme", "acme", format!("sip:agent@{at}")),
        ("agent@acme", "acme", format!("sip:agent@{at}")),
        ("sip:acme", "acme", format!("sip:{at}")),
        ("sip:+34910000000@v6", "v6", "sip:+34910000000@[2001:db8::1]".into()),
        ("sip:agent@pbx.example.com", "acme", "sip:agent@pbx.example.com".into()),
        ("sip:agent@pbx.example.com:5080;user=phone", "acme", "sip:agent@pbx.example.com:5080;user=phone".into()),
        ("sip:agent@[2001:db8::9]:5080", "acme", "sip:agent@[2001:db8::9]:5080".into()),
        ("sips:agent@acme", "acme", format!("sips:agent@{at}")),
        ("sip:a@acme;transport=tcp;maddr=10.0.0.1;x=1", "acme", format!("sip:a@{at};x=1")),
        ("tel:+34910000000", "acme", format!("sip:+34910000000@{at};user=phone")),
    ];
    for (destination, trunk, uri) in rows {
        assert_eq!(route_of(&config, destination), Ok((trunk.to_owned(), uri)), "{destination}");
    }
}

#[test]
fn what_cannot_be_dialled_says_why() {
    let config = config();
    let rows = [
        ("sip:agent@off", "trunk_disabled"),
        ("sip:agent@mute", "dest_codec"),
        ("", "dest_not_found"),
        ("sip:", "dest_not_found"),
        ("sip:@acme", "dest_not_found"),
        ("sip:a b@acme", "dest_not_found"),
        ("sip:a\r\nVia: x@acme", "dest_not_found"),
        ("sip:a@acme?Route=x", "dest_not_found"),
        ("sip:a@acme:0", "dest_not_found"),
        ("sip:a@acme:70000", "dest_not_found"),
        ("sip:a@[acme]", "dest_not_found"),
        ("sip:a%zz@acme", "dest_not_found"),
        ("sip:a:secret@acme", "dest_not_found"),
        ("sip:a@acme;x=\"<>\"", "dest_not_found"),
        ("tel:", "dest_not_found"),
        ("tel:12#", "dest_not_found"),
        ("https://acme", "dest_not_found"),
    ];
    for (destination, why) in rows {
        assert_eq!(route_of(&config, destination), Err(why), "{destination}");
    }
}

#[test]
fn a_session_dials_its_own_destination_or_its_profiles() {
    let mut config = config();
    let app = config.apps.first_mut().unwrap();
    let (id, default) = (app.id.clone(), app.default_profile.clone().unwrap());
    let destinations =
        |plan: Vec<Planned>| -> Vec<String> { plan.into_iter().map(|p| p.destination().unwrap().to_owned()).collect() };
    for profile in &mut app.profiles {
        profile.destinations = vec![format!("sip:{}1@acme", profile.id), format!("sip:{}2@off", profile.id)];
    }
    let other = app.profiles.iter().map(|p| p.id.clone()).find(|p| *p != default).unwrap();
    let of = |profile: Option<&str>, destination| destinations(resolve(&config, &session(&id, profile, destination)));
    assert_eq!(of(None, None), [format!("sip:{default}1@acme"), format!("sip:{default}2@off")]);
    assert_eq!(of(Some(&other), None), [format!("sip:{other}1@acme"), format!("sip:{other}2@off")]);
    assert_eq!(of(Some(&other), Some("sip:x@acme")), ["sip:x@acme"]);
    assert!(of(Some("gone"), None).is_empty());
    assert!(resolve(&config, &session("no such app", None, None)).is_empty());
}

#[test]
fn a_group_stands_wherever_a_trunk_may() {
    let mut config = config();
    let member = |trunk: &str, priority| GroupMember { trunk: trunk.into(), priority, weight: 1 };
    let members = vec![member("v6", 20), member("off", 5), member("acme", 10)];
    config.trunk_groups = vec![trunkline_config::TrunkGroup { id: "carriers".into(), members }];
    config.apps[0].trunk = Some("carriers".into());
    let app = config.apps[0].id.clone();
    let at = config.trunks[0].target.port.unwrap();
    let acme = format!("sip:agent@{}:{at}", config.trunks[0].target.host);
    for (destination, over_acme) in
        [("sip:agent@carriers", acme.as_str()), ("sip:agent@pbx.example", "sip:agent@pbx.example")]
    {
        let Some(Planned::Hunt(ways)) = dial(&config, &app, &[destination.into()], Limits::default()).pop() else {
            panic!("no group")
        };
        let told: Vec<String> = ways
            .iter()
            .map(|way| match way {
                Planned::Dial(route) => format!("{} {}", route.trunk, route.request_uri),
                Planned::Skip { trunk, reason, .. } => {
                    format!("{} {}", trunk.clone().unwrap(), reason.detail().unwrap())
                }
                Planned::Hunt(_) => "a group".into(),
            })
            .collect();
        assert_eq!(told[..2], ["off trunk_disabled".to_owned(), format!("acme {over_acme}")]);
        assert!(told[2].starts_with("v6 "), "{told:?}");
    }
}
