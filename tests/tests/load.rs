//! The load generator as an operator uses it: a scenario against a gateway that runs already, over TLS.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trunkline_tests::gateway::{APP, Gateway, Plan, READ, WIDGET_KEY};
use trunkline_tests::sipp::free_udp_port;

/// Something before a listener that speaks TLS for it: its address.
async fn terminator(home: &Path, to: SocketAddr) -> Result<SocketAddr> {
    let chain = CertificateDer::pem_file_iter(home.join("cert.pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(home.join("key.pem"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    // A listener of this machine alone is asked by its own port.
    let listener = TcpListener::bind(("127.0.0.2", to.port())).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (mut outside, mut inside) = (acceptor.accept(stream).await?, TcpStream::connect(to).await?);
                copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    Ok(address)
}

/// A certificate for this machine's own addresses, and its key, in files.
fn certificate(home: &Path) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1", "127.0.0.2"].map(String::from))?.self_signed(&key)?;
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
        .env("API_KEY", READ)
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
    let control = terminator(home.path(), gateway.daemon().control_addr).await?;
    let control = format!("control = \"https://{control}\"\napi_key = \"env:API_KEY\"");
    let scenario = |ca: &Path, control: &str| {
        format!(
            r#"
name = "running"
[gateway]
url = "https://gateway.example"
ca = {ca:?}
app = "{APP}"
widget_key = "env:WIDGET_KEY"
origin = "https://shop.example"
{control}
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

    let (output, report) = play(home.path(), &scenario(&certificate, &control), &["--url", &url]).await?;
    let said = || format!("{output:?}\n{report:#}");
    ensure!(output.status.success(), "{}", said());
    ensure!(report["planned"] == 8 && report["talked"] == 8 && report["failed"] == 0, "{}", said());
    ensure!(report["digits_heard"] == 24 && report["by_codec"].as_object().unwrap().len() == 2, "{}", said());
    ensure!(report["scenario"]["gateway"]["url"] == url.as_str(), "{}", said());
    // Its control listener is asked over TLS as well.
    let left = report["left"].as_array().context("nothing is said of what is left behind")?;
    ensure!(left.iter().any(|row| row["what"] == "calls" && row["after"] == 0.0), "{}", said());
    ensure!([WIDGET_KEY, READ].iter().all(|key| !report.to_string().contains(key)), "a report holds no secret");
    let page = std::fs::read_to_string(home.path().join("report.html"))?;
    ensure!(page.contains("<svg"), "a page with plots");
    ensure!(gateway.metric("trunkline_calls_total").await? == 8.0, "they were its calls");

    // Nobody vouches for it any more: no call is made, and the exit code says so.
    let stranger = tempfile::tempdir()?;
    let (another, _) = self::certificate(stranger.path())?;
    let (output, report) = play(home.path(), &scenario(&another, ""), &["--url", &url]).await?;
    ensure!(output.status.code() == Some(1) && report["failed"] == 8, "{output:?}\n{report:#}");
    ensure!(report["failures"].to_string().contains("TLS"), "{report:#}");
    ensure!(gateway.metric("trunkline_calls_total").await? == 8.0, "still");
    gateway.stop().await;
    Ok(())
}
