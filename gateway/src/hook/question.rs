//! What an answer hook is asked.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trunkline_config::{AnswerHook, Config};

use crate::ids::CallId;
use crate::session::Session;

/// What an answer hook is asked, and all that its answer is read by.
pub struct Question {
    /// Names it; the same in every try.
    pub id: String,
    /// Who is asked, in order.
    pub hook: AnswerHook,
    /// JSON.
    pub body: Bytes,
    /// The call's configuration.
    pub config: Arc<Config>,
    /// The call's app.
    pub app: String,
    /// The call's language.
    pub lang: String,
}

impl Question {
    /// The question of a call, if its app has a hook.
    #[must_use]
    pub fn of(config: &Arc<Config>, session: &Session, call: &CallId) -> Option<Self> {
        let hook = config.apps.iter().find(|app| app.id == session.app)?.answer.clone()?;
        let object = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect()
        };
        let body = json!({
            "call": call.as_str(),
            "session": session.id.as_str(),
            "app": session.app,
            "profile": session.profile,
            "lang": session.lang,
            "context": object(&session.context),
            "form": object(&session.form),
        });
        Some(Self {
            id: call.as_str().to_owned(),
            hook,
            body: body.to_string().into(),
            config: Arc::clone(config),
            app: session.app.clone(),
            lang: session.lang.clone(),
        })
    }

    /// A question nobody asks.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let text = "[[apps]]\nid = 'acme'\nanswer_url = 'http://127.0.0.1:9/'\nanswer_secret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'\nanswer_allow_insecure = true";
        let loaded = trunkline_config::load_str(text, std::path::Path::new("."), std::iter::empty()).unwrap();
        let config = Arc::new(loaded.config);
        let hook = config.apps[0].answer.clone().unwrap();
        Self { id: "call_1".into(), hook, body: Bytes::new(), config, app: "acme".into(), lang: "en".into() }
    }
}

/// The body holds what visitors typed, the URLs may hold secrets.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Two questions are the same if they go by the same name.
impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
