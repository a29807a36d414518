//! What a scenario can do to the world.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use trunkline::call::{Api, Input};
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_media::quality::HalfLeg;

use super::browser::{BrowserId, Visitor};
use super::gateway::CallNo;
use super::net::{Link, Towards};
use super::phone::PhoneId;
use super::voice::Says;
use super::world::{World, at, browser_address};

impl World {
    /// The way between a phone and the gateway is like this from now on.
    pub fn link_phone(&mut self, phone: PhoneId, link: Link) {
        self.net.set_link(self.phones[phone.0].address().ip(), link);
    }

    /// The way between the nth browser (there already or not) and the gateway is like this from now on.
    pub fn link_browser(&mut self, browser: BrowserId, link: Link) {
        self.net.set_link(browser_address(browser.0).ip(), link);
    }

    /// Nothing passes between the browser and the gateway for this long.
    pub fn black_out_browser(&mut self, browser: BrowserId, length: Duration) {
        let until = self.now() + length;
        self.net.black_out(self.browsers[browser.0].inner.ip(), until);
    }

    /// Nothing passes between the phone and the gateway for this long.
    pub fn black_out_phone(&mut self, phone: PhoneId, length: Duration) {
        let until = self.now() + length;
        self.net.black_out(self.phones[phone.0].address().ip(), until);
    }

    /// One half-leg of a call is like this from now on; what goes the other way is not.
    pub fn impair(&mut self, half_leg: HalfLeg, browser: BrowserId, phone: PhoneId, link: Link) {
        let (host, towards) = self.way(half_leg, browser, phone);
        self.net.set_way(host, towards, link);
    }

    /// Nothing passes on one half-leg for this long.
    pub fn darken(&mut self, half_leg: HalfLeg, browser: BrowserId, phone: PhoneId, length: Duration) {
        let (host, towards) = self.way(half_leg, browser, phone);
        let until = self.now() + length;
        self.net.black_out_way(host, towards, until);
    }

    fn way(&self, half_leg: HalfLeg, browser: BrowserId, phone: PhoneId) -> (IpAddr, Towards) {
        let (browser, phone) = (browser_address(browser.0).ip(), self.phones[phone.0].address().ip());
        match half_leg {
            HalfLeg::BrowserUp => (browser, Towards::Gateway),
            HalfLeg::BrowserDown => (browser, Towards::Host),
            HalfLeg::SipUp => (phone, Towards::Gateway),
            HalfLeg::SipDown => (phone, Towards::Host),
        }
    }

    /// The visitor's device sleeps for this long.
    pub fn sleep(&mut self, browser: BrowserId, length: Duration) {
        let until = self.now() + length;
        self.browsers[browser.0].sleep(until);
    }

    /// The SIP side of the gateway, or its node, goes away; anything else that the daemon may tell a call.
    pub fn tell_call(&mut self, call: CallNo, input: Input) {
        let now = self.now();
        self.gateway.input(now, call, input);
    }

    /// The phone's SIP is restarted and knows of no call any more.
    pub fn restart_phone(&mut self, phone: PhoneId) {
        let seed = self.chance.seed();
        self.phones[phone.0].forget_calls(seed);
    }

    /// Nobody decodes what he gets any more: a long scenario takes half the time.
    pub fn deafen(&mut self) {
        self.browsers.iter_mut().for_each(|browser| browser.ear.deaf = true);
        self.phones.iter_mut().flat_map(|phone| &mut phone.lines).for_each(|line| line.ear.deaf = true);
    }

    /// The page is loaded again: a new browser for the same call, from another network.
    pub fn reattach(&mut self, call: CallNo, codecs: &[Codec]) -> BrowserId {
        let now = self.now();
        let (offer, id) = self.open_browser(codecs, Visitor::default());
        let opened = self.gateway.reattach(now, call, offer);
        self.browsers[id.0].accept(&opened.answer);
        if let Some(entry) = self.calls.iter_mut().find(|(no, _)| *no == call) {
            entry.1 = Some(id);
        }
        id
    }

    /// The browser restarts ICE, by a PATCH.
    pub fn restart_ice(&mut self, call: CallNo, browser: BrowserId) {
        let now = self.now();
        let credentials = self.browsers[browser.0].restart_ice();
        let restarted = self.gateway.restart_ice(now, call, credentials);
        self.browsers[browser.0].accept_restart(&restarted);
    }

    /// The browser's translator gives it another address.
    pub fn rebind(&mut self, browser: BrowserId) {
        let inner = self.browsers[browser.0].inner;
        let outer = SocketAddr::new(at("198.51.100.1:0").ip(), 41_000 + self.chance.below(20_000) as u16);
        self.net.translate(inner, outer);
    }

    /// The API asks something of a call.
    pub fn api(&mut self, call: CallNo, api: Api) {
        let now = self.now();
        match &api {
            Api::Mute { leg: Leg::Browser, muted } => self.reference.browser_muted = *muted,
            Api::Mute { leg: Leg::Trunk, muted } => self.reference.phone_muted = *muted,
            Api::Hold { leg: Leg::Browser, held } => self.reference.browser_held = *held,
            Api::Hold { leg: Leg::Trunk, held } => self.reference.phone_held = *held,
            Api::Play { .. }
            | Api::Stop { .. }
            | Api::Act(_)
            | Api::Transfer(_)
            | Api::VisitorHangup
            | Api::OperatorHangup(_)
            | Api::Dtmf { .. }
            | Api::Restarted
            | Api::Reattached { .. }
            | Api::ClientReport { .. } => {}
        }
        self.gateway.api(now, call, api);
    }

    /// The browser says this from now on.
    pub fn browser_says(&mut self, browser: BrowserId, says: Says) {
        self.reference.browser_speaks = says == Says::Tone;
        let now = self.now();
        self.browsers[browser.0].say(now, says);
    }

    /// The phone says this from now on.
    pub fn phone_says(&mut self, phone: PhoneId, says: Says) {
        self.reference.phone_speaks = says == Says::Tone;
        let now = self.now();
        self.phones[phone.0].say(now, says);
    }

    /// The phone sends a re-INVITE with this direction.
    pub fn phone_directs(&mut self, phone: PhoneId, direction: &'static str) {
        self.reference.phone_direction = direction;
        self.reference.phone_speaks = direction != "inactive";
        let now = self.now();
        self.phones[phone.0].set_direction(now, direction);
    }

    /// The phone offers to be heard at another port: by re-INVITE, or while it rings by UPDATE.
    pub fn phone_moves(&mut self, phone: PhoneId) {
        let now = self.now();
        self.phones[phone.0].move_audio(now);
    }

    /// The phone offers another codec. If that takes effect it speaks it from now on, else it goes on as before.
    pub fn phone_offers_codec(&mut self, phone: PhoneId, codec: Codec, takes_effect: bool) {
        let now = self.now();
        self.phones[phone.0].offer_codec(now, codec, takes_effect);
    }

    /// The phone hangs up.
    pub fn phone_hangs_up(&mut self, phone: PhoneId) {
        let now = self.now();
        self.phones[phone.0].hang_up(now, None);
    }

    /// The phone hangs up and says why.
    pub fn phone_hangs_up_because(&mut self, phone: PhoneId, protocol: &str, cause: u16) {
        let now = self.now();
        self.phones[phone.0].hang_up(now, Some((protocol, cause)));
    }

    /// The network tells the gateway that nothing gets to this phone (ICMP).
    pub fn refuse(&mut self, phone: PhoneId) {
        let (now, to) = (self.now(), self.phones[phone.0].address());
        self.gateway.refused(now, to);
    }

    /// A datagram from anywhere to anywhere arrives at once.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now();
        self.net.inject(now, from, to, bytes);
    }
}
