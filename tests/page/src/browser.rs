//! A browser and its tabs, over the DevTools protocol: one JSON document per message, with answers matched by their ID.
//! The few commands needed here are written out, because a library for all of them is half a million lines.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::wait;
use tungstenite::{Message, WebSocket};

/// The names of the browser's program, on Debian and elsewhere.
const NAMES: [&str; 4] = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"];
/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the browser may take to start, and to end.
const START_MAX: Duration = Duration::from_secs(30);
const END_MAX: Duration = Duration::from_secs(5);
/// Timeout of one command.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A running headless browser. It ends when this is dropped.
#[derive(Debug)]
pub struct Chrome {
    process: Child,
    control: Session,
    port: u16,
    _profile: TempDir,
}

/// A tab.
#[derive(Debug)]
pub struct Tab {
    session: Session,
}

/// A connection to the browser, or to one of its tabs.
#[derive(Debug)]
struct Session {
    socket: RefCell<WebSocket<TcpStream>>,
    asked: Cell<u64>,
}

/// Finds the browser's program. In CI it must be installed.
pub fn executable() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = NAMES.iter().flat_map(|name| std::env::split_paths(&path).map(move |at| at.join(name)));
    let found = found.find(|path| path.is_file());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "the page's tests need a browser: install chromium (scripts/needs.sh does)"
    );
    found
}

impl Chrome {
    /// Starts a browser; prints a note and returns none if it is not installed.
    pub fn start() -> Option<Self> {
        let Some(executable) = executable() else {
            println!("SKIPPED: there is no Chromium here, and the live page was not tested in a browser");
            return None;
        };
        let profile = TempDir::new().expect("a temporary directory can be made");
        let mut command = Command::new(executable);
        command.arg(format!("--user-data-dir={}", profile.path().display())).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-port=0",
            "about:blank",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("the browser can be started");
        let written = profile.path().join("DevToolsActivePort");
        let ((port, path), _) = wait::until("the browser listens", START_MAX, || {
            let text = std::fs::read_to_string(&written).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned()))
        });
        Some(Self { process, control: Session::open(port, &path), port, _profile: profile })
    }

    /// Opens a tab.
    pub fn open(&self, url: &str) -> Tab {
        let made = self.control.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let id = made["targetId"].as_str().expect("a tab has an id").to_owned();
        let tab = Tab { session: Session::open(self.port, &format!("/devtools/page/{id}")) };
        tab.size(1280, 900);
        // Every tab behaves as if it were in front: otherwise an element gets the focus, and no event says so.
        tab.session.ask("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        let gone = tab.session.ask("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        tab.until("document.readyState === 'complete'", START_MAX);
        tab
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        self.control.say("Browser.close", &json!({}));
        let begun = Instant::now();
        while begun.elapsed() < END_MAX {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(LOOK_EVERY);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Session {
    fn open(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the browser listens");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("it has a limit");
        stream.set_nodelay(true).expect("small messages go at once");
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).expect("the browser takes commands");
        Self { socket: RefCell::new(socket), asked: Cell::new(0) }
    }

    /// Sends a command, and returns its ID.
    fn say(&self, method: &str, parameters: &Value) -> u64 {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let message = json!({ "id": number, "method": method, "params": parameters }).to_string();
        // A lost connection shows when the answer is awaited.
        let _ = self.socket.borrow_mut().send(Message::text(message));
        number
    }

    /// Sends a command, and waits for its answer.
    fn ask(&self, method: &str, parameters: Value) -> Value {
        let number = self.say(method, &parameters);
        loop {
            let message = self.socket.borrow_mut().read();
            let message = message.unwrap_or_else(|error| panic!("{method}: the browser: {error}"));
            let Message::Text(text) = message else { continue };
            let told: Value = serde_json::from_str(&text).expect("the browser speaks JSON");
            // Messages with another ID, or none, are unsolicited events.
            if told["id"] == number {
                assert!(told["error"].is_null(), "{method} {parameters}: {}", told["error"]);
                return told["result"].clone();
            }
        }
    }
}

impl Tab {
    /// Evaluates an expression in the page; a promise is awaited.
    pub fn get<T: DeserializeOwned>(&self, expression: &str) -> T {
        let wanted = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let told = self.session.ask("Runtime.evaluate", wanted);
        let problem = &told["exceptionDetails"];
        assert!(problem.is_null(), "{expression}: {problem}");
        let value = told["result"]["value"].clone();
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{expression}: {error}: {told}"))
    }

    /// Waits until an expression is true, and returns how long that took. Panics at the limit.
    pub fn until(&self, expression: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        while !self.get::<bool>(&format!("Boolean({expression})")) {
            if begun.elapsed() > limit {
                let body: String = self.get("document.body.innerText");
                panic!("not within {limit:?}: {expression}\n{body}");
            }
            sleep(LOOK_EVERY);
        }
        begun.elapsed()
    }

    /// Moves the keyboard focus to an element.
    pub fn focus(&self, selector: &str) {
        let selector = quoted(selector);
        let focused: bool = self.get(&format!(
            "(() => {{ const e = document.querySelector({selector}); e?.focus(); \
             return document.activeElement === e && e !== null; }})()"
        ));
        assert!(focused, "{selector} cannot be focused");
    }

    /// Presses a key at the current focus.
    pub fn press(&self, key: &str) {
        let (code, number, text) = key_of(key);
        let mut event = json!({ "type": "keyDown", "key": key, "code": code,
            "windowsVirtualKeyCode": number, "nativeVirtualKeyCode": number });
        match text {
            Some(text) => event["text"] = text.into(),
            None => event["type"] = "rawKeyDown".into(),
        }
        self.session.ask("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.session.ask("Input.dispatchKeyEvent", event);
    }

    /// Focuses an element and presses Enter.
    pub fn enter(&self, selector: &str) {
        self.focus(selector);
        self.press("Enter");
    }

    /// Chooses an option of a list, with the same events as a keyboard.
    pub fn choose(&self, selector: &str, value: &str) {
        self.focus(selector);
        let (selector, value) = (quoted(selector), quoted(value));
        let chosen: bool = self.get(&format!(
            "(() => {{ const s = document.querySelector({selector}); s.value = {value}; \
             s.dispatchEvent(new Event('change', {{ bubbles: true }})); return s.value === {value}; }})()"
        ));
        assert!(chosen, "{selector} has no {value}");
    }

    /// Replaces the text of a field, and leaves it.
    pub fn write(&self, selector: &str, text: &str) {
        self.focus(selector);
        let _: bool = self.get("(document.activeElement.select(), true)");
        for letter in text.chars() {
            self.press(&letter.to_string());
        }
        self.press("Tab");
    }

    /// Switches to a screen by its key, from any focus.
    pub fn screen(&self, key: &str) {
        let _: bool = self.get("(document.activeElement?.blur(), true)");
        self.press(key);
    }

    /// Returns the text of an element.
    pub fn text(&self, selector: &str) -> String {
        let selector = quoted(selector);
        self.get(&format!("document.querySelector({selector})?.textContent ?? ''"))
    }

    /// Sets the size of the window.
    pub fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.session.ask("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Selects the light or the dark theme.
    pub fn theme(&self, name: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": name }] });
        self.session.ask("Emulation.setEmulatedMedia", media);
    }

    /// Saves a screenshot in the directory named by `PAGE_SCREENSHOTS`, if it is set.
    pub fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("PAGE_SCREENSHOTS") else { return };
        let picture = self.session.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = BASE64.decode(picture["data"].as_str().unwrap_or_default().as_bytes());
        let path = PathBuf::from(directory).join(format!("{name}.png"));
        std::fs::write(&path, bytes.expect("a picture is base64")).expect("the picture can be written");
    }

    /// Adds a script to the page despite its content security policy: for the accessibility checker.
    pub fn inject(&self, script: &str) {
        let _: bool = self.get(&format!("{script};\ntrue"));
    }
}

/// Returns a key's code, its number, and the text that it types.
fn key_of(key: &str) -> (String, u32, Option<String>) {
    let named = |code: &str, number, text: Option<&str>| (code.to_owned(), number, text.map(str::to_owned));
    match key {
        "Enter" => named(key, 13, Some("\r")),
        "Escape" => named(key, 27, None),
        "Tab" => named(key, 9, None),
        "End" => named(key, 35, None),
        "Home" => named(key, 36, None),
        "ArrowLeft" => named(key, 37, None),
        "ArrowRight" => named(key, 39, None),
        " " => named("Space", 32, Some(" ")),
        _ => {
            let letter = key.chars().next().expect("a key has a name").to_ascii_uppercase();
            let row = if letter.is_ascii_digit() { "Digit" } else { "Key" };
            (format!("{row}{letter}"), u32::from(letter), Some(key.to_owned()))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}
