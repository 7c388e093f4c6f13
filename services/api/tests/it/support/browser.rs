//! Debian's Chromium, headless.

use std::path::{Path, PathBuf};

use arrakis_test_support::{Process, eventually};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

/// A browser with a profile of its own.
pub(crate) struct Browser {
    client: Client,
    driver: Process,
    profile: PathBuf,
}

impl Browser {
    /// Opens a page in a window of this width.
    pub(crate) async fn open(url: &str, width: u32) -> Self {
        let chromedriver = Path::new("/usr/bin/chromedriver");
        assert!(
            chromedriver.exists(),
            "Debian's chromium-driver is not installed: apt-get install chromium chromium-driver"
        );
        let driver = Process::start_at(chromedriver, &["--port=0"], [("LANG", "C.UTF-8")]);
        let line = driver.line("started successfully on port").await;
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        let profile = std::env::temp_dir().join(format!("arrakis-browser-{}", uuid::Uuid::new_v4().simple()));
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(), // Chromium's sandbox refuses to run as root.
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            format!("--window-size={width},900"),
            format!("--user-data-dir={}", profile.display()),
        ];
        let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        client.goto(url).await.unwrap();
        Self {
            client,
            driver,
            profile,
        }
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits until the page shows this text.
    pub(crate) async fn sees(&self, text: &str) {
        let shown = async || {
            self.script("return document.body.innerText")
                .await
                .as_str()
                .unwrap_or_default()
                .contains(text)
        };
        eventually(shown, format!("the page to show \"{text}\"")).await;
    }

    /// Clicks the first element that matches.
    pub(crate) async fn click(&self, selector: &str) {
        self.client
            .find(Locator::Css(selector))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Closes the browser.
    pub(crate) async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        self.driver.kill().await;
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
