//! Servers on loopback that behave well or badly, one thread for each connection; and what they saw.
#![allow(clippy::unwrap_used)]

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    HandshakeKind, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use socket2::{Domain, Socket, Type};

/// A TCP server that remembers the heads of the requests it got.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    accepted: Mutex<usize>,
    left: Mutex<usize>,
    handshakes: Mutex<Vec<Option<HandshakeKind>>>,
}

/// Plain or TLS, to the servers below it is the same.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Server {
    /// Answers each request, by its number from 0 and its head, with some bytes; then waits for the other side
    /// to close.
    pub(crate) fn answering(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Server {
        Server::behaving(move |count, head, wire| wire.write_all(&answer(count, head)))
    }

    /// Answers every request with the same.
    pub(crate) fn saying(answer: &str) -> Server {
        let answer = answer.as_bytes().to_vec();
        Server::answering(move |_, _| answer.clone())
    }

    /// Reads the head of each request, then does as it likes with the connection.
    pub(crate) fn behaving(
        behave: impl Fn(usize, &str, &mut dyn Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        Server::start((Ipv4Addr::LOCALHOST, 0).into(), None, behave).unwrap()
    }

    /// The same over TLS.
    pub(crate) fn secured(identity: &Identity, answer: &str) -> Server {
        let answer = answer.as_bytes().to_vec();
        let behave = move |_: usize, _: &str, wire: &mut dyn Wire| wire.write_all(&answer);
        Server::start((Ipv4Addr::LOCALHOST, 0).into(), Some(identity.server_config()), behave).unwrap()
    }

    /// At this address; fails where the machine has no such address.
    pub(crate) fn start(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        behave: impl Fn(usize, &str, &mut dyn Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let server = Server { address: listener.local_addr()?, seen: Arc::default() };
        let (seen, behave) = (server.seen.clone(), Arc::new(behave));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, behave, tls) = (seen.clone(), behave.clone(), tls.clone());
                *seen.accepted.lock().unwrap() += 1;
                thread::spawn(move || {
                    match tls {
                        None => serve(&seen, &*behave, &mut { stream }),
                        Some(tls) => {
                            let tls = ServerConnection::new(tls).unwrap();
                            let mut wire = StreamOwned::new(tls, stream);
                            serve(&seen, &*behave, &mut wire);
                            seen.handshakes.lock().unwrap().push(wire.conn.handshake_kind());
                        }
                    }
                    *seen.left.lock().unwrap() += 1;
                });
            }
        });
        Ok(server)
    }

    /// Does as it likes with each connection, before any request is read.
    pub(crate) fn raw(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, behave) = (server.seen.clone(), Arc::new(behave));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *seen.accepted.lock().unwrap() += 1;
                let behave = behave.clone();
                thread::spawn(move || behave(stream));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Their first lines, without the version.
    pub(crate) fn lines(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
        self.requests().iter().map(first).collect()
    }

    /// Of the TLS connections that ended.
    pub(crate) fn handshakes(&self) -> Vec<Option<HandshakeKind>> {
        self.seen.handshakes.lock().unwrap().clone()
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.seen.accepted.lock().unwrap()
    }

    /// Whether every connection ends within two seconds.
    pub(crate) fn is_left_alone(&self) -> bool {
        (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            self.accepted() == *self.seen.left.lock().unwrap()
        })
    }
}

fn serve(seen: &Seen, behave: &dyn Fn(usize, &str, &mut dyn Wire) -> io::Result<()>, wire: &mut dyn Wire) {
    let Ok(head) = read_head(wire) else { return };
    let count = {
        let mut requests = seen.requests.lock().unwrap();
        requests.push(head.clone());
        requests.len() - 1
    };
    if behave(count, &head, wire).is_ok() {
        let _ = wire.flush();
        // Not to close before the client does, for then it would be the server's doing.
        let _ = wire.read(&mut [0]);
    }
}

fn read_head(wire: &mut dyn Wire) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if wire.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A listener whose queue is full: it drops attempts to connect for as long as the result lives.
pub(crate) fn deaf(address: SocketAddr) -> (SocketAddr, impl Sized) {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue never fills up");
    }
    (address, (listener, waiting))
}

/// A certificate and its key, and who vouches for it.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub(crate) authorities: Arc<Vec<CertificateDer<'static>>>,
}

/// Two authorities of one name would pass for one with a forged signature.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

impl Identity {
    /// For a name or address, good until the end of `until`, issued by an authority of its own.
    pub(crate) fn issued(host: &str, until: i32) -> Identity {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        authority.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let root = authority.self_signed(&authority_key).unwrap().der().clone();
        let (params, key) = (params(host, until), KeyPair::generate().unwrap());
        let leaf = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
        Identity::new(leaf.der().clone(), &key, root)
    }

    /// Vouched for by itself.
    pub(crate) fn self_signed(host: &str) -> Identity {
        Identity::of_itself(&params(host, 2999))
    }

    /// Vouched for by itself and allowed to vouch for others, as `openssl req -x509` makes them.
    pub(crate) fn its_own_authority(host: &str, until: i32) -> Identity {
        let mut params = params(host, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Identity::of_itself(&params)
    }

    fn of_itself(params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf = params.self_signed(&key).unwrap().der().clone();
        Identity::new(leaf.clone(), &key, leaf)
    }

    fn new(leaf: CertificateDer<'static>, key: &KeyPair, root: CertificateDer<'static>) -> Identity {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity { chain: vec![leaf], key, authorities: Arc::new(vec![root]) }
    }

    pub(crate) fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.authorities.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        Arc::new(config)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn params(host: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    params
}

/// What a name server says.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// Nothing at all.
    Nothing,
    /// This response code (RFC 1035, section 4.1.1), and no record.
    Code(u8),
    /// This address to questions for its kind, and no record to the others.
    Address(IpAddr),
    /// This address to questions for its kind, and nothing at all to the others.
    OnlyAddress(IpAddr),
    /// As [`Says::Address`], after a while.
    AddressLate(IpAddr, Duration),
    /// 127.0.1.1 to 127.0.1.100.
    HundredAddresses,
}

const HEADER: usize = 12;
const NO_ERROR: u8 = 0;
pub(crate) const SERVER_FAILURE: u8 = 2;
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// A name server on UDP that says one thing, whatever it is asked.
pub(crate) fn name_server(says: Says) -> SocketAddr {
    name_server_at((Ipv4Addr::LOCALHOST, 0).into(), move |_| says).unwrap()
}

/// One at this address that says something of each name; where the port is free there, over TCP too, for what is too long.
pub(crate) fn name_server_at(
    address: SocketAddr,
    says: impl Fn(&str) -> Says + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    const LONGEST: usize = 512;
    let socket = UdpSocket::bind(address)?;
    let address = socket.local_addr()?;
    let says = Arc::new(says);
    answer_over_tcp(address, Arc::clone(&says)).ok();
    thread::spawn(move || {
        let mut packet = [0; LONGEST];
        while let Ok((length, asker)) = socket.recv_from(&mut packet) {
            let (query, says) = (packet[..length].to_vec(), Arc::clone(&says));
            let socket = socket.try_clone().unwrap();
            thread::spawn(move || {
                let Some(mut answer) = answer(says(&name_of(&query)), &query) else { return };
                if answer.len() > LONGEST {
                    cut_off_records(&mut answer);
                }
                socket.send_to(&answer, asker).ok();
            });
        }
    });
    Ok(address)
}

fn answer_over_tcp(
    address: SocketAddr,
    says: Arc<impl Fn(&str) -> Says + Send + Sync + 'static>,
) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let says = Arc::clone(&says);
            thread::spawn(move || answer_a_stream(stream, &*says));
        }
    });
    Ok(())
}

fn answer_a_stream(mut stream: TcpStream, says: &dyn Fn(&str) -> Says) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    let Some(answer) = answer(says(&name_of(&query)), &query) else { return Ok(()) };
    stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes())?;
    stream.write_all(&answer)
}

/// Leaves the question, and says that there is more over TCP.
fn cut_off_records(answer: &mut Vec<u8>) {
    let name = answer[HEADER..].iter().position(|byte| *byte == 0).unwrap() + 1;
    answer.truncate(HEADER + name + 4);
    answer[2] |= 2;
    answer[7] = 0;
}

/// The name that is asked for, with dots and without the last one.
fn name_of(query: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &query[HEADER..];
    while let [length, after @ ..] = rest
        && *length > 0
    {
        let (label, next) = after.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = next;
    }
    labels.join(".")
}

fn answer(says: Says, query: &[u8]) -> Option<Vec<u8>> {
    let name = query[HEADER..].iter().position(|byte| *byte == 0)? + 1;
    let question = &query[HEADER..HEADER + name + 4];
    let record = match says {
        Says::Nothing => return None,
        Says::Code(_) => None,
        Says::Address(address) | Says::OnlyAddress(address) => record_for(question[name + 1], address),
        Says::AddressLate(address, pause) => {
            thread::sleep(pause);
            record_for(question[name + 1], address)
        }
        Says::HundredAddresses => {
            let addresses = (1..=100).map(|last| IpAddr::from([127, 0, 1, last]));
            addresses
                .map(|address| record_for(question[name + 1], address))
                .collect::<Option<_>>()
                .map(|records: Vec<_>| records.concat())
        }
    };
    if record.is_none() && matches!(says, Says::OnlyAddress(_)) {
        return None;
    }
    let code = if let Says::Code(code) = says { code } else { NO_ERROR };
    let answers = match says {
        Says::HundredAddresses if record.is_some() => 100,
        _ => u8::from(record.is_some()),
    };
    let mut answer = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    answer.extend(question);
    answer.extend(record.unwrap_or_default());
    Some(answer)
}

fn record_for(asked: u8, address: IpAddr) -> Option<Vec<u8>> {
    const TTL: [u8; 4] = [0, 0, 1, 0];
    let (kind, bytes) = match address {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (28, address.octets().to_vec()),
    };
    let length = u8::try_from(bytes.len()).unwrap();
    (asked == kind).then(|| [&[0xc0, 12, 0, kind, 0, 1][..], &TTL, &[0, length], &bytes].concat())
}
