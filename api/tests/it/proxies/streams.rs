//! Changes through the proxies: told while the stream is open, kept alive, ended and begun anew with the api.

use shared::testing::eventually;

use super::{Example, at, caddy_locations, caddy_site, nginx_locations, nginx_site};
use crate::{
    api::{Api, check},
    events::{Listener, two_services},
};

fn assert_streams(start: Example) {
    let (database, mut client, api) = two_services();
    let listen = at(&api).to_owned();
    let proxy = start(&listen);
    // Nobody waits for another's stream.
    let mut listeners = [Listener::at(&proxy.address).unwrap(), Listener::at(&proxy.address).unwrap()];
    for listener in &mut listeners {
        assert_eq!(listener.next().unwrap().name, "hello");
    }
    check(&mut client, "git", "0 s", "offline");
    for listener in &mut listeners {
        let change = listener.next().unwrap();
        assert_eq!((&*change.name, &change.data["services"][0]["id"]), ("change", &"git".into()));
    }
    let [listener, other] = &mut listeners;
    assert!(listener.hears_signs_of_life(3), "for 16 s at least in which nothing happens");
    check(&mut client, "main", "0 s", "online");
    assert_eq!(listener.next().unwrap().data["services"][0]["id"], "main");
    assert_eq!(other.next().unwrap().data["services"][0]["id"], "main");

    api.signal("TERM");
    for listener in &mut listeners {
        assert!(listener.next().is_none());
    }
    drop(api);
    let _back = Api::start_on(&listen, Some(&database.url), &[]);
    eventually("a stream again", || {
        Listener::at(&proxy.address).is_ok_and(|mut listener| listener.next().unwrap().name == "hello")
    });
}

#[test]
fn changes_come_through_every_example() {
    std::thread::scope(|scope| {
        for start in [nginx_locations, nginx_site, caddy_locations, caddy_site] {
            scope.spawn(move || assert_streams(start));
        }
    });
}
