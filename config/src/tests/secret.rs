use super::{load_in, load_with};
use crate::load;

#[test]
fn secrets_may_stand_in_files_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ops.key"), "from-a-file\r\n").unwrap();
    std::fs::write(dir.path().join("empty"), "\n").unwrap();
    let text =
        |source: &str| format!("[control]\napi_keys = [{{ name = 'ops', key = '{source}', scopes = ['read'] }}]");
    std::fs::write(dir.path().join("trunkline.toml"), text("file:ops.key")).unwrap();
    let loaded = load(&dir.path().join("trunkline.toml"), std::iter::empty()).unwrap();
    assert_eq!(loaded.config.control.api_keys[0].key.reveal(), "from-a-file");

    let complaint = |source: &str| load_in(dir.path(), &text(source), &[("EMPTY", "")]).unwrap_err().to_string();
    let expect = |source: &str, start: &str, end: &str| {
        let found = complaint(source);
        assert!(
            found.starts_with(&format!("line 2: control.api_keys[0].key: {start}")) && found.ends_with(end),
            "{found}"
        );
    };
    expect("file:missing", "cannot read ", "No such file or directory (os error 2)");
    expect("file:empty", "", "empty is empty");
    expect("file:.", "", "is no file");
    expect("env:GONE", "environment variable GONE is not set", "");
    expect("env:EMPTY", "environment variable EMPTY is empty", "");
}

#[test]
fn a_missing_file_is_a_problem_like_any_other() {
    let found = load("/nowhere/trunkline.toml".as_ref(), std::iter::empty()).unwrap_err().to_string();
    assert_eq!(found, "/nowhere/trunkline.toml: cannot read: No such file or directory (os error 2)");
}

#[test]
fn no_secret_is_ever_shown() {
    let text = "
        public.token_key = 'hush-hush-hush-hush-hush-hush-hush'
        public.ice_servers = [{ urls = ['turn:t'], username = 'turner', credential = 'hush-turn' }, { urls = ['turn:t'], secret = 'hush-turn-secret' }]
        control.api_keys = [{ name = 'ops', key = 'hush-ops', scopes = ['read'] }]
        [[trunks]]
        id = 't'
        target = 'h'
        auth = { username = 'u', password = 'hush-password' }
        [[apps]]
        id = 'a'
        widget_keys = ['hush-widget']
        [[apps.integrations]]
        id = 'i'
        url = 'https://x'
        secret = 'whsec_hushhushhushhushhushhushhushhush'
        headers = { Authorization = 'hush-header' }";
    let loaded = load_with(text, &[]).unwrap();
    assert!(!format!("{loaded:?}{}", crate::describe(&loaded.config)).contains("hush"));
    assert_eq!(loaded.config.apps[0].integrations[0].headers[0].1.reveal(), "hush-header");

    let raw: crate::raw::Raw = toml::from_str(text).unwrap();
    assert!(!format!("{raw:?}").contains("hush"));

    let wrong = text.replace("'u'", "7").replace("'https://x'", "'https://u:hush@x'").replace("'hush-ops'", "'hush'");
    let problems = load_with(&wrong, &[("TRUNKLINE__PUBLIC__TLS", "hush")]).unwrap_err();
    assert_eq!(problems.0.len(), 4, "{problems}");
    assert!(!format!("{problems}{problems:?}").contains("hush"), "{problems}");
}
