//! A name server that knows every service's name and takes its time; later it is mute, or gone.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, runtime::Builder};

use crate::load::address;

/// Before it answers.
const TAKES: Duration = Duration::from_millis(50);
/// Behind the header of a question.
const NAME_AT: usize = 12;

pub(crate) struct NameServer {
    mute: Arc<AtomicBool>,
}

impl NameServer {
    /// On port 53 of a loopback address.
    pub(crate) fn start(host: Ipv4Addr) -> NameServer {
        let mute = Arc::new(AtomicBool::new(false));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(UdpSocket::bind((host, 53))).unwrap();
        let silent = Arc::clone(&mute);
        std::thread::spawn(move || runtime.block_on(serve(Arc::new(socket), silent)));
        NameServer { mute }
    }

    /// Answers nothing any more.
    pub(crate) fn falls_silent(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }
}

async fn serve(socket: Arc<UdpSocket>, mute: Arc<AtomicBool>) {
    let mut question = [0; 512];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut question).await else { continue };
        if let Some(answer) = answer(&question[..length]).filter(|_| !mute.load(Ordering::Relaxed)) {
            tokio::spawn(send_later(Arc::clone(&socket), answer, from));
        }
    }
}

async fn send_later(socket: Arc<UdpSocket>, answer: Vec<u8>, to: SocketAddr) {
    tokio::time::sleep(TAKES).await;
    socket.send_to(&answer, to).await.ok();
}

/// One address for a question about IPv4, none for any other.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let name_length = question.get(NAME_AT..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = question.get(..NAME_AT + name_length + 4)?;
    let is_v4 = question[NAME_AT + name_length..].starts_with(&[0, 1]);
    let label = question.get(NAME_AT + 2..)?.split(|byte| !byte.is_ascii_digit()).next()?;
    let service: usize = str::from_utf8(label).ok()?.parse().ok()?;
    let mut answer = question.to_vec();
    // An answer, recursion wanted and had; one question, and nothing but answers.
    answer[2..NAME_AT].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
    if is_v4 {
        // The name of the question, an address, for no time.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address(service).parse::<Ipv4Addr>().ok()?.octets());
    }
    Some(answer)
}
