use super::load_with;

fn notes(text: &str) -> Vec<(String, bool)> {
    load_with(text, &[]).unwrap().notes.iter().map(|note| (note.to_string(), note.blocks_run)).collect()
}

fn trunk(lines: &str) -> Vec<(String, bool)> {
    let text = format!("[[trunks]]\nid = 't'\nbrowser_audio = 'opus'\noptions_seconds = 0\n{lines}");
    let text = if lines.contains("target") { text } else { format!("{text}\ntarget = '127.0.0.1'") };
    notes(&text).into_iter().filter(|(note, _)| note.contains("trunks[")).collect()
}

#[test]
fn unsafe_absence_blocks_a_run_and_other_absence_does_not() {
    let note = |text: &str, blocks: bool| vec![(text.to_owned(), blocks)];
    let clear = "the keys travel in SIP messages that are not encrypted themselves: use ;transport=tls";
    for srtp in ["required", "optional"] {
        let lines = format!("srtp = '{srtp}'");
        assert_eq!(trunk(&lines), note(&format!("line 5: trunks[0].srtp: {clear}"), false));
        assert_eq!(trunk(&format!("{lines}\ntarget = '127.0.0.1;transport=tls'")), []);
    }
    for active in ["127.0.0.1;transport=tcp", "sips:127.0.0.1", "127.0.0.1;transport=tls"] {
        assert_eq!(trunk(&format!("target = '{active}'")), [], "{active}");
    }
    assert_eq!(trunk("codecs = ['opus', 'G722', 'PCMU']"), []);
}

#[test]
fn elastic_audio_and_a_transparent_trunk_need_no_note() {
    let found = notes("[[trunks]]\nid = 't'\ntarget = 'localhost'\njitter_buffer = 'transparent'");
    assert!(!found.iter().any(|(note, _)| note.contains("trunks[0]")), "{found:?}");
}

#[test]
fn a_timetable_runs() {
    let text = "[[apps]]\nid = 'a'\nhours = { timezone = 'UTC', week = { mon = ['09:00-10:00'] } }";
    assert!(load_with(text, &[]).unwrap().for_run().is_ok());
    assert!(!notes(text).iter().any(|(note, _)| note.contains("hours")));
}

#[test]
fn ports_the_kernel_hands_out_are_pointed_at() {
    let found = notes("");
    let about = "media.rtp_ports: from port 32768 on it overlaps the kernel's ephemeral range 32768-60999: \
                 set sysctl net.ipv4.ip_local_reserved_ports=30000-39998, or choose lower ports";
    assert!(found.contains(&(about.to_owned(), false)), "{found:?}");
    assert!(!notes("media.rtp_ports = '22000-29999'").iter().any(|(note, _)| note.contains("ephemeral")));
    assert!(
        notes("media.udp_listen = '127.0.0.1:50000'")
            .iter()
            .any(|(note, _)| note.contains("udp_listen: from port 50000"))
    );
}

#[test]
fn traps_are_pointed_at() {
    let has =
        |text: &str, part: &str| assert!(notes(text).iter().any(|(note, _)| note.contains(part)), "{:?}", notes(text));
    has("control.listen = '192.0.2.1:8081'", "control.listen: plain HTTP beyond this machine");
    has("", "control.api_keys: there is none");
    has("[[trunks]]\nid = 't'\ntarget = '192.0.2.1'", "loopback address, from which 192.0.2.1 is out of reach");
    has(
        "public = { listen = '192.0.2.1:80', allow_insecure = true, url = 'https://x' }",
        "media.udp_listen: a loopback",
    );
    has("public.url = 'http://voice.example.com'", "public.url: http: browsers give the microphone only");
}
