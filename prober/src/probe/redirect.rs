//! Whether and where to a redirect is followed. Pure: who is asked there, and when, is the probe's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::Failure;
use ureq::http::Uri;
use url::{Position, Url};

/// The most redirects of one try.
pub(super) const MOST: u32 = 10;

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is the final one.
    Stay,
    /// To another request.
    Follow(Url),
    /// To where nobody should follow.
    Refuse(Failure, String),
}

/// The step that an answer from `from` asks for, after `followed` redirects. A redirect without a `Location`
/// that means something is final.
pub(super) fn step(from: &Url, followed: u32, status: u16, location: Option<&str>) -> Step {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Step::Stay;
    }
    match location.filter(|location| !location.is_empty()).and_then(|location| from.join(location).ok()) {
        Some(url) => follow(url, followed),
        None => Step::Stay,
    }
}

fn follow(url: Url, followed: u32) -> Step {
    if !matches!(url.scheme(), "http" | "https") {
        return Step::Refuse(Failure::Redirect, format!("refused: it leads to {}:", url.scheme()));
    }
    if followed == MOST {
        return Step::Refuse(Failure::Redirect, format!("more than {MOST}"));
    }
    if wire_form(&url).is_some() { Step::Follow(url) } else { Step::Stay }
}

/// A URL as it is sent: without userinfo, which is a header's matter, and without fragment. `None` for the
/// few that no request can hold.
pub(super) fn wire_form(url: &Url) -> Option<Uri> {
    let origin = &url[Position::BeforeHost..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    format!("{}://{origin}{path}", url.scheme()).parse().ok()
}

/// Whether two URLs have the same scheme, host and port.
pub(super) fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether an address is of no public network: what is reached there depends on who asks (IANA's
/// special-purpose registries; addresses that carry an IPv4 address are judged by it).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => carried(address).map_or_else(|| is_private_v6(address), is_private_v4),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        [0 | 10 | 127, ..] => true,
        [100, second, ..] => (64..128).contains(&second),
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        [first, ..] => first >= 224,
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // All that is not global unicast: unspecified, loopback, unique local, link-local, site-local, multicast.
    // 64:ff9b:1::/48 (translation within a network) lies outside 2000::/3 as well.
    first & 0xe000 != 0x2000
}

/// The IPv4 address that an IPv6 address stands for: mapped, translated (64:ff9b::/96) or 6to4.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        [0x2002, ..] => v4(b, c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn to(location: &str) -> Step {
        step(&url("https://user:secret@example.com/a/b?c"), 0, 302, Some(location))
    }

    #[test]
    fn the_five_redirects_are_followed_and_no_other_status() {
        let location = Some("/x");
        for status in [301, 302, 303, 307, 308] {
            assert!(matches!(step(&url("http://h/"), 0, status, location), Step::Follow(_)), "{status}");
        }
        for status in [200, 201, 300, 304, 305, 306, 404] {
            assert_eq!(step(&url("http://h/"), 0, status, location), Step::Stay, "{status}");
        }
    }

    #[test]
    fn locations_are_relative_to_where_they_were_given() {
        for (location, expected) in [
            ("x", "https://user:secret@example.com/a/x"),
            ("/x?y#z", "https://user:secret@example.com/x?y#z"),
            ("//other.example/x", "https://other.example/x"),
            ("http://other.example", "http://other.example/"),
        ] {
            assert_eq!(to(location), Step::Follow(url(expected)), "{location}");
        }
    }

    #[test]
    fn a_redirect_to_nowhere_is_final() {
        assert_eq!(step(&url("http://h/"), 0, 302, None), Step::Stay);
        for location in ["", "http://", "https://[::1", "http://a b/"] {
            assert_eq!(to(location), Step::Stay, "{location}");
        }
    }

    #[test]
    fn only_http_and_https_are_followed() {
        for (location, scheme) in
            [("file:///etc/passwd", "file"), ("ftp://h/", "ftp"), ("javascript:x", "javascript")]
        {
            let why = format!("refused: it leads to {scheme}:");
            assert_eq!(to(location), Step::Refuse(Failure::Redirect, why));
        }
    }

    #[test]
    fn ten_redirects_are_followed_and_the_eleventh_is_not() {
        assert!(matches!(step(&url("http://h/"), 9, 301, Some("/x")), Step::Follow(_)));
        let why = "more than 10".to_owned();
        assert_eq!(step(&url("http://h/"), 10, 301, Some("/x")), Step::Refuse(Failure::Redirect, why));
    }

    #[test]
    fn nothing_secret_is_on_the_wire_in_a_url() {
        let wire = wire_form(&url("https://user:secret@example.com:8443/a?b#secret")).unwrap();
        assert_eq!(wire.to_string(), "https://example.com:8443/a?b");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = url("https://example.com/");
        assert!(is_same_origin(&origin, &url("https://user@EXAMPLE.com:443/x?y")));
        for other in ["http://example.com/", "https://www.example.com/", "https://example.com:444/"] {
            assert!(!is_same_origin(&origin, &url(other)), "{other}");
        }
    }

    #[test]
    fn addresses_of_private_networks_are_known_in_every_disguise() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
