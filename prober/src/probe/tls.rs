//! The TLS handshake, and the words for how it fails.

use chrono::DateTime;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error as TlsError, OtherError,
    pki_types::{ServerName, UnixTime},
};
use shared::Failure;
use std::{io, sync::Arc};

use super::{
    fault::{Fault, in_words},
    pinned::is_its_own_authority,
    socket::Socket,
};
use crate::verdict::Phase;

/// A whole handshake with the server called `host`, a name or an address as it stands in a URL.
pub(super) fn shake_hands(
    socket: &mut Socket,
    trust: Arc<ClientConfig>,
    host: &str,
) -> Result<ClientConnection, Fault> {
    let mut connection = server_name(host)
        .and_then(|name| ClientConnection::new(trust, name).ok())
        .ok_or_else(|| Fault::failed(Failure::Tls, format!("{host} can't stand in a certificate")))?;
    while connection.is_handshaking() {
        connection.complete_io(socket).map_err(|error| explain(&error, socket, host))?;
    }
    Ok(connection)
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).ok()
}

fn explain(error: &io::Error, socket: &Socket, host: &str) -> Fault {
    if error.kind() == io::ErrorKind::TimedOut {
        return Fault::Late(Phase::Handshake(socket.address));
    }
    let detail = match tls_error(error) {
        Some(error) => explain_tls(error, host),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "connection closed within the handshake".to_owned()
        }
        None => format!("{} within the handshake", in_words(error)),
    };
    Fault::Failed(Failure::Tls, format!("{detail} ({})", socket.address))
}

/// rustls hands its errors on inside those of input and output.
pub(super) fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// For people; `host` is whom we wanted to talk to.
pub(super) fn explain_tls(error: &TlsError, host: &str) -> String {
    match error {
        error if is_its_own_authority(error) => {
            "certificate is its own authority (ca_file may name it, if it is meant)".to_owned()
        }
        TlsError::InvalidCertificate(error) => explain_certificate(error, host),
        TlsError::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        TlsError::AlertReceived(alert) => format!("the server refused the handshake: {alert:?}"),
        error => error.to_string(),
    }
}

fn explain_certificate(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::Expired => "certificate expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("certificate expired on {}", day(*not_after))
        }
        CertificateError::NotValidYet => "certificate not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("certificate not valid before {}", day(*not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate not valid for {host}")
        }
        CertificateError::UnknownIssuer => "certificate self-signed or from an unknown issuer".to_owned(),
        CertificateError::BadSignature => "certificate with a wrong signature".to_owned(),
        CertificateError::Other(OtherError(error)) => format!("certificate refused: {error}"),
        error => format!("certificate refused: {error}"),
    }
}

fn day(time: UnixTime) -> String {
    let instant = i64::try_from(time.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    instant.map_or_else(|| "a day out of range".to_owned(), |instant| instant.format("%Y-%m-%d").to_string())
}
