use proptest::prelude::*;
use trunkline_config::{UserToUser, UuiEncoding};
use trunkline_signaling::endpoint::Transport;

use super::*;

fn route(change: impl FnOnce(&mut Route)) -> Route {
    let mut route = crate::testing::route();
    change(&mut route);
    route
}

fn pairs(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn fields(route: &Route, own: &[(&str, &str)], context: &[(&str, &str)]) -> (Vec<String>, usize) {
    fields_over(&Transport::Udp, route, own, context)
}

fn fields_over(
    over: &Transport,
    route: &Route,
    own: &[(&str, &str)],
    context: &[(&str, &str)],
) -> (Vec<String>, usize) {
    let (own, context) = (pairs(own), pairs(context));
    let (fields, dropped) =
        of_invite(Told { ours: &[], own: &own, context: &context, call: "call_1" }, route, over, "v=0");
    (fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect(), dropped)
}

fn user_to_user() -> UserToUser {
    UserToUser {
        fields: vec!["plan".into()],
        discriminator: Some("04".into()),
        as_parameter: false,
        encoding: UuiEncoding::Hex,
        isdn: false,
        max_bytes: 64,
    }
}

#[test]
fn values_are_cleaned() {
    let rows = [
        ("gold", "gold"),
        ("a\r\nEvil: 1", "a  Evil: 1"),
        ("nul\0tab\t", "nul tab"),
        ("Köln", "K%C3%B6ln"),
        ("100 %", "100 %25"),
        ("  both ends ", "both ends"),
        ("\u{85}x", "x"),
    ];
    for (value, expected) in rows {
        assert_eq!(clean(value, 256), expected);
    }
    assert_eq!(clean("aé", 6), "a", "never inside a character");
}

#[test]
fn only_extensions_and_user_to_user_are_free() {
    for good in ["X-Case", "x-a", "X-C2C-Order_Id.1", "user-to-user", "Diversion", "history-info"] {
        assert!(is_free(good), "{good}");
    }
    for bad in ["", "X-", "Via", "X-a b", "X-a:", "X-a\r\n", "Xé-a", "é-a", "User-to-Use"] {
        assert!(!is_free(bad), "{bad}");
    }
}

#[test]
fn every_key_goes_along_unless_the_trunk_lists_those_it_wants() {
    let context = [("plan", "gold"), ("order", "7")];
    assert_eq!(fields(&route(|_| {}), &[], &context), (vec!["X-C2C-plan: gold".into(), "X-C2C-order: 7".into()], 0));
    let picky = route(|route| {
        route.context_fields.prefix = "X-Visitor-".into();
        route.context_fields.allow = vec!["order".into()];
    });
    assert_eq!(
        fields(&picky, &[("X-Case", "42")], &context),
        (vec!["X-Case: 42".into(), "X-Visitor-order: 7".into()], 0)
    );
    assert_eq!(fields(&route(|route| route.context_fields.allow.clear()), &[], &context), (vec![], 0));
}

#[test]
fn of_names_that_differ_in_case_the_first_is_kept_and_the_others_are_counted() {
    let context = [("OrderId", "1"), ("orderid", "2"), ("ORDERID", "3")];
    assert_eq!(fields(&route(|_| {}), &[], &context), (vec!["X-C2C-OrderId: 1".into()], 2));
    // The back end's own wins over the page's.
    let own = [("x-c2c-plan", "own")];
    assert_eq!(fields(&route(|_| {}), &own, &[("plan", "page")]), (vec!["x-c2c-plan: own".into()], 1));
}

#[test]
fn there_is_exactly_one_user_to_user() {
    let with = route(|route| route.user_to_user = Some(user_to_user()));
    let hex = "User-to-User: 04706C616E3D676F6C64;encoding=hex";
    let none = |_: &mut Route| {};
    assert_eq!(fields(&with, &[], &[("plan", "gold")]), (vec![hex.into(), "X-C2C-plan: gold".into()], 0));
    assert_eq!(fields(&with, &[], &[("other", "x")]), (vec!["X-C2C-other: x".into()], 0));
    let own = [("user-to-user", "00AB;encoding=hex")];
    let expected = vec!["user-to-user: 00AB;encoding=hex".to_owned(), "X-C2C-plan: gold".into()];
    assert_eq!(fields(&with, &own, &[("plan", "gold")]), (expected.clone(), 0));
    assert_eq!(fields(&route(none), &own, &[("plan", "gold")]), (expected, 0));
}

#[test]
fn what_is_too_long_for_user_to_user_becomes_the_calls_id() {
    let token = "User-to-User: 0463616C6C5F31;encoding=hex";
    let with = route(|route| route.user_to_user = Some(user_to_user()));
    let (told, _) = fields(&with, &[], &[("plan", &"g".repeat(60))]);
    assert_eq!(told[0], token);
    // Also where the template would let it through and the datagram has no room.
    let roomy = route(|route| route.user_to_user = Some(UserToUser { max_bytes: 256, ..user_to_user() }));
    let own = [("X-Long", &*"v".repeat(350))];
    let (told, dropped) = fields(&roomy, &own, &[("plan", &"g".repeat(200))]);
    assert_eq!((told[1].as_str(), dropped), (token, 1), "and the key's own field has none either");
}

#[test]
fn what_does_not_fit_a_datagram_is_dropped_and_counted_and_a_connection_takes_it() {
    let value = "v".repeat(100);
    let names: Vec<String> = (0..10).map(|n| format!("F{n}")).collect();
    let context: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let (kept, dropped) = fields(&route(|_| {}), &[], &context);
    assert!((3..7).contains(&kept.len()) && kept.len() + dropped == 10, "{kept:?}");
    let (kept, dropped) = fields_over(&Transport::Tcp, &route(|_| {}), &[], &context);
    assert_eq!((kept.len(), dropped), (10, 0));
}

proptest! {
    #[test]
    fn a_clean_value_is_printable_ascii_within_the_limit(value in any::<String>(), longest in 0_usize..300) {
        let value = clean(&value, longest);
        prop_assert!(value.len() <= longest);
        prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)));
    }

    #[test]
    fn no_context_breaks_a_line_or_a_limit(
        context in proptest::collection::vec(("[a-zA-Z0-9_.-]{1,64}", any::<String>()), 0..60),
        tcp in any::<bool>(),
    ) {
        let route = route(|route| {
            route.user_to_user = Some(UserToUser { fields: vec![context.first().map_or("a".into(), |c| c.0.clone())], ..user_to_user() });
        });
        let over = if tcp { Transport::Tcp } else { Transport::Udp };
        let (fields, dropped) = of_invite(Told { ours: &[], own: &[], context: &context, call: "call_1" }, &route, &over, "v=0");
        prop_assert!(fields.len() <= MAX_FIELDS);
        prop_assert!(fields.iter().filter(|(name, _)| name == user_to_user::NAME).count() <= 1);
        let x_fields = fields.iter().filter(|(name, _)| name != user_to_user::NAME).count();
        prop_assert!(x_fields + dropped >= context.len());
        for (name, value) in &fields {
            prop_assert!(name.len() + value.len() + 2 <= MAX_LINE);
            prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", value);
        }
    }
}

#[test]
fn where_a_call_has_been_goes_to_trunks_that_want_it() {
    let own = [
        ("Diversion", "<sip:first@a.example>;reason=unconditional\r\nEvil: 1"),
        ("history-info", "<sip:first@a.example?Reason=SIP%3Bcause%3D302>;index=1"),
        ("X-Case", "7"),
    ];
    assert_eq!(fields(&route(|_| {}), &own, &[]), (vec!["X-Case: 7".to_owned()], 2));
    let wanting = route(|route| route.calls.pass_headers = vec!["Diversion", "History-Info"]);
    let expected = vec![
        "Diversion: <sip:first@a.example>;reason=unconditional  Evil: 1".to_owned(),
        "history-info: <sip:first@a.example?Reason=SIP%3Bcause%3D302>;index=1".to_owned(),
        "X-Case: 7".to_owned(),
    ];
    assert_eq!(fields(&wanting, &own, &[]), (expected, 0));
}

#[test]
fn a_name_that_differs_in_case_only_is_sent_once() {
    let own = [("X-C2C-Order", "first"), ("x-c2c-ORDER", "second")];
    let context = [("order", "third"), ("ORDER", "fourth"), ("other", "a\r\nVia: x")];
    let expected = vec!["X-C2C-Order: first".to_owned(), "X-C2C-other: a  Via: x".to_owned()];
    assert_eq!(fields(&route(|_| {}), &own, &context), (expected, 3));
}
