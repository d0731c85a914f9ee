//! A visitor: one tab of a headless Chromium, and all that went wrong in it.

use std::{
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use headless_chrome::{
    Browser, LaunchOptions, Tab,
    browser::tab::point::Point,
    protocol::cdp::{Emulation, Log, Page, types::Event},
};
use serde::de::DeserializeOwned;
use shared::testing::{eventually, root};
use tempfile::TempDir;

/// Runs before the page's own script: timers of a second or more wait for [`Visitor::wait`] instead of the clock,
/// questions without an answer are counted, what the policy forbids is noted, and the visitor's own clock is wrong by
/// `CLOCK_OFF` milliseconds.
const BEFORE_THE_PAGE: &str = r#"{
    const [later, never, elapsed, RealDate] = [setTimeout, clearTimeout, performance.now.bind(performance), Date];
    const waiting = new Map();
    let passed = 0, next = -1;
    window.setTimeout = (call, ms = 0) =>
        ms < 1000 ? later(call, ms) : (waiting.set(next, { call, due: passed + ms }), next--);
    window.clearTimeout = (id) => waiting.delete(id) || never(id);
    performance.now = () => elapsed() + passed;
    window.pass = (ms) => {
        passed += ms;
        for (const [id, { call, due }] of waiting) {
            if (due <= passed && waiting.delete(id)) call();
        }
    };
    const ask = fetch;
    window.asking = 0;
    window.fetch = (...of) => {
        const answer = ask(...of), over = () => later(() => asking--);
        asking++;
        answer.then(over, over);
        return answer;
    };
    window.forbidden = [];
    addEventListener("securitypolicyviolation", (event) =>
        forbidden.push(`${event.effectiveDirective} ${event.blockedURI}`));
    window.Date = class extends RealDate {
        constructor(...of) { super(...(of.length ? of : [RealDate.now() + CLOCK_OFF])); }
        static now() { return RealDate.now() + CLOCK_OFF; }
    };
}"#;

/// Nobody looks at more of a screenshot, in pixels.
const TALLEST: u32 = 3_000;

/// How a visitor comes.
pub(crate) struct Habits {
    pub(crate) width: u32,
    pub(crate) dark: bool,
    pub(crate) script: bool,
    /// Whether changes reach the page as they happen; else when it asks.
    pub(crate) live: bool,
    pub(crate) time_zone: &'static str,
    /// How wrong the visitor's own clock is.
    pub(crate) clock_off_ms: i64,
    /// Other preferences of the visitor's system, such as `("forced-colors", "active")`.
    pub(crate) preferences: &'static [(&'static str, &'static str)],
    /// Runs before anything of the page does.
    pub(crate) first: &'static str,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            width: 1440,
            dark: true,
            script: true,
            live: false,
            time_zone: "UTC",
            clock_off_ms: 0,
            preferences: &[],
            first: "",
        }
    }
}

/// Somebody who looks at the page.
pub(crate) struct Visitor {
    pub(crate) tab: Arc<Tab>,
    troubles: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Ends with the last visitor.
    _chromium: Arc<Chromium>,
}

impl Visitor {
    /// Opens `url`, and waits until it is loaded and its script has run.
    pub(crate) fn open(url: &str, habits: &Habits) -> Visitor {
        let chromium = chromium();
        let tab = chromium.browser.new_tab().expect("a tab");
        let visitor =
            Visitor { tab, troubles: Arc::default(), requests: Arc::default(), _chromium: chromium };
        visitor.listen();
        visitor.take_up(habits);
        visitor.go(url);
        visitor
    }

    /// Opens another address in the same tab.
    pub(crate) fn go(&self, url: &str) {
        self.eval::<()>("void (window.before = true)");
        self.tab.navigate_to(url).expect("an answer");
        self.eventually("the page is loaded", "!window.before && document.readyState === 'complete'");
    }

    /// What an expression gives in the page.
    pub(crate) fn eval<T: DeserializeOwned>(&self, expression: &str) -> T {
        self.json(&format!("JSON.stringify(({expression}) ?? null)"), false)
    }

    /// What a promise in the page comes to.
    pub(crate) fn resolve<T: DeserializeOwned>(&self, promise: &str) -> T {
        self.json(&format!("({promise}).then((value) => JSON.stringify(value ?? null))"), true)
    }

    fn json<T: DeserializeOwned>(&self, code: &str, wait: bool) -> T {
        let answer = self.tab.evaluate(code, wait).unwrap_or_else(|error| panic!("{code}: {error}"));
        let thrown = answer.description.as_deref().unwrap_or("null");
        let text = answer.value.as_ref().and_then(|value| value.as_str()).unwrap_or(thrown);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{code} is {text}: {error}"))
    }

    /// Runs a script as the devtools do, whatever the page's policy and the visitor's switch for scripts say.
    pub(crate) fn run(&self, script: &str) {
        let enable = Emulation::SetScriptExecutionDisabled { value: false };
        self.tab.call_method(enable).expect("a switch for scripts");
        self.tab.evaluate(script, false).expect("a script");
    }

    /// Waits until an expression holds in the page.
    pub(crate) fn eventually(&self, what: &str, expression: &str) {
        eventually(what, || self.tab.evaluate(expression, false).is_ok_and(|a| a.value == Some(true.into())));
    }

    /// The text that stands in the first element of a selector, as it is seen.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text: String = self.eval(&format!("document.querySelector({selector:?}).innerText"));
        text.replace('\u{a0}', " ").trim().to_owned()
    }

    /// Whether the first element of a selector takes any room, and no closed group holds it.
    pub(crate) fn sees(&self, selector: &str) -> bool {
        self.eval(&format!(
            "(document.querySelector({selector:?})?.getClientRects().length > 0) && \
             document.querySelector({selector:?}).checkVisibility()"
        ))
    }

    /// Lets time pass for the page's timers, once what the page has asked for is there.
    pub(crate) fn wait(&self, time: Duration) {
        self.eventually("the answers", "asking === 0");
        self.eval::<()>(&format!("void pass({})", time.as_millis()));
    }

    /// Presses a key, as in `Tab` or `Enter`.
    pub(crate) fn press(&self, key: &str) {
        self.tab.press_key(key).expect("a key");
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&self, text: &str) {
        self.tab.type_str(text).expect("keys");
    }

    /// Clicks with the mouse.
    pub(crate) fn click(&self, selector: &str) {
        let (x, y): (f64, f64) = self.eval(&format!(
            "((e) => {{ e.scrollIntoView({{ block: 'nearest' }}); const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({selector:?}))"
        ));
        self.tab.click_point(Point { x, y }).expect("a click");
    }

    /// Presses the page's own button and waits until it is answered.
    pub(crate) fn refresh(&self) {
        self.click("#refresh button");
        self.eventually("the refresh is over", "!document.querySelector('#refresh').ariaBusy");
    }

    /// Another preference of the visitor's system; the others stay dark and as they were.
    pub(crate) fn prefer(&self, dark: bool, others: &[(&str, &str)]) {
        let scheme = ("prefers-color-scheme", if dark { "dark" } else { "light" });
        let feature = |&(name, value): &(&str, &str)| Emulation::MediaFeature {
            name: name.into(),
            value: value.into(),
        };
        let features = std::iter::once(&scheme).chain(others).map(feature).collect();
        let media = Emulation::SetEmulatedMedia { media: None, features: Some(features) };
        self.tab.call_method(media).expect("the media");
    }

    /// The page as it would be printed.
    pub(crate) fn print(&self) {
        let media = Emulation::SetEmulatedMedia { media: Some("print".into()), features: None };
        self.tab.call_method(media).expect("the media");
    }

    /// Loads the page anew, as it is remembered.
    pub(crate) fn reload(&self) {
        self.go(&self.eval::<String>("location.href.split('#')[0]"));
    }

    /// Another width of the window.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = Emulation::SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: false,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        };
        self.tab.call_method(metrics).expect("a window");
    }

    /// The page from its top, as a PNG under `target/screenshots/`, and its path.
    pub(crate) fn photograph(&self, name: &str) -> PathBuf {
        let (width, height): (u32, u32) = self.eval("[innerWidth, document.documentElement.scrollHeight]");
        self.resize(width, height.min(TALLEST));
        let format = Page::CaptureScreenshotFormatOption::Png;
        let png = self.tab.capture_screenshot(format, None, None, true).expect("a screenshot");
        self.resize(width, 900);
        let folder = root().join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("target/screenshots");
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, png).expect("a file under target/screenshots");
        path
    }

    /// Everything that went wrong: errors, dialogs, what the policy forbade.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = self.troubles.lock().expect("no test panics here").clone();
        troubles.extend(self.eval::<Option<Vec<String>>>("window.forbidden").unwrap_or_default());
        troubles
    }

    /// The address of every request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics here").clone()
    }

    fn listen(&self) {
        self.tab.enable_log().and_then(|tab| tab.enable_runtime()).expect("the log");
        let enable = headless_chrome::protocol::cdp::Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        };
        self.tab.call_method(enable).expect("the network");
        let (troubles, requests) = (Arc::clone(&self.troubles), Arc::clone(&self.requests));
        let note = move |event: &Event| {
            let trouble = match event {
                Event::LogEntryAdded(e) if e.params.entry.level == Log::LogEntryLevel::Error => {
                    e.params.entry.text.clone()
                }
                Event::RuntimeExceptionThrown(e) => e.params.exception_details.text.clone(),
                Event::PageJavascriptDialogOpening(e) => format!("a dialog says {}", e.params.message),
                Event::NetworkRequestWillBeSent(e) => {
                    requests.lock().expect("no test panics here").push(e.params.request.url.clone());
                    return;
                }
                _ => return,
            };
            troubles.lock().expect("no test panics here").push(trouble);
        };
        self.tab.add_event_listener(Arc::new(note)).expect("a listener");
    }

    fn take_up(&self, habits: &Habits) {
        self.resize(habits.width, 900);
        self.prefer(habits.dark, habits.preferences);
        let time_zone = Emulation::SetTimezoneOverride { timezone_id: habits.time_zone.into() };
        self.tab.call_method(time_zone).expect("a time zone");
        let focus = Emulation::SetFocusEmulationEnabled { enabled: true };
        self.tab.call_method(focus).expect("the focus");
        let script = Emulation::SetScriptExecutionDisabled { value: !habits.script };
        self.tab.call_method(script).expect("a switch for scripts");
        let first = Page::AddScriptToEvaluateOnNewDocument {
            source: BEFORE_THE_PAGE.replace("CLOCK_OFF", &habits.clock_off_ms.to_string())
                + if habits.live { "" } else { "delete window.EventSource;" }
                + habits.first,
            world_name: None,
            include_command_line_api: None,
            run_immediately: None,
        };
        self.tab.call_method(first).expect("a first script");
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.tab.close_target();
    }
}

/// A running browser, and then the profile that it leaves.
struct Chromium {
    browser: Browser,
    _profile: TempDir,
}

/// The browser that all visitors of the moment share.
fn chromium() -> Arc<Chromium> {
    static SHARED: Mutex<Weak<Chromium>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let chromium = Arc::new(launch());
        *shared = Arc::downgrade(&chromium);
        chromium
    })
}

fn launch() -> Chromium {
    let profile = TempDir::with_prefix_in("chromium-", env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let quiet = ["--disable-quic", "--disable-component-update", "--hide-scrollbars"];
    let browser = Browser::new(LaunchOptions {
        path: Some(program()),
        sandbox: false,
        idle_browser_timeout: Duration::from_secs(60),
        user_data_dir: Some(profile.path().to_owned()),
        args: quiet.iter().map(OsStr::new).collect(),
        ..LaunchOptions::default()
    })
    .expect("Chromium starts");
    Chromium { browser, _profile: profile }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
        .expect("the tests of the page need a Chromium on PATH: apt-get install chromium, or dnf install chromium")
}
