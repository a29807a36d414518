//! Junk at every port, before, during and after a call: it is counted, and nobody hears or feels it.

use std::net::SocketAddr;
use std::path::Path;

use trunkline::call::Api;
use trunkline_media::audio::Codec;
use trunkline_tests::world::chance::Chance;
use trunkline_tests::world::net::Arrival;
use trunkline_tests::world::{BrowserId, Dial, PhoneEnd, Script, World, ms, secs, seeds};

const STRANGER: &str = "198.18.7.7:9999";
const BROWSER: BrowserId = BrowserId(0);

/// Every file of the hostile corpora.
fn corpora() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("data")];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() { folders.push(path) } else { files.push(std::fs::read(path).unwrap()) }
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    files
}

/// A real datagram, or a corpus file, a little or much changed.
fn mutant(dice: &mut Chance, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    match dice.below(5) {
        0 => {
            let length = dice.below(1 + bytes.len() as u64) as usize;
            bytes.truncate(length);
        }
        1 => {
            let more = dice.below(64) as usize;
            bytes.extend(dice.bytes(more));
        }
        2 => return dice.bytes(1 + (original.len() % 1400)),
        _ => {
            for _ in 0..=dice.below(8) {
                let at = dice.below(bytes.len() as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}

/// Whether a datagram answers a request of the gateway's: it names a transaction, which only the answerer can know.
fn is_answer(real: &Arrival, sip: SocketAddr) -> bool {
    real.to == sip && real.bytes.starts_with(b"SIP/2.0")
}

/// One junk datagram at some port of the gateway. What claims to come from a peer goes where a peer's word is proven by
/// keys; a stranger's goes everywhere.
fn spray(world: &mut World, dice: &mut Chance, corpora: &[Vec<u8>]) {
    let (public, sip) = (world.gateway().public, world.gateway().sip_address);
    let mut ports = vec![public, sip];
    for &port in world.gateway().ports.leased() {
        ports.extend([SocketAddr::new(public.ip(), port), SocketAddr::new(public.ip(), port + 1)]);
    }
    let recent = &world.net().recent;
    let check = dice.happens(0.1).then(|| recent.iter().find(|real| real.bytes[0] < 4)).flatten();
    let any = (!recent.is_empty()).then(|| &recent[dice.below(recent.len() as u64) as usize]);
    let template = check.or(any).filter(|real| !is_answer(real, sip)).cloned();
    let (from, to, bytes) = match template {
        Some(real) if dice.happens(0.6) => {
            let bytes = mutant(dice, &real.bytes);
            // Nothing of the peer's own is repeated word for word: that would be the peer speaking.
            if bytes == real.bytes {
                return;
            }
            let spoofed = real.to == public && dice.happens(0.7);
            (if spoofed { real.from } else { STRANGER.parse().unwrap() }, real.to, bytes)
        }
        Some(_) | None => {
            let original = &corpora[dice.below(corpora.len() as u64) as usize];
            let bytes = if dice.happens(0.5) { original.clone() } else { mutant(dice, original) };
            (STRANGER.parse().unwrap(), ports[dice.below(ports.len() as u64) as usize], bytes)
        }
    };
    if !bytes.is_empty() {
        world.inject(from, to, bytes);
    }
}

fn spray_for(world: &mut World, dice: &mut Chance, corpora: &[Vec<u8>], milliseconds: u64) {
    for _ in 0..milliseconds / 2 {
        spray(world, dice, corpora);
        world.run_for(ms(2));
    }
}

#[test]
fn simulation_junk_at_every_port_harms_no_call() {
    let corpora = corpora();
    for seed in seeds(4) {
        let mut dice = Chance::new(seed ^ 0x4A55_4E4B);
        let mut world = World::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)));
        spray_for(&mut world, &mut dice, &corpora, 500);
        let call = world.dial(&Dial::default(), &[phone]);
        spray_for(&mut world, &mut dice, &corpora, 3000);
        assert_eq!(world.state(call), "talking", "seed {seed}: {}", world.tell());
        assert!(world.browser(BROWSER).connected);
        let from = world.now();
        spray_for(&mut world, &mut dice, &corpora, 6000);
        let to = world.now();
        let up = world.phone(phone).line().ear.fraction(trunkline_tests::world::BROWSER_TONE, from, to);
        let down = world.browser(BROWSER).ear.fraction(trunkline_tests::world::PHONE_TONE, from, to);
        assert!(up > 0.98 && down > 0.98, "seed {seed}: up {up:.3}, down {down:.3}");
        assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"], "seed {seed}");
        counted(&world, call);
        world.api(call, Api::VisitorHangup);
        spray_for(&mut world, &mut dice, &corpora, 1000);
        world.run_for(secs(45));
        assert_eq!(world.phone(phone).line().end, Some(PhoneEnd::Ended));
        assert!(world.is_at_rest(), "seed {seed}: {}", world.tell());
    }
}

fn counted(world: &World, call: trunkline_tests::world::CallNo) {
    let drops = world.stats(call).drops;
    for (count, what) in [
        (drops.malformed, "malformed"),
        (drops.wrong_source, "wrong source"),
        (drops.undecryptable, "undecryptable"),
        (world.gateway().stray, "stray"),
        (world.gateway().sip_stats().malformed, "no SIP"),
    ] {
        assert!(count > 0, "no junk was counted as {what}: {drops:?}");
    }
}

#[test]
fn simulation_every_file_of_the_corpora_from_the_browsers_own_address() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    let address = world.stats(call).browser_remote.unwrap();
    let public = world.gateway().public;
    for bytes in corpora().into_iter().filter(|bytes| !bytes.is_empty()) {
        world.inject(address, public, bytes);
        world.run_for(ms(5));
    }
    world.assert_hearing(browser, phone, secs(0), secs(2));
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
}
