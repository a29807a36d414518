//! Phones that call, and browsers that answer.

use trunkline::call::Summons;
use trunkline_media::audio::Codec;

use super::browser::{BrowserId, Visitor};
use super::dial::Dial;
use super::gateway::CallNo;
use super::phone::PhoneId;
use super::reference::Reference;
use super::secs;
use super::world::World;

impl World {
    /// The gateway takes calls from phones, and rings these sessions.
    pub fn take_calls(&mut self, dial: &Dial, sessions: &[&str]) {
        self.gateway.take_calls(dial, sessions);
    }

    /// A phone calls, and its call is there.
    pub fn phone_calls(&mut self, phone: PhoneId) -> CallNo {
        let (now, to, before) = (self.now(), self.gateway.sip_address, self.gateway.calls.len());
        self.reference = Reference::default();
        self.phones[phone.0].call(now, to, "agents");
        self.run_until(|world| world.gateway.calls.len() > before, secs(40));
        let call = CallNo(before as u64 + 1);
        self.calls.push((call, None));
        call
    }

    /// A browser of this session answers.
    pub fn answer(&mut self, call: CallNo, session: &str, codecs: &[Codec]) -> BrowserId {
        let now = self.now();
        let (offer, id) = self.open_browser(codecs, Visitor::default());
        let opened = self.gateway.answer(now, call, session, offer);
        self.browsers[id.0].accept(&opened.answer);
        if let Some(entry) = self.calls.iter_mut().find(|(no, _)| *no == call) {
            entry.1 = Some(id);
        }
        id
    }

    /// What the sessions were told of a call: whom, and `incoming` or why it is theirs no more.
    #[must_use]
    pub fn told_of(&self, call: CallNo) -> Vec<(String, &'static str)> {
        let told = self.gateway.waiting().told.iter().filter(|(_, of, _)| *of == call);
        let words = told.map(|(session, _, summons)| {
            let word = match summons {
                Summons::Incoming(_) => "incoming",
                Summons::Cancelled(why) => why,
            };
            (session.as_str().to_owned(), word)
        });
        words.collect()
    }
}
