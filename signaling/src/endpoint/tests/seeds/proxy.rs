//! A proxy that forks each INVITE to all phones and stays out of the dialogs (RFC 3261 section 16). What concerns its own
//! hops alone arrives, so that it needs no timers.

use std::collections::HashMap;

use super::*;
use crate::message::{HeaderName, Method};

pub(super) const ADDRESS: &str = "192.0.2.9:5060";

type Sent = Vec<(SocketAddr, Bytes)>;

pub(super) struct Proxy {
    phones: Vec<SocketAddr>,
    /// By the branch of the caller.
    calls: HashMap<String, Call>,
}

struct Call {
    caller: SocketAddr,
    invite: Request,
    branches: Vec<Branch>,
    /// What the caller was answered at last.
    last: Bytes,
    is_answered: bool,
}

#[derive(Default)]
struct Branch {
    /// Its final answer, and its tag.
    refusal: Option<Response>,
    is_answered: bool,
    is_alive: bool,
}

impl Proxy {
    pub(super) fn new(phones: Vec<SocketAddr>) -> Self {
        Self { phones, calls: HashMap::new() }
    }

    pub(super) fn handle(&mut self, from: SocketAddr, bytes: Bytes) -> Sent {
        match parse(bytes).unwrap() {
            Message::Request(request) if request.method == Method::Invite => self.fork(from, request),
            Message::Request(request) if request.method == Method::Cancel => self.cancel(from, &request),
            // The ACK of a refusal; that of a 2xx goes to the phone.
            Message::Request(_) => Vec::new(),
            Message::Response(response) => self.merge(&response),
        }
    }

    fn fork(&mut self, caller: SocketAddr, invite: Request) -> Sent {
        let key = branch_of(&invite.headers);
        if let Some(call) = self.calls.get(&key) {
            return vec![(caller, call.last.clone())];
        }
        let trying = Response::to_request(&invite, 100, None).to_bytes();
        let branches = self.phones.iter().map(|_| Branch::default()).collect();
        let mut sent = vec![(caller, trying.clone())];
        sent.extend(self.phones.iter().enumerate().map(|(at, phone)| (*phone, onward(&invite, &key, at).to_bytes())));
        self.calls.insert(key, Call { caller, invite, branches, last: trying, is_answered: false });
        sent
    }

    fn cancel(&mut self, caller: SocketAddr, cancel: &Request) -> Sent {
        let key = branch_of(&cancel.headers);
        let status = if self.calls.contains_key(&key) { 200 } else { 481 };
        let mut sent = vec![(caller, Response::to_request(cancel, status, Some("proxy")).to_bytes())];
        if let Some(call) = self.calls.get(&key) {
            sent.extend(call.cancel_branches(&key, &self.phones));
        }
        sent
    }

    fn merge(&mut self, response: &Response) -> Sent {
        let own = branch_of(&response.headers);
        let Some((at, key)) = own.strip_prefix("z9hG4bKp").and_then(|own| own.split_once('-')) else {
            return Vec::new();
        };
        let (at, key) = (at.parse::<usize>().unwrap(), key.to_owned());
        let Some(call) = self.calls.get_mut(&key).filter(|_| response.headers.cseq().unwrap().method == Method::Invite)
        else {
            return Vec::new();
        };
        let phone = self.phones[at];
        let branch = &mut call.branches[at];
        branch.is_alive = true;
        match response.status {
            100 => Vec::new(),
            ..=299 => {
                branch.is_answered |= response.status >= 200;
                let first = response.status >= 200 && !std::mem::replace(&mut call.is_answered, true);
                if response.status < 200 {
                    call.is_answered = call.branches.iter().any(|branch| branch.is_answered);
                }
                let back = back(response);
                call.last = back.clone();
                let mut sent = vec![(call.caller, back)];
                if first {
                    sent.extend(call.cancel_branches(&key, &self.phones));
                }
                sent
            }
            _ => {
                let mut ack = onward(&call.invite, &key, at);
                ack.method = Method::Ack;
                let number = call.invite.headers.cseq().unwrap().number;
                ack.headers.set(HeaderName::CSeq, format!("{number} ACK"));
                ack.headers.set(HeaderName::To, response.headers.get(&HeaderName::To).unwrap().clone());
                ack.body = Bytes::new();
                let mut sent = vec![(phone, ack.to_bytes())];
                branch.refusal = Some(response.clone());
                let is_over = call.branches.iter().all(|branch| branch.refusal.is_some());
                if is_over {
                    call.last = back(response);
                    sent.push((call.caller, call.last.clone()));
                }
                sent
            }
        }
    }
}

impl Call {
    /// Those that have no final answer yet are told that it is over.
    fn cancel_branches(&self, key: &str, phones: &[SocketAddr]) -> Sent {
        let open =
            self.branches.iter().enumerate().filter(|(_, branch)| !branch.is_answered && branch.refusal.is_none());
        let cancel = |(at, _): (usize, &Branch)| {
            let mut cancel = onward(&self.invite, key, at);
            cancel.method = Method::Cancel;
            let number = self.invite.headers.cseq().unwrap().number;
            cancel.headers.set(HeaderName::CSeq, format!("{number} CANCEL"));
            // It goes no further than one hop.
            let top = cancel.headers.list(&HeaderName::Via).next().unwrap();
            cancel.headers.set(HeaderName::Via, top);
            cancel.body = Bytes::new();
            (phones[at], cancel.to_bytes())
        };
        open.map(cancel).collect()
    }
}

fn branch_of(headers: &Headers) -> String {
    String::from_utf8_lossy(&headers.top_via().unwrap().branch.unwrap()).into_owned()
}

/// The INVITE as it goes on to one phone.
fn onward(invite: &Request, key: &str, at: usize) -> Request {
    let mut invite = invite.clone();
    invite.headers.push_front(HeaderName::Via, format!("SIP/2.0/UDP {ADDRESS};branch=z9hG4bKp{at}-{key}"));
    invite.headers.set(HeaderName::MaxForwards, "69");
    invite
}

/// A response without the proxy's Via.
fn back(response: &Response) -> Bytes {
    let mut response = response.clone();
    let below: Vec<_> = response.headers.list(&HeaderName::Via).skip(1).collect();
    response.headers.remove(&HeaderName::Via);
    for via in below.into_iter().rev() {
        response.headers.push_front(HeaderName::Via, via);
    }
    response.to_bytes()
}
