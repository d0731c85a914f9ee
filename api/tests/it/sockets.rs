//! Sockets that systemd holds and hands over: they are served, and outlive whoever serves them.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use crate::api::Api;

/// Two sockets, as systemd holds them for `status-api.socket`.
pub(crate) struct Held {
    pub(crate) tcp: TcpListener,
    unix: UnixListener,
    pub(crate) folder: tempfile::TempDir,
}

impl Held {
    pub(crate) fn open() -> Held {
        let folder = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        Held { tcp: TcpListener::bind("127.0.0.1:0").unwrap(), unix, folder }
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Api {
        let (tcp, unix) = (self.tcp.try_clone().unwrap(), self.unix.try_clone().unwrap());
        Api::of(&mut handing_over(tcp.into(), unix.into(), arguments))
    }

    fn ask_tcp(&self) -> std::io::Result<String> {
        ask(TcpStream::connect(self.tcp.local_addr()?)?)
    }

    fn ask_unix(&self) -> std::io::Result<String> {
        ask(UnixStream::connect(self.folder.path().join("socket"))?)
    }
}

/// An api that finds these at 3 and 4, by the protocol of systemd: the shell becomes the api, its number stays.
fn handing_over(third: OwnedFd, fourth: OwnedFd, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let hand_over = r#"exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_FDS=2 LISTEN_PID=$$ exec "$0" "$@""#;
    command.args(["-c", hand_over, env!("CARGO_BIN_EXE_status-api")]).args(arguments);
    command.env_clear().stdin(Stdio::from(third)).stdout(Stdio::from(fourth));
    command
}

fn ask(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn is_whole(answer: &std::io::Result<String>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("</html>"))
}

#[test]
fn sockets_that_are_handed_over_are_served_in_place_of_others() {
    let held = Held::open();
    let api = held.start(&["--listen", "127.0.0.1:1"]);
    api.logged(&format!("listening on http://{}", held.tcp.local_addr().unwrap()));
    api.logged(&format!("listening on {}", held.folder.path().join("socket").display()));
    api.logged("127.0.0.1:1 is not listened on, since systemd hands over sockets");
    assert!(is_whole(&held.ask_tcp()) && is_whole(&held.ask_unix()));
    drop(api);
    let api = held.start(&[]);
    assert!(is_whole(&held.ask_tcp()) && is_whole(&held.ask_unix()));
    let warnings: Vec<_> = api.end().into_iter().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
    command.args(["--listen", "127.0.0.1:0"]).env_clear().env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let api = Api::of(command.stdin(Stdio::null()));
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn what_is_handed_over_and_no_socket_is_said() {
    let held = Held::open();
    let file = File::open("/dev/null").unwrap();
    let output = handing_over(held.tcp.into(), file.into(), &[]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains("socket 1 of those that were handed over (LISTEN_FDS) is no TCP or unix stream socket"),
        "{log}"
    );
}

#[test]
fn restarts_of_the_api_cost_no_visitor_an_answer_while_the_sockets_stay() {
    let held = Held::open();
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut api = held.start(&[]);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let visit = |ask: fn(&Held) -> std::io::Result<String>| {
            let mut failed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = ask(&held);
                match is_whole(&answer) {
                    true => drop(answered.fetch_add(1, Ordering::Relaxed)),
                    false => failed.push(format!("{answer:?}")),
                }
            }
            failed
        };
        let ways = [Held::ask_tcp as fn(&Held) -> _, Held::ask_unix];
        let visitors: Vec<_> = (0..16).map(|n| scope.spawn(move || visit(ways[n % 2]))).collect();
        for _ in 0..4 {
            let before = answered.load(Ordering::Relaxed);
            shared::testing::eventually("visitors are answered", || {
                answered.load(Ordering::Relaxed) > before + 100
            });
            api.signal("TERM");
            assert!(api.wait().success());
            // For as long as nobody serves, they wait.
            std::thread::sleep(Duration::from_millis(50));
            api = held.start(&[]);
        }
        over.store(true, Ordering::Relaxed);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect()
    });
    assert_eq!(failed, [""; 0], "beside {} good answers", answered.load(Ordering::Relaxed));
}
