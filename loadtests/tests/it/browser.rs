//! Debian's Chromium, headless, driven through `ChromeDriver` with keyboard input.

use std::path::{Path, PathBuf};

use arrakis_test_support::{Process, eventually};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder};

/// A browser with one open page.
pub(crate) struct Browser {
    client: Client,
    driver: Process,
    profile: PathBuf,
}

impl Browser {
    /// Opens a page in a window of this size, with a profile of its own.
    pub(crate) async fn open(url: &str, (width, height): (u32, u32)) -> Self {
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
            "--force-color-profile=srgb".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.display()),
        ];
        let capabilities = serde_json::json!({"goog:chromeOptions": {"args": arguments}});
        let capabilities = capabilities.as_object().cloned().unwrap();
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium starts");
        client.goto(url).await.unwrap();
        Self {
            client,
            driver,
            profile,
        }
    }

    /// Types text at the focus, letter by letter.
    pub(crate) async fn type_text(&self, text: &str) {
        let keys = text
            .chars()
            .fold(KeyActions::new("keyboard".to_owned()), |keys, letter| {
                keys.then(KeyAction::Down { value: letter })
                    .then(KeyAction::Up { value: letter })
            });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Presses one key.
    pub(crate) async fn press(&self, key: Key) {
        self.type_text(&char::from(key).to_string()).await;
    }

    /// Presses a letter with Ctrl.
    pub(crate) async fn ctrl(&self, letter: char) {
        let control = char::from(Key::Control);
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: control })
            .then(KeyAction::Down { value: letter })
            .then(KeyAction::Up { value: letter })
            .then(KeyAction::Up { value: control });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Waits until an element that matches `selector` shows `text`.
    pub(crate) async fn sees(&self, selector: &str, text: &str) {
        eventually(
            || async {
                let shown = self.text(selector).await;
                shown.contains(text).then_some(())
            },
            format!("{selector} to show \"{text}\""),
        )
        .await;
    }

    /// The text of all matching elements.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText).join('\\n')";
        let value = self.client.execute(script, vec![selector.into()]).await.unwrap();
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page.
    pub(crate) async fn script(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Presses Shift+Tab until the text or label of the focused element contains `text`.
    pub(crate) async fn back_to(&self, text: &str) {
        let shift = char::from(Key::Shift);
        for _ in 0..60 {
            let script = "const e = document.activeElement; const label = e.labels && e.labels[0];
                return e.matches('button, input, select') ? (label || e).innerText + '|' + e.getAttribute('aria-label') : ''";
            let here = self.script(script).await;
            if here.as_str().is_some_and(|here| here.contains(text)) {
                return;
            }
            let keys = KeyActions::new("keyboard".to_owned())
                .then(KeyAction::Down { value: shift })
                .then(KeyAction::Down { value: Key::Tab.into() })
                .then(KeyAction::Up { value: Key::Tab.into() })
                .then(KeyAction::Up { value: shift });
            self.client.perform_actions(keys).await.unwrap();
        }
        panic!("Shift+Tab never reaches \"{text}\"");
    }

    /// A screenshot of the window.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// Closes the window and the browser.
    pub(crate) async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        self.driver.kill().await;
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
