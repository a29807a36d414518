//! What a trunk is told of the visitor.

use super::every;
use super::shapes::is_id;
use crate::model::{ContextFields, UserToUser, UuiEncoding};
use crate::raw::{RawContextFields, RawPdStyle, RawUserToUser, RawUuiEncoding, RawUuiPurpose};
use crate::report::Report;

pub(super) fn context_fields(key: &str, raw: &RawContextFields, report: &mut Report) -> Option<ContextFields> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    let extension = raw.prefix.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
    if !extension || raw.prefix.len() > 32 || !raw.prefix.bytes().all(token) {
        report.problem(&format!("{key}.prefix"), "must be X- and at most 30 more characters of a header field's name");
    }
    let allow = every(&format!("{key}.allow"), &raw.allow, |key, allowed| {
        if allowed == "*" { Some(allowed.clone()) } else { context_key(key, allowed, report) }
    });
    Some(ContextFields { prefix: raw.prefix.clone(), allow: allow? })
}

/// Outer `None`: a problem.
#[expect(clippy::option_option, reason = "absent and broken are two things")]
pub(super) fn user_to_user(key: &str, raw: &RawUserToUser, report: &mut Report) -> Option<Option<UserToUser>> {
    let fields = every(&format!("{key}.fields"), &raw.fields, |key, field| context_key(key, field, report));
    let discriminator = match raw.pd.as_str() {
        "none" => None,
        digits if digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            Some(digits.to_ascii_uppercase())
        }
        _ => {
            report.problem(&format!("{key}.pd"), "must be two hexadecimal digits, or none");
            None
        }
    };
    let as_parameter = match raw.pd_style {
        RawPdStyle::Prefix => false,
        RawPdStyle::Param => true,
    };
    let encoding = match raw.encoding {
        RawUuiEncoding::Hex => UuiEncoding::Hex,
        RawUuiEncoding::Ascii => UuiEncoding::Ascii,
    };
    let isdn = match raw.purpose {
        RawUuiPurpose::IsdnUui => true,
        RawUuiPurpose::Omit => false,
    };
    if encoding == UuiEncoding::Ascii && discriminator.is_some() && !as_parameter {
        report
            .problem(&format!("{key}.pd_style"), "must be param, or pd none: ascii has no place for an octet in front");
    }
    if encoding == UuiEncoding::Ascii && isdn {
        report.problem(&format!("{key}.purpose"), "isdn-uui is written in hex only (RFC 7434 section 3.1)");
    }
    let fields = fields?;
    if fields.is_empty() {
        return Some(None);
    }
    let max_bytes = usize::try_from(raw.max_bytes).unwrap_or(usize::MAX);
    Some(Some(UserToUser { fields, discriminator, as_parameter, encoding, isdn, max_bytes }))
}

fn context_key(key: &str, text: &str, report: &mut Report) -> Option<String> {
    // Context keys look as ids do.
    if is_id(text) {
        return Some(text.to_owned());
    }
    report.problem(key, format!("{text:?} is no key a context can have"));
    None
}
