//! Connections of the target server, with TLS or without, and whom to trust for it.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, crypto::ring::default_provider, pki_types::PrivateKeyDer};
use tokio::net::TcpStream;

use crate::load::{ADDRESSES, address};

/// What this machine trusts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One connection.
pub(crate) struct Line {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Line {
        Line { stream, tls: tls.map(|config| Box::new(ServerConnection::new(config).unwrap())) }
    }

    /// What comes next, as much as there is; nothing at the end.
    pub(crate) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut came = [0; 2048];
        loop {
            if let Some(tls) = &mut self.tls {
                match tls.reader().read(room) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
            self.flush().await?;
            self.stream.readable().await?;
            let length = match self.stream.try_read(&mut came) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read => read?,
            };
            let Some(tls) = self.tls.as_mut().filter(|_| length > 0) else {
                room[..length].copy_from_slice(&came[..length]);
                return Ok(length);
            };
            let mut rest = &came[..length];
            while !rest.is_empty() {
                tls.read_tls(&mut rest)?;
                tls.process_new_packets().map_err(io::Error::other)?;
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => return self.send(bytes).await,
        }
        self.flush().await
    }

    /// Sends what TLS has to say.
    async fn flush(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            tls.write_tls(&mut bytes)?;
        }
        self.send(&bytes).await
    }

    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => bytes = &bytes[written?..],
            }
        }
        Ok(())
    }
}

/// A server's configuration for all addresses of targets, and a file of this machine's authorities and one more, which
/// vouches for it.
pub(crate) fn identity(folder: &Path) -> (Arc<ServerConfig>, PathBuf) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<String> = (0..ADDRESSES).map(address).collect();
    let leaf = CertificateParams::new(hosts).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let trusted = folder.join("trusted.pem");
    let bundle = std::fs::read_to_string(BUNDLE).unwrap_or_default();
    std::fs::write(&trusted, bundle + &root.pem()).unwrap();
    (Arc::new(config), trusted)
}
