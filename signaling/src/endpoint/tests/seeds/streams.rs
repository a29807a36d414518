//! Connections between nodes: in order, and whole as long as they live.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Opener,
    Acceptor,
}

struct Stream {
    opener: SocketAddr,
    /// Where the acceptor sees it come from.
    port: SocketAddr,
    acceptor: SocketAddr,
    /// When the last message so far arrives at each side.
    last: [Option<Instant>; 2],
}

#[derive(Default)]
pub(super) struct Streams {
    live: BTreeMap<u64, Stream>,
    opened: u64,
}

impl Streams {
    /// The connection from here to there, and the side that is there.
    pub(super) fn find(&self, from: SocketAddr, to: SocketAddr) -> Option<(u64, Side)> {
        self.live.iter().find_map(|(id, stream)| {
            if (stream.opener, stream.acceptor) == (from, to) {
                Some((*id, Side::Acceptor))
            } else {
                ((stream.acceptor, stream.port) == (from, to)).then_some((*id, Side::Opener))
            }
        })
    }

    pub(super) fn open(&mut self, opener: SocketAddr, acceptor: SocketAddr) -> u64 {
        self.opened += 1;
        let port = SocketAddr::new(opener.ip(), 40_000 + u16::try_from(self.opened).unwrap());
        self.live.insert(self.opened, Stream { opener, port, acceptor, last: [None; 2] });
        self.opened
    }

    /// The node at a side, and what it knows the other one by; `None` when the connection is gone.
    pub(super) fn at(&self, id: u64, side: Side) -> Option<(SocketAddr, SocketAddr)> {
        self.live.get(&id).map(|stream| match side {
            Side::Opener => (stream.opener, stream.acceptor),
            Side::Acceptor => (stream.acceptor, stream.port),
        })
    }

    /// When a message arrives that nothing before it may be overtaken by.
    pub(super) fn in_order(&mut self, id: u64, to: Side, at: Instant) -> Instant {
        let Some(stream) = self.live.get_mut(&id) else { return at };
        let last = &mut stream.last[usize::from(to == Side::Opener)];
        let at = last.map_or(at, |last| at.max(last + Duration::from_micros(1)));
        *last = Some(at);
        at
    }

    /// Ends connections, all or those of one node: whom to tell, and what each knows the other one by.
    pub(super) fn cut(&mut self, of: Option<SocketAddr>) -> Vec<(SocketAddr, SocketAddr)> {
        let is_meant = |stream: &Stream| of.is_none_or(|node| stream.opener == node || stream.acceptor == node);
        let cut: Vec<_> = self.live.iter().filter(|(_, stream)| is_meant(stream)).map(|(id, _)| *id).collect();
        cut.into_iter()
            .filter_map(|id| self.live.remove(&id))
            .flat_map(|stream| [(stream.opener, stream.acceptor), (stream.acceptor, stream.port)])
            .collect()
    }
}
