//! The browser, and a tab in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
};
use chromiumoxide::page::ScreenshotParams;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What the browser is called, on Debian and elsewhere.
const NAMES: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running browser, without a window.
#[derive(Debug)]
pub struct Chrome {
    browser: Browser,
    driving: JoinHandle<()>,
    _profile: TempDir,
}

/// A tab.
#[derive(Debug)]
pub struct Tab {
    page: Page,
}

/// Where the browser is. In CI there has to be one.
pub fn executable() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES.iter().flat_map(|name| std::env::split_paths(&path).map(move |at| at.join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "the page's tests need a browser: install chromium-headless-shell (scripts/needs.sh does)"
    );
    found
}

impl Chrome {
    /// Starts one; none where there is no browser, which is said.
    pub async fn start() -> Option<Self> {
        let Some(executable) = executable() else {
            println!("SKIPPED: there is no Chromium here, and the live page was not tested in a browser");
            return None;
        };
        let profile = TempDir::new().expect("a temporary directory can be made");
        let config = BrowserConfig::builder()
            .chrome_executable(executable)
            .user_data_dir(profile.path())
            .no_sandbox()
            .window_size(1440, 1000)
            .viewport(None)
            .args(["--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .build()
            .expect("the browser's options are complete");
        let (browser, mut handler) = Browser::launch(config).await.expect("the browser starts");
        // Events that this version of the protocol does not know are no end.
        let driving = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Some(Self { browser, driving, _profile: profile })
    }

    /// Opens a tab.
    pub async fn open(&self, url: &str) -> Tab {
        let page = self.browser.new_page("about:blank").await.expect("a tab can be opened");
        let tab = Tab { page };
        tab.size(1440, 1000).await;
        tab.page.goto(url).await.expect("the page answers");
        tab
    }

    /// Ends it.
    pub async fn close(mut self) {
        let _ = self.browser.close().await;
        let _ = self.browser.wait().await;
        self.driving.abort();
    }
}

impl Tab {
    /// What an expression is in the page.
    pub async fn get<T: DeserializeOwned>(&self, expression: &str) -> T {
        let value = self.page.evaluate(expression).await;
        let value = value.unwrap_or_else(|error| panic!("{expression}: {error}"));
        value.into_value().unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true, and says how long that took. Panics at the limit.
    pub async fn until(&self, expression: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        while !self.get::<bool>(&format!("Boolean({expression})")).await {
            if begun.elapsed() > limit {
                let body: String = self.get("document.body.innerText").await;
                panic!("not within {limit:?}: {expression}\n{body}");
            }
            sleep(LOOK_EVERY).await;
        }
        begun.elapsed()
    }

    /// Puts the keyboard's focus on an element.
    pub async fn focus(&self, selector: &str) {
        let selector = serde_json::to_string(selector).expect("text is JSON");
        let focused: bool = self
            .get(&format!(
                "(() => {{ const e = document.querySelector({selector}); e?.focus(); return document.activeElement === e && e !== null; }})()"
            ))
            .await;
        assert!(focused, "{selector} cannot be focused");
    }

    /// Presses a key where the focus is, as a keyboard does.
    pub async fn press(&self, key: &str) {
        let focused = self.page.find_element(":focus, body").await.expect("something has the focus");
        focused.press_key(key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    /// Focuses an element and presses Enter.
    pub async fn enter(&self, selector: &str) {
        self.focus(selector).await;
        self.press("Enter").await;
    }

    /// The text of an element.
    pub async fn text(&self, selector: &str) -> String {
        let selector = serde_json::to_string(selector).expect("text is JSON");
        self.get(&format!("document.querySelector({selector})?.textContent ?? ''")).await
    }

    /// Gives the window a size.
    pub async fn size(&self, width: i64, height: i64) {
        let metrics = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width < 500);
        self.page.execute(metrics).await.expect("the window has a size");
    }

    /// Chooses between the light and the dark theme.
    pub async fn theme(&self, name: &str) {
        let feature = MediaFeature::new("prefers-color-scheme", name);
        let media = SetEmulatedMediaParams::builder().features(vec![feature]).build();
        self.page.execute(media).await.expect("the theme can be chosen");
    }

    /// Keeps a picture where pictures are wanted: in the directory that `PAGE_SCREENSHOTS` names.
    pub async fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("PAGE_SCREENSHOTS") else { return };
        let picture = self.page.screenshot(ScreenshotParams::builder().build()).await;
        let path = PathBuf::from(directory).join(format!("{name}.png"));
        std::fs::write(&path, picture.expect("a picture can be taken")).expect("the picture can be written");
    }

    /// Adds a script to the page, past its policy: for a checker that is no part of it.
    pub async fn inject(&self, script: &str) {
        self.page.evaluate(script).await.expect("the script runs");
    }
}
