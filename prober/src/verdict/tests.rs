//! The contract's table, row by row.

use std::sync::Arc;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::target::{Family, Method};

fn target() -> Target {
    Target {
        id: "main".into(),
        name: "main".into(),
        group: None,
        link: None,
        url: Url::parse("https://user:secret@example.com/?token=secret").unwrap(),
        headers: vec![("x-key".into(), "secret".into())],
        authorities: None,
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        slow_after: Duration::from_secs(5),
        retries: 1,
        retry_delay: Duration::from_secs(2),
        expect: vec![200..=299, 401..=401],
        method: Method::Head,
        family: Family::Any,
        private_redirects: false,
    }
}

fn reply(elapsed_ms: u64, outcome: Outcome) -> Reply {
    Reply { elapsed: Duration::from_millis(elapsed_ms), outcome }
}

fn judged(
    tries: u32,
    elapsed_ms: u64,
    outcome: Outcome,
) -> (Status, Option<i32>, Option<u16>, Option<String>) {
    let began = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let check = judge(&target(), began, tries, &reply(elapsed_ms, outcome));
    assert_eq!((check.service_id.as_str(), check.timestamp), ("main", began));
    (check.status, check.response_time_ms, check.status_code, check.error)
}

fn address() -> SocketAddr {
    "[::1]:443".parse().unwrap()
}

#[test]
fn an_expected_status_in_time_is_online() {
    assert_eq!(judged(1, 143, Outcome::Answered(200)), (Status::Online, Some(143), Some(200), None));
    assert_eq!(judged(2, 143, Outcome::Answered(401)), (Status::Online, Some(143), Some(401), None));
}

#[test]
fn another_status_is_degraded() {
    let error = Some("status: HTTP 503, after 2 tries".to_owned());
    assert_eq!(judged(2, 7, Outcome::Answered(503)), (Status::Degraded, Some(7), Some(503), error));
}

#[test]
fn an_answer_later_than_slow_after_is_degraded_and_one_at_slow_after_is_not() {
    let error = Some("slow: 5001 ms, more than 5 s, after 1 try".to_owned());
    assert_eq!(judged(1, 5001, Outcome::Answered(200)), (Status::Degraded, Some(5001), Some(200), error));
    assert_eq!(judged(1, 5000, Outcome::Answered(200)).0, Status::Online);
}

#[test]
fn a_status_says_more_than_slowness() {
    let error = Some("status: HTTP 500, after 1 try".to_owned());
    assert_eq!(judged(1, 9000, Outcome::Answered(500)), (Status::Degraded, Some(9000), Some(500), error));
}

#[test]
fn a_timeout_took_the_timeout_and_says_where() {
    for (phase, error) in [
        (Phase::Lookup("example.com".into()), "dns: no answer about example.com within 10 s, after 2 tries"),
        (Phase::Connect(address()), "timeout: no connection within 10 s ([::1]:443), after 2 tries"),
        (
            Phase::Handshake(address()),
            "timeout: TLS handshake not finished within 10 s ([::1]:443), after 2 tries",
        ),
        (Phase::Answer(address()), "timeout: no answer within 10 s ([::1]:443), after 2 tries"),
        (Phase::Headers(address()), "timeout: headers not complete within 10 s ([::1]:443), after 2 tries"),
    ] {
        let expected = (Status::Timeout, Some(10_000), None, Some(error.to_owned()));
        assert_eq!(judged(2, 10_013, Outcome::TimedOut(phase)), expected);
    }
}

#[test]
fn no_answer_is_offline_and_has_neither_time_nor_status() {
    let error = Some("connect: connection refused (127.0.0.1:9), after 2 tries".to_owned());
    let outcome = Outcome::Failed(Failure::Connect, "connection refused (127.0.0.1:9)".into());
    assert_eq!(judged(2, 3, outcome), (Status::Offline, None, None, error));
}

#[test]
fn a_long_detail_is_cut_and_the_tries_stay() {
    let (_, _, _, error) = judged(12, 3, Outcome::Failed(Failure::Protocol, "é".repeat(600)));
    let error = error.unwrap();
    assert_eq!(error.chars().count(), ERROR_LENGTH);
    assert!(error.starts_with("protocol: éé") && error.ends_with("é, after 12 tries"), "{error}");
}

#[test]
fn everything_but_an_expected_answer_deserves_another_try() {
    let another = |outcome| deserves_another_try(&target(), &reply(9000, outcome));
    assert!(another(Outcome::TimedOut(Phase::Answer(address()))));
    assert!(another(Outcome::Failed(Failure::Dns, "no such name".into())));
    assert!(another(Outcome::Answered(500)));
    assert!(!another(Outcome::Answered(204)), "slow, but expected");
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let class = prop::sample::select(vec![
        Failure::Dns,
        Failure::Connect,
        Failure::Tls,
        Failure::Timeout,
        Failure::Protocol,
        Failure::Redirect,
    ]);
    prop_oneof![
        (100u16..1000).prop_map(Outcome::Answered),
        any::<String>().prop_map(|host| Outcome::TimedOut(Phase::Lookup(host))),
        (class, any::<String>()).prop_map(|(failure, detail)| Outcome::Failed(failure, detail)),
    ]
}

proptest! {
    #[test]
    fn every_check_keeps_the_contract(outcome in any_outcome(), elapsed in 0u64..20_000, tries in 1u32..100) {
        let target = Arc::new(target());
        let check = judge(&target, DateTime::UNIX_EPOCH, tries, &reply(elapsed, outcome.clone()));
        prop_assert_eq!(check.status_code.is_some(), matches!(outcome, Outcome::Answered(_)));
        prop_assert_eq!(check.response_time_ms.is_none(), check.status == Status::Offline);
        prop_assert_eq!(check.error.is_none(), check.status == Status::Online);
        if let Some(error) = check.error {
            prop_assert!(Failure::of_error(&error).is_some(), "{}", error);
            prop_assert!(error.chars().count() <= ERROR_LENGTH && !error.chars().any(char::is_control));
            let tries_told = if tries == 1 { ", after 1 try".to_owned() } else { format!(", after {tries} tries") };
            prop_assert!(error.ends_with(&tries_told), "{}", error);
            prop_assert!(!error.contains("secret"));
        }
    }
}
