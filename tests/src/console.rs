//! An operator at the console, in a Chromium of his own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::Browser;
use crate::gateway::Gateway;
use crate::page::{RATE, write_tone};

const PATIENCE: Duration = Duration::from_secs(30);

/// The console, open.
pub struct Console {
    browser: Browser,
    _microphone: TempDir,
}

impl Console {
    /// Opens it and waits until it asks for a key.
    pub async fn open(gateway: &Gateway) -> Result<Self> {
        let directory = TempDir::new()?;
        let voice = directory.path().join("voice.wav");
        write_tone(&voice, 440.0, RATE, 1)?;
        let browser = Browser::start(&voice).await?;
        browser.open(&format!("{}/console", gateway.control())).await?;
        let console = Self { browser, _microphone: directory };
        console.sees("document.querySelector('#key')").await?;
        Ok(console)
    }

    /// The browser itself.
    #[must_use]
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Types a key in.
    pub async fn key(&self, key: &str) -> Result<()> {
        let script = "document.getElementById('key').value = args; document.querySelector('form.key').requestSubmit()";
        self.browser.run(script, json!(key)).await.map(drop)
    }

    /// Goes to a view by its address.
    pub async fn go(&self, hash: &str) -> Result<()> {
        self.browser.run("location.hash = args", json!(hash)).await.map(drop)
    }

    /// Waits until a JavaScript expression is true.
    pub async fn sees(&self, expression: &str) -> Result<Value> {
        match self.browser.wait_for(expression, PATIENCE).await {
            Ok(seen) => Ok(seen),
            Err(error) => {
                let text = self.browser.run("return document.body.innerText", Value::Null).await;
                Err(error.context(format!("{text:?}\n{:?}", self.browser.console().await)))
            }
        }
    }

    /// Waits until the page says this.
    pub async fn says(&self, text: &str) -> Result<()> {
        self.sees(&format!("document.body.innerText.includes({})", json!(text))).await.map(drop)
    }

    /// The size of what it is looked at on.
    pub async fn size(&self, width: u32, height: u32, phone: bool) -> Result<()> {
        let scale = if phone { 2 } else { 1 };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.browser.devtools("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Light or dark.
    pub async fn dark(&self, dark: bool) -> Result<()> {
        let value = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.browser.devtools("Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// Nothing sticks out of a phone's screen sideways; a picture of it is kept.
    pub async fn fits_a_phone(&self, picture: &str) -> Result<()> {
        self.size(360, 740, true).await?;
        self.picture(picture, 360, true).await?;
        let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let over = self.browser.run(wide, Value::Null).await?;
        ensure!(over.as_i64() <= Some(0), "{picture}: {over} px too wide");
        self.size(1280, 900, false).await
    }

    /// Keeps a picture of the whole page for people to look at.
    pub async fn picture(&self, name: &str, width: u32, phone: bool) -> Result<()> {
        let tall = self.browser.run("return document.documentElement.scrollHeight", Value::Null).await?;
        let tall = u32::try_from(tall.as_u64().unwrap_or(900)).unwrap_or(900).clamp(600, 6000);
        self.size(width, tall, phone).await?;
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(format!("{name}.png")), self.browser.screenshot().await?)?;
        Ok(())
    }

    /// What went wrong in the page; refusals of a key are not among it.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let lines = self.browser.console().await?;
        Ok(lines.into_iter().filter(|line| !line.contains("status of 40")).collect())
    }

    /// Closes the browser.
    pub async fn close(self) {
        self.browser.close().await;
    }
}
