//! The load generator as an operator uses it: a scenario against a gateway that runs already, over TLS.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tokio::process::Command;
use trunkline_tests::gateway::{APP, Gateway, Plan, WIDGET_KEY};
use trunkline_tests::sipp::free_udp_port;

/// A certificate for this machine's own address, and its key, in files.
fn certificate(home: &Path) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let (certificate_file, key_file) = (home.join("cert.pem"), home.join("key.pem"));
    std::fs::write(&certificate_file, certificate.pem())?;
    std::fs::write(&key_file, key.serialize_pem())?;
    Ok((certificate_file, key_file))
}

async fn play(home: &Path, scenario: &str, more: &[&str]) -> Result<(Output, Value)> {
    std::fs::write(home.join("scenario.toml"), scenario)?;
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("an odd place for a test")?;
    let binary = profile.join("trunkline-loadtest");
    let output = Command::new(&binary)
        .args(["run", "scenario.toml", "--json", "report.json", "--html", "report.html"])
        .args(more)
        .env("WIDGET_KEY", WIDGET_KEY)
        .current_dir(home)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{}: build it first (cargo build --bin trunkline-loadtest)", binary.display()))?;
    let report = std::fs::read(home.join("report.json")).unwrap_or_default();
    Ok((output, serde_json::from_slice(&report).unwrap_or_default()))
}

#[tokio::test]
async fn a_scenario_is_played_against_a_running_gateway_by_its_https_url() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (certificate, key) = certificate(home.path())?;
    let agent = free_udp_port()?;
    let tls = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}");
    let gateway = Gateway::start(Plan::to(&[agent]).relay().public(&tls)).await?;
    let url = gateway.public().replace("http://", "https://");
    let scenario = |ca: &Path| {
        format!(
            r#"
name = "running"
[gateway]
url = "https://gateway.example"
ca = {ca:?}
app = "{APP}"
widget_key = "env:WIDGET_KEY"
origin = "https://shop.example"
[agent]
listen = "{agent}"
[load]
rate = 4
seconds = 2
hold_seconds = [4, 4]
codecs = {{ PCMU = 1, opus = 1 }}
dtmf = "12#"
[thresholds]
failed_ratio = 0.0
digits_lost_ratio = 0.0
"#
        )
    };

    let (output, report) = play(home.path(), &scenario(&certificate), &["--url", &url]).await?;
    let said = || format!("{output:?}\n{report:#}");
    ensure!(output.status.success(), "{}", said());
    ensure!(report["planned"] == 8 && report["talked"] == 8 && report["failed"] == 0, "{}", said());
    ensure!(report["digits_heard"] == 24 && report["by_codec"].as_object().unwrap().len() == 2, "{}", said());
    ensure!(report["scenario"]["gateway"]["url"] == url.as_str(), "{}", said());
    ensure!(!report.to_string().contains(WIDGET_KEY), "a report holds no secret");
    let page = std::fs::read_to_string(home.path().join("report.html"))?;
    ensure!(page.contains("<svg"), "a page with plots");
    ensure!(gateway.metric("trunkline_calls_total").await? == 8.0, "they were its calls");

    // Nobody vouches for it any more: no call is made, and the exit code says so.
    let stranger = tempfile::tempdir()?;
    let (another, _) = self::certificate(stranger.path())?;
    let (output, report) = play(home.path(), &scenario(&another), &["--url", &url]).await?;
    ensure!(output.status.code() == Some(1) && report["failed"] == 8, "{output:?}\n{report:#}");
    ensure!(report["failures"].to_string().contains("TLS"), "{report:#}");
    ensure!(gateway.metric("trunkline_calls_total").await? == 8.0, "still");
    gateway.stop().await;
    Ok(())
}
