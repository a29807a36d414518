//! SIP legs in the journal: what it takes to end each of them is on the disk before the trunk hears of it, so that a
//! process that goes away leaves no telephone talking to nobody.

use std::sync::Arc;

use bytes::Bytes;
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::endpoint::{LegId, LegSnapshot};

use super::Shared;
use crate::outcome::{Reason, table};

/// A leg has become another thing, or is settled.
pub(super) struct Told {
    pub(super) leg: LegId,
    pub(super) call_id: Bytes,
    pub(super) serial: u64,
    pub(super) snapshot: Option<Box<LegSnapshot>>,
}

/// Writes it down. The SIP side holds the leg's messages back until it hears of that, though never for long.
pub(super) fn note(shared: &Shared, told: Told) {
    let Told { leg, call_id, serial, snapshot } = told;
    let call_id = String::from_utf8_lossy(&call_id).into_owned();
    let Some(snapshot) = snapshot else { return shared.store.forget_leg(call_id) };
    let (written, sip) = (shared.store.keep_leg(call_id, snapshot.to_bytes()), Arc::clone(&shared.sip));
    tokio::spawn(async move {
        if written.await.is_ok() {
            sip.snapshot_kept(leg, serial).await;
        }
    });
}

/// Ends the legs of an earlier process, one after the other.
pub(super) async fn end(shared: Arc<Shared>, legs: Vec<Bytes>) {
    for leg in legs {
        let Some(snapshot) = LegSnapshot::parse(&leg) else {
            tracing::error!("a SIP leg in the journal cannot be understood, it is not ended");
            continue;
        };
        let call_id = String::from_utf8_lossy(&snapshot.call_id()).into_owned();
        let config = shared.settings.load();
        let trunk = config.trunks.iter().find(|trunk| trunk.id == snapshot.label);
        let credentials = trunk
            .and_then(|trunk| trunk.auth.as_ref())
            .map(|auth| Credentials { username: auth.username.clone(), password: auth.password.reveal().to_owned() });
        tracing::info!(trunk = snapshot.label, sip_call_id = call_id, "the SIP leg of a lost call is ended");
        let reason = table::reason_header(Reason::NodeCrash);
        if !shared.sip.end_lost_leg(snapshot, credentials, reason).await {
            tracing::error!(sip_call_id = call_id, "the SIP leg of a lost call is left to the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trunkline_signaling::endpoint::{Endpoint, EndpointConfig, Event, Invite, Timers, Transport};
    use trunkline_signaling::message::{Headers, Uri};

    use super::super::Calls;
    use super::super::testing::{FakeMedia, FakeSip};
    use super::*;
    use crate::clock::Clock;
    use crate::prompts::Prompts;
    use crate::settings::Settings;

    /// A leg over a trunk, as the SIP side tells it.
    fn leg(trunk: &str) -> Told {
        let ms = Duration::from_millis;
        let config = EndpointConfig {
            advertised: "192.0.2.1:5060".parse().unwrap(),
            domain: "gateway.example".into(),
            user_agent: "test".into(),
            accepts_calls: false,
            timers: Timers { t1: ms(500), t2: ms(4_000), t4: ms(5_000) },
            max_transactions: 10,
            trace: false,
            snapshots: Some(ms(100)),
        };
        let invite = Invite {
            target: "192.0.2.2:5060".parse().unwrap(),
            over: Transport::Udp,
            uri: Uri::parse(&Bytes::from("sip:agent@192.0.2.2")).unwrap(),
            from_user: "visitor".into(),
            from_display: None,
            headers: Headers::default(),
            sdp: Bytes::new(),
            credentials: None,
            session_expires: 0,
            reliable: trunkline_signaling::endpoint::Reliable::Off,
            anonymous: false,
            label: trunk.into(),
        };
        let mut endpoint = Endpoint::new(config, [1; 32]);
        endpoint.invite(std::time::Instant::now(), invite).unwrap();
        let Some(Event::Snapshot { leg, call_id, serial, snapshot }) = endpoint.poll_event() else {
            panic!("not told")
        };
        Told { leg, call_id, serial, snapshot }
    }

    #[tokio::test]
    async fn a_leg_is_ended_with_its_trunks_credentials_unless_it_was_settled() {
        let mut config = crate::testing::config();
        let trunk = config.trunks.first().unwrap().id.clone();
        let password = trunkline_config::Secret::new("pass");
        config.trunks.first_mut().unwrap().auth =
            Some(trunkline_config::TrunkAuth { username: "user".into(), password });
        let sip = Arc::new(FakeSip::default());
        let media = Arc::new(FakeMedia::default());
        let calls = Calls::new(Settings::new(config), media, sip.clone(), Prompts::none(), Clock::system());
        let store = calls.store().clone();
        note(&calls.shared, leg(&trunk));
        note(&calls.shared, Told { call_id: "other".into(), ..leg(&trunk) });
        note(&calls.shared, Told { call_id: "other".into(), snapshot: None, ..leg(&trunk) });
        let flushed = store.clone();
        assert!(tokio::task::spawn_blocking(move || flushed.flush(Duration::from_secs(20))).await.unwrap());
        let mut legs = store.legs().await.unwrap();
        assert_eq!(legs.len(), 1);
        legs.push(Bytes::from_static(b"what nobody wrote"));
        end(Arc::clone(&calls.shared), legs).await;
        let lost = sip.lost.lock().unwrap();
        let [(snapshot, Some(credentials), reason)] = &lost[..] else { panic!("{lost:?}") };
        assert_eq!((snapshot.label.as_str(), credentials.username.as_str()), (trunk.as_str(), "user"));
        assert_eq!((reason.protocol.as_str(), reason.cause), ("SIP", 503));
    }
}
