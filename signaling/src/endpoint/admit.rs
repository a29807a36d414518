//! Who may begin something: what the guard says of a source, and the answers it gives or withholds. Nothing is kept of a
//! request that is not admitted.

use std::net::IpAddr;

use super::core::Core;
use super::receive::Arrival;
use super::way::Way;
use crate::admission::{Admission, AdmissionStats, Guard, Standing, Verdict};
use crate::message::{HeaderName, Request, Response};

/// A call that is not taken; of who asked with a wrong password it says the same as of who asked without.
const REFUSED: u16 = 403;

impl Core {
    pub(super) fn set_admission(&mut self, admission: Admission) {
        let secret = self.secret();
        self.guard.get_or_insert_with(|| Box::new(Guard::new(secret))).set(admission);
    }

    pub(super) fn admission_stats(&self) -> AdmissionStats {
        self.guard.as_ref().map(|guard| guard.stats).unwrap_or_default()
    }

    /// Whether requests from there have a right to an answer.
    pub(super) fn is_peers(&self, from: IpAddr) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.standing(from) == Standing::Known)
    }

    /// Whether requests from there come from the peer of a leg with this label, whichever of its machines sends them.
    pub(super) fn is_of_peer(&self, label: &str, from: IpAddr) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_of(label, from))
    }

    /// The last look before an answer without state leaves.
    pub(super) fn may_answer(&mut self, arrival: Arrival) -> bool {
        arrival.is_peers || self.guard.as_mut().is_none_or(|guard| guard.may_answer(arrival.now, arrival.from.ip()))
    }

    /// An INVITE outside of dialogs: the door it may come in by; `None`: it has had the answer it gets.
    pub(super) fn admit(&mut self, arrival: &mut Arrival, request: &Request) -> Option<String> {
        let verdict = match &mut self.guard {
            Some(guard) => guard.admit(arrival.now, arrival.from.ip(), request),
            None if self.config.accepts_calls => Verdict::Admitted(String::new()),
            None => Verdict::Refused,
        };
        match verdict {
            Verdict::Admitted(door) => {
                arrival.is_peers = true;
                Some(door)
            }
            Verdict::Challenged(challenges) => {
                self.challenge(request, *arrival, &challenges);
                None
            }
            Verdict::Refused => {
                self.refuse(request, *arrival, (REFUSED, None));
                None
            }
        }
    }

    /// Asks for a password (RFC 3261 section 22.2). A datagram's sender may be forged: the answer is no larger than the
    /// request. The challenge that every telephone can answer stays longest.
    fn challenge(&mut self, request: &Request, arrival: Arrival, challenges: &[crate::message::Headers]) {
        let may = self.guard.as_mut().is_some_and(|guard| guard.may_challenge(arrival.now, arrival.from.ip()));
        if !may {
            return;
        }
        self.stats.refused += 1;
        let tag = self.stateless_tag(&request.headers);
        for leave_out in 0..challenges.len() {
            let mut response = Response::to_request(request, 401, Some(&tag));
            for challenge in challenges.iter().skip(leave_out) {
                response.headers.copy_from(challenge, &HeaderName::WwwAuthenticate);
            }
            let bytes = response.to_bytes();
            if arrival.way != Way::UDP || bytes.len() <= arrival.size {
                return self.send_reply(arrival.leg, arrival.reply, bytes);
            }
        }
    }
}
