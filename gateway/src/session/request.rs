//! The body of `POST /v1/sessions`, and what a back end may add to it.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Pairs;
use crate::call::headers::is_free;
use crate::problem::Problem;

/// Header fields a back end may add to the INVITE.
const HEADERS: usize = 32;
/// Longest destination, header value and metadata, bytes.
const DESTINATION_BYTES: usize = 512;
const HEADER_VALUE_BYTES: usize = 1024;
const METADATA_BYTES: usize = 4096;

/// A session that is asked for. Has no `Debug`: it carries the widget key.
#[derive(Deserialize, ToSchema)]
pub struct NewSession {
    /// App id.
    pub app: String,
    /// What the widget shows; not needed from a back end.
    #[serde(default)]
    pub widget_key: Option<String>,
    /// Wanted profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// BCP 47.
    #[serde(default)]
    pub lang: Option<String>,
    /// No call may come of it.
    #[serde(default)]
    pub preview: bool,
    /// `live`: it may start calls. `receive`: it waits for calls from the app's trunk.
    #[serde(default)]
    #[schema(pattern = "^(live|receive)$")]
    pub mode: Option<String>,
    /// Under which name it waits, with `receive`: the user of the address that the trunk calls.
    #[serde(default)]
    #[schema(pattern = "^[a-zA-Z0-9_.-]{1,64}$")]
    pub name: Option<String>,
    /// What the page knows of the visitor.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub context: Pairs,
    /// What the visitor filled in.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub form: Pairs,
    /// Back ends only: where the call goes.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub destination: Option<Value>,
    /// Back ends only: SIP header fields.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub headers: Pairs,
    /// Back ends only: returned in records.
    #[serde(default)]
    pub metadata: Option<Value>,
}

/// What a back end added, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Additions {
    /// Where the call goes.
    pub destination: Option<String>,
    /// SIP header fields.
    pub headers: Vec<(String, String)>,
    /// Returned in records.
    pub metadata: Option<Value>,
}

impl NewSession {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map_err(|error| {
            // serde_json quotes what it found; only where it found it is told, for the body holds a key.
            Problem::invalid_request(format!(
                "the body is not the JSON object that is expected here (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// The language: a tag of letters, digits and hyphens, else English.
    #[must_use]
    pub fn language(&self) -> String {
        let tag = self.lang.as_deref().unwrap_or_default();
        let good = (2..=35).contains(&tag.len())
            && tag.starts_with(|first: char| first.is_ascii_alphabetic())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if good { tag.to_owned() } else { "en".to_owned() }
    }

    /// The name it waits for calls under, if it is to.
    pub fn receives(&self) -> Result<Option<&str>, Problem> {
        match (self.mode.as_deref(), self.name.as_deref()) {
            (Some("receive"), Some(name)) if is_name(name) && !self.preview => Ok(Some(name)),
            (Some("receive"), Some(_)) if self.preview => Err(Problem::invalid_request("a preview receives no calls")),
            (Some("receive"), _) => Err(Problem::invalid_request("name is 1 to 64 of a-z, A-Z, 0-9, _, - and .")),
            (None | Some("live"), None) => Ok(None),
            (None | Some("live"), Some(_)) => Err(Problem::invalid_request("a name is for the mode receive")),
            (Some(_), _) => Err(Problem::invalid_request("mode is live or receive")),
        }
    }

    /// What a back end added. A mistake of a back end is told, not mended.
    pub fn additions(&self) -> Result<Additions, Problem> {
        let destination = match &self.destination {
            None | Some(Value::Null) => None,
            Some(Value::String(uri)) => Some(destination(uri)?),
            Some(_) => return Err(Problem::invalid_request("destination is not a string")),
        };
        if self.headers.0.len() > HEADERS {
            return Err(Problem::invalid_request(format!("more than {HEADERS} headers")));
        }
        let headers = self.headers.0.iter().map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        let metadata = self.metadata.clone().filter(|value| !value.is_null());
        if metadata.as_ref().is_some_and(|value| value.to_string().len() > METADATA_BYTES) {
            return Err(Problem::invalid_request(format!("metadata is longer than {METADATA_BYTES} bytes")));
        }
        Ok(Additions { destination, headers, metadata })
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn destination(uri: &str) -> Result<String, Problem> {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let clean = uri.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
    if uri.len() > DESTINATION_BYTES || !clean || !matches!(scheme.as_deref(), Some("sip" | "sips" | "tel")) {
        return Err(Problem::invalid_request("destination is not a sip:, sips: or tel: URI"));
    }
    Ok(uri.to_owned())
}

/// A SIP header field (RFC 3261 section 25.1: a token, then text without control characters) that is the back end's to
/// set: an extension's own or User-to-User, never one that routes, frames or identifies the request.
fn header(name: &str, value: &Value) -> Result<(String, String), Problem> {
    if !is_free(name) {
        return Err(Problem::invalid_request("a header name begins with X-, or is User-to-User"));
    }
    value
        .as_str()
        .filter(|text| text.len() <= HEADER_VALUE_BYTES && !text.chars().any(char::is_control))
        .map(|text| (name.to_owned(), text.to_owned()))
        .ok_or_else(|| Problem::invalid_request(format!("the value of header {name} is not a line of text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<usize, &str>) {
        let parsed = NewSession::parse(body.as_bytes()).and_then(|session| session.additions());
        match (parsed, expected) {
            (Ok(additions), Ok(headers)) => assert_eq!(additions.headers.len(), headers, "{body}"),
            (Err(problem), Err(part)) => assert!(problem.detail.contains(part), "{body}: {}", problem.detail),
            (other, _) => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_back_ends_additions_are_checked() {
        check(r#"{"app":"a"}"#, Ok(0));
        check(r#"{"app":"a","destination":"sip:x@y","headers":{"X-Case":"42"},"metadata":{"a":1}}"#, Ok(1));
        check(r#"{"app":"a","headers":{"X-Case":"4\r\nVia: x"}}"#, Err("line of text"));
        check(r#"{"app":"a","headers":{"X Case":"4"}}"#, Err("X-"));
        check(r#"{"app":"a","headers":{"Call-ID":"4"}}"#, Err("X-"));
        check(r#"{"app":"a","headers":{"Subject":"4"}}"#, Err("X-"));
        check(r#"{"app":"a","headers":{"User-to-User":"00AB;encoding=hex","x-a":"1"}}"#, Ok(2));
        check(r#"{"app":"a","headers":{"v":"4"}}"#, Err("X-"));
        check(r#"{"app":"a","destination":"http://x"}"#, Err("URI"));
        check(r#"{"app":"a","destination":"sip:x@y>\r\n"}"#, Err("URI"));
        check(r#"{"app":"a","destination":[]}"#, Err("string"));
        check(&format!(r#"{{"app":"a","metadata":"{}"}}"#, "x".repeat(4096)), Err("metadata"));
        check(r#"{"app":1}"#, Err("line 1"));
        check("", Err("line"));
    }

    #[test]
    fn who_receives_has_a_name() {
        for (body, expected) in [
            (r#"{"app":"a"}"#, Ok(None)),
            (r#"{"app":"a","mode":"live"}"#, Ok(None)),
            (r#"{"app":"a","mode":"receive","name":"ann.b"}"#, Ok(Some("ann.b"))),
            (r#"{"app":"a","mode":"receive"}"#, Err("invalid-request")),
            (r#"{"app":"a","mode":"receive","name":""}"#, Err("invalid-request")),
            (r#"{"app":"a","mode":"receive","name":"a@b"}"#, Err("invalid-request")),
            (r#"{"app":"a","mode":"receive","name":"ann","preview":true}"#, Err("invalid-request")),
            (r#"{"app":"a","name":"ann"}"#, Err("invalid-request")),
            (r#"{"app":"a","mode":"both"}"#, Err("invalid-request")),
        ] {
            let asked = NewSession::parse(body.as_bytes()).unwrap();
            assert_eq!(asked.receives().map_err(|problem| problem.slug), expected, "{body}");
        }
    }

    #[test]
    fn a_language_is_a_tag_or_english() {
        for (lang, expected) in [("es", "es"), ("pt-BR", "pt-BR"), ("", "en"), ("x\r\n", "en"), ("1x", "en")] {
            let body = serde_json::json!({"app": "a", "lang": lang}).to_string();
            assert_eq!(NewSession::parse(body.as_bytes()).map(|session| session.language()), Ok(expected.to_owned()));
        }
    }
}
