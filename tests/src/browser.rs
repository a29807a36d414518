//! A real Chromium, driven through ChromeDriver's W3C WebDriver protocol.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::namespace::Namespace;

const CHROMIUM: &str = "/usr/bin/chromium";

/// A headless Chromium whose microphone plays a WAV file. Ends with the value.
pub struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts ChromeDriver and a browser whose microphone loops `microphone` (WAV, 16 bit).
    pub async fn start(microphone: &Path) -> Result<Self> {
        Self::start_on(None, "", microphone).await
    }

    /// As [`Browser::start`], on a machine of its own; pages of `trusted` (an origin) may use the microphone without TLS.
    pub async fn start_on(machine: Option<&Namespace>, trusted: &str, microphone: &Path) -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver is not installed")?;
        let base = format!("http://127.0.0.1:{}", announced_port(&mut driver).await?);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let profile = TempDir::new()?;
        let binary = match machine {
            Some(machine) => launcher(machine, profile.path())?,
            None => CHROMIUM.into(),
        };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": binary, "args": arguments(microphone, profile.path(), trusted)},
            "timeouts": {"script": 60_000},
        }}});
        let created: Value = http.post(format!("{base}/session")).json(&capabilities).send().await?.json().await?;
        let id = created["value"]["sessionId"].as_str().with_context(|| format!("no browser: {created}"))?;
        Ok(Self { driver, session: format!("{base}/session/{id}"), http, _profile: profile })
    }

    /// Opens a page and waits until it has loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.command("url", json!({"url": url})).await.map(drop)
    }

    /// Runs an async function body in the page (`args` is its argument) and returns what it returns; what it throws
    /// is the error.
    pub async fn run(&self, body: &str, args: Value) -> Result<Value> {
        let script = format!(
            "const [args, done] = arguments; (async (args) => {{ {body} }})(args).then(value => done({{value}}), \
             error => done({{error: String(error?.stack ?? error), code: error?.code}}));"
        );
        let result = self.command("execute/async", json!({"script": script, "args": [args]})).await?;
        match result.get("error") {
            Some(error) => Err(anyhow!(
                "{}{}",
                error.as_str().unwrap_or("?"),
                result["code"].as_str().map(|c| format!(" [{c}]")).unwrap_or_default()
            )),
            None => Ok(result["value"].clone()),
        }
    }

    /// Polls a JavaScript expression until it is truthy.
    pub async fn wait_for(&self, expression: &str, limit: Duration) -> Result<Value> {
        self.run(
            &format!(
                "const end = performance.now() + args; for (;;) {{ const seen = await ({expression}); if (seen) return seen; \
                 if (performance.now() > end) throw new Error('still not: {}'); await new Promise(r => setTimeout(r, 20)); }}",
                expression.replace('\'', "\\'").replace('\n', " ")
            ),
            json!(u64::try_from(limit.as_millis())?),
        )
        .await
    }

    /// A PNG of the page.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        use base64::Engine as _;
        let response: Value = self.http.get(format!("{}/screenshot", self.session)).send().await?.json().await?;
        let text = response["value"].as_str().context("no screenshot")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
    }

    /// Clicks the first element of a CSS selector as a person would.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let found = self.command("element", json!({"using": "css selector", "value": selector})).await?;
        let id = found.as_object().and_then(|o| o.values().next()?.as_str()).context("no such element")?.to_owned();
        self.command(&format!("element/{id}/click"), json!({})).await.map(drop)
    }

    /// A command of the Chrome DevTools protocol.
    pub async fn devtools(&self, command: &str, params: Value) -> Result<Value> {
        self.command("goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    /// What the page wrote to its console.
    pub async fn console(&self) -> Result<Vec<String>> {
        let lines = self.command("se/log", json!({"type": "browser"})).await?;
        Ok(lines.as_array().into_iter().flatten().map(|l| l["message"].to_string()).collect())
    }

    /// The browser's process group leader, for tests that freeze it.
    #[must_use]
    pub fn driver_pid(&self) -> Option<u32> {
        self.driver.id()
    }

    async fn command(&self, what: &str, body: Value) -> Result<Value> {
        let response = self.http.post(format!("{}/{what}", self.session)).json(&body).send().await?;
        let failed = !response.status().is_success();
        let answer: Value = response.json().await?;
        if failed {
            bail!("WebDriver {what}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }

    /// Closes the browser in good order.
    pub async fn close(mut self) {
        // A browser that is already gone is what this asks for.
        let _ = self.http.delete(&self.session).send().await;
        let _ = self.driver.kill().await;
    }
}

/// A script that starts Chromium on another machine; the pipes of its driver go along.
fn launcher(machine: &Namespace, directory: &Path) -> Result<PathBuf> {
    let script = directory.join("chromium.sh");
    std::fs::write(&script, format!("#!/bin/sh\nexec {} {CHROMIUM} \"$@\"\n", machine.runs().join(" ")))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

/// ChromeDriver says on its standard output where it listens.
async fn announced_port(driver: &mut Child) -> Result<u16> {
    let stdout = driver.stdout.take().context("no output of chromedriver")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, port)) = line.rsplit_once("successfully on port ") {
            let port = port.trim_end_matches('.').parse().context("chromedriver's port")?;
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(port);
        }
    }
    bail!("chromedriver ended before it listened")
}

fn arguments(microphone: &Path, profile: &Path, trusted: &str) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        // The browser ends when its driver does, also when the test that started both is killed.
        "--remote-debugging-pipe",
        "--window-size=900,900",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        "--allow-loopback-in-peer-connection",
    ]
    .map(String::from)
    .to_vec();
    arguments.push(format!("--use-file-for-fake-audio-capture={}", microphone.display()));
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if !trusted.is_empty() {
        arguments.push(format!("--unsafely-treat-insecure-origin-as-secure={trusted}"));
    }
    arguments
}
