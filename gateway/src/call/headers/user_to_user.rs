//! User-to-User (RFC 7433, and RFC 7434 for `isdn-uui`): some of the context in one short field that contact centres
//! carry to the agent's screen.

use trunkline_config::{UserToUser, UuiEncoding};

/// The field's name.
pub(super) const NAME: &str = "User-to-User";

/// The field's value with the template's keys as `key=value;key=value`. Outer `None`: the visitor has none of them;
/// inner `None`: they are more than the template allows.
#[expect(clippy::option_option, reason = "nothing to tell and too much to tell are two things")]
pub(super) fn value(template: &UserToUser, context: &[(String, String)]) -> Option<Option<String>> {
    let value_of = |key: &String| context.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let pairs = template.fields.iter().filter_map(|key| Some(format!("{key}={}", escape(value_of(key)?))));
    let data = pairs.collect::<Vec<_>>().join(";");
    if data.is_empty() {
        return None;
    }
    // RFC 7434 section 3.1 counts the octets before they are encoded, the discriminator among them.
    let octets = data.len().saturating_add(usize::from(template.discriminator.is_some() && !template.as_parameter));
    Some((octets <= template.max_bytes).then(|| write(template, &data)))
}

/// The same with the call's id alone, by which the context can be fetched. It is a token and no address: RFC 7433
/// section 3.3 forbids addresses here.
pub(super) fn lookup(template: &UserToUser, call: &str) -> String {
    write(template, call)
}

fn write(template: &UserToUser, data: &str) -> String {
    let (mut value, encoding) = match template.encoding {
        UuiEncoding::Hex => (data.bytes().map(|byte| format!("{byte:02X}")).collect(), "hex"),
        // Escaped data holds neither quotes nor backslashes.
        UuiEncoding::Ascii => (format!("\"{data}\""), "ascii"),
    };
    match &template.discriminator {
        Some(pd) if template.as_parameter => value.push_str(&format!(";pd={pd}")),
        Some(pd) => value.insert_str(0, pd),
        None => {}
    }
    value.push_str(&format!(";encoding={encoding}"));
    if template.isdn {
        value.push_str(";purpose=isdn-uui;content=isdn-uui");
    }
    value
}

/// RFC 3986 section 2.1, all but unreserved characters: what separates pairs cannot come from inside of one.
fn escape(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if c.is_ascii_alphanumeric() || "-._~".contains(c) {
            out.push(c);
        } else {
            super::percent_encode(c, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(change: impl FnOnce(&mut UserToUser)) -> UserToUser {
        let mut template = UserToUser {
            fields: vec!["plan".into(), "order".into()],
            discriminator: Some("04".into()),
            as_parameter: false,
            encoding: UuiEncoding::Hex,
            isdn: false,
            max_bytes: 128,
        };
        change(&mut template);
        template
    }

    fn told(template: &UserToUser, context: &[(&str, &str)]) -> Option<Option<String>> {
        let context: Vec<_> = context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        value(template, &context)
    }

    #[test]
    fn the_forms_contact_centres_ask_for() {
        let gold = [("plan", "gold"), ("secret", "x")];
        let check = |change: fn(&mut UserToUser), expected: &str| {
            assert_eq!(told(&template(change), &gold), Some(Some(expected.to_owned())));
        };
        check(|_| {}, "04706C616E3D676F6C64;encoding=hex");
        check(|t| t.as_parameter = true, "706C616E3D676F6C64;pd=04;encoding=hex");
        check(|t| t.discriminator = None, "706C616E3D676F6C64;encoding=hex");
        check(|t| t.isdn = true, "04706C616E3D676F6C64;encoding=hex;purpose=isdn-uui;content=isdn-uui");
        check(|t| (t.encoding, t.as_parameter) = (UuiEncoding::Ascii, true), "\"plan=gold\";pd=04;encoding=ascii");
        check(|t| (t.encoding, t.discriminator) = (UuiEncoding::Ascii, None), "\"plan=gold\";encoding=ascii");
    }

    #[test]
    fn keys_go_in_the_templates_order_and_values_cannot_break_out() {
        let ascii = template(|t| (t.encoding, t.discriminator) = (UuiEncoding::Ascii, None));
        let context = [("order", "4;2\r\nVia: x"), ("plan", "\"é,=")];
        let expected = "\"plan=%22%C3%A9%2C%3D;order=4%3B2%0D%0AVia%3A%20x\";encoding=ascii";
        assert_eq!(told(&ascii, &context), Some(Some(expected.to_owned())));
        assert_eq!(told(&ascii, &[("other", "x")]), None);
    }

    #[test]
    fn too_much_is_told_apart_from_nothing_at_the_very_octet() {
        let (fits, over) = ("x".repeat(64 - 5 - 1), "x".repeat(64 - 5));
        let small = template(|t| t.max_bytes = 64);
        assert!(told(&small, &[("plan", &fits)]).unwrap().is_some());
        assert_eq!(told(&small, &[("plan", &over)]), Some(None));
        // Without a discriminator in front there is room for one more.
        let bare = template(|t| (t.max_bytes, t.discriminator) = (64, None));
        assert!(told(&bare, &[("plan", &over)]).unwrap().is_some());
        assert_eq!(lookup(&small, "call_A"), "0463616C6C5F41;encoding=hex");
    }
}
