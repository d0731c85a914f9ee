//! Who asks: his address, which only a trusted proxy may tell, and how many streams of changes he has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_web::{HttpRequest, http::header::X_FORWARDED_FOR};
use ipnet::IpNet;

/// Streams of one client: as many browsers behind one address as may watch a page during an outage.
pub const STREAMS_OF_A_CLIENT: usize = 256;
/// What one provider hands to one customer counts as one client.
const PREFIX_OF_A_CLIENT: u8 = 64;

/// Networks of proxies, whose word about their clients is believed. So is that of whoever comes by a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted(Vec<IpNet>);

impl FromStr for Trusted {
    type Err = String;

    fn from_str(list: &str) -> Result<Trusted, String> {
        let networks = list.split(',').map(str::trim).filter(|network| !network.is_empty());
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                format!("{text} is no network: write networks with commas between them, like 127.0.0.0/8,::1")
            }),
        };
        networks.map(network).collect::<Result<_, _>>().map(Trusted)
    }
}

impl Trusted {
    fn includes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client behind a peer that sent these lines of X-Forwarded-For; `None` where it is a trusted
    /// one itself. Each proxy adds at the right what it saw: from there leftwards the first that is not trusted is the
    /// client, and what stands left of it is his own invention.
    fn client<'a>(
        &self,
        peer: Option<IpAddr>,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Option<IpAddr> {
        let mut said_by = peer.map(|address| address.to_canonical());
        if said_by.is_some_and(|address| !self.includes(address)) {
            return said_by;
        }
        for word in forwarded.flat_map(|line| line.split(',')).rev() {
            let Some(address) = address(word.trim()) else {
                // Nobody knows whom it stands for: all of them count as one.
                return Some(said_by.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            };
            if !self.includes(address) {
                return Some(address);
            }
            said_by = Some(address);
        }
        None
    }
}

/// An address, which some proxies write with a port.
fn address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let address = bare.parse().or_else(|_| word.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Who asks, and who listens.
#[derive(Debug)]
pub struct Clients {
    trusted: Trusted,
    most_streams: usize,
    listening: Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    streams: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One stream's; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    client: Option<IpAddr>,
}

impl Clients {
    /// Nobody listens yet; `most_streams` may.
    pub fn new(trusted: Trusted, most_streams: usize) -> Clients {
        Clients { trusted, most_streams, listening: Mutex::default() }
    }

    /// A place for the stream that is asked for; `None` where all are taken, or all of this client's. Who is trusted
    /// himself has as many as there are: he is this machine, or a proxy that does not say who asks.
    pub fn admit(self: &Arc<Clients>, request: &HttpRequest) -> Option<Place> {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let lines: Vec<_> =
            request.headers().get_all(X_FORWARDED_FOR).map(|line| line.to_str().unwrap_or("?")).collect();
        self.place(self.trusted.client(peer, lines.into_iter()))
    }

    fn place(self: &Arc<Clients>, client: Option<IpAddr>) -> Option<Place> {
        let client = client.map(network);
        let mut listening = self.lock();
        if listening.streams >= self.most_streams {
            return None;
        }
        if let Some(client) = client {
            let streams = listening.by_client.entry(client).or_default();
            if *streams >= STREAMS_OF_A_CLIENT {
                return None;
            }
            *streams += 1;
        }
        listening.streams += 1;
        Some(Place { clients: Arc::clone(self), client })
    }

    fn lock(&self) -> MutexGuard<'_, Listening> {
        // Nothing in here panics half-way through a change.
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells one client from another.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - PREFIX_OF_A_CLIENT))))
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut listening = self.clients.lock();
        listening.streams -= 1;
        let Some(client) = self.client else { return };
        if let Some(streams) = listening.by_client.get_mut(&client) {
            *streams -= 1;
            if *streams == 0 {
                listening.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted: Trusted = "127.0.0.0/8, ::1, 192.0.2.0/24".parse().unwrap();
        let peer = (peer != "unix").then(|| ip(peer));
        trusted.client(peer, forwarded.iter().copied()).map(|address| address.to_string())
    }

    #[test]
    fn what_an_untrusted_peer_says_is_powerless() {
        for forged in ["198.51.100.1", "127.0.0.1", "198.51.100.1, 192.0.2.1", "nonsense", ""] {
            assert_eq!(client("203.0.113.9", &[forged]).as_deref(), Some("203.0.113.9"), "{forged}");
        }
    }

    #[test]
    fn behind_trusted_proxies_the_last_address_that_is_not_one_of_them_is_the_client() {
        for (peer, forwarded, expected) in [
            ("127.0.0.1", &["203.0.113.9"][..], "203.0.113.9"),
            ("unix", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            ("::1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
            ("::1", &["203.0.113.9, 192.0.2.7", "192.0.2.8"], "203.0.113.9"),
            ("::1", &["nonsense, 203.0.113.9 ,192.0.2.7"], "203.0.113.9"),
            ("::1", &["2001:db8::1"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("::1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client(peer, forwarded).as_deref(), Some(expected), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn who_is_trusted_and_stands_for_nobody_is_no_client_of_a_limit() {
        for peer in ["127.0.0.1", "::1", "unix", "192.0.2.7"] {
            assert_eq!(client(peer, &[]), None);
            assert_eq!(client(peer, &["127.0.0.1, 192.0.2.200"]), None);
        }
    }

    #[test]
    fn what_a_trusted_proxy_says_unreadably_counts_as_one_client() {
        assert_eq!(client("127.0.0.1", &["203.0.113.9, unknown"]).as_deref(), Some("127.0.0.1"));
        assert_eq!(client("127.0.0.1", &["203.0.113.9, ?, 192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(client("unix", &[""]).as_deref(), Some("0.0.0.0"));
    }

    #[test]
    fn a_list_of_networks_is_read_or_refused_with_advice() {
        for good in ["", "127.0.0.0/8,::1", "10.0.0.0/8 , fd00::/8", "192.0.2.1"] {
            assert!(Trusted::from_str(good).is_ok(), "{good}");
        }
        for bad in ["localhost", "127.0.0.0/33", "127.0.0/8", "::1/x"] {
            assert!(Trusted::from_str(bad).unwrap_err().starts_with(bad), "{bad}");
        }
    }

    fn clients(most: usize) -> Arc<Clients> {
        Arc::new(Clients::new(Trusted(Vec::new()), most))
    }

    #[test]
    fn a_client_has_so_many_streams_and_leaves_the_rest_to_others() {
        let clients = clients(10_000);
        let mut his: Vec<_> =
            (0..STREAMS_OF_A_CLIENT).map(|_| clients.place(Some(ip("203.0.113.9"))).unwrap()).collect();
        assert!(clients.place(Some(ip("203.0.113.9"))).is_none());
        assert!(clients.place(Some(ip("203.0.113.10"))).is_some() && clients.place(None).is_some());
        his.pop();
        assert!(clients.place(Some(ip("203.0.113.9"))).is_some(), "who ended makes room");
        drop(his);
        let listening = clients.lock();
        assert_eq!((listening.streams, listening.by_client.len()), (0, 0));
    }

    #[test]
    fn addresses_of_one_customer_are_one_client() {
        let clients = clients(10_000);
        let of = |n: usize| ip(&format!("2001:db8:0:1::{n:x}"));
        let _his: Vec<_> = (0..STREAMS_OF_A_CLIENT).map(|n| clients.place(Some(of(n))).unwrap()).collect();
        assert!(clients.place(Some(of(9999))).is_none());
        assert!(clients.place(Some(ip("2001:db8:0:2::1"))).is_some());
    }

    #[test]
    fn all_together_have_no_more_than_there_are() {
        let clients = clients(2);
        let first = clients.place(None).unwrap();
        let _second = clients.place(Some(ip("203.0.113.9"))).unwrap();
        assert!(clients.place(None).is_none() && clients.place(Some(ip("203.0.113.10"))).is_none());
        drop(first);
        assert!(clients.place(Some(ip("203.0.113.10"))).is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_forged_left_of_the_client_changes_nothing(forged in "[ -~]{0,60}") {
            let said = format!("{forged}, 203.0.113.9, 192.0.2.7");
            prop_assert_eq!(client("127.0.0.1", &[&said]), Some("203.0.113.9".into()));
            let lines = [forged.as_str(), "203.0.113.9"];
            prop_assert_eq!(client("127.0.0.1", &lines), Some("203.0.113.9".into()));
        }
    }
}
