//! A trunk whose audio is encrypted.

use super::browser::payload_type;
use super::phone::{Phone, is_silent, is_tone, listen};
use super::world::World;
use crate::api::{Command, MediaEvent};
use crate::audio::Codec;
use crate::detect::Issue;
use crate::quality::HalfLeg;
use crate::sdp::browser::Direction;
use crate::sdp::trunk::SrtpKeys;
use crate::srtp::{Inbound, MasterKey, Outbound, PeerKey, Suite};

pub(super) const SUITES: [Suite; 4] =
    [Suite::AeadAes128Gcm, Suite::AeadAes256Gcm, Suite::Aes128CmSha1_80, Suite::Aes128CmSha1_32];

fn master(suite: Suite, first: u8) -> MasterKey {
    let octets: Vec<u8> = (first..).take(suite.key_len() + suite.salt_len()).collect();
    MasterKey::new(suite, &octets).unwrap()
}

pub(super) fn keys(suite: Suite, ours: u8, theirs: u8) -> SrtpKeys {
    SrtpKeys::new(master(suite, ours), PeerKey::unlimited(master(suite, theirs)))
}

impl Phone {
    /// The other end of these keys.
    fn turn(&mut self, keys: &SrtpKeys) {
        let provider = rtc_crypto::default_provider().unwrap();
        let crypto = provider.crypto();
        let ours = Outbound::new(&keys.theirs.master, crypto).unwrap();
        match &mut self.keys {
            Some((outbound, inbound)) => {
                *outbound = ours;
                inbound.rekey(&PeerKey::unlimited(keys.ours), crypto).unwrap();
            }
            None => self.keys = Some((ours, Inbound::new(&PeerKey::unlimited(keys.ours), crypto).unwrap())),
        }
    }
}

impl World {
    fn connect_encrypted(&mut self, keys: SrtpKeys) {
        let media = crate::sdp::trunk::TrunkMedia { srtp: Some(Box::new(keys)), ..self.trunk_media(Codec::Pcmu) };
        self.command(Command::ConnectTrunk(media));
    }

    /// A call over an encrypted trunk, both sides speaking.
    pub(super) fn encrypted(keys: SrtpKeys) -> Self {
        let mut world = Self::new(&[Codec::Opus]);
        world.connect_browser();
        world.connect_trunk(Codec::Pcmu);
        world.connect_encrypted(keys);
        world.phone.turn(&keys);
        world.command(Command::Answered);
        world.browser.speak(world.now, Codec::Opus, 440.0);
        world.phone.speak(world.now, Codec::Pcmu, 1000.0);
        world.run(1000);
        world
    }

    /// The stream the phone heard.
    fn both_are_heard(&mut self, when: &str) -> u32 {
        let (browser, phone) = self.listen(1500);
        let heard = listen(&browser, payload_type(Codec::Opus), Codec::Opus);
        assert!(is_tone(&heard[heard.len() / 3..], 1000.0), "the browser hears the phone {when}");
        let heard = listen(&phone, 0, Codec::Pcmu);
        assert!(is_tone(&heard[heard.len() / 3..], 440.0), "the phone hears the browser {when}");
        assert_eq!(self.phone.unreadable, 0, "{when}");
        phone.last().unwrap().ssrc
    }
}

#[test]
fn an_encrypted_trunk_is_heard_both_ways_with_every_suite() {
    for suite in SUITES {
        let mut world = World::encrypted(keys(suite, 3, 90));
        // The phone's numbers begin anew within the first second.
        world.both_are_heard("from the beginning");
        world.connect_encrypted(keys(suite, 3, 90));
        world.both_are_heard("after a re-INVITE that changes nothing");
        world.run(5000);
        assert!(world.phone.reports > 0, "reports are encrypted, too");
        assert_eq!(world.stats().trunk_drops.undecryptable, 0);
    }
}

#[test]
fn plain_audio_on_an_encrypted_trunk_is_not_let_through() {
    let mut world = World::encrypted(keys(Suite::AeadAes128Gcm, 3, 90));
    world.phone.keys = None;
    world.phone.heard.clear();
    world.run(500);
    let (browser, _) = world.listen(1000);
    assert!(is_silent(&listen(&browser, payload_type(Codec::Opus), Codec::Opus)));
    assert!(world.stats().trunk_drops.undecryptable > 40);
}

#[test]
fn a_new_key_of_either_side_is_gone_over_to_without_a_gap() {
    let mut world = World::encrypted(keys(Suite::AeadAes128Gcm, 3, 90));
    let mut stream = world.both_are_heard("from the beginning");
    for (suite, ours, theirs) in [
        (Suite::AeadAes128Gcm, 3, 120),
        (Suite::AeadAes128Gcm, 40, 120),
        (Suite::Aes128CmSha1_80, 60, 150),
        (Suite::AeadAes256Gcm, 80, 180),
    ] {
        let next = keys(suite, ours, theirs);
        world.connect_encrypted(next);
        // The phone goes over a little later: until then its packets are still under its old key.
        world.run(60);
        world.phone.turn(&next);
        world.phone.unreadable = 0;
        let was = std::mem::replace(&mut stream, world.both_are_heard("under new keys"));
        assert_eq!(was == stream, theirs == 120 && ours == 3, "another key of ours, another stream");
    }
    assert_eq!(world.stats().trunk_drops.undecryptable, 0);
}

#[test]
fn a_long_hold_in_which_the_phone_spoke_into_the_void_is_survived() {
    let keys = keys(Suite::Aes128CmSha1_80, 3, 90);
    let mut world = World::encrypted(keys);
    let held = crate::sdp::trunk::TrunkMedia {
        srtp: Some(Box::new(keys)),
        peer_direction: Direction::Inactive,
        ..world.trunk_media(Codec::Pcmu)
    };
    world.command(Command::ConnectTrunk(held));
    world.trunk_link = false;
    world.run(1000);
    // More than 11 minutes of packets, and more than 22.
    for packets in [40_000, 70_000] {
        world.phone.speak_into_the_void(packets);
        world.trunk_link = true;
        world.connect_encrypted(keys);
        world.run(1000);
        world.both_are_heard("after the hold");
        world.trunk_link = false;
        world.run(100);
    }
}

#[test]
fn a_phone_whose_key_is_another_is_found_out() {
    let mut world = World::encrypted(keys(Suite::AeadAes128Gcm, 3, 90));
    world.phone.turn(&keys(Suite::AeadAes128Gcm, 3, 99));
    world.run(6000);
    let found = |event: &MediaEvent| {
        matches!(event, MediaEvent::Issue(change)
            if change.issue == Issue::Undecryptable && change.half_leg == HalfLeg::SipUp && change.raised)
    };
    assert!(world.saw(found), "{:?}", world.stats().verdicts);
}
