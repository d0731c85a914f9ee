//! The files that say how this machine looks names up, read again when they change.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    system_conf::parse_resolv_conf,
};
use log::warn;

use super::hosts::Hosts;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the files said, ready to be asked.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) hosts: Hosts,
    pub(super) servers: TokioResolver,
}

/// The files, and what they said last.
#[derive(Debug)]
pub(super) struct System {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    looked_at: Instant,
    stamps: [Option<Stamp>; 2],
    names: Arc<Names>,
}

/// Tells versions of a file apart.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl System {
    pub(super) fn new(hosts: PathBuf, resolv_conf: PathBuf) -> Result<System, NetError> {
        let stamps = [stamp(&hosts), stamp(&resolv_conf)];
        let names = Arc::new(Names::read(&hosts, &resolv_conf)?);
        let read = Mutex::new(Read { looked_at: Instant::now(), stamps, names });
        Ok(System { hosts, resolv_conf, read })
    }

    /// What the files say now, give or take [`LOOK_EVERY`]. A change that can't be made sense of is logged
    /// once and what was said before stays in force.
    pub(super) fn names(&self) -> Arc<Names> {
        // A panic while the lock was held can't leave a half-written `Read` behind.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.looked_at.elapsed() >= LOOK_EVERY {
            self.look(&mut read);
        }
        read.names.clone()
    }

    fn look(&self, read: &mut Read) {
        read.looked_at = Instant::now();
        let stamps = [stamp(&self.hosts), stamp(&self.resolv_conf)];
        if stamps == read.stamps {
            return;
        }
        read.stamps = stamps;
        match Names::read(&self.hosts, &self.resolv_conf) {
            Ok(names) => read.names = Arc::new(names),
            Err(error) => warn!("{} is not used as it is now: {error}", self.resolv_conf.display()),
        }
    }
}

impl Names {
    fn read(hosts: &Path, resolv_conf: &Path) -> Result<Names, NetError> {
        let hosts = fs::read(hosts).unwrap_or_default();
        let hosts = Hosts::parse(&String::from_utf8_lossy(&hosts));
        let (config, options) = read_servers(&fs::read(resolv_conf).unwrap_or_default())?;
        Ok(Names { hosts, servers: ask_through(config, options)? })
    }

    pub(super) fn asking(name_server: SocketAddr) -> Result<Names, NetError> {
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server(name_server)]);
        Ok(Names { hosts: Hosts::default(), servers: ask_through(config, ResolverOpts::default())? })
    }
}

fn read_servers(resolv_conf: &[u8]) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    let names_a_server = resolv_conf.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"nameserver"));
    if names_a_server {
        return parse_resolv_conf(resolv_conf);
    }
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    Ok((ResolverConfig::from_parts(None, Vec::new(), vec![server(local)]), ResolverOpts::default()))
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn ask_through(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let chosen = builder.options_mut();
    *chosen = options;
    // A lookup every time: nothing is remembered, and the hosts file is ours to read.
    chosen.cache_size = 0;
    chosen.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), length: metadata.len() })
}
