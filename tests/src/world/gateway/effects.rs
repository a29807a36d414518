//! What the cores want done, done: as the daemon's driver and workers do it.

use std::net::SocketAddr;
use std::time::Instant;

use trunkline::call::{AttemptId, Effect, Input, InviteOrder, LeaseRefused, NotSent, SipEvent};
use trunkline::hook::{Asked, Unanswered};
use trunkline::sip;
use trunkline::targets::sorted;
use trunkline_media::api::{Command, MediaEvent};
use trunkline_media::call::Call as MediaCall;
use trunkline_media::outbox::{Outbox, Port};
use trunkline_signaling::endpoint::{Event, InfoForm, LegId};

use super::{CallNo, SimGateway};

impl SimGateway {
    /// Calls into a call's media; what it sends and reports is taken up.
    pub(super) fn media<T>(
        &mut self,
        now: Instant,
        no: CallNo,
        run: impl FnOnce(&mut MediaCall, &mut Outbox) -> T,
    ) -> Option<T> {
        let call = self.calls.get_mut(&no)?;
        let media = call.media.as_mut()?;
        let result = run(media, &mut self.out);
        let mut reports = Vec::new();
        while let Some(event) = media.poll_event() {
            reports.push(event);
        }
        for datagram in self.out.iter() {
            let ip = self.public.ip();
            let from = match (datagram.port, call.lease) {
                (Port::Browser | Port::BrowserTcp, _) => self.public,
                (Port::TrunkRtp, Some(port)) => SocketAddr::new(ip, port),
                (Port::TrunkRtcp, Some(port)) => SocketAddr::new(ip, port + 1),
                (Port::TrunkRtp | Port::TrunkRtcp, None) => panic!("call {no:?} sends to a trunk without a port"),
            };
            self.transmits.push((from, datagram.to, datagram.bytes.to_vec()));
        }
        self.out.clear();
        for event in reports {
            if let MediaEvent::Sample(stats) = &event {
                call.sampled((**stats).clone());
            } else {
                self.log.push(format!("{} {event:?}", no.0).split(['{', '(']).next().unwrap_or_default().to_owned());
                call.media_events.push(event.clone());
            }
            self.later_number += 1;
            self.later.insert((now + self.lag, self.later_number), (no, Input::Media(event)));
        }
        Some(result)
    }

    pub(super) fn drain_sip(&mut self, now: Instant) {
        while let Some(event) = self.sip.poll_event() {
            if matches!(event, Event::Incoming { .. }) {
                self.called(now, event);
                continue;
            }
            let leg = sip::leg_of(&event);
            let Some(event) = sip::translate(event) else { continue };
            let Some(&(no, attempt)) = self.by_leg.get(&leg) else { continue };
            if sip::is_last(&event) {
                self.by_leg.remove(&leg);
                if let Some(call) = self.calls.get_mut(&no) {
                    call.legs.retain(|(_, l)| *l != leg);
                }
            }
            self.later(now, no, Input::Sip { attempt, event });
        }
    }

    /// Asks DNS what is to be asked, and tells calls where to go.
    pub(super) fn drain_dns(&mut self, now: Instant) {
        while let Some(question) = self.resolver.poll_question() {
            if let Some(answer) = self.dns.say(&question, &self.names) {
                self.resolver.handle_answer(now, &question, answer);
            }
        }
        while let Some((search, found)) = self.resolver.poll_found() {
            let Some((no, attempt)) = self.searches.remove(&search) else { continue };
            let result = sorted(found.targets, |targets| self.health.sort(now, targets));
            self.later(now, no, Input::Resolved { attempt, result });
        }
    }

    pub(super) fn later(&mut self, now: Instant, no: CallNo, input: Input) {
        self.later_number += 1;
        self.later.insert((now + self.lag, self.later_number), (no, input));
    }

    pub(super) fn carry_out(&mut self, now: Instant, no: CallNo) {
        while let Some(effect) = self.calls.get_mut(&no).and_then(|call| call.call.poll_effect()) {
            match effect {
                Effect::Media(command) => self.command(now, no, command),
                Effect::LeaseTrunk { attempt, trunk, last } => {
                    let down = !last && self.trunks_down.contains(&trunk);
                    let result = if down { Err(LeaseRefused::TrunkDown) } else { self.lease(now, no) };
                    self.later(now, no, Input::TrunkLeased { attempt, result });
                }
                Effect::Resolve { attempt, wanted } => {
                    let search = self.resolver.find(now, wanted, false);
                    self.searches.insert(search, (no, attempt));
                    self.drain_dns(now);
                }
                Effect::LeaseSpare { attempt, .. } => {
                    let result = self.lease_spare(now, no);
                    self.later(now, no, Input::TrunkLeased { attempt, result });
                }
                Effect::PlanTransfer { to, .. } => self.plan_transfer(now, no, to),
                Effect::Transfer { attempt, order } => self.transfer(now, no, attempt, order),
                Effect::Adopt { attempt, leg } => self.adopt(no, attempt, leg),
                Effect::Met { target, sign } => self.health.note_call(now, &target, sign),
                Effect::Invite(order) => self.invite(now, no, *order),
                Effect::Hangup { attempt, reason } => {
                    if let Some(leg) = self.take_leg(no, attempt) {
                        // A leg that is gone is no error.
                        let _ = self.sip.hangup(now, leg, Some(reason));
                    }
                }
                Effect::AnswerOffer { attempt, answer } => {
                    let leg = self.calls[&no].legs.iter().find(|(a, _)| *a == attempt).map(|(_, leg)| *leg);
                    if let Some(leg) = leg {
                        let _ = self.sip.answer_offer(now, leg, answer);
                    }
                }
                Effect::Offer { attempt, sdp } => {
                    let leg = self.calls[&no].legs.iter().find(|(a, _)| *a == attempt).map(|(_, leg)| *leg);
                    if leg.is_none_or(|leg| self.sip.reinvite(now, leg, sdp).is_err()) {
                        self.later(now, no, Input::Sip { attempt, event: SipEvent::OfferAnswered(Err(491)) });
                    }
                }
                Effect::Ring { .. } => {
                    if let Some((_, leg)) = self.calls[&no].legs.first().copied() {
                        let _ = self.sip.ring(now, leg, 180, None);
                    }
                }
                Effect::Accept { sdp, .. } => self.accept(now, no, sdp),
                Effect::Refuse { attempt, status, reason } => {
                    if let Some(leg) = self.take_leg(no, attempt) {
                        let _ = self.sip.reject_with(now, leg, status, &sip::refusal(status, Some(reason)));
                    }
                }
                Effect::Tell { sessions, summons } => self.tell(no, sessions, &summons),
                Effect::SendDigits { attempt, digits } => {
                    let leg = self.calls[&no].legs.iter().find(|(a, _)| *a == attempt).map(|(_, leg)| *leg);
                    if let Some(leg) = leg {
                        // A leg that is gone is no error.
                        let _ = self.sip.send_digits(now, leg, InfoForm::Relay, &digits);
                    }
                }
                // No call of this world has a hook; who asks all the same gets no answer.
                Effect::Ask(_) => {
                    let (tries, took) = (Vec::new(), std::time::Duration::ZERO);
                    let asked = Asked { tries, took, actions: Err(Unanswered::Unasked) };
                    self.later(now, no, Input::Asked(Box::new(asked)));
                }
                // Nobody speaks here, and there is no other place.
                Effect::Fetch { id, .. } => self.later(now, no, Input::Fetched { id, result: Err("nobody".into()) }),
                Effect::Emit(event) => {
                    self.log.push(format!("{} {}", no.0, event.name));
                    self.calls.get_mut(&no).unwrap().told(now, event);
                }
                Effect::Finished(outcome) => {
                    self.log.push(format!("{} finished {}", no.0, outcome.reason.word()));
                    let call = self.calls.get_mut(&no).unwrap();
                    call.outcomes.push(*outcome);
                    call.ended_at = Some(now);
                }
            }
        }
    }

    fn command(&mut self, now: Instant, no: CallNo, command: Command) {
        let (closes, releases) = (matches!(command, Command::Close), matches!(command, Command::ReleaseTrunk));
        if closes && self.calls[&no].media.is_some() {
            let stats = self.stats(now, no);
            self.calls.get_mut(&no).unwrap().sampled(stats);
        }
        let spares = matches!(command, Command::Close | Command::ReleaseSpare);
        let swaps = matches!(command, Command::SwapTrunk(_));
        self.media(now, no, |call, out| call.handle_command(now, command, out));
        self.move_ports(now, no, spares, swaps);
        if closes || releases {
            let call = self.calls.get_mut(&no).unwrap();
            if let Some(port) = call.lease.take() {
                self.ports.release(now, port);
            }
        }
        if closes {
            let call = self.calls.get_mut(&no).unwrap();
            call.media = None;
            self.by_tuple.retain(|_, owner| *owner != no);
            self.by_ufrag.retain(|_, owner| *owner != no);
        }
    }

    fn lease(&mut self, now: Instant, no: CallNo) -> Result<SocketAddr, LeaseRefused> {
        let call = self.calls.get_mut(&no).unwrap();
        if let Some(port) = call.lease.take() {
            self.ports.release(now, port);
        }
        if self.trunks_full {
            return Err(LeaseRefused::TrunkFull);
        }
        let port = self.ports.lease(now).ok_or(LeaseRefused::NoPorts)?;
        call.lease = Some(port);
        let local = SocketAddr::new(self.public.ip(), port);
        self.media(now, no, |call, _| call.attach_trunk(now, local));
        Ok(local)
    }

    fn invite(&mut self, now: Instant, no: CallNo, order: InviteOrder) {
        let (attempt, target) = (order.attempt, order.target.address);
        let placed = sip::invite(order).and_then(|invite| self.sip.invite(now, invite).map_err(|_| NotSent::Full));
        let event = match placed {
            Ok(leg) => {
                self.by_leg.insert(leg, (no, attempt));
                let call = self.calls.get_mut(&no).unwrap();
                call.legs.push((attempt, leg));
                call.invites.push(target);
                let call_id = self.sip.call_id(leg);
                SipEvent::Sent(call_id.map(|id| String::from_utf8_lossy(&id).into_owned()))
            }
            Err(error) => SipEvent::NotSent(error),
        };
        self.later(now, no, Input::Sip { attempt, event });
    }

    pub(super) fn take_leg(&mut self, no: CallNo, attempt: AttemptId) -> Option<LegId> {
        let call = self.calls.get_mut(&no)?;
        let at = call.legs.iter().position(|(a, _)| *a == attempt)?;
        let (_, leg) = call.legs.swap_remove(at);
        self.by_leg.remove(&leg);
        Some(leg)
    }
}
