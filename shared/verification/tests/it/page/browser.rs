//! Debian's Chromium, headless, with a wallet that is inserted before the page's own scripts.

use std::path::{Path, PathBuf};

use arrakis_test_support::{Process, eventually};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

/// How the page is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) phone: bool,
    pub(crate) dark: bool,
}

pub(crate) const DESKTOP: Screen = Screen {
    width: 1100,
    height: 1000,
    phone: false,
    dark: false,
};

pub(crate) const PHONE: Screen = Screen {
    width: 320,
    height: 700,
    phone: true,
    dark: false,
};

/// The style of the outline of the focused element if it is a control with the given text.
const OUTLINE: &str = "const focused = document.activeElement;
    const isWanted = focused.matches('button, a, summary') && focused.innerText.trim() === arguments[0];
    return isWanted ? getComputedStyle(focused).outlineStyle : null;";

/// A browser with one open page.
pub(crate) struct Browser {
    client: Client,
    driver: Process,
    profile: PathBuf,
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({"cmd": self.0, "params": self.1});
        (http::Method::POST, Some(body.to_string()))
    }
}

impl Browser {
    /// Opens a page. `wallet` is a script that runs before the page's.
    pub(crate) async fn open(url: &str, screen: Screen, wallet: &str) -> Self {
        let chromedriver = Path::new("/usr/bin/chromedriver");
        assert!(
            chromedriver.exists(),
            "Debian's chromium-driver is not installed: apt-get install chromium chromium-driver"
        );
        let driver = Process::start_at(chromedriver, &["--port=0"], [("LANG", "C.UTF-8")]);
        let line = driver.line("started successfully on port").await;
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        let profile = std::env::temp_dir().join(format!("arrakis-browser-{}", uuid::Uuid::new_v4().simple()));
        let capabilities = json!({"goog:chromeOptions": options(screen, &profile)});
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let browser = Self {
            client,
            driver,
            profile,
        };
        let violations = "window.violations = []; addEventListener('securitypolicyviolation',
            (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));";
        let source = json!({"source": format!("{violations}\n{wallet}")});
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", source).await;
        let scheme = if screen.dark { "dark" } else { "light" };
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]});
        browser.devtools("Emulation.setEmulatedMedia", media).await;
        browser.client.goto(url).await.unwrap();
        browser
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(DevTools(command, parameters)).await.unwrap();
    }

    /// Presses one key.
    pub(crate) async fn press(&self, key: Key) {
        let value = char::from(key);
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Waits until an element that matches `selector` shows `text`.
    pub(crate) async fn sees(&self, selector: &str, text: &str) {
        let seen = eventually(
            || async {
                let shown = self.text(selector).await;
                shown.contains(text).then_some(())
            },
            format!("{selector} to show \"{text}\""),
        );
        seen.await;
    }

    /// The text of all matching elements.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText || e.textContent).join('\\n')";
        let value = self.client.execute(script, vec![selector.into()]).await.unwrap();
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until the focused element shows `text`, then Enter: as a person without a mouse does.
    pub(crate) async fn activate(&self, text: &str) {
        for _ in 0..30 {
            let outline = self.client.execute(OUTLINE, vec![text.into()]).await.unwrap();
            if let Some(outline) = outline.as_str() {
                assert_ne!(outline, "none", "the focus on \"{text}\" is visible");
                return self.press(Key::Enter).await;
            }
            self.press(Key::Tab).await;
        }
        panic!("Tab never reaches \"{text}\": {}", self.text("#panel").await);
    }

    /// Runs a script in the page.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Checks what holds for every state of the page, and keeps a picture of it with `UPDATE_SCREENSHOT=1`.
    pub(crate) async fn check(&self, name: &str) {
        assert_eq!(
            self.script("return window.violations").await,
            json!([]),
            "{name}: content-security policy"
        );
        let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.script(wide).await, json!(0), "{name}: no horizontal scrolling");
        let primary = "return document.querySelectorAll('#panel .primary').length";
        assert!(
            self.script(primary).await.as_u64() <= Some(1),
            "{name}: one primary action"
        );
        let picture = self.client.screenshot().await.unwrap();
        assert!(picture.len() > 5_000, "{name}: an empty page");
        if std::env::var_os("UPDATE_SCREENSHOT").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/verify-page");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Closes the window and the browser.
    pub(crate) async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        self.driver.kill().await;
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn options(screen: Screen, profile: &Path) -> Value {
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
        "--hide-scrollbars".to_owned(),
        format!("--window-size={},{}", screen.width, screen.height),
        format!("--user-data-dir={}", profile.display()),
    ];
    let mut options = json!({"args": arguments});
    if screen.phone {
        options["mobileEmulation"] = json!({
            "deviceMetrics": {"width": screen.width, "height": screen.height, "pixelRatio": 2.0, "touch": true},
            "userAgent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
        });
    }
    options
}
