//! What a check means, over real sockets: the contract's section, sentence by sentence.
#![allow(clippy::unwrap_used)]

mod answers;
mod lookups;
mod mishaps;
mod redirects;
mod tls;
mod tries;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use prober::{
    checker::Checker,
    target::{Family, Method, Target},
};
use shared::{Check, Status};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// Like the daemon's, with the small stacks that ten thousand services ask for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_stack_size(256 * 1024).enable_all().build().unwrap()
});

static CHECKER: LazyLock<Checker> = LazyLock::new(|| {
    let _inside = RUNTIME.enter();
    Checker::new().unwrap()
});

/// What scheduling on a busy machine may add.
const NOISE: Duration = Duration::from_secs(3);

fn target(url: impl AsRef<str>) -> Target {
    Target {
        id: "main".into(),
        name: "main".into(),
        group: None,
        link: None,
        url: Url::parse(url.as_ref()).unwrap(),
        headers: Vec::new(),
        authorities: None,
        interval: Duration::from_secs(60),
        timeout: Duration::from_millis(500),
        slow_after: Duration::from_millis(400),
        retries: 0,
        retry_delay: Duration::ZERO,
        expect: vec![200..=499],
        method: Method::Head,
        family: Family::Any,
        private_redirects: false,
    }
}

fn check(target: &Target) -> Check {
    RUNTIME.block_on(CHECKER.check(target)).unwrap()
}

/// As [`check`], and how long it took.
fn timed_check(target: &Target) -> (Check, Duration) {
    LazyLock::force(&CHECKER);
    let began = Instant::now();
    let check = check(target);
    (check, began.elapsed())
}

/// Status, HTTP status and error of a check at `url`.
fn found(url: impl AsRef<str>) -> (Status, Option<u16>, Option<String>) {
    summary(check(&target(url)))
}

fn summary(check: Check) -> (Status, Option<u16>, Option<String>) {
    (check.status, check.status_code, check.error)
}

fn online(status_code: u16) -> (Status, Option<u16>, Option<String>) {
    (Status::Online, Some(status_code), None)
}

fn degraded(status_code: u16, error: &str) -> (Status, Option<u16>, Option<String>) {
    (Status::Degraded, Some(status_code), Some(format!("{error}, after 1 try")))
}

fn offline(error: &str) -> (Status, Option<u16>, Option<String>) {
    (Status::Offline, None, Some(format!("{error}, after 1 try")))
}

/// That the check of a target with this timeout ended with it, and not much later, with this error.
fn assert_timeout(target: &Target, error: &str) {
    let (check, took) = timed_check(target);
    assert_eq!(check.error, Some(format!("{error}, after 1 try")));
    let timeout = i32::try_from(target.timeout.as_millis()).unwrap();
    assert_eq!(
        (check.status, check.response_time_ms, check.status_code),
        (Status::Timeout, Some(timeout), None)
    );
    assert!(took >= target.timeout && took < target.timeout + NOISE, "{took:?}");
}
