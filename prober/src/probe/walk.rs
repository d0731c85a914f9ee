//! How far one try has come: what it has spent, where it stands, what may go along and where it may lead.
//! Pure.

use std::{net::IpAddr, time::Duration};

use shared::Failure;
use url::Url;

use super::{
    fault::Fault,
    redirect::{is_private, is_same_origin},
};
use crate::target::{Method, Target};

/// How far one try has come.
pub(super) struct Walk<'a> {
    pub(super) target: &'a Target,
    pub(super) method: Method,
    /// What all hops together may take, and have taken. Waiting for a place counts for nothing.
    pub(super) limit: Duration,
    pub(super) spent: Duration,
    pub(super) url: Url,
    pub(super) followed: u32,
    /// No redirect has left the target's origin yet.
    pub(super) at_origin: bool,
    /// Whether this hop may lead into a private network; `None` until the target's own address is known.
    may_be_private: Option<bool>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(target: &'a Target, method: Method, limit: Duration) -> Walk<'a> {
        let may_be_private = target.private_redirects.then_some(true);
        let url = target.url.clone();
        Walk {
            target,
            method,
            limit,
            spent: Duration::ZERO,
            url,
            followed: 0,
            at_origin: true,
            may_be_private,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.spent)
    }

    pub(super) fn follow(&mut self, url: Url) {
        self.at_origin &= is_same_origin(&url, &self.target.url);
        self.followed += 1;
        self.url = url;
    }

    /// Leaves only addresses that may be connected to. The first hop goes wherever the services file points,
    /// and a service in a private network may redirect within.
    pub(super) fn admit(&mut self, addresses: &mut Vec<IpAddr>) -> Result<(), Fault> {
        let first = addresses[0];
        if !*self.may_be_private.get_or_insert(is_private(first)) && self.followed > 0 {
            addresses.retain(|address| !is_private(*address));
        }
        if addresses.is_empty() {
            let detail = format!("refused: it leads into a private network ({first})");
            return Err(Fault::Failed(Failure::Redirect, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Family;

    fn target(private_redirects: bool) -> Target {
        Target {
            id: "main".into(),
            name: "main".into(),
            group: None,
            link: None,
            url: Url::parse("https://example.com/").unwrap(),
            headers: Vec::new(),
            authorities: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            slow_after: Duration::from_secs(1),
            retries: 0,
            retry_delay: Duration::ZERO,
            expect: vec![200..=499],
            method: Method::Head,
            family: Family::Any,
            private_redirects,
        }
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What of the second hop's addresses is left, after a first hop to `first`.
    fn admitted(target: &Target, first: &[&str], second: &[&str]) -> Result<Vec<IpAddr>, Fault> {
        let mut walk = Walk::new(target, Method::Head, target.timeout);
        walk.admit(&mut addresses(first)).unwrap();
        walk.follow(Url::parse("https://other.example/").unwrap());
        let mut second = addresses(second);
        walk.admit(&mut second).map(|()| second)
    }

    #[test]
    fn a_public_service_can_not_redirect_into_a_private_network() {
        let refused = admitted(&target(false), &["1.1.1.1"], &["10.0.0.1", "::1"]).unwrap_err();
        assert_eq!(refused.to_string(), "redirect: refused: it leads into a private network (10.0.0.1)");
    }

    #[test]
    fn the_service_itself_may_be_anywhere() {
        for all in [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"]] {
            let mut left = addresses(&all);
            let target = target(false);
            Walk::new(&target, Method::Head, target.timeout).admit(&mut left).unwrap();
            assert_eq!(left, addresses(&all));
        }
    }

    #[test]
    fn of_a_mixed_answer_only_public_addresses_are_connected_to() {
        let left = admitted(&target(false), &["1.1.1.1"], &["127.0.0.1", "9.9.9.9", "fd00::1"]).unwrap();
        assert_eq!(left, addresses(&["9.9.9.9"]));
    }

    #[test]
    fn a_private_service_may_redirect_within_and_out() {
        for second in [["10.0.0.2"], ["1.1.1.1"]] {
            assert_eq!(admitted(&target(false), &["10.0.0.1"], &second).unwrap(), addresses(&second));
        }
    }

    #[test]
    fn the_services_file_may_allow_redirects_into_private_networks() {
        assert_eq!(admitted(&target(true), &["1.1.1.1"], &["10.0.0.2"]).unwrap(), addresses(&["10.0.0.2"]));
    }

    #[test]
    fn having_passed_through_a_private_network_gives_no_right_to_it() {
        let target = target(false);
        let mut walk = Walk::new(&target, Method::Head, target.timeout);
        walk.admit(&mut addresses(&["1.1.1.1"])).unwrap();
        for _ in 0..2 {
            walk.follow(Url::parse("https://example.com/again").unwrap());
            assert!(walk.admit(&mut addresses(&["192.168.0.1"])).is_err(), "the name may be bound anew");
        }
    }

    #[test]
    fn headers_that_were_dropped_stay_dropped() {
        let target = target(false);
        let mut walk = Walk::new(&target, Method::Head, target.timeout);
        walk.follow(Url::parse("https://example.com/x").unwrap());
        assert!(walk.at_origin);
        walk.follow(Url::parse("https://other.example/").unwrap());
        walk.follow(Url::parse("https://example.com/").unwrap());
        assert!(!walk.at_origin);
    }
}
