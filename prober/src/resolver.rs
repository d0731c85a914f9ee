//! Where a host is: literals, the hosts file, then name servers, asked anew every time (nothing is cached
//! from one lookup to the next). Waiting is asynchronous and holds no thread; its bound is the caller's.

mod hosts;
mod servers;
mod system;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    net::{DnsError, NetError},
    proto::op::ResponseCode,
};
use url::Host;

use crate::{broken::is_out_of_resources, target::Family};
use servers::ask;
use system::{Names, System};

/// Between rounds of questions that nobody answered.
const PAUSE: Duration = Duration::from_millis(100);

/// Finds the addresses of hosts.
#[derive(Debug)]
pub struct Resolver(Source);

#[derive(Debug)]
enum Source {
    System(System),
    Fixed(Arc<Names>),
}

/// Why a host has no address. That nobody answers is no error: such a lookup goes on until it is dropped.
#[derive(Debug)]
pub enum LookupError {
    /// The name servers know no such name.
    NoSuchName,
    /// The name exists, an address of the wanted family does not.
    NoAddress(Family),
    /// A name server said no, or nothing that makes sense, in its words.
    Refused(String),
    /// No name server can be reached.
    Unreachable(io::ErrorKind),
    /// This machine is out of descriptors, ports or memory: it says nothing about the host.
    OutOfResources(io::Error),
}

impl Resolver {
    /// As the machine is set up by /etc/hosts and /etc/resolv.conf; changes are seen within a second or two.
    /// An unreadable file counts as an empty one, no name server as one on 127.0.0.1 (resolv.conf(5)).
    ///
    /// # Errors
    /// When resolv.conf can't be made sense of.
    pub fn system() -> Result<Resolver, NetError> {
        Resolver::reading("/etc/hosts".into(), "/etc/resolv.conf".into())
    }

    /// As [`Resolver::system`], from other files.
    ///
    /// # Errors
    /// When `resolv_conf` can't be made sense of.
    pub fn reading(hosts: PathBuf, resolv_conf: PathBuf) -> Result<Resolver, NetError> {
        System::new(hosts, resolv_conf).map(Source::System).map(Resolver)
    }

    /// Asks this name server only, and no hosts file.
    ///
    /// # Errors
    /// None that is known.
    pub fn asking(name_server: SocketAddr) -> Result<Resolver, NetError> {
        Names::asking(name_server).map(Arc::new).map(Source::Fixed).map(Resolver)
    }

    /// The addresses of a host that are of the wanted family, IPv4 first, never none. Waits as long as nobody
    /// answers.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn lookup(&self, host: Host<&str>, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        match host {
            Host::Ipv4(address) => only(family, &[address.into()]),
            Host::Ipv6(address) => only(family, &[address.into()]),
            // Large: what waits for no name server should not carry it along.
            Host::Domain(name) => Box::pin(self.names().find(name, family)).await,
        }
    }

    fn names(&self) -> Arc<Names> {
        match &self.0 {
            Source::System(system) => system.names(),
            Source::Fixed(names) => names.clone(),
        }
    }
}

impl Names {
    async fn find(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let listed = self.hosts.find(name);
        if !listed.is_empty() {
            return only(family, listed);
        }
        loop {
            match ask(&self.servers, name, family).await {
                Err(NetError::Timeout | NetError::Busy) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(explain(&error, family)),
                Ok(addresses) => return only(family, &addresses),
            }
        }
    }
}

/// Those of the wanted family, IPv4 first.
fn only(family: Family, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, LookupError> {
    let mut wanted: Vec<IpAddr> =
        addresses.iter().copied().filter(|address| family.takes(*address)).collect();
    wanted.sort_by_key(IpAddr::is_ipv6);
    if wanted.is_empty() { Err(LookupError::NoAddress(family)) } else { Ok(wanted) }
}

impl Family {
    fn takes(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

fn explain(error: &NetError, family: Family) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => explain_code(none.response_code, family),
        NetError::Dns(DnsError::ResponseCode(code)) => explain_code(*code, family),
        NetError::Io(error) => explain_unreachable(error.kind()),
        NetError::NoConnections => explain_unreachable(io::ErrorKind::NotConnected),
        error => LookupError::Refused(error.to_string()),
    }
}

/// hickory often hides why it has no socket: whether it is for want of descriptors, another one tells.
fn explain_unreachable(kind: io::ErrorKind) -> LookupError {
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        Err(error) if is_out_of_resources(&error) => LookupError::OutOfResources(error),
        _ => LookupError::Unreachable(kind),
    }
}

fn explain_code(code: ResponseCode, family: Family) -> LookupError {
    match code {
        ResponseCode::NXDomain => LookupError::NoSuchName,
        ResponseCode::NoError => LookupError::NoAddress(family),
        code => LookupError::Refused(code.to_string()),
    }
}
