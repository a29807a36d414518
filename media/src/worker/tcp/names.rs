//! Which call a browser's first check names, for whoever takes its connection.

use std::collections::HashMap;

use crate::api::CallKey;

/// Ufrags that name a call at once: the current one, and the one before an ICE restart.
const PER_CALL: usize = 2;

/// The local ufrags of the calls that are open.
#[derive(Debug, Default)]
pub(in crate::worker) struct Names {
    by_ufrag: HashMap<String, CallKey>,
    of: HashMap<CallKey, Vec<String>>,
}

impl Names {
    /// The call goes by this ufrag from now on, and for a while by the one before.
    pub(in crate::worker) fn learn(&mut self, key: CallKey, ufrag: &str) {
        let own = self.of.entry(key).or_default();
        if own.len() >= PER_CALL {
            self.by_ufrag.remove(&own.remove(0));
        }
        own.push(ufrag.to_owned());
        self.by_ufrag.insert(ufrag.to_owned(), key);
    }

    /// The call is over.
    pub(in crate::worker) fn forget(&mut self, key: CallKey) {
        for ufrag in self.of.remove(&key).into_iter().flatten() {
            self.by_ufrag.remove(&ufrag);
        }
    }

    pub(in crate::worker) fn find(&self, ufrag: &str) -> Option<CallKey> {
        self.by_ufrag.get(ufrag).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_its_last_two_ufrags_while_it_lasts() {
        let mut names = Names::default();
        let (one, other) = (CallKey(1), CallKey(2));
        names.learn(one, "first");
        names.learn(other, "its own");
        names.learn(one, "second");
        assert_eq!((names.find("first"), names.find("second")), (Some(one), Some(one)));
        names.learn(one, "third");
        assert_eq!((names.find("first"), names.find("third")), (None, Some(one)));
        names.forget(one);
        assert_eq!((names.find("second"), names.find("third"), names.find("its own")), (None, None, Some(other)));
        names.forget(one);
        assert!(names.of.len() == 1 && names.by_ufrag.len() == 1);
    }
}
