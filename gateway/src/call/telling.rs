//! What the call tells the world, numbered.

use serde_json::{Map, Value};

use super::{Call, CallEvent, Effect};
use crate::ids::SessionId;

impl Call {
    pub(super) fn emit<const N: usize>(&mut self, name: &'static str, own: [(&str, Value); N]) {
        self.emit_fields(name, own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    }

    pub(super) fn emit_fields(&mut self, name: &'static str, own: Map<String, Value>) {
        self.seq = self.seq.saturating_add(1);
        let mut data = Map::new();
        data.insert("call".into(), self.about.call.as_str().into());
        data.insert("session".into(), self.about.session.as_ref().map(SessionId::as_str).into());
        data.insert("context".into(), self.context());
        data.insert("state".into(), self.state().word().into());
        data.extend(own);
        self.effects.push_back(Effect::Emit(CallEvent { seq: self.seq, name, data }));
    }

    pub(super) fn context(&self) -> Value {
        self.about
            .context
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.clone())))
            .collect::<Map<_, _>>()
            .into()
    }
}
